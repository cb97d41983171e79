# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import json

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.fleet import screen, status

IMAGE = {"id": "sha256:aaaa", "digest": "levibot/api@sha256:0123"}
AT = "2026-11-24T11:22:00.000Z"


def entry(kind, **data):
    return {"kind": kind, "at": AT, "data": data}


STEPS = [{"name": "10% Traffic", "weight": 10, "gate": {"id": "phase2.step1", "window_seconds": 1800}}]
OPENED = entry(
    "opened",
    version="v1.8.0-beta",
    plan_digest="sha256:1",
    stable={"slot": "blue", "version": "v1.7.0"},
    candidate={"slot": "green", "version": "v1.8.0-beta"},
    steps=STEPS,
)
WEIGHT = {"action": "weight", "step": "phase2.step1"}
SOAKING = [
    OPENED,
    entry("result", action="deploy"),
    entry("intent", **WEIGHT),
    entry("result", **WEIGHT),
    entry("look", gate="phase2.step1", started_at=1000.0, at_seconds=60.0, state={}, verdict="pending"),
]
LOCK = {
    "owner": {"user": "maria", "host": "ops-1", "pid": 4711},
    "since": AT,
    "heartbeat_age_seconds": 3.1,
    "heartbeat_at": AT,
    "rollout": "r",
}


def ledger(*entries):
    return {"rollout": "r", "entries": list(entries), "lock": LOCK, "chain": {"intact": True}}


def edge(weight=0.0, stable="blue", **more):
    text = f"green {weight} % (canary)" if weight else f"{stable} 100.0 % (stable)"
    other = {"blue": "green", "green": "blue"}[stable]
    told = {"stable": stable, "candidate": other, "canary": weight > 0, "weight": weight, "text": text}
    return {**told, "expired_notes": [], "problems": [], **more}


def slot(release, state="running", image_id="sha256:aaaa", mode="paper"):
    one = {
        "state": state,
        "health": "healthy",
        "image_id": image_id,
        "digest": "levibot/api@sha256:0123",
        "compose_files": ["/r/compose.yml"],
    }
    api = {"mode": mode, "kill_switch": False, "engines": [{"symbol": "BTC/USDT", "status": "running"}], "models": {}}
    return {"release": release, "images": {"api": IMAGE}, "containers": {"api": [one]} if state else {}, "api": api if state else None}


def app(**slots):
    return {"slots": {"blue": slot("v1.7.0"), "green": slot("v1.8.0-beta"), **slots}, "problems": []}


def disagreements(of, edges, apps):
    return status(of, edges, apps, now=1600.0)["disagreements"]


def test_a_rollout_on_its_way():
    found = status(ledger(*SOAKING), {"edge-1": edge(10)}, {"app-1": app()}, now=1600.0)
    assert found["disagreements"] == []
    assert found["rollout"]["stage"] == "phase2.step1"
    assert found["rollout"]["step"]["remaining_seconds"] == 1200
    text = screen(found)
    for part in (
        "open, at phase2.step1",
        "20 min left",
        "maria@ops-1 (process 4711)",
        "green 10",
        "levibot/api@sha256:0123",
        "BTC/USDT running",
    ):
        assert part in text
    assert text.endswith("Ledger and fleet agree.")
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("edges", "apps", "says"),
    [
        ({"edge-1": edge(10), "edge-2": edge(33)}, {}, "moved the split on edge-2"),
        ({"edge-1": edge(10), "edge-2": edge(33)}, {}, "the edges do not agree"),
        ({"edge-1": edge()}, {}, "taken back on edge-1"),
        ({"edge-1": edge(expired_notes=[{"file": "expired-1"}])}, {}, "the canary has expired on edge-1"),
        ({"edge-1": {"unreachable": True}}, {}, "edge edge-1 could not be asked: cannot be reached"),
        ({"edge-1": edge(10, problems=[{"path": "edge_run_dir", "found": "no heartbeat"}])}, {}, "no heartbeat"),
        ({"edge-1": edge(10)}, {"app-1": {"failed": True, "msg": "no python"}}, "app host app-1: no python"),
        ({"edge-1": edge(10)}, {"app-1": app(green=slot("v1.9.0"))}, "holds release v1.9.0; the ledger says v1.8.0-beta"),
        ({"edge-1": edge(10)}, {"app-1": app(green=slot("v1.8.0-beta", image_id="sha256:bbbb"))}, "its release v1.8.0-beta is"),
        ({"edge-1": edge(10)}, {"app-1": app(blue=slot("v1.7.0", state="exited"))}, "api in blue on app-1 has traffic and does not run"),
        ({"edge-1": edge(10)}, {"app-1": app(green=slot("v1.8.0-beta", mode="live"))}, "live engines (BTC/USDT) without having all"),
    ],
)
def test_every_disagreement_is_named(edges, apps, says):
    found = disagreements(ledger(*SOAKING), edges, apps)
    assert [one for one in found if says in one], found


