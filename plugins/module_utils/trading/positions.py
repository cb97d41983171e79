# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions from fills, at average cost: long and short, in parts, through zero, with fees in either asset, and funding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.trading.fills import IN_BASE, LONG, SHORT, Fill, moment, symbol_of
from ansible_collections.levibot.transition.plugins.module_utils.trading.money import CENT, ZERO, decimal, exact

# A holding that is worth less is what the writing of numbers has left over, and no position.
DUST_USD = CENT
# Where a part of an amount is not a whole number, it is rounded to this, and the rest keeps what is left: nothing is lost.
_GRAIN = Decimal("1e-18")


@dataclass(frozen=True)
class Funding:
    """What was paid for holding a perpetual; below 0 where it was paid by us."""

    symbol: str
    at: float
    amount: Decimal


@dataclass(frozen=True)
class Start:
    """A position that was there before the first fill: signed quantity, and the price from which its PnL is counted."""

    quantity: Decimal
    price: Decimal


@dataclass
class Position:
    """What is open. quantity and cost are signed: a short has both below 0. fees: what its entry has cost beside that, in USD.

    opened_at: of its first fill, in seconds since the epoch; None where it was there before the first fill.
    divided: whether a part of a booked amount is in it, which a book that rounds may have rounded either way.
    """

    symbol: str
    quantity: Decimal
    cost: Decimal
    fees: Decimal
    opened_at: float | None
    divided: bool = False

    @property
    def side(self) -> str:
        return LONG if self.quantity > 0 else SHORT

    @property
    def entry_price(self) -> Decimal:
        return self.cost / self.quantity


@dataclass(frozen=True)
class Closing:
    """A position, or a part of one, that a fill closed. pnl: net of `fees`, which are its share of the entry's and the exit's.

    opened_at: None where it was there before the first fill: then its PnL counts from the start's price. divided: see Position.
    """

    symbol: str
    side: str
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    pnl: Decimal
    fees: Decimal
    opened_at: float | None
    closed_at: float
    divided: bool = False


@dataclass
class Account:
    """One symbol's sums so far, in USD. realised: before fees. cash: what went into the account (below 0: out of it)."""

    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    cash: Decimal = ZERO


