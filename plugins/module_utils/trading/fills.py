# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fills as LeviBot's releases list them, in one form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.trading.money import decimal, exact, shown, text

BUY, SELL = "buy", "sell"
LONG, SHORT = "long", "short"
SIDES = (LONG, SHORT)
IN_QUOTE, IN_BASE = "", "base"
FEE_RATIO = Decimal("0.001")  # usual in the field, a side

QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD", "DAI")
_SEPARATORS = re.compile(r"[/_-]")
# Two spellings of the same field, and more.
SYMBOL = ("symbol", "pair", "market", "instrument")
QUANTITY = ("qty", "quantity", "amount", "size")
# As levibot/books.py has them: a baseline names its last fill by one. An order's number is none, since its parts share it.
_ID = ("fill_id", "trade_id", "id")
_AT = ("ts", "at", "time", "timestamp", "executed_at", "created_at")
_PRICE = ("price", "fill_price", "avg_price")
_FEE = ("fee", "fee_usd", "commission")
_FEE_ASSET = ("fee_asset", "fee_currency", "commission_asset")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?\s*(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE)
# What is more than this is not in seconds: it would be the year 5138.
_TOO_MANY_SECONDS = 1e11


@dataclass(frozen=True)
class Fill:
    """One execution. at: seconds since the epoch. quantity, price: above 0. fee: in the asset that fee_asset says; a rebate is below 0."""

    id: str
    at: float
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str = IN_QUOTE

    @property
    def signed(self) -> Decimal:
        """The quantity, below 0 where it was sold."""
        return self.quantity if self.side == BUY else self.quantity.copy_negate()

    @property
    def text(self) -> str:
        """For people."""
        return f"fill {self.id} ({self.side} {text(self.quantity)} {self.symbol} at {text(self.price)})"


@dataclass(frozen=True)
class Trade:
    """One closing as the release reports it. pnl: what it says it has earned. fee: of both sides, None where it is not said."""

    id: str
    symbol: str
    side: str
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    pnl: Decimal
    fee: Decimal | None
    entry_at: float
    exit_at: float


def read_fills(rows: Iterable[Any], fee_ratio: Decimal | None = None) -> tuple[list[Fill], list[str]]:
    """(the fills, oldest first, each once; what is wrong with the rows, a sentence each).

    fee_ratio: of the notional, for rows that say no fee; None makes a row without a fee a problem.
    """
    fills: dict[str, Fill] = {}
    problems: list[str] = []
    for number, row in enumerate(rows, 1):
        try:
            fill = _fill(row, fee_ratio)
        except ValueError as exc:
            problems.append(f"fill {_name(row, number)} cannot be read: {exc}")
            continue
        if fill.id not in fills:
            fills[fill.id] = fill
        elif fills[fill.id] == fill:
            problems.append(f"{fill.text} is listed twice; each fill has to be listed once")
        else:
            problems.append(f"{fill.text} has the number of another one: {fills[fill.id].text}")
    return in_order(fills.values()), problems


def in_order(fills: Iterable[Fill]) -> list[Fill]:
    """Oldest first. Of the same instant: by their numbers where all have one, else as they came."""
    listed = list(fills)
    numbered = all(fill.id.isdecimal() for fill in listed)
    return sorted(listed, key=lambda fill: (fill.at, int(fill.id) if numbered else 0))


def read_trades(rows: Iterable[Any]) -> tuple[list[Trade], list[str]]:
    """(closed trades, in the order of their ends; what is wrong with the rows). A trade that is listed twice is a problem.

    Those without an end are not closed yet, and left out.
    """
    trades: dict[str, Trade] = {}
    problems: list[str] = []
    for number, row in enumerate(rows, 1):
        if isinstance(row, Mapping) and {"exit_time", "exit_price"} <= set(row) and row["exit_time"] is row["exit_price"] is None:
            continue
        try:
            trade = _trade(row)
        except ValueError as exc:
            problems.append(f"trade {_name(row, number)} cannot be read: {exc}")
            continue
        if trade.id in trades:
            problems.append(f"trade {trade.id} of {trade.symbol} is listed twice; each trade has to be listed once")
        else:
            trades[trade.id] = trade
    return sorted(trades.values(), key=lambda trade: trade.exit_at), problems


