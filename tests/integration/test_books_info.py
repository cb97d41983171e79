# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The books of the stand-in while it trades: whole, of one moment, and never an empty book where one cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.modules import books_info as module
from tests.standin import TOKEN, Standin, running

from .api_bed import run  # noqa: F401 - a fixture
from .daemons import wait_for

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT", "XRP/USDT")


@pytest.fixture
def books(run: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:  # noqa: F811
    def call(where: Standin | str, **arguments: Any) -> dict[str, Any]:
        url = where if isinstance(where, str) else where.url
        return run(module, **{"url": url, "token": TOKEN, **arguments})

    return call


def held(fills: list[dict[str, Any]]) -> dict[str, Decimal]:
    """By symbol what the fills leave, the exact sum of what is listed."""
    found: dict[str, Decimal] = {}
    for fill in fills:
        signed = Decimal(str(fill["qty"])) * (1 if fill["side"] == "buy" else -1)
        found[fill["symbol"]] = found.get(fill["symbol"], Decimal(0)) + signed
    return {symbol: quantity for symbol, quantity in found.items() if quantity}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_fills_and_positions_belong_together_while_engines_trade(books: Callable[..., dict[str, Any]], workers: str, tmp_path: Path):
    with running(tmp_path, LEVIBOT_WORKERS=workers) as there:
        for symbol in SYMBOLS:
            there.goes_live(symbol)
        wait_for(lambda: len(there.ask("GET", "/live/fills")["fills"]) > 12, "trades")
        for _unused in range(8):
            told = books(there)
            assert not told["failed"], told
            read = told["books"]
            positions = {row["symbol"]: Decimal(str(row["qty"])) * (1 if row["side"] == "long" else -1) for row in read["positions"]}
            assert held(read["fills"]) == positions
            assert [row["fill_id"] for row in read["fills"]] == sorted(row["fill_id"] for row in read["fills"])
            assert (read["history"], read["complete"], read["mode"], read["killed"]) == ("fills", True, "live", False)
            assert sorted(told["live"]) == sorted(SYMBOLS)
            assert told["baseline"]["fills"] == len(read["fills"])
            assert told["baseline"]["last_fill_id"] == str(read["fills"][-1]["fill_id"])
            assert {symbol: Decimal(one["quantity"]) for symbol, one in told["baseline"]["positions"].items()} == positions


def test_all_pages_and_no_more_than_asked_for(books: Callable[..., dict[str, Any]], tmp_path: Path):
    with running(tmp_path) as there:
        for symbol in SYMBOLS:
            there.goes_live(symbol)
        wait_for(lambda: there.ask("GET", "/live/fills?limit=100&offset=130")["fills"], "more than a page of fills", 120)
        there.ask("POST", "/engines/stop_all")
        read = books(there)["books"]
        ids = [row["fill_id"] for row in read["fills"]]
        assert ids == list(range(1, len(ids) + 1))
        assert len(ids) > 130
        assert [row["trade_id"] for row in read["trades"]] == list(range(1, len(read["trades"]) + 1))
        recent = books(there, since=read["fills"][-1]["ts"])["books"]
        assert (recent["complete"], len(recent["fills"])) == (True, 100)


@pytest.mark.parametrize(("fault", "more"), [("duplicate_fill", 1), ("missing_fill", -1)])
def test_a_listing_that_is_wrong_is_told_as_it_is(books: Callable[..., dict[str, Any]], fault: str, more: int, tmp_path: Path):
    with running(tmp_path) as there:
        there.fault(**{fault: True})
        there.goes_live()
        wait_for(lambda: len(there.ask("GET", "/live/fills")["fills"]) > 4, "trades")
        there.ask("POST", "/engines/stop_all")
        ids = [row["fill_id"] for row in books(there)["books"]["fills"]]
        assert len(ids) == max(ids) + more


def test_live_engines_are_found_elsewhere(books: Callable[..., dict[str, Any]], tmp_path: Path):
    with running(tmp_path / "a") as there, running(tmp_path / "b", LEVIBOT_API_FORM="plan") as other:
        other.goes_live("ETH/USDT")
        told = books(there, read="engines", others={"blue": other.url, "gone": "http://127.0.0.1:9"})
        assert (told["live"], told["killed"], told["mode"]) == ({}, False, "paper")
        assert told["elsewhere"]["blue"] == {"live": ["ETH/USDT"], "problem": ""}
        assert told["elsewhere"]["gone"]["live"] == []
        assert "nothing listens there" in told["elsewhere"]["gone"]["problem"]
        assert "books" not in told
        assert "baseline" not in told
        assert set(books(there, read="baseline")) >= {"baseline", "live"}


def test_what_cannot_be_read_is_a_failure(books: Callable[..., dict[str, Any]], tmp_path: Path):
    assert "nothing listens there" in books("http://127.0.0.1:9")["msg"]
    with running(tmp_path) as there:
        wrong = books(there, forms={"live_fills": {"path": "/no/such", "value": "fills"}})
        assert "The books cannot be read" in wrong["msg"]
        there.fault(errors=1.0)
        assert books(there)["failed"]
