# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people have said and what was done, by the ledger: approvals, attestations and results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.conditions import Condition, conditions, judge, search, unmet
from ansible_collections.levibot.transition.plugins.module_utils.evidence.documents import too_old
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case, Finding, Kind
from ansible_collections.levibot.transition.plugins.module_utils.evidence.moments import (
    CLOCK_SKEW_SECONDS,
    MomentError,
    iso,
    parse_moment,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import REQUIRED, Field, duration, text
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import format_duration

GO = "go"
LEDGER = "the ledger"


@dataclass(frozen=True)
class Said:
    """One approval or attestation of this version. ``why_not`` is empty where it counts."""

    who: str
    reason: str
    at: str
    until: str
    why_not: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def entries(records: Iterable[Any], kind: str, action: str) -> list[Mapping[str, Any]]:
    """In the order in which they were written."""
    found = [
        entry
        for entry in records
        if isinstance(entry, Mapping)
        and entry.get("kind") == kind
        and isinstance(entry.get("data"), Mapping)
        and entry["data"].get("action") == action
    ]
    return sorted(found, key=_seq)


def said(case: Case, action: str, what: str) -> list[Said]:
    """What was said for this version, one for each person: the newest of each, whether it counts or not."""
    mine: Callable[[Mapping[str, Any]], bool] = lambda entry: (  # noqa: E731
        entry["data"].get("version") == case.version and (action == GO or entry["data"].get("item") == what)
    )
    newest = {_key(entry["data"].get("who")): entry for entry in entries(case.records, "approval", action) if mine(entry)}
    revoked = [entry for entry in entries(case.records, "approval", "revoke") if entry["data"].get("what") == what]
    return [_read(entry, revoked, case) for entry in newest.values()]


def _read(entry: Mapping[str, Any], revoked: list[Mapping[str, Any]], case: Case) -> Said:
    data = entry["data"]
    who, reason = (" ".join(str(data.get(key) or "").split()) for key in ("who", "reason"))
    at, until = (str(value or "") for value in (entry.get("at"), data.get("until")))
    return Said(who, reason, at, until, _why_not(entry, who, reason, revoked, case))


def _why_not(entry: Mapping[str, Any], who: str, reason: str, revoked: list[Mapping[str, Any]], case: Case) -> str:
    # One who takes it back takes back all that was said before: to say it again is easy, and to overlook it is not.
    taken_back = [other for other in revoked if other.get("rollout") == entry.get("rollout") and _seq(other) > _seq(entry)]
    by = taken_back[-1]["data"].get("who") if taken_back else ""
    at, until = entry.get("at"), entry["data"].get("until")
    try:
        given, ends = parse_moment(at), parse_moment(until) if until else None
    except MomentError as exc:
        return f"its time {exc}"
    reasons = (
        (not who, "it names nobody"),
        (not reason, f"that of {who} has no reason"),
        (case.approvers and _key(who) not in {_key(name) for name in case.approvers}, f"{who} is not on the list of approvers"),
        (taken_back, f"that of {who} was revoked by {by or 'somebody'}"),
        (given > case.now + CLOCK_SKEW_SECONDS, f"that of {who} is dated {at}, which is in the future"),
        (ends is not None and ends <= case.now, f"that of {who} expired at {until}"),
    )
    return next((why for wrong, why in reasons if wrong), "")


def look_for_approval(_given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    finding.source = LEDGER
    by = f" by {', '.join(case.approvers)}" if case.approvers else " by anybody (no approvers are named)"
    finding.wanted.append(f"{_count(case.approvals)} of {case.version}{by}")
    told = said(case, GO, GO)
    _judge(told, case.approvals, finding)
    if len(_counted(told)) < case.approvals:
        others = {str(entry["data"].get("version")) for entry in entries(case.records, "approval", GO)} - {case.version}
        about = f" (those of {', '.join(sorted(others))} do not count)" if others and not told else ""
        finding.wrong(
            f"{len(_counted(told))} of {_count(case.approvals)} of {case.version}{about}", "approve it with playbooks/approve.yml"
        )


def look_for_attestation(_given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    finding.source = LEDGER
    finding.wanted.append(f"an attestation of {case.item} for {case.version}")
    told = said(case, "attest", case.item)
    _judge(told, 1, finding)
    if not _counted(told):
        finding.wrong(f"nobody attests {case.item} for {case.version}", f"attest {case.item} with playbooks/approve.yml, with a reason")


def look_for_result(given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    finding.source = LEDGER
    wanted = [f"{one.value} {one.op} {case.expand(one.limit)}" for one in given["match"]]
    having = f" with {' and '.join(wanted)}" if wanted else ""
    finding.wanted.append(f"a {given['action']}{having}")
    finding.wanted.append(f"at most {format_duration(given['max_age'])} old")
    there = entries(case.records, "result", given["action"])
    fitting = [entry for entry in there if _matches(given["match"], entry["data"], case)]
    if not fitting:
        finding.wrong(f"no {given['action']}{having if there else ''} is in the ledger", given.get("fix", ""))
        return
    newest = fitting[-1]
    finding.source = f"{LEDGER}, {newest.get('rollout')}"
    try:
        finding.at = parse_moment(newest.get("at"))
    except MomentError as exc:
        finding.wrong(f"its time {exc}", "look at the ledger")
        return
    too_old(finding, given["max_age"], case, given.get("fix") or "do it again")
    judge(given["conditions"], newest["data"], case, finding, given.get("fix", ""))


def _matches(wanted: list[Condition], data: Mapping[str, Any], case: Case) -> bool:
    return not any(unmet(search(one.value, data), one.op, case.expand(one.limit)) for one in wanted)


def _judge(told: list[Said], needed: int, finding: Finding) -> None:
    counted = _counted(told)
    finding.found += [f"{one.who}: {one.reason}" for one in counted]
    # One that does not count is a problem only where it is missed.
    for one in told:
        if one.why_not and len(counted) < needed:
            finding.wrong(one.why_not)
        elif one.why_not:
            finding.found.append(f"not counted: {one.why_not}")
    times = [parse_moment(one.at) for one in counted]
    finding.at = min(times, default=None)
    ends = sorted(one.until for one in counted if one.until)
    if ends:
        finding.found.append(f"until {iso(parse_moment(ends[0]))}")


def _counted(told: list[Said]) -> list[Said]:
    return [one for one in told if not one.why_not]


def _count(approvals: int) -> str:
    return "1 approval" if approvals == 1 else f"{approvals} approvals by different people"


def _key(who: Any) -> str:
    return " ".join(str(who or "").split()).casefold()


def _seq(entry: Mapping[str, Any]) -> float:
    seq = entry.get("seq")
    return float(seq) if isinstance(seq, (int, float)) else 0.0


RESULT = Kind(
    look_for_result,
    fields={
        "action": Field(text, REQUIRED),
        "max_age": Field(duration, REQUIRED),
        "match": Field(conditions, ()),
        "conditions": Field(conditions, REQUIRED),
        "fix": Field(text),
    },
)
APPROVAL = Kind(look_for_approval)
ATTESTATION = Kind(look_for_attestation)
