# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.edge.split import (
    BUCKETS,
    SLOTS,
    Canary,
    Split,
    decode,
    encode,
    green_buckets,
    other,
    percent,
)

weights = st.floats(min_value=0, max_value=100)
slots = st.sampled_from(SLOTS)


@given(st.integers(0, BUCKETS))
def test_a_share_survives_its_file(buckets: int) -> None:
    assert decode(encode(buckets)) == buckets


@given(st.integers(0, BUCKETS), st.integers(0, BUCKETS - 1))
def test_caddys_comparison_of_texts_is_that_of_numbers(share: int, bucket: int) -> None:
    assert (f"{bucket:04x}" < encode(share)) == (bucket < share)
    assert (f"{bucket:04x}3f2-a-whole-uuid" < encode(share)) == (bucket < share)


@given(slots, weights)
def test_a_weight_is_what_the_candidate_gets(candidate: str, weight: float) -> None:
    split = Split(other(candidate), Canary(green_buckets(candidate, weight), 1))
    assert split.candidate == candidate
    assert split.weight == pytest.approx(weight, abs=100 / BUCKETS)
    assert split.share("blue") + split.share("green") == pytest.approx(100, abs=0.001)


@given(slots, weights, weights)
def test_a_growing_weight_takes_nobody_back(candidate: str, one: float, two: float) -> None:
    low, high = (green_buckets(candidate, weight) for weight in sorted((one, two)))
    assert low <= high if candidate == "green" else low >= high


@pytest.mark.parametrize("weight", [-0.001, 100.001, 130, math.nan, math.inf, -math.inf])
def test_a_weight_outside_of_0_to_100_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="0 to 100"):
        green_buckets("green", weight)


@pytest.mark.parametrize("text", ["", "199", "199aa", "GG", "G", "199A", "0x10", " 199a", "g\n", "-001", "١٢٣٤"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        decode(text)


@pytest.mark.parametrize(
    ("split", "text"),
    [
        (Split("blue"), "blue 100.0 % (stable)"),
        (Split("green"), "green 100.0 % (stable)"),
        (Split(), "blue 100.0 % (no lasting file)"),
        (Split("blue", Canary(6554, 1000)), "green 10.0 %, blue 90.0 % (canary, expires 1970-01-01T00:16:40Z)"),
        (Split("green", Canary(58982, 1000)), "blue 10.0 %, green 90.0 % (canary, expires 1970-01-01T00:16:40Z)"),
        (Split("blue", Canary(BUCKETS, 10)), "green 100.0 % (canary, expired 1970-01-01T00:00:10Z)"),
        (Split("blue", None, "", "odd"), "blue 100.0 % (stable); odd"),
    ],
)
def test_the_split_in_words(split: Split, text: str) -> None:
    assert split.text(500) == text


def test_small_shares_are_not_told_as_nothing() -> None:
    assert percent(0.004) == "0.004 %"
    assert percent(99.9985) == "100 %" or percent(99.9985).startswith("99.99")
