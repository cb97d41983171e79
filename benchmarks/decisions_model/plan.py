# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan that ships, as its gates are judged, and variations of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.levibot.transition.plugins.module_utils.gates.power import allowed_ratio, window_for
from ansible_collections.levibot.transition.plugins.module_utils.plan.validate import validate

DEFAULTS = Path(__file__).resolve().parents[2] / "roles/levibot/defaults/main"
# What the validation of a whole site asks for and the gates do not use.
SITE = {"levibot_version": "v0.0.0", "levibot_compose_file": "compose.yml", "levibot_admin_token": "of-no-use-here"}
OF_ITS_OWN = ("levibot_plan", "levibot_checks", "levibot_plan_overrides", "levibot_checks_overrides")
# Alerts and the paper profit are no matter of chance: they are quiet on every stream, for every rule, and left out.
COUNTED = ("proportion", "quantile", "baseline")
MINUTE = 60


@dataclass(frozen=True)
class Step:
    """A step of the plan: the candidate's share of the traffic, when it begins if no step before it is held, and its gate."""

    name: str
    weight: float
    starts_at: float
    gate: Mapping[str, Any]

    @property
    def window(self) -> int:
        return int(self.gate["window_seconds"])

    @property
    def seconds(self) -> int:
        """The window and the hold: the longest that the gate may look."""
        return int(self.window + self.gate["hold_seconds"])

    @property
    def limits(self) -> dict[str, float]:
        """By check's id."""
        return {check["id"]: float(check["condition"]["limit"]) for check in self.gate["checks"]}


@cache
def shipped(plan_overrides: str = "", checks_overrides: str = "") -> tuple[Step, ...]:
    """The default plan's steps. Overrides are YAML, as a site writes them."""
    variables: dict[str, Any] = {}
    for path in sorted(DEFAULTS.glob("*.yml")):
        variables.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    variables["levibot_plan"] = _resolved(variables["levibot_plan"], variables)
    site = {name: value for name, value in variables.items() if name not in OF_ITS_OWN and "{{" not in str(value)} | SITE
    overrides = [yaml.safe_load(text) if text else None for text in (plan_overrides, checks_overrides)]
    plan, problems = validate(variables["levibot_plan"], variables["levibot_checks"], site, *overrides)
    if problems:
        raise ValueError("; ".join(str(problem) for problem in problems))
    return _schedule([Step(step["name"], step["weight"] / 100, 0, _counted(step["gate"])) for step in plan["phase2"]["steps"]])


def _resolved(value: Any, variables: Mapping[str, Any]) -> Any:
    """With the variables in place of the templates that are nothing but one of them."""
    if isinstance(value, dict):
        return {key: _resolved(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, variables) for item in value]
    return variables[value[3:-3]] if isinstance(value, str) and value.startswith("{{ ") else value


def lengthened(steps: tuple[Step, ...], per_second: float, probes_per_second: float) -> tuple[Step, ...]:
    """The same steps with windows as the plan's linter advises for this traffic, in whole minutes and never shorter than the plan's.

    Each check then has its events, and a candidate at half of its limit passes it within window and hold with probability 0.99.
    """
    longer = []
    for step in steps:
        needed = max(_needed(check, step, per_second, probes_per_second) for check in step.gate["checks"]) - step.gate["hold_seconds"]
        window = max(step.window, MINUTE * math.ceil(needed / MINUTE))
        longer.append(replace(step, gate={**step.gate, "window_seconds": window}))
    return _schedule(longer)


def _needed(check: Mapping[str, Any], step: Step, per_second: float, probes_per_second: float) -> float:
    if check["kind"] == "baseline":
        return check["min_events"] / (per_second * min(step.weight, 1 - step.weight))
    rate = probes_per_second if "samples" in check else per_second * step.weight
    return window_for(rate, allowed_ratio(check), check["min_events"]) or math.inf


def held(steps: tuple[Step, ...], seconds: float) -> tuple[Step, ...]:
    """The same steps with another hold."""
    return _schedule([replace(step, gate={**step.gate, "hold_seconds": seconds}) for step in steps])


def _counted(gate: Mapping[str, Any]) -> dict[str, Any]:
    return {**gate, "checks": [check for check in gate["checks"] if check["kind"] in COUNTED]}


def _schedule(steps: list[Step]) -> tuple[Step, ...]:
    at, scheduled = 0, []
    for step in steps:
        scheduled.append(replace(step, starts_at=at))
        at += step.window
    return tuple(scheduled)