def test_after_the_end_the_edges_are_held_to_the_outcome():
    closed = ledger(*SOAKING, entry("closed", outcome="rolled_back"))
    assert disagreements(closed, {"edge-1": edge()}, {}) == []
    assert "rolled back, so blue has all" in disagreements(closed, {"edge-1": edge(10)}, {})[0]
    promoted = ledger(*SOAKING, entry("closed", outcome="promoted"))
    assert disagreements(promoted, {"edge-1": edge(stable="green")}, {}) == []
    assert disagreements(promoted, {"edge-1": edge()}, {})


def test_without_a_ledger_the_fleet_is_shown_all_the_same():
    for broken in ({"failed": True, "msg": "damaged"}, {"unreachable": True}, {}):
        found = status(broken, {"edge-1": edge()}, {"app-1": app()}, now=0)
        assert found["disagreements"][0].startswith("the ledger could not be read")
        shown = screen(found)
        assert "edge edge-1: blue 100.0 %" in shown
        assert "is not known: the ledger could not be read" in shown
        assert "No rollout is recorded" not in shown
        assert "Nobody holds the lock" not in shown
    assert "No rollout is recorded" in screen(status(ledger(), {}, {}, now=0))


def test_an_interrupted_rollout_says_how_it_goes_on():
    nobody = {**ledger(*SOAKING), "lock": None}
    assert "start the same playbook again" in screen(status(nobody, {"edge-1": edge(10)}, {}, now=0))
    gone = {**ledger(*SOAKING), "lock": {**LOCK, "gone": True}}
    assert "that process is gone" in screen(status(gone, {"edge-1": edge(10)}, {}, now=0))


def test_what_it_is_given_stays_as_it_was():
    given = ledger(*SOAKING), {"edge-1": edge(10)}, {"app-1": app()}
    before = copy.deepcopy(given)
    screen(status(*given, now=0))
    assert given == before


def test_a_rollout_without_a_go_says_so():
    override = {"overridden": {"who": "maria", "reason": "a hotfix"}, "problem": "no GO"}
    shown = screen(status(ledger({**OPENED, "data": {**OPENED["data"], "go": override}}), {}, {}, now=0))
    assert "Begun without a GO (no GO): maria decided so, since: a hotfix" in shown
    approved = {"at": AT, "approved_by": ["jan"], "overridden": None}
    shown = screen(status(ledger({**OPENED, "data": {**OPENED["data"], "go": approved}}), {}, {}, now=0))
    assert "approved by jan" in shown


# Live trading

