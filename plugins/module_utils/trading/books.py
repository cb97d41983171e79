# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The books that a LeviBot shows, from raw rows to amounts. What a number is called differs from release to release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.trading.fills import (
    FEE_RATIO,
    QUANTITY,
    SYMBOL,
    Fill,
    Trade,
    first_of,
    is_short,
    moment,
    read_fills,
    read_trades,
    symbol_of,
)
from ansible_collections.levibot.transition.plugins.module_utils.trading.money import decimal, shown
from ansible_collections.levibot.transition.plugins.module_utils.trading.positions import Funding, read_funding

LIVE, PAPER = "live", "paper"
RUNNING, STOPPED, CRASHED = "running", "stopped", "crashed"
FILLS, TRADES = "fills", "trades"

_MARK = ("current_price", "mark_price", "mark", "last_price", "price")
_ENTRY_PRICE = ("entry_price", "avg_price", "average_price")
_ENTRY_TIME = ("entry_time", "opened_at", "open_time", "entry_at")
_PNL = ("pnl_usd", "unrealized_pnl", "unrealised_pnl", "pnl")
_PORTFOLIO = {
    "cash": ("cash_balance", "cash"),
    "equity": ("total_equity", "equity"),
    "pnl": ("total_pnl", "total_pnl_usd"),
    "starting": ("starting_balance", "starting_equity"),
}
_CAPITAL = ("capital", "capital_usd")
_HEARTBEAT = ("last_heartbeat", "heartbeat")


class UnreadableError(ValueError):
    """The books cannot be judged at all: a sample of status error, never a pass and never a broken limit."""


@dataclass(frozen=True)
class Held:
    """A position as it is reported. quantity is signed. What is not said is None."""

    quantity: Decimal
    mark: Decimal | None = None
    entry_price: Decimal | None = None
    opened_at: float | None = None
    pnl: Decimal | None = None
    fee: Decimal | None = None


@dataclass(frozen=True)
class Engine:
    """An engine as it is listed. What is not said is None; mode is then the server's, and live unless that says paper."""

    symbol: str
    status: str
    live: bool
    mode_told: bool
    capital: Decimal | None
    heartbeat_at: float | None
    total_pnl: Decimal | None
    position: Decimal | None
    last_error: str

    @property
    def runs(self) -> bool:
        return self.status not in (STOPPED, CRASHED)


@dataclass(frozen=True)
class Books:
    """One mode's books at one moment. Symbols are spelt as `symbol_of` does.

    history: what fills are read from, FILLS or TRADES (then `fills` is empty). problems: what is wrong with the rows of the history.
    trades: None where the release lists none. positions, again: before and after the portfolio was read.
    portfolio: cash, equity (may be absent), pnl, starting. realised_today: ratio, None where it is not said. killed: None where not known.
    """

    at: float
    history: str
    fills: list[Fill]
    trades: list[Trade] | None
    problems: list[str]
    positions: dict[str, Held]
    again: dict[str, Held]
    portfolio: dict[str, Decimal]
    engines: list[Engine]
    policy: Mapping[str, Any]
    realised_today: Decimal | None
    killed: bool | None
    complete: bool
    fee_ratio: Decimal
    funding: list[Funding] = field(default_factory=list)
    cases: list[Any] = field(default_factory=list, repr=False, compare=False)  # what case.py has made of it


