# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thresholds of alerts from what a metric really did, each with the false alarms that it would have made. Pure.

A **candidate** is a quantile of the samples and a margin on top, rounded to two digits to the lax side. Each level of severity takes the
first candidate, from its own quantile up to the worst sample, that makes no more false alarms than are allowed. Then:

- it is never laxer than the plan's own threshold where that is ``hard``, or made no more false alarms than are allowed: a proposal
  loosens what cried wolf, and nothing else;
- where the plan's own threshold would have fired for more than LASTING of the time, that was no false alarm but how things were, and
  nothing is proposed that would hide it;
- it is never tighter than ``least``, and, for levels that page people, than the SLO: what keeps the SLO is no reason to wake anybody.

Where there are too few samples, too little of the period is covered, or the value never changed, nothing is proposed, and that is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from string import Template
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.plan.grammar import parse_slo_factor
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import (
    RATIO,
    UNITS,
    MistakeError,
    canonical,
    format_limit,
    format_value,
    parse_duration,
    parse_limit,
)
from ansible_collections.levibot.transition.plugins.module_utils.proposals.series import (
    Alarm,
    Points,
    alarms,
    covered,
    fewest_samples,
    quantile,
)

WORST = 1.0
LASTING = 0.05
DIGITS = 2
# How Prometheus shows a value of each unit.
_SHOWN = {"ratio": "humanizePercentage", "seconds": "humanizeDuration", "usd": 'printf "%.2f USD"', "count": "humanize"}
_KEYS = {"alert", "expr", "condition", "unit", "plan", "slo", "least", "for", "severity", "summary", "hard", "may_stand_still"}
_NEEDED = ("alert", "expr", "condition", "unit", "plan", "for", "severity", "summary")


@dataclass(frozen=True)
class Metric:
    """One metric to be alerted on; thresholds in canonical units. ``op``: the side of the threshold on which it is bad."""

    id: str
    alert: str
    expr: str
    op: str
    unit: str
    plan: Decimal
    for_seconds: float
    severity: str
    summary: str
    slo: Decimal | None = None
    least: Decimal | None = None
    hard: bool = False
    may_stand_still: bool = False

    def is_bad(self, value: float, threshold: Decimal) -> bool:
        return value > float(threshold) if self.op == ">" else value < float(threshold)

    def badness(self, value: Decimal) -> Decimal:
        """What grows as things get worse, and is nought at best: the value, or what a share lacks of all."""
        return value if self.op == ">" else 1 - value

    def threshold(self, badness: Decimal) -> Decimal:
        """The inverse of :meth:`badness`."""
        return self.badness(badness)


@dataclass(frozen=True)
class Level:
    """One severity that is proposed. severity: ``""`` for the metric's own. pages: never tighter than the SLO."""

    name: str
    quantile: float
    severity: str = ""
    pages: bool = True


@dataclass(frozen=True)
class Policy:
    """margin: as a ratio. incidents: spans of indices in which things were truly bad, both ends included."""

    levels: Sequence[Level]
    margin: Decimal
    false_alarms: int
    min_coverage: float
    step_seconds: float
    evaluations: int
    incidents: Sequence[tuple[int, int]] = ()


def read_metrics(entries: Mapping[str, Any], report: Report) -> list[Metric]:
    """The metrics as a site writes them; mistakes go into the report, with their paths."""
    found = (_read(name, entry, report) for name, entry in entries.items())
    return [metric for metric in found if metric is not None]


def _read(name: str, entry: Any, report: Report) -> Metric | None:
    path = f"proposals_alerts.{name}"
    before = len(report.problems)
    entry = report.mapping(path, entry, f"write a mapping with {', '.join(_NEEDED)}")
    for key in sorted(set(entry) - _KEYS):
        report.add(f"{path}.{key}", entry[key], f"remove it; known are {', '.join(sorted(_KEYS))}")
    for key in _NEEDED:
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            report.add(f"{path}.{key}", entry.get(key), "write a text")
    op, unit = entry.get("condition"), entry.get("unit")
    if unit not in UNITS:
        report.add(f"{path}.unit", unit, f"write one of {', '.join(UNITS)}")
    if op not in (">", "<") or (op == "<" and unit != RATIO):
        report.add(f"{path}.condition", op, 'write ">", or "<" for a ratio such as an uptime')
    if len(report.problems) > before:
        return None
    slo = report.read(f"{path}.slo", entry["slo"], lambda text: _slo(text, unit)) if entry.get("slo") else None
    plan = report.read(f"{path}.plan", entry["plan"], lambda text: _limit(text, unit, slo))
    least = report.read(f"{path}.least", entry["least"], lambda text: parse_limit(str(text), unit)) if entry.get("least") else None
    waits = report.read(f"{path}.for", entry["for"], parse_duration)
    if len(report.problems) > before:
        return None
    return Metric(
        name,
        entry["alert"],
        " ".join(entry["expr"].split()),
        op,
        unit,
        plan,
        float(waits),
        entry["severity"],
        " ".join(entry["summary"].split()),
        slo,
        least,
        bool(entry.get("hard")),
        bool(entry.get("may_stand_still")),
    )


