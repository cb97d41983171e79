# SPDX-License-Identifier: GPL-3.0-or-later
"""The checker of promises: a whole rollout keeps them at each of its instants, and each of them is seen when it is broken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.edge.split import Canary, Split, green_buckets
from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import GENESIS, Entry, draft, link
from tests.chaos.invariants import Observation, Requests, broken, safe

STEPS = [("p.step1", 10), ("p.step2", 50), ("p.step3", 100)]
OPENED = {
    "candidate": {"slot": "green", "version": "v2"},
    "stable": {"slot": "blue", "version": "v1"},
    "steps": [{"gate": {"id": gate}, "weight": weight} for gate, weight in STEPS],
    "go": {"verdict": "GO", "overridden": None},
}
OVERRIDDEN = {"verdict": "", "overridden": {"who": "maria", "reason": "a hotfix"}}
Record = list[tuple[str, dict[str, Any]]]


def step(gate: str, weight: int) -> Record:
    change = {"action": "weight", "step": gate, "weight_percent": weight}
    return [("intent", change), ("result", change), ("look", {"gate": gate}), ("verdict", {"gate": gate, "verdict": "pass"})]


def both(action: str) -> Record:
    return [("intent", {"action": action}), ("result", {"action": action})]


DEPLOYED: Record = [("opened", OPENED), *both("deploy")]
PROMOTED: Record = [*DEPLOYED, *(entry for gate, weight in STEPS for entry in step(gate, weight)), *both("promote")]
CLOSED: Record = [*PROMOTED, ("intent", {"action": "decommission"}), ("closed", {"outcome": "promoted"})]


def chain(*rollouts: Record) -> list[Entry]:
    entries: list[Entry] = []
    for number, record in enumerate(rollouts, start=1):
        for kind, data in record:
            item = draft(f"r{number}", kind, data, at=0)
            entries.append(link(item, len(entries) + 1, entries[-1].hash if entries else GENESIS))
    return entries


def edge(weight: float | None = None, stable: str = "blue", expires: int = 1100) -> dict[str, Split]:
    return {"e1": Split(stable, None if weight is None else Canary(green_buckets("green", weight), expires))}


def seen(record: Record, edges: dict[str, Split] | None = None, **more: Any) -> Observation:
    return Observation(now=1000.0, edges=edges or edge(), ledger=chain(record), **more)


def test_a_whole_rollout_keeps_its_promises_whenever_it_stops():
    weight = None
    for length in range(len(CLOSED) + 1):
        record = CLOSED[:length]
        if record and record[-1][0] == "result" and record[-1][1]["action"] == "weight":
            weight = record[-1][1]["weight_percent"]
        promoted = ("result", {"action": "promote"}) in record
        assert broken(seen(record, edge(None if promoted else weight, "green" if promoted else "blue"))) == []
        if not promoted:  # withdrawn, or expired
            assert broken(seen(record, edge())) == []
    assert safe(seen(CLOSED, edge(stable="green")), "green") == []
    assert safe(seen(CLOSED, edge(stable="blue")), "green") == ["edge e1: blue is stable, and not green"]


BACK = ("closed", {"outcome": "rolled_back"})
BROKEN = {
    "a weight that nobody meant": (seen([*DEPLOYED, *step(*STEPS[0])], edge(50)), "green has 50 %, and the ledger meant 10 %"),
    "a canary after the end": (seen([*DEPLOYED, *step(*STEPS[0]), BACK], edge(10)), "a canary without an open rollout"),
    "a rollout without a GO": (
        seen([("opened", {**OPENED, "go": {"verdict": "NO-GO"}})]),
        "opens it without a GO, and nobody has decided so",
    ),
    "an override without a reason": (seen([("opened", {**OPENED, "go": {"overridden": {"who": "maria"}}})]), "opens it without a GO"),
    "a gate that was skipped": (seen([*DEPLOYED, *step(*STEPS[1])]), "moves traffic for p.step2, and p.step1 had not passed"),
    "a gate that had failed": (
        seen([*DEPLOYED, *step(*STEPS[0])[:3], ("verdict", {"gate": "p.step1", "verdict": "fail"}), *step(*STEPS[1])[:1]]),
        "p.step1 had not passed",
    ),
    "traffic before the candidate is proven": (seen([("opened", OPENED), *step(*STEPS[0])]), "no deploy has proven"),
    "a promotion too early": (seen([*DEPLOYED, *step(*STEPS[0]), *both("promote")[:1]]), "promotes, and p.step2, p.step3 had not passed"),
    "a step that is repeated": (seen([*DEPLOYED, *step(*STEPS[0]), *step(*STEPS[0])[:1]]), "repeats p.step1"),
    "a change without an intent": (seen([*DEPLOYED, step(*STEPS[0])[1]]), "had no intent"),
    "a promotion without an intent": (
        seen([entry for entry in CLOSED if entry != ("intent", {"action": "decommission"})], edge(stable="green")),
        "no intent was recorded for decommission",
    ),
    "work after the end": (seen([*DEPLOYED, BACK, ("look", {"gate": "p.step1"})]), "comes after its end"),
    "a rollout that is opened twice": (seen([*DEPLOYED, ("opened", OPENED)]), "opens it again"),
    "two rollouts at once": (Observation(1000.0, edge(), chain(DEPLOYED, DEPLOYED)), "2 rollouts are open at once"),
    "a canary without expiry": (seen([*DEPLOYED, *step(*STEPS[0])], edge(10, expires=0)), "without expiry"),
    "a canary that outlives its expiry": (seen([*DEPLOYED, *step(*STEPS[0])], edge(10, expires=990)), "expired 10.0 s ago"),
    "a split that is none": (seen([], {"e1": Split("blue", broken_canary="canary: '??' is no share")}), "'??' is no share"),
    "a chain that was changed": (
        Observation(1000.0, edge(), [replace(chain(DEPLOYED)[0], data={}), *chain(DEPLOYED)[1:]]),
        "broken at entry 1: its content",
    ),
    "an entry that is gone": (Observation(1000.0, edge(), chain(CLOSED)[1:]), "broken at entry 1: entry 1 is missing"),
    "a ledger that is gone": (Observation(1000.0, edge(), None), "cannot be read"),
    "a secret in the ledger": (seen([*DEPLOYED, ("note", {"text": "it is hunter2"})], secrets=("hunter2",)), "a secret is in the ledger"),
    "a secret that is printed": (seen([], texts={"run.log": "-H hunter2"}, secrets=("hunter2",)), "a secret is in run.log"),
    "a request that is lost": (seen([], requests=Requests(100, {"status 502": 3})), "of 100 requests were lost"),
    "an image of the way back": (
        seen([], images=frozenset({"sha256:1"}), releases={"blue": frozenset({"sha256:1", "sha256:2"})}),
        "the release in blue cannot be started again: no image sha256:2",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_promise_that_is_broken_is_seen(name: str):
    observation, words = BROKEN[name]
    found = broken(observation)
    assert len(found) == 1, found
    assert words in found[0]


def test_an_override_is_a_decision():
    assert broken(seen([("opened", {**OPENED, "go": OVERRIDDEN})])) == []


def test_what_the_fault_explains_is_no_finding():
    assert broken(seen([], requests=Requests(100, {"refused": 3}), explained=lambda reason: reason == "refused")) == []
    assert broken(Observation(1000.0, edge(), None, ledger_lost=True)) == []
    # A tick, and a busy machine.
    assert broken(seen([*DEPLOYED, *step(*STEPS[0])], edge(10, expires=999))) == []


def test_a_run_can_die_between_an_intent_and_its_change():
    record = [*DEPLOYED, *step(*STEPS[0]), step(*STEPS[1])[0]]
    assert broken(seen(record, edge(10))) == []
    assert broken(seen(record, edge(50))) == []
    assert broken(seen(record, edge(100))) != []


# Live trading

LIVE_STEPS = {"l.step1": {"BTC/USDT": "100.00"}, "l.step2": {"ETH/USDT": "100.00"}}
LIVE_OPENED = {
    "phase": "phase3",
    "steps": [{"id": name, "engines": engines, "gate": {"id": name}} for name, engines in LIVE_STEPS.items()],
    "approval": {"approved_by": ["maria"]},
    "drill": {"passed": True},
    "policy": {"capital_usd": "200.00"},
}


def live_step(name: str, verdict: str = "pass") -> Record:
    change = {"action": "start", "step": name, "engines": LIVE_STEPS[name]}
    return [("intent", change), ("result", change), ("look", {"gate": name}), ("verdict", {"gate": name, "verdict": verdict})]


LIVE: Record = [("opened", LIVE_OPENED), *live_step("l.step1"), *live_step("l.step2"), ("closed", {"outcome": "live"})]


def test_live_trading_keeps_its_promises_whenever_it_stops():
    for length in range(len(LIVE) + 1):
        assert broken(seen(LIVE[:length])) == []
    stop = {"action": "stop", "symbols": ["BTC/USDT"]}
    failed = [LIVE[0], *live_step("l.step1", "fail"), ("intent", stop), ("result", stop), ("closed", {"outcome": "rolled_back"})]
    assert broken(seen(failed)) == []


@pytest.mark.parametrize(
    ("record", "word"),
    [
        ([("opened", {**LIVE_OPENED, "approval": {}})], "nobody has approved it"),
        ([("opened", {**LIVE_OPENED, "drill": {}})], "proved to work"),
        ([LIVE[0], *live_step("l.step2")], "l.step1 had not passed"),
        ([LIVE[0], *live_step("l.step1"), LIVE[-1]], "l.step2 had not passed"),
        ([LIVE[0], *live_step("l.step1", "fail"), *live_step("l.step1")], "had begun to end it"),
        ([("opened", {**LIVE_OPENED, "policy": {"capital_usd": "150"}}), *LIVE[1:]], "200.00 USD are live"),
        ([LIVE[0], *live_step("l.step1"), *live_step("l.step1")], "repeats l.step1"),
        ([LIVE[0], LIVE[2]], "had no intent"),
    ],
)
def test_a_broken_promise_of_live_trading_is_seen(record: Record, word: str):
    assert any(word in text for text in broken(seen(record)))
