# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capital adds up to the cent, whatever the weights, minimums and steps; what cannot be shared out is refused with all reasons."""

from __future__ import annotations

import random
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.trading.capital import SplitError, smallest_capital, split

D = Decimal
CASES = 100_000


def weights_of(draw: random.Random, names: list[str]) -> dict[str, int | D]:
    """Even, usual, or absurd ones."""
    numbers = [1 + draw.getrandbits(30) for _name in names]
    kind = draw.randrange(4)
    if kind == 0:
        return {name: D(number).scaleb(-(number % 16)) for name, number in zip(names, numbers, strict=True)}
    return {name: 1 + number % (1, 7, 1000, 10**9)[kind] for name, number in zip(names, numbers, strict=True)}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_over_one_to_fifty_symbols_is_exact_in_a_hundred_thousand_cases():
    draw = random.Random("capital")  # noqa: S311 - cases, not secrets
    names = [f"S{number:02}/USDT" for number in range(50)]
    total = D(1000)
    for case in range(CASES):
        weights = weights_of(draw, names[: 1 + case % 50])
        shares = split(total, weights)
        assert sum(shares.values()) == total, weights
        assert len(shares) == len(weights)
        assert min(shares.values()) >= 0, weights
        if case % 50 == case // 50 % 50:  # each number of symbols in turn
            assert {share.as_tuple().exponent for share in shares.values()} == {-2}
            assert shares == split("1000.00", dict(sorted(weights.items(), key=lambda _item: draw.random()))), "the order made a difference"
            whole = sum(Fraction(weight) for weight in weights.values())
            for name, share in shares.items():
                assert abs(Fraction(share) - 1000 * Fraction(weights[name]) / whole) < Fraction(1, 100), (name, weights)


symbols = st.sampled_from([f"S{number}" for number in range(12)])
weights_given = st.dictionaries(symbols, st.integers(1, 10**6) | st.decimals("0.0001", "1000", places=4), min_size=1, max_size=12)
minimums_given = st.dictionaries(symbols, st.decimals("0", "300", places=3), max_size=12)
steps_given = st.dictionaries(symbols, st.sampled_from([D("0.01"), D("0.05"), D("0.25"), D(1), D(5), D(10), D("0.03")]), max_size=12)
totals = st.integers(1, 200_000).map(lambda cents: D(cents).scaleb(-2)) | st.sampled_from([D(700), D(1000), D(10)])


def up(amount: D, step: D) -> D:
    return (amount / step).to_integral_value(ROUND_CEILING) * step


def feasible(total, weights, minimums, steps):
    step = {name: steps.get(name, D("0.01")) for name in weights}
    finest = min(step.values())
    chain = all(size % finest == 0 for size in step.values()) and total % finest == 0
    return chain and sum(up(minimums.get(name, D(0)), step[name]) for name in weights) <= total


def only(chosen, weights):
    return {name: value for name, value in chosen.items() if name in weights}


@given(totals, weights_given, minimums_given, steps_given)
def test_minimums_and_steps_are_kept_or_it_is_refused(total, weights, minimums, steps):
    minimums, steps = only(minimums, weights), only(steps, weights)
    try:
        shares = split(total, weights, minimums, steps)
    except SplitError as refused:
        assert not feasible(total, weights, minimums, steps)
        assert refused.reasons
        return
    assert feasible(total, weights, minimums, steps)
    assert sum(shares.values()) == total
    step = {name: steps.get(name, D("0.01")) for name in weights}
    for name, share in shares.items():
        assert share % step[name] == 0
        assert share >= minimums.get(name, 0)
    for heavy in weights:
        for light in weights:
            alike = minimums.get(heavy, 0) == minimums.get(light, 0) and step[heavy] == step[light]
            if alike and weights[heavy] > weights[light]:
                assert shares[heavy] >= shares[light], (heavy, light)


def by_filling(total, weights, minimums):
    """Each gets the larger of its minimum and level x weight, with the level at which that is the total: by trying who is raised."""
    ordered = sorted(weights, key=lambda name: Fraction(minimums.get(name, 0)) / Fraction(weights[name]))
    for count in range(len(ordered), 0, -1):
        free, raised = ordered[:count], ordered[count:]
        left = Fraction(total) - sum(Fraction(minimums[name]) for name in raised)
        level = left / sum(Fraction(weights[name]) for name in free)
        if all(level * Fraction(weights[name]) >= Fraction(minimums.get(name, 0)) for name in free):
            return {name: max(level * Fraction(weights[name]), Fraction(minimums.get(name, 0))) for name in weights}
    raise AssertionError("nothing fits")