@dataclass
class Book:
    """Fills, one after the other. quantum: what each booked amount is rounded to, such as a cent; None keeps them whole."""

    quantum: Decimal | None = None
    positions: dict[str, Position] = field(default_factory=dict)
    closings: list[Closing] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)

    @classmethod
    def starting(cls, positions: Mapping[str, Start], quantum: Decimal | None = None) -> Book:
        """A book with positions that were there before."""
        book = cls(quantum)
        with exact():
            for symbol, start in positions.items():
                if start.quantity:
                    cost = book.booked(start.quantity * start.price)
                    book.positions[symbol] = Position(symbol, start.quantity, cost, ZERO, None)
        return book

    def apply(self, fill: Fill) -> None:
        """A fill may open, add, close in part or whole, or flip. A fee in the base asset makes less of what was bought."""
        with exact():
            quantity = fill.signed
            notional = self.booked(quantity * fill.price)
            fee = fill.fee
            if fill.fee_asset == IN_BASE:
                fee = self.booked(fill.fee * fill.price)
                quantity -= fill.fee
                notional -= fee
            account = self.accounts.setdefault(fill.symbol, Account())
            account.cash -= notional + fee
            account.fees += fee
            if quantity:
                self._move(fill, quantity, notional, fee)
            else:
                account.realised -= notional

    def pay(self, payment: Funding) -> None:
        """A funding payment, which changes no position."""
        with exact():
            account = self.accounts.setdefault(payment.symbol, Account())
            account.funding += payment.amount
            account.cash += payment.amount

    def booked(self, amount: Decimal) -> Decimal:
        """An amount as this book keeps it."""
        return amount if self.quantum is None else amount.quantize(self.quantum)

    def _part(self, amount: Decimal, share: Decimal, of: Decimal) -> Decimal:
        return (amount * share / of).quantize(self.quantum or _GRAIN)

    def _move(self, fill: Fill, quantity: Decimal, notional: Decimal, fee: Decimal) -> None:
        """quantity and notional are signed; what closes and what opens share them, so nothing is lost in between."""
        held = self.positions.get(fill.symbol)
        closing = ZERO if held is None or held.quantity * quantity > 0 else min(abs(quantity), abs(held.quantity)).copy_sign(quantity)
        opening = quantity - closing
        closing_notional = notional if not opening else self.booked(closing * fill.price)
        closing_fee = fee if not opening else self._part(fee, closing, quantity)
        if held is not None and closing:
            held.divided = held.divided or bool(opening) or closing != -held.quantity
            self._close(fill, held, closing, closing_notional, closing_fee)
        if opening:
            self._open(fill, opening, notional - closing_notional, fee - closing_fee)
            self.positions[fill.symbol].divided |= bool(closing)

    def _open(self, fill: Fill, quantity: Decimal, notional: Decimal, fee: Decimal) -> None:
        held = self.positions.get(fill.symbol)
        if held is None:
            self.positions[fill.symbol] = Position(fill.symbol, quantity, notional, fee, fill.at)
            return
        if abs(held.quantity) * fill.price < DUST_USD:
            held.opened_at = fill.at
        held.quantity += quantity
        held.cost += notional
        held.fees += fee

    def _close(self, fill: Fill, held: Position, quantity: Decimal, notional: Decimal, fee: Decimal) -> None:
        """quantity and notional have the fill's sign, which is not the position's."""
        whole = quantity == -held.quantity
        cost = held.cost if whole else self._part(held.cost, -quantity, held.quantity)
        entry_fee = held.fees if whole else self._part(held.fees, -quantity, held.quantity)
        realised = -notional - cost
        self.accounts[fill.symbol].realised += realised
        self.closings.append(
            Closing(
                symbol=fill.symbol,
                side=held.side,
                quantity=abs(quantity),
                entry_price=held.entry_price,
                exit_price=fill.price,
                pnl=realised - entry_fee - fee,
                fees=entry_fee + fee,
                opened_at=held.opened_at,
                closed_at=fill.at,
                divided=held.divided,
            )
        )
        if whole:
            del self.positions[fill.symbol]
        else:
            held.quantity += quantity
            held.cost -= cost
            held.fees -= entry_fee


def replay(
    fills: Iterable[Fill], start: Mapping[str, Start] | None = None, funding: Iterable[Funding] = (), quantum: Decimal | None = None
) -> Book:
    """The book after all these fills, which are given oldest first."""
    book = Book.starting(start or {}, quantum)
    for fill in fills:
        book.apply(fill)
    for payment in funding:
        book.pay(payment)
    return book


def read_start(given: Any) -> dict[str, Start]:
    """From plain JSON, ``{symbol: {quantity: signed, price_usd}}``. Raises ValueError."""
    if not isinstance(given, Mapping) or not all(isinstance(row, Mapping) for row in given.values()):
        raise ValueError("positions: {symbol: {quantity, price_usd}} is needed")
    return {
        symbol_of(name): Start(
            decimal(row.get("quantity"), f"quantity of {name} before"), decimal(row.get("price_usd"), f"price of {name} before")
        )
        for name, row in given.items()
    }


def read_funding(rows: Any) -> list[Funding]:
    """From plain JSON, ``{symbol, ts, amount_usd}`` each. Raises ValueError."""
    listed = list(rows) if isinstance(rows, (list, tuple)) else [rows]
    if not all(isinstance(row, Mapping) for row in listed):
        raise ValueError("funding: a list of {symbol, ts, amount_usd} is needed")
    return [
        Funding(
            symbol_of(row.get("symbol")),
            moment(row.get("ts", row.get("at")), "time of funding"),
            decimal(row.get("amount_usd", row.get("amount")), "amount of funding"),
        )
        for row in listed
    ]
