# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault of live trading is caught by the gate or guardrail that is there for it, for its own reason, and ends as the plan says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from .conftest import BIN, ROLLOUT_SECONDS, Sandbox, run
from .test_live_trading import LIVE, Desk, actions, assert_promises

# Long enough that a fault of the first seconds is found in the step that it belongs to; a position is open for two seconds at most, and
# an engine that has gone silent with one open is told by its heartbeat.
PLAN: dict[str, Any] = json.loads(json.dumps(LIVE))
PLAN["levibot_plan_overrides"]["phase3"] = {"steps": {name: {"window": "20s"} for name in ("step1", "step2", "step3")}}
PLAN["levibot_checks_overrides"] = {
    **PLAN["levibot_checks_overrides"],
    "position_errors": {"max_open": "8s"},
    "engine_faults": {"max_heartbeat_age": "4s"},
}


@dataclass(frozen=True)
class Caught:
    """By which of the gate's checks, in which words; and how it ended."""

    by: str
    saying: str
    action: str = "stop"
    cause: str = "gate"
    still_open: frozenset[str] | None = frozenset()  # None: a kill leaves a position where there is one


FAULTS = {
    "wrong_pnl": Caught("pnl_errors", ": its fills come to"),
    "missing_fill": Caught("position_errors", "a fill is missing"),
    "duplicate_fill": Caught("position_errors", "listed twice"),
    "stuck_position": Caught("position_errors", "at most 8 s are allowed", still_open=frozenset({"BTC/USDT"})),
    "limit_breach": Caught("limit_breaches", "were paid for a position", action="kill", cause="capital", still_open=None),
    "changed_limit": Caught("limit_breaches", "max_daily_loss_pct"),
    "engine_crash": Caught("engine_faults", "has crashed"),
    "silent_engine": Caught("engine_faults", "heartbeat"),
    "second_live": Caught("engine_faults", "each symbol has one writer", action="kill", cause="one_writer", still_open=None),
    "loss": Caught("position_loss_usd", "51", action="kill", cause="guardrail", still_open=None),
}


@pytest.fixture(scope="module")
def desk(sandbox: Sandbox) -> Desk:
    """With the candidate promoted, its kill switch proved, and the release before in the other slot, running on paper."""
    for playbook in ("playbooks/phase2_bluegreen.yml", "playbooks/kill_drill.yml", "sandbox/idle.yml"):
        done = run([BIN / "ansible-playbook", playbook, "-e", json.dumps(PLAN)], timeout=ROLLOUT_SECONDS)
        assert done.returncode == 0, done.stdout[-5000:]
    return Desk(sandbox, PLAN)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught_for_what_it_is(desk: Desk, fault: str):
    caught = FAULTS[fault]
    if fault == "second_live":
        desk.start_the_other_slot()
    try:
        desk.approve()
        before = desk.record()[0]["rollout"]
        failed = desk.breaks(fault, live=1)

        assert failed.exit_code != 0, failed.output[-3000:]
        assert failed.ledger[0]["rollout"] != before, failed.output[-3000:]
        assert failed.closed["outcome"] == "rolled_back", failed.closed
        verdict = failed.verdicts[-1]
        assert (verdict["gate"], verdict["verdict"]) == ("phase3.step1", "fail")
        assert caught.by in verdict["deciding"], verdict
        assert caught.saying in verdict["reason"]
        assert caught.saying in failed.output

        ended = actions(failed.ledger, "result", caught.action)[-1]
        assert (ended["cause"], ended["confirmed"], ended["symbols"]) == (caught.cause, True, ["BTC/USDT"])
        still_open = set(ended["still_open"])
        assert still_open == caught.still_open if caught.still_open is not None else still_open <= {"BTC/USDT"}
        assert still_open <= {word.strip(".,;") for word in failed.closed["reason"].split()}, "what is open is not told"
        assert ("COULD NOT BE CLOSED" in failed.closed["reason"]) == (fault == "stuck_position")
        assert desk.live() == {}
        assert desk.killed() == (caught.action == "kill")
        assert_promises()
    finally:
        desk.tidy_up()
