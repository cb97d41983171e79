# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout whose control process is killed with all that belongs to it goes on where it stood when it is started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger

from .conftest import BIN, ENVIRONMENT, ROLLOUT_SECONDS, ROOT, SHORT, STATE, WITHOUT_GO, Sandbox, run
from .test_rollout import STEPS, assert_safe

# Long enough to be found in the middle of it, with a hold that leaves time to start again.
LONG = {**SHORT, **WITHOUT_GO, "levibot_plan_overrides": json.loads(json.dumps(SHORT["levibot_plan_overrides"]))}
LONG["levibot_plan_overrides"]["phase2"]["steps"]["step1"] = {"window": "8s"}
LONG["levibot_plan_overrides"]["defaults"]["hold"] = "60s"
PLAYBOOK = [BIN / "ansible-playbook", "playbooks/phase2_bluegreen.yml", "-e", json.dumps(LONG)]


def recorded() -> list[dict[str, Any]]:
    """The entries of the last rollout."""
    if not (STATE / "levibot/ledger.db").exists():
        return []
    with Ledger(STATE / "levibot/ledger.db", writable=False) as ledger:
        return [entry.to_dict() for entry in ledger.read(ledger.latest_rollout())]


def start_and_kill_when(reached: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """The record at the instant at which it had got so far, and all processes of the run were killed but orphaned workers."""
    with (ROOT / "build/logs/killed.log").open("w") as log:
        process = subprocess.Popen(list(map(str, PLAYBOOK)), cwd=ROOT, env=ENVIRONMENT, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + ROLLOUT_SECONDS
    while not reached(entries := recorded()):
        assert process.poll() is None, (ROOT / "build/logs/killed.log").read_text()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    return entries


def count(entries: list[dict[str, Any]], kind: str, **data: Any) -> int:
    return sum(entry["kind"] == kind and data.items() <= entry["data"].items() for entry in entries)


def test_killed_in_a_soak_and_in_its_promotion_it_ends_as_if_nothing_had_been(sandbox: Sandbox):
    old = sandbox.stable_slot()
    new = {"blue": "green", "green": "blue"}[old]
    before = [entry["rollout"] for entry in recorded()[:1]]

    first = start_and_kill_when(
        lambda entries: [entry["rollout"] for entry in entries[:1]] != before and count(entries, "look", gate="phase2.step1") > 0
    )
    assert sandbox.canary() is not None
    start_and_kill_when(lambda entries: count(entries, "intent", action="promote") > 0)
    done = run(PLAYBOOK, timeout=ROLLOUT_SECONDS)
    assert done.returncode == 0, done.stdout[-5000:]

    entries = recorded()
    assert entries[0] == first[0], "another rollout was opened"
    assert [entry["kind"] for entry in entries].count("closed") == 1
    assert entries[-1]["data"]["outcome"] == "promoted"
    assert entries[0]["data"]["go"]["overridden"] == {"who": "the tests", "reason": "a plan that nobody has approved"}
    assert "the tests decided so, since: a plan that nobody has approved" in (ROOT / "build/report/index.html").read_text(encoding="utf-8")
    verdicts = [entry["data"] for entry in entries if entry["kind"] == "verdict"]
    assert [(verdict["gate"], verdict["verdict"]) for verdict in verdicts] == [(gate, "pass") for gate in STEPS.values()]
    look = next(entry["data"] for entry in first if entry["kind"] == "look")
    assert abs(verdicts[0]["window"]["started_at"] - look["started_at"]) < 1, "the soak began anew"
    assert count(entries, "intent", action="deploy") == 1
    assert count(entries, "intent", action="weight", continues=False) == len(STEPS)
    assert count(entries, "note", action="take_over") == 2

    with Ledger(STATE / "levibot/ledger.db", writable=False) as ledger:
        assert ledger.verify().intact
        assert ledger.lock() is None
    assert_safe(sandbox, new)
    assert sandbox.containers(old) == set()