@given(totals, weights_given, st.dictionaries(symbols, st.integers(0, 5000).map(lambda cents: D(cents).scaleb(-2)), max_size=12))
def test_those_above_their_minimum_share_what_is_left_by_weight(total, weights, minimums):
    minimums = only(minimums, weights)
    if not feasible(total, weights, minimums, {}):
        return
    shares, exact = split(total, weights, minimums), by_filling(total, weights, minimums)
    assert all(abs(Fraction(shares[name]) - exact[name]) < Fraction(1, 100) for name in weights)


def test_the_plans_own_split():
    rest = ("BNB/USDT", "XRP/USDT", "ADA/USDT", "AVAX/USDT", "LINK/USDT", "DOT/USDT", "DOGE/USDT")
    assert split(700, dict.fromkeys(rest, 1)) == dict.fromkeys(rest, D(100))
    assert split(100, {"A": 1, "B": 1, "C": 1}) == {"A": D("33.34"), "B": D("33.33"), "C": D("33.33")}


def test_a_minimum_is_raised_and_the_others_share_the_rest():
    assert split(100, {"A": 98, "B": 1, "C": 1}, {"B": "25"}) == {"A": D("74.24"), "B": D(25), "C": D("0.76")}


def test_the_finest_step_takes_what_the_coarse_ones_leave_even_where_it_was_raised():
    assert split(1000, {"A": 1000, "B": 1}, {"B": 5}, {"A": 10}) == {"A": D(990), "B": D(10)}
    assert split(100, {"A": 1, "B": 1, "C": 1}, {}, {"A": 50, "B": 50}) == {"A": D(50), "B": D(0), "C": D(50)}


@pytest.mark.parametrize(
    ("arguments", "reasons"),
    [
        ((1000, {}), ["there is no symbol to share among"]),
        ((0, {"A": 1}), ["total: above 0 is needed, not 0"]),
        ((10, {"A": 0, "B": -1}), ["weight of A: above 0 is needed, not 0", "weight of B: above 0 is needed, not -1"]),
        ((10, {"A": float("nan")}), ["weight of A: a finite number is needed, not nan"]),
        ((10, {"A": True}), ["weight of A: a number is needed, not True"]),
        (("10.001", {"A": 1}), ["total: 10.001 is no multiple of the finest step, 0.01"]),
        ((10, {"A": 1}, {"B": 1}, {"C": 1}), ["minimum of B: it is not among the symbols", "step of C: it is not among the symbols"]),
        ((10, {"A": 1}, {"A": -1}), ["minimum of A: at least 0 is needed, not -1"]),
        ((10, {"A": 1}, {}, {"A": "0.001"}), ["step of A: a whole number of cents above 0 is needed, not 0.001"]),
        ((10, {"A": 1, "B": 1}, {}, {"A": "0.03", "B": "0.02"}), ["step of A: 0.03 is no multiple of the finest one, 0.02"]),
        ((10, {"A": 1}, {}, {"A": "3"}), ["total: 10 is no multiple of the finest step, 3"]),
        (
            (10, {"A": 1, "B": 1}, {"A": "5.001", "B": "6"}),
            ["10 USD is 1.01 less than what the symbols have to have at least, with their steps: A 5.01, B 6"],
        ),
    ],
)
def test_what_cannot_be_is_refused_with_all_reasons(arguments, reasons):
    with pytest.raises(SplitError) as refused:
        split(*arguments)
    assert refused.value.reasons == reasons


@given(
    st.decimals("0", "100", places=2),
    st.none() | st.tuples(st.decimals("0.00001", "10", places=5), st.decimals("0.0001", "100000", places=4)),
    st.decimals("0.01", "1", places=2),
)
def test_the_smallest_capital_is_just_enough(least, lot, ratio):
    step, price = lot or (None, None)
    capital = smallest_capital(least, step, price, ratio)

    def order(dollars):
        notional = Fraction(dollars) * Fraction(ratio)
        return notional if lot is None else notional // (Fraction(step) * Fraction(price)) * Fraction(step) * Fraction(price)

    def taken(dollars):
        return order(dollars) >= Fraction(least) and (lot is None or order(dollars) > 0)

    assert taken(capital)
    assert capital == capital.quantize(D("0.01"), rounding=ROUND_FLOOR)
    assert capital < D("0.01") or not taken(capital - D("0.01"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1,), "min_notional_usd: at least 0 is needed"),
        ((5, None, None, 0), "order_ratio: above 0 and at most 1"),
        ((5, None, None, "1.5"), "order_ratio: above 0 and at most 1"),
        ((5, "0.1"), "the one says nothing without the other"),
        ((5, "0.1", 0), "above 0 is needed"),
        (("five",), "min_notional_usd: a number is needed, not 'five'"),
    ],
)
def test_what_is_no_instrument_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        smallest_capital(*arguments)
