# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A past period as somebody asks about it, and all that it proposes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from string import Template
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.moments import MomentError, parse_moment
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import (
    RATIO,
    MistakeError,
    canonical,
    format_duration,
    format_value,
    parse_duration,
    parse_limit,
)
from ansible_collections.levibot.transition.plugins.module_utils.proposals import alerts, inference
from ansible_collections.levibot.transition.plugins.module_utils.proposals.ask import Asker, Grid, Series, grid_of
from ansible_collections.levibot.transition.plugins.module_utils.proposals.series import QUANTILE_METHOD, alarms
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import UnusableError, finite


@dataclass(frozen=True)
class Period:
    """What is asked; ``$`` names stand in all texts until :meth:`expand`."""

    grid: Grid
    slot: str
    rule_slots: str
    rate_window: str
    interval_seconds: float
    metrics: Sequence[alerts.Metric]
    policy: alerts.Policy
    inference: Mapping[str, Any] | None
    used: Mapping[str, str]
    fired: str
    uptime: str

    def expand(self, text: str) -> str:
        step = format_duration(Decimal(self.grid.step_ms) / 1000)
        return Template(text).safe_substitute(slot=self.slot, window=self.rate_window, step=step)


def read(options: Mapping[str, Any], report: Report) -> Period | None:
    """The options of module proposals_info; all mistakes go into the report, and None is returned with them."""
    interval = report.read("interval", options["interval"], parse_duration)
    report.read("rate_window", options["rate_window"], parse_duration)
    margin = report.read("margin", options["margin"], lambda text: parse_limit(text, RATIO))
    coverage = report.read("min_coverage", options["min_coverage"], lambda text: parse_limit(text, RATIO))
    metrics = alerts.read_metrics(options["alerts"], report)
    levels = [report.read(f"levels[{number}]", level, _level) for number, level in enumerate(options["levels"])]
    if not levels:
        report.add("levels", [], "write at least one, such as {name: critical, quantile: 0.999}")
    if options["inference"]:
        for name, seconds in {"default": None, **options["inference"]["budgets"]}.items():
            report.read(f"inference.budgets.{name}", seconds, _seconds)
    if options["max_points"] < 1:
        report.add("max_points", options["max_points"], "write a number above 0")
    if options["ended_at"] <= options["started_at"]:
        report.add("ended_at", options["ended_at"], "give a moment after started_at")
    incidents = [report.read(f"incidents[{number}]", incident, _incident) for number, incident in enumerate(options["incidents"])]
    if interval is not None and not interval:
        report.add("interval", options["interval"], "write a duration such as 30s")
    if report.problems or interval is None or margin is None or coverage is None:
        return None
    grid = grid_of(options["started_at"], options["ended_at"], float(interval), options["max_points"])
    spans = [grid.span(*incident) for incident in incidents]
    policy = alerts.Policy(levels, margin, options["false_alarms"], float(coverage), grid.step_seconds, grid.evaluations, spans)
    slots = options["rule_slots"] or options["slot"]
    return Period(
        grid,
        options["slot"],
        slots,
        options["rate_window"],
        float(interval),
        metrics,
        policy,
        options["inference"],
        options["used"],
        options["fired"],
        options["uptime"],
    )


def _level(level: Mapping[str, Any]) -> alerts.Level:
    if not 0 < level["quantile"] <= 1:
        raise MistakeError("write a quantile above 0 and up to 1, such as 0.999")
    return alerts.Level(level["name"], level["quantile"], level.get("severity") or "", level.get("pages") is not False)


