# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge a past window again. Documented in plugins/modules/replay.py, since ansible-doc looks for actions there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.levibot.transition.plugins.module_utils.gates import replay
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import ENFORCE
from ansible_collections.levibot.transition.plugins.module_utils.gates.record import find_gate, read_record
from ansible_collections.levibot.transition.plugins.module_utils.ledger.story import parse
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import duration, one_of, text
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Problem, Report
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError, format_duration
from ansible_collections.levibot.transition.plugins.module_utils.plan.site import COLOURS
from ansible_collections.levibot.transition.plugins.module_utils.samples import ERROR, Sample, from_dict
from ansible_collections.levibot.transition.plugins.module_utils.sources import Sources
from ansible_collections.levibot.transition.plugins.module_utils.sources.options import SOURCES
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import Window

display = Display()

PROMETHEUS = "prometheus"
LEDGER = "ledger"
LATEST = "latest"
SHOWN_PROBLEMS = 20

# raw, since a wrong type is one mistake among others, to be reported with all of them.
ARGUMENTS: dict[str, Any] = {
    "plan": {"type": "dict", "required": True},
    **{name: {"type": "raw"} for name in ("gate", "from", "slot", "every", "export")},
    "source": {"type": "raw", "default": PROMETHEUS},
    "time_limit": {"type": "raw", "default": "10m"},
    "rollout": {"type": "raw", "default": LATEST},
    "ledger": {"type": "path"},
    "sources": {**SOURCES, "required": False},
    "observe_from": {"type": "str", "choices": ["controller", "target"], "default": "controller"},
}

Ask = Callable[[float], dict[str, Sample]]


@dataclass(frozen=True)
class Replayed:
    """What was judged again, and what is said about it."""

    outcome: replay.Outcome
    about: str
    started_at: float | None
    then: Mapping[str, Any]
    left_out: Mapping[str, str]


class ActionModule(ActionBase):
    """Reads what was measured then, judges it by the plan of now, shows it, and changes nothing."""

    _supports_async = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(ARGUMENTS)
        args = json.loads(json.dumps(args, default=str))
        gate = _read(args)
        replayed = self._from_ledger(gate, args, task_vars) if args["source"] == LEDGER else self._from_prometheus(gate, args, task_vars)
        lines = replay.tell(replayed.outcome, replayed.about, replayed.then, replayed.left_out)
        for line in lines:
            display.display(line)
        return {**result, "changed": False, **_told(replayed, lines)}

    def _from_ledger(self, gate: Mapping[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any] | None) -> Replayed:
        entries, where = _exported(args["export"]) if args["export"] else self._ledger(args, task_vars)
        report = Report()
        rollout = "" if args["rollout"] == LATEST else args["rollout"]
        record = read_record(entries, gate["id"], report, rollout)
        if report.problems:
            raise _mistakes(report.problems)
        began = "" if record.started_at is None else f"from {_clock(record.started_at)}"
        about = ", ".join(filter(None, (f"judged again from {where}", record.rollout, began, f"{len(record.looks)} looks")))
        return Replayed(replay.judge_record(gate, record), about, record.started_at, record.verdict, {})

    def _ledger(self, args: Mapping[str, Any], task_vars: dict[str, Any] | None) -> tuple[list[dict[str, Any]], str]:
        asked = {"path": args["ledger"], "state": "exported"} | ({} if args["rollout"] == LATEST else {"rollout": args["rollout"]})
        answer = self._execute_module("levibot.transition.ledger", asked, task_vars=task_vars)
        if answer.get("failed") or "entries" not in answer:
            raise AnsibleActionFail(f"The ledger {args['ledger']} cannot be read: {answer.get('msg', 'no answer')}")
        if not answer["chain"]["intact"]:
            raise AnsibleActionFail(
                f"The ledger {args['ledger']} is not as it was written: {answer['chain']['reason']}. It proves nothing."
            )
        return answer["entries"], f"the ledger {args['ledger']}"

    def _from_prometheus(self, gate: Mapping[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any] | None) -> Replayed:
        started_at, every = _instant(args["from"]), duration(args["every"]) if args["every"] else None
        left_out = {check["id"]: _why_left_out(check) for check in gate["checks"] if check["source"] != PROMETHEUS}
        kept = {**gate, "checks": [check for check in gate["checks"] if check["id"] not in left_out]}
        paced, notes = replay.at_pace(kept, every)
        times = list(replay.schedule(paced, ended_at=time.time() - started_at))
        ask = self._asker(paced["checks"], args, started_at, task_vars)
        outcome = replay.judge_looks(paced, _bounded(ask, times, float(duration(args["time_limit"]))))
        about = f"judged again from Prometheus, {args['slot']} from {_clock(started_at)}, {outcome.verdict.looks} looks"
        return Replayed(replace(outcome, notes=notes), about, started_at, {}, left_out)

    def _asker(self, checks: list[dict[str, Any]], args: Mapping[str, Any], started_at: float, task_vars: dict[str, Any] | None) -> Ask:
        """Asks as the gate would have, so many seconds after the window began."""
        slot, stable = args["slot"], _other(args["slot"])

        def from_target(at: float) -> dict[str, Sample]:
            asked = {"checks": checks, "sources": args["sources"], "subject": {"slot": slot, "stable": stable}}
            asked |= {"started_at": started_at, "at": started_at + at}
            answer = self._execute_module("levibot.transition.measure", asked, task_vars=task_vars)
            if answer.get("failed") or "samples" not in answer:
                raise AnsibleActionFail(f"The target could not ask Prometheus: {answer.get('msg', 'no answer')}")
            found = {check_id: from_dict(sample) for check_id, sample in answer["samples"].items()}
            _reach(found, lambda: answer.get("prometheus_now"))
            return found

        if args["observe_from"] == "target":
            return from_target
        sources = Sources(args["sources"])

        def from_here(at: float) -> dict[str, Sample]:
            found, _state = sources.ask(checks, Window(started_at, started_at + at, slot, stable))
            _reach(found, sources.now)
            return found

        return from_here


