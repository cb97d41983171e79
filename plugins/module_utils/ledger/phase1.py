# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ledger says of a version's Phase 1: its release, who approved what, and whether a GO stands. Pure.

All of it is in one record of the ledger, :func:`record_id`. Entries are plain dictionaries, as an export has them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import EntryError, timestamp

GO, NO_GO = "GO", "NO-GO"
APPROVAL = "go"  # what an approval of the release itself is for
LIVE = "live"  # and of live trading with it, see ledger/phase3.py; everything else is an item of the plan
DECISIONS = (APPROVAL, LIVE)
NOTICE = "t_minus_24h"
UNASKED = "could not be asked"

Entries = Iterable[Mapping[str, Any]]


def record_id(version: str) -> str:
    """The name of the record that holds a version's Phase 1."""
    return f"phase1-{version}"


def seconds(at: Any) -> float:
    """A moment as seconds since the epoch. Raises EntryError for what is none."""
    return datetime.fromisoformat(timestamp(at).replace("Z", "+00:00")).timestamp()


def release_record(entries: Entries) -> dict[str, Any]:
    """The release that was recorded last; empty where there is none."""
    return _last(entries, "result", action="release")


def digests(record: Mapping[str, Any]) -> dict[str, str]:
    """The digest of each service's image in a release's record."""
    return {name: str(image.get("digest") or "") for name, image in (record.get("images") or {}).items()}


def notice(entries: Entries) -> dict[str, Any]:
    """What became of the T-24h notice; empty where none was sent."""
    return _last(entries, "result", action="notice", notice=NOTICE)


def last_override(entries: Entries, version: str) -> dict[str, Any] | None:
    """Who has last begun a rollout of this version without a GO, and why. The entries are those of rollouts."""
    begun = [entry["data"] for entry in entries if _is(entry, "opened", {"version": version})]
    return next((go["overridden"] for data in reversed(begun) if (go := data.get("go") or {}).get("overridden")), None)