def _slo(text: Any, unit: str) -> Decimal:
    """``< 200ms`` as the plan's SLOs are written, or the limit alone."""
    return parse_limit(str(text).lstrip("<>= "), unit)


def _limit(text: str, unit: str, slo: Decimal | None) -> Decimal:
    factor = parse_slo_factor(text)
    if factor is None:
        return parse_limit(text, unit)
    if slo is None:
        raise MistakeError("give the slo that it refers to, or write a number with its unit")
    return slo * factor


def expand(metric: Metric, slot: str, window: str) -> str:
    """The expression for a slot (a regular expression's part), with rates over the window (such as 5m)."""
    return Template(metric.expr).safe_substitute(slot=slot, window=window)


def propose(metric: Metric, series: Sequence[Points], policy: Policy) -> dict[str, Any]:
    """What the data says of this metric's threshold, as module proposals_info returns it. ``series``: one a label set, without NaN."""
    calm = [[value for index, value in points.items() if not _within(index, index, policy.incidents)] for points in series]
    values = [value for group in calm for value in group]
    coverage = covered(series, policy.evaluations)
    names = sorted({*(level.quantile for level in policy.levels), WORST})
    enough = [q for q in names if q == WORST or len(values) >= fewest_samples(q)]
    problem = _too_little(metric, values, coverage, policy)
    candidates = {q: _candidate(metric, values, q, policy.margin) for q in enough} if not problem else {}
    if candidates and not all(badness.is_finite() for badness in candidates.values()):
        problem, candidates = "its worst samples are infinite, and no threshold follows from that", {}
    judged = {q: _judged(metric, badness, series, policy) for q, badness in candidates.items()}
    plan = _judged(metric, metric.badness(metric.plan), series, policy)
    lasting = _lasting(metric, series, policy)
    if lasting and not problem:
        problem = f"{lasting}: that is no false alarm, and a laxer threshold would hide it; mend its cause, or the budget that it breaks"
    rules, notes = _rules(metric, judged, plan, series, policy) if not problem else ([], [])
    return {
        "id": metric.id,
        "alert": metric.alert,
        "summary": metric.summary,
        "unit": metric.unit,
        "condition": metric.op,
        "for_seconds": metric.for_seconds,
        "shown": _SHOWN[metric.unit],
        "samples": len(values),
        "series": len(series),
        "coverage_ratio": round(coverage, 4),
        "observed": {} if not values else {_name(q): _said(metric, values, q) for q in (0.5, *names)},
        "plan": {**plan, "hard": metric.hard},
        "candidates": [{"basis": _name(q), **figures} for q, figures in judged.items()],
        "rules": rules,
        "notes": notes,
        "lasting": lasting,
        "problem": problem,
    }


def _too_little(metric: Metric, values: Sequence[float], coverage: float, policy: Policy) -> str:
    if not values:
        return "there is no sample in the period"
    if coverage < policy.min_coverage:
        return f"only {format_value(coverage, RATIO)} of the period has samples; {format_value(policy.min_coverage, RATIO)} are needed"
    needed = min(fewest_samples(level.quantile) for level in policy.levels)
    if len(values) < needed:
        return f"there are only {len(values)} samples; at least {needed} are needed"
    if not metric.may_stand_still and min(values) == max(values):
        return f"the value was {format_value(values[0], metric.unit)} in each of {len(values)} samples: what never changes is no evidence"
    return ""


def _lasting(metric: Metric, series: Sequence[Points], policy: Policy) -> str:
    """For how much of the time the plan's threshold would have fired, outside of incidents and for the worst series; empty for little."""
    worst = 0
    for points in series:
        false = [alarm for alarm in _alarms(metric, metric.plan, points, policy) if not _within(alarm.active, alarm.last, policy.incidents)]
        worst = max(worst, sum(alarm.last - alarm.first + 1 for alarm in false))
    share = worst / policy.evaluations if policy.evaluations else 0.0
    limit = format_limit(metric.plan, metric.unit)
    return f"the plan's {metric.op} {limit} would have fired for {format_value(share, RATIO)} of the time" if share > LASTING else ""


