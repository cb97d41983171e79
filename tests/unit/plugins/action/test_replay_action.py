# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action accepts, and how long it asks."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.levibot.transition.plugins.action import replay as action
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample

CHECK = {"id": "error_rate", "kind": "proportion", "source": "prometheus", "mode": "enforce", "condition": {}}
ALERTS = {"id": "alerts", "kind": "alerts", "source": "alertmanager", "mode": "enforce", "condition": {}}
PROMETHEUS = {
    "gate": "phase2.step1",
    "source": "prometheus",
    "from": "2026-01-13T10:00:00Z",
    "slot": "green",
    "every": "",
    "time_limit": "10m",
    "export": "",
    "rollout": "latest",
    "ledger": "/var/lib/levibot/ledger.db",
    "sources": {"prometheus": {"url": "http://127.0.0.1:9090"}},
}
LEDGER = {**PROMETHEUS, "source": "ledger", "from": "", "slot": None}


def read(base, checks=(CHECK,), **changed):
    plan = {"phase2": {"steps": [{"id": "phase2.step1", "gate": {"id": "phase2.step1", "checks": list(checks)}}]}}
    return action._read({**base, "plan": plan, **changed})


@pytest.mark.parametrize("options", [PROMETHEUS, {**PROMETHEUS, "from": "2026-01-13 11:00:00+01:00", "every": "1m"}, LEDGER])
def test_what_can_be_replayed_is_found(options):
    assert read(options)["id"] == "phase2.step1"


@pytest.mark.parametrize(
    ("base", "changed", "expected"),
    [
        (PROMETHEUS, {"gate": None}, "replay_gate: found nothing; use one of: phase2.step1"),
        (PROMETHEUS, {"from": "2026-01-13T10:00:00"}, "write the offset from UTC as well, such as 2026-01-13T10:00:00Z"),
        (PROMETHEUS, {"from": 12}, "replay_from: found 12; write when the window began"),
        (PROMETHEUS, {"from": "2999-01-01T00:00:00Z"}, "write when a past window began"),
        (PROMETHEUS, {"slot": "purple"}, "replay_slot: found purple; write blue or green"),
        (PROMETHEUS, {"export": "x.jsonl"}, "replay_export: found x.jsonl; write replay_source=ledger as well"),
        (PROMETHEUS, {"sources": None}, "levibot_prometheus_url: found nothing"),
        (PROMETHEUS, {"checks": [ALERTS]}, "replay_gate: found phase2.step1; name a gate with a check that decides and asks Prometheus"),
        (PROMETHEUS, {"checks": [ALERTS, {**CHECK, "mode": "observe"}]}, "name a gate with a check that decides"),
        (PROMETHEUS, {"source": "tea leaves"}, "replay_source: found tea leaves; write prometheus or ledger"),
        (LEDGER, {"export": "/nowhere/ledger.jsonl"}, "as JSON lines (No such file or directory)"),
        (LEDGER, {"export": "/"}, "as JSON lines (Is a directory)"),
        (LEDGER, {"every": "1m"}, "replay_every: found 1m; remove it"),
        (LEDGER, {"rollout": ""}, "replay_rollout: found nothing"),
        (LEDGER, {"ledger": None}, "replay_export: found nothing"),
    ],
)
def test_a_mistake_is_told_with_its_fix(base, changed, expected):
    with pytest.raises(AnsibleActionFail) as failed:
        read(base, **changed)
    assert expected in str(failed.value)
    assert len(failed.value.result["problems"]) == 1


def test_asking_takes_no_longer_than_it_may():
    asked = []

    def ask(at):
        asked.append(at)
        return {"error_rate": Sample("ok")}

    looks = action._bounded(ask, [0.0, 15.0, 30.0], 1000)
    assert [at for at, _samples in looks] == asked == [0.0, 15.0, 30.0]
    with pytest.raises(AnsibleActionFail, match="0 of 3 looks in 0s, and not decided: look less often with replay_every"):
        next(action._bounded(ask, [0.0, 15.0, 30.0], 0))
