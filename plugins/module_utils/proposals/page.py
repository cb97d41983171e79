# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proposals as their files print them. Pure: the same data gives the same files, and no moment but the period's own is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.moments import iso
from ansible_collections.levibot.transition.plugins.module_utils.ledger.story import span
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import (
    RATIO,
    MistakeError,
    format_duration,
    format_value,
    parse_limit,
)
from ansible_collections.levibot.transition.plugins.module_utils.proposals import lessons, risk

_NEEDED = ("found", "lessons", "limits", "used", "known", "risk_margin", "version")


class PageError(ValueError):
    """What is to be printed is not all there; the message says what."""


def page(given: Any) -> dict[str, Any]:
    """Raises PageError.

    given: ``found`` and ``lessons`` as modules proposals_info and lessons_info return them, ``limits`` (phase3.limits of a validated
    plan), ``used`` (more of what was used of them), ``known`` (what is known beyond the metrics), ``risk_margin`` and ``version``.
    """
    missing = [key for key in _NEEDED if key not in given] if isinstance(given, Mapping) else list(_NEEDED)
    if missing:
        raise PageError(f"{', '.join(missing)} must be given")
    try:
        margin = parse_limit(str(given["risk_margin"]), RATIO)
    except MistakeError as problem:
        raise PageError(f"risk_margin is {given['risk_margin']!r}: {problem}") from None
    found = given["found"]
    period = _period(found["period"])
    told = {
        "version": str(given["version"]),
        "period": period,
        "method": found["method"],
        "metrics": [_metric(one, period) for one in found["alerts"]],
        "inference": found["inference"],
        "risk": _risk(found, given, margin),
        "fired": None if found["fired"] is None else [_fired(one) for one in found["fired"]],
        "uptime": found["uptime"],
        "lessons": given["lessons"],
        "criteria": lessons.criteria(found, given["known"]),
        "problems": found["problems"],
    }
    told["rules"] = [rule for metric in told["metrics"] for rule in metric["rules"]]
    told["lasting"] = [metric for metric in told["metrics"] if metric["lasting"]]
    told["noisy"] = [metric for metric in told["metrics"] if metric["plan"]["false_alarms"] and not metric["lasting"]]
    return _on_one_line(told)


def _risk(found: Mapping[str, Any], given: Mapping[str, Any], margin: Decimal) -> dict[str, Any]:
    return risk.propose(given["limits"] or {}, [*found["used"], *(given["used"] or ())], margin)


def _period(period: Mapping[str, Any]) -> dict[str, Any]:
    step, interval = period["step_seconds"], period["interval_seconds"]
    rarely = f"Evaluated every {format_duration(step)} and not every {format_duration(interval)}"
    thinned = f"{rarely}: the period is long, and short alarms may be missed"
    return {
        "began": iso(period["started_at"]),
        "ended": iso(period["ended_at"]),
        "lasted": span(period["seconds"]),
        "slot": period["slot"],
        "evaluations": period["evaluations"],
        "interval": format_duration(interval),
        "thinned": thinned if period["thinned"] else "",
    }


def _metric(one: Mapping[str, Any], period: Mapping[str, Any]) -> dict[str, Any]:
    waits = format_duration(one["for_seconds"])
    plan = _figures("the plan's", one["plan"])
    data = f"{one['samples']} samples of {one['series']} series, {format_value(one['coverage_ratio'], RATIO)} of the period covered"
    return {
        "id": one["id"],
        "summary": one["summary"],
        "asked": one["asked"],
        "condition": one["condition"],
        "for": waits,
        "data": data,
        "observed": ", ".join(f"{name} {text}" for name, text in one["observed"].items()) or "nothing",
        "plan": plan,
        "figures": [plan, *(_figures(figures["basis"], figures) for figures in one["candidates"])],
        "rules": [_rule(one, rule, period) for rule in one["rules"]],
        "notes": one["notes"],
        "lasting": one["lasting"],
        "problem": one["problem"],
    }


def _fired(one: Mapping[str, Any]) -> dict[str, Any]:
    within = f", {one['in_incidents']} of them in incidents that were named" if one["in_incidents"] else ""
    said = f"fired {_count(one['times'], 'time')}, for {span(one['firing_seconds'])}{within}"
    return {"alert": one["alert"], "severity": one["severity"] or "no severity", "said": said}


def _figures(name: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "text": figures["text"],
        "false_alarms": figures["false_alarms"],
        "alarms": _alarms(figures),
        "fired_for": span(figures["firing_seconds"]),
    }


def _rule(metric: Mapping[str, Any], rule: Mapping[str, Any], period: Mapping[str, Any]) -> dict[str, Any]:
    plan = metric["plan"]
    would = (
        f"Basis: {rule['basis']}. From {period['began']} to {period['ended']} it would have made {_alarms(rule)}; "
        f"the plan's {plan['text']} {_alarms(plan)}. {format_value(metric['coverage_ratio'], RATIO)} of that time is covered."
    )
    return {
        "id": metric["id"],
        "alert": metric["alert"],
        "level": rule["level"],
        "severity": rule["severity"],
        "expr": f"({metric['expr']}) {metric['condition']} {rule['threshold']}",
        "for": format_duration(metric["for_seconds"]),
        "text": rule["text"],
        "basis": rule["basis"],
        "figures": _figures(rule["level"], rule),
        "summary": metric["summary"],
        "description": f"Now {{{{ $value | {metric['shown']} }}}}; the limit is {metric['condition']} {rule['text']}.",
        "proposal": would,
    }


def _alarms(figures: Mapping[str, Any]) -> str:
    true = figures["alarms"] - figures["false_alarms"]
    return _count(figures["false_alarms"], "false alarm") + (f" and {true} in incidents" if true else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _on_one_line(value: Any) -> Any:
    """No text breaks out of its line, be it a comment or a cell."""
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, Mapping):
        return {key: _on_one_line(item) for key, item in value.items()}
    return [_on_one_line(item) for item in value] if isinstance(value, Sequence) else value
