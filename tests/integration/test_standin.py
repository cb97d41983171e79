# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in as a process with two workers: its books are whole whenever it is killed, or whoever reconciles them proves nothing."""

from __future__ import annotations

import random
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.standin import Standin, running

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
KILLS = 6


def money(value: Any) -> Decimal:
    return Decimal(repr(value))


def history(there: Standin, kind: str) -> list[dict[str, Any]]:
    """All pages, oldest first, read while nothing trades."""
    rows: list[dict[str, Any]] = []
    while page := there.ask("GET", f"/live/{kind}?limit=37&offset={len(rows)}")[kind]:
        rows += page
    return rows[::-1]


def check(there: Standin) -> int:
    """Recomputes everything from the fills. Returns how many there are. Live engines do not run."""
    fills, trades, book = history(there, "fills"), history(there, "trades"), there.ask("GET", "/live/portfolio")
    assert [row["fill_id"] for row in fills] == list(range(1, len(fills) + 1))
    assert [row["trade_id"] for row in trades] == list(range(1, len(trades) + 1))
    assert len(trades) == book["total_trades"]
    held = {
        row["symbol"]: money(row["qty"]) * (1 if row["side"] == "long" else -1) for row in there.ask("GET", "/live/positions")["positions"]
    }
    cash = money(book["starting_balance"])
    signed = dict.fromkeys(SYMBOLS, Decimal(0))
    for row in fills:
        sign = 1 if row["side"] == "buy" else -1
        signed[row["symbol"]] += sign * money(row["qty"])
        cash -= sign * money(row["qty"]) * money(row["price"]) + money(row["fee"])
    assert {symbol: quantity for symbol, quantity in signed.items() if quantity} == held
    assert abs(cash - money(book["cash_balance"])) < Decimal("0.00001")
    return len(fills)


def test_the_books_are_whole_however_often_it_is_killed(tmp_path: Path):
    chance = random.Random(7)  # noqa: S311 - moments, not secrets
    with running(tmp_path, LEVIBOT_WORKERS="2") as there:
        seen = 0
        for _unused in range(KILLS):
            for symbol in SYMBOLS:
                there.goes_live(symbol)
            time.sleep(chance.uniform(0.3, 1.6))
            there.kill()
            there.start()
            before, seen = seen, check(there)
            assert seen >= before
        assert seen > KILLS


@pytest.mark.parametrize("fault", ["missing_fill", "duplicate_fill", "stuck_position", "loss", "changed_limit"])
def test_faults_are_seen_where_the_real_thing_would_be(fault: str, tmp_path: Path):
    with running(tmp_path, LEVIBOT_WORKERS="2") as there:
        there.fault(**{fault: True})
        there.goes_live()
        if fault == "changed_limit":
            assert there.ask("GET", "/risk/summary")["policy"]["max_daily_loss_pct"] == 50
            return
        time.sleep(3)
        there.ask("POST", "/engines/stop/BTC%2FUSDT")
        fills, positions = history(there, "fills"), there.ask("GET", "/live/positions")["positions"]
        numbers = [row["fill_id"] for row in fills]
        if fault == "missing_fill":
            assert numbers == list(range(2, len(numbers) + 2))
        elif fault == "duplicate_fill":
            assert numbers == [1, *range(1, len(numbers))]
            assert fills[0] == fills[1]
        elif fault == "stuck_position":
            assert (len(fills), len(positions)) == (1, 1)
        else:
            assert there.ask("GET", "/live/portfolio")["total_pnl"] < -50
