# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in's own desk under reconciliation: minutes of live trading are clean at every look, and each fault is found for what it is."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.trading import reconcile
from sandbox.levibot.standin import market, views
from sandbox.levibot.standin.engines import LIVE, Desk
from sandbox.levibot.standin.faults import Faults

START = 1_800_000_000.0
TICK = 0.25
CALL = 0.02  # how long one call takes, while prices move on
CAPITAL = Decimal(100)
HEALTHY = Faults()
USD, RATIO = Decimal("0.01"), Decimal("0.005")
MAX_OPEN = 10.0
LIMITS = {
    "position_ratio": "1",
    "exposure_ratio": "1",
    "daily_loss_ratio": "0.05",
    "concurrent_positions": 10,
    "reported": {"max_daily_loss_pct": "5", "max_symbol_risk_pct": "20", "max_concurrent_positions": "10"},
}


class Live:
    """Engines on live money, looked at from a baseline on."""

    def __init__(self, symbols=market.SYMBOLS, faults=HEALTHY, *, before=0.0, start=START):
        self.desk, self.now, self.faults, self.symbols = Desk(), start, faults, symbols
        self.desk.recover(self.now)
        if before:  # an earlier phase 3 that was given up
            self.go_live()
            self.trade(before)
            for symbol in symbols:
                self.desk.stop(symbol, self.now, HEALTHY, killed=False)
        self.baseline = baseline_of(self.raw())
        self.go_live()

    def go_live(self):
        for symbol in self.symbols:
            self.desk.start(symbol, LIVE, CAPITAL, self.now, self.faults)

    def trade(self, seconds, faults=None):
        self.faults = self.faults if faults is None else faults
        end = self.now + seconds
        while self.now < end:
            self.desk.tick(self.now, self.faults, killed=False)
            self.now += TICK
        return self

    def raw(self):
        """As levibot/books.py reads it, through JSON."""
        desk, faults = self.desk, self.faults
        book = desk.books[LIVE]
        at = self.now - TICK + 0.001  # after the last tick
        rows = {
            "engines": views.engines(desk, at + 2.5 * CALL, faults, full=True)["engines"],
            "risk": views.risk_summary(desk, at + CALL, faults),
            "fills": views.fills(book.fills[number - 1] for number in views.fill_numbers(desk, LIVE))["fills"][::-1],
            "trades": views.trades(reversed(book.trades), faults)["trades"][::-1],
            "positions": views.positions(desk, LIVE, at + 2 * CALL)["positions"],
            "portfolio": views.portfolio(desk, LIVE, at + 3 * CALL, faults),
            "positions_again": views.positions(desk, LIVE, at + 4 * CALL)["positions"],
        }
        told = {"at": at + 5 * CALL, "history": "fills", "mode": desk.mode, "killed": False, "complete": True}
        return json.loads(json.dumps({**rows, **told}))

    def expected(self, **changes):
        told = {
            "baseline": self.baseline,
            "live": dict.fromkeys(self.symbols, "100.00"),
            "step": list(self.symbols),
            "sides": ["long", "short"],
            "limits": LIMITS,
            "now": self.now,
        }
        return reconcile.Expected(**{**told, **changes})

    def found(self, **changes):
        return findings(self.raw(), self.expected(**changes))


def baseline_of(raw):
    return {
        "at": raw["at"],
        "positions": {
            row["symbol"]: {"quantity": str(row["qty"] if row["side"] == "long" else -row["qty"]), "price_usd": str(row["current_price"])}
            for row in raw["positions"]
        },
        "cash_usd": str(raw["portfolio"]["cash_balance"]),
        "total_pnl_usd": str(raw["portfolio"]["total_pnl"]),
        "starting_usd": str(raw["portfolio"]["starting_balance"]),
        "last_fill_id": str(raw["fills"][-1]["fill_id"]) if raw["fills"] else None,
        "fills": len(raw["fills"]),
    }


def findings(raw, expected, elsewhere=None):
    books = reconcile.read_books(raw)
    return {
        "positions": reconcile.positions(books, expected, MAX_OPEN),
        "pnl": reconcile.pnl(books, expected, USD, RATIO),
        "limits": reconcile.limits(books, expected),
        "engines": reconcile.engines(books, expected, 5.0, elsewhere or {}),
    }


def problems(found):
    return {name: finding.problems for name, finding in found.items() if finding.problems}


@pytest.mark.parametrize("before", [0.0, 20.0], ids=["first", "after one that was given up"])
def test_minutes_of_live_trading_are_clean_at_every_look(before):
    live = Live(before=before)
    for _look in range(50):
        found = live.trade(1.75).found()
        assert not problems(found)
    assert found["positions"].events > 150
    assert found["engines"].events == len(market.SYMBOLS)
    assert "10 engines compared" in found["pnl"].detail or "9 engines compared" in found["pnl"].detail
    assert reconcile.loss(reconcile.read_books(live.raw()), live.expected())[0] < 10


def test_one_symbol_alone_is_clean_and_only_its_own_trades_are_events():
    live = Live(("BTC/USDT",))
    assert live.found()["positions"].events == 0
    for _look in range(40):
        found = live.trade(0.75).found()
        assert not problems(found)
    assert found["positions"].events == found["pnl"].events == found["limits"].events > 5
    assert live.found(step=["ETH/USDT"])["positions"].events == 0
    assert live.found(since=live.now)["positions"].events == 0


