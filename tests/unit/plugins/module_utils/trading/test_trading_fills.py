# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Amounts and fills in the spellings of the field; what cannot be read is said, and what is listed twice counts once."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.trading.fills import (
    Fill,
    fills_of_trades,
    moment,
    read_fills,
    read_trades,
    symbol_of,
)
from ansible_collections.levibot.transition.plugins.module_utils.trading.money import cents, decimal, shown, text

D = Decimal
ROW = {"fill_id": 7, "ts": 1_800_000_000.25, "symbol": "BTC/USDT", "side": "buy", "qty": 0.1, "price": 60000.1, "fee": 6.00001}
TRADE = {
    "trade_id": 3,
    "symbol": "BTC/USDT",
    "side": "long",
    "qty": 0.5,
    "entry_price": 100,
    "exit_price": 110,
    "pnl_usd": 4.9,
    "fee_usd": 0.1,
    "entry_time": 10,
    "exit_time": 20,
}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15))
def test_a_float_is_read_by_its_shortest_text(value):
    read = decimal(value, "x")
    assert abs(read - D(repr(value))) <= D("5e-25")
    assert abs(value) < 1e-8 or read == D(repr(value))


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**18), max_value=10**18, places=24))
def test_amounts_survive_their_text(value):
    assert decimal(text(value), "x") == value
    assert decimal(value, "x") == value


@pytest.mark.parametrize(
    "value",
    [
        True,
        None,
        "",
        "abc",
        "1_000",
        "0x10",
        [],
        {},
        float("nan"),
        float("inf"),
        "NaN",
        "-Infinity",
        D("sNaN"),
        b"1",
        10**30,
        "1e999999999",
    ],
)
def test_what_is_no_amount_is_refused_by_name(value):
    with pytest.raises(ValueError, match="price: "):
        decimal(value, "price")


@given(anything)
def test_garbage_is_an_amount_or_a_value_error(value):
    try:
        assert decimal(value, "x").is_finite()
    except ValueError as exc:
        assert len(str(exc)) < 200


def test_cents_round_ties_to_even():
    assert [cents(D(value)) for value in ("0.005", "0.015", "-0.025", "1.2349")] == [D("0.00"), D("0.02"), D("-0.02"), D("1.23")]
    assert text(D("1E+3")) == "1000"
    assert text(D("-0.00")) == "0"
    assert shown("x" * 100).endswith("…")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"fill_id": None, "id": "7"},
        {"ts": None, "timestamp": 1_800_000_000_250},
        {"ts": None, "time": "2027-01-15T08:00:00.25Z"},
        {"ts": None, "at": "2027-01-15 09:00:00.250000000+0100"},
        {"symbol": "BTCUSDT"},
        {"symbol": None, "pair": "btc-usdt"},
        {"side": "BUY"},
        {"side": None},
        {"qty": None, "size": "0.1"},
        {"fee": None, "commission": "6.00001", "commission_asset": "USDT"},
        {"fee": {"cost": 6.00001, "currency": "USDT"}},
    ],
)
def test_a_fill_in_any_spelling(changes):
    assert read_fills([{**ROW, **changes}]) == ([Fill("7", 1_800_000_000.25, "BTC/USDT", "buy", D("0.1"), D("60000.1"), D("6.00001"))], [])


def test_fees_in_base_or_unknown():
    (fill,), _none = read_fills([{**ROW, "fee": 0.0001, "fee_asset": "BTC"}])
    assert (fill.fee, fill.fee_asset) == (D("0.0001"), "base")
    fills, problems = read_fills([{**ROW, "fee_asset": "BNB"}])
    assert (fills, problems) == (
        [],
        ["fill 7 cannot be read: fee: paid in 'BNB', which is neither side of BTC/USDT, so what it is worth is not known"],
    )
    without = {name: value for name, value in ROW.items() if name != "fee"}
    assert read_fills([without])[1] == ["fill 7 cannot be read: fee: missing"]
    assert read_fills([without], D("0.001"))[0][0].fee == D("6.00001")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"qty": 0}, "quantity: has to be above 0, not Decimal('0')"),
        ({"price": "0"}, "price: has to be above 0, not '0'"),
        ({"price": "a lot"}, "price: a number is needed, not 'a lot'"),
        ({"side": "hold"}, "side: buy or sell is needed, not 'hold'"),
        ({"qty": -1}, "quantity: -1 was bought: a sign and a side that disagree"),
        ({"ts": "yesterday"}, "time: a time is needed, not 'yesterday'"),
        ({"ts": None}, "time: a time is needed, not nothing"),
        ({"symbol": ""}, "symbol: a text is needed, not nothing"),
    ],
)
def test_a_row_that_cannot_be_read_is_a_problem(changes, problem):
    assert read_fills([{**ROW, **changes}]) == ([], [f"fill 7 cannot be read: {problem}"])


