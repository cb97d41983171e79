# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case
from ansible_collections.levibot.transition.plugins.module_utils.evidence.records import GO, said
from tests.evidence_bed import JSON, NOW, VERSION

RECORD = f"phase1-{VERSION}"
TIME = "2026-11-27T10:00:00.000Z"


def entry(kind="approval", at=TIME, rollout=RECORD, **data):
    return {"kind": kind, "at": at, "rollout": rollout, "data": data}


def approval(who="maria", **keys):
    return entry(**{"action": "go", "version": VERSION, "who": who, "reason": "the soak was clean", "until": None, **keys})


def revocation(who="ivo", what="go", **keys):
    return entry(action="revoke", what=what, who=who, reason="too early", **keys)


@pytest.fixture
def approve(look):
    def judged(*records, **changed):
        numbered = tuple({"seq": number, **record} for number, record in enumerate(records, 1))
        return look({"kind": "approval"}, records=numbered, **changed)

    return judged


def test_one_approval_is_enough_where_one_is_asked_for(approve):
    seen = approve(approval())
    assert seen["passed"]
    assert seen["found"] == "maria: the soak was clean"
    assert seen["wanted"] == f"1 approval of {VERSION} by anybody (no approvers are named)"
    assert (seen["at"], seen["age_seconds"]) == ("2026-11-27T10:00:00Z", 36000)


def test_four_eyes_are_two_people(approve):
    wanted = {"approvers": ("Maria", "ivo"), "approvals": 2}
    assert approve(approval("maria"), approval("ivo"), **wanted)["passed"]
    seen = approve(approval("maria"), approval(" MARIA "), **wanted)
    assert not seen["passed"]
    assert seen["problem"] == f"1 of 2 approvals by different people of {VERSION}"
    assert not approve(approval("maria"), approval("eve"), **wanted)["passed"]


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ((), f"0 of 1 approval of {VERSION}"),
        ((approval("eve"),), f"eve is not on the list of approvers; 0 of 1 approval of {VERSION}"),
        ((approval(version="v1.7.0"),), f"0 of 1 approval of {VERSION} (those of v1.7.0 do not count)"),
        (
            (approval(until="2026-11-27T19:59:59Z"),),
            f"that of maria expired at 2026-11-27T19:59:59Z; 0 of 1 approval of {VERSION}",
        ),
        ((approval(), revocation()), f"that of maria was revoked by ivo; 0 of 1 approval of {VERSION}"),
        (
            (approval(at="2026-11-27T21:00:00.000Z"),),
            f"that of maria is dated 2026-11-27T21:00:00.000Z, which is in the future; 0 of 1 approval of {VERSION}",
        ),
        ((approval(reason=" "),), f"that of maria has no reason; 0 of 1 approval of {VERSION}"),
        ((approval(until="soon"),), f"its time is 'soon' and no time; 0 of 1 approval of {VERSION}"),
        ((approval(until=True),), f"its time is no time; 0 of 1 approval of {VERSION}"),
        ((entry(kind="note", action="go", version=VERSION, who="maria", reason="x"),), f"0 of 1 approval of {VERSION}"),
    ],
)
def test_each_approval_that_does_not_count_says_why(approve, records, problem):
    seen = approve(*records, approvers=("maria", "ivo"))
    assert not seen["passed"]
    assert seen["problem"] == problem


def test_what_was_revoked_can_be_approved_again(approve):
    assert approve(approval(), revocation(), approval("ivo"))["passed"]
    assert approve(approval(), revocation(what="backup"))["passed"]
    assert approve(approval(), revocation(rollout="phase1-v1.7.0"))["passed"]


def test_the_newest_word_of_a_person_counts(approve):
    assert not approve(approval(), approval(until="2026-11-27T12:00:00Z"))["passed"]
    assert approve(approval(until="2026-11-27T12:00:00Z"), approval(until="2026-11-28T12:00:00Z"))["passed"]


def test_one_that_does_not_count_is_told_beside_those_that_do(approve):
    seen = approve(approval("eve"), approval("maria", until="2026-11-28T12:00:00Z"), approvers=("maria",))
    assert seen["passed"]
    assert seen["found"] == "maria: the soak was clean; not counted: eve is not on the list of approvers; until 2026-11-28T12:00:00Z"


def test_an_attestation_is_for_one_item_and_one_version(look):
    def attested(**keys):
        told = {"action": "attest", "item": "item", "version": VERSION, "who": "maria", "reason": "seen in the rota", **keys}
        return look({"kind": "attestation"}, records=(entry(**told),), approvers=("maria",))

    assert attested()["passed"]
    assert attested(item="backup")["problem"] == f"nobody attests item for {VERSION}"
    assert attested(version="v1.7.0")["problem"] == f"nobody attests item for {VERSION}"
    assert attested(who="eve")["problem"] == f"eve is not on the list of approvers; nobody attests item for {VERSION}"
    assert attested(until="2026-11-27T12:00:00Z")["problem"].startswith("that of maria expired at 2026-11-27T12:00:00Z")


DRILL = {
    "kind": "ledger",
    "action": "drill",
    "max_age": "7d",
    "match": [{"value": "versions.stable", "must": "== $stable_version"}],
    "conditions": [{"value": "passed", "must": "== true"}, {"value": "seconds", "must": "<= 300"}],
}


def drill(at=TIME, **keys):
    told = {"action": "drill", "passed": True, "seconds": 12.5, "versions": {"stable": "v1.7.0", "idle": VERSION}, **keys}
    return entry("result", at, "drill-20261127T100000Z", **told)


def test_a_drill_in_the_ledger_passes(look):
    seen = look(DRILL, records=(drill(),))
    assert seen["passed"]
    assert seen["source"] == "the ledger, drill-20261127T100000Z"
    assert seen["found"] == "passed is true; seconds is 12.5"


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ((), "no drill is in the ledger"),
        ((drill(versions={"stable": "v1.6.0"}),), "no drill with versions.stable == v1.7.0 is in the ledger"),
        ((drill(versions=None),), "no drill with versions.stable == v1.7.0 is in the ledger"),
        ((drill(passed=False),), "passed is false, not == true"),
        ((drill(seconds=301),), "seconds is 301, not <= 300"),
        ((drill(seconds=None),), "seconds is not there"),
        ((drill(at="2026-11-20T10:00:00.000Z"),), "is of 2026-11-20T10:00:00Z, and so older than 7d"),
        ((drill(at="2026-11-28T10:00:00.000Z"),), "is dated 2026-11-28T10:00:00Z, which is in the future"),
        ((drill(at=None),), "its time is not there"),
        ((drill(), drill(seconds=400)), "seconds is 400, not <= 300"),
        ((entry("intent", action="drill"),), "no drill is in the ledger"),
    ],
)
def test_each_failure_of_a_drill_alone(look, records, problem):
    assert look(DRILL, records=records)["problem"] == problem


def test_a_pair_that_is_not_known_is_compared_with_nothing(look):
    assert look(DRILL, records=(drill(),), stable_version="")["problem"] == "$stable_version is not known"


ENTRY = st.fixed_dictionaries(
    {"kind": st.just("approval"), "data": st.fixed_dictionaries({"action": st.just("go")}, optional={"version": st.just(VERSION)}) | JSON},
    optional={"at": JSON, "seq": JSON, "rollout": JSON},
)


@given(st.lists(ENTRY | JSON, max_size=4))
def test_garbage_in_the_ledger_approves_nothing(records):
    case = Case(version=VERSION, now=NOW, records=tuple(records))
    assert all(one.why_not for one in said(case, GO, GO))
