# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phase 4 by the ledger: since when a version is live, with which engines, and what its validation has come to. Pure.

All verdicts are in one record of the ledger, :func:`record_id`. Entries are plain dictionaries, as an export has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger import phase1, phase3
from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import timestamp

VALIDATED, NOT_VALIDATED = "VALIDATED", "NOT VALIDATED"
ACTION = "validation"
PROMOTED = "promoted"
ITEMS = {
    "promoted": "Rollout promoted",
    "period": "Period since T+0 is over",
    "activated": "Live trading activated",
    "traffic": "All traffic with the release",
}

Entry = Mapping[str, Any]


def record_id(version: str) -> str:
    """The name of the record that holds a version's validations."""
    return f"phase4-{version}"


def standing(entries: Iterable[Entry], version: str) -> dict[str, Any]:
    """What the ledger says of the time in which this version was live: ``{period, live}``, each a part of what is observed.

    period: ``{rollout, started, served, slot, stable}``; ``started`` is T+0, when the rollout that was promoted was opened, and ``served``
    when the first visitors came to it, both in epoch seconds. live: ``{rollout, host, slot, engines, sides, limits, activated}`` of the
    Phase 3 that was closed live; ``{baseline, starts, since}`` of all live trading since T+0, and ``elsewhere``, the records of that which
    is in no book that can be read: see :func:`_attempts`. What is missing is told as ``{problem, fix}`` instead.
    """
    entries = list(entries)
    period = _period(entries, version)
    return {"period": period, "live": _live(entries, version, period.get("started", 0.0))}


def _period(entries: Sequence[Entry], version: str) -> dict[str, Any]:
    rollout = phase3.promoted(entries, version)
    if rollout.get("outcome") != PROMOTED:
        is_there = f"its last rollout ({rollout['id']}) was {rollout['outcome'] or 'not ended'}" if rollout else "it has no rollout"
        return _missing(f"{version} is not promoted: {is_there}", "run playbooks/phase2_bluegreen.yml to its end")
    mine = [entry for entry in entries if entry.get("rollout") == rollout["id"]]
    opened = next(entry for entry in mine if entry["kind"] == "opened")
    served = next((entry["at"] for entry in mine if entry["kind"] == "result" and entry["data"].get("action") == "weight"), opened["at"])
    return {
        "rollout": rollout["id"],
        "started": phase1.seconds(opened["at"]),
        "served": phase1.seconds(served),
        "slot": rollout["slot"],
        "stable": str((opened["data"].get("stable") or {}).get("slot") or ""),
    }


def _live(entries: Sequence[Entry], version: str, begun: float) -> dict[str, Any]:
    told = next(reversed(phase3.records(entries, version)), None)
    if told is None or told.outcome != phase3.LIVE:
        what = f"{told.id} is {told.outcome.replace('_', ' ') or 'open'}" if told else "there is no record of it"
        return _missing(
            f"live trading of {version} was not activated to its end: {what}", "run playbooks/phase3_live_trading.yml to its end"
        )
    about = told.opened or {}
    policy = about.get("policy") or {}
    attempts, elsewhere = _attempts(entries, told, begun)
    first = attempts[0].opened or {}
    return {
        "rollout": told.id,
        "host": str(about.get("host") or ""),
        "slot": str(about.get("slot") or ""),
        "baseline": first.get("baseline") or {},
        "engines": dict(told.live),
        "starts": _starts(entries, attempts),
        "sides": list(policy.get("sides") or about.get("sides") or ()),
        "limits": policy.get("limits") or about.get("limits") or {},
        "since": _opened_at(entries, attempts[0]),
        "activated": phase1.seconds(
            next(entry["at"] for entry in reversed(entries) if (entry["kind"], entry.get("rollout")) == ("closed", told.id))
        ),
        "elsewhere": elsewhere,
    }


def _attempts(entries: Sequence[Entry], last: phase3.Told, begun: float) -> tuple[list[phase3.Told], list[str]]:
    """(each Phase 3 of the version since T+0 that has traded in the book of the last one, with that; the names of those in another book).

    What an attempt has lost that was rolled back is lost, and engines that it has kept trade on until the next: so all of them are
    judged, from the baseline of the first.
    """
    version = str((last.opened or {}).get("version"))
    since = [told for told in phase3.records(entries, version) if _opened_at(entries, told) >= begun and told.id != last.id]
    traded = [told for told in since if _starts(entries, [told])]
    here = [told for told in traded if _book(told) == _book(last)]
    return [*here, last], [told.id for told in traded if told not in here]


def _book(told: phase3.Told) -> tuple[Any, Any]:
    about = told.opened or {}
    return about.get("host"), about.get("slot")


def _opened_at(entries: Sequence[Entry], told: phase3.Told) -> float:
    return phase1.seconds(next(entry["at"] for entry in entries if (entry["kind"], entry.get("rollout")) == ("opened", told.id)))


def _starts(entries: Sequence[Entry], attempts: Sequence[phase3.Told]) -> dict[str, list[list[Any]]]:
    """By symbol ``[when, capital]`` of each start of its engine, oldest first. One that was live before the first attempt always was."""
    starts: dict[str, list[list[Any]]] = {}

    def start(engines: Mapping[str, Any], at: float) -> None:
        for symbol, usd in engines.items():
            known, capital = starts.setdefault(str(symbol), []), phase3.money(usd)
            if not known or known[-1][1] != capital:
                known.append([at, capital])

    for told in attempts:
        start((told.opened or {}).get("kept") or {}, 0.0)
        for entry in entries:
            if (entry["kind"], entry.get("rollout"), entry["data"].get("action")) == ("intent", told.id, "start"):
                start(entry["data"].get("engines") or {}, phase1.seconds(entry["at"]))
    return starts


