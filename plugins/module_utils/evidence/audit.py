# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LeviBot's audit log beside the ledger: whether the log is whole, and whether somebody else has changed something, or tried to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.audit_log import missing_days, utc_day
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case, Finding, Kind
from ansible_collections.levibot.transition.plugins.module_utils.evidence.moments import iso
from ansible_collections.levibot.transition.plugins.module_utils.evidence.observed import hosts, period, slot_of
from ansible_collections.levibot.transition.plugins.module_utils.evidence.pairs import VERBS, calls_of, fits, is_probe, is_taken, pair, show
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import Field, duration, number_of
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError, format_duration

SHOWN = 5
RUNNING = "running"
# More than that is nobody's preflight, but somebody who guesses under its name.
MOST_PROBES = 20
DOCS = "see docs/phase4.md"


@dataclass
class Actions:
    """Of the period: our calls that have no line, lines that are no call of ours, and attempts that were not let in."""

    calls: int = 0
    paired: int = 0
    first_call: dict[str, float] = field(default_factory=dict)
    last_call: dict[str, float] = field(default_factory=dict)
    missing: list[Mapping[str, Any]] = field(default_factory=list)
    unknown: list[Mapping[str, Any]] = field(default_factory=list)
    refused: list[Mapping[str, Any]] = field(default_factory=list)
    ignored: int = 0
    probes: int = 0


@dataclass(frozen=True)
class Begin:
    """When the period began, and when the log must have at the latest: with our first call, give or take what clocks differ by."""

    period: float
    first_call: float | None
    tolerance: float


def compare(given: Mapping[str, Any], case: Case) -> Actions:
    """Calls and lines of the period. Those of shortly before and after it only find their like."""
    begins, ends = period(case)
    tolerance = float(given["tolerance"])
    found = Actions()
    logs = [log for seen in hosts(case).values() for log in (seen.get("audit") or {}).get("logs", {}).values() if log]
    lines = [
        {**line, "host": host}
        for host, seen in hosts(case).items()
        for log in (seen.get("audit") or {}).get("logs", {}).values()
        if log
        for line in log.get("actions") or ()
    ]
    found.ignored = sum(log.get("ignored") or 0 for log in logs)
    probes = [line for line in lines if is_probe(line)]
    if len(probes) <= MOST_PROBES:
        found.probes = len(probes)
        lines = [line for line in lines if not is_probe(line)]
    kept = [line for line in lines if not line.get("refused")]
    within = [call for call in calls_of(case.records) if begins - tolerance <= call["at"] <= ends + tolerance]
    # Those that the server must have written down first.
    calls = sorted(within, key=lambda call: not is_taken(call))
    pairs = pair(calls, kept, lambda call, line: fits(call, line, tolerance, given["events"]))
    wanted = {number for number, call in enumerate(calls) if begins <= call["at"] <= ends and is_taken(call)}
    found.calls, found.paired = len(wanted), len(wanted & set(pairs))
    found.missing = [calls[number] for number in sorted(wanted - set(pairs), key=lambda number: calls[number]["at"])]
    ours = set(pairs.values())
    found.unknown = [line for number, line in enumerate(kept) if number not in ours and begins <= line["at"] <= ends]
    found.refused = [line for line in lines if line.get("refused") and begins <= line["at"] <= ends]
    for number in wanted:
        call = calls[number]
        host, at = call["host"], call["at"]
        found.first_call[host] = min(at, found.first_call.get(host, at))
        found.last_call[host] = max(at, found.last_call.get(host, at))
    return found


def _judge_logs(given: Mapping[str, Any], case: Case, finding: Finding, actions: Actions) -> None:
    """Whether each app host has a log of the slot that serves, and all of it."""
    begins, _ends = period(case)
    slot = slot_of(case)
    for host, seen in hosts(case).items():
        audit = seen.get("audit") or {}
        logs = audit.get("logs") or {}
        if not logs.get(slot):
            why = audit.get("problem") or seen.get("problem") or "it was not read"
            finding.wrong(f"{host}: the audit log of {slot} could not be read: {why}", "see that the host answers, and start it again")
            continue
        for name in seen.get("slots") or {}:
            if name != slot and not logs.get(name) and _containers(seen, name):
                finding.wrong(f"{host}: the audit log of {name} could not be read", "see that the host answers, and start it again")
        for name, log in logs.items():
            where = f"{host}, {name}"
            if not log:
                continue
            if name != slot and not log.get("lines") and _containers(seen, name):
                _tell_empty(where, log, finding)
            for problem in log.get("problems") or ():
                finding.wrong(f"{where}: {problem}", "bring the missing part back, or keep more of the log")
            if log.get("unreadable", 0) > given["max_unreadable"]:
                shown = "; ".join(map(str, log.get("examples") or ()))
                finding.wrong(f"{where}: {log['unreadable']} lines are no entries of an audit log ({shown})", "see who writes into it")
            today = utc_day(case.now)
            needs_today = name == slot and any(utc_day(at) == today for of, at in actions.last_call.items() if of in ("", host))
            runs = name == slot or _runs(seen, name)
            lost = _missing_days(log, case, runs=runs, needs_today=needs_today)
            if lost:
                fix = "bring it back, or have levibot_audit_logs find it, packed ones too: *.jsonl*"
                finding.wrong(f"{where}: the log has no file of {', '.join(lost)}", fix)
            if name == slot:
                _judge_log(where, log, Begin(begins, _first(actions.first_call, host), given["tolerance"]), finding)
                _judge_silence(where, log, given.get("max_silence"), finding)