def read_books(raw: Mapping[str, Any], fee_ratio: Decimal = FEE_RATIO) -> Books:
    """From what levibot/books.py has read. fee_ratio: a side's, where the release does not say the fee.

    Raises UnreadableError with all that cannot be read, but for rows of the history, which are problems.
    """
    mistakes: list[str] = []

    def attempt(read: Any, *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except ValueError as exc:
            mistakes.append(str(exc))
            return None, None

    history = raw.get("history")
    if history not in (FILLS, TRADES):
        mistakes.append(f"history: fills or trades is needed, not {shown(history)}")
    filled = partial(read_fills, fee_ratio=fee_ratio)
    fills, problems = attempt(_history, raw.get("fills"), FILLS, filled) if history == FILLS else ([], [])
    trades, of_trades = attempt(_history, [] if raw.get("trades") is None else raw["trades"], TRADES, read_trades)
    at = attempt(moment, raw.get("at"), "at")
    positions = attempt(_positions, raw.get("positions"))
    again = attempt(_positions, raw.get("positions_again"))
    portfolio = attempt(_portfolio, raw.get("portfolio"))
    engines = attempt(_engines, raw.get("engines"), raw.get("mode"))
    funding = attempt(read_funding, [] if raw.get("funding") is None else raw["funding"])
    policy, today = attempt(_risk, raw.get("risk"))
    if mistakes:
        raise UnreadableError("; ".join(mistakes))
    killed = raw.get("killed")
    return Books(
        at=at,
        history=str(history),
        fills=fills,
        trades=trades if trades or of_trades or history == TRADES else None,
        problems=problems + of_trades,
        positions=positions,
        again=again,
        portfolio=portfolio,
        engines=engines,
        policy=policy,
        realised_today=today,
        killed=killed if isinstance(killed, bool) else None,
        complete=raw.get("complete") is True,
        fee_ratio=fee_ratio,
        funding=funding,
    )


def _history(rows: Any, what: str, read: Any) -> Any:
    if not isinstance(rows, (list, tuple)):
        raise ValueError(f"{what}: a list is needed, not {shown(rows)}")  # noqa: TRY004 - a server's answer
    return read(rows)


def _positions(rows: Any) -> dict[str, Held]:
    """By symbol; a symbol's rows add up, since some releases have one for each entry."""
    found: dict[str, Held] = {}
    for row in _listed(rows, "positions"):
        symbol = symbol_of(first_of(row, SYMBOL))
        what = f"position of {symbol}"
        quantity = decimal(first_of(row, QUANTITY), f"{what}: quantity")
        if is_short(row.get("side")):
            quantity = quantity.copy_abs().copy_negate()
        held = Held(
            quantity,
            _optional(row, _MARK, f"{what}: mark"),
            _optional(row, _ENTRY_PRICE, f"{what}: entry price"),
            None if first_of(row, _ENTRY_TIME) is None else moment(first_of(row, _ENTRY_TIME), f"{what}: entry time"),
            _optional(row, _PNL, f"{what}: pnl"),
            _optional(row, ("entry_fee_usd", "entry_fee"), f"{what}: entry fee"),
        )
        if held.mark is not None and held.mark <= 0:
            raise ValueError(f"{what}: mark: has to be above 0, not {held.mark}")
        found[symbol] = _together(found[symbol], held) if symbol in found else held
    return {symbol: held for symbol, held in found.items() if held.quantity}


def _together(one: Held, other: Held) -> Held:
    quantity = one.quantity + other.quantity
    costs = [None if each.entry_price is None else each.entry_price * each.quantity for each in (one, other)]
    known = quantity and None not in costs
    return Held(
        quantity,
        other.mark if other.mark is not None else one.mark,
        sum(cost for cost in costs if cost is not None) / quantity if known else None,  # type: ignore[arg-type]
        min((at for at in (one.opened_at, other.opened_at) if at is not None), default=None),
        None if one.pnl is None or other.pnl is None else one.pnl + other.pnl,
        None if one.fee is None or other.fee is None else one.fee + other.fee,
    )


def _portfolio(row: Any) -> dict[str, Decimal]:
    if not isinstance(row, Mapping):
        raise ValueError(f"portfolio: an object is needed, not {shown(row)}")  # noqa: TRY004 - a server's answer
    found = {name: _optional(row, names, f"portfolio: {names[0]}") for name, names in _PORTFOLIO.items()}
    missing = [_PORTFOLIO[name][0] for name, value in found.items() if value is None and name != "equity"]
    if missing:
        raise ValueError(f"the portfolio does not say {', '.join(missing)}")
    return {name: value for name, value in found.items() if value is not None}


def _engines(rows: Any, server_mode: Any) -> list[Engine]:
    found = []
    for row in _listed(rows, "engines"):
        symbol = symbol_of(first_of(row, SYMBOL))
        what = f"engine {symbol}"
        status, mode = row.get("status"), row.get("mode")
        if not isinstance(status, str):
            raise ValueError(f"{what}: status: a text is needed, not {shown(status)}")  # noqa: TRY004 - a server's answer
        told = mode if isinstance(mode, str) and mode else server_mode
        beat = first_of(row, _HEARTBEAT)
        found.append(
            Engine(
                symbol=symbol,
                status=status.strip().lower(),
                live=str(told or LIVE).strip().lower() != PAPER,
                mode_told=bool(told),
                capital=_optional(row, _CAPITAL, f"{what}: capital"),
                heartbeat_at=None if beat in (None, 0, "") else moment(beat, f"{what}: last heartbeat"),
                total_pnl=_optional(row, ("total_pnl",), f"{what}: total_pnl"),
                position=_number(row.get("position")),
                last_error=str(row.get("last_error") or ""),
            )
        )
    return found


def _risk(row: Any) -> tuple[Mapping[str, Any], Decimal | None]:
    """(the limits that are told, by name; what today has brought, as a ratio)."""
    if not isinstance(row, Mapping):
        raise ValueError(f"risk: an object is needed, not {shown(row)}")  # noqa: TRY004 - a server's answer
    policy = first_of(row, ("policy", "limits"))
    today = _optional(row, ("realized_today_pct", "realised_today_pct"), "risk: realized_today_pct")
    return policy if isinstance(policy, Mapping) else {}, None if today is None else today / 100


def _listed(rows: Any, what: str) -> Iterable[Mapping[str, Any]]:
    if not isinstance(rows, (list, tuple)) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(f"{what}: a list of objects is needed, not {shown(rows)}")
    return rows


def _optional(row: Mapping[str, Any], names: Iterable[str], what: str) -> Decimal | None:
    value = first_of(row, names)
    return None if value is None else decimal(value, what)


def _number(value: Any) -> Decimal | None:
    """A position that is no number (some releases put words or an object there) says nothing here."""
    try:
        return decimal(value, "")
    except ValueError:
        return None
