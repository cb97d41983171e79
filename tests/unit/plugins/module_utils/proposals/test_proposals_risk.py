# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.proposals.risk import propose
from ansible_collections.levibot.transition.plugins.module_utils.proposals.used import LIMITS as USED
from ansible_collections.levibot.transition.plugins.module_utils.proposals.used import used_of

PLAN = {"position_ratio": "1", "exposure_ratio": "1", "daily_loss_ratio": "0.05", "concurrent_positions": 10}
HALF = Decimal("0.5")


def one(limit: str, *values: Any, plan: dict[str, Any] | None = None) -> dict[str, Any]:
    used = [{"limit": limit, "value": value, "source": f"source {number}"} for number, value in enumerate(values)]
    found = propose(PLAN if plan is None else plan, used, HALF)
    name = limit.removesuffix("_ratio")
    row = next(row for row in found["limits"] if row["name"] == name)
    assert found["overrides"] == ({"phase3": {"limits": {name: row["suggested"]}}} if row["suggested"] else {})
    return row


def test_a_limit_that_is_far_away_is_brought_nearer() -> None:
    row = one("position_ratio", "0.2")
    assert (row["now"], row["used"], row["headroom"], row["suggested"]) == ("100%", "20%", "80%", "30%")
    assert one("concurrent_positions", 3)["suggested"] == "5"
    assert one("daily_loss_ratio", 0.0123)["suggested"] == "2%"


def test_the_greatest_use_counts_whoever_saw_it() -> None:
    row = one("exposure_ratio", "0.1", "0.31", "0.2")
    assert (row["used"], row["source"], row["suggested"]) == ("31%", "source 1", "47%")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["1.01"], "BROKEN: more was used than the limit allows"),
        (["0.95"], "95% of the limit was used: decide"),
        (["0.8"], "the limit suits what was used"),
        (["0"], "nothing of it was used"),
        ([None], "what was used is not known (nobody told)"),
        (["much"], "not known"),
        ([True], "not known"),
        ([float("nan")], "not known"),
    ],
)
def test_what_is_no_reason_to_tighten_proposes_nothing(values: list[Any], words: str) -> None:
    row = one("position_ratio", *values)
    assert words in row["words"]
    assert row["suggested"] == ""


def test_why_it_is_not_known_is_told() -> None:
    used = [{"limit": "position_ratio", "value": None, "source": "", "problem": "the history is not complete"}]
    assert "(the history is not complete)" in propose(PLAN, used, HALF)["limits"][0]["words"]
    assert "no such limit" in one("position_ratio", "0.2", plan={})["words"]


@given(st.decimals(0, 3, places=4), st.decimals("0.01", 2, places=2))
def test_a_proposal_has_room_and_never_loosens(value: Decimal, limit: Decimal) -> None:
    row = one("position_ratio", str(value), plan={"position_ratio": str(limit)})
    if row["suggested"]:
        suggested = Decimal(row["suggested"].rstrip("%")) / 100
        assert value * (1 + HALF) <= suggested < limit


BASELINE = {"at": 1000.0, "positions": {}}
LIVE = {"BTC/USDT": "100.00", "ETH/USDT": "50.00"}


def fill(number: int, symbol: str, side: str, quantity: str, price: str, *, at: float | None = None) -> dict[str, Any]:
    told = {"symbol": symbol, "side": side, "qty": quantity, "price": price, "fee_usd": "0"}
    return {"fill_id": str(number), "ts": 1000 + number if at is None else at, **told}


def books(*fills: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"history": "fills", "complete": True, "fills": list(fills), "trades": [], **changes}


def test_what_was_used_follows_from_the_fills() -> None:
    found = used_of(
        books(
            fill(1, "BTC/USDT", "buy", "0.001", "20000"),
            fill(2, "ETH/USDT", "sell", "0.01", "2000"),
            fill(3, "BTC/USDT", "buy", "0.001", "22000"),
            fill(4, "ETH/USDT", "buy", "0.01", "2500"),
            fill(5, "BTC/USDT", "sell", "0.002", "22000"),
            fill(6, "BTC/USDT", "buy", "0.001", "20000", at=90_000),
        ),
        BASELINE,
        LIVE,
        "1000.00",
    )
    told = {row["limit"]: row["value"] for row in found}
    # 42 of 100; 42 and 20 of 1,000; a loss of 5 and a profit of 2 on the first day.
    assert told == {"position_ratio": "0.42", "exposure_ratio": "0.062", "daily_loss_ratio": "0.003", "concurrent_positions": "2"}
    assert found[0]["source"] == "recomputed from 6 fills; BTC/USDT"
    assert found[2]["source"] == "recomputed from 6 fills; realised on 1970-01-01"


def test_what_came_after_the_period_is_not_in_it() -> None:
    fills = books(fill(1, "BTC/USDT", "buy", "0.001", "20000"), fill(2, "ETH/USDT", "buy", "0.01", "2000"))
    assert [used_of(fills, BASELINE, LIVE, 1000, until)[3]["value"] for until in (None, 1002, 1001.5)] == ["2", "2", "1"]


def test_a_fill_without_a_fee_pays_what_the_site_says() -> None:
    bought, sold = fill(1, "BTC/USDT", "buy", "1", "100"), fill(2, "BTC/USDT", "sell", "1", "100")
    fills = books(*({name: value for name, value in one.items() if name != "fee_usd"} for one in (bought, sold)))
    assert used_of(fills, BASELINE, LIVE, 1000, fee_ratio="0.01")[2]["value"] == "0.002"  # a dollar on either side
    assert used_of(fills, BASELINE, LIVE, 1000)[2]["value"] == "0.0002"


@pytest.mark.parametrize(
    ("given_books", "baseline", "problem"),
    [
        (books(fill(1, "BTC/USDT", "buy", "1", "1"), complete=False), BASELINE, "not complete"),
        (books(), BASELINE, "none since live trading began"),
        (books(fill(1, "BTC/USDT", "buy", "1", "1"), fill(1, "BTC/USDT", "buy", "1", "1")), BASELINE, "listed twice"),
        (books(fill(1, "BTC/USDT", "buy", "1", "1")), {}, "time of the baseline"),
        (None, None, "are needed"),
    ],
)
def test_what_the_fills_cannot_tell_has_a_problem(given_books: Any, baseline: Any, problem: str) -> None:
    found = used_of(given_books, baseline, LIVE, "1000.00")
    assert [row["limit"] for row in found] == list(USED)
    assert all(problem in row["problem"] and row["value"] is None for row in found)
