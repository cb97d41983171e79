# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import GENESIS, Entry, draft, link
from ansible_collections.levibot.transition.plugins.module_utils.proposals.lessons import criteria, learn

VERSION = "v1.8.0-beta"
ROLLOUT = f"20261124T112200Z-{VERSION}"


def entries(*told: tuple[str, str, float, dict[str, Any]]) -> list[Entry]:
    """(record, kind, minutes, data) each."""
    chain: list[Entry] = []
    for seq, (rollout, kind, minutes, data) in enumerate(told, 1):
        chain.append(link(draft(rollout, kind, data, 1_764_000_000 + minutes * 60), seq, chain[-1].hash if chain else GENESIS))
    return chain


def look(minutes: float, state: str = "pending", verdict: str = "pending", gate: str = "phase2.step1", mode: str = "enforce"):
    checks = [{"id": "error_rate", "mode": mode, "state": state}]
    return (ROLLOUT, "look", minutes, {"gate": gate, "verdict": verdict, "checks": checks, "samples": {"error_rate": {}}})


def verdict(minutes: float, word: str, took: float, window: float, gate: str = "phase2.step1", **more: Any):
    said = {"gate": gate, "verdict": word, "at_seconds": took, "window_seconds": window, **more}
    return (ROLLOUT, "verdict", minutes, said)


OPENED = (ROLLOUT, "opened", 0, {"version": VERSION})
CLEAN = [OPENED, look(1), look(2), verdict(30, "pass", 1801, 1800), (ROLLOUT, "closed", 40, {"outcome": "promoted"})]


def test_a_clean_rollout_went_well() -> None:
    learned = learn(entries(*CLEAN), VERSION)
    assert learned["went_well"] == [
        "phase2 ended promoted, after 40 min",
        "Gate phase2.step1 passed in its window, after 30 min 1 s and 2 looks",
        "The kill switch was never needed",
        "No gate was blind at any look",
    ]
    assert (learned["to_improve"], learned["actions"], learned["entries"]) == ([], [], 5)


def test_what_was_waited_for_held_and_blind_is_told() -> None:
    looks = [look(1, "breach"), look(2, "error"), look(5, "error"), look(6), look(31, verdict="hold"), look(32, "error", mode="observe")]
    learned = learn(entries(OPENED, *looks, verdict(42, "pass", 2520, 1800), (ROLLOUT, "closed", 43, {"outcome": "promoted"})), VERSION)
    gate = learned["gates"][0]
    assert (gate["extended"], gate["held_looks"], gate["blind"]) == ("12 min", 1, "4 min")
    assert gate["against"] == [{"check": "error_rate", "looks": 1}]
    assert learned["to_improve"] == [
        "Gate phase2.step1 passed only 12 min after its window; 1 looks held",
        "Gate phase2.step1 could not ask a source for 4 min",
        "Gate phase2.step1: error_rate was against its limit at 1 of 6 looks",
    ]
    assert len(learned["actions"]) == 2


def test_what_failed_is_told_with_its_reason() -> None:
    learned = learn(
        entries(
            (ROLLOUT, "opened", 0, {"version": VERSION, "go": {"overridden": {"who": "ada", "reason": "a demo"}}}),
            look(1, "fail", "fail"),
            verdict(2, "fail", 60, 1800, reason="error_rate is 3%"),
            (ROLLOUT, "result", 3, {"action": "rollback", "safe": True}),
            (ROLLOUT, "note", 3, {"action": "take_over", "text": "b took the lock over from a: it is gone", "reason": "it is gone"}),
            (ROLLOUT, "note", 3, {"action": "expired", "edge": "edge-1"}),
            ("kill-thrown", "note", 3.5, {"action": "kill thrown", "reason": "losing"}),
            (ROLLOUT, "closed", 4, {"outcome": "rolled_back", "reason": "the gate failed"}),
        ),
        VERSION,
    )
    assert learned["to_improve"] == [
        f"phase2 ({ROLLOUT}) ended rolled back: the gate failed",
        f"phase2 ({ROLLOUT}) was begun without a GO by ada: a demo",
        "Gate phase2.step1 failed after 1 min: error_rate is 3%",
        "Gate phase2.step1: error_rate was against its limit at 1 of 1 looks",
        "It was rolled back at 2025-11-24T16:03:00Z",
        "The lock was taken over at 2025-11-24T16:03:00Z: it is gone",
        "A canary expired at 2025-11-24T16:03:00Z: on edge-1",
        "The kill switch was thrown at 2025-11-24T16:03:30Z: losing",
    ]
    assert "The kill switch was never needed" not in learned["went_well"]
    assert len(learned["actions"]) == 6


