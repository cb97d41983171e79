# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Books beside what their own fills come to since a baseline: what the judgements of reconcile.py are made of."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.trading.books import TRADES, Books, Engine, Held, UnreadableError
from ansible_collections.levibot.transition.plugins.module_utils.trading.fills import BUY, SELL, Fill, Trade, fills_of_trade, symbol_of
from ansible_collections.levibot.transition.plugins.module_utils.trading.money import CENT, ZERO, cents, decimal, exact, text
from ansible_collections.levibot.transition.plugins.module_utils.trading.pnl import of_book
from ansible_collections.levibot.transition.plugins.module_utils.trading.positions import (
    DUST_USD,
    Account,
    Book,
    Closing,
    read_start,
    replay,
)

# What binary fractions make of a number that was whole: nothing that matters is finer.
_NOISE = Decimal("1e-9")
# An order of a whole number of cents has a quantity that is rounded, and is this near to it.
_EVEN = Decimal("1e-4")
# A trade is booked up to so much later than its last fill.
_BOOKED_SECONDS = 5


@dataclass(frozen=True)
class Expected:
    """What should be so.

    baseline, live, step, sides, limits: plain JSON, as the gate hands them to source `trading`. now: epoch.
    since: closings after it, in the step's symbols, are events; None counts from the baseline on.
    starts: by symbol ``[when, capital]`` of each start of its engine, oldest first, those included that are not live any more. A live one
    that is not in it counts as live, with its capital, all the time.
    """

    baseline: Mapping[str, Any]
    live: Mapping[str, Any]
    step: Sequence[str]
    sides: Sequence[str]
    limits: Mapping[str, Any]
    now: float
    since: float | None = None
    starts: Mapping[str, Sequence[Sequence[Any]]] = field(default_factory=dict)

    @property
    def capitals(self) -> dict[str, Decimal]:
        """In USD, of the engines that should be live. Raises UnreadableError."""
        try:
            return {symbol_of(symbol): decimal(capital, f"capital of {symbol}") for symbol, capital in self.live.items()}
        except ValueError as exc:
            raise UnreadableError(str(exc)) from exc

    @property
    def given(self) -> dict[str, list[tuple[float, Decimal]]]:
        """By symbol (since when, capital) of each start. Raises UnreadableError."""
        try:
            starts = {
                symbol_of(symbol): [(float(at), decimal(capital, f"capital of {symbol}")) for at, capital in rows]
                for symbol, rows in self.starts.items()
            }
        except (TypeError, ValueError) as exc:
            raise UnreadableError(f"the engines' starts cannot be read: {exc}") from exc
        return {**{symbol: [(0.0, capital)] for symbol, capital in self.capitals.items()}, **starts}

    def limit(self, name: str) -> Decimal:
        """A limit of the plan. Raises UnreadableError."""
        try:
            return decimal(self.limits.get(name), f"limit {name}")
        except ValueError as exc:
            raise UnreadableError(str(exc)) from exc


@dataclass(frozen=True)
class Range:
    """What an amount may be, since marks move while they are read."""

    low: Decimal
    high: Decimal

    def plus(self, amount: Decimal) -> Range:
        return Range(self.low + amount, self.high + amount)

    def wider(self, by: Decimal) -> Range:
        return Range(self.low - by, self.high + by)

    @property
    def middle(self) -> Decimal:
        return (self.low + self.high) / 2

    @property
    def width(self) -> Decimal:
        return self.high - self.low


