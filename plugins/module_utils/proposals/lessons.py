# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ledger says of a release's way, as a draft of the lessons learned. Pure.

Only what is recorded is told: a draft states facts, and leaves judgement, owners and dates to people.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import Entry
from ansible_collections.levibot.transition.plugins.module_utils.ledger.story import span

# A pass comes with the first look after the window; what is later by more than this share of it was waited for.
ON_TIME = 1.05
_PHASE = re.compile(r"(phase\d|kill-drill|drill|kill)-")
# Where somebody threw the switch by hand.
_THROWN = re.compile(r"kill-(?!drill)")
# How a record may end well.
_WELL = ("promoted", "live", "validated", "passed")
# The verdicts of Phases 1 and 4, and whether they are good.
_DECISIONS = {"GO": True, "NO-GO": False, "VALIDATED": True, "NOT VALIDATED": False}
_STATES_AGAINST = ("breach", "fail")
KILL, ROLLBACK, EXPIRED, TAKEN, DRILL = "kill", "rollback", "expired", "taken over", "drill"
# By an entry's kind and action.
_EVENTS = {
    ("note", "kill thrown"): KILL,
    ("result", "kill"): KILL,
    ("result", "rollback"): ROLLBACK,
    ("note", "expired"): EXPIRED,
    ("note", "take_over"): TAKEN,
    ("result", "drill"): DRILL,
    ("result", "kill_drill"): DRILL,
}
_THEN = {
    KILL: "The kill switch was thrown",
    ROLLBACK: "It was rolled back",
    EXPIRED: "A canary expired",
    TAKEN: "The lock was taken over",
}
_TO_DO = {
    KILL: "Write the incident's report for each throw of the kill switch",
    ROLLBACK: "Write down what was wrong before the next try",
    EXPIRED: "Find out why a control node left a canary to expire",
    TAKEN: "Find out what ended the run whose lock was taken over",
    DRILL: "Repeat the drill that failed",
}
# Of a look what is wanted here; its samples are most of a ledger.
_OF_LOOKS = ("gate", "verdict", "checks", "version")
_SAID = {"pass": "passed", "fail": "failed", "hold": "held", "blind": "went blind"}


def of_version(entries: Iterable[Entry], version: str) -> list[Entry]:
    """All entries of the records that are about a version, in their order, and the throws of the kill switch between its first and last."""
    entries = [_short(entry) for entry in entries]
    mine = {entry.rollout for entry in entries if _is_about(entry, version)}
    times = [entry.at for entry in entries if entry.rollout in mine]
    first, last = (min(times), max(times)) if times else ("", "")
    return [entry for entry in entries if entry.rollout in mine or (_THROWN.match(entry.rollout) and first <= entry.at <= last)]


def _short(entry: Entry) -> Entry:
    return replace(entry, data={key: entry.data[key] for key in _OF_LOOKS if key in entry.data}) if entry.kind == "look" else entry


def _is_about(entry: Entry, version: str) -> bool:
    drilled = entry.data.get("versions") if entry.data.get("action") == "drill" else None
    return (
        entry.rollout.endswith(f"-{version}")
        or entry.data.get("version") == version
        or (isinstance(drilled, Mapping) and version in drilled.values())
    )


def learn(entries: Iterable[Entry], version: str) -> dict[str, Any]:
    """The facts of a version's records and what follows from them, as plain JSON (module lessons_info)."""
    mine = of_version(entries, version)
    records = [_record(rollout, theirs) for rollout, theirs in _by_rollout(mine).items()]
    gates = _gates(mine)
    events = [event for entry in mine for event in _events(entry)]
    return {
        "version": version,
        "entries": len(mine),
        "records": records,
        "gates": gates,
        "events": events,
        "went_well": _went_well(records, gates, events),
        "to_improve": _to_improve(records, gates, events),
        "actions": _actions(records, gates, events),
    }


def _by_rollout(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.rollout, []).append(entry)
    return found


def _record(rollout: str, entries: Sequence[Entry]) -> dict[str, Any]:
    opened = next((entry for entry in entries if entry.kind == "opened"), None)
    closed = next((entry for entry in reversed(entries) if entry.kind == "closed"), None)
    about = opened.data if opened else {}
    match = _PHASE.match(rollout)
    return {
        "rollout": rollout,
        "phase": str(about.get("phase") or (match[1] if match else "phase2")),
        "began_at": entries[0].at,
        "lasted": span(_seconds(entries[0].at, (closed or entries[-1]).at)),
        "outcome": str(closed.data.get("outcome") or "closed") if closed else "",
        "reason": str(closed.data.get("reason") or "").strip() if closed else "",
        "override": _override(about),
        **_decided(entries),
        "entries": len(entries),
    }


