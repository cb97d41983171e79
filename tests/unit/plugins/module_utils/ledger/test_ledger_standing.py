# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout that is cut off behind any of its entries goes on where it stood."""

from __future__ import annotations

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.ledger.standing import decide, essence

VERSION, DIGEST = "v1.8.0-beta", "sha256:1"
WEIGHTS = {"phase2.step1": 10, "phase2.step2": 50, "phase2.step3": 100}
GATES = list(WEIGHTS)


def entry(kind, **data):
    return {"kind": kind, "data": data}


OPENED = entry(
    "opened",
    version=VERSION,
    plan_digest=DIGEST,
    stable={"slot": "blue"},
    candidate={"slot": "green"},
    steps=[{"weight": weight, "gate": {"id": gate, "on_fail": "rollback"}} for gate, weight in WEIGHTS.items()],
)


def step(gate, verdict="pass"):
    weight = {"action": "weight", "step": gate, "weight_percent": WEIGHTS[gate]}
    return [
        entry("intent", **weight),
        entry("result", **weight),
        entry("look", gate=gate, started_at=1000.0, at_seconds=5.0, state={"judge": {}}),
        entry("verdict", gate=gate, verdict=verdict, reason=f"{gate}: {verdict}", breach=verdict == "fail"),
    ]


DEPLOYED = [OPENED, entry("intent", action="deploy"), entry("result", action="deploy")]
WALKED = [*DEPLOYED, *[item for gate in GATES for item in step(gate)]]
WHOLE = [
    *WALKED,
    entry("intent", action="promote"),
    entry("result", action="promote"),
    entry("intent", action="decommission"),
    entry("closed", outcome="promoted"),
]


def edge(weight=0.0, stable="blue", **more):
    return {"canary": weight > 0, "weight": weight, "stable": stable, "text": f"{weight} %", "expired_notes": [], **more}


PROMOTED = edge(stable="green")
GONE = edge(expired_notes=[{"file": "expired-1"}])


def told(record, *edges, version=VERSION, digest=DIGEST):
    return decide(record, {f"edge-{number}": item for number, item in enumerate(edges, 1)}, version, digest)


def where(answer):
    return answer["do"], answer["stage"], answer["step"], len(answer["passed"]), bool(answer["look"])


# What two edges can say after each entry, when the run was killed right behind it, and how it goes on then.
S1, S2, S3 = GATES
AFTER = [
    ((edge(),), ("resume", "deploy", S1, 0, False)),  # opened
    ((edge(),), ("resume", "deploy", S1, 0, False)),  # deploy: intent
    ((edge(),), ("resume", "steps", S1, 0, False)),  # deploy: result
    ((edge(), edge(10)), ("resume", "steps", S1, 0, False)),  # 10 %: intent
    ((edge(10),), ("resume", "steps", S1, 0, False)),  # result
    ((edge(10),), ("resume", "steps", S1, 0, True)),  # look
    ((edge(10),), ("resume", "steps", S2, 1, False)),  # verdict
    ((edge(10), edge(50)), ("resume", "steps", S2, 1, False)),  # 50 %: intent
    ((edge(50),), ("resume", "steps", S2, 1, False)),
    ((edge(50),), ("resume", "steps", S2, 1, True)),
    ((edge(50),), ("resume", "steps", S3, 2, False)),
    ((edge(50), edge(100)), ("resume", "steps", S3, 2, False)),  # 100 %: intent
    ((edge(100),), ("resume", "steps", S3, 2, False)),
    ((edge(100),), ("resume", "steps", S3, 2, True)),
    ((edge(100),), ("resume", "promote", "", 3, False)),
    ((edge(100), PROMOTED), ("resume", "promote", "", 3, False)),  # promote: intent
    ((PROMOTED,), ("resume", "decommission", "", 3, False)),  # result
    ((PROMOTED,), ("resume", "decommission", "", 3, False)),  # decommission: intent
    ((PROMOTED,), ("open", "", "", 3, False)),  # closed
]


@pytest.mark.parametrize("length", range(1, len(WHOLE) + 1))
def test_a_rollout_goes_on_behind_its_last_entry(length):
    edges, expected = AFTER[length - 1]
    # Each edge may stand alone, or both together in any order: a change is made on them one after the other.
    for several in (edges, edges[::-1], *((one,) for one in edges), *((one, one) for one in edges)):
        assert where(told(WHOLE[:length], *several)) == expected, several


@pytest.mark.parametrize("length", range(4, 16))
@pytest.mark.parametrize("everywhere", [True, False])
def test_a_canary_that_expired_is_set_anew_and_its_step_begins_anew(length, everywhere):
    edges, (_do, _stage, step_, passed, _look) = AFTER[length - 1]
    weight = max(one["weight"] for one in edges)
    answer = told(WHOLE[:length], GONE, GONE if everywhere else edge(weight))
    last = answer["stage"] == "steps" and not step_  # all had passed: the last is judged again
    assert where(answer) == ("resume", "steps", step_ or S3, passed - last, False)
    assert answer["weights"]["edge-1"] == 0


