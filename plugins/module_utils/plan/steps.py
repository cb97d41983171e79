# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all phases with gates share: a step's policy, and its gate lines read against the check library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds import KINDS
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds._looks import looks as count_looks
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import ENFORCE
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import one_of, plain, text
from ansible_collections.levibot.transition.plugins.module_utils.plan.grammar import (
    AllSlos,
    Condition,
    SameAs,
    WhereSet,
    parse_gate_line,
    parse_slo_factor,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.merge import Layered
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report, did_you_mean
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import (
    MistakeError,
    canonical,
    format_limit,
    parse_duration,
    parse_limit,
)

ON_FAIL = ("rollback", "hold", "warn")


def duration_of(allow_zero: bool) -> Callable[[Any], float | int]:
    def parse(value: Any) -> float | int:
        seconds = parse_duration(value)
        if not seconds and not allow_zero:
            raise MistakeError("write a duration greater than zero")
        return plain(seconds)

    return parse


# What a step may set for itself, and what the plan's defaults must cover.
POLICY: dict[str, Callable[[Any], Any]] = {
    "interval": duration_of(allow_zero=False),
    "settle": duration_of(allow_zero=True),
    "hold": duration_of(allow_zero=True),
    "blind_after": duration_of(allow_zero=False),
    "on_fail": one_of(*ON_FAIL),
}
_BUILT_IN = {"interval": "15s", "settle": "15s", "hold": "30m", "blind_after": "5m", "on_fail": "rollback"}
_SECONDS = ("interval", "settle", "hold", "blind_after")


class Steps:
    """One reading of the plan's gates. ``library`` holds the sound checks, ``written`` all that were written, sound or not."""

    def __init__(
        self, plan: Layered, library: Mapping[str, Any], written: Mapping[str, Any], site: Mapping[str, Any], report: Report
    ) -> None:
        self.plan, self.library, self.written, self.site, self.report = plan, library, written, site, report
        self.slos: dict[str, tuple[str, Decimal]] = {}
        self.slo_names: set[str] = set()
        self.defaults: dict[str, Any] = {}

    def read_defaults(self) -> None:
        plan, report = self.plan, self.report
        value = plan.value if isinstance(plan.value, Mapping) else {}
        self.defaults = {**_BUILT_IN, **report.mapping(plan.path("defaults"), value.get("defaults", {}))}
        report.unknown(lambda key: plan.path("defaults", key), self.defaults, POLICY)
        for key, parse in POLICY.items():
            report.read(plan.path("defaults", key), self.defaults[key], parse)

    def read_slos(self, slos: Mapping[str, Any]) -> None:
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

    def read_phase(self, phase: str, known: Iterable[str], example: str) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """The phase's keys with its ``name`` read, and its steps by their id, none of them read yet."""
        plan, report = self.plan, self.report
        value = plan.value.get(phase) if isinstance(plan.value, Mapping) else None
        keys = report.mapping(plan.path(phase), value, "write the phase: name and steps")
        report.unknown(lambda key: plan.path(phase, key), keys, known)
        name = report.read(plan.path(phase, "name"), keys.get("name", phase), text)
        if not isinstance(value, Mapping):
            return {"name": name}, {}
        steps = report.mapping(plan.path(phase, "steps"), keys.get("steps"), f"write the steps, such as {example}")
        if not steps and isinstance(keys.get("steps"), Mapping):
            report.add(plan.path(phase, "steps"), keys["steps"], "write at least one step: without one there is nothing to do")
        return {**keys, "name": name}, steps

    def read_step(
        self,
        phase: str,
        step: str,
        keys: Any,
        own: tuple[str, ...],
        gates: dict[str, dict[str, Any]],
        *,
        refused: Mapping[str, str] | None = None,
        always: Mapping[str, dict[str, str]] | None = None,
        without: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """``id``, ``name``, ``window_seconds`` and ``gate`` of a step whose other keys are the phase's ``own``.

        gates: the conditions of the steps so far, to which this step's are added. refused: sources that no check of this phase may ask,
        with the fix. always: conditions of every step, which its own lines may not name. without: policies that are not the step's to
        set, with what they are instead.
        """
        report, without = self.report, without or {}

        def path(*parts: str) -> str:
            return self.plan.path(phase, "steps", step, *parts)

        settable = [key for key in POLICY if key not in without]
        written = report.mapping(path(), keys, f"write the step: name, {', '.join(own)}, window, gate")
        report.unknown(path, (key for key in written if key not in without), ("name", *own, "window", "gate", *settable))
        for key in without:
            if written.get(key) is not None and written[key] != without[key]:
                report.add(path(key), written[key], f"remove it: in {phase} it is always {without[key]}")
        name = report.read(path("name"), written.get("name", step), text)
        window = report.read(path("window"), written.get("window"), POLICY["interval"])
        policy = {key: self._policy(path(key), written, key) for key in settable}
        policy.update({key: POLICY[key](value) for key, value in without.items()})
        if window is not None and policy["interval"] is not None and policy["interval"] > window:
            where = path("interval") if "interval" in written else path("window")
            report.add(
                where, written.get("interval", written["window"]), "write a window that is at least as long as the interval between looks"
            )
        gates[step] = self.read_lines(path("gate"), written.get("gate"), gates, refused or {}, always or {})
        conditions = {**(always or {}), **gates[step]}
        gate = {
            "id": f"{phase}.{step}",
            "window_seconds": window,
            **{f"{key}_seconds": policy[key] for key in _SECONDS},
            "on_fail": policy["on_fail"],
            "checks": [self._finish(self.library[check], condition, window, policy["interval"]) for check, condition in conditions.items()],
        }
        return {"id": gate["id"], "name": name, "window_seconds": window, "gate": gate}

    def _policy(self, path: str, keys: Mapping[str, Any], key: str) -> Any:
        """A step's own value, or the plan's default, whose mistakes are reported where it is written."""
        if key in keys:
            return self.report.read(path, keys[key], POLICY[key])
        try:
            return POLICY[key](self.defaults[key])
        except MistakeError:
            return None

    def _finish(
        self, check: Mapping[str, Any], condition: Mapping[str, str], window: float | None, interval: float | None
    ) -> dict[str, Any]:
        finished = {**check, "condition": condition}
        if check.get("fail_after") and window and interval:
            finished["fail_after"] = count_looks(check["fail_after"], window, interval)
        return finished

    def read_lines(
        self,
        path: str,
        lines: Any,
        gates: Mapping[str, Mapping[str, Any]],
        refused: Mapping[str, str],
        always: Mapping[str, Any],
    ) -> dict[str, dict[str, str]]:
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
            if parsed.check in always:
                self.report.add(where, line, f"remove it: {parsed.check} is a guardrail, which holds in every step")
            source = self.library.get(parsed.check, {}).get("source")
            if source in refused:
                self.report.add(where, line, refused[source])
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
