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
from sandbox.levibot.standin.store import _plain

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
        assert all(abs(price / base - 1) < Decimal("0.041") for price in walk)
        assert len(set(walk)) > 100


@pytest.mark.parametrize("symbol", market.SYMBOLS)
def test_a_price_goes_one_way_while_a_position_is_held(symbol):
    desk, directions = live_desk((symbol,)), 0
    for step in range(4 * 60):
        before, after = NOW + step / 4, NOW + (step + 1) / 4
        desk.tick(before, HEALTHY, False)
        if symbol in desk.books[LIVE].positions:
            walk = [market.price(symbol, before + (after - before) * part / 40) for part in range(41)]
            assert walk == sorted(walk) or walk == sorted(walk, reverse=True)
            directions |= 1 if walk[0] < walk[-1] else 2
    assert directions == 3


def test_stake_keeps_the_policy_and_limit_breach_does_not(desk):
    def largest_share(faults: Faults) -> float:
        desk.books[LIVE].fills.clear()
        run(desk, NOW, 10, faults)
        return float(max(fill.qty * fill.price for fill in desk.books[LIVE].fills))  # a percent is a USD

    desk.start(BTC, LIVE, Decimal(100), NOW, HEALTHY)
    assert largest_share(HEALTHY) <= POLICY["max_symbol_risk_pct"] * 1.06, "a position that has won is worth more when it is closed"
    assert largest_share(Faults(limit_breach=True)) > POLICY["max_symbol_risk_pct"] * 5


def test_a_live_start_takes_a_running_paper_engine_over_and_funds_the_live_book_once(desk):
    now = run(desk, NOW, 3)
    desk.start(BTC, LIVE, Decimal(100), now, HEALTHY)
    assert BTC not in desk.books[PAPER].positions
    assert desk.books[LIVE].starting == 100
    assert desk.mode == LIVE
    with pytest.raises(Refused, match="already exists"):
        desk.start(BTC, LIVE, Decimal(100), now, HEALTHY)
    desk.stop(BTC, now, HEALTHY, killed=False)
    desk.start(BTC, LIVE, Decimal(150), now, HEALTHY)
    assert desk.books[LIVE].starting == 150


def test_no_order_follows_a_kill_and_paper_goes_on(desk):
    desk.start(BTC, LIVE, Decimal(100), NOW, HEALTHY)
    now = run(desk, NOW, 5)
    live, paper = len(desk.books[LIVE].fills), len(desk.books[PAPER].fills)
    now = run(desk, now, 5, killed=True)
    desk.stop(BTC, now, HEALTHY, killed=True)
    now = run(desk, now, 5, killed=True)
    assert len(desk.books[LIVE].fills) == live
    assert len(desk.books[PAPER].fills) > paper


def test_a_stop_closes_the_position_in_the_same_call(desk):
    now = NOW
    while BTC not in desk.books[PAPER].positions:
        now = run(desk, now, 0.25)
    desk.stop(BTC, now, HEALTHY, killed=False)
    fills = len([fill for fill in desk.books[PAPER].fills if fill.symbol == BTC])
    assert BTC not in desk.books[PAPER].positions
    run(desk, now, 5)
    assert len([fill for fill in desk.books[PAPER].fills if fill.symbol == BTC]) == fills


def test_engine_crash_stays_until_a_restart(desk):
    now = run(desk, NOW, 1, Faults(engine_crash=True))
    now = run(desk, now, 1)
    seen = views.engines(desk, now, HEALTHY, full=True)
    assert (seen["crashed"], seen["running"]) == (2, 0)
    assert desk.engines[BTC].status == CRASHED
    assert desk.engines[BTC].error_count == 1
    desk.restart(BTC, now)
    assert views.engines(desk, now, HEALTHY, full=True)["running"] == 1


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