def test_records_of_all_phases_are_found_and_no_others() -> None:
    learned = learn(
        entries(
            ("20261101T000000Z-v1.7.0", "opened", 0, {"version": "v1.7.0"}),
            ("kill-thrown", "note", -5, {"action": "kill thrown"}),
            (f"phase1-{VERSION}", "result", 1, {"action": "release"}),
            (f"phase1-{VERSION}", "verdict", 1, {"verdict": "NO-GO", "items": [{"id": "on_call", "passed": False}]}),
            (f"phase1-{VERSION}", "verdict", 1, {"verdict": "GO", "items": [{"id": "on_call", "passed": True}]}),
            ("drill-1", "result", 2, {"action": "drill", "passed": True, "seconds": 41, "versions": {"stable": "v1.7.0", "idle": VERSION}}),
            *CLEAN,
            ("kill-drill-1", "result", 50, {"action": "kill_drill", "passed": False, "version": VERSION, "problem": "no answer"}),
            (f"20261125T000000Z-{VERSION}", "opened", 60, {"version": VERSION, "phase": "phase3"}),
            (f"20261125T000000Z-{VERSION}", "result", 70, {"action": "kill", "reason": "a loss of 51 USD"}),
            (f"phase4-{VERSION}", "verdict", 80, {"verdict": "NOT VALIDATED", "items": [{"id": "uptime", "passed": False}]}),
        ),
        VERSION,
    )
    assert [one["phase"] for one in learned["records"]] == ["phase1", "drill", "phase2", "kill-drill", "phase3", "phase4"]
    assert "phase1: GO, after 1 that were not" in learned["went_well"]
    assert "phase4: NOT VALIDATED: uptime" in learned["to_improve"]
    assert "The rollback's drill passed after 41 s" in learned["went_well"]
    assert "The kill switch's drill failed: no answer" in learned["to_improve"]
    assert f"phase3 (20261125T000000Z-{VERSION}) has no end in the ledger" in learned["to_improve"]
    assert [event["what"] for event in learned["events"]] == ["drill", "drill", "kill"]


def test_an_empty_ledger_has_no_lessons() -> None:
    learned = learn([], VERSION)
    assert (learned["went_well"], learned["to_improve"], learned["entries"]) == ([], [], 0)


plain = st.recursive(
    st.none() | st.booleans() | st.floats(-1e3, 1e9) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)
data_of = st.dictionaries(
    st.sampled_from(["gate", "verdict", "checks", "action", "at_seconds", "go", "seconds", "deciding", "versions", "outcome", "version"]),
    plain,
)


@given(st.lists(st.tuples(st.sampled_from(["opened", "look", "verdict", "result", "note", "closed"]), data_of), max_size=8))
def test_whatever_a_record_holds_it_can_be_told(told: list[tuple[str, dict[str, Any]]]) -> None:
    learned = learn(entries(*((ROLLOUT, kind, number, data) for number, (kind, data) in enumerate(told))), VERSION)
    json.dumps(learned, allow_nan=False)


def test_criteria_are_never_ticked_and_say_what_is_known() -> None:
    fired = [{"alert": "LeviDown", "severity": "P0", "times": 2}]
    found = {"uptime": {"text": "99.97%", "probes": 172800}, "fired": fired}
    told = {(one["when"], one["name"]): one["so_far"] for one in criteria(found, {"pnl_usd": "12.30", "trades": 41})}
    assert told["Week 1", "99.9% uptime"] == "99.97% of 172800 probes"
    assert told["Week 1", "Zero P0 incidents"] == "P0 alerts fired: LeviDown 2 times"
    assert told["Month 1", "< 2 P1 incidents"] == "no P1 alert fired"
    assert told["Week 1", "Positive PnL"] == "12.30 USD on 41 trades"
    assert told["Month 1", "Sharpe > B&H + 0.3"] == "not known yet"
    assert {one["so_far"] for one in criteria({"uptime": None, "fired": None}, {})} == {"not known yet"}