class Case:
    """Books and what is expected of them, and what was recomputed for that. Raises UnreadableError where nothing can be.

    live: the capitals of the engines that should be live now. given: those of all that were since the baseline, by their starts.
    fills: since the baseline. book: what they come to. peaks: the most that was paid for a position since then, by symbol and the capital
    that its engine had; paid: for all that were open at once, by the capital of all engines. most_open: the most positions at once.
    closings: of more than dust. pairs, misfits: see `_match`. events: closings that count. untraded: the step's symbols without any.
    total: the recomputed PnL.
    """

    def __init__(self, books: Books, expected: Expected) -> None:
        self.books = books
        self.expected = expected
        self.live = expected.capitals
        self.given = expected.given
        self._totals = _totals(self.given)
        self._read_baseline(expected.baseline)
        if not books.complete:
            raise UnreadableError("the history does not reach back to the baseline, so nothing can be recomputed")
        self._before, self.fills, trades = self._history()
        self._book_before: Book | None = None
        self.funding = [payment for payment in books.funding if payment.at > self.base_at]
        self._replay(CENT if self._kept_in_cents() else None)
        self.low, self.high = self._marks()
        self.closings = [closing for closing in self.book.closings if closing.quantity * closing.exit_price >= DUST_USD]
        self.pairs, self.misfits = _match(trades, self.closings, self._before[-1].at + _BOOKED_SECONDS if self._before else self._beginning)
        step = [symbol_of(symbol) for symbol in expected.step]
        since = self.base_at if expected.since is None else expected.since
        counting = [closing.symbol for closing in self.closings if closing.symbol in step and closing.closed_at > since]
        self.events = len(counting)
        self.untraded = [symbol for symbol in step if symbol not in counting]
        with exact():
            self.total = of_book(self.book, {symbol: (self.low[symbol] + self.high[symbol]) / 2 for symbol in self.low}).total

    # How it is read.

    def _read_baseline(self, base: Mapping[str, Any]) -> None:
        try:
            self.start = read_start(base.get("positions") or {})
            self.base_cash = decimal(base.get("cash_usd"), "cash_usd")
            self.base_pnl = decimal(base.get("total_pnl_usd"), "total_pnl_usd")
            self.base_starting = decimal(base.get("starting_usd"), "starting_usd")
            self.base_at = float(decimal(base.get("at"), "at"))
            self.fills_before = int(decimal(base.get("fills") or 0, "fills"))
        except ValueError as exc:
            raise UnreadableError(f"the baseline cannot be read: {exc}") from exc
        last = base.get("last_fill_id")
        self._last_before = None if last in (None, "") else str(last)

    def _history(self) -> tuple[list[Fill], list[Fill], list[Trade] | None]:
        """(fills before the baseline as far as they are listed, fills after it, trades of which the newest are after it)."""
        books = self.books
        if books.history != TRADES:
            before, after = self._cut(books.fills, [fill.at for fill in books.fills], "fill")
            return before, after, books.trades
        trades = books.trades or []
        _before, later = self._cut(trades, [trade.exit_at for trade in trades], "trade")
        fills = []
        for trade in later:
            entry, leave = fills_of_trade(trade, books.fee_ratio)
            there = self.start.get(trade.symbol)
            was_there = there is not None and there.quantity and trade.entry_at <= self.base_at
            fills += [leave] if was_there else [entry, leave]
        fills += [self._entry(symbol, held) for symbol, held in books.positions.items() if symbol not in self.start]
        return [], sorted(fills, key=lambda fill: fill.at), later

    def _cut(self, rows: Sequence[Any], times: Sequence[float], what: str) -> tuple[list[Any], list[Any]]:
        """(up to the one that was the last before the baseline, after it)."""
        last, count = self._last_before, 0
        if last is not None:
            count = next((index + 1 for index, row in enumerate(rows) if row.id == last), 0)
            if not count:
                raise UnreadableError(
                    f"{what} {last}, the last one before the baseline, is not listed any more, so nothing can be recomputed"
                )
        elif self.fills_before:  # rows without a number: two clocks have to do
            count = sum(at <= self.base_at for at in times)
        return list(rows[:count]), list(rows[count:])

    def _entry(self, symbol: str, held: Held) -> Fill:
        """The fill that there must have been, where only the position says so."""
        if held.entry_price is None or held.entry_price <= 0:
            raise UnreadableError(f"position of {symbol}: no fills are listed, and it says no entry price")
        side, quantity = (BUY if held.quantity > 0 else SELL), held.quantity.copy_abs()
        with exact():
            fee = held.fee if held.fee is not None else quantity * held.entry_price * self.books.fee_ratio
        return Fill(f"position-{symbol}", held.opened_at or self.books.at, symbol, side, quantity, held.entry_price, fee)

    def _kept_in_cents(self) -> bool:
        """See reconcile.py. Where no fee is paid, the cash has to tell."""
        fills = [*self._before, *self.fills]
        fees = [fill.fee for fill in fills if fill.fee]
        if not fees:
            return in_cents([self.base_cash, self.books.portfolio["cash"]])
        told = any(in_cents([amount]) for name, amount in self.books.portfolio.items() if name != "starting")
        with exact():
            # Of orders of just 20 USD, a fee in whole cents says nothing.
            uneven = any(abs(fill.quantity * fill.price % CENT - CENT / 2) < CENT / 2 - _EVEN for fill in fills)
        return told and uneven and in_cents(fees)

    def _replay(self, quantum: Decimal | None) -> None:
        self.book = book = Book.starting(self.start, quantum)
        self.peaks: dict[str, dict[Decimal, Decimal]] = {}
        self.paid: dict[Decimal, Decimal] = {}
        self.most_open = 0
        for fill in self.fills:
            book.apply(fill)
            held = book.positions.get(fill.symbol)
            if held is not None:
                own, capital = self.peaks.setdefault(fill.symbol, {}), self.capital_of(fill.symbol, fill.at)
                own[capital] = max(own.get(capital, ZERO), held.cost.copy_abs())
            costs = [each.cost.copy_abs() for each in book.positions.values()]
            capital = self.capital_at(fill.at)
            self.paid[capital] = max(self.paid.get(capital, ZERO), sum(costs, ZERO))
            self.most_open = max(self.most_open, sum(cost >= DUST_USD for cost in costs))
        for payment in self.funding:
            book.pay(payment)

    def _marks(self) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
        """(lower, higher) by symbol; the last fill's price where a position is not reported."""
        last = {symbol: start.price for symbol, start in self.start.items()}
        last.update({fill.symbol: fill.price for fill in self.fills})
        low, high = {}, {}
        for symbol in {*self.book.positions, *self.books.positions, *self.books.again}:
            told = [held[symbol] for held in (self.books.positions, self.books.again) if symbol in held]
            marks = [held.mark for held in told if held.mark is not None]
            if told and not marks:
                raise UnreadableError(f"position of {symbol}: no mark (current_price) is reported")
            marks = marks or [last[symbol]]
            low[symbol], high[symbol] = min(marks), max(marks)
        return low, high

    # With what they trade.

    def capital_of(self, symbol: str, at: float) -> Decimal:
        """What a symbol's engine had at a time; before its start, what it was started with."""
        starts = self.given.get(symbol) or [(0.0, ZERO)]
        return next((capital for since, capital in reversed(starts) if since <= at), starts[0][1])

    def capital_at(self, at: float) -> Decimal:
        """What all engines together had that were started until then; before the first start, what that one had."""
        moments, totals = self._totals
        return totals[max(0, bisect_right(moments, at) - 1)] if totals else ZERO

    # What was recomputed.

    def value(self, symbol: str | None = None) -> Range:
        """Of what is held by the fills, at its marks: of a symbol, or of all."""
        low = high = ZERO
        for name, held in self.book.positions.items():
            if symbol in (None, name):
                ends = [self.book.booked(held.quantity * marks[name]) for marks in (self.low, self.high)]
                low, high = low + min(ends), high + max(ends)
        return Range(low, high)

    def account(self, symbol: str) -> Account:
        return self.book.accounts.get(symbol, Account())

    def earned(self, symbol: str) -> Range:
        """A symbol's PnL since the baseline."""
        account, held = self.account(symbol), self.book.positions.get(symbol)
        closed = account.realised - account.fees + account.funding
        return Range(closed, closed) if held is None else self.value(symbol).plus(closed - held.cost)

    def earned_before(self, symbol: str) -> Decimal | None:
        """A symbol's PnL from its first fill to the baseline; None where the history does not reach back to that."""
        if not self.fills_before:
            return ZERO
        if len(self._before) != self.fills_before:
            return None
        if self._book_before is None:
            self._book_before = replay(self._before, quantum=self.book.quantum)
        account, held = self._book_before.accounts.get(symbol, Account()), self._book_before.positions.get(symbol)
        with exact():
            there = self.start.get(symbol)
            is_open = ZERO if held is None or there is None else held.quantity * there.price - held.cost
            return account.realised - account.fees + account.funding + is_open

    @property
    def cash_change(self) -> Decimal:
        return sum((account.cash for account in self.book.accounts.values()), ZERO)

    @property
    def base_value(self) -> Decimal:
        """Of what was held at the baseline."""
        return sum((start.quantity * start.price for start in self.start.values()), ZERO)

    def ties(self, symbol: str | None = None) -> int:
        """How many fills a book in cents may have rounded either way."""
        if self.book.quantum is None:
            return 0
        return sum((fill.quantity * fill.price) % CENT == CENT / 2 for fill in self.fills if symbol in (None, fill.symbol))

    # What is reported.

    @property
    def cash_change_told(self) -> Decimal:
        """How the balance has changed, but for what was paid in or out."""
        portfolio = self.books.portfolio
        return (portfolio["cash"] - portfolio["starting"]) - (self.base_cash - self.base_starting)

    @property
    def pnl_told(self) -> Decimal:
        return self.books.portfolio["pnl"] - self.base_pnl

    def comparable(self, engine: Engine) -> bool:
        """Whether an engine's PnL is that of its fills: with another position, it was told before the last fill, or after."""
        return engine.total_pnl is not None and engine.position in (None, self.quantity(engine.symbol))

    # Positions, told and recomputed.

    def quantity(self, symbol: str) -> Decimal:
        """What a symbol's fills come to."""
        held = self.book.positions.get(symbol)
        return held.quantity if held else ZERO

    def told(self, symbol: str) -> Decimal:
        held = self.books.positions.get(symbol)
        return held.quantity if held else ZERO

    def agrees(self, symbol: str) -> bool:
        """Up to what is no position."""
        with exact():
            return abs(self.told(symbol) - self.quantity(symbol)) * self.high.get(symbol, ZERO) < DUST_USD

    @property
    def held(self) -> list[str]:
        """The symbols of all positions that are worth more than dust, by the fills or by what is reported."""
        with exact():
            return sorted(name for name in self.low if max(abs(self.told(name)), abs(self.quantity(name))) * self.high[name] >= DUST_USD)

    @property
    def _beginning(self) -> float | None:
        """From when on every trade has to have its fills, where no fill before the baseline tells."""
        return 0.0 if not self.fills_before else None


