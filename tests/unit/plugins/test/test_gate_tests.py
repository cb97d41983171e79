# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.test import passing as verdicts
from ansible_collections.levibot.transition.plugins.test.within import within

IN_VAIN = {"verdict": "fail", "breach": False, "deciding": ["error_rate"]}
CUT_SHORT = {"verdict": "fail", "breach": False, "deciding": []}
BROKEN = {"verdict": "fail", "breach": True, "deciding": ["error_rate"]}


@pytest.mark.parametrize(
    ("result", "true"),
    [
        ({"verdict": "pass"}, {"passing"}),
        ("pass", {"passing"}),
        (BROKEN, {"failing"}),
        (CUT_SHORT, {"failing"}),
        (IN_VAIN, {"failing", "held"}),
        ("fail", {"failing"}),
        ({"verdict": "blind"}, {"blind"}),
        ({"verdict": "hold"}, {"held"}),
        ({"verdict": "pending"}, set()),
        ({"verdict": "unjudged"}, set()),
    ],
)
def test_each_verdict_is_what_it_is(result, true):
    assert {name for name, test in verdicts.TestModule().tests().items() if test(result)} == true


@pytest.mark.parametrize("result", [{"skipped": True}, {}, None, "passed", True, ["pass"], {"verdict": None}])
def test_what_has_no_verdict_is_an_error(result):
    for test in verdicts.TestModule().tests().values():
        with pytest.raises(AnsibleFilterError, match="give the result of a gate, or its verdict"):
            test(result)


@pytest.mark.parametrize(
    ("value", "condition", "holds"),
    [
        (0.0005, "< 0.1%", True),
        (0.001, "< 0.1%", False),
        (0.1, "<= 10%", True),
        ("0.05%", "<0.1%", True),
        ("180ms", "< 0.2s", True),
        (0.2, "< 200ms", False),
        ("1.5", "> 1s", True),
        (12.5, "> 0 USD", True),
        (0, "== 0", True),
        (3, "!= 3", False),
    ],
)
def test_within_compares_exactly(value, condition, holds):
    assert within(value, condition) is holds


@pytest.mark.parametrize(
    ("value", "condition", "expected"),
    [
        (1, "0.1%", "found 0.1%; write an operator and a limit"),
        (1, "< fast", "found < fast; write a number with its unit"),
        (1, 5, "found 5; write an operator"),
        (float("nan"), "< 1", "as the value; give a finite number"),
        (float("inf"), "> 1", "give a finite number"),
        (True, "< 1", "found true as the value"),
        (None, "< 1", "found nothing as the value"),
        ("NaN", "< 1", "give a finite number"),
        ("Infinity", "> 1", "give a finite number"),
        ("quick", "< 1s", "give a finite number"),
        ("180ms", "< 5%", "found 180ms as the value; give a finite number, or a text in the condition's unit such as 0.1%"),
    ],
)
def test_within_refuses_what_cannot_be_compared(value, condition, expected):
    with pytest.raises(AnsibleFilterError, match=expected):
        within(value, condition)
