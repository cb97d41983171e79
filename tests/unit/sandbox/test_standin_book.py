# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""The book adds up exactly, whatever is bought and sold at whatever price."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.levibot.standin.book import FEE_RATE, ZERO, Book
from sandbox.levibot.standin.book import booked as rounded
from sandbox.levibot.standin.store import _plain

SYMBOLS = ("BTC/USDT", "ETH/USDT", "XRP/USDT")
D = Decimal

prices = st.decimals("0.00001", "100000", places=5, allow_nan=False)
quantities = st.decimals("-50", "50", places=8, allow_nan=False).filter(bool)
orders = st.lists(st.tuples(st.sampled_from(SYMBOLS), quantities, prices), max_size=25)


def booked(given_orders: list[tuple[str, Decimal, Decimal]]) -> tuple[Book, dict[str, Decimal]]:
    book, last = Book.opened_with(D("10000")), {}
    for ts, (symbol, qty, price) in enumerate(given_orders):
        book.fill(symbol, qty, price, float(ts))
        last[symbol] = price
    return book, last


@given(orders, st.lists(prices, min_size=3, max_size=3))
def test_equity_is_the_same_counted_either_way(given_orders, later):
    book, _ = booked(given_orders)
    now = dict(zip(SYMBOLS, later, strict=True))
    worth = sum((held.value(now[symbol]) for symbol, held in book.positions.items()), ZERO)
    assert book.equity(now) == book.starting + book.realised + book.unrealised(now) - book.fees == book.cash + worth
    assert book.equity(now) == rounded(book.equity(now))
    assert sum((book.symbol_pnl(symbol, now[symbol]) for symbol in SYMBOLS), ZERO) == book.pnl(now)


@given(orders)
def test_trades_explain_what_was_realised(given_orders):
    book, _ = booked(given_orders)
    still_open = sum((held.entry_fees for held in book.positions.values()), ZERO)
    assert book.realised - book.fees == sum((trade.pnl_usd for trade in book.trades), ZERO) - still_open
    assert book.gross_win - book.gross_loss == sum((trade.pnl_usd for trade in book.trades), ZERO)
    assert book.total_trades == len(book.trades)


@given(orders)
def test_a_position_is_the_sum_of_its_fills(given_orders):
    book, _ = booked(given_orders)
    for symbol in SYMBOLS:
        held = book.positions.get(symbol)
        assert (held.qty if held else 0) == sum(qty for name, qty, _ in given_orders if name == symbol)
        assert held is None or held.qty != 0


@given(orders)
def test_a_book_survives_json(given_orders):
    book, _ = booked(given_orders)
    assert Book.from_dict(json.loads(json.dumps(book, default=_plain))) == book


def test_a_round_trip_pays_both_fees():
    book = Book.opened_with(D(1000))
    book.fill("BTC/USDT", D("0.01"), D(50000), 1.0)
    book.fill("BTC/USDT", D("-0.01"), D(51000), 3.0)
    (trade,) = book.trades
    assert (trade.side, trade.entry_price, trade.exit_price) == ("long", D(50000), D(51000))
    assert trade.fee_usd == rounded((D(500) + D(510)) * FEE_RATE) == D("1.01")
    assert trade.pnl_usd == D("8.99")
    assert not book.positions
    assert book.equity({}) == book.cash == D("1008.99")


def test_a_flip_closes_one_position_and_opens_the_other():
    book = Book.opened_with(D(1000))
    book.fill("ETH/USDT", D(2), D(100), 1.0)
    book.fill("ETH/USDT", D(-5), D(110), 2.0)
    (trade,) = book.trades
    held = book.positions["ETH/USDT"]
    assert (trade.side, trade.qty, trade.pnl_usd) == ("long", D(2), D("19.58"))
    assert (held.side, held.qty, held.entry_price, held.cost, held.entry_fees) == ("short", D(-3), D(110), D("-330.00"), D("0.33"))
    assert (held.entry_time, trade.exit_time) == (2.0, 2.0)


def test_partial_closes_leave_no_cent_behind():
    book = Book.opened_with(D(1000))
    book.fill("ETH/USDT", D(3), D("33.335"), 1.0)
    for ts in (2.0, 3.0, 4.0):
        book.fill("ETH/USDT", D(-1), D("33.335"), ts)
    assert not book.positions
    assert [trade.qty for trade in book.trades] == [1, 1, 1]
    assert book.equity({}) == book.cash == book.starting + book.realised - book.fees


def test_adding_averages_the_entry_price():
    book = Book.opened_with(D(1000))
    book.fill("ETH/USDT", D(-1), D(100), 1.0)
    book.fill("ETH/USDT", D(-3), D(120), 2.0)
    assert book.positions["ETH/USDT"].entry_price == D(115)
    assert book.positions["ETH/USDT"].entry_time == 1.0


@pytest.mark.parametrize(("qty", "price"), [(D(0), D(1)), (D(1), D(0)), (D(1), D(-1))])
def test_a_fill_of_nothing_is_refused(qty, price):
    with pytest.raises(ValueError, match="a fill needs"):
        Book.opened_with(D(1)).fill("ETH/USDT", qty, price, 1.0)


def test_numbers_go_on_when_a_history_has_taken_what_was_booked():
    book = Book.opened_with(D(1000))
    for ts in range(6):
        book.fill("ETH/USDT", D(1) if ts % 2 == 0 else D(-1), D(10), float(ts))
        if ts == 3:
            book.fills, book.trades = [], []
    assert [fill.fill_id for fill in book.fills] == [5, 6]
    assert [trade.trade_id for trade in book.trades] == [3]
    assert (book.total_fills, book.total_trades) == (6, 3)