def _totals(given: Mapping[str, Sequence[tuple[float, Decimal]]]) -> tuple[list[float], list[Decimal]]:
    """(when engines were started, in order; the capital that all had from then on)."""
    moments = sorted({at for starts in given.values() for at, _capital in starts})
    totals = [
        sum((next((capital for since, capital in reversed(starts) if since <= at), ZERO) for starts in given.values()), ZERO)
        for at in moments
    ]
    return moments, totals


def case_of(books: Books, expected: Expected) -> Case:
    """The same one for all that is asked about the same books, which takes a replay of all fills to make."""
    if not books.cases or books.cases[0].expected is not expected:
        books.cases[:] = [Case(books, expected)]
    return books.cases[0]  # type: ignore[no-any-return]


Pair = tuple[Trade, list[Closing]]


def _match(trades: Sequence[Trade] | None, closings: Sequence[Closing], surely_after: float | None) -> tuple[list[Pair], list[str]]:
    """(reported trades, each with the closings that it is; where the two part, a sentence for a symbol).

    From the newest back: trades from before the baseline are left over then, whatever two clocks say of it. surely_after: those that
    ended later are none of these. A trade is one closing, or, in releases that count whole positions, as many as its quantity takes.
    """
    pairs: list[Pair] = []
    misfits: list[str] = []
    for symbol in dict.fromkeys([row.symbol for row in closings] + [trade.symbol for trade in trades or ()]) if trades is not None else ():
        left = [closing for closing in closings if closing.symbol == symbol]
        told = [trade for trade in trades or () if trade.symbol == symbol]
        misfit = _match_one(symbol, told, left, pairs)
        after = [trade for trade in told if surely_after is not None and trade.exit_at > surely_after]
        if not misfit and after:
            misfit = f"{symbol}: no fills close trade {after[-1].id}, which is reported as {_trade_text(after[-1])}"
        misfits += [misfit] if misfit else []
    return pairs, misfits


