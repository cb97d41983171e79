# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profit and loss from fills, fees, funding and marks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from ansible_collections.levibot.transition.plugins.module_utils.trading.fills import Fill
from ansible_collections.levibot.transition.plugins.module_utils.trading.money import ZERO, exact
from ansible_collections.levibot.transition.plugins.module_utils.trading.positions import Book, Funding, Start, replay


@dataclass(frozen=True)
class Pnl:
    """In USD, since the start. realised and unrealised are before fees; a fee in the base asset counts at its fill's price.

    total = realised + unrealised - fees + funding = cash_change + what is held, at its marks - what was held, at its start's prices.
    """

    realised: Decimal
    unrealised: Decimal
    fees: Decimal
    funding: Decimal
    total: Decimal
    cash_change: Decimal


def pnl(
    fills: Iterable[Fill],
    marks_now: Mapping[str, Decimal],
    baseline_positions: Mapping[str, Start] | None = None,
    funding: Iterable[Funding] = (),
) -> Pnl:
    """Of fills, oldest first. marks_now: of each symbol with a position; a missing one raises ValueError."""
    return of_book(replay(fills, baseline_positions, funding), marks_now)


def of_book(book: Book, marks: Mapping[str, Decimal], symbol: str | None = None) -> Pnl:
    """Of all in a book, or of one symbol."""
    with exact():
        accounts = [account for name, account in book.accounts.items() if symbol in (None, name)]
        held = [position for name, position in book.positions.items() if symbol in (None, name)]
        missing = [position.symbol for position in held if position.symbol not in marks]
        if missing:
            raise ValueError(f"a mark is missing for {', '.join(missing)}")
        realised = sum((account.realised for account in accounts), ZERO)
        fees = sum((account.fees for account in accounts), ZERO)
        funding = sum((account.funding for account in accounts), ZERO)
        unrealised = sum((book.booked(position.quantity * marks[position.symbol]) - position.cost for position in held), ZERO)
        cash = sum((account.cash for account in accounts), ZERO)
        return Pnl(realised, unrealised, fees, funding, realised + unrealised - fees + funding, cash)
