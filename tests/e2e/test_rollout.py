# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole rollouts by playbooks/phase2_bluegreen.yml: the good release is promoted, a broken one ends in the safe state."""

from __future__ import annotations

import json
import time

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger
from tests.chaos.bed import Bed
from tests.chaos.invariants import safe

from .conftest import STATE, VERSION, Rollout, Sandbox, run

# Which checks may decide when the candidate breaks so. Several may see the same fault at the same look; none other may.
DECIDERS = {
    "errors": {"error_rate", "p0_p1_alerts"},
    "latency": {"latency_p95", "p0_p1_alerts", "performance_degradation"},
    # What does not answer is slow before it is an error.
    "crash": {"api_uptime", "error_rate", "p0_p1_alerts", "critical_alerts", "latency_p95", "performance_degradation", "paper_pnl_usd"},
    "hang": {"api_uptime", "error_rate", "p0_p1_alerts", "critical_alerts", "latency_p95", "performance_degradation", "paper_pnl_usd"},
    "alert": {"p0_p1_alerts", "critical_alerts"},
    "starved": {"error_rate", "latency_p95", "performance_degradation"},
}
ENOUGH_REQUESTS = 50  # of which none may reach the other slot
STEPS = {10: "phase2.step1", 50: "phase2.step2", 100: "phase2.step3"}


def assert_safe(sandbox: Sandbox, stable: str) -> None:
    """Every promise is kept, and stable serves everybody as before: seen in Caddy's counters, not only in files."""
    # A broken candidate costs its visitors something, and how much is judged elsewhere.
    assert safe(Bed().observe(explained=lambda _reason: True), stable) == []
    other = {"blue": "green", "green": "blue"}[stable]
    before = after = sandbox.slot_requests()
    deadline = time.monotonic() + 10
    while after[stable] < before[stable] + ENOUGH_REQUESTS and time.monotonic() < deadline:
        time.sleep(0.1)
        after = sandbox.slot_requests()
    assert after[stable] >= before[stable] + ENOUGH_REQUESTS
    assert after[other] == before[other]


def assert_one_digest(sandbox: Sandbox, slot: str) -> None:
    """On the tag, in the registry, in the ledger, and of what runs."""
    note = json.loads(run(["git", "-C", STATE / "remote.git", "notes", "--ref=levibot-release", "show", VERSION], check=True).stdout)
    with Ledger(STATE / "levibot/ledger.db", writable=False) as ledger:
        released = [entry.data for entry in ledger.read(f"phase1-{VERSION}") if entry.data.get("action") == "release"][-1]
    for service in ("api", "panel"):
        digest = sandbox.registry_digest(service)
        assert note["images"][service]["digest"] == released["images"][service]["digest"] == digest
        assert sandbox.running_digests(slot, service) == {digest}


def passed_steps(rollout: Rollout) -> list[str]:
    return [verdict["gate"] for verdict in rollout.verdicts if verdict["verdict"] == "pass"]


@pytest.mark.parametrize("weight", STEPS)
@pytest.mark.parametrize("fault", DECIDERS)
def test_a_broken_candidate_ends_in_the_safe_state(sandbox: Sandbox, fault: str, weight: int):
    stable = sandbox.stable_slot()
    rollout = sandbox.broken_rollout(fault, weight)
    assert rollout.exit_code != 0, rollout.output[-3000:]

    broken = rollout.verdicts[-1]
    assert broken["gate"] == STEPS[weight], broken
    assert broken["verdict"] in ("fail", "blind"), broken
    assert set(broken["deciding"]) <= DECIDERS[fault], broken
    assert broken["deciding"]
    assert passed_steps(rollout) == [gate for at, gate in STEPS.items() if at < weight]

    assert rollout.closed["outcome"] == "rolled_back"
    for check in broken["deciding"]:
        assert check in rollout.closed["reason"]
        assert check in rollout.output
    assert_safe(sandbox, stable)


def test_check_mode_changes_nothing_and_tells_what_would(sandbox: Sandbox):
    before = sandbox.everything()
    done = sandbox.rollout("--check", "--diff")
    assert done.exit_code == 0, done.output[-3000:]
    assert sandbox.everything() == before
    assert done.ledger == []
    candidate = {"blue": "green", "green": "blue"}[sandbox.stable_slot()]
    for weight in STEPS:
        assert f"+{candidate} {weight}.0 %" in done.output
    assert f"+{candidate} 100.0 % (stable)" in done.output


def test_the_good_release_is_promoted(sandbox: Sandbox):
    old = sandbox.stable_slot()
    new = {"blue": "green", "green": "blue"}[old]
    rollout = sandbox.rollout()
    assert rollout.exit_code == 0, rollout.output[-5000:]
    assert passed_steps(rollout) == list(STEPS.values())
    assert rollout.closed["outcome"] == "promoted"
    assert_safe(sandbox, new)
    assert sandbox.containers(old) == set()
    assert sandbox.containers(new) == {"api", "panel"}
    assert_one_digest(sandbox, new)

    again = sandbox.rollout()
    assert again.exit_code == 0
    assert "changed=0" in again.output
    assert "nothing to do" in again.output