def _match_one(symbol: str, told: list[Trade], left: list[Closing], pairs: list[Pair]) -> str:
    """Takes from both what belongs together. Returns where they part; empty where no closing is left."""
    while left:
        last = left[-1]
        closed = f"{last.side} {text(last.quantity)}, closed at {utc(last.closed_at)}"
        if not told:
            return f"{symbol}: the fills close a position ({closed}) that is reported as no trade"
        taken = _taken(told[-1], left)
        if not taken:
            return f"{symbol}: trade {told[-1].id} is reported as {_trade_text(told[-1])}; by the fills it is {closed}"
        pairs.append((told.pop(), taken))
        del left[len(left) - len(taken) :]
    return ""


def _taken(trade: Trade, closings: Sequence[Closing]) -> list[Closing]:
    """The newest closings that make up a trade; none where they do not."""
    taken: list[Closing] = []
    with exact():
        left = trade.quantity
        for closing in reversed(closings):
            if closing.side != trade.side:
                break
            left -= closing.quantity
            taken.insert(0, closing)
            if abs(left) * trade.exit_price < DUST_USD:
                return taken
            if left < 0:
                break
    return []


def _trade_text(trade: Trade) -> str:
    return f"{trade.side} {text(trade.quantity)}, closed at {utc(trade.exit_at)}"


def in_cents(amounts: Iterable[Decimal]) -> bool:
    """Whether there are any, and all are whole cents."""
    listed = list(amounts)
    return bool(listed) and all(abs(amount - cents(amount)) < _NOISE for amount in listed)


def utc(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