LIVE_GATE = {"id": "phase3.step1", "window_seconds": 14400}
LIVE_OPENED = entry(
    "opened",
    phase="phase3",
    version="v1.8.0-beta",
    plan_digest="sha256:1",
    slot="green",
    host="app-1",
    steps=[{"id": "phase3.step1", "name": "Single Symbol", "engines": {"BTC/USDT": "100.00"}, "gate": LIVE_GATE}],
)
START = {"action": "start", "step": "phase3.step1", "engines": {"BTC/USDT": "100.00"}}
TRADING = [
    LIVE_OPENED,
    entry("intent", **START),
    entry("result", **START),
    entry("look", gate="phase3.step1", started_at=1000.0, at_seconds=60.0, state={}, verdict="pending"),
]


def trading(*engines, mode="paper"):
    there = slot("v1.8.0-beta", mode=mode)
    there["api"]["engines"] = [{"status": "running", "mode": "live", **engine} for engine in engines]
    return there


BITCOIN = {"symbol": "BTC/USDT", "capital": 100.0, "position": -0.001}


def test_live_trading_on_its_way():
    found = status(
        ledger(*TRADING), {"edge-1": edge(stable="green")}, {"app-1": app(blue=slot("v1.7.0", state=""), green=trading(BITCOIN))}, 1600.0
    )
    assert found["disagreements"] == []
    assert (found["rollout"]["phase"], found["rollout"]["stage"]) == ("phase3", "phase3.step1")
    assert found["rollout"]["live"]["engines"] == {"BTC/USDT": "100.00"}
    text = screen(found)
    for part in (
        "open, at phase3.step1",
        "3 h 50 min left",
        "live by the record, in green on app-1: BTC/USDT with 100.00 USD",
        "phase3.step1 (BTC/USDT) not judged",
        "BTC/USDT running LIVE with 100.00 USD, position -0.001",
    ):
        assert part in text
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("entries", "apps", "stable", "word"),
    [
        (TRADING, {"green": trading()}, "green", "BTC/USDT is recorded as live, and does not run in green on app-1"),
        (
            TRADING,
            {"green": trading(BITCOIN, {"symbol": "XRP/USDT"})},
            "green",
            "XRP/USDT runs live in green on app-1, and the ledger does not",
        ),
        (
            TRADING,
            {"green": trading({**BITCOIN, "capital": 250})},
            "green",
            "has a capital of 250.00 in green on app-1; the ledger says 100.00",
        ),
        (
            TRADING,
            {"green": trading(BITCOIN), "blue": trading(BITCOIN)},
            "green",
            "BTC/USDT live in blue on app-1, and nothing in the ledger",
        ),
        (TRADING, {"green": trading(BITCOIN)}, "blue", "live trading is open in green, which does not have all the traffic"),
        ([*TRADING[:1]], {"green": trading(BITCOIN)}, "green", "BTC/USDT runs live in green on app-1"),
        ([*TRADING[:1]], {"green": trading({**BITCOIN, "mode": "LIVE", "status": "up"})}, "green", "BTC/USDT runs live in green on app-1"),
        ([*TRADING[:1]], {"green": trading({**BITCOIN, "mode": None}, mode=None)}, "green", "BTC/USDT runs live in green on app-1"),
    ],
)
def test_live_engines_that_are_not_as_recorded_are_a_disagreement(entries, apps, stable, word):
    found = disagreements(ledger(*entries), {"edge-1": edge(stable=stable)}, {"app-1": app(**apps)})
    assert any(word in text for text in found), found


@pytest.mark.parametrize("outcome", ["live", "rolled_back"])
def test_live_trading_that_is_over(outcome):
    record = [*TRADING, entry("verdict", gate="phase3.step1", verdict="pass"), entry("closed", outcome=outcome)]
    if outcome != "live":
        record.insert(-1, entry("result", action="stop", symbols=["BTC/USDT"]))
    engines = [BITCOIN] if outcome == "live" else []
    apps = {"app-1": app(blue=slot("v1.7.0", state=""), green=trading(*engines))}
    found = status(ledger(*record), {"edge-1": edge(stable="green")}, apps, 1600.0)
    assert found["disagreements"] == []
    assert f"closed: {outcome.replace('_', ' ')}" in screen(found)
