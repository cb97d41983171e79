# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phase 2 of the plan: steps by weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import integer
from ansible_collections.levibot.transition.plugins.module_utils.plan.merge import Layered
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report
from ansible_collections.levibot.transition.plugins.module_utils.plan.steps import Steps

PHASE = "phase2"
ALL = 100
# What a check may not ask here, with the fix.
_REFUSED = {"trading": "remove it: the books of live engines are looked at in phase 3, when there are some"}


def read_phase2(reader: Steps) -> dict[str, Any]:
    """Name and steps, in order of weight."""
    plan, report = reader.plan, reader.report
    phase, steps = reader.read_phase(PHASE, ("name", "steps"), "step1: {weight: 10, window: 30m, gate: [...]}")
    weights = {step: _weight(plan, report, step, keys) for step, keys in steps.items()}
    _check_weights(plan, report, weights)
    # A step that a site adds in its overrides comes last in the mapping, wherever it belongs: its weight says where.
    ordered = sorted(steps, key=lambda step: weights[step] if weights[step] is not None else 0)
    gates: dict[str, dict[str, Any]] = {}
    read = [
        {**reader.read_step(PHASE, step, steps[step], ("weight",), gates, refused=_REFUSED), "weight": weights[step]} for step in ordered
    ]
    return {"name": phase["name"], "steps": read}


def _weight(plan: Layered, report: Report, step: str, keys: Any) -> int | None:
    value = keys.get("weight") if isinstance(keys, Mapping) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    bare = value.strip().removesuffix("%").strip() if isinstance(value, str) else value
    path = plan.path(PHASE, "steps", step, "weight")
    return report.read(path, value, lambda _value: integer(bare, 1, ALL, "write a whole number from 1 to 100"))


def _check_weights(plan: Layered, report: Report, weights: Mapping[str, int | None]) -> None:
    before: tuple[str, int] | None = None
    seen: dict[int, str] = {}
    for step, weight in weights.items():
        if weight is None:
            continue
        path = plan.path(PHASE, "steps", step, "weight")
        if weight in seen:
            report.add(path, weight, f"write a weight of its own: {seen[weight]} has it")
        elif before and weight < before[1] and plan.in_base(PHASE, "steps", step):
            report.add(path, weight, f"write more than the {before[1]} of {before[0]}: weights grow from step to step")
        seen[weight] = step
        if plan.in_base(PHASE, "steps", step):
            before = (step, weight)
    if seen and None not in weights.values() and max(seen) != ALL:
        last = seen[max(seen)]
        report.add(plan.path(PHASE, "steps", last, "weight"), max(seen), "write 100: the last step carries all the traffic")
