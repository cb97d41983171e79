# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of Phase 3, as a playbook calls them; what they decide is tested where it is decided."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.filter.phase3_standing import FilterModule

FILTERS = FilterModule().filters()
PHASE = {"approval_max_age_seconds": 3600, "drill_max_age_seconds": 3600, "approvals": 1, "steps": []}
WANTED = {"version": "v1", "phase": PHASE, "plan_digest": "sha256:1", "host": "app1"}
EDGES = {"edge1": {"stable": "green", "canary": False}}
ENGINE = {"symbol": "BTC/USDT", "status": "running", "mode": "live", "capital": 100.0}
API = {"mode": "paper", "kill_switch": False, "engines": [ENGINE]}
GREEN = {"release": "v1", "containers": {"api": [{"state": "running"}]}, "api": API}
APPS = {"app1": {"slots": {"green": GREEN}, "problems": []}}
SEEN = {"record": [], "edges": EDGES, "apps": APPS, "notes": []}
STEP = {"id": "s1", "engines": {"BTC/USDT": "100.00"}, "gate": {"id": "s1", "checks": []}}
OPENED = {"phase": "phase3", "version": "v1", "plan_digest": "sha256:1", "slot": "green", "host": "app1", "steps": [STEP], "policy": {}}
START = {"action": "start", "step": "s1", "engines": STEP["engines"]}
RECORD = [
    {"seq": seq, "rollout": "r", "kind": kind, "at": "2026-11-29T22:00:00Z", "data": data}
    for seq, (kind, data) in enumerate([("opened", OPENED), ("intent", START), ("result", START)], start=1)
]


@pytest.mark.parametrize("name", sorted(set(FILTERS) - {"phase3_against_rollout"}))
def test_what_is_no_list_of_entries_is_refused(name: str):
    more: dict[str, tuple[Any, ...]] = {
        "phase3_approval": ({"what": "live"}, WANTED),
        "phase3_approvals": (WANTED,),
        "phase3_standing": (WANTED, SEEN),
        "phase3_problems": (WANTED, SEEN),
        "phase3_drill": ("v1",),
        "phase3_rollout": ("v1",),
        "phase3_response": ({},),
        "phase3_end": ({},),
    }
    with pytest.raises(AnsibleFilterError, match=name):
        FILTERS[name]("nonsense", *more[name])


def test_all_answers_are_plain_json():
    end = FILTERS["phase3_response"](RECORD, {"cause": "gate"})
    answers = [
        FILTERS["phase3_standing"]([], WANTED, SEEN),
        FILTERS["phase3_standing"](RECORD, WANTED, {**SEEN, "record": RECORD}),
        FILTERS["phase3_problems"]([], WANTED, SEEN),
        FILTERS["phase3_approvals"]([], WANTED),
        end,
        FILTERS["phase3_end"](RECORD, {"end": end, "why": "x", "edges": EDGES, "apps": APPS}),
        FILTERS["phase3_against_rollout"](APPS),
    ]
    assert json.loads(json.dumps(answers, allow_nan=False)) == answers
    assert (answers[0]["do"], answers[0]["slot"]) == ("open", "green")
    assert (answers[1]["do"], answers[1]["step"]) == ("resume", "s1")
    assert end["stop"] == {"BTC/USDT": "100.00"}


def test_a_second_writer_is_worse_than_what_the_gate_has_found():
    blue = {"app1": {"slots": {"green": GREEN, "blue": GREEN}, "problems": []}}
    failure = {"cause": "", "gate": {"verdict": "fail", "deciding": ["pnl_errors"]}, "edges": EDGES}
    assert FILTERS["phase3_response"](RECORD, {**failure, "apps": APPS})["do"] == "stop"
    assert FILTERS["phase3_response"](RECORD, {**failure, "apps": blue})["cause"] == "one_writer"
    assert FILTERS["phase3_response"](RECORD, {**failure, "apps": {}})["cause"] == "gate"


def test_a_drill_is_told_with_its_age():
    drill = {"action": "kill_drill", "version": "v1", "passed": True, "slot": "green", "hosts": ["app1"]}
    entries = [{"seq": 1, "rollout": "kill-drill", "kind": "result", "at": "2026-11-29T22:00:00Z", "data": drill}]
    at = datetime(2026, 11, 29, 22, tzinfo=UTC).timestamp()
    assert FILTERS["phase3_drill"](entries, "v1", at + 60) == {**drill, "at": "2026-11-29T22:00:00Z", "age_seconds": 60}
    assert FILTERS["phase3_drill"](entries, "v2", at + 60) == {}
