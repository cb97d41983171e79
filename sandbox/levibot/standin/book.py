# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""Fills, positions and PnL that add up exactly. Pure: no clock, no market, no I/O.

Every amount of money is rounded to eight decimals once, when it is booked, as exchanges do, and only sums of booked amounts are
reported. So these hold exactly, at any time and for any fills, partial closes and flips included:

    equity = starting + realised + unrealised - fees = cash + market value of the positions
    realised - fees = sum of the trades' pnl - entry fees of what is still open
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

STEP = Decimal("0.00000001")
ZERO = Decimal("0.00")
FEE_RATE = Decimal("0.001")


def booked(amount: Decimal) -> Decimal:
    return amount.quantize(STEP, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True)
class Fill:
    fill_id: int
    ts: float
    symbol: str
    side: str  # buy | sell
    qty: Decimal
    price: Decimal
    fee: Decimal


@dataclass(frozen=True)
class _Part:
    """The part of a fill that closes, or the part that opens; quantity and notional are signed like the fill."""

    qty: Decimal
    notional: Decimal
    fee: Decimal


@dataclass(frozen=True)
class Trade:
    """One closing: a whole position, or the part of it that a fill closed. `pnl_usd` is net of both sides' fees."""

    trade_id: int
    symbol: str
    side: str  # long | short
    qty: Decimal
    entry_price: Decimal
    exit_price: Decimal
    pnl_usd: Decimal
    fee_usd: Decimal
    entry_time: float
    exit_time: float


@dataclass
class Position:
    qty: Decimal  # signed: a short is negative
    cost: Decimal  # signed like qty: what was paid for it, or received
    entry_fees: Decimal
    entry_price: Decimal  # the average of what was paid, for people: money is counted from `cost`
    entry_time: float

    @property
    def side(self) -> str:
        return "long" if self.qty > 0 else "short"

    def value(self, price: Decimal) -> Decimal:
        return booked(self.qty * price)

    def unrealised(self, price: Decimal) -> Decimal:
        return self.value(price) - self.cost


@dataclass
class Account:
    """What one symbol has earned and cost so far."""

    realised: Decimal = ZERO
    fees: Decimal = ZERO
    trades: int = 0