def test_a_stuck_position_survives_a_stop(desk):
    desk.start(BTC, LIVE, Decimal(100), NOW, HEALTHY)
    now = run(desk, NOW, 5, Faults(stuck_position=True))
    desk.stop(BTC, now, Faults(stuck_position=True), killed=False)
    assert desk.engines[BTC].status == STOPPED
    assert BTC in desk.books[LIVE].positions
    seen = views.engine(desk, desk.engines[BTC], now, HEALTHY, full=True)
    assert seen["position"] == float(desk.books[LIVE].positions[BTC].qty)


def test_a_stop_leaves_the_position_when_it_is_told_to(desk):
    now = NOW
    while BTC not in desk.books[PAPER].positions:
        now = run(desk, now, 0.25)
    held = desk.books[PAPER].positions[BTC]
    desk.stop(BTC, now, HEALTHY, killed=False, close=False)
    now = run(desk, now, 5)
    assert desk.books[PAPER].positions[BTC] == held
    desk.stop(BTC, now, HEALTHY, killed=False)
    assert BTC not in desk.books[PAPER].positions, "what was left is closed by another stop"


def test_a_stop_closes_what_a_crashed_engine_has_left(desk):
    desk.start(BTC, LIVE, Decimal(100), NOW, HEALTHY)
    now = NOW
    while BTC not in desk.books[LIVE].positions:
        now = run(desk, now, 0.25)
    now = run(desk, now, 1, Faults(engine_crash=True))
    assert BTC in desk.books[LIVE].positions
    desk.stop(BTC, now, HEALTHY, killed=True)
    assert BTC in desk.books[LIVE].positions
    desk.stop(BTC, now, HEALTHY, killed=False)
    assert BTC not in desk.books[LIVE].positions


def live_desk(symbols: tuple[str, ...] = market.SYMBOLS, start: float = NOW) -> Desk:
    made = Desk()
    for symbol in symbols:
        made.start(symbol, LIVE, Decimal(100), start, HEALTHY)
    return made


@pytest.mark.parametrize("start", [NOW + 1003.7 * step for step in range(15)])
@pytest.mark.parametrize("count", [1, 3, 10])
def test_live_trading_shows_a_wrong_percent_soon_and_stays_far_from_its_limits(count, start):
    """In each window of 12 s a percent of the PnL is more than a cent, by which books may differ, and twice that."""
    desk, now = live_desk(market.SYMBOLS[:count], start), start
    worst = worst_symbol = Decimal(0)
    while now < start + 12:
        now = run(desk, now, 0.25)
        worst = min(worst, desk.books[LIVE].pnl(desk.prices(LIVE, now)))
        worst_symbol = min(worst_symbol, *(desk.books[LIVE].symbol_pnl(name, market.price(name, now)) for name in desk.engines))
    assert desk.books[LIVE].pnl(desk.prices(LIVE, now)) > 2
    assert worst > -2 * count, "the daily loss limit is 5 of each 100"
    assert worst_symbol > -2


def test_wrong_pnl_is_wrong_in_every_report_and_not_in_the_book():
    desk = live_desk()
    now = run(desk, NOW, 12)
    told = [views.portfolio(desk, LIVE, now, faults) for faults in (HEALTHY, Faults(wrong_pnl=0.01))]
    right, wrong = told
    assert right["total_pnl"] == pytest.approx(right["realised_pnl"] + right["unrealised_pnl"] - right["fees"], abs=1e-7)
    assert right["total_equity"] == pytest.approx(right["cash_balance"] + signed_value(desk, now), abs=1e-7)
    assert wrong["total_pnl"] - right["total_pnl"] == pytest.approx(0.01 * right["total_pnl"], abs=1e-7)
    assert wrong["total_equity"] - right["total_equity"] == pytest.approx(0.01 * right["total_pnl"], abs=1e-7)
    assert wrong["realised_pnl"] == pytest.approx(1.01 * right["realised_pnl"], abs=1e-7)
    assert {name for name in right if right[name] != wrong[name]} == {"total_pnl", "total_pnl_pct", "total_equity", "realised_pnl"}
    trades = desk.books[LIVE].trades
    reports = [views.trades(trades, faults)["trades"] for faults in (HEALTHY, Faults(wrong_pnl=0.01))]
    for one, other in zip(*reports, strict=True):
        assert other["pnl_usd"] == pytest.approx(1.01 * one["pnl_usd"], abs=1e-7)
        assert other["pnl_usd"] != one["pnl_usd"]
    engines = [views.engines(desk, now, faults, full=True)["engines"] for faults in (HEALTHY, Faults(wrong_pnl=0.01))]
    assert all(other["total_pnl"] == pytest.approx(1.01 * one["total_pnl"], abs=1e-7) for one, other in zip(*engines, strict=True))


