# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The latency of inference, model by model, against its budget. Pure.

A histogram tells how many answers took at most each of its bounds; quantiles are interpolated in a bucket, as Prometheus does it, and the
share that is slower than a budget is exact where the budget is a bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import RATIO, SECONDS, format_value
from ansible_collections.levibot.transition.plugins.module_utils.sources.prometheus import (
    Bounds,
    Counted,
    Labels,
    cumulative,
    events_within,
    quantile_of,
)

QUANTILES = (0.5, 0.95, 0.99)
JUDGED = 0.95
# Below it a p95 rests on a handful of slow answers.
FEWEST_EVENTS = 200
ALL = "all models"


def by_model(counted: Counted, label: str) -> dict[str, Counted]:
    """The counters of each model; those without the label together, as all models where none has it."""
    groups: dict[str, dict[Labels, float]] = {}
    for key, value in counted.by_series.items():
        groups.setdefault(dict(key).get(label) or "", {})[key] = value
    unnamed = ALL if set(groups) <= {""} else "without a name"
    return {name or unnamed: Counted(series) for name, series in sorted(groups.items())}


def judge(counted: Counted, selector: str, budget_seconds: float) -> dict[str, Any]:
    """One model against its budget, as plain JSON. Raises UnusableError for what is no histogram."""
    bounds = cumulative(counted, selector)
    events = round(bounds[-1][1]) if bounds else 0
    about: dict[str, Any] = {"events": events, "budget_seconds": budget_seconds, "budget": format_value(budget_seconds, SECONDS)}
    if events < FEWEST_EVENTS:
        found = f"{events} inferences in the period; at least {FEWEST_EVENTS} are needed"
        return {**about, "verdict": "unknown", "found": found, "slower_ratio": None, "slower": "", "quantiles": {}, "note": ""}
    kept, note = events_within(bounds, budget_seconds)
    quantiles = {f"p{q * 100:g}": quantile_of(bounds, q) for q in QUANTILES}
    p95, beyond = quantiles[f"p{JUDGED * 100:g}"]
    slower = max(0.0, 1 - kept / bounds[-1][1])
    exceeds = slower > 1 - JUDGED
    found = f"p95 {_shown(p95, beyond)}; {format_value(slower, RATIO)} of {events} inferences took longer than the budget"
    return {
        **about,
        "verdict": "exceeds" if exceeds else "keeps",
        "found": found,
        "slower_ratio": round(slower, 6),
        "slower": format_value(slower, RATIO),
        "quantiles": {name: _shown(*value) for name, value in quantiles.items()},
        "note": "; ".join(filter(None, [note, _advice(bounds, budget_seconds, p95, beyond) if exceeds else ""])),
    }


def judge_all(counted: Counted, selector: str, label: str, budgets: Mapping[str, float]) -> list[dict[str, Any]]:
    """Each model, those that exceed their budget most first. ``budgets``: seconds by model, and ``default`` for all others."""
    groups = by_model(counted, label).items()
    judged = [{"model": name, **judge(theirs, selector, budgets.get(name, budgets["default"]))} for name, theirs in groups]
    return sorted(judged, key=lambda one: (-(one["slower_ratio"] or 0.0), one["model"]))


def _shown(value: float, beyond: bool) -> str:
    return f"{'more than ' if beyond else ''}{format_value(value, SECONDS)}"


def _advice(bounds: Bounds, budget: float, p95: float, beyond: bool) -> str:
    """How much faster it would have to be."""
    if beyond:
        last = max((bound for bound, _count in bounds if math.isfinite(bound)), default=0.0)
        return f"the histogram ends at {format_value(last, SECONDS)}, so how much is missing cannot be told"
    return f"the p95 is {format_value(p95 / budget - 1, RATIO)} over the budget"
