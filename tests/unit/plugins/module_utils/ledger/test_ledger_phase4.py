# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phase 4 by the ledger: since when a version is live, what its validation needs, and when a verdict is news."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.ledger import phase4
from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import timestamp
from tests.evidence_bed import NOW, VERSION
from tests.validation_bed import DIGESTS, ENGINES, HOUR, LIVE, LIVE_AT, ROLLOUT, T0, entry, records, slot

PERIOD = 48 * HOUR
EDGES = {"edge1": {"stable": "green", "canary": False, "text": "green has all traffic"}}
APPS = {"app1": {"slots": {"green": slot(), "blue": {"containers": {}}}, "problems": []}}


def checks(entries=None, edges=EDGES, now=NOW):
    standing = phase4.standing(records() if entries is None else entries, VERSION)
    return {item["id"]: item for item in phase4.checks(standing, edges, APPS, PERIOD, now)}


def numbered(entries):
    return [{**one, "seq": number} for number, one in enumerate(entries, 1)]


def test_since_when_it_is_live_and_with_what():
    seen = phase4.standing(records(), VERSION)
    assert seen["period"] == {"rollout": ROLLOUT, "started": T0, "served": T0 + 60, "slot": "green", "stable": "blue"}
    assert seen["live"] == {
        "rollout": LIVE,
        "host": "app1",
        "slot": "green",
        "baseline": {"at": LIVE_AT - 60},
        "engines": ENGINES,
        "starts": {"BTC/USDT": [[LIVE_AT - 1, "100.00"]], "ETH/USDT": [[LIVE_AT + 4 * HOUR - 1, "100.00"]]},
        "sides": ["long", "short"],
        "limits": {"daily_loss_ratio": "0.05"},
        "since": LIVE_AT - 60,
        "activated": T0 + 48 * HOUR,
        "elsewhere": [],
    }


def attempt(name, at, engines, outcome="rolled_back", **about):
    """A Phase 3 of this version that was opened at `at`, started its engines a minute later, and ended after an hour."""
    where = {"version": VERSION, "slot": "green", "host": "app1", "baseline": {"at": at}, **about}
    return [
        entry("opened", name, at, phase="phase3", **where),
        entry("intent", name, at + 60, action="start", step="phase3.step1", engines=engines),
        entry("result", name, at + 61, action="start", step="phase3.step1", engines=engines),
        *([entry("result", name, at + 3599, action="kill", symbols=list(engines))] if outcome != "live" else []),
        entry("closed", name, at + 3600, outcome=outcome),
    ]


def live(*before, after=()):
    """What is told of live trading, with these attempts before the one that is in the ledger, and others after it."""
    told = records()
    return phase4.standing(numbered([*told[:5], *(one for each in before for one in each), *told[5:], *after]), VERSION)["live"]


def test_an_attempt_that_was_rolled_back_is_judged_with_the_last_one():
    at = T0 + 3 * HOUR
    seen = live(attempt("first", at, {"BTC/USDT": "50.00", "SOL/USDT": "100.00"}))
    assert (seen["rollout"], seen["engines"]) == (LIVE, ENGINES)
    assert (seen["baseline"], seen["since"], seen["elsewhere"]) == ({"at": at}, at, [])
    assert seen["starts"] == {
        "BTC/USDT": [[at + 60, "50.00"], [LIVE_AT - 1, "100.00"]],
        "SOL/USDT": [[at + 60, "100.00"]],
        "ETH/USDT": [[LIVE_AT + 4 * HOUR - 1, "100.00"]],
    }


def test_an_attempt_that_has_started_nothing_or_was_before_t0_is_none():
    nothing = [one for one in attempt("first", T0 + 3 * HOUR, {"BTC/USDT": "100.00"}) if one["kind"] in ("opened", "closed")]
    older = attempt("older", T0 - 5 * HOUR, {"BTC/USDT": "100.00"})
    assert live(nothing, older) == live()


@pytest.mark.parametrize("about", [{"host": "app2"}, {"slot": "blue"}])
def test_an_attempt_in_another_book_is_named(about):
    seen = live(attempt("first", T0 + 3 * HOUR, {"BTC/USDT": "100.00"}, **about))
    assert seen["elsewhere"] == ["first"]
    assert {**seen, "elsewhere": []} == live()


def test_an_engine_that_was_kept_has_traded_all_the_time():
    kept = {"BTC/USDT": "100.00", "ETH/USDT": "100.00"}
    again = attempt("again", NOW - HOUR, {"BTC/USDT": "100.00"}, "live", kept=kept)
    again.insert(3, entry("intent", "again", NOW - HOUR + 600, action="start", step="phase3.step2", engines={"ETH/USDT": "100.00"}))
    seen = live(after=again)
    assert (seen["rollout"], seen["baseline"], seen["starts"]) == ("again", {"at": LIVE_AT - 60}, live()["starts"])
    alone = phase4.standing(numbered([*records()[:5], *again]), VERSION)["live"]
    assert alone["starts"] == {"BTC/USDT": [[0.0, "100.00"]], "ETH/USDT": [[0.0, "100.00"]]}


def test_all_that_a_validation_needs_is_there():
    assert [(name, item["passed"]) for name, item in checks().items()] == [
        ("promoted", True),
        ("period", True),
        ("activated", True),
        ("traffic", True),
    ]


