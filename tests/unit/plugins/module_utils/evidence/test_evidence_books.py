# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trades, limits and PnL over the whole of live trading: a sound book, and each way in which it is none."""

from __future__ import annotations

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.evidence.judge import read_item
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report
from tests.evidence_bed import NOW
from tests.validation_bed import HOUR, LIVE_AT, fill, observed


@pytest.fixture
def judged(look):
    """Judges one kind on a sound book, after ``spoil`` has been at it (and at what is known of live trading)."""

    def run(kind, spoil=None, **keys):
        seen = observed()
        if spoil:
            spoil(seen["books"]["raw"], seen["live"])
        return look({"kind": kind, **keys}, observed=seen)

    return run


@pytest.mark.parametrize("kind", ["trades", "risk_limits", "pnl"])
def test_a_sound_book(judged, kind):
    seen = judged(kind)
    assert seen["passed"], seen
    assert seen["source"] == "the live book of green on app1"


def test_what_was_traded_is_told(judged):
    assert "1 closed trades" in judged("trades")["found"]
    assert "0.75 USD recomputed from 3 fills, 0.75 reported" in judged("pnl")["found"]


def drop(number):
    return lambda raw, _live: raw["fills"].pop(number)


def sold(raw, _live):
    """ETH was sold short, which was not allowed."""
    raw["fills"][2]["side"] = "sell"


def early(raw, live):
    live["starts"]["BTC/USDT"] = [[LIVE_AT + 1.5 * HOUR, "100.00"]]
    assert raw["fills"]


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (drop(0), "BTC/USDT"),
        (drop(1), "BTC/USDT"),
        (drop(2), "ETH/USDT"),
        (lambda raw, _live: raw["fills"].append(dict(raw["fills"][0])), "is listed twice"),
        (lambda raw, _live: raw["fills"][0].update(qty=0.002), "BTC/USDT"),
        (lambda raw, _live: raw["fills"][0].pop("price"), "cannot be read"),
        (lambda raw, _live: raw["fills"].append(fill(NOW - 60, "XRP/USDT", "buy", 10, 0.5)), "XRP/USDT"),
        (lambda _raw, live: live.update(sides=["short"]), "long"),
        (early, "before the live engine was started"),
        (lambda raw, _live: raw.update(complete=False), "does not reach back"),
        (lambda raw, _live: raw.pop("history"), "cannot be read"),
        (lambda raw, _live: raw.update(portfolio={}), "cannot be read"),
    ],
)
def test_trades_that_were_not_executed_correctly(judged, spoil, problem):
    seen = judged("trades", spoil)
    assert not seen["passed"]
    assert problem in seen["problem"], seen["problem"]
    assert seen["fix"]


def test_a_position_that_stays_open_for_too_long(judged):
    assert judged("trades", max_open="2h")["passed"]
    assert "ETH/USDT" in judged("trades", max_open="30m")["problem"]


def untraded(raw, _live):
    raw.update(fills=[], trades=[], positions=[], positions_again=[])
    raw["portfolio"].update(cash_balance=200.0, total_equity=200.0, total_pnl=0.0)


@pytest.mark.parametrize("kind", ["trades", "pnl"])
def test_no_trade_in_the_whole_time_proves_nothing(judged, kind):
    assert "0 trades were closed, of at least 1" in judged(kind, untraded)["problem"]
    assert judged(kind, untraded, min_events=0)["passed"]


@pytest.mark.parametrize("share", [1.01, 0.99])
def test_a_pnl_that_is_not_what_the_fills_come_to(judged, share):
    def spoil(raw, _live):
        # A PnL of 50 USD, of which 1 % is seen: 0.1 BTC at the same prices.
        for row in (*raw["fills"][:2], *raw["trades"]):
            row["qty"] *= 100
        for row in raw["fills"][:2]:
            row["fee"] *= 100
        raw["trades"][0]["pnl_usd"] = 47.94
        raw["portfolio"].update(total_pnl=48.21, cash_balance=217.91, total_equity=248.21)

    assert judged("pnl", spoil)["passed"], judged("pnl", spoil)

    def wrong(raw, live):
        spoil(raw, live)
        raw["portfolio"]["total_pnl"] *= share
        raw["portfolio"]["total_equity"] = 200 + raw["portfolio"]["total_pnl"]

    assert not judged("pnl", wrong)["passed"]