def signed_value(desk: Desk, now: float) -> float:
    return float(sum(held.value(market.price(symbol, now)) for symbol, held in desk.books[LIVE].positions.items()))


@pytest.mark.parametrize("fault", ["missing_fill", "duplicate_fill"])
def test_one_fill_is_listed_wrongly_from_the_next_one_on_and_the_book_is_right(fault):
    faults = Faults(**{fault: True})
    desk = live_desk()
    now = run(desk, NOW, 5)
    before = desk.books[LIVE].total_fills
    assert list(views.fill_numbers(desk, LIVE)) == list(range(before, 0, -1))
    now = run(desk, now, 5, faults)
    total = desk.books[LIVE].total_fills
    wrong = list(views.fill_numbers(desk, LIVE))
    assert total > before + 1
    right = list(range(total, 0, -1))
    if fault == "missing_fill":
        assert wrong == [number for number in right if number != before + 1]
    else:
        assert wrong == sorted([*right, before + 1], reverse=True)
    for symbol in market.SYMBOLS:
        signed = sum(fill.qty if fill.side == "buy" else -fill.qty for fill in desk.books[LIVE].fills if fill.symbol == symbol)
        held = desk.books[LIVE].positions.get(symbol)
        assert signed == (held.qty if held else 0)
    assert list(views.fill_numbers(desk, PAPER)) == []
    again = Desk.from_dict(json.loads(json.dumps(desk, default=_plain)))
    assert list(views.fill_numbers(again, LIVE)) == wrong, "the other workers list the same"
    run(desk, now, 0.25)
    assert list(views.fill_numbers(desk, LIVE)) == list(range(desk.books[LIVE].total_fills, 0, -1)), "undone"


def test_a_changed_limit_is_what_is_told_and_not_what_is_kept(desk):
    faults = Faults(changed_limit=True)
    assert views.risk_summary(desk, NOW, faults)["policy"] == {**POLICY, "max_daily_loss_pct": 50}
    assert views.guardrails(desk, NOW, faults)["limits"]["max_daily_loss_pct"] == 50
    assert views.risk_summary(desk, NOW, HEALTHY)["policy"] == POLICY == views.guardrails(desk, NOW, HEALTHY)["limits"]
    assert POLICY["max_daily_loss_pct"] == 5


@pytest.mark.parametrize("symbol", market.SYMBOLS)
def test_a_loss_is_of_51_dollars_in_the_fills_and_comes_once(symbol):
    faults = Faults(loss=True)
    desk = live_desk((symbol,))
    desk.stop(symbol, NOW, HEALTHY, killed=False)
    run(desk, NOW, 1, faults)
    assert not desk.books[LIVE].fills, "no live engine runs"
    desk.start(symbol, LIVE, Decimal(100), NOW + 1, HEALTHY)
    desk.tick(NOW + 1.25, faults, True)
    assert not desk.books[LIVE].fills, "the kill switch is on"
    desk.tick(NOW + 1.5, faults, False)
    bought, sold = desk.books[LIVE].fills[:2]
    assert (bought.side, sold.side, bought.qty) == ("buy", "sell", sold.qty)
    assert Decimal("99.9") < bought.qty * bought.price <= 100
    net = sold.qty * sold.price - bought.qty * bought.price - bought.fee - sold.fee
    assert Decimal("-51.02") < net <= -51
    assert desk.daily_loss_reached(LIVE, NOW + 1.5)
    end = run(desk, NOW + 1.75, 10, faults)
    assert len(desk.books[LIVE].fills) == 2, "the desk's own daily loss limit holds"
    lost = desk.equity(LIVE, end)
    run(desk, end, 6)
    assert len(desk.books[LIVE].fills) > 2, "it is undone, and trading goes on before midnight"
    assert not desk.daily_loss_reached(LIVE, end)
    assert desk.day_start_equity[LIVE] == lost < 50
    before = len(desk.books[LIVE].fills)
    desk.tick(end + 6, faults, False)
    assert len(desk.books[LIVE].fills) >= before + 2, "switched on again"
    assert min(trade.pnl_usd for trade in desk.books[LIVE].trades[-2:]) < -48


