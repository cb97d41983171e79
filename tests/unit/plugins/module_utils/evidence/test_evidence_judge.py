# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.evidence import judge as judging
from ansible_collections.levibot.transition.plugins.module_utils.evidence.judge import judge, read_item
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Kind
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report


@pytest.fixture
def items(case):
    """Judges one item of that evidence."""

    def judged(*evidence, **keys):
        report = Report()
        item = read_item({"id": "slos", "name": "SLOs", "evidence": list(evidence), **keys}, lambda *keys: ".".join(keys), report)
        assert report.problems == []
        return judge([item], case)[0]

    return judged


YES, NO = {"kind": "command", "argv": ["true"]}, {"kind": "command", "argv": ["false"]}
UNSET = {"kind": "command", "argv": [], "hint": "set levibot_x"}


def test_all_evidence_must_pass(items):
    assert items(YES, YES)["passed"]
    seen = items(YES, NO)
    assert not seen["passed"]
    assert seen["text"] == "command: exit code 1"
    assert [one["passed"] for one in seen["evidence"]] == [True, False]


def test_one_is_enough_where_the_item_says_so(items):
    assert items(NO, YES, any=True)["passed"]
    assert not items(NO, NO, any=True)["passed"]


def test_evidence_that_is_not_set_is_left_out_only_where_it_may_be(items):
    assert items(YES, {**UNSET, "where": "set"})["passed"]
    seen = items(YES, UNSET)
    assert not seen["passed"]
    assert (seen["evidence"][1]["problem"], seen["evidence"][1]["fix"]) == ("it is missing: argv is not set", "set levibot_x")


def test_an_item_without_any_evidence_is_missing(items):
    for keys in ({}, {"any": True}):
        seen = items({**UNSET, "where": "set"}, **keys)
        assert (seen["passed"], seen["text"], seen["evidence"]) == (False, "missing: no evidence is set; set levibot_x", [])


def test_an_answer_of_an_unforeseen_shape_costs_one_evidence_its_pass(items, monkeypatch):
    def look(_given, _case, _finding):
        raise KeyError("surprise")

    monkeypatch.setitem(judging.KINDS, "http", Kind(look))
    seen = items({"kind": "http"}, YES)
    assert not seen["passed"]
    assert seen["evidence"][0]["problem"] == "it could not be judged (KeyError: 'surprise')"
    assert seen["evidence"][1]["passed"]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"argv": ["sh", "-c", "exit 3"]}, "exit code 3"),
        ({"argv": ["sh", "-c", "exit 3"], "rc": 3}, ""),
        ({"argv": ["echo", "$version"], "must_match": [r"^v1\.8\.0-beta$"]}, ""),
        ({"argv": ["sh", "-c", "echo $VERSION"], "must_match": [r"^v1\.8\.0-beta$"]}, ""),
        ({"argv": ["echo", "all well"], "must_match": ["ok"]}, "does not print /ok/"),
        ({"argv": ["echo", "CRITICAL: x"], "must_not_match": ["CRITICAL"]}, "prints 'CRITICAL: x' (must not match /CRITICAL/)"),
        ({"argv": ["/none/such"]}, "/none/such cannot be started: No such file or directory"),
        ({"argv": ["sleep", "60"], "timeout": "1s"}, "sleep did not end within 1 s and was killed"),
    ],
)
def test_a_command_is_judged_by_code_and_output(look, keys, problem):
    seen = look({"kind": "command", **keys})
    assert seen["problem"] == problem
    assert seen["age_seconds"] == 0
