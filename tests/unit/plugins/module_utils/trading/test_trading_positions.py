# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions and PnL against a brute-force model: lots in fractions, an implementation of its own."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.trading.fills import Fill
from ansible_collections.levibot.transition.plugins.module_utils.trading.pnl import of_book, pnl
from ansible_collections.levibot.transition.plugins.module_utils.trading.positions import (
    Book,
    Funding,
    Start,
    read_funding,
    read_start,
    replay,
)
from sandbox.levibot.standin import book as standin

D, F = Decimal, Fraction
SYMBOLS = ("BTC/USDT", "ETH/USDT")
NEAR = F(1, 10**12)  # a part of an amount is rounded to 18 decimals, and an average price, for people, to 28 digits

prices = st.decimals("0.00001", "100000", places=5)
quantities = st.decimals("0.00000001", "50", places=8)
fees = st.decimals("-0.5", "5", places=6) | st.just(D(0))


@st.composite
def fills(draw):
    found = []
    for number in range(draw(st.integers(0, 14))):
        symbol, side, quantity = draw(st.sampled_from(SYMBOLS)), draw(st.sampled_from(("buy", "sell"))), draw(quantities)
        if draw(st.booleans()):
            base = "base" if draw(st.booleans()) else ""
            fee = draw(st.decimals("0", "0.01", places=8)) if base else draw(fees)
        else:
            base, fee = "", D(0)
        found.append(Fill(str(number), float(number), symbol, side, quantity, draw(prices), fee, base))
        if draw(st.integers(0, 3)) == 0:  # close what this fill has left, exactly
            held = sum(fill.signed - (fill.fee if fill.fee_asset else 0) for fill in found if fill.symbol == symbol)
            if held:
                found.append(
                    Fill(f"{number}x", number + 0.5, symbol, "sell" if held > 0 else "buy", abs(held), draw(prices), draw(fees), "")
                )
    return found


starts = st.dictionaries(
    st.sampled_from(SYMBOLS), st.builds(Start, st.decimals("-20", "20", places=6), st.decimals("0.1", "50000", places=3)), max_size=2
)
payments = st.lists(st.builds(Funding, st.sampled_from(SYMBOLS), st.just(1.0), st.decimals("-3", "3", places=4)), max_size=3)
marks_now = st.fixed_dictionaries(dict.fromkeys(SYMBOLS, prices))


@dataclass
class Lot:
    quantity: F
    price: F
    fee: F


def brute(given_fills, start):
    """What is open, as lots, and what was closed as (symbol, side, quantity, pnl, fees); fees in base as dollars at the fill's price."""
    lots = {symbol: [] for symbol in SYMBOLS}
    for symbol, there in start.items():
        if there.quantity:
            lots[symbol].append(Lot(F(there.quantity), F(there.price), F(0)))
    closed, fees_paid, cash = [], F(0), F(0)
    for fill in given_fills:
        price, dollars = F(fill.price), F(fill.fee)
        change = F(fill.quantity) * (1 if fill.side == "buy" else -1)
        cash -= change * price
        if fill.fee_asset == "base":
            change -= F(fill.fee)
            dollars = F(fill.fee) * price
        else:
            cash -= dollars
        fees_paid += dollars
        own = lots[fill.symbol]
        held = sum((lot.quantity for lot in own), F(0))
        whole = change
        if held * change < 0:
            closing = min(abs(held), abs(change))
            share = closing / abs(held)
            exit_fee = dollars * closing / abs(whole)
            # At average cost each lot gives the same share of itself.
            earned = sum((lot.quantity * share * (price - lot.price) for lot in own), F(0))
            entry_fee = sum((lot.fee * share for lot in own), F(0))
            closed.append((fill.symbol, "long" if held > 0 else "short", closing, earned - entry_fee - exit_fee, entry_fee + exit_fee))
            lots[fill.symbol] = [Lot(lot.quantity * (1 - share), lot.price, lot.fee * (1 - share)) for lot in own if share < 1]
            change += closing if held > 0 else -closing
        if change:
            lots[fill.symbol].append(Lot(change, price, dollars * abs(change) / abs(whole)))
    return lots, closed, fees_paid, cash


def near(amount, other):
    return abs(F(amount) - other) <= NEAR * max(1, abs(other))


@given(fills(), starts, payments, marks_now)
def test_positions_closings_and_pnl_are_those_of_the_model(given_fills, start, funding, marks):
    lots, closed, fees_paid, cash = brute(given_fills, start)
    paid = sum((F(payment.amount) for payment in funding), F(0))
    book = replay(given_fills, start, funding)
    for symbol in SYMBOLS:
        held = book.positions.get(symbol)
        quantity = sum((lot.quantity for lot in lots[symbol]), F(0))
        assert F(held.quantity if held else 0) == quantity
        if held:
            assert near(held.cost, sum((lot.quantity * lot.price for lot in lots[symbol]), F(0)))
            assert near(held.fees, sum((lot.fee for lot in lots[symbol]), F(0)))
    assert [(row.symbol, row.side, F(row.quantity)) for row in book.closings] == [row[:3] for row in closed]
    for row, (_symbol, _side, _quantity, earned, fee) in zip(book.closings, closed, strict=True):
        assert near(row.pnl, earned)
        assert near(row.fees, fee)
    found = pnl(given_fills, marks, start, funding)
    worth = sum((lot.quantity * F(marks[symbol]) for symbol in SYMBOLS for lot in lots[symbol]), F(0))
    was = sum((F(there.quantity) * F(there.price) for there in start.values()), F(0))
    assert F(found.fees) == fees_paid
    assert F(found.funding) == paid
    assert F(found.cash_change) == cash + paid
    assert F(found.total) == cash + paid + worth - was