def _reach(found: Mapping[str, Sample], now: Callable[[], float | None]) -> None:
    """A store that cannot be asked now says nothing about then."""
    errors = [sample.detail for sample in found.values() if sample.status == ERROR]
    if errors and now() is None:
        raise AnsibleActionFail(f"Prometheus cannot be asked now: {errors[0]}")


def _bounded(ask: Ask, times: list[float], limit_seconds: float) -> Iterator[tuple[float, dict[str, Sample]]]:
    """One look after the other, for as long as anybody would wait."""
    until = time.monotonic() + limit_seconds
    for number, at in enumerate(times):
        if time.monotonic() > until:
            raise AnsibleActionFail(
                f"{number} of {len(times)} looks in {format_duration(limit_seconds)}, and not decided: look less often with replay_every, "
                "or wait longer with replay_time_limit."
            )
        yield at, ask(at)


def _read(args: Mapping[str, Any]) -> Mapping[str, Any]:
    """The gate; or every mistake in the options, by the role's names for them."""
    report = Report()
    gate = find_gate(args["gate"] or "", args["plan"], report, "replay_gate")
    source = report.read("replay_source", args["source"], one_of(PROMETHEUS, LEDGER))
    if source == PROMETHEUS:
        _read_past(args, report)
        if gate and not any(check["source"] == PROMETHEUS and check["mode"] == ENFORCE for check in gate["checks"]):
            report.add(
                "replay_gate", gate["id"], "name a gate with a check that decides and asks Prometheus: the others cannot be asked again"
            )
    if source == LEDGER:
        _read_source_of_record(args, report)
    if report.problems or gate is None:
        raise _mistakes(report.problems)
    return gate


def _read_past(args: Mapping[str, Any], report: Report) -> None:
    report.read("replay_from", args["from"], _past)
    report.read("replay_slot", args["slot"], one_of(*COLOURS))
    if args["every"]:
        report.read("replay_every", args["every"], duration)
    report.read("replay_time_limit", args["time_limit"], duration)
    if args["export"]:
        report.add("replay_export", args["export"], "write replay_source=ledger as well, or remove it: Prometheus is asked")
    if not (args["sources"] or {}).get(PROMETHEUS):
        report.add("levibot_prometheus_url", None, "write where Prometheus answers")


def _read_source_of_record(args: Mapping[str, Any], report: Report) -> None:
    for name in ("from", "slot", "every"):
        if args[name]:
            report.add(f"replay_{name}", args[name], "remove it, or write replay_source=prometheus: a record holds the looks as they were")
    report.read("replay_rollout", args["rollout"], text)
    if args["export"]:
        report.read("replay_export", args["export"], _readable)
    elif not args["ledger"]:
        report.add("replay_export", None, "write the path of an export of the ledger")


def _past(value: Any) -> float:
    at = _instant(value)
    if at >= time.time():
        raise MistakeError("write when a past window began")
    return at


def _instant(value: Any) -> float:
    """ISO 8601 to seconds since the epoch."""
    try:
        at = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise MistakeError("write when the window began, such as 2026-11-17T10:00:00Z") from None
    if at.tzinfo is None:
        raise MistakeError(f"write the offset from UTC as well, such as {at.isoformat()}Z")
    return at.timestamp()


def _readable(value: Any) -> str:
    try:
        with Path(text(value)).expanduser().open(encoding="utf-8") as file:
            file.read(1)
    except (OSError, UnicodeDecodeError) as problem:
        why = getattr(problem, "strerror", None) or "no text"
        raise MistakeError(f"write the path of an export on the control node, as JSON lines ({why})") from None
    return value


def _exported(path: str) -> tuple[list[dict[str, Any]], str]:
    entries, broken = parse(Path(path).expanduser().read_text(encoding="utf-8").splitlines())
    if broken:
        raise AnsibleActionFail(f"{path} is not as it was exported ({broken}). It proves nothing: export the ledger again.")
    return [entry.to_dict() for entry in entries], path


def _mistakes(problems: list[Problem]) -> AnsibleActionFail:
    count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
    lines = [f"- {problem}" for problem in problems[:SHOWN_PROBLEMS]]
    if len(problems) > SHOWN_PROBLEMS:
        lines.append(f"- and {len(problems) - SHOWN_PROBLEMS} more")
    told = {"problems": [problem.to_dict() for problem in problems[:SHOWN_PROBLEMS]]}
    return AnsibleActionFail("\n".join([f"{count}; nothing was judged.", *lines]), result=told)


def _why_left_out(check: Mapping[str, Any]) -> str:
    return f"it asks {check['source']}, which keeps no past; a ledger does"


def _told(replayed: Replayed, lines: list[str]) -> dict[str, Any]:
    """Small and plain."""
    return {
        **replayed.outcome.to_dict(),
        "started_at": replayed.started_at,
        "then": {key: replayed.then.get(key) for key in ("verdict", "reason", "at_seconds", "deciding")} if replayed.then else {},
        "left_out": [{"id": check, "reason": why} for check, why in replayed.left_out.items()],
        "text": lines,
    }


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _other(slot: str) -> str:
    return next(colour for colour in COLOURS if colour != slot)