def test_an_expiry_that_is_recorded_counts_until_the_weight_is_set_again():
    expired = [*DEPLOYED, *step(S1)[:3], entry("note", action="expired", edge="edge-1")]
    assert where(told(expired, edge())) == ("resume", "steps", S1, 0, False)
    again = [*expired, *step(S1)[:2]]
    assert where(told(again, edge(10))) == ("resume", "steps", S1, 0, False)
    assert told(again, edge())["do"] == "open"


@pytest.mark.parametrize("length", [5, 6, 7, 9, 10, 11, 13, 14, 15])
def test_what_somebody_took_back_stays_back(length):
    edges, _expected = AFTER[length - 1]
    answer = told(WHOLE[:length], edge(), edge())
    assert answer["do"] == "open"
    assert "taken back on edge-1, edge-2" in answer["close"]
    # One edge only: the others follow.
    assert told(WHOLE[:length], edge(), edges[0])["do"] == "back"


@pytest.mark.parametrize("length", range(1, len(WHOLE)))
def test_a_weight_that_nobody_recorded_is_refused(length):
    answer = told(WHOLE[:length], edge(33))
    assert answer["do"] == "refuse"
    assert "moved the split on edge-1" in answer["why"]
    assert "rollback.yml" in answer["fix"]


@pytest.mark.parametrize(("version", "digest", "says"), [("v1.9.0", DIGEST, "another version"), (VERSION, "sha256:2", "another plan")])
@pytest.mark.parametrize("length", range(1, len(WHOLE)))
def test_another_version_or_plan_is_refused(length, version, digest, says):
    edges, _expected = AFTER[length - 1]
    answer = told(WHOLE[:length], *edges, version=version, digest=digest)
    assert answer["do"] == "refuse"
    assert says in answer["why"]
    assert VERSION in answer["fix"]


def test_what_has_failed_goes_back_whatever_this_run_wants():
    for verdict in ("fail", "blind"):
        record = [*DEPLOYED, *step(S1), *step(S2, verdict)]
        for edges in ((edge(50),), (edge(50), edge()), (edge(),)):
            answer = told(record, *edges, version="v1.9.0")
            assert answer["do"] == "back"
            assert f"{S2}: {verdict}" in answer["why"]


def test_a_rollback_that_was_begun_is_finished():
    assert told([*WALKED, entry("intent", action="rollback")], edge(100))["do"] == "back"
    answer = told([*WALKED, entry("intent", action="promote"), entry("result", action="rollback")], PROMOTED, edge())
    assert answer["do"] == "back"
    assert answer["promoting"]


def test_a_warning_lets_pass_as_the_plan_says():
    warns = entry(
        "opened", **{**OPENED["data"], "steps": [{"weight": 10, "gate": {"id": S1, "on_fail": "warn"}}, OPENED["data"]["steps"][1]]}
    )
    record = [warns, *DEPLOYED[1:], *step(S1, "fail")]
    assert where(told(record, edge(10))) == ("resume", "steps", S2, 1, False)


def test_promotion_goes_on_where_one_edge_is_promoted_and_the_others_canary_expired():
    record = [*WALKED, entry("intent", action="promote")]
    answer = told(record, PROMOTED, GONE)
    assert where(answer) == ("resume", "promote", "", 3, False)
    assert answer["promoting"]
    assert answer["weights"] == {"edge-1": 0, "edge-2": 0}
    assert told(record, PROMOTED, edge())["do"] == "refuse"
    # Done on every edge, and not recorded: recorded now.
    assert where(told(record, PROMOTED, PROMOTED))[:2] == ("resume", "promote")


def test_edges_that_do_not_agree_after_the_promotion_are_refused():
    record = [*WALKED, entry("intent", action="promote"), entry("result", action="promote")]
    assert told(record, PROMOTED, edge())["do"] == "refuse"
    assert told(WALKED, PROMOTED, edge(100))["do"] == "refuse"  # nobody has meant to promote


def test_an_interrupted_soak_that_went_on_keeps_its_beginning():
    goes_on = entry("intent", action="weight", step=S1, weight_percent=10, continues=True)
    answer = told([*DEPLOYED, *step(S1)[:3], goes_on], edge(10))
    assert answer["look"]["started_at"] == 1000.0


def test_nothing_recorded_means_a_new_rollout():
    assert told([], edge())["do"] == "open"
    assert told([entry("note", text="a drill")], edge())["do"] == "open"
    assert decide(WALKED, {}, VERSION, DIGEST)["do"] == "open"


def test_of_the_looks_only_the_last_of_each_gate_is_needed():
    looks = [entry("look", gate=gate, at_seconds=at, samples={"a": 1}, started_at=1.0, state={}) for gate in (S1, S2) for at in (1, 2, 3)]
    kept = essence([OPENED, *looks[:3], entry("verdict", gate=S1), *looks[3:]])
    assert [item["kind"] for item in kept] == ["opened", "look", "verdict", "look"]
    assert [item["data"]["at_seconds"] for item in kept if item["kind"] == "look"] == [3, 3]
    assert all("samples" not in item["data"] for item in kept)