def _decided(entries: Sequence[Entry]) -> dict[str, Any]:
    """The last verdict on the release itself, what had not passed then, and how many before it were not good."""
    words = [(str(entry.data.get("verdict")), entry.data) for entry in entries if entry.kind == "verdict" and not entry.data.get("gate")]
    words = [(word, data) for word, data in words if word in _DECISIONS]
    if not words:
        return {"decision": "", "lacked": [], "tries": 0}
    word, data = words[-1]
    items = data.get("items")
    lacked = [str(one.get("id")) for one in items if isinstance(one, Mapping) and not one.get("passed")] if isinstance(items, list) else []
    return {"decision": word, "lacked": lacked, "tries": sum(not _DECISIONS[before] for before, _data in words[:-1])}


def _override(about: Mapping[str, Any]) -> str:
    go = about.get("go")
    said = go.get("overridden") if isinstance(go, Mapping) else None
    return f"begun without a GO by {said.get('who')}: {said.get('reason')}" if isinstance(said, Mapping) else ""


def _gates(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Each run of a gate, in the order in which they began."""
    runs: dict[tuple[str, str], dict[str, list[Entry]]] = {}
    for entry in entries:
        gate = entry.data.get("gate")
        if entry.kind in ("look", "verdict") and isinstance(gate, str):
            runs.setdefault((entry.rollout, gate), {"look": [], "verdict": []})[entry.kind].append(entry)
    return [_gate(rollout, gate, run["look"], run["verdict"]) for (rollout, gate), run in runs.items()]


def _gate(rollout: str, gate: str, looks: Sequence[Entry], verdicts: Sequence[Entry]) -> dict[str, Any]:
    said = verdicts[-1].data if verdicts else {}
    word = str(said.get("verdict") or "")
    took, window = _number(said.get("at_seconds")), _number(said.get("window_seconds"))
    beyond = max(0.0, took - window) if took > window * ON_TIME else 0.0
    against = Counter(str(check.get("id")) for look in looks for check in _checks(look) if check.get("state") in _STATES_AGAINST)
    blind = _blind_seconds(looks)
    return {
        "rollout": rollout,
        "gate": gate,
        "verdict": word,
        "said": _SAID.get(word, word) or "has no verdict",
        "took": span(took) if verdicts else "",
        "extended": span(beyond) if beyond else "",
        "looks": len(looks),
        "held_looks": sum(look.data.get("verdict") == "hold" for look in looks),
        "blind": span(blind) if blind else "",
        "against": [{"check": check, "looks": count} for check, count in sorted(against.items())],
        "deciding": [str(check) for check in said.get("deciding") or ()],
        "reason": str(said.get("reason") or "").strip(),
    }


def _blind_seconds(looks: Sequence[Entry]) -> float:
    """How long a check that decides could not be asked: from each such look to the next one."""
    blind = 0.0
    for look, after in zip(looks, looks[1:]):
        if any(check.get("state") == "error" for check in _checks(look)):
            blind += max(0.0, _seconds(look.at, after.at))
    return blind


def _checks(look: Entry) -> list[Mapping[str, Any]]:
    checks = look.data.get("checks")
    return [one for one in checks if isinstance(one, Mapping) and one.get("mode") != "observe"] if isinstance(checks, list) else []


def _events(entry: Entry) -> list[dict[str, str]]:
    """What interrupts a rollout, and the drills. Intents are not events."""
    data = entry.data
    what = _EVENTS.get((entry.kind, str(data.get("action") or "")))
    if what is None:
        return []
    told = str(data.get("reason") or data.get("problem") or data.get("text") or "").strip()
    passed = "yes" if what == DRILL and data.get("passed") is True else ""
    if what == DRILL:
        told = _joined(_drilled(data, passed), told)
    elif what == EXPIRED and not told:
        told = f"on {data.get('edge')}"
    return [{"at": entry.at, "rollout": entry.rollout, "what": what, "passed": passed, "told": told}]


def _drilled(data: Mapping[str, Any], passed: str) -> str:
    name = "kill switch" if data["action"] == "kill_drill" else "rollback"
    seconds = _number(data.get("seconds"))
    return f"The {name}'s drill {'passed' if passed else 'failed'}" + (f" after {span(seconds)}" if seconds else "")


def _went_well(records: Sequence[Mapping[str, Any]], gates: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, str]]) -> list[str]:
    lines = [
        f"{one['phase']} ended {one['outcome'].replace('_', ' ')}, after {one['lasted']}" for one in records if one["outcome"] in _WELL
    ]
    decided = [one for one in records if _DECISIONS.get(one["decision"])]
    lines += [f"{one['phase']}: {one['decision']}" + (f", after {one['tries']} that were not" if one["tries"] else "") for one in decided]
    clean = [one for one in gates if one["verdict"] == "pass" and not one["extended"]]
    lines += [f"Gate {one['gate']} passed in its window, after {one['took']} and {one['looks']} looks" for one in clean]
    lines += [event["told"] for event in events if event["passed"]]
    if gates and not any(event["what"] == KILL for event in events):
        lines.append("The kill switch was never needed")
    if gates and not any(one["blind"] for one in gates):
        lines.append("No gate was blind at any look")
    return lines


def _to_improve(records: Sequence[Mapping[str, Any]], gates: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, str]]) -> list[str]:
    lines = [
        _joined(f"{one['phase']} ({one['rollout']}) ended {one['outcome'].replace('_', ' ')}", one["reason"]) for one in _badly(records)
    ]
    undecided = [one for one in records if one["decision"] and not _DECISIONS[one["decision"]]]
    lines += [_joined(f"{one['phase']}: {one['decision']}", ", ".join(one["lacked"])) for one in undecided]
    lines += [f"{one['phase']} ({one['rollout']}) has no end in the ledger" for one in _open(records)]
    lines += [f"{one['phase']} ({one['rollout']}) was {one['override']}" for one in records if one["override"]]
    for one in gates:
        if one["verdict"] not in ("pass", ""):
            lines.append(_joined(f"Gate {one['gate']} {one['said']} after {one['took']}", one["reason"]))
        elif one["extended"]:
            lines.append(f"Gate {one['gate']} passed only {one['extended']} after its window; {one['held_looks']} looks held")
        if one["blind"]:
            lines.append(f"Gate {one['gate']} could not ask a source for {one['blind']}")
        lines += [
            f"Gate {one['gate']}: {found['check']} was against its limit at {found['looks']} of {one['looks']} looks"
            for found in one["against"]
        ]
    lines += [_joined(f"{_THEN[event['what']]} at {event['at'][:19]}Z", event["told"]) for event in events if event["what"] in _THEN]
    lines += [event["told"] for event in events if event["what"] == DRILL and not event["passed"]]
    return lines


def _actions(records: Sequence[Mapping[str, Any]], gates: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, str]]) -> list[str]:
    """One item for each kind of thing that went wrong; who and when is left open."""
    lines = [f"Find the cause of gate {one['gate']}'s verdict ({one['said']})" for one in gates if one["verdict"] not in ("pass", "")]
    lines += [
        f"See why gate {one['gate']} had to be extended: more traffic, a longer window, or fewer min_events"
        for one in gates
        if one["extended"]
    ]
    lines += [f"See what kept gate {one['gate']} from asking its sources" for one in gates if one["blind"]]
    kinds = {event["what"] for event in events if not event["passed"]}
    lines += [line for kind, line in _TO_DO.items() if kind in kinds]
    lines += ["Close what stands open in the ledger"] if _open(records) else []
    lines += ["Decide whether beginning without a GO is to be possible"] if any(one["override"] for one in records) else []
    return lines


def criteria(found: Mapping[str, Any], known: Mapping[str, Any]) -> list[dict[str, str]]:
    """The plan's success criteria with what is known of each so far. None is ticked: the period is neither a week nor a month."""
    uptime, fired = found.get("uptime"), found.get("fired")
    up = f"{uptime['text']} of {uptime['probes']} probes" if uptime else ""
    pnl = (
        f"{known['pnl_usd']} USD" + (f" on {known['trades']} trades" if known.get("trades") is not None else "")
        if known.get("pnl_usd")
        else ""
    )
    rows = (
        ("Week 1", "99.9% uptime", up),
        ("Week 1", "Zero P0 incidents", _fired(fired, "P0")),
        ("Week 1", "Positive PnL", pnl),
        ("Week 1", "All SLOs met", str(known.get("slos") or "")),
        ("Month 1", "99.95% uptime", up),
        ("Month 1", "< 2 P1 incidents", _fired(fired, "P1")),
        ("Month 1", "Sharpe > B&H + 0.3", str(known.get("sharpe") or "")),
        ("Month 1", "User satisfaction > 90%", str(known.get("satisfaction") or "")),
    )
    return [{"when": when, "name": name, "so_far": value or "not known yet"} for when, name, value in rows]


def _fired(fired: Sequence[Mapping[str, Any]] | None, severity: str) -> str:
    if fired is None:
        return ""
    mine = [one for one in fired if one["severity"] == severity]
    names = ", ".join(f"{one['alert']} {one['times']} {'time' if one['times'] == 1 else 'times'}" for one in mine)
    return f"{severity} alerts fired: {names}" if mine else f"no {severity} alert fired"


def _badly(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [one for one in records if one["outcome"] and one["outcome"] not in _WELL]


def _open(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Records of Phases 2 and 3 that nobody closed; the others are never opened or closed."""
    return [one for one in records if not one["outcome"] and one["phase"] in ("phase2", "phase3")]


def _joined(what: str, why: str) -> str:
    return f"{what}: {why}" if why else what


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def _seconds(begin: str, end: str) -> float:
    try:
        first, last = (datetime.fromisoformat(at.replace("Z", "+00:00")) for at in (begin, end))
    except ValueError:
        return 0.0
    return (last - first).total_seconds()
