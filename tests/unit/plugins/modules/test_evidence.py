# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

from ansible_collections.levibot.transition.plugins.modules import evidence
from tests.evidence_bed import NOW, VERSION

APPROVED = {"id": "approved", "name": "GO/NO-GO decision approved", "evidence": [{"kind": "approval"}]}
RECORDS = [
    {
        "seq": 1,
        "kind": "approval",
        "rollout": f"phase1-{VERSION}",
        "at": "2026-11-27T10:00:00.000Z",
        "data": {"action": "go", "version": VERSION, "who": "maria", "reason": "clean", "until": None},
    }
]


class EndedError(Exception):
    def __init__(self, result):
        self.result = result


@pytest.fixture
def run(monkeypatch):
    def end(_module, failed=False, **result):
        raise EndedError(json.loads(json.dumps({**result, "failed": failed})))

    monkeypatch.setattr(basic.AnsibleModule, "exit_json", end)
    monkeypatch.setattr(basic.AnsibleModule, "fail_json", lambda module, **result: end(module, failed=True, **result))

    def run_module(check=False, **arguments):
        arguments = {"items": [APPROVED], "subject": {"version": VERSION}, "records": RECORDS, "now": NOW, **arguments}
        with patch_module_args({**arguments, "_ansible_check_mode": check}), pytest.raises(EndedError) as ended:
            evidence.main()
        return ended.value.result

    return run_module


@pytest.mark.parametrize("check", [False, True])
def test_items_come_back_judged_and_in_order(run, check):
    other = {"id": "backup", "name": "Backup", "evidence": [{"kind": "attestation"}]}
    seen = run(check, items=[APPROVED, other])
    assert not seen["failed"]
    assert not seen["changed"]
    assert not seen["passed"]
    assert [(item["id"], item["passed"]) for item in seen["items"]] == [("approved", True), ("backup", False)]
    assert seen["approvals"] == [{"who": "maria", "reason": "clean", "at": "2026-11-27T10:00:00.000Z", "until": "", "why_not": ""}]
    assert set(seen["items"][0]["evidence"][0]) == {
        "kind", "source", "passed", "found", "wanted", "at", "age_seconds", "problem", "fix"
    }  # fmt: skip


def test_nothing_to_judge_is_no_pass(run):
    assert run()["passed"]
    assert not run(items=[])["passed"]


def test_all_mistakes_are_told_at_once(run):
    seen = run(items=[{"id": "a", "evidence": [{"kind": "nothing"}]}, {"id": "b"}], approvals=0)
    assert seen["failed"]
    assert [problem["path"] for problem in seen["problems"]] == ["items[0].evidence[0].kind", "items[1].evidence", "approvals"]
    assert seen["msg"].count("\n") == 3
