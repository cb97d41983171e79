# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""The desk trades, stops when it is told to, and is wrong exactly where a fault says so."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from sandbox.levibot.standin import market, views
from sandbox.levibot.standin.engines import CRASHED, LIVE, PAPER, POLICY, RUNNING, STOPPED, Desk, Refused
from sandbox.levibot.standin.faults import Faults
from sandbox.levibot.standin.store import Store, _plain

NOW = 1_800_000_000.0
HEALTHY = Faults()
BTC = "BTC/USDT"


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    made.recover(NOW)
    return made


def run(desk: Desk, start: float, seconds: float, faults: Faults = HEALTHY, killed: bool = False) -> float:
    end = start + seconds
    while start < end:
        desk.tick(start, faults, killed)
        start += 0.25
    return end


def pnl(desk: Desk, now: float) -> Decimal:
    return desk.books[PAPER].pnl(desk.prices(PAPER, now))


@pytest.mark.parametrize("start", [NOW + 3.7 * step for step in range(40)])
def test_paper_trading_earns_in_every_window_of_twenty_seconds(start):
    desk = Desk()
    desk.recover(start)
    warm = run(desk, start, 5)
    before, trades = pnl(desk, warm), desk.books[PAPER].total_trades
    end = run(desk, warm, 20)
    assert pnl(desk, end) > before
    assert desk.books[PAPER].total_trades - trades >= 16


def test_there_are_losing_trades_too(desk):
    run(desk, NOW, 60)
    assert {trade.pnl_usd > 0 for trade in desk.books[PAPER].trades} == {True, False}


def test_prices_depend_on_time_alone_and_stay_near_their_base():
    for symbol, base in market.BASES.items():
        walk = [market.price(symbol, NOW + step * 0.31) for step in range(400)]
        assert walk == [market.price(symbol, NOW + step * 0.31) for step in range(400)]
        assert all(abs(price / base - 1) < Decimal("0.009") for price in walk)
        assert len(set(walk)) > 100


def test_stake_keeps_the_policy_and_limit_breach_does_not(desk):
    def largest_share(faults: Faults) -> float:
        desk.books[LIVE].fills.clear()
        end = run(desk, NOW, 10, faults)
        equity = desk.equity(LIVE, end)
        return float(max(fill.qty * fill.price for fill in desk.books[LIVE].fills) / equity) * 100

    desk.start(BTC, LIVE, Decimal(100), NOW)
    assert largest_share(HEALTHY) <= POLICY["max_symbol_risk_pct"] * 1.02
    assert largest_share(Faults(limit_breach=True)) > POLICY["max_symbol_risk_pct"] * 5


def test_a_live_start_takes_a_running_paper_engine_over_and_funds_the_live_book_once(desk):
    now = run(desk, NOW, 3)
    desk.start(BTC, LIVE, Decimal(100), now)
    assert BTC not in desk.books[PAPER].positions
    assert desk.books[LIVE].starting == 100
    assert desk.mode == LIVE
    with pytest.raises(Refused, match="already exists"):
        desk.start(BTC, LIVE, Decimal(100), now)
    desk.stop(BTC, now, killed=False)
    desk.start(BTC, LIVE, Decimal(150), now)
    assert desk.books[LIVE].starting == 150


def test_no_order_follows_a_kill_and_paper_goes_on(desk):
    desk.start(BTC, LIVE, Decimal(100), NOW)
    now = run(desk, NOW, 5)
    live, paper = len(desk.books[LIVE].fills), len(desk.books[PAPER].fills)
    now = run(desk, now, 5, killed=True)
    desk.stop(BTC, now, killed=True)
    now = run(desk, now, 5, killed=True)
    assert len(desk.books[LIVE].fills) == live
    assert len(desk.books[PAPER].fills) > paper


def test_a_stop_closes_the_position_in_the_same_call(desk):
    now = NOW
    while BTC not in desk.books[PAPER].positions:
        now = run(desk, now, 0.25)
    desk.stop(BTC, now, killed=False)
    fills = len([fill for fill in desk.books[PAPER].fills if fill.symbol == BTC])
    assert BTC not in desk.books[PAPER].positions
    run(desk, now, 5)
    assert len([fill for fill in desk.books[PAPER].fills if fill.symbol == BTC]) == fills


def test_engine_crash_stays_until_a_restart(desk):
    now = run(desk, NOW, 1, Faults(engine_crash=True))
    now = run(desk, now, 1)
    seen = views.engines(desk, now)
    assert (seen["crashed"], seen["running"]) == (2, 0)
    assert desk.engines[BTC].status == CRASHED
    assert desk.engines[BTC].error_count == 1
    desk.restart(BTC, now)
    assert views.engines(desk, now)["running"] == 1


@pytest.mark.parametrize("faults", [Faults(silent_engine=True), Faults(hang=True)])
def test_silent_engines_say_running_and_do_nothing(desk, faults):
    now = run(desk, NOW, 5)
    heartbeat, count, fills = desk.engines[BTC].last_heartbeat, desk.inference.count, len(desk.books[PAPER].fills)
    run(desk, now, 5, faults)
    assert desk.engines[BTC].status == RUNNING
    assert (desk.engines[BTC].last_heartbeat, desk.inference.count, len(desk.books[PAPER].fills)) == (heartbeat, count, fills)


def test_a_stuck_position_never_closes(desk):
    now = run(desk, NOW, 5, Faults(stuck_position=True))
    held = dict(desk.books[PAPER].positions)
    run(desk, now, 20, Faults(stuck_position=True))
    assert held
    assert desk.books[PAPER].positions == held


def test_wrong_pnl_is_wrong_in_the_report_and_not_in_the_book(desk):
    now = run(desk, NOW, 5)
    right, wrong = (views.portfolio(desk, PAPER, now, faults) for faults in (HEALTHY, Faults(wrong_pnl=True)))
    assert right["total_pnl"] == pytest.approx(right["realised_pnl"] + right["unrealised_pnl"] - right["fees"])
    assert wrong["total_pnl"] != pytest.approx(wrong["realised_pnl"] + wrong["unrealised_pnl"] - wrong["fees"])


def test_after_a_restart_paper_goes_on_and_live_waits(desk):
    desk.start(BTC, LIVE, Decimal(100), NOW)
    run(desk, NOW, 3)
    again = Desk.from_dict(json.loads(json.dumps(desk, default=_plain)))
    assert again == desk
    again.recover(NOW + 9)
    assert again.engines[BTC].status == STOPPED
    assert again.engines["ETH/USDT"].status == RUNNING


def test_what_is_given_at_start_up_runs_again_after_a_stop(desk):
    desk.start("SOL/USDT", PAPER, Decimal(100), NOW)
    for symbol in (BTC, "SOL/USDT"):
        desk.stop(symbol, NOW + 1, killed=False)
    desk.recover(NOW + 9)
    assert (desk.engines[BTC].status, desk.engines["SOL/USDT"].status) == (RUNNING, STOPPED)


def test_the_store_shares_changes_and_drops_what_failed(tmp_path):
    one, other = Store(tmp_path), Store(tmp_path)
    with one.change() as desk:
        desk.recover(NOW)
    assert set(other.desk.engines) == {BTC, "ETH/USDT"}
    with pytest.raises(Refused), other.change() as desk:
        desk.start("SOL/USDT", PAPER, Decimal(100), NOW)
        desk.start(BTC, PAPER, Decimal(100), NOW)
    assert "SOL/USDT" not in other.desk.engines
    assert "SOL/USDT" not in one.desk.engines
    assert one.may_trade()
    assert not other.may_trade()