def test_a_loss_hits_the_first_of_the_largest_engines_and_closes_what_it_has(desk):
    desk.start("SOL/USDT", LIVE, Decimal("10.50"), NOW, HEALTHY)
    desk.start(BTC, LIVE, Decimal(100), NOW, HEALTHY)
    desk.start("ETH/USDT", LIVE, Decimal(100), NOW, HEALTHY)
    now = NOW
    while BTC not in desk.books[LIVE].positions:
        now = run(desk, now, 0.25)
    before = desk.books[LIVE].total_fills
    desk.tick(now, Faults(loss=True), False)
    new = [fill for fill in desk.books[LIVE].fills if fill.fill_id > before and fill.symbol == BTC]
    assert len(new) == 3, "out, in, out at a loss; then the desk's own daily loss limit holds"
    assert new[0].qty < new[1].qty == new[2].qty
    assert min(trade.pnl_usd for trade in desk.books[LIVE].trades if trade.symbol == BTC) < -50


def test_a_loss_takes_no_more_than_there_is():
    desk = live_desk(())
    desk.start(BTC, LIVE, Decimal(20), NOW, HEALTHY)
    desk.tick(NOW + 1, Faults(loss=True), False)
    assert desk.books[LIVE].fills[1].price == market.tick(BTC)
    assert desk.equity(LIVE, NOW + 1) < 1


def test_capital_is_paid_in_once_whatever_the_engine_did_in_between_and_is_no_profit(desk):
    now = run(desk, NOW, 1)
    desk.start(BTC, LIVE, Decimal(100), now, HEALTHY)
    desk.stop(BTC, now, HEALTHY, killed=False)
    desk.start(BTC, PAPER, Decimal(500), now, HEALTHY)
    desk.start(BTC, LIVE, Decimal(150), now, HEALTHY)
    desk.start("ETH/USDT", LIVE, Decimal(50), now, HEALTHY)
    assert desk.books[LIVE].starting == desk.books[LIVE].cash == 200
    assert desk.realised_today_pct(LIVE, now) == 0
    now = run(desk, now, 8)
    earned = desk.books[LIVE].pnl(desk.prices(LIVE, now))
    assert desk.realised_today_pct(LIVE, now) == pytest.approx(float(earned / 2))
    tomorrow = run(desk, now + 24 * 3600, 0.25)
    start = desk.day_start_equity[LIVE]
    desk.start("SOL/USDT", LIVE, Decimal(800), tomorrow, HEALTHY)
    assert desk.day_start_equity[LIVE] == start + 800
    assert abs(desk.realised_today_pct(LIVE, tomorrow)) < 1


def test_after_a_restart_paper_goes_on_and_live_waits(desk):
    desk.start(BTC, LIVE, Decimal(100), NOW, HEALTHY)
    run(desk, NOW, 3)
    again = Desk.from_dict(json.loads(json.dumps(desk, default=_plain)))
    assert again == desk
    again.recover(NOW + 9)
    assert again.engines[BTC].status == STOPPED
    assert again.engines["ETH/USDT"].status == RUNNING


def test_what_is_given_at_start_up_runs_again_after_a_stop(desk):
    desk.start("SOL/USDT", PAPER, Decimal(100), NOW, HEALTHY)
    for symbol in (BTC, "SOL/USDT"):
        desk.stop(symbol, NOW + 1, HEALTHY, killed=False)
    desk.recover(NOW + 9)
    assert (desk.engines[BTC].status, desk.engines["SOL/USDT"].status) == (RUNNING, STOPPED)