def test_too_early_says_when():
    item = checks(now=T0 + PERIOD - 1)["period"]
    assert not item["passed"]
    assert item["text"] == f"not yet: T+0 was at {timestamp(T0)}, and 48.0 h are over at {timestamp(T0 + PERIOD)}"
    assert checks(now=T0 + PERIOD)["period"]["passed"]


def ended(outcome, which):
    return [
        {**one, "data": {**one["data"], "outcome": outcome}} if one["kind"] == "closed" and one["rollout"] == which else one
        for one in records()
    ]


@pytest.mark.parametrize(
    ("entries", "name", "problem"),
    [
        ([], "promoted", f"{VERSION} is not promoted: it has no rollout"),
        ([], "period", "not yet: there is no T+0"),
        ([], "activated", "there is no record of it"),
        (ended("rolled_back", ROLLOUT), "promoted", f"its last rollout ({ROLLOUT}) was rolled_back"),
        (ended("rolled_back", LIVE), "activated", f"{LIVE} is rolled back"),
        ([one for one in records() if (one["kind"], one["rollout"]) != ("closed", LIVE)], "activated", f"{LIVE} is open"),
        (
            numbered([*records(), entry("opened", "again", NOW - 60, version=VERSION, candidate={"slot": "blue"})]),
            "promoted",
            "its last rollout (again) was not ended",
        ),
        (
            numbered(
                [
                    *records(),
                    entry("opened", f"{LIVE}-2", NOW - 60, phase="phase3", version=VERSION),
                    entry("closed", f"{LIVE}-2", NOW, outcome="failed"),
                ]
            ),
            "activated",
            f"{LIVE}-2 is failed",
        ),
    ],
)
def test_what_is_missing_is_told(entries, name, problem):
    item = checks(entries)[name]
    assert not item["passed"]
    assert problem in item["text"]
    assert item["evidence"][0]["fix"]


@pytest.mark.parametrize(
    ("edges", "problem"),
    [
        ({"edge1": {"stable": "blue"}}, "promoted to green, and the traffic goes to blue"),
        ({"edge1": {"stable": "green", "canary": True, "text": "50 %"}}, "a canary is open: 50 %"),
        ({"edge1": {}}, "cannot be asked"),
        ({"edge1": {"failed": True, "msg": "no Caddy"}}, "cannot be asked: no Caddy"),
        ({}, "no edge"),
        ({**EDGES, "edge2": {"stable": "blue"}}, "the edges do not agree"),
        # Its files say green, and the Caddy that runs does otherwise.
        (
            {"edge1": {**EDGES["edge1"], "problems": [{"path": "edge_site_url", "found": "does not split as its files say", "fix": "x"}]}},
            "edge1: edge_site_url: does not split as its files say",
        ),
    ],
)
def test_the_traffic_is_where_the_release_is(edges, problem):
    item = checks(edges=edges)["traffic"]
    assert not item["passed"]
    assert problem in item["text"]


def test_without_a_slot_to_compare_with_nobody_knows_where_the_traffic_belongs():
    item = checks([])["traffic"]
    assert not item["passed"]
    assert "neither the slot of the rollout nor that of live trading is known" in item["text"]
    assert item["evidence"][0]["fix"]


def item(passed=True, problem="", found="99.97%"):
    one = {
        "kind": "prometheus",
        "source": "Prometheus",
        "passed": passed,
        "found": found,
        "wanted": "",
        "at": None,
        "problem": problem,
        "fix": "mend it",
    }
    return {"id": "uptime", "name": "48h uptime", "passed": passed, "text": problem or found, "evidence": [one]}


def verdict(items, entries=None):
    entries = records() if entries is None else entries
    return phase4.verdict(entries, items, phase4.standing(entries, VERSION), version=VERSION, plan_digest="sha256:p")


def recorded(data):
    return phase4.last([entry("verdict", phase4.record_id(VERSION), NOW, **data)], VERSION)


def test_a_verdict():
    data = verdict([item()])
    assert {key: data[key] for key in ("action", "verdict", "version", "images", "rollout", "live", "since")} == {
        "action": "validation",
        "verdict": "VALIDATED",
        "version": VERSION,
        "images": DIGESTS,
        "rollout": ROLLOUT,
        "live": LIVE,
        "since": timestamp(T0),
    }
    assert verdict([item(), item(passed=False, problem="99.1%")])["verdict"] == "NOT VALIDATED"
    assert verdict([])["verdict"] == "NOT VALIDATED", "nothing was judged"


def test_what_says_the_same_is_no_news():
    data = verdict([item()])
    assert phase4.is_news({}, data)
    assert not phase4.is_news(recorded(data), copy.deepcopy(data))
    assert not phase4.is_news(recorded(data), verdict([item(found="99.98%")]))
    assert phase4.is_news(recorded(data), verdict([item(passed=False, problem="99.1%")]))
    assert phase4.is_news(recorded(data), {**data, "live": "another"})
    assert phase4.is_news(recorded(data), {**data, "plan_digest": "sha256:q"})


def test_the_last_one_of_this_version():
    old, new = verdict([item()]), verdict([item(passed=False)])
    entries = [
        entry("verdict", phase4.record_id(VERSION), NOW - 60, **old),
        entry("verdict", phase4.record_id(VERSION), NOW, **new),
        entry("verdict", phase4.record_id("v1.9.0"), NOW, **{**old, "version": "v1.9.0"}),
        entry("verdict", f"phase1-{VERSION}", NOW, action="go", version=VERSION),
    ]
    assert phase4.last(entries, VERSION) == {"at": timestamp(NOW), "data": new}
    assert phase4.last(entries, "v1.7.0") == {}