@pytest.mark.parametrize(
    ("expected", "passed"),
    [
        (">= -5%", True),
        (">= 0.3%", True),
        (">= 0.4%", False),
        ("> 0", True),
        (">= 0.74 USD", True),
        (">= 1 USD", False),
        ("< 0 USD", False),
    ],
)
def test_what_the_plan_expects_of_it(judged, expected, passed):
    seen = judged("pnl", expected=expected)
    assert seen["passed"] == passed, seen
    assert "PnL is 0.75 USD" in (seen["found"] if passed else seen["problem"])
    assert f"PnL {expected.split()[0]}" in seen["wanted"]


@pytest.mark.parametrize("expected", ["good", "5%", ">= 200ms", 5, ">= 1 BTC", ">= 7"])
def test_an_expectation_that_cannot_be_read_is_a_mistake_in_the_plan(expected):
    report = Report()
    read_item({"id": "pnl", "evidence": [{"kind": "pnl", "expected": expected}]}, lambda *keys: ".".join(keys), report)
    (problem,) = report.problems
    assert problem.path == "evidence[0].expected"
    assert ">= -5%" in problem.fix


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda raw, _live: raw["risk"]["policy"].update(max_daily_loss_pct=50), "max_daily_loss_pct"),
        (lambda raw, _live: raw["risk"].pop("policy"), "max_daily_loss_pct"),
        (lambda _raw, live: live["limits"].update(position_ratio="0.2"), "ETH/USDT"),
        (lambda _raw, live: live["limits"].update(concurrent_positions=0), "position"),
    ],
)
def test_limits_that_were_not_kept(judged, spoil, problem):
    seen = judged("risk_limits", spoil)
    assert not seen["passed"]
    assert problem in seen["problem"], seen["problem"]


@pytest.mark.parametrize("kind", ["trades", "risk_limits", "pnl"])
def test_live_trading_in_another_book_is_not_passed_over(judged, kind):
    seen = judged(kind, lambda _raw, live: live.update(elsewhere=["first"]))
    assert not seen["passed"]
    assert seen["problem"] == "first has traded live in another book since T+0, and what it did there is not judged"


def test_an_engine_of_an_earlier_attempt_may_have_traded_and_what_it_lost_counts(judged):
    def lost(raw, live):
        live["starts"]["XRP/USDT"] = [[LIVE_AT, "100.00"]]
        raw["fills"][1:1] = [
            fill(LIVE_AT + HOUR + 60, "XRP/USDT", "buy", 100, 0.9),
            fill(LIVE_AT + HOUR + 120, "XRP/USDT", "sell", 100, 0.7),
        ]
        traded = {"trade_id": "t0", "symbol": "XRP/USDT", "side": "long", "qty": 100, "entry_price": 0.9, "exit_price": 0.7}
        raw["trades"].insert(0, {**traded, "pnl_usd": -20.16, "entry_time": LIVE_AT + HOUR + 60, "exit_time": LIVE_AT + HOUR + 120})
        for name in ("cash_balance", "total_equity", "total_pnl"):
            raw["portfolio"][name] -= 20.16

    assert judged("trades", lost)["passed"], judged("trades", lost)
    assert "PnL is -19.41 USD, -9.71% of 200, not >= -5%" in judged("pnl", lost, expected=">= -5%")["problem"]
    assert "daily loss: 20.16 USD" in judged("risk_limits", lost)["problem"]


def test_an_engine_that_was_kept_was_not_too_early(judged):
    def kept(_raw, live):
        live["starts"]["BTC/USDT"] = [[0.0, "100.00"]]

    assert judged("trades", kept)["passed"]


def test_a_fill_of_an_engines_first_second_by_another_clock_is_judged_with_its_capital(judged):
    def ahead(_raw, live):
        live["starts"]["BTC/USDT"] = [[LIVE_AT + HOUR + 1, "100.00"]]

    assert judged("trades", ahead)["passed"]
    assert judged("risk_limits", ahead)["passed"]


def test_a_book_that_was_not_read(look):
    seen = observed()
    seen["books"] = {"problem": "the live book was not read", "fix": "see the API"}
    for kind in ("trades", "risk_limits", "pnl"):
        judged = look({"kind": kind}, observed=seen)
        assert (judged["problem"], judged["fix"]) == ("the live book was not read", "see the API")
