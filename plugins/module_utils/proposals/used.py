# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was used of the limits of risk at most, recomputed from every fill of a period. Pure; amounts are Decimal.

Positions count by what was paid for them, since marks between the fills are not in the books; so losses count when they are realised.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import ROUND_CEILING, Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import canonical
from ansible_collections.levibot.transition.plugins.module_utils.trading.fills import (
    FEE_RATIO,
    Fill,
    above_zero,
    fills_of_trades,
    in_order,
    read_fills,
    symbol_of,
)
from ansible_collections.levibot.transition.plugins.module_utils.trading.money import ZERO, decimal
from ansible_collections.levibot.transition.plugins.module_utils.trading.positions import DUST_USD, Book, Position, read_start

LIMITS = ("position_ratio", "exposure_ratio", "daily_loss_ratio", "concurrent_positions")
_MILLIONTH = Decimal("0.000001")


@dataclass
class _Peaks:
    """The greatest so far, and of which symbol or day."""

    position: tuple[Decimal, str] = (ZERO, "")
    exposure: Decimal = ZERO
    concurrent: int = 0
    by_day: dict[str, Decimal] = field(default_factory=dict)


def used_of(
    books: Any, baseline: Any, live: Any, capital_usd: Any, until: Any = None, *, fee_ratio: Any = FEE_RATIO
) -> list[dict[str, Any]]:
    """For each limit of a validated plan ``{"limit", "value", "source", "problem"}``, for role proposals' ``proposals_used``.

    books: as module books_info returns them. baseline: as it returned it when live trading began. live: each live symbol's capital.
    until: the period's end in seconds since the epoch; without it all fills count. fee_ratio: a side's, where the release does not say the
    fee. What cannot be told has a problem and no value.
    """
    try:
        peaks, count = _replayed(books, baseline, live, until, fee_ratio)
        total = above_zero(capital_usd, "capital_usd")
    except ValueError as problem:
        return [{"limit": limit, "value": None, "source": "", "problem": f"the fills tell nothing: {problem}"} for limit in LIMITS]
    day, lost = min(peaks.by_day.items(), key=lambda item: (item[1], item[0]), default=("", ZERO))
    source = f"recomputed from {count} fills"
    return [
        _row("position_ratio", peaks.position[0], f"{source}; {peaks.position[1]}"),
        _row("exposure_ratio", peaks.exposure / total, source),
        _row("daily_loss_ratio", max(ZERO, -lost) / total, f"{source}; realised on {day}"),
        _row("concurrent_positions", Decimal(peaks.concurrent), source),
    ]


def _row(limit: str, value: Decimal, source: str) -> dict[str, Any]:
    return {"limit": limit, "value": canonical(value.quantize(_MILLIONTH, rounding=ROUND_CEILING)), "source": source, "problem": ""}


def _replayed(books: Any, baseline: Any, live: Any, until: Any, fee_ratio: Any) -> tuple[_Peaks, int]:
    if not all(isinstance(given, Mapping) for given in (books, baseline, live)):
        raise ValueError("books, baseline and the live engines' capital are needed")
    if books.get("complete") is not True:
        raise ValueError("the history is not complete")
    begin = float(decimal(baseline.get("at"), "time of the baseline"))
    end = math.inf if until is None else float(decimal(until, "end of the period"))
    fills = [fill for fill in _fills(books, decimal(fee_ratio, "levibot_fee_ratio")) if begin < fill.at <= end]
    if not fills:
        raise ValueError("there is none since live trading began")
    capital = {symbol_of(name): decimal(amount, f"capital of {name}") for name, amount in live.items()}
    book, peaks = Book.starting(read_start(baseline.get("positions") or {})), _Peaks()
    for fill in fills:
        closed = len(book.closings)
        book.apply(fill)
        for closing in book.closings[closed:]:
            day = datetime.fromtimestamp(closing.closed_at, timezone.utc).date().isoformat()
            peaks.by_day[day] = peaks.by_day.get(day, ZERO) + closing.pnl
        _look(peaks, [position for position in book.positions.values() if abs(position.cost) >= DUST_USD], capital)
    return peaks, len(fills)


def _fills(books: Mapping[str, Any], fee_ratio: Decimal) -> list[Fill]:
    read, name = (fills_of_trades, "trades") if books.get("history") == "trades" else (read_fills, "fills")
    fills, problems = read(books.get(name) or [], fee_ratio)
    if problems:
        raise ValueError(f"{problems[0]}" + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""))
    return in_order(fills)


def _look(peaks: _Peaks, held: list[Position], capital: Mapping[str, Decimal]) -> None:
    peaks.concurrent = max(peaks.concurrent, len(held))
    peaks.exposure = max(peaks.exposure, sum((abs(position.cost) for position in held), ZERO))
    for position in held:
        own = capital.get(position.symbol)
        if own:
            peaks.position = max(peaks.position, (abs(position.cost) / own, position.symbol))