def test_a_fill_that_is_listed_twice_counts_once_and_is_told():
    fills, problems = read_fills([ROW, ROW, {**ROW, "qty": 0.2}])
    assert len(fills) == 1
    assert problems == [
        "fill 7 (buy 0.1 BTC/USDT at 60000.1) is listed twice; each fill has to be listed once",
        "fill 7 (buy 0.2 BTC/USDT at 60000.1) has the number of another one: fill 7 (buy 0.1 BTC/USDT at 60000.1)",
    ]
    without = {**ROW, "fill_id": None}
    assert len(read_fills([without, without])[1]) == 1
    assert len(read_fills([without, {**without, "qty": 0.2}])[0]) == 2


def test_fills_are_put_in_order():
    rows = [{**ROW, "fill_id": number, "ts": at} for number, at in ((10, 5), (9, 5), (1, 7))]
    assert [fill.id for fill in read_fills(rows)[0]] == ["9", "10", "1"]


@given(st.lists(anything | st.fixed_dictionaries(dict.fromkeys(ROW, anything)), max_size=4))
def test_garbage_rows_are_problems(rows):
    fills, problems = read_fills(rows)
    assert len(fills) + len(problems) == len(rows)
    assert len(read_trades(rows)[1]) <= len(rows)


def test_trades_stand_for_an_entry_and_an_exit():
    fills, problems = fills_of_trades([TRADE, {**TRADE, "trade_id": 4, "side": "SHORT", "fee_usd": None, "exit_time": 15}], D("0.001"))
    assert not problems
    assert [(fill.id, fill.side, fill.price, fill.at) for fill in fills] == [
        ("4-entry", "sell", D(100), 10.0),
        ("3-entry", "buy", D(100), 10.0),
        ("4-exit", "buy", D(110), 15.0),
        ("3-exit", "sell", D(110), 20.0),
    ]
    assert sum(fill.fee for fill in fills if fill.id.startswith("3-")) == D("0.1")
    assert [fill.fee for fill in fills if fill.id.startswith("4-")] == [D("0.05"), D("0.055")]


def test_trades_that_are_still_open_are_no_closed_ones():
    assert read_trades([{**TRADE, "exit_time": None, "exit_price": None, "pnl_usd": None}]) == ([], [])
    assert read_trades([{**TRADE, "exit_time": None}])[1] == ["trade 3 cannot be read: exit_time: a time is needed, not nothing"]


def test_trades_that_cannot_be_read_or_are_listed_twice():
    _trades, problems = read_trades([TRADE, TRADE, {**TRADE, "trade_id": 9, "pnl_usd": "NaN"}, {**TRADE, "trade_id": 10, "side": "flat"}])
    assert problems == [
        "trade 3 of BTC/USDT is listed twice; each trade has to be listed once",
        "trade 9 cannot be read: pnl_usd: a finite number is needed, not 'NaN'",
        "trade 10 cannot be read: side: long or short is needed, not 'flat'",
    ]


@pytest.mark.parametrize(
    ("given_name", "symbol"),
    [("BTC/USDT", "BTC/USDT"), ("ethusdc", "ETH/USDC"), ("sol_usdt", "SOL/USDT"), ("USDT", "USDT"), ("BTC/USDT:USDT", "BTC/USDT:USDT")],
)
def test_symbols_in_one_spelling(given_name, symbol):
    assert symbol_of(given_name) == symbol


@pytest.mark.parametrize("value", [0, -1, "2026-13-01T00:00:00Z", "", None, True, "0001-01-01T00:00:00+14:00x"])
def test_what_is_no_moment(value):
    with pytest.raises(ValueError, match="a time is needed"):
        moment(value, "at")


def test_moments_in_all_units():
    assert {moment(value, "at") for value in (1_800_000_000, "1800000000", 1_800_000_000_000, 1_800_000_000_000_000, 1.8e18)} == {1.8e9}