def seen(live, faults, seconds=12.0, look=0.5, **changes):
    """All that is found in any look while a fault is on."""
    live.trade(8)
    found = {}
    end = live.now + seconds
    while live.now < end:
        for name, told in problems(live.trade(look, faults).found(**changes)).items():
            found.setdefault(name, []).extend(told)
    return found


def test_pnl_that_is_reported_one_per_cent_too_high():
    found = seen(Live(), Faults(wrong_pnl=0.01))
    assert set(found) == {"pnl"}
    said = "\n".join(found["pnl"])
    assert "portfolio: total_pnl is" in said
    assert "portfolio: total_equity is" in said
    assert "trade " in said
    assert "engine " in said


def test_a_fill_that_is_missing():
    found = seen(Live(), Faults(missing_fill=True))
    assert any("is reported, and its fills come to" in problem and "a fill is missing" in problem for problem in found["positions"])
    assert any(problem.startswith("cash: ") for problem in found["positions"])
    assert "limits" not in found
    assert "engines" not in found


def test_a_fill_that_is_listed_twice():
    found = seen(Live(), Faults(duplicate_fill=True))
    assert set(found) == {"positions"}
    assert all("is listed twice" in problem for problem in found["positions"])


def test_a_position_that_is_stuck():
    found = seen(Live(("BTC/USDT",)), Faults(stuck_position=True), seconds=16)
    assert set(found) == {"positions"}
    assert all("BTC/USDT: a position of" in problem and "at most 10 s are allowed" in problem for problem in found["positions"])


def test_a_position_beyond_its_engines_capital():
    found = seen(Live(("BTC/USDT", "ETH/USDT")), Faults(limit_breach=True), seconds=4)
    assert set(found) == {"limits"}
    said = "\n".join(found["limits"])
    assert "BTC/USDT: 2" in said
    assert "USD were paid for a position, by its fills; at most 100" in said
    assert "exposure: all open positions are worth" in said


def test_a_position_beyond_capital_is_seen_though_it_was_closed_before_the_look():
    live = Live(("BTC/USDT",))
    live.trade(8)
    live.trade(4, Faults(limit_breach=True))
    live.trade(2)
    while live.raw()["positions"]:
        live.trade(TICK)
    (problem, *_rest) = live.found()["limits"].problems
    assert "USD were paid for a position" in problem


def test_a_limit_that_was_changed():
    found = seen(Live(), Faults(changed_limit=True), seconds=1)
    assert set(found) == {"limits"}
    assert set(found["limits"]) == {"limit max_daily_loss_pct: the API reports 50; the plan's is 5"}


def test_engines_that_crash():
    found = seen(Live(), Faults(engine_crash=True), seconds=2)
    assert set(found) == {"engines"}
    assert "engine BTC/USDT has crashed: inference failed: model returned no prediction" in found["engines"]


def test_engines_that_are_silent():
    found = seen(Live(), Faults(silent_engine=True), seconds=9)
    assert set(found) <= {"engines", "positions"}  # what they hold gets old
    assert any("engine BTC/USDT gave its last heartbeat 5." in problem for problem in found["engines"])


def test_a_live_engine_elsewhere():
    live = Live().trade(5)
    found = findings(live.raw(), live.expected(), {"green on app1": ["ETHUSDT"], "blue on app2": []})
    assert problems(found) == {"engines": ["engine ETH/USDT is live on green on app1 as well; each symbol has one writer"]}


def test_a_loss_of_51():
    live = Live(("BTC/USDT",)).trade(20)
    before, _whose = reconcile.loss(reconcile.read_books(live.raw()), live.expected())
    assert before < 5
    live.trade(0.5, Faults(loss=True))
    worst, whose = reconcile.loss(reconcile.read_books(live.raw()), live.expected())
    assert 51 <= worst < 52
    assert "51 USD lost: BTC/USDT, the position of" in whose or "51.01 USD lost: BTC/USDT" in whose
    assert any("daily loss" in problem for problem in live.found()["limits"].problems)


def test_a_gain_before_does_not_hide_a_loss():
    live = Live(("BTC/USDT",)).trade(30)
    while live.raw()["positions"]:
        live.trade(TICK)
    assert live.desk.books[LIVE].pnl({}) > 2
    live.trade(0.5, Faults(loss=True))
    assert reconcile.loss(reconcile.read_books(live.raw()), live.expected())[0] >= 51


def test_trades_stand_for_fills_where_there_are_none():
    live = Live(("BTC/USDT", "ETH/USDT"))
    for _look in range(20):
        raw = {**live.trade(1.0).raw(), "history": "trades", "fills": []}
        assert not problems(findings(raw, live.expected()))
    live.trade(1.0, Faults(wrong_pnl=0.01))
    raw = {**live.raw(), "history": "trades", "fills": []}
    assert set(problems(findings(raw, live.expected()))) == {"pnl"}


def test_a_history_that_does_not_reach_back_is_no_answer():
    live = Live(before=10.0).trade(5)
    raw = live.raw()
    for cut in ({**raw, "complete": False}, {**raw, "fills": raw["fills"][-3:]}):
        with pytest.raises(reconcile.UnreadableError, match="nothing can be recomputed"):
            findings(cut, live.expected())
