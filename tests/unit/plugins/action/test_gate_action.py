# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action makes of a verdict."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.levibot.transition.plugins.action import gate as action
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import CheckLook, Verdict
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample
from ansible_collections.levibot.transition.plugins.plugin_utils import screen
from ansible_collections.levibot.transition.plugins.plugin_utils.recorder import Recorder, RecordError

RESULT = {"reason": "Gate phase2.step1 ..."}


def verdict(said: str, state: str, *deciding: str) -> Verdict:
    return Verdict("phase2.step1", said, "", 1.0, 10.0, 1, (CheckLook("error_rate", "proportion", "enforce", state),), deciding)


def conclude(decided: Verdict, on_fail: str) -> dict:
    return action.ActionModule.__new__(action.ActionModule)._conclude({"on_fail": on_fail}, decided, RESULT)


def test_a_warning_goes_on_where_a_limit_was_broken() -> None:
    assert conclude(verdict("fail", "fail", "error_rate"), "warn")["failed"] is False
    assert conclude(verdict("pass", "pass"), "rollback")["failed"] is False


@pytest.mark.parametrize(
    "decided",
    [verdict("blind", "blind", "error_rate"), verdict("fail", "hold", "error_rate"), verdict("fail", "breach"), verdict("fail", "pending")],
    ids=["blind", "held in vain", "cut short in breach", "cut short"],
)
def test_a_warning_never_goes_on_unseen(decided: Verdict) -> None:
    with pytest.raises(AnsibleActionFail):
        conclude(decided, "warn")


@pytest.mark.parametrize("on_fail", ["rollback", "hold"])
def test_without_a_warning_a_breach_fails(on_fail: str) -> None:
    with pytest.raises(AnsibleActionFail):
        conclude(verdict("fail", "fail", "error_rate"), on_fail)


LOAD = {
    "id": "load",
    "kind": "threshold",
    "mode": "enforce",
    "query": "load",
    "fail_after": 1,
    "condition": {"op": "<", "limit": "5", "unit": "count", "text": "load < 5"},
}
TIMES = {"window_seconds": 10, "interval_seconds": 1, "settle_seconds": 0, "hold_seconds": 0, "blind_after_seconds": 5}
GATE = {"id": "phase2.step1", "on_fail": "warn", **TIMES, "checks": [LOAD]}


def failure(write, value: float, guard: action.Guard, expires_at: str = "", **more: Any) -> tuple[dict, list[str]]:
    """The result of a gate that fails, and its last words."""

    class Ask(action.Asker):
        def __call__(self, _started_at: float, _at: float) -> dict:
            return {"load": action.seen.Sample("ok", value=value)}

    said: list[str] = []
    run = action._Run({"gate": GATE, "expires_at": expires_at, **more}, Ask({}), Recorder(write, 0), screen.Quiet(), said.append)
    with guard.watching(), pytest.raises(AnsibleActionFail) as failed:
        run.soak(guard)
    return failed.value.result, said


def test_what_cannot_be_recorded_is_no_breach() -> None:
    def write(_entries: list) -> None:
        raise RecordError("the ledger cannot be written: disk full")

    result, _said = failure(write, 6, action.Guard())
    assert result["breach"] is False
    assert result["verdict"] == "fail"


def test_a_run_that_has_lost_its_rollout_stops_at_its_next_look() -> None:
    def write(_entries: list) -> None:
        raise RecordError("another run took it over", lost="taken_over")

    result, _said = failure(write, 1, action.Guard())
    assert (result["lost"], result["interrupted"], result["safe"]) == ("taken_over", True, False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_gate_without_a_verdict(number: signal.Signals) -> None:
    written: list[dict] = []

    def write(entries: list) -> None:
        if not written:
            os.kill(os.getpid(), number)  # in the middle of a writing, which is not torn
        written.extend(entries)

    before = signal.getsignal(number)
    result, said = failure(write, 1, action.Guard(), expires_at="2026-11-24T12:00:00Z")
    assert [entry["kind"] for entry in written] == ["look", "note"]
    assert written[-1]["data"]["action"] == "interrupted"
    assert written[-1]["data"]["reason"] == f"{number.name} was received"
    assert result["interrupted"]
    assert "keeps its weight until 2026-11-24T12:00:00Z" in said[0]
    assert signal.getsignal(number) == before


def test_the_last_words_of_live_engines_say_what_goes_on_and_until_when() -> None:
    def write(_entries: list) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    trading = {"live": {"BTC/USDT": "100.00"}}
    _result, said = failure(write, 1, action.Guard(), sources={"trading": trading}, unwatched_after=900.0)
    assert "LIVE ENGINES GO ON, AND NOBODY WATCHES THEM: BTC/USDT with 100.00 USD until the dead man's switch" in said[0]
    assert "playbooks/rollback.yml -e rollback_kill=all" in said[0]
    assert "withdraw" not in said[0]


def test_a_look_from_the_target_is_one_call_of_a_module() -> None:
    calls = []

    def execute(asked: dict) -> dict:
        calls.append(asked)
        return {"samples": {"a": {"status": "ok", "value": 1.0}, "b": {"status": "no_data"}}, "state": {"a": len(calls)}}

    checks = [{"id": "a"}, {"id": "b"}]
    args = {
        "sources": {"timeout_seconds": 1},
        "subject": {"slot": "green", "stable": "blue"},
        "gate": {"checks": checks},
        "max_clock_skew_seconds": 2.0,
    }
    ask = action._TargetAsker(args, execute)
    for look in (1, 2):
        assert {name: sample.status for name, sample in ask(100.0, 100.0 + look).items()} == {"a": "ok", "b": "no_data"}
        assert len(calls) == look
    assert [call["checks"] for call in calls] == [checks, checks]
    assert [(call["started_at"], call["at"], call["state"]) for call in calls] == [(100.0, 101.0, {}), (100.0, 102.0, {"a": 1})]


@pytest.mark.parametrize(("there", "skew"), [(99, -1), (100, 0), (101.5, 0), (103, 0), (105, 2)])
def test_a_clock_is_off_only_by_what_the_time_of_asking_cannot_explain(there: float, skew: float) -> None:
    assert action.clock_skew(there, earliest=100, latest=103) == skew


@pytest.mark.parametrize(("there", "status"), [(None, "ok"), (1001.9, "ok"), (1060, "error"), (940, "error")])
def test_where_the_clocks_differ_the_store_is_not_believed(there: float | None, status: str) -> None:
    class Asker(action.Asker):
        def _ask(self, _started_at: float, _at: float) -> tuple[action.Samples, float | None]:
            return {name: Sample(status="ok") for name in ("error_rate", "alerts", "paper_pnl")}, there

    sources = {"error_rate": "prometheus", "alerts": "alertmanager", "paper_pnl": "api"}
    gate = {"checks": [{"id": name, "source": source} for name, source in sources.items()]}
    found = Asker({"gate": gate, "max_clock_skew_seconds": 2.0})(900.0, 1000.0)
    assert {name: sample.status for name, sample in found.items()} == {"error_rate": status, "alerts": status, "paper_pnl": "ok"}