def _missing(problem: str, fix: str) -> dict[str, Any]:
    return {"problem": problem, "fix": fix}


def checks(
    observed: Mapping[str, Any],
    edges: Mapping[str, Mapping[str, Any]],
    apps: Mapping[str, Mapping[str, Any]],
    period_seconds: float,
    now: float,
) -> list[dict[str, Any]]:
    """What a validation needs whatever its checklist says, judged, in the shape of the checklist's items.

    edges and apps: by host what ``edge_info`` and ``slot_info`` returned; empty for a host that was not asked.
    """
    period, live = observed["period"], observed["live"]
    slot = str(period.get("slot") or "")
    told = [
        ("promoted", period.get("problem", ""), period.get("fix", ""), f"{period.get('rollout')}, now in {slot}"),
        ("period", *_over(period, period_seconds, now)),
        ("activated", live.get("problem", ""), live.get("fix", ""), f"{live.get('rollout')}: {', '.join(live.get('engines') or ())}"),
        ("traffic", *_traffic(period, live, edges, phase3.Fleet.of(edges, apps))),
    ]
    return [_item(name, problem, fix, found, now) for name, problem, fix, found in told]


def _over(period: Mapping[str, Any], period_seconds: float, now: float) -> tuple[str, str, str]:
    if period.get("problem"):
        return "not yet: there is no T+0 without a promoted rollout", str(period["fix"]), ""
    begun, ends = timestamp(period["started"]), period["started"] + period_seconds
    if now < ends:
        return (
            f"not yet: T+0 was at {begun}, and {phase1.hours(period_seconds)} are over at {timestamp(ends)}",
            f"start it again at {timestamp(ends)}",
            "",
        )
    return "", "", f"since {begun}"


def _traffic(
    period: Mapping[str, Any], live: Mapping[str, Any], edges: Mapping[str, Mapping[str, Any]], fleet: phase3.Fleet
) -> tuple[str, str, str]:
    """The files of an edge say where its traffic should go; its own problems, whether the Caddy that runs does as they say."""
    own = [{**one, "path": f"{host}: {one['path']}"} for host, edge in edges.items() for one in edge.get("problems") or ()]
    if problems := [*fleet.problems, *own]:
        texts = "; ".join(f"{one['path']}: {one['found']}" for one in problems)
        return texts, "; ".join(dict.fromkeys(one["fix"] for one in problems)), ""
    if not period.get("slot") and not live.get("slot"):
        why = f"all of it goes to {fleet.slot}, and neither the slot of the rollout nor that of live trading is known"
        return why, str(period.get("fix") or live.get("fix") or "make the ledger usable"), ""
    for of, slot in (("the rollout was promoted to", period.get("slot")), ("live trading was activated in", live.get("slot"))):
        if slot and slot != fleet.slot:
            return f"{of} {slot}, and the traffic goes to {fleet.slot}", "see what has moved it: playbooks/status.yml", ""
    return "", "", f"all of it goes to {fleet.slot}"


def _item(name: str, problem: str, fix: str, found: str, now: float) -> dict[str, Any]:
    evidence = {
        "kind": "edges" if name == "traffic" else "ledger",
        "source": "the edges" if name == "traffic" else "the ledger",
        "passed": not problem,
        "found": "" if problem else found,
        "wanted": "",
        "at": timestamp(now),
        "age_seconds": 0,
        "problem": problem,
        "fix": fix,
    }
    return {"id": name, "name": ITEMS[name], "passed": not problem, "text": problem or found, "evidence": [evidence]}


def verdict(
    entries: Iterable[Entry], judged: Sequence[Mapping[str, Any]], observed: Mapping[str, Any], *, version: str, plan_digest: str
) -> dict[str, Any]:
    """The data of the entry for a validation. entries: all, of which the release's record is taken. judged: items and checks."""
    failed = [item for item in judged if not item["passed"]]
    mine = [entry for entry in entries if entry.get("rollout") == phase1.record_id(version)]
    period, live = observed["period"], observed["live"]
    return {
        "action": ACTION,
        "verdict": NOT_VALIDATED if failed or not judged else VALIDATED,
        "version": version,
        "plan_digest": plan_digest,
        "images": phase1.digests(phase1.release_record(mine)),
        "rollout": period.get("rollout"),
        "live": live.get("rollout"),
        "since": None if period.get("problem") else timestamp(period["started"]),
        "items": phase1.shortened(judged),
    }


def last(entries: Iterable[Entry], version: str) -> dict[str, Any]:
    """The validation that was recorded last, as ``{at, data}``; empty where there is none."""
    found: dict[str, Any] = {}
    for entry in entries:
        data = entry["data"]
        if entry["kind"] == "verdict" and data.get("action") == ACTION and data.get("version") == version:
            found = {"at": entry["at"], "data": data}
    return found


def is_news(before: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    """Whether a validation says anything else than the last one, which is one of :func:`last`. Its period grows, and its numbers change."""
    if not before:
        return True
    told = ("rollout", "live")
    was = before["data"]
    return phase1.substance(was) != phase1.substance(data) or any(was.get(key) != data.get(key) for key in told)
