# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action makes of a verdict."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.levibot.transition.plugins.action import gate as action
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import CheckLook, Verdict
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


def test_what_cannot_be_recorded_is_no_breach() -> None:
    def write(_entries: list) -> None:
        raise RecordError("the ledger cannot be written: disk full")

    check = {
        "id": "load",
        "kind": "threshold",
        "mode": "enforce",
        "query": "load",
        "fail_after": 1,
        "condition": {"op": "<", "limit": "5", "unit": "count", "text": "load < 5"},
    }
    times = {"window_seconds": 10, "interval_seconds": 1, "settle_seconds": 0, "hold_seconds": 0, "blind_after_seconds": 5}
    gate = {"id": "phase2.step1", "on_fail": "warn", **times, "checks": [check]}

    class Ask(action.Asker):
        def __call__(self, _started_at: float, _at: float) -> dict:
            return {"load": action.seen.Sample("ok", value=6)}

    run = action._Run({"gate": gate}, Ask({}), Recorder(write, 0), screen.Quiet())
    with pytest.raises(AnsibleActionFail) as failed:
        run.soak(lambda: None)
    assert failed.value.result["breach"] is False
    assert failed.value.result["verdict"] == "fail"