@given(fills(), starts, payments, marks_now)
def test_the_identity_is_exact(given_fills, start, funding, marks):
    """total = -sum of signed notional - fees + funding + what is held - what was held, where a fee in base is a sale of it."""
    found = pnl(given_fills, marks, start, funding)
    net = [(fill, F(fill.signed) - (F(fill.fee) if fill.fee_asset else 0)) for fill in given_fills]
    notional = sum((quantity * F(fill.price) for fill, quantity in net), F(0))
    held = {symbol: F(start[symbol].quantity) if symbol in start else F(0) for symbol in SYMBOLS}
    for fill, quantity in net:
        held[fill.symbol] += quantity
    worth = sum((held[symbol] * F(marks[symbol]) for symbol in SYMBOLS), F(0))
    was = sum((F(there.quantity) * F(there.price) for there in start.values()), F(0))
    assert F(found.total) == -notional - F(found.fees) + F(found.funding) + worth - was
    assert F(found.total) == F(found.realised) + F(found.unrealised) - F(found.fees) + F(found.funding)


@given(fills(), marks_now)
def test_symbols_add_up_to_the_whole(given_fills, marks):
    book = replay(given_fills)
    assert sum((of_book(book, marks, symbol).total for symbol in SYMBOLS), D(0)) == of_book(book, marks).total


orders = st.lists(st.tuples(st.sampled_from(SYMBOLS), st.decimals("-50", "50", places=8).filter(bool), prices), max_size=25)


@given(orders)
def test_a_book_that_rounds_is_repeated_to_the_last_decimal(given_orders):
    """The stand-in rounds what it books to eight decimals; the same rounding gives the same book, and so it is with cents."""
    theirs = standin.Book.opened_with(D(10000))
    ours = Book(quantum=standin.STEP)
    for number, (symbol, quantity, price) in enumerate(given_orders):
        done = theirs.fill(symbol, quantity, price, float(number))
        ours.apply(Fill(str(done.fill_id), done.ts, symbol, done.side, done.qty, price, done.fee))
    assert {symbol: (held.qty, held.cost, held.entry_fees) for symbol, held in theirs.positions.items()} == {
        symbol: (held.quantity, held.cost, held.fees) for symbol, held in ours.positions.items()
    }
    assert [(trade.symbol, trade.side, trade.qty, trade.pnl_usd, trade.fee_usd) for trade in theirs.trades] == [
        (row.symbol, row.side, row.quantity, row.pnl, row.fees) for row in ours.closings
    ]
    assert theirs.cash - theirs.starting == sum((account.cash for account in ours.accounts.values()), D(0))


def fill(number, side, quantity, price, fee=("0", "")):
    return Fill(str(number), float(number), "BTC/USDT", side, D(quantity), D(price), D(fee[0]), fee[1])


def test_a_flip_closes_one_position_and_opens_the_other():
    book = replay([fill(1, "buy", 2, 100), fill(2, "sell", 5, 110, ("0.5", ""))])
    (closing,) = book.closings
    assert (closing.side, closing.quantity, closing.pnl, closing.fees) == ("long", D(2), D("19.8"), D("0.2"))
    held = book.positions["BTC/USDT"]
    assert (held.side, held.quantity, held.cost, held.fees, held.opened_at) == ("short", D(-3), D(-330), D("0.3"), 2.0)


def test_a_fee_in_base_makes_less_of_what_was_bought_and_counts_at_the_fills_price():
    book = replay([fill(1, "buy", 1, 100, ("0.01", "base"))])
    held = book.positions["BTC/USDT"]
    assert (held.quantity, held.cost, held.entry_price) == (D("0.99"), D("99"), D(100))
    found = of_book(book, {"BTC/USDT": D(100)})
    assert (found.total, found.fees, found.cash_change) == (D(-1), D(1), D(-100))


def test_a_fee_that_eats_all_leaves_no_position():
    book = replay([fill(1, "buy", 1, 100, ("1", "base"))])
    assert not book.positions
    assert of_book(book, {}).total == D(-100)


def test_what_binary_fractions_leave_is_no_position_that_gets_old():
    left = D("0.1") + D("0.2") - D("0.30000000000000004")
    book = replay(
        [fill(1, "buy", "0.1", 10), fill(2, "buy", "0.2", 10), fill(3, "sell", "0.30000000000000004", 10), fill(99, "buy", "1", 10)]
    )
    assert left < 0
    assert book.positions["BTC/USDT"].opened_at == 99.0
    book = replay([fill(1, "buy", "0.30000000000000004", 10), fill(2, "sell", "0.3", 10), fill(99, "buy", "1", 10)])
    assert book.positions["BTC/USDT"].opened_at == 99.0


def test_a_mark_that_is_missing_is_no_zero():
    with pytest.raises(ValueError, match="a mark is missing for BTC/USDT"):
        pnl([fill(1, "buy", 1, 100)], {})


def test_starts_and_funding_are_read_from_plain_json():
    assert read_start({"BTCUSDT": {"quantity": "-1", "price_usd": 60000.5}}) == {"BTC/USDT": Start(D(-1), D("60000.5"))}
    assert read_funding([{"symbol": "BTC/USDT", "ts": 5, "amount_usd": "-0.01"}]) == [Funding("BTC/USDT", 5.0, D("-0.01"))]
    for wrong in ([], {"BTC/USDT": 1}, {"BTC/USDT": {"quantity": 1}}):
        with pytest.raises(ValueError, match="needed"):
            read_start(wrong)
    with pytest.raises(ValueError, match="funding"):
        read_funding([1])