@dataclass
class Book:
    starting: Decimal
    cash: Decimal
    accounts: dict[str, Account] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    # Those that nobody has put into a history yet; totals count all.
    trades: list[Trade] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    next_fill: int = 1
    wins: int = 0
    gross_win: Decimal = ZERO
    gross_loss: Decimal = ZERO

    @classmethod
    def opened_with(cls, starting: Decimal) -> Book:
        return cls(starting=booked(starting), cash=booked(starting))

    def fund(self, amount: Decimal) -> None:
        self.starting += booked(amount)
        self.cash += booked(amount)

    def fill(self, symbol: str, qty: Decimal, price: Decimal, ts: float) -> Fill:
        """Books an order that was executed: qty > 0 bought, qty < 0 sold. It may open, add, close in part or whole, or flip."""
        if qty == 0 or price <= 0:
            raise ValueError(f"a fill needs a quantity and a positive price, not {qty} at {price}")
        account = self.accounts.setdefault(symbol, Account())
        notional = booked(qty * price)
        fee = booked(abs(qty) * price * FEE_RATE)
        self.cash -= notional + fee
        account.fees += fee

        held = self.positions.get(symbol)
        closing = ZERO if held is None or held.qty * qty > 0 else min(abs(qty), abs(held.qty)).copy_sign(qty)
        opening = qty - closing
        # What closes and what opens share the fill's rounded amounts, so nothing is lost between the two.
        closing_notional = notional if opening == 0 else booked(closing * price)
        closing_fee = fee if opening == 0 else booked(fee * closing / qty)
        if held is not None and closing != 0:
            self._close(symbol, held, _Part(closing, closing_notional, closing_fee), price, ts)
        if opening != 0:
            self._open(symbol, _Part(opening, notional - closing_notional, fee - closing_fee), price, ts)

        done = Fill(self.next_fill, ts, symbol, "buy" if qty > 0 else "sell", abs(qty), price, fee)
        self.next_fill += 1
        self.fills.append(done)
        return done

    def _open(self, symbol: str, part: _Part, price: Decimal, ts: float) -> None:
        held = self.positions.get(symbol)
        if held is None:
            self.positions[symbol] = Position(part.qty, part.notional, part.fee, price, ts)
        else:
            held.entry_price = booked((held.entry_price * held.qty + price * part.qty) / (held.qty + part.qty))
            held.qty += part.qty
            held.cost += part.notional
            held.entry_fees += part.fee

    def _close(self, symbol: str, held: Position, part: _Part, price: Decimal, ts: float) -> None:
        account = self.accounts[symbol]
        whole = part.qty == -held.qty
        cost = held.cost if whole else booked(held.cost * -part.qty / held.qty)
        entry_fee = held.entry_fees if whole else booked(held.entry_fees * -part.qty / held.qty)
        realised = -part.notional - cost
        pnl = realised - entry_fee - part.fee
        account.realised += realised
        account.trades += 1
        self.wins += pnl > 0
        self.gross_win += max(pnl, ZERO)
        self.gross_loss += max(-pnl, ZERO)
        trade = Trade(
            trade_id=self.total_trades,
            symbol=symbol,
            side=held.side,
            qty=abs(part.qty),
            entry_price=held.entry_price,
            exit_price=price,
            pnl_usd=pnl,
            fee_usd=entry_fee + part.fee,
            entry_time=held.entry_time,
            exit_time=ts,
        )
        self.trades.append(trade)
        if whole:
            del self.positions[symbol]
        else:
            held.qty += part.qty
            held.cost -= cost
            held.entry_fees -= entry_fee

    @property
    def total_fills(self) -> int:
        return self.next_fill - 1

    @property
    def realised(self) -> Decimal:
        return sum((account.realised for account in self.accounts.values()), ZERO)

    @property
    def fees(self) -> Decimal:
        return sum((account.fees for account in self.accounts.values()), ZERO)

    @property
    def total_trades(self) -> int:
        return sum(account.trades for account in self.accounts.values())

    def unrealised(self, prices: Mapping[str, Decimal]) -> Decimal:
        return sum((held.unrealised(prices[symbol]) for symbol, held in self.positions.items()), ZERO)

    def pnl(self, prices: Mapping[str, Decimal]) -> Decimal:
        return self.realised + self.unrealised(prices) - self.fees

    def equity(self, prices: Mapping[str, Decimal]) -> Decimal:
        return self.starting + self.pnl(prices)

    def symbol_pnl(self, symbol: str, price: Decimal) -> Decimal:
        account = self.accounts.get(symbol, Account())
        held = self.positions.get(symbol)
        return account.realised - account.fees + (held.unrealised(price) if held else ZERO)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Book:
        """A book from plain JSON, where records are objects of their fields and decimals are strings."""
        return cls(
            starting=Decimal(data["starting"]),
            cash=Decimal(data["cash"]),
            accounts={symbol: typed(Account, item) for symbol, item in data["accounts"].items()},
            positions={symbol: typed(Position, item) for symbol, item in data["positions"].items()},
            trades=[typed(Trade, item) for item in data["trades"]],
            fills=[typed(Fill, item) for item in data["fills"]],
            next_fill=data["next_fill"],
            wins=data["wins"],
            gross_win=Decimal(data["gross_win"]),
            gross_loss=Decimal(data["gross_loss"]),
        )


def typed(kind: type[Any], item: Mapping[str, Any]) -> Any:
    """A record of `kind` from plain JSON: fields declared as Decimal become Decimal, the rest stays."""
    declared = kind.__dataclass_fields__
    return kind(**{name: Decimal(value) if declared[name].type == "Decimal" else value for name, value in item.items()})
