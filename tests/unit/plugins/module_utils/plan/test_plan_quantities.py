# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import (
    LONGEST_SECONDS,
    UNITS,
    MistakeError,
    canonical,
    format_duration,
    format_limit,
    format_value,
    parse_duration,
    parse_limit,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("1h30m", 5400), ("250ms", "0.25"), ("0s", 0), ("1.5h", 5400), ("2d", 172800), ("1m30s500ms", "90.5")],
)
def test_durations(text, seconds):
    assert parse_duration(text) == Decimal(seconds)


@pytest.mark.parametrize(
    "text",
    ["30 min", "", "m", "30", "1m1h", "5m5m", "-5m", "1h 30m", "1e3s", "31d", "30M", "\u0663m", 1800, 90.0, True, None, ["30m"], "5m\n"],
)
def test_what_is_no_duration(text):
    with pytest.raises(MistakeError, match="write"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "fix"), [("30 min", "write 30m"), ("2 hours", "write 2h"), ("90 Seconds", "write 90s"), ("1h 30m", "write 1h30m")]
)
def test_the_fix_says_what_was_meant(text, fix):
    with pytest.raises(MistakeError, match=f"^{fix}$"):
        parse_duration(text)


@given(st.integers(0, LONGEST_SECONDS * 1000))
def test_durations_round_trip(milliseconds):
    seconds = Decimal(milliseconds) / 1000
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.decimals(-(10**6), 10**6, places=6), st.sampled_from(UNITS))
def test_limits_round_trip(number, unit):
    assert parse_limit(format_limit(number, unit), unit) == number
    assert Decimal(canonical(number)) == number
    assert "e" not in canonical(number).lower()


@pytest.mark.parametrize(
    ("text", "unit", "canonical_text"),
    [
        ("99.9%", "ratio", "0.999"),
        ("0.1 %", "ratio", "0.001"),
        ("200ms", "seconds", "0.2"),
        ("1.50s", "seconds", "1.5"),
        ("50 USD", "usd", "50"),
        ("0", "ratio", "0"),
        ("0", "usd", "0"),
        ("3", "count", "3"),
    ],
)
def test_limits(text, unit, canonical_text):
    assert canonical(parse_limit(text, unit)) == canonical_text


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0.999", "ratio"),
        ("200", "seconds"),
        ("5%", "seconds"),
        ("5ms", "ratio"),
        ("5%", "count"),
        ("5 EUR", "usd"),
        ("five", "count"),
        ("1e3", "count"),
    ],
)
def test_limits_that_do_not_fit(text, unit):
    with pytest.raises(MistakeError, match="write"):
        parse_limit(text, unit)


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (0.99996, "ratio", "99.996%"),
        (0.9999999, "ratio", "99.999%"),
        (1, "ratio", "100%"),
        (0.31391, "ratio", "31.4%"),
        (0.0003, "ratio", "0.03%"),
        (0, "ratio", "0%"),
        (0.1234, "seconds", "123.4ms"),
        (1234.5, "usd", "1,234.50 USD"),
        (3, "count", "3"),
    ],
)
def test_values_are_short_and_never_rounded_to_all(number, unit, text):
    assert format_value(number, unit) == text