def _candidate(metric: Metric, values: Sequence[float], q: float, margin: Decimal) -> Decimal:
    """The badness at the quantile with the margin, rounded up to two digits."""
    return _rounded_up(_badness_at(metric, values, q) * (1 + margin))


def _badness_at(metric: Metric, values: Sequence[float], q: float) -> Decimal:
    worst_last = values if metric.op == ">" else [-value for value in values]
    found = quantile(worst_last, q)
    return metric.badness(Decimal(repr(found if metric.op == ">" else -found)))


def _rounded_up(badness: Decimal) -> Decimal:
    if not badness.is_finite() or badness <= 0:
        return badness if not badness.is_finite() else Decimal(0)
    return badness.quantize(Decimal(1).scaleb(badness.adjusted() - DIGITS + 1), rounding=ROUND_CEILING)


def _judged(metric: Metric, badness: Decimal, series: Sequence[Points], policy: Policy) -> dict[str, Any]:
    """A threshold with the alarms that it would have made."""
    threshold = metric.threshold(badness)
    found = [_alarms(metric, threshold, points, policy) for points in series]
    false = [alarm for group in found for alarm in group if not _within(alarm.active, alarm.last, policy.incidents)]
    count = sum(len(group) for group in found)
    return {
        "threshold": canonical(threshold),
        "text": format_limit(threshold, metric.unit),
        "alarms": count,
        "false_alarms": len(false),
        "firing_seconds": round(sum(alarm.last - alarm.first + 1 for group in found for alarm in group) * policy.step_seconds, 3),
    }


def _alarms(metric: Metric, threshold: Decimal, points: Points, policy: Policy) -> list[Alarm]:
    return alarms(points, lambda value: metric.is_bad(value, threshold), metric.for_seconds, policy.step_seconds)


def _within(first: int, last: int, spans: Iterable[tuple[int, int]]) -> bool:
    """Whether any of the spans touches this one."""
    return any(first <= end and last >= begin for begin, end in spans)


def _rules(
    metric: Metric, judged: Mapping[float, Mapping[str, Any]], plan: Mapping[str, Any], series: Sequence[Points], policy: Policy
) -> tuple[list[dict[str, Any]], list[str]]:
    rules: list[dict[str, Any]] = []
    notes = []
    plan_holds = metric.hard or plan["false_alarms"] <= policy.false_alarms
    for level in sorted(policy.levels, key=lambda item: item.quantile):
        if level.quantile not in judged:
            notes.append(f"{level.name}: {_name(level.quantile)} takes {fewest_samples(level.quantile)} samples, so nothing is proposed")
            continue
        q, chosen = next(
            ((q, found) for q, found in judged.items() if q >= level.quantile and found["false_alarms"] <= policy.false_alarms),
            (WORST, judged[WORST]),
        )
        badness, basis = metric.badness(Decimal(chosen["threshold"])), f"{_name(q)} and the margin"
        for limit, why in _floors(metric, level):
            if badness < limit:
                badness, basis = limit, why
        if plan_holds and badness > metric.badness(metric.plan):
            badness, basis = metric.badness(metric.plan), "the plan's own threshold" + (", which is hard" if metric.hard else "")
        if badness <= 0:
            notes.append(f"{level.name}: the samples are nought, and no threshold follows from that")
            continue
        rule = {"level": level.name, "severity": level.severity or metric.severity, "basis": basis}
        rule.update(_judged(metric, badness, series, policy))
        if rules and rules[-1]["threshold"] == rule["threshold"]:
            notes.append(f"{rules[-1]['level']}: comes to the same threshold as {level.name}, and is left out")
            rules.pop()
        rules.append(rule)
    return rules, notes


def _floors(metric: Metric, level: Level) -> list[tuple[Decimal, str]]:
    floors = []
    if metric.slo is not None and level.pages:
        floors.append((metric.badness(metric.slo), "the SLO, below which nobody is paged"))
    if metric.least is not None:
        floors.append((metric.badness(metric.least), "the least that is told apart"))
    return floors


def _said(metric: Metric, values: Sequence[float], q: float) -> str:
    value = float(metric.threshold(_badness_at(metric, values, q)))
    return format_value(value, metric.unit) if math.isfinite(value) else "infinite"


def _name(q: float) -> str:
    return "worst" if q == WORST else f"p{canonical(Decimal(str(q)) * 100)}"
