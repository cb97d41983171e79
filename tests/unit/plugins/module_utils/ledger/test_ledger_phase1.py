# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.ledger import phase1
from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import timestamp

NOW = 1_795_000_000.0
DAY = 86_400.0
VERSION = "v1.8.0-beta"
IMAGES = {"api": "levibot/api@sha256:0123", "panel": "levibot/panel@sha256:4567"}
PLAN = "sha256:89ab"


def entry(kind, ago=60.0, seq=1, **data):
    return {"kind": kind, "at": timestamp(NOW - ago), "seq": seq, "data": data}


def go(who, ago=60.0, until=None, reason="all is well"):
    return entry("approval", ago, action="go", version=VERSION, who=who, reason=reason, until=until and timestamp(until))


def attest(item, who, ago=60.0):
    return entry("approval", ago, action="attest", item=item, version=VERSION, who=who, reason="seen", until=None)


def revoke(what, ago=30.0):
    return entry("approval", ago, action="revoke", what=what, version=VERSION, who="maria", reason="a bug")


def released(**digests):
    images = {name: {"image": digest.partition("@")[0], "digest": digest} for name, digest in (digests or IMAGES).items()}
    return entry("result", 300, action="release", version=VERSION, images=images)


ITEMS = [{"id": "backup", "name": "Backup strategy verified", "passed": True, "text": "", "evidence": [{"kind": "files", "passed": True}]}]


def verdict(word="GO", ago=30.0, *, version=VERSION, images=IMAGES, plan=PLAN, items=ITEMS):
    return entry("verdict", ago, action="go", verdict=word, version=version, plan_digest=plan, images=images, items=items)


def who(entries):
    return [said["who"] for said in phase1.approvals(entries, NOW).get("go", [])]


def test_the_last_release_counts():
    assert phase1.release_record([]) == {}
    last = released(api="levibot/api@sha256:ffff")
    assert phase1.digests(phase1.release_record([released(), entry("intent", action="release"), last])) == {
        "api": "levibot/api@sha256:ffff"
    }


@pytest.mark.parametrize(
    ("entries", "standing"),
    [
        ([go("maria")], ["maria"]),
        ([go("maria"), go("jan")], ["maria", "jan"]),
        ([go("maria", 90), go(" MARIA ", 60)], [" MARIA "]),
        ([go("maria", until=NOW - 1)], []),
        ([go("maria", until=NOW + 1)], ["maria"]),
        ([go("maria", ago=-5)], []),
        ([go("maria"), go("jan"), revoke("go")], []),
        ([go("maria"), revoke("go"), go("jan", 10)], ["jan"]),
        ([go("maria"), revoke("on_call")], ["maria"]),
        ([attest("on_call", "maria")], []),
        ([go("maria", 90), go("maria", 60, until=NOW - 1)], []),  # what was said last counts, also where it is over
    ],
)
def test_who_approves(entries, standing):
    assert who(entries) == standing


def test_attestations_are_told_apart_by_their_item():
    found = phase1.approvals([attest("on_call", "maria"), attest("backup", "jan"), revoke("backup")], NOW)
    assert {what: [said["who"] for said in kept] for what, kept in found.items()} == {"on_call": ["maria"]}


GOOD = {"what": "go", "who": "maria", "reason": "soaked for a day", "until": "", "revoke": False}


@pytest.mark.parametrize(
    ("wrong", "path", "said"),
    [
        ({"what": "bakcup"}, "approve_what", "backup"),
        ({"who": "  "}, "approve_who", "name the person"),
        ({"who": "mallory"}, "approve_who", "maria, jan"),
        ({"reason": ""}, "approve_reason", "say why"),
        ({"until": timestamp(NOW - 1)}, "approve_until", "to come"),
        ({"until": "tomorrow"}, "approve_until", "offset from UTC"),
        ({"until": "2030-01-01T00:00:00"}, "approve_until", "offset from UTC"),
    ],
)
def test_each_mistake_of_an_approval(wrong, path, said):
    about = {"version": VERSION, "approvers": ["maria", "jan"], "items": ["backup"], "now": NOW}
    assert phase1.mistakes(GOOD, **about) == []
    (mistake,) = phase1.mistakes({**GOOD, **wrong}, **about)
    assert mistake["path"] == path
    assert said in mistake["fix"]


def test_all_mistakes_of_an_approval_come_at_once():
    wrong = {"what": "", "who": "", "reason": None, "until": "soon"}
    found = phase1.mistakes(wrong, version=VERSION, approvers=[], items=["backup"], now=NOW)
    assert [mistake["path"] for mistake in found] == ["approve_what", "approve_who", "approve_reason", "approve_until"]


def test_anybody_may_approve_where_no_approver_is_named():
    assert phase1.mistakes({**GOOD, "who": "anybody"}, version=VERSION, approvers=[], items=[], now=NOW) == []


def test_what_is_said_already_is_not_said_again():
    data = phase1.approval({**GOOD, "until": timestamp(NOW + DAY)}, VERSION)
    assert data == {
        "action": "go", "version": VERSION, "who": "maria", "reason": "soaked for a day", "until": timestamp(NOW + DAY),
    }  # fmt: skip
    assert not phase1.is_said([], data, NOW)
    assert phase1.is_said([entry("approval", **data)], data, NOW)
    assert not phase1.is_said([entry("approval", **data)], {**data, "reason": "another"}, NOW)
    taken = phase1.approval({**GOOD, "revoke": True}, VERSION)
    assert not phase1.is_said([entry("approval", **data)], taken, NOW)
    assert phase1.is_said([entry("approval", **data), revoke("go")], taken, NOW)
    item = phase1.approval({**GOOD, "what": "backup"}, VERSION)
    assert (item["action"], item["item"]) == ("attest", "backup")