def fills_of_trades(rows: Iterable[Any], fee_ratio: Decimal = FEE_RATIO) -> tuple[list[Fill], list[str]]:
    """What fills there must have been, where a release lists closed trades only: (an entry and an exit for each, problems).

    A trade's fee is shared by what was paid on either side; where it says none, each side pays fee_ratio.
    """
    trades, problems = read_trades(rows)
    return in_order(fill for trade in trades for fill in fills_of_trade(trade, fee_ratio)), problems


def fills_of_trade(trade: Trade, fee_ratio: Decimal = FEE_RATIO) -> tuple[Fill, Fill]:
    """The entry and the exit of a closed trade."""
    with exact():
        entry, leave = trade.quantity * trade.entry_price, trade.quantity * trade.exit_price
        if trade.fee is None:
            entry_fee, exit_fee = entry * fee_ratio, leave * fee_ratio
        else:
            entry_fee = (trade.fee * entry / (entry + leave)).quantize(Decimal("1e-18"))
            exit_fee = trade.fee - entry_fee
    first, second = (BUY, SELL) if trade.side == LONG else (SELL, BUY)
    return (
        Fill(f"{trade.id}-entry", trade.entry_at, trade.symbol, first, trade.quantity, trade.entry_price, entry_fee),
        Fill(f"{trade.id}-exit", trade.exit_at, trade.symbol, second, trade.quantity, trade.exit_price, exit_fee),
    )


def symbol_of(value: Any) -> str:
    """BTC/USDT, whether it is spelt BTC/USDT, btc-usdt or BTCUSDT. Raises ValueError for what is no text."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"symbol: a text is needed, not {shown(value)}")
    name = _SEPARATORS.sub("/", value.strip().upper())
    if "/" not in name:
        quote = next((quote for quote in QUOTES if name.endswith(quote) and name != quote), "")
        name = f"{name[: -len(quote)]}/{quote}" if quote else name
    return name


def moment(value: Any, what: str) -> float:
    """Seconds since the epoch, from seconds, milli-, micro- or nanoseconds, or ISO 8601 (UTC where it says no zone)."""
    if isinstance(value, str):
        match = _ISO.fullmatch(value.strip())
        if match:
            day, clock, fraction, zone = match.groups()
            offset = "+00:00" if zone in (None, "Z", "z") else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
            try:
                at = datetime.fromisoformat(f"{day}T{clock}{offset}").astimezone(timezone.utc).timestamp()
            except (ValueError, OverflowError):
                raise ValueError(f"{what}: a time is needed, not {shown(value)}") from None
            return at + float(f"0.{fraction or 0}")
    try:
        at = float(decimal(value, what))
    except ValueError:
        raise ValueError(f"{what}: a time is needed, not {shown(value)}") from None
    if at <= 0:
        raise ValueError(f"{what}: a time is needed, not {shown(value)}")
    while at > _TOO_MANY_SECONDS:
        at /= 1000
    return at


def first_of(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The value of the first of these names that the row has; None where it has none."""
    return next((row[name] for name in names if row.get(name) is not None), None)


def is_short(side: Any) -> bool | None:
    """Of a position's or a trade's side in words; None where it says neither."""
    word = str(side).strip().lower()
    return True if word in (SHORT, SELL) else False if word in (LONG, BUY) else None


def above_zero(value: Any, what: str) -> Decimal:
    amount = decimal(value, what)
    if amount <= 0:
        raise ValueError(f"{what}: has to be above 0, not {shown(value)}")
    return amount


