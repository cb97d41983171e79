# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.plan.grammar import (
    AllSlos,
    Condition,
    SameAs,
    WhereSet,
    parse_gate_line,
    parse_slo_factor,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
CONDITIONS = st.builds(
    Condition, NAMES, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.sampled_from(["0.1%", "SLO + 10%", "200ms", "0", "50 USD"])
)


@given(st.one_of(CONDITIONS, st.builds(SameAs, NAMES), st.builds(WhereSet, NAMES), st.just(AllSlos())))
def test_gate_lines_round_trip(line):
    assert parse_gate_line(str(line)) == line


@given(CONDITIONS)
def test_blanks_do_not_matter(condition):
    assert parse_gate_line(f"  {condition.check}{condition.op}  {condition.limit} ") == condition


@pytest.mark.parametrize(
    "line", ["", "error_rate", "error_rate <", "< 0.1%", "Error Rate < 1%", "same as", 5, None, {"error_rate": "< 1%"}]
)
def test_what_is_no_gate_line(line):
    with pytest.raises(MistakeError, match="write"):
        parse_gate_line(line)


@pytest.mark.parametrize(("limit", "factor"), [("SLO", "1"), ("SLO + 10%", "1.1"), ("SLO-5 %", "0.95"), ("0.1%", None)])
def test_slo_factors(limit, factor):
    assert parse_slo_factor(limit) == (None if factor is None else Decimal(factor))


@pytest.mark.parametrize("limit", ["SLO + 10", "SLO * 2", "SLO - 100%", "slo"])
def test_what_is_no_slo_factor(limit):
    with pytest.raises(MistakeError, match="write"):
        parse_slo_factor(limit)