STANDING = [released(), go("maria"), verdict()]


def stands(entries, **more):
    about = {"plan_digest": PLAN, "needed": 1, **more}
    return phase1.standing_go(entries, VERSION, NOW, DAY, **about)


def test_a_go_that_stands():
    found = stands(STANDING)
    assert (found["go"], found["problem"], found["approved_by"], found["age_seconds"]) == (True, "", ["maria"], 30)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([], "no GO for v1.8.0-beta"),
        ([released(), go("maria")], "no GO"),
        ([released(), go("maria"), verdict(version="v1.7.0")], "no GO"),
        ([*STANDING, verdict("NO-GO", 10, items=[{**ITEMS[0], "passed": False}])], "Backup strategy verified"),
        ([released(), go("maria"), verdict(ago=DAY + 61)], "24.0 h old"),
        ([released(), go("maria"), verdict(ago=-60)], "from the future"),
        ([released(), go("maria"), verdict(plan="sha256:other")], "another plan"),
        ([*STANDING, released(api="levibot/api@sha256:ffff")], "not those that the GO was given for"),
        ([go("maria"), verdict()], "not those that the GO was given for"),
        ([go("maria"), verdict(images={})], "not those that the GO was given for"),
        ([*STANDING, revoke("go", 10)], "was revoked"),
        ([released(), go("maria", until=NOW - 1), verdict()], "its time is up"),
    ],
)
def test_what_keeps_a_go_from_standing(entries, said):
    found = stands(entries)
    assert not found["go"]
    assert said in found["problem"]
    assert found["fix"]


def test_a_go_after_a_no_go_stands():
    assert stands([released(), go("maria"), verdict("NO-GO", 60), verdict("GO", 30)])["go"]


@given(st.floats(0, 3 * DAY))
def test_a_go_stands_just_as_long_as_it_may(age):
    assert stands([released(), go("maria"), verdict(ago=round(age, 2))])["go"] is (round(age, 2) <= DAY + 0.0005)


def change(path, value):
    data = copy.deepcopy(verdict()["data"])
    at = data
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("data", "news"),
    [
        (verdict()["data"], False),
        (change(["items", 0, "text"], "2 days old"), False),
        (change(["items", 0, "passed"], False), True),
        (change(["items", 0, "evidence", 0, "passed"], False), True),
        (change(["verdict"], "NO-GO"), True),
        (change(["images", "api"], "levibot/api@sha256:ffff"), True),
        (change(["plan_digest"], "sha256:other"), True),
    ],
)
def test_only_what_differs_in_substance_is_recorded(data, news):
    assert phase1.is_news([verdict()], data, NOW, DAY) is news


def test_a_verdict_is_recorded_anew_in_the_second_half_of_its_time():
    assert phase1.is_news([], verdict()["data"], NOW, DAY)
    assert not phase1.is_news([verdict(ago=DAY / 2 - 1)], verdict()["data"], NOW, DAY)
    assert phase1.is_news([verdict(ago=DAY / 2 + 1)], verdict()["data"], NOW, DAY)


def test_a_verdict_is_recorded_anew_where_somebody_has_said_something_since():
    """Or its report would be dated before an approval that it shows."""
    assert phase1.is_news([verdict(), go("jan", 10)], verdict()["data"], NOW, DAY)
    assert not phase1.is_news([go("jan"), verdict()], verdict()["data"], NOW, DAY)


def test_the_last_override_of_a_version_is_known():
    boss, maria = ({"who": who, "reason": "a hotfix"} for who in ("boss", "maria"))
    begun = [entry("opened", version=VERSION, go={"overridden": one}) for one in (boss, maria, None)]
    assert phase1.last_override([*begun, entry("opened", version=VERSION)], VERSION) == maria
    assert phase1.last_override([entry("opened", version="v2", go={"overridden": boss}), verdict()], VERSION) is None


def test_what_is_kept_of_the_items():
    item = {
        **ITEMS[0],
        "more": 1,
        "evidence": [{"kind": "files", "source": "/x", "passed": True, "found": "a", "wanted": "b", "at": None, "problem": "", "fix": "f"}],
    }
    (kept,) = phase1.shortened([item])
    assert set(kept) == {"id", "name", "passed", "text", "evidence"}
    assert "fix" not in kept["evidence"][0]


def test_a_no_go_lists_what_did_not_pass_and_what_to_do():
    bad = {"source": "the engine", "passed": False, "problem": "down", "fix": "start it"}
    unasked = {"source": "app1", "passed": False, "problem": "could not be asked: down", "fix": ""}
    items = [
        ITEMS[0],
        {"id": "docker", "name": "Docker", "passed": False, "text": "", "evidence": [bad, unasked]},
        {"id": "ports", "name": "Ports", "passed": False, "text": "", "evidence": [unasked]},
        {"id": "none", "name": "None", "passed": False, "text": "there is no evidence", "evidence": []},
    ]
    assert phase1.message(VERSION, items).splitlines() == [
        "NO-GO for v1.8.0-beta: 3 of 4 did not pass.",
        "- Docker (docker)",
        "    the engine: down",
        "      fix: start it",
        "    app1: could not be asked: down",
        "- None (none): there is no evidence",
        "- Could not be asked: Ports",
        "    app1: could not be asked: down",
    ]