def approvals(entries: Entries, now: float) -> dict[str, list[dict[str, Any]]]:
    """The approvals that stand: under ``go`` those of the release, under ``live`` of live trading, under an item's id its attestations.

    Each is ``{who, reason, until, at, seq}``, and under ``live`` ``plan_digest``. Of one person the latest counts. One whose time is up
    does not count, nor one from the future; a revocation takes away all that was said before it on the same matter, whoever said it.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for entry in entries:
        data = entry["data"]
        if entry["kind"] != "approval" or seconds(entry["at"]) > now:
            continue
        if data.get("action") == "revoke":
            found.pop(str(data.get("what")), None)
            continue
        what = str(data.get("item")) if data.get("action") == "attest" else str(data["action"]) if data.get("action") in DECISIONS else ""
        if what:
            about = {key: data[key] for key in ("who", "reason", "until", "plan_digest") if key in data}
            said = {"who": None, "reason": None, "until": None, **about, "at": entry["at"], "seq": entry.get("seq")}
            found.setdefault(what, {})[person(data.get("who"))] = said
    return {what: kept for what, people in found.items() if (kept := [said for said in people.values() if _stands(said, now)])}


def mistakes(
    wanted: Mapping[str, Any], *, version: str, approvers: Sequence[str], items: Sequence[str], now: float
) -> list[dict[str, str]]:
    """What keeps an approval from being recorded, all of it at once, each as ``{path, found, fix}``.

    wanted: ``{what, who, reason, until, revoke}`` as a person gave it.
    """
    found: list[dict[str, str]] = []

    def add(name: str, value: Any, fix: str) -> None:
        found.append({"path": f"approve_{name}", "found": repr(value) if value else "nothing", "fix": fix})

    what, who, until = (str(wanted.get(name) or "").strip() for name in ("what", "who", "until"))
    if what not in (*DECISIONS, *items):
        add("what", what, f"write go, live, or the item of the plan that is attested: {', '.join(items)}")
    if not who:
        add("who", who, "name the person who decides")
    elif approvers and person(who) not in map(person, approvers):
        named = f"levibot_plan.{'phase3' if what == LIVE else 'phase1'}.approvers"
        add("who", who, f"have it done by one of {named} ({', '.join(approvers)}), or add the name there")
    if not str(wanted.get("reason") or "").strip():
        add("reason", "", f"say why, in a sentence that somebody reads who asks why {version} went live")
    if until and not wanted.get("revoke"):
        try:
            if seconds(until) <= now:
                add("until", until, "write a moment that is to come")
        except EntryError:
            add("until", until, "write a moment with an offset from UTC, such as 2026-11-25T18:00:00Z, or leave it out")
    return found


def approval(wanted: Mapping[str, Any], version: str, plan_digest: str = "") -> dict[str, Any]:
    """The data of the entry for an approval that has no mistakes. plan_digest: the plan by which somebody approves live trading."""
    what, who, reason = (str(wanted[name]).strip() for name in ("what", "who", "reason"))
    if wanted.get("revoke"):
        return {"action": "revoke", "what": what, "version": version, "who": who, "reason": reason}
    until = str(wanted.get("until") or "").strip()
    about = {"action": what} if what in DECISIONS else {"action": "attest", "item": what}
    about |= {"plan_digest": plan_digest} if what == LIVE else {}
    return {**about, "version": version, "who": who, "reason": reason, "until": timestamp(until) if until else None}


def is_said(entries: Entries, data: Mapping[str, Any], now: float) -> bool:
    """Whether what would be recorded stands already, so that a second run records nothing."""
    standing = approvals(entries, now)
    if data["action"] == "revoke":
        return data["what"] not in standing
    what = data["item"] if data["action"] == "attest" else data["action"]
    same = ("who", "reason", "until", "plan_digest")
    return any(all(said.get(key) == data.get(key) for key in same) for said in standing.get(what, []))


def shortened(items: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The items of a verdict, judged, as the ledger keeps them: all of the report but what to do."""
    kept = ("kind", "source", "passed", "found", "wanted", "at", "problem")
    return [
        {
            **{key: item[key] for key in ("id", "name", "passed", "text")},
            "evidence": [{key: one.get(key) for key in kept} for one in item["evidence"]],
        }
        for item in items
    ]


def is_news(entries: Entries, verdict: Mapping[str, Any], now: float, max_age_seconds: float) -> bool:
    """Whether a verdict is to be recorded: it differs in more than ages from the last one, somebody has approved, attested or revoked
    since, or that one is past half of its time.
    """
    for entry in reversed(list(entries)):
        if entry["kind"] == "approval" and LIVE not in (entry["data"].get("action"), entry["data"].get("what")):
            return True
        if _is(entry, "verdict", {"action": "go"}):
            return now - seconds(entry["at"]) > max_age_seconds / 2 or substance(entry["data"]) != substance(verdict)
    return True


def message(version: str, items: Sequence[Mapping[str, Any]], verdict: str = NO_GO) -> str:
    """A verdict that is not good for people: every item that did not pass, why, and what to do."""
    failed = [item for item in items if not item["passed"]]
    lines = [f"{verdict} for {version}: {len(failed)} of {len(items)} did not pass."]
    unasked: dict[str, list[str]] = {}
    for item in failed:
        wrong = [one for one in item["evidence"] if not one["passed"]]
        if wrong and all(one["problem"].startswith(UNASKED) for one in wrong):
            unasked[item["name"]] = [f"    {one['source']}: {one['problem']}" for one in wrong]
            continue
        lines.append(f"- {item['name']} ({item['id']})" + ("" if wrong else f": {item['text']}"))
        for one in wrong:
            lines += [f"    {one['source'] or one['kind']}: {one['problem']}", *([f"      fix: {one['fix']}"] if one["fix"] else [])]
    if unasked:
        why = dict.fromkeys(line for said in unasked.values() for line in said)
        lines += [f"- Could not be asked: {', '.join(unasked)}", *why]
    return "\n".join(lines)


