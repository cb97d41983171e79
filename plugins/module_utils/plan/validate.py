# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan, checked as a whole and turned into what gates and playbooks work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds import KINDS
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds._looks import looks as count_looks
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import ENFORCE
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import integer, one_of, plain, text
from ansible_collections.levibot.transition.plugins.module_utils.plan.grammar import (
    AllSlos,
    Condition,
    SameAs,
    WhereSet,
    parse_gate_line,
    parse_slo_factor,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.library import read_library
from ansible_collections.levibot.transition.plugins.module_utils.plan.merge import Layered
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Problem, Report, did_you_mean, text_keys
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import (
    MistakeError,
    canonical,
    format_limit,
    parse_duration,
    parse_limit,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.site import read_site

ON_FAIL = ("rollback", "hold", "warn")
PHASES = ("phase2",)
ALL = 100


def _duration(allow_zero: bool) -> Callable[[Any], float | int]:
    def parse(value: Any) -> float | int:
        seconds = parse_duration(value)
        if not seconds and not allow_zero:
            raise MistakeError("write a duration greater than zero")
        return plain(seconds)

    return parse


# What a step may set for itself, and what the plan's defaults must cover.
_POLICY: dict[str, Callable[[Any], Any]] = {
    "interval": _duration(allow_zero=False),
    "settle": _duration(allow_zero=True),
    "hold": _duration(allow_zero=True),
    "blind_after": _duration(allow_zero=False),
    "on_fail": one_of(*ON_FAIL),
}
_BUILT_IN = {"interval": "15s", "settle": "15s", "hold": "30m", "blind_after": "5m", "on_fail": "rollback"}
_SECONDS = ("interval", "settle", "hold", "blind_after")


def validate(
    plan: Any, checks: Any, site: Mapping[str, Any], plan_overrides: Any = None, checks_overrides: Any = None
) -> tuple[dict[str, Any], list[Problem]]:
    """The normalised plan, and every mistake in plan, checks and site variables. With a mistake, the plan is empty."""
    report = Report()
    site = {name: text_keys(name, value, report) for name, value in site.items()}
    plan, plan_overrides = text_keys("levibot_plan", plan, report), text_keys("levibot_plan_overrides", plan_overrides, report)
    checks, checks_overrides = text_keys("levibot_checks", checks, report), text_keys("levibot_checks_overrides", checks_overrides, report)
    read_site(site, report)
    for name, overrides in (("levibot_plan_overrides", plan_overrides), ("levibot_checks_overrides", checks_overrides)):
        report.mapping(name, overrides or {})
    layered_checks = Layered("levibot_checks", checks, _mapping(checks_overrides))
    layered_plan = Layered("levibot_plan", plan, _mapping(plan_overrides))
    library = read_library(layered_checks, report)
    normalised = _Plan(layered_plan, library, _mapping(layered_checks.value), site, report).read()
    return ({} if report.problems else normalised), report.problems


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


class _Plan:
    """One reading of the plan. ``library`` holds the sound checks, ``written`` all that were written, sound or not."""

    def __init__(
        self, plan: Layered, library: Mapping[str, Any], written: Mapping[str, Any], site: Mapping[str, Any], report: Report
    ) -> None:
        self.plan, self.library, self.written, self.site, self.report = plan, library, written, site, report
        self.slos: dict[str, tuple[str, Decimal]] = {}
        self.slo_names: set[str] = set()
        self.defaults: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        plan, report = self.plan, self.report
        value = report.mapping(plan.path(), plan.value, "write the plan: defaults, slos, phase2")
        report.unknown(plan.path, value, ("defaults", "slos", *PHASES))
        self.defaults = {**_BUILT_IN, **report.mapping(plan.path("defaults"), value.get("defaults", {}))}
        report.unknown(lambda key: plan.path("defaults", key), self.defaults, _POLICY)
        for key, parse in _POLICY.items():
            report.read(plan.path("defaults", key), self.defaults[key], parse)
        self._read_slos(report.mapping(plan.path("slos"), value.get("slos", {})))
        return {phase: self._read_phase(phase, value.get(phase)) for phase in PHASES}

    def _read_slos(self, slos: Mapping[str, Any]) -> None:
        self.slo_names = set(slos)
        for name, line in slos.items():
            # An SLO is usually a variable of the site's: say that name, since that is where it is changed.
            path = f"levibot_slo_{name}" if self.site.get(f"levibot_slo_{name}") == line else self.plan.path("slos", name)
            if name not in self.written:
                self.report.add(path, f"an SLO of the unknown check {name}", did_you_mean(name, self.written))
                continue
            condition = self.report.read(
                path, line, lambda line, name=name: parse_gate_line(f"{name} {line}" if isinstance(line, str) else line)
            )
            if condition is None or name not in self.library:
                continue
            if not isinstance(condition, Condition) or condition.limit.upper().startswith("SLO"):
                self.report.add(path, line, "write an operator and a limit, such as < 0.1%")
                continue
            limit = self._limit(path, line, condition)
            if limit is not None:
                self.slos[name] = (condition.op, limit)

    def _limit(self, path: str, line: Any, condition: Condition) -> Decimal | None:
        """The canonical limit of a condition on a known check, or None with the mistake reported."""
        check = self.library[condition.check]
        kind = KINDS[check["kind"]]
        ops = kind.ops(check)
        if condition.op not in ops:
            self.report.add(path, line, f"{condition.check} takes {' or '.join(ops)}")
            return None
        unit = kind.unit(check)
        try:
            factor = parse_slo_factor(condition.limit)
            if factor is None:
                limit = parse_limit(condition.limit, unit)
            elif condition.check in self.slos:
                limit = self.slos[condition.check][1] * factor
            else:
                if condition.check not in self.slo_names:
                    self.report.add(
                        path, line, f"write an SLO for {condition.check} under {self.plan.path('slos')}, or a number as the limit"
                    )
                return None
        except MistakeError as exc:
            self.report.add(path, line, str(exc))
            return None
        mistake = kind.limit_mistake(check, condition.op, limit)
        if mistake:
            self.report.add(path, line, mistake)
            return None
        return limit

    def _read_phase(self, phase: str, value: Any) -> dict[str, Any]:
        plan, report = self.plan, self.report
        value = report.mapping(plan.path(phase), value, "write the phase: name and steps")
        report.unknown(lambda key: plan.path(phase, key), value, ("name", "steps"))
        name = report.read(plan.path(phase, "name"), value.get("name", phase), text)
        steps = report.mapping(
            plan.path(phase, "steps"), value.get("steps"), "write the steps, such as step1: {weight: 10, window: 30m, gate: [...]}"
        )
        if not steps and isinstance(value.get("steps"), Mapping):
            report.add(plan.path(phase, "steps"), value["steps"], "write at least one step: without one there is nothing to roll out")
        weights = {step: self._weight(phase, step, keys) for step, keys in steps.items()}
        self._check_weights(phase, weights)
        # A step that a site adds in its overrides comes last in the mapping, wherever it belongs: its weight says where.
        ordered = sorted(steps, key=lambda step: weights[step] if weights[step] is not None else 0)
        gates: dict[str, dict[str, Any]] = {}
        read = [self._read_step(phase, step, steps[step], weights[step], gates) for step in ordered]
        return {"name": name, "steps": read}

    def _weight(self, phase: str, step: str, keys: Any) -> int | None:
        path = self.plan.path(phase, "steps", step, "weight")
        value = keys.get("weight") if isinstance(keys, Mapping) else None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        bare = value.strip().removesuffix("%").strip() if isinstance(value, str) else value
        return self.report.read(path, value, lambda _value: integer(bare, 1, ALL, "write a whole number from 1 to 100"))

    def _check_weights(self, phase: str, weights: Mapping[str, int | None]) -> None:
        before: tuple[str, int] | None = None
        seen: dict[int, str] = {}
        for step, weight in weights.items():
            if weight is None:
                continue
            path = self.plan.path(phase, "steps", step, "weight")
            if weight in seen:
                self.report.add(path, weight, f"write a weight of its own: {seen[weight]} has it")
            elif before and weight < before[1] and self.plan.in_base(phase, "steps", step):
                self.report.add(path, weight, f"write more than the {before[1]} of {before[0]}: weights grow from step to step")
            seen[weight] = step
            if self.plan.in_base(phase, "steps", step):
                before = (step, weight)
        if seen and None not in weights.values() and max(seen) != ALL:
            last = seen[max(seen)]
            self.report.add(self.plan.path(phase, "steps", last, "weight"), max(seen), "write 100: the last step carries all the traffic")

    def _read_step(self, phase: str, step: str, keys: Any, weight: int | None, gates: dict[str, dict[str, Any]]) -> dict[str, Any]:
        report = self.report

        def path(*parts: str) -> str:
            return self.plan.path(phase, "steps", step, *parts)

        keys = report.mapping(path(), keys, "write the step: name, weight, window, gate")
        report.unknown(path, keys, ("name", "weight", "window", "gate", *_POLICY))
        name = report.read(path("name"), keys.get("name", step), text)
        window = report.read(path("window"), keys.get("window"), _duration(allow_zero=False))
        policy = {key: self._policy(path(key), keys, key) for key in _POLICY}
        if window is not None and policy["interval"] is not None and policy["interval"] > window:
            where = path("interval") if "interval" in keys else path("window")
            report.add(where, keys.get("interval", keys["window"]), "write a window that is at least as long as the interval between looks")
        conditions = self._read_gate(path("gate"), keys.get("gate"), gates)
        gates[step] = conditions
        gate = {
            "id": f"{phase}.{step}",
            "window_seconds": window,
            **{f"{key}_seconds": policy[key] for key in _SECONDS},
            "on_fail": policy["on_fail"],
            "checks": [self._finish(self.library[check], condition, window, policy["interval"]) for check, condition in conditions.items()],
        }
        return {"id": gate["id"], "name": name, "weight": weight, "window_seconds": window, "gate": gate}

    def _policy(self, path: str, keys: Mapping[str, Any], key: str) -> Any:
        """A step's own value, or the plan's default, whose mistakes are reported where it is written."""
        if key in keys:
            return self.report.read(path, keys[key], _POLICY[key])
        try:
            return _POLICY[key](self.defaults[key])
        except MistakeError:
            return None

    def _finish(
        self, check: Mapping[str, Any], condition: Mapping[str, str], window: float | None, interval: float | None
    ) -> dict[str, Any]:
        finished = {**check, "condition": condition}
        if check.get("fail_after") and window and interval:
            finished["fail_after"] = count_looks(check["fail_after"], window, interval)
        return finished

    def _read_gate(self, path: str, lines: Any, gates: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
        """The conditions by check, in the order of the lines. A line of the step's own wins over what `same as` and `all SLOs` bring."""
        if not isinstance(lines, list) or not lines:
            self.report.add(path, lines, "write a list of at least one line, such as error_rate < 0.1%")
            return {}
        found = len(self.report.problems)
        conditions: dict[str, dict[str, str]] = {}
        own: set[str] = set()
        for number, line in enumerate(lines):
            where = f"{path}[{number}]"
            parsed = self.report.read(where, line, parse_gate_line)
            if parsed is None:
                continue
            brought = self._expand(where, line, parsed, gates)
            if isinstance(parsed, (SameAs, AllSlos)):
                conditions.update({check: condition for check, condition in brought.items() if check not in own})
                continue
            if parsed.check in own:
                self.report.add(where, line, f"write one line for {parsed.check}: there are two")
            conditions.update(brought)
            own.add(parsed.check)
        deciding = [check for check in conditions if self.library[check]["mode"] == ENFORCE]
        if not deciding and len(self.report.problems) == found:
            self.report.add(path, lines, "write at least one check that decides: these only observe, or are not set")
        return conditions

    def _expand(self, where: str, line: str, parsed: Any, gates: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
        if isinstance(parsed, SameAs):
            if parsed.step not in gates:
                fix = did_you_mean(parsed.step, gates) if gates else "write the checks: there is no earlier step"
                self.report.add(where, line, f"{parsed.step} is no earlier step; {fix}")
            return dict(gates.get(parsed.step, {}))
        if isinstance(parsed, AllSlos):
            if not self.slo_names:
                self.report.add(where, line, f"write at least one SLO under {self.plan.path('slos')}")
            return {name: self._condition(name, op, limit) for name, (op, limit) in self.slos.items()}
        if parsed.check not in self.written:
            self.report.add(where, line, f"{parsed.check} is no check of levibot_checks; {did_you_mean(parsed.check, self.written)}")
            return {}
        check = self.library.get(parsed.check)
        if check is None:  # its own mistakes are reported where they are
            return {}
        if isinstance(parsed, WhereSet):
            return self._where_set(where, line, check)
        limit = self._limit(where, line, parsed)
        return {} if limit is None else {parsed.check: self._condition(parsed.check, parsed.op, limit, parsed.limit)}

    def _where_set(self, where: str, line: str, check: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        if check["kind"] != "command":
            self.report.add(where, line, f"write a condition: {check['id']} is no command")
            return {}
        if not check["argv"]:
            return {}
        return {check["id"]: {"op": "==", "limit": "0", "unit": "count", "text": f"{check['id']} clean"}}

    def _condition(self, check: str, op: str, limit: Decimal, words: str = "") -> dict[str, str]:
        unit = KINDS[self.library[check]["kind"]].unit(self.library[check])
        relative = f" ({words})" if words.upper().startswith("SLO") else ""
        return {"op": op, "limit": canonical(limit), "unit": unit, "text": f"{check} {op} {format_limit(limit, unit)}{relative}"}