def _seconds(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise MistakeError("write seconds above 0, such as 0.1")
    return number


def _incident(incident: Mapping[str, Any]) -> tuple[float, float]:
    try:
        begin, end = (parse_moment(_moment(incident[key])) for key in ("from", "to"))
    except MomentError as problem:
        raise MistakeError(f"its time {problem}: write ISO 8601 with an offset from UTC, or seconds since the epoch") from None
    if end < begin:
        raise MistakeError("give an end after the beginning")
    return begin, end


def _moment(value: Any) -> Any:
    """Variables on the command line are texts, also where they are numbers."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def look(period: Period, asker: Asker) -> dict[str, Any]:
    """Ask all, and propose, as plain JSON (module proposals_info)."""
    grid = period.grid
    return {
        "period": {
            "started_at": grid.start_ms / 1000,
            "ended_at": grid.end_ms / 1000,
            "seconds": grid.step_seconds * grid.evaluations,
            "step_seconds": grid.step_seconds,
            "evaluations": grid.evaluations,
            "thinned": grid.step_seconds > period.interval_seconds,
            "interval_seconds": period.interval_seconds,
            "slot": period.slot,
        },
        "method": QUANTILE_METHOD,
        "alerts": [_alert(period, asker, metric) for metric in period.metrics],
        "inference": _inference(period, asker),
        "used": [_used(period, asker, limit, query) for limit, query in sorted(period.used.items())],
        "fired": _fired(period, asker),
        "uptime": _uptime(period, asker),
        "problems": asker.problems,
    }


def _alert(period: Period, asker: Asker, metric: alerts.Metric) -> dict[str, Any]:
    asked = alerts.expand(metric, period.slot, period.rate_window)
    found = asker.series(f"alert {metric.id}", asked)
    proposal = alerts.propose(metric, found or [], period.policy)
    if found is None:
        proposal["problem"] = asker.problems[-1]["problem"]
    return {**proposal, "expr": alerts.expand(metric, period.rule_slots, period.rate_window), "asked": asked}


def _inference(period: Period, asker: Asker) -> list[dict[str, Any]]:
    if not period.inference:
        return []
    selector = period.expand(period.inference["buckets"])
    counted = asker.counted("inference", selector)
    if counted is None:
        return []
    budgets = {name: float(seconds) for name, seconds in period.inference["budgets"].items()}
    judged = asker.tried("inference", selector, lambda: inference.judge_all(counted, selector, period.inference["label"], budgets))
    return [{**one, "source": selector} for one in judged or []]


def _used(period: Period, asker: Asker, limit: str, query: str) -> dict[str, Any]:
    """The greatest value of all series. One that never changed is no evidence: some releases show 0 for ever."""
    asked = period.expand(query)
    source = f"Prometheus: {asked}"
    found = asker.series(f"used {limit}", asked)
    values = [value for points in found or [] for value in points.values() if math.isfinite(value)]
    if found is None:
        return {"limit": limit, "value": None, "source": source, "problem": asker.problems[-1]["problem"]}
    if not values:
        return {"limit": limit, "value": None, "source": source, "problem": f"no sample of {asked}"}
    if min(values) == max(values):
        said = f"{asked} was {values[0]:g} in each of {len(values)} samples, and what never changes is no evidence"
        return {"limit": limit, "value": None, "source": source, "problem": said}
    return {"limit": limit, "value": canonical(Decimal(repr(max(0.0, *values)))), "source": source, "problem": ""}


def _fired(period: Period, asker: Asker) -> list[dict[str, Any]] | None:
    """By alert and severity how often it fired. Null where it was not asked."""
    if not period.fired:
        return None
    found = asker.labelled("alerts that fired", period.expand(period.fired))
    return None if found is None else _firings(found, period)


def _firings(found: Series, period: Period) -> list[dict[str, Any]]:
    together: dict[tuple[str, str], list[int]] = {}
    for key, points in found.items():
        labels = dict(key)
        counts = together.setdefault((labels.get("alertname") or "", labels.get("severity") or ""), [0, 0, 0])
        for alarm in alarms(points, lambda _value: True, 0, 1):
            counts[0] += 1
            counts[1] += alarm.last - alarm.first + 1
            counts[2] += any(alarm.first <= end and alarm.last >= begin for begin, end in period.policy.incidents)
    return [
        {"alert": alert, "severity": severity, "times": times, "firing_seconds": lasted * period.grid.step_seconds, "in_incidents": within}
        for (alert, severity), (times, lasted, within) in sorted(together.items())
    ]


def _uptime(period: Period, asker: Asker) -> dict[str, Any] | None:
    if not period.uptime:
        return None
    inside = f"{period.expand(period.uptime)}[{period.grid.end_ms - period.grid.start_ms}ms]"
    parts = {"ratio": f"min(avg_over_time({inside}))", "probes": f"min(count_over_time({inside}))"}
    return asker.tried("uptime", inside, lambda: _probes(asker, parts, period.grid.end_ms / 1000))


def _probes(asker: Asker, parts: dict[str, str], at: float) -> dict[str, Any]:
    found = asker.prometheus.parts(parts, at, asker.until)
    if () not in found["ratio"]:
        raise UnusableError("there is no probe in the period")
    ratio = finite(found["ratio"][()], "the uptime")
    return {"ratio": ratio, "text": format_value(ratio, RATIO), "probes": round(found["probes"][()])}