def _fill(row: Any, fee_ratio: Decimal | None) -> Fill:
    if not isinstance(row, Mapping):
        raise ValueError(f"an object is needed, not {shown(row)}")  # noqa: TRY004 - a server's answer, not a programmer's type
    symbol = symbol_of(first_of(row, SYMBOL))
    quantity = decimal(first_of(row, QUANTITY), "quantity")
    side = _side(row.get("side"), quantity)
    quantity = above_zero(quantity.copy_abs(), "quantity")
    price = above_zero(first_of(row, _PRICE), "price")
    fee, asset = _fee(row, symbol)
    if fee is None:
        if fee_ratio is None:
            raise ValueError("fee: missing")
        with exact():
            fee = quantity * price * fee_ratio
    at = moment(first_of(row, _AT), "time")
    name = next((row[key] for key in _ID if row.get(key) not in (None, "")), None)
    # Without a number of its own, what it says is its number: then two that say the same are one too many.
    known = str(name) if isinstance(name, (str, int)) and not isinstance(name, bool) else f"{symbol} {side} {quantity} at {price}, {at}"
    return Fill(known, at, symbol, side, quantity, price, fee, asset)


def _side(given: Any, quantity: Decimal) -> str:
    if given is None:
        return SELL if quantity < 0 else BUY
    side = str(given).strip().lower()
    if side not in (BUY, SELL):
        raise ValueError(f"side: buy or sell is needed, not {shown(given)}")
    if quantity < 0 and side == BUY:
        raise ValueError(f"quantity: {quantity} was bought: a sign and a side that disagree")
    return side


def _fee(row: Mapping[str, Any], symbol: str) -> tuple[Decimal | None, str]:
    """(the fee, None where none is said; the asset that it was paid in)."""
    given, asset = first_of(row, _FEE), first_of(row, _FEE_ASSET)
    if isinstance(given, Mapping):  # as ccxt has it
        given, asset = given.get("cost"), given.get("currency")
    if given is None:
        return None, IN_QUOTE
    fee = decimal(given, "fee")
    base, _slash, quote = symbol.partition("/")
    named = str(asset or "").strip().upper()
    if not named or named in (quote, "USD", "QUOTE") or not fee:
        return fee, IN_QUOTE
    if named in (base, "BASE"):
        return fee, IN_BASE
    raise ValueError(f"fee: paid in {shown(asset)}, which is neither side of {symbol}, so what it is worth is not known")


def _trade(row: Any) -> Trade:
    if not isinstance(row, Mapping):
        raise ValueError(f"an object is needed, not {shown(row)}")  # noqa: TRY004 - see _fill
    symbol = symbol_of(first_of(row, SYMBOL))
    quantity = decimal(first_of(row, QUANTITY), "quantity")
    short = is_short(row.get("side")) if row.get("side") is not None else quantity < 0
    if short is None:
        raise ValueError(f"side: long or short is needed, not {shown(row.get('side'))}")
    fee = first_of(row, ("fee_usd", "fee", "fees", "commission"))
    entry_at, exit_at = moment(row.get("entry_time"), "entry_time"), moment(row.get("exit_time"), "exit_time")
    name = first_of(row, ("trade_id", "id"))
    return Trade(
        id=str(name) if name is not None else f"{symbol} {row.get('entry_time')} to {row.get('exit_time')}",
        symbol=symbol,
        side=SHORT if short else LONG,
        quantity=above_zero(quantity.copy_abs(), "quantity"),
        entry_price=above_zero(row.get("entry_price"), "entry_price"),
        exit_price=above_zero(row.get("exit_price"), "exit_price"),
        pnl=decimal(first_of(row, ("pnl_usd", "pnl", "realized_pnl")), "pnl_usd"),
        fee=None if fee is None else decimal(fee, "fee"),
        entry_at=entry_at,
        exit_at=exit_at,
    )


def _name(row: Any, number: int) -> str:
    name = first_of(row, _ID) if isinstance(row, Mapping) else None
    return shown(name) if name is not None else f"in row {number}"