def _missing_days(log: Mapping[str, Any], case: Case, *, runs: bool, needs_today: bool) -> list[str]:
    """Where there is one file a day, the days of the period without one. A slot that does not run any more has no later ones."""
    there = log.get("days")
    if not there:
        return []
    today = utc_day(case.now)
    lost = [day for day in missing_days(there, *period(case)) if runs or day < max(there)]
    # A day's file begins with its first line; and with dates from rotation today's has none yet.
    return [day for day in lost if day != today or (needs_today and not log.get("undated"))]


def _runs(seen: Mapping[str, Any], slot: str) -> bool:
    return any(one.get("state") == RUNNING for one in _containers(seen, slot))


def _containers(seen: Mapping[str, Any], slot: str) -> list[Mapping[str, Any]]:
    its = (seen.get("slots") or {}).get(slot) or {}
    return [one for ones in (its.get("containers") or {}).values() for one in ones]


def _judge_log(where: str, log: Mapping[str, Any], begin: Begin, finding: Finding) -> None:
    if not log.get("lines"):
        _tell_empty(where, log, finding)
        return
    first = log["first_at"]
    finding.found.append(f"{where}: {log['lines']} lines from {iso(first)} to {iso(log['last_at'])}")
    if first <= begin.period:
        return
    late = f"begins at {iso(first)}, after the period did at {iso(begin.period)}"
    # The log of a fresh slot begins with the first action. One that was rotated has had a beginning before its oldest part.
    if log.get("rotated"):
        finding.wrong(f"{where}: the oldest part of the log {late}", "keep more rotated parts")
    elif begin.first_call is None or first > begin.first_call + begin.tolerance:
        since = "and no call of ours is in it" if begin.first_call is None else f"and after our first call at {iso(begin.first_call)}"
        finding.wrong(f"{where}: the log {late}, {since}", "find out who has cut it short")


def _tell_empty(where: str, log: Mapping[str, Any], finding: Finding) -> None:
    what = "is empty" if log.get("files") else "is not there"
    finding.wrong(f"{where}: the audit log {what}, which is missing evidence and no clean record", f"set levibot_audit_logs; {DOCS}")


def _judge_silence(where: str, log: Mapping[str, Any], most: float | None, finding: Finding) -> None:
    left, right = log.get("silence") or (0, 0)
    if most and right - left > most:
        finding.wrong(f"{where}: there is no line from {iso(left)} to {iso(right)}", "find out why nothing was written")


def _first(first_call: Mapping[str, float], host: str) -> float | None:
    """Of a call whose host is not said, any host may have the line."""
    return min((at for name, at in first_call.items() if name in ("", host)), default=None)


def look_at_the_log(given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    finding.source, finding.at = _source(case), case.now
    finding.wanted.append("each admin action of the ledger is in LeviBot's audit log, and the other way round")
    finding.wanted.append(f"within {format_duration(given['tolerance'])}")
    seen = compare(given, case)
    _judge_logs(given, case, finding, seen)
    if not seen.calls:
        finding.wrong("the ledger has no admin action in this period, so nothing shows that the log has any", "see what Phase 3 recorded")
    else:
        finding.found.append(f"{seen.paired} of {seen.calls} calls of the ledger are in it")
    if seen.ignored:
        finding.found.append(f"{seen.ignored} actions were left out (levibot_audit_ignore)")
    _tell(seen.missing, "of the ledger is not in the audit log", "find out why it was not written", finding)
    _tell_unknown(seen, finding)


def look_for_intrusions(given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    finding.source, finding.at = _source(case), case.now
    most = given["max_failed_logins"]
    finding.wanted.append(f"at most {most} failed logins, and no admin action but those of the ledger")
    seen = compare(given, case)
    # A log that is not whole could not tell.
    _judge_logs(given, case, finding, seen)
    finding.found.append(f"{len(seen.refused)} failed logins, {len(seen.unknown)} unknown actions")
    if seen.probes:
        finding.found.append(f"{seen.probes} questions of our own preflight")
    if len(seen.refused) > most:
        finding.wrong(f"{len(seen.refused)} attempts were not let in", "find out who it was")
        _tell(seen.refused, "was not let in", "", finding)
    _tell_unknown(seen, finding)


def _tell_unknown(seen: Actions, finding: Finding) -> None:
    fix = "find out who did it; what is nobody's action goes into levibot_audit_ignore"
    _tell(seen.unknown, "is in the audit log, and no action of ours", fix, finding)


def _tell(actions: Iterable[Mapping[str, Any]], what: str, fix: str, finding: Finding) -> None:
    actions = list(actions)
    for action in actions[:SHOWN]:
        finding.wrong(f"{show(action)} at {iso(action['at'])} {what}", fix)
    if len(actions) > SHOWN:
        finding.wrong(f"and {len(actions) - SHOWN} more")


def _source(case: Case) -> str:
    return f"audit logs on {', '.join(hosts(case)) or 'no host'}"


def _events(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and verb in VERBS for name, verb in value.items()):
        raise MistakeError(f"write a verb for each event, such as {{switch_thrown: kill}}; the verbs are: {', '.join(VERBS)}")
    return dict(value)


_COMMON = {
    "tolerance": Field(duration, 10),
    "events": Field(_events, {}),
    "max_unreadable": Field(number_of(0), 0),
    "max_silence": Field(duration),
}
AUDIT = Kind(look_at_the_log, fields=_COMMON)
INTRUSIONS = Kind(look_for_intrusions, fields={**_COMMON, "max_failed_logins": Field(number_of(0), 0)})