def standing_go(
    entries: Entries,
    version: str,
    now: float,
    max_age_seconds: float,
    *,
    plan_digest: str | None = None,
    needed: int = 0,
) -> dict[str, Any]:
    """Whether a GO stands for this version, and if not why.

    Returns ``{go: bool, problem, fix, verdict: the data, at, age_seconds, approved_by: [names]}``. plan_digest: the plan that is about
    to be run, since that and no other one was approved. needed: how many approvals must still stand.
    """
    entries = list(entries)
    entry = next((one for one in reversed(entries) if _is(one, "verdict", {"action": "go", "version": version})), None)
    names = [str(said["who"]) for said in approvals(entries, now).get(APPROVAL, [])]
    data, age = (dict(entry["data"]), now - seconds(entry["at"])) if entry else ({}, 0.0)
    images = digests(release_record(entries))
    failed = ", ".join(str(item.get("name") or item.get("id")) for item in data.get("items") or () if not item.get("passed"))
    again = "run playbooks/phase1_predeploy.yml again"
    reasons = (
        (entry is None, f"no GO for {version} is in the ledger", "run playbooks/phase1_predeploy.yml"),
        (data.get("verdict") != GO, f"the last verdict on {version} is {data.get('verdict')}: {failed}", f"mend that, and {again}"),
        (age < 0, f"the GO for {version} is from the future", "bring the clocks into step"),
        (age > max_age_seconds, f"the GO for {version} is {hours(age)} old, and counts for {hours(max_age_seconds)}", again),
        (
            plan_digest is not None and data.get("plan_digest") != plan_digest,
            f"the GO for {version} was given for another plan (its digest differs)",
            f"{again} with this plan, or start with that one",
        ),
        (
            not images or data.get("images") != images,
            f"the images that were released as {version} are not those that the GO was given for",
            again,
        ),
        (
            len(names) < needed,
            f"the approval of {version} was revoked, or its time is up, since the GO",
            f"have it approved again (playbooks/approve.yml), and {again}",
        ),
    )
    problem, fix = next(((why, what) for wrong, why, what in reasons if wrong), ("", ""))
    return {
        "go": not problem,
        "problem": problem,
        "fix": fix,
        "verdict": data,
        "at": entry["at"] if entry else None,
        "age_seconds": round(age) if entry else None,
        "approved_by": names,
    }


def hours(age: float) -> str:
    """How long, for people."""
    return f"{age / 3600:.1f} h" if age >= 3600 else f"{age / 60:.0f} min" if age >= 60 else f"{age:.0f} s"  # noqa: PLR2004 - seconds


def _last(entries: Entries, kind: str, **having: Any) -> dict[str, Any]:
    return next((dict(entry["data"]) for entry in reversed(list(entries)) if _is(entry, kind, having)), {})


def _is(entry: Mapping[str, Any], kind: str, having: Mapping[str, Any]) -> bool:
    return entry["kind"] == kind and having.items() <= {key: value for key, value in entry["data"].items() if key in having}.items()


def _stands(said: Mapping[str, Any], now: float) -> bool:
    try:
        return not said["until"] or seconds(said["until"]) > now
    except EntryError:
        return False


def person(who: Any) -> str:
    """As people are told apart: one who is written in two ways is no second pair of eyes."""
    seen = "".join(letter for letter in unicodedata.normalize("NFKC", str(who)) if unicodedata.category(letter) != "Cf")
    return " ".join(seen.casefold().split())


def substance(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """A verdict without what differs from one look to the next, which is ages and the numbers in its texts."""
    items = [
        {
            **{key: item.get(key) for key in ("id", "passed")},
            "evidence": [[one.get(key) for key in ("kind", "source", "passed")] for one in item.get("evidence") or ()],
        }
        for item in verdict.get("items") or ()
    ]
    return {**{key: verdict.get(key) for key in ("verdict", "version", "plan_digest", "images")}, "items": items}
