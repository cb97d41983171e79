# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""What the desk looks like in LeviBot's answers: plain JSON, money as numbers in USD, times as seconds since the epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from . import market
from .book import ZERO, Fill, Trade, booked
from .engines import CRASHED, LIVE, POLICY, RUNNING, STOPPED, Desk, Engine
from .faults import Faults

CHANGED_DAILY_LOSS_PCT = 50


def _pct(part: Decimal, whole: Decimal) -> float:
    return round(float(part / whole * 100), 4) if whole else 0.0


def _told(pnl: Decimal, faults: Faults) -> Decimal:
    """A profit or a loss as it is reported."""
    return booked(pnl * (1 + Decimal(repr(faults.wrong_pnl))))


def portfolio(desk: Desk, mode: str, now: float, faults: Faults) -> dict[str, Any]:
    book, prices = desk.books[mode], desk.prices(mode, now)
    pnl = _told(book.pnl(prices), faults)
    return {
        "starting_balance": float(book.starting),
        "cash_balance": float(book.cash),
        "total_equity": float(book.starting + pnl),
        "total_pnl": float(pnl),
        "total_pnl_pct": _pct(pnl, book.starting),
        "realised_pnl": float(_told(book.realised, faults)),
        "unrealised_pnl": float(book.unrealised(prices)),
        "fees": float(book.fees),
        "open_positions": len(book.positions),
        "total_trades": book.total_trades,
        "win_rate": round(book.wins / book.total_trades, 4) if book.total_trades else 0.0,
        "profit_factor": round(float(book.gross_win / book.gross_loss), 4) if book.gross_loss else None,
    }


def positions(desk: Desk, mode: str, now: float) -> dict[str, Any]:
    rows = []
    for symbol, held in desk.books[mode].positions.items():
        current = market.price(symbol, now)
        pnl = held.unrealised(current)
        rows.append(
            {
                "symbol": symbol,
                "side": held.side,
                "qty": float(abs(held.qty)),
                "entry_price": float(held.entry_price),
                "current_price": float(current),
                "pnl_usd": float(pnl),
                "pnl_pct": _pct(pnl, abs(held.cost)),
                "entry_fee_usd": float(held.entry_fees),
                "entry_time": held.entry_time,
            }
        )
    return {"positions": rows, "count": len(rows)}


def trades(page: Iterable[Trade], faults: Faults) -> dict[str, Any]:
    return {"trades": [_trade(trade, faults) for trade in page]}


def _trade(trade: Trade, faults: Faults) -> dict[str, Any]:
    pnl = _told(trade.pnl_usd, faults)
    return {
        "trade_id": trade.trade_id,
        "symbol": trade.symbol,
        "side": trade.side,
        "qty": float(trade.qty),
        "entry_price": float(trade.entry_price),
        "exit_price": float(trade.exit_price),
        "pnl_usd": float(pnl),
        "pnl_pct": _pct(pnl, trade.entry_price * trade.qty),
        "fee_usd": float(trade.fee_usd),
        "duration_sec": round(trade.exit_time - trade.entry_time, 3),
        "entry_time": trade.entry_time,
        "exit_time": trade.exit_time,
    }


def trade_numbers(desk: Desk, mode: str) -> Sequence[int]:
    """What /trades lists, newest first."""
    return range(desk.books[mode].total_trades, 0, -1)


def fill_numbers(desk: Desk, mode: str) -> Sequence[int]:
    """What /fills lists, newest first."""
    numbers: Sequence[int] = range(desk.books[mode].total_fills, 0, -1)
    if mode != LIVE or desk.unlisted is desk.listed_twice is None:
        return numbers
    return [number for number in numbers if number != desk.unlisted for _ in range(1 + (number == desk.listed_twice))]


def fills(page: Iterable[Fill]) -> dict[str, Any]:
    return {"fills": [_fill(fill) for fill in page]}


def _fill(fill: Fill) -> dict[str, Any]:
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in vars(fill).items()}


def engine(desk: Desk, item: Engine, now: float, faults: Faults, *, full: bool) -> dict[str, Any]:
    """`full` is with mode and capital, which releases from the field do not tell."""
    book, price = desk.books[item.mode], market.price(item.symbol, now)
    held, pnl = book.positions.get(item.symbol), book.symbol_pnl(item.symbol, price)
    account = book.accounts.get(item.symbol)
    return {
        "symbol": item.symbol,
        **({"mode": item.mode, "capital": float(item.capital)} if full else {}),
        "status": item.status,
        "uptime_seconds": round(now - item.started_at, 1) if item.status == RUNNING else 0.0,
        "last_heartbeat": round(item.last_heartbeat, 3),
        "error_count": item.error_count,
        "last_error": item.last_error,
        "position": float(held.qty) if held else 0.0,
        "daily_pnl": float(pnl - item.day_start_pnl),
        "total_pnl": float(_told(pnl, faults)),
        "trade_count": account.trades if account else 0,
    }


def engines(desk: Desk, now: float, faults: Faults, *, full: bool) -> dict[str, Any]:
    statuses = [item.status for item in desk.engines.values()]
    return {
        "total": len(statuses),
        **{status: statuses.count(status) for status in (RUNNING, CRASHED, STOPPED)},
        "engines": [engine(desk, item, now, faults, full=full) for item in desk.engines.values()],
    }


def risk_summary(desk: Desk, now: float, faults: Faults) -> dict[str, Any]:
    mode = desk.mode
    return {
        "mode": mode,
        "equity_now": float(desk.equity(mode, now)),
        "equity_start_day": float(desk.day_start_equity.get(mode, ZERO)),
        "realized_today_pct": round(desk.realised_today_pct(mode, now), 4),
        "positions_open": len(desk.books[mode].positions),
        "global_stop": global_stop(desk, now, faults),
        "policy": policy(faults),
    }


def guardrails(desk: Desk, now: float, faults: Faults) -> dict[str, Any]:
    return {
        "state": {"cooldown_active": False, "cooldown_remaining_sec": 0, "global_stop": global_stop(desk, now, faults)},
        "limits": policy(faults),
    }


def policy(faults: Faults) -> dict[str, int]:
    return {**POLICY, "max_daily_loss_pct": CHANGED_DAILY_LOSS_PCT} if faults.changed_limit else POLICY


def global_stop(desk: Desk, now: float, faults: Faults) -> bool:
    return faults.alert or desk.daily_loss_reached(desk.mode, now)
