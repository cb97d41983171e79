# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Books of releases that keep money in different ways: what is right is never told to be wrong, and what is wrong always is."""

from __future__ import annotations

import copy
import random
import time
from decimal import ROUND_HALF_UP, Decimal

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.trading import reconcile

D = Decimal
T0 = 1_800_000_000.0
PRICES = {"BTC/USDT": 60000.0, "ETH/USDT": 2500.0, "XRP/USDT": 0.55}
UNITS = {"BTC/USDT": 0.00001, "ETH/USDT": 0.0001, "XRP/USDT": 0.1}
USD, RATIO = D("0.01"), D("0.005")
LIMITS = {"position_ratio": "20", "exposure_ratio": "30", "daily_loss_ratio": "1", "concurrent_positions": "10", "reported": {"most": "5"}}


class Release:
    """A made-up LeviBot, whose book is kept unrounded, in cents, to eight decimals, or in binary fractions."""

    def __init__(self, kept, seed):
        self.draw = random.Random(f"{kept} {seed}")  # noqa: S311 - cases, not secrets
        self.number = float if kept == "float" else lambda value: D(repr(value)) if isinstance(value, float) else D(value)
        step = {"cents": D("0.01"), "eight": D("0.00000001")}.get(kept)
        self.booked = (lambda amount: amount.quantize(step)) if step else (lambda amount: amount)
        self.prices = dict(PRICES)
        self.cash = self.starting = self.number(300)
        self.held, self.fills, self.trades, self.earned = {}, [], [], {}
        self.now = T0

    def price(self, symbol):
        """Where the market goes in a moment."""
        self.prices[symbol] *= 1 + self.draw.uniform(-0.02, 0.02)
        return self.number(round(self.prices[symbol], 5))

    def order(self, symbol, quantity, price=None, fee=None):
        """quantity: signed."""
        self.now += self.draw.choice((0, 0.5, 7))
        price = self.price(symbol) if price is None else self.number(price)
        quantity = self.number(quantity)
        notional = self.booked(quantity * price)
        fee = self.booked(abs(quantity) * price * self.number("0.001")) if fee is None else self.number(fee)
        self.cash -= notional + fee
        self.fills.append((len(self.fills) + 1, self.now, symbol, quantity, price, fee))
        held = self.held.get(symbol)
        if held and held["quantity"] * quantity < 0:
            closing = min(abs(quantity), abs(held["quantity"])) * (1 if quantity > 0 else -1)
            share = -closing / held["quantity"]
            whole = closing == quantity
            part = notional if whole else self.booked(closing * price)
            part_fee = fee if whole else self.booked(fee * closing / quantity)
            all_of_it = closing == -held["quantity"]
            cost = held["cost"] if all_of_it else self.booked(held["cost"] * share)
            entry_fee = held["fee"] if all_of_it else self.booked(held["fee"] * share)
            pnl = -part - cost - entry_fee - part_fee
            self.earned[symbol] = self.earned.get(symbol, self.number(0)) + pnl
            self.trades.append((len(self.trades) + 1, symbol, held, closing, price, pnl, entry_fee + part_fee, self.now))
            self.held[symbol] = {
                **held,
                "quantity": held["quantity"] + closing,
                "cost": held["cost"] - cost,
                "fee": held["fee"] - entry_fee,
            }
            if all_of_it:
                del self.held[symbol]
            quantity, notional, fee = quantity - closing, notional - part, fee - part_fee
        if quantity:
            held = self.held.get(symbol) or {"quantity": self.number(0), "cost": self.number(0), "fee": self.number(0), "at": self.now}
            self.held[symbol] = {
                **held,
                "quantity": held["quantity"] + quantity,
                "cost": held["cost"] + notional,
                "fee": held["fee"] + fee,
            }

    def trade(self, orders):
        """Opens, adds, closes a part, closes all, or flips."""
        for _order in range(orders):
            symbol = self.draw.choice(list(PRICES))
            unit, held = UNITS[symbol], self.held.get(symbol)
            count = self.draw.randint(100, 160)
            if held is None:
                self.order(symbol, round(self.draw.choice((-1, 1)) * count * unit, 8))
                continue
            now = float(held["quantity"])
            way = self.draw.choice(("add", "part", "all", "all", "flip"))
            if way == "all":
                self.order(symbol, -held["quantity"])
            else:
                change = {"add": 0.3, "part": -0.4, "flip": -1.7}[way] * now
                self.order(symbol, round(round(change / unit) * unit, 8) or unit)
        return self

    def positions(self, marks):
        return [
            {
                "symbol": symbol,
                "side": "long" if held["quantity"] > 0 else "short",
                "qty": float(abs(held["quantity"])),
                "entry_price": float(held["cost"] / held["quantity"]),
                "current_price": float(marks[symbol]),
                "entry_time": held["at"],
            }
            for symbol, held in self.held.items()
        ]

    def raw(self, move=0.0):
        """move: how far prices go, as a ratio, while they are read."""
        first = {symbol: self.number(round(price, 5)) for symbol, price in self.prices.items()}
        last = {symbol: self.number(round(price * (1 + self.draw.uniform(-move, move)), 5)) for symbol, price in self.prices.items()}
        between = {symbol: (first[symbol] + last[symbol]) / 2 for symbol in first}
        value = sum((self.booked(held["quantity"] * between[symbol]) for symbol, held in self.held.items()), self.number(0))
        equity = self.cash + value
        engines = []
        for symbol in PRICES:
            held = self.held.get(symbol)
            is_open = self.booked(held["quantity"] * first[symbol]) - held["cost"] - held["fee"] if held else self.number(0)
            engines.append(
                {
                    "symbol": symbol,
                    "status": "running",
                    "mode": "live",
                    "capital": 100.0,
                    "last_heartbeat": self.now - 1,
                    "position": float(held["quantity"]) if held else 0.0,
                    "total_pnl": float(self.earned.get(symbol, self.number(0)) + is_open),
                }
            )
        return {
            "at": self.now + 1,
            "history": "fills",
            "fills": [
                {
                    "fill_id": number,
                    "ts": at,
                    "symbol": symbol,
                    "side": "buy" if quantity > 0 else "sell",
                    "qty": float(abs(quantity)),
                    "price": float(price),
                    "fee": float(fee),
                }
                for number, at, symbol, quantity, price, fee in self.fills
            ],
            "trades": [
                {
                    "trade_id": number,
                    "symbol": symbol,
                    "side": "long" if held["quantity"] > 0 else "short",
                    "qty": float(abs(closing)),
                    "entry_price": float(held["cost"] / held["quantity"]),
                    "exit_price": float(price),
                    "pnl_usd": float(pnl),
                    "fee_usd": float(fees),
                    "entry_time": held["at"],
                    "exit_time": at,
                }
                for number, symbol, held, closing, price, pnl, fees, at in self.trades
            ],
            "positions": self.positions(first),
            "positions_again": self.positions(last),
            "portfolio": {
                "starting_balance": float(self.starting),
                "cash_balance": float(self.cash),
                "total_equity": float(equity),
                "total_pnl": float(equity - self.starting),
            },
            "engines": engines,
            "risk": {"realized_today_pct": 0.0, "policy": {"most": 5}},
            "mode": "live",
            "killed": False,
            "complete": True,
        }


def baseline_of(raw):
    return {
        "at": raw["at"] - 0.5,
        "positions": {
            row["symbol"]: {"quantity": repr(row["qty"] * (1 if row["side"] == "long" else -1)), "price_usd": repr(row["current_price"])}
            for row in raw["positions"]
        },
        "cash_usd": repr(raw["portfolio"]["cash_balance"]),
        "total_pnl_usd": repr(raw["portfolio"]["total_pnl"]),
        "starting_usd": repr(raw["portfolio"]["starting_balance"]),
        "last_fill_id": str(raw["fills"][-1]["fill_id"]) if raw["fills"] else None,
        "fills": len(raw["fills"]),
    }


def expected(baseline, raw, **changes):
    told = {
        "baseline": baseline,
        "live": dict.fromkeys(PRICES, "100.00"),
        "step": list(PRICES),
        "sides": ["long", "short"],
        "limits": LIMITS,
        "now": raw["at"],
    }
    return reconcile.Expected(**{**told, **changes})


EMPTY = {"at": T0 - 1, "positions": {}, "cash_usd": "300", "total_pnl_usd": "0", "starting_usd": "300", "last_fill_id": None, "fills": 0}


def problems(raw, baseline=EMPTY, max_open=1e9, **changes):
    """By what finds them."""
    books, told = reconcile.read_books(raw), expected(baseline, raw, **changes)
    found = {
        "positions": reconcile.positions(books, told, max_open).problems,
        "pnl": reconcile.pnl(books, told, USD, RATIO).problems,
        "limits": reconcile.limits(books, told).problems,
        "engines": reconcile.engines(books, told, 60, {}).problems,
    }
    return {name: listed for name, listed in found.items() if listed}


KEPT = ("whole", "cents", "eight", "float")


@pytest.mark.parametrize("move", [0.0, 0.002])
@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("seed", range(12))
def test_what_is_right_is_never_told_to_be_wrong(kept, seed, move):
    release = Release(kept, seed)
    for orders in (0, 1, 5, 20, 40):
        assert problems(release.trade(orders).raw(move)) == {}


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("seed", range(8))
def test_a_baseline_in_the_middle_is_clean_too(kept, seed):
    release = Release(kept, seed).trade(15)
    baseline = baseline_of(release.raw())
    for orders in (0, 1, 5, 20):
        assert problems(release.trade(orders).raw(), baseline) == {}


def test_a_baseline_before_fills_without_numbers_cuts_by_time():
    release = Release("whole", 22).trade(9)
    first = release.raw()
    release.now += 10
    raw = release.trade(9).raw()
    for row in (*first["fills"], *raw["fills"]):
        del row["fill_id"]
    baseline = {**baseline_of({**first, "fills": []}), "fills": 9}
    assert problems(raw, baseline) == {}
    assert problems({**raw, "fills": raw["fills"][:-1]}, baseline)["positions"]


def of_some_dollars(kept, seed):
    """A release that has earned or lost more than a few dollars, though not very many."""
    release = Release(kept, seed).trade(20)
    while abs(release.raw()["portfolio"]["total_pnl"]) < 2.5:
        release.trade(1)
    return release


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("seed", range(12))
def test_one_per_cent_of_a_few_dollars_is_found_wherever_it_is_reported(kept, seed):
    raw = of_some_dollars(kept, seed).raw()
    more = raw["portfolio"]["total_pnl"] * 0.01
    for name in ("total_pnl", "total_equity", "cash_balance"):
        wrong = copy.deepcopy(raw)
        wrong["portfolio"][name] += more
        (problem,) = problems(wrong)["pnl"]
        assert problem.startswith(f"portfolio: {name} is ")
        assert ("too high" if more > 0 else "too low") in problem
        assert set(problems(wrong)) == {"pnl"}


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("seed", range(8))
def test_trades_that_are_one_per_cent_too_high_are_found_by_their_sum(kept, seed):
    raw = Release(kept, seed).trade(60).raw()
    for row in raw["trades"]:
        row["pnl_usd"] *= 1.01
    assert set(problems(raw)) == {"pnl"}
    assert all("pnl_usd is" in problem for problem in problems(raw)["pnl"])


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("seed", range(4))
def test_an_engine_that_is_one_per_cent_too_high_is_found(kept, seed):
    raw = Release(kept, seed).trade(60).raw()
    flat = [row for row in raw["engines"] if row["position"] == 0.0 and abs(row["total_pnl"]) > 2.5]
    for row in flat:
        before = row["total_pnl"]
        row["total_pnl"] *= 1.01
        (problem,) = problems(raw)["pnl"]
        assert f"engine {row['symbol']}: total_pnl is" in problem
        row["total_pnl"] = before


@pytest.mark.parametrize("kept", KEPT)
def test_each_fill_that_is_missing_or_doubled_is_found(kept):
    raw = Release(kept, 1).trade(25).raw()
    for place, row in enumerate(raw["fills"]):
        missing = {**raw, "fills": raw["fills"][:place] + raw["fills"][place + 1 :]}
        said = "\n".join(problems(missing)["positions"])
        assert f"{row['symbol']}: a position of" in said
        assert "a fill is missing" in said
        twice = {**raw, "fills": [*raw["fills"][: place + 1], *raw["fills"][place:]]}
        found = problems(twice)
        assert set(found) == {"positions"}
        assert found["positions"] == [next(line for line in found["positions"] if f"fill {row['fill_id']} (" in line)]
        renumbered = {**raw, "fills": [*raw["fills"][: place + 1], {**row, "fill_id": 900}, *raw["fills"][place + 1 :]]}
        assert f"fills {row['fill_id']} and 900 say the same, and may be one" in "\n".join(problems(renumbered)["positions"])


def test_a_fill_that_the_book_has_counted_twice_is_named():
    release = Release("whole", 3)
    release.order("ETH/USDT", 0.01)
    raw = release.raw()
    raw["positions"][0]["qty"] = raw["positions_again"][0]["qty"] = 0.02
    (problem,) = problems(raw)["positions"]
    assert "ETH/USDT: a position of 0.02 is reported, and its fills come to 0.01" in problem
    assert "fill 1 (buy 0.01 ETH/USDT at" in problem
    assert "was counted twice" in problem


def test_a_whole_position_that_has_no_fills_is_found_by_cash_and_trade():
    release = Release("whole", 5)
    for quantity in (0.01, -0.01, 0.02):
        release.order("ETH/USDT", quantity)
    release.order("ETH/USDT", -0.02, 2000)
    raw = release.raw()
    raw["fills"] = raw["fills"][:2]
    found = problems(raw)
    assert any("trade 2" in problem for problem in found["positions"])
    assert any("cash_balance" in problem for problem in found["pnl"])
    raw["fills"] = []
    assert any("no fills close trade 2" in problem for problem in problems(raw)["positions"])


def test_a_closing_that_is_reported_as_no_trade():
    raw = Release("whole", 6).trade(12).raw()
    last = raw["trades"].pop()
    assert any(problem.startswith(last["symbol"]) for problem in problems(raw)["positions"])
    raw["trades"] = []  # a release that lists none
    assert problems(raw) == {}


def test_trades_of_whole_positions_are_as_good_as_trades_of_closings():
    release = Release("whole", 7)
    for quantity in (0.01, 0.01, -0.005, -0.015):
        release.order("ETH/USDT", quantity)
    raw = release.raw()
    assert len(raw["trades"]) == 2
    whole = {**raw["trades"][-1], "qty": 0.02, "pnl_usd": sum(row["pnl_usd"] for row in raw["trades"])}
    assert problems({**raw, "trades": [whole]}) == {}
    assert set(problems({**raw, "trades": [{**whole, "pnl_usd": whole["pnl_usd"] + 0.02}]})) == {"pnl"}


def test_trades_before_fees_are_another_way_to_count():
    raw = Release("whole", 8).trade(30).raw()
    for row in raw["trades"]:
        row["pnl_usd"] += row["fee_usd"]
    assert problems(raw) == {}
    raw["trades"][0]["pnl_usd"] += 0.05
    assert set(problems(raw)) == {"pnl"}


def test_trades_told_in_cents_of_a_book_that_is_not():
    raw = Release("whole", 9).trade(80).raw()
    for row in raw["trades"]:
        row["pnl_usd"] = float(round(D(repr(row["pnl_usd"])), 2))
    assert problems(raw) == {}


def test_fees_in_whole_cents_alone_make_no_book_in_cents():
    release = Release("whole", 10)
    for number in range(40):
        release.order("ETH/USDT", (0.008, -0.008)[number % 2], 2500)  # 20 USD, of which the fee is 2 cents
    assert problems(release.raw()) == {}
    flat = Release("whole", 10)
    for number in range(40):
        flat.order("XRP/USDT", (36.7, -36.7)[number % 2], fee=0.02)
    assert problems(flat.raw()) == {}


def test_a_book_in_cents_without_fees():
    release = Release("cents", 11)
    for number in range(60):
        release.order("XRP/USDT", (36.7, -36.7)[number % 2], fee=0)
    assert problems(release.raw()) == {}


def test_a_book_in_cents_that_rounds_ties_up():
    release = Release("cents", 12)
    release.booked = lambda amount: amount.quantize(D("0.01"), rounding=ROUND_HALF_UP)
    for _round_trip in range(20):
        release.order("XRP/USDT", 100.1, 0.45)  # 45.045
        release.order("XRP/USDT", -100.1, 0.46)
    assert problems({**release.raw(), "trades": []}) == {}


def test_prices_that_turned_while_they_were_read():
    release = Release("whole", 13)
    release.order("ETH/USDT", 0.04, 2500)
    raw = release.raw()
    raw["positions"][0]["current_price"], raw["positions_again"][0]["current_price"] = 2500.0, 2502.0
    for row, name in ((raw["portfolio"], "total_pnl"), (raw["portfolio"], "total_equity"), (raw["engines"][1], "total_pnl")):
        at_first = row[name]
        for beyond, agrees in ((-0.03, True), (0.11, True), (-0.06, False), (0.15, False)):
            row[name] = at_first + beyond
            assert (problems(raw) == {}) is agrees
        row[name] = at_first


def test_positions_in_several_rows_add_up():
    release = Release("whole", 14)
    release.order("ETH/USDT", 0.01, 2500)
    release.order("ETH/USDT", 0.02, 2600)
    raw = release.raw()
    for name in ("positions", "positions_again"):
        (row,) = raw[name]
        raw[name] = [{**row, "qty": 0.01, "entry_price": 2500.0}, {**row, "qty": 0.02, "entry_price": 2600.0}]
    assert problems(raw) == {}
    books = reconcile.read_books(raw)
    assert books.positions["ETH/USDT"].quantity == D("0.03")
    assert round(books.positions["ETH/USDT"].entry_price * D("0.03"), 9) == 77


def test_a_short_is_a_short_by_its_side_or_its_sign():
    raw = one_position(-0.01).raw()
    for name in ("positions", "positions_again"):
        raw[name][0]["qty"] = -0.01
    assert problems(raw) == {}
    for name in ("positions", "positions_again"):
        del raw[name][0]["side"]
    assert problems(raw) == {}


def test_money_paid_in_is_no_profit():
    release = Release("cents", 2).trade(10)
    release.starting += 700
    release.cash += 700
    assert problems(release.raw()) == {}


def test_a_total_that_counts_from_elsewhere_is_counted_from_there():
    release = Release("whole", 3)
    raw = release.raw()
    raw["portfolio"]["total_pnl"] = 55.5
    baseline = baseline_of(raw)
    raw = release.trade(9).raw()
    raw["portfolio"]["total_pnl"] += 55.5
    assert problems(raw, baseline) == {}
    raw["portfolio"]["total_pnl"] += 0.5
    assert set(problems(raw, baseline)) == {"pnl"}


def test_funding_is_counted():
    release = Release("whole", 4).trade(4)
    release.cash += D("-1.25")
    raw = release.raw()
    assert set(problems(raw)) == {"pnl"}
    raw["funding"] = [{"symbol": "ETH/USDT", "ts": release.now, "amount_usd": "-1.25"}]
    found = problems(raw)
    assert all("engine ETH/USDT" in problem for problem in found.pop("pnl", []))  # whose total does not count it
    assert found == {}


# Positions that must not be


def one_position(quantity=0.01, kept="whole"):
    release = Release(kept, 1)
    release.order("ETH/USDT", quantity, 2500)
    return release


def test_a_side_that_is_not_allowed():
    raw = one_position(-0.01).raw()
    assert problems(raw, sides=["short"]) == {}
    assert problems(raw, sides=["long"]) == {"positions": ["ETH/USDT: a short position of 0.01 is open; allowed is long"]}
    release = one_position(-0.01)
    release.order("ETH/USDT", 0.01, 2500)
    (problem,) = problems(release.raw(), sides=["long"])["positions"]
    assert problem.startswith("ETH/USDT: a short position of 0.01 was open from 2027-01-15 ")
    flipped = one_position(0.01)
    flipped.order("ETH/USDT", -0.03, 2500)
    assert "a short position of 0.02 is open" in problems(flipped.raw(), sides=["long"])["positions"][0]


def test_what_rounding_leaves_is_no_short_position():
    release = Release("float", 1)
    for quantity in (0.1, 0.2, -0.30000000000000004):
        release.order("ETH/USDT", quantity, 2500)
    raw = release.raw()
    assert problems({**raw, "positions": [], "positions_again": []}, sides=["long"]) == {}


def test_a_symbol_that_is_not_live():
    raw = one_position().raw()
    found = problems(raw, live={"BTC/USDT": "100.00"})
    first, second = found["positions"]
    assert first.startswith("ETH/USDT is not live, and there are 1 fills in it, the first is fill 1 (buy 0.01 ETH/USDT at 2500)")
    assert second == "ETH/USDT is not live, and a position of 0.01 is open in it; only BTC/USDT may trade"


def test_a_position_from_before_is_left_alone_unless_it_grows():
    release = one_position()
    baseline = baseline_of(release.raw())
    others = {"BTC/USDT": "100.00", "XRP/USDT": "100.00"}
    engines = [row for row in release.raw()["engines"] if row["symbol"] != "ETH/USDT"]
    assert problems({**release.raw(), "engines": engines}, baseline, live=others) == {}
    release.order("ETH/USDT", 0.01, 2500)
    found = problems({**release.raw(), "engines": engines}, baseline, live=others)["positions"]
    assert any("a position of 0.02 is open in it" in problem for problem in found)


def test_a_position_that_is_open_too_long_is_old_by_its_first_fill():
    release = one_position()
    opened = release.now
    release.now += 100
    release.order("ETH/USDT", 0.005, 2500)
    raw = release.raw()
    for row in raw["positions"]:
        row["entry_time"] = raw["at"]  # what is reported does not count
    age = raw["at"] - opened
    assert problems(raw, max_open=age + 1) == {}
    (problem,) = problems(raw, max_open=age - 1)["positions"]
    assert "ETH/USDT: a position of 0.015 is open since 2027-01-15 08:00:" in problem
    assert f"for {age:.0f} s; at most {age - 1:g} s are allowed" in problem


def test_a_position_from_before_the_baseline_is_as_old_as_it_is_reported_to_be():
    release = one_position()
    opened = release.now
    release.now += 3600
    baseline = baseline_of(release.raw())
    release.now += 3600
    raw = release.raw()
    age = raw["at"] - opened
    assert problems(raw, baseline, max_open=age + 1) == {}
    assert f"for {age:.0f} s" in problems(raw, baseline, max_open=age - 1)["positions"][0]
    for row in (*raw["positions"], *raw["positions_again"]):
        del row["entry_time"]
    assert problems(raw, baseline, max_open=age - 1) == {}, "where nobody says it, it is as old as the baseline"
    assert f"for {raw['at'] - baseline['at']:.0f} s" in problems(raw, baseline, max_open=3599)["positions"][0]


def test_a_position_that_was_open_for_too_long_and_is_closed_by_now():
    release = one_position()
    opened = release.now
    release.now += 99_000
    release.order("ETH/USDT", -0.01, 2500)
    age = release.now - opened
    raw = release.raw()
    assert problems(raw, max_open=age) == {}
    (problem,) = problems(raw, max_open=age - 1)["positions"]
    assert problem.startswith("ETH/USDT: a long position of 0.01 was open from 2027-01-15 08:00:")
    assert problem.endswith(f"for {age:.0f} s; at most {age - 1:g} s are allowed")


def test_a_position_from_before_that_was_closed_too_late_is_as_old_as_its_trade():
    release = one_position()
    opened = release.now
    release.now += 50_000
    baseline = baseline_of(release.raw())
    release.now += 50_000
    release.order("ETH/USDT", -0.01, 2500)
    age = release.now - opened
    assert problems(release.raw(), baseline, max_open=age) == {}
    (problem,) = problems(release.raw(), baseline, max_open=age - 1)["positions"]
    assert f"for {age:.0f} s; at most" in problem


def test_what_has_not_traded_is_told():
    release = one_position()
    release.order("ETH/USDT", -0.01, 2500)
    raw = release.raw()
    found = reconcile.positions(reconcile.read_books(raw), expected(EMPTY, raw), 1e9)
    assert (found.events, found.problems) == (1, [])
    assert found.detail == "2 fills, 1 closed, open: none; no trade closed in BTC/USDT, XRP/USDT"


# Limits


def limit_problems(raw, *, starts=None, **changes):
    limits = {**LIMITS, "position_ratio": "1", "exposure_ratio": "3", **changes}
    return problems(raw, limits=limits, starts=starts or {}).get("limits", [])


def test_a_position_may_take_the_whole_capital_and_no_more():
    assert limit_problems(one_position(0.04).raw()) == []
    (problem,) = limit_problems(one_position(0.0401).raw())
    assert problem == "ETH/USDT: 100.25 USD were paid for a position, by its fills; at most 100 are allowed, 100% of its engine's capital"
    raw = one_position(0.04).raw()
    for row in (*raw["positions"], *raw["positions_again"]):
        row["entry_price"] = 2600
    assert "104 USD were paid for a position, as reported" in limit_problems(raw)[0]


def test_exposure_is_at_the_marks():
    release = one_position(0.04)
    assert limit_problems(release.raw(), exposure_ratio="0.34") == []
    release.prices["ETH/USDT"] = 2600
    assert limit_problems(release.raw(), exposure_ratio="0.34") == [
        "exposure: all open positions are worth 104 USD; at most 102 are allowed"
    ]


def test_what_was_exposed_between_looks_counts_by_what_was_paid():
    release = one_position(0.04)
    release.order("BTC/USDT", 0.001, 60000)
    release.order("BTC/USDT", -0.001, 60000)
    release.order("ETH/USDT", -0.04, 2500)
    assert limit_problems(release.raw(), exposure_ratio=str(D("160") / 300)) == []
    (problem,) = limit_problems(release.raw(), exposure_ratio="0.53")
    assert problem == (
        "exposure: 160 USD were paid for positions that were open at once since the baseline, by their fills; at most 159 are allowed"
    )
    assert any(words in problem for words in reconcile.BEYOND_LIMITS)


def test_each_fill_is_judged_by_the_capital_of_its_time():
    release = one_position(0.03)
    release.order("ETH/USDT", -0.03, 2500)
    raw = release.raw()
    assert limit_problems(raw, exposure_ratio="0.5") == []
    later = {symbol: [[T0 + 3600, "100.00"]] for symbol in ("BTC/USDT", "XRP/USDT")}
    assert limit_problems(raw, exposure_ratio="0.5", starts={"ETH/USDT": [[T0 - 1, "100.00"]], **later}) == [
        "exposure: 75 USD were paid for positions that were open at once since the baseline, by their fills; at most 50 are allowed"
    ]
    (problem,) = limit_problems(raw, starts={"ETH/USDT": [[T0 - 1, "60.00"], [T0 + 3600, "100.00"]], **later})
    assert problem == "ETH/USDT: 75 USD were paid for a position, by its fills; at most 60 are allowed, 100% of its engine's capital"


def test_an_engine_that_is_not_live_any_more_may_have_traded():
    release = one_position()
    release.order("ETH/USDT", -0.01, 2500)
    raw = release.raw()
    raw["engines"] = [row for row in raw["engines"] if row["symbol"] != "ETH/USDT"]
    others = {"BTC/USDT": "100.00", "XRP/USDT": "100.00"}
    assert "ETH/USDT is not live" in problems(raw, live=others)["positions"][0]
    assert problems(raw, live=others, starts={"ETH/USDT": [[T0 - 1, "100.00"]]}) == {}


@pytest.mark.parametrize("starts", [{"ETH/USDT": [["then", 1]]}, {"ETH/USDT": [[1]]}, {"ETH/USDT": 5}, {"ETH/USDT": [[1, "much"]]}])
def test_starts_that_cannot_be_read(starts):
    with pytest.raises(reconcile.UnreadableError):
        problems(one_position().raw(), starts=starts)


def test_too_many_positions_now_or_between_looks():
    release = one_position()
    release.order("BTC/USDT", 0.001, 60000)
    assert limit_problems(release.raw(), concurrent_positions=1) == ["2 positions are open (BTC/USDT, ETH/USDT); at most 1 are allowed"]
    release.order("BTC/USDT", -0.001, 60000)
    (problem,) = limit_problems(release.raw(), concurrent_positions=1)
    assert problem.startswith("2 positions were open at once")


def test_the_daily_loss_is_the_worse_of_two():
    release = one_position(0.04)
    release.order("ETH/USDT", -0.04, 2200)
    raw = release.raw()
    assert limit_problems(raw, daily_loss_ratio="0.05") == []
    (problem,) = limit_problems(raw, daily_loss_ratio="0.04")
    assert problem == "daily loss: 12.19 USD on 2027-01-15, recomputed; at most 12 are allowed, 4% of the live capital"
    raw["risk"]["realized_today_pct"] = -5.5
    (problem,) = limit_problems(raw, daily_loss_ratio="0.05")
    assert problem == "daily loss: realized_today_pct is -5.5%; a loss of at most 5% is allowed"
    still_open = one_position(0.04)
    still_open.prices["ETH/USDT"] = 2200
    assert "12.1 USD on 2027-01-15" in limit_problems(still_open.raw(), daily_loss_ratio="0.04")[0]


def test_the_loss_of_a_day_is_of_what_was_live_and_no_later_gain_excuses_it():
    release = one_position(0.04)
    release.order("ETH/USDT", -0.04, 2200)
    release.order("ETH/USDT", 0.04, 2200)
    release.order("ETH/USDT", -0.04, 3000)
    raw = release.raw()
    assert limit_problems(raw, daily_loss_ratio="0.05") == []
    (problem,) = limit_problems(raw, daily_loss_ratio="0.04")
    assert problem == "daily loss: 12.19 USD on 2027-01-15, recomputed; at most 12 are allowed, 4% of the live capital"
    later = {symbol: [[T0 + 3600, "100.00"]] for symbol in ("BTC/USDT", "XRP/USDT")}
    (problem,) = limit_problems(raw, daily_loss_ratio="0.05", starts=later)
    assert problem == "daily loss: 12.19 USD on 2027-01-15, recomputed; at most 5 are allowed, 5% of the live capital"


def test_each_day_is_counted_by_itself():
    release = one_position(0.04)
    release.order("ETH/USDT", -0.04, 2300)
    release.now += 86_400
    release.order("ETH/USDT", 0.04, 2500)
    release.order("ETH/USDT", -0.04, 2300)
    assert limit_problems(release.raw(), daily_loss_ratio="0.03") == []
    release.now += 86_400
    found = limit_problems(release.raw(), daily_loss_ratio="0.02")
    assert [problem[:35] for problem in found] == ["daily loss: 8.19 USD on 2027-01-15,", "daily loss: 8.19 USD on 2027-01-16,"]


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ({"most": 50}, "limit most: the API reports 50; the plan's is 5"),
        ({"most": "many"}, "limit most: the API reports 'many'; the plan's is 5"),
        ({"most": None}, "limit most: the API reports none; the plan's is 5"),
        ({}, "limit most: the API reports none; the plan's is 5"),
        (None, "limit most: the API reports none; the plan's is 5"),
    ],
)
def test_the_limits_that_the_api_reports_are_the_plans(policy, problem):
    raw = one_position().raw()
    assert problems({**raw, "risk": {"policy": policy}}) == {"limits": [problem]}
    assert problems({**raw, "risk": {"policy": {"most": 5.0}}}) == {}


def test_engines_have_no_more_capital_than_the_plan_gives():
    raw = one_position().raw()
    raw["engines"].append({**raw["engines"][0], "symbol": "SOL/USDT", "capital": 50})
    found = problems(raw)
    assert found["limits"] == [
        "capital: the live engines have 350 USD (BTC/USDT 100, ETH/USDT 100, XRP/USDT 100, SOL/USDT 50); at most 300 are allowed"
    ]
    assert found["engines"] == ["engine SOL/USDT is live and runs; only BTC/USDT, ETH/USDT, XRP/USDT may"]


def test_a_capital_that_is_not_told_is_not_nothing():
    raw = one_position().raw()
    del raw["engines"][1]["capital"]
    books, told = reconcile.read_books(raw), expected(EMPTY, raw)
    silent = "the API does not tell the capital of ETH/USDT"
    found = reconcile.limits(books, told)
    assert found.problems == []
    assert found.detail.endswith(f"capital 200 of 300 USD, {silent}: positions are judged by the plan's 300 USD")
    assert reconcile.engines(books, told, 60).detail == f"3 of 3 engines run live as they should; {silent}"
    for row in raw["engines"]:
        row.pop("capital", None)
    found = reconcile.limits(reconcile.read_books(raw), expected(EMPTY, raw))
    assert "capital 0" not in found.detail
    assert "the API does not tell the capital of BTC/USDT, ETH/USDT, XRP/USDT: positions are" in found.detail


def test_a_limit_that_the_plan_lacks_is_no_pass():
    raw = one_position().raw()
    with pytest.raises(reconcile.UnreadableError, match="limit exposure_ratio"):
        problems(raw, limits={"position_ratio": "1"})


# Engines


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"status": "crashed", "last_error": "no\nprediction"}, "engine ETH/USDT has crashed: no prediction"),
        ({"status": "stopped"}, "engine ETH/USDT is stopped; it should run"),
        ({"mode": "paper"}, "engine ETH/USDT is in paper mode; it should be live"),
        ({"capital": 150}, "engine ETH/USDT has a capital of 150 USD; it should have 100"),
        ({"last_heartbeat": None}, "engine ETH/USDT tells no heartbeat; one of at most 60 s ago is needed"),
        ({"last_heartbeat": T0 - 100}, "engine ETH/USDT gave its last heartbeat "),
    ],
)
def test_an_engine_that_should_be_live_and_is_not_well(change, problem):
    raw = one_position().raw()
    raw["engines"][1].update(change)
    (found,) = [line for line in problems(raw)["engines"] if "ETH/USDT" in line]
    assert found.startswith(problem)


def test_engines_that_are_not_there_or_twice():
    raw = one_position().raw()
    listed = raw["engines"]
    assert problems({**raw, "engines": listed[1:]})["engines"] == ["engine BTC/USDT is not listed; it should run with 100 USD"]
    assert problems({**raw, "engines": [*listed, {**listed[0], "symbol": "BTCUSDT"}]})["engines"] == [
        "engine BTC/USDT is listed 2 times; each symbol has one writer"
    ]


def test_an_engine_without_a_mode_is_live_unless_the_server_says_paper():
    raw = one_position().raw()
    extra = {"symbol": "SOL/USDT", "status": "running"}
    raw["engines"].append(extra)
    assert "engine SOL/USDT is live and runs" in problems(raw)["engines"][0]
    assert problems({**raw, "mode": "paper"}) == {}
    assert "says no mode, which counts as live" in problems({**raw, "mode": None})["engines"][0]
    extra["mode"] = "paper"
    assert problems(raw) == {}
    extra["status"] = "crashed"
    assert problems(raw)["engines"] == ["engine SOL/USDT has crashed"]
    extra.update(status="stopped", mode="live")
    assert problems(raw) == {}


def test_the_kill_switch_and_engines_elsewhere():
    raw = one_position().raw()
    books, told = reconcile.read_books({**raw, "killed": True}), expected(EMPTY, raw)
    assert reconcile.engines(books, told, 60).problems == ["the kill switch is on"]
    books = reconcile.read_books(raw)
    with pytest.raises(reconcile.UnreadableError, match="green: timed out"):
        reconcile.engines(books, told, 60, {"green": "timed out", "app2": []})
    found = reconcile.engines(books, told, 60, {"green": "timed out", "app2": ["SOL/USDT"]})
    assert found.problems == ["engine SOL/USDT is live on app2 as well; each symbol has one writer"]
    assert found.events == 3


# Losses


def loss(raw, baseline=EMPTY):
    return reconcile.loss(reconcile.read_books(raw), expected(baseline, raw))


def test_the_worst_loss_is_the_worst_of_all_that_is_known():
    assert loss(Release("whole", 1).raw()) == (D(0), "nothing is lost")
    release = one_position(0.04)
    release.prices["ETH/USDT"] = 1200
    worst, whose = loss(release.raw())
    assert worst == D("52.1")
    assert whose.startswith("52.1 USD lost: ETH/USDT")
    raw = release.raw()
    raw["portfolio"]["total_equity"] = 240
    assert loss(raw) == (D(60), "60 USD lost: the portfolio's total_equity since the baseline")
    raw["portfolio"]["total_pnl"] = -61
    assert loss(raw)[0] == 61
    raw["engines"][1]["total_pnl"] = -62
    assert loss(raw) == (D(62), "62 USD lost: engine ETH/USDT, its total_pnl")
    raw["positions"][0]["pnl_usd"] = -63
    assert loss(raw) == (D(63), "63 USD lost: ETH/USDT, the open position as reported")


def test_gains_elsewhere_or_before_hide_no_loss():
    release = one_position(0.04)
    release.order("ETH/USDT", -0.04, 4000)
    release.order("BTC/USDT", 0.001, 60000)
    release.order("BTC/USDT", -0.001, 80000)
    release.order("ETH/USDT", 0.04, 4000)
    release.order("ETH/USDT", -0.02, 2700)
    release.order("ETH/USDT", -0.02, 2700)
    worst, whose = loss(release.raw())
    assert worst > 52
    assert "ETH/USDT, the position of" in whose


def before_and_now(*, price=55_000.0):
    """0.001 BTC that were bought at 100,000, when live trading begins again at this price: (the release, the baseline)."""
    release = Release("whole", 1)
    release.order("BTC/USDT", 0.001, 100_000)
    release.prices["BTC/USDT"] = price
    release.now += 60
    return release, baseline_of(release.raw())


def test_what_a_position_has_lost_before_the_baseline_is_lost():
    release, baseline = before_and_now()
    for price, lost in ((55_000.0, 45), (49_999.0, D("50.001")), (6_000.0, 94), (120_000.0, 0)):
        release.prices["BTC/USDT"] = price
        raw = release.raw()
        worst, whose = loss(raw, baseline)
        assert worst == lost
        assert "pnl" not in problems(raw, baseline), "which counts from the baseline"
        assert not lost or whose.endswith("USD lost: BTC/USDT, the open position from its entry as reported")
        for row in (*raw["positions"], *raw["positions_again"]):
            del row["entry_price"]
            row["pnl_usd"] = float(-lost)
        assert loss(raw, baseline)[0] == lost


def test_what_it_has_earned_before_does_not_hide_what_it_loses_now():
    release, baseline = before_and_now(price=160_000.0)
    release.prices["BTC/USDT"] = 101_000.0
    assert loss(release.raw(), baseline)[0] == 59


def test_a_position_from_before_that_is_closed_has_lost_what_its_trades_say():
    release, baseline = before_and_now()
    release.order("BTC/USDT", -0.0005, 48_000)
    release.prices["BTC/USDT"] = 50_000.0
    worst, whose = loss(release.raw(), baseline)
    assert worst == D("26.074") + 25
    assert "from its entry as reported" in whose
    release.order("BTC/USDT", -0.0005, 50_000)
    worst, whose = loss(release.raw(), baseline)
    assert worst == D("26.074") + D("25.075")
    assert whose == "51.15 USD lost: BTC/USDT, the position from before the baseline, as reported"
    release.order("BTC/USDT", 0.0005, 50_000)
    release.prices["BTC/USDT"] = 40_000.0
    assert loss(release.raw(), baseline)[0] == D("26.074") + D("25.075"), "the next position is another one"


# What cannot be judged


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"portfolio": {"cash_balance": 1}}, "the portfolio does not say total_pnl, starting_balance"),
        ({"portfolio": {"cash_balance": "NaN", "total_pnl": 0, "starting_balance": 0}}, "portfolio: cash_balance: a finite number"),
        ({"portfolio": None}, "portfolio: an object is needed"),
        ({"positions": None}, "positions: a list of objects is needed"),
        ({"positions": [{"symbol": "ETH/USDT"}]}, "position of ETH/USDT: quantity: a number is needed"),
        ({"engines": [{"symbol": "ETH/USDT"}]}, "engine ETH/USDT: status: a text is needed"),
        ({"risk": []}, "risk: an object is needed"),
        ({"history": None}, "history: fills or trades is needed"),
        ({"at": None}, "at: a time is needed"),
    ],
)
def test_books_that_cannot_be_read(change, message):
    with pytest.raises(reconcile.UnreadableError, match=message):
        reconcile.read_books({**one_position().raw(), **change})


def test_a_position_without_a_mark_is_worth_nobody_knows_what():
    raw = one_position().raw()
    for row in (*raw["positions"], *raw["positions_again"]):
        del row["current_price"]
    with pytest.raises(reconcile.UnreadableError, match="position of ETH/USDT: no mark"):
        problems(raw)


def test_a_row_of_the_history_that_cannot_be_read_is_a_problem():
    raw = one_position().raw()
    raw["fills"].append({"fill_id": 2})
    assert "fill 2 cannot be read: symbol: a text is needed, not nothing" in problems(raw)["positions"]


@pytest.mark.parametrize("change", [{"cash_usd": None}, {"positions": 5}, {"at": "then"}, {"total_pnl_usd": "NaN"}])
def test_a_baseline_that_cannot_be_read(change):
    raw = one_position().raw()
    with pytest.raises(reconcile.UnreadableError, match="the baseline cannot be read"):
        problems(raw, {**EMPTY, **change})


GARBAGE = (None, True, "", "x", "NaN", -1, 0, 1e300, 10**40, float("inf"), [], {}, [None], {"a": 1}, "2026-13-45", "\ud800")


def places(value, path=()):
    """The path of each value within."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


@pytest.mark.parametrize("history", ["fills", "trades"])
def test_garbage_anywhere_is_a_problem_or_unreadable(history):
    """Whatever a server answers, the gate gets a finding or an UnreadableError, and never a fault of its own."""
    raw = {**Release("whole", 21).trade(6).raw(), "history": history, "funding": [{"symbol": "ETH/USDT", "ts": 1, "amount_usd": 0}]}
    baseline = baseline_of(raw)
    draw = random.Random("garbage")  # noqa: S311 - cases, not secrets
    for what in (raw, baseline):
        for path in places(what):
            if not path:
                continue
            for rubbish in draw.sample(GARBAGE, 5):
                wrong = copy.deepcopy(what)
                inner = wrong
                for key in path[:-1]:
                    inner = inner[key]
                inner[path[-1]] = rubbish
                books, before = (wrong, EMPTY) if what is raw else (raw, wrong)
                try:
                    found = problems(books, before)
                    loss(books, before)
                except reconcile.UnreadableError:
                    continue
                assert all(isinstance(line, str) for listed in found.values() for line in listed)


def test_a_heartbeat_that_is_ahead_of_the_clock_is_none():
    raw = Release("whole", 1).trade(20).raw()
    for engine in raw["engines"]:
        engine["last_heartbeat"] = raw["at"] + 30  # a clock that is off by less than a heartbeat may be old
    assert not problems(raw)
    raw["engines"][1]["last_heartbeat"] = raw["at"] + 2 * 3600  # local time, told without its zone
    (found,) = problems(raw)["engines"]
    assert found.startswith("engine ETH/USDT gave its last heartbeat 7200.0 s from now, so that nobody can say how old it is")


def test_a_position_of_tomorrow_has_no_age():
    release = Release("whole", 1)
    release.order("BTC/USDT", 0.0015, 60000)
    raw = release.raw()
    assert "positions" not in problems(raw, max_open=60, now=release.now - 200)
    (found,) = problems(raw, max_open=60, now=release.now - 7200)["positions"]
    assert "is open since" in found
    assert "which is 7200 s from now, so that nobody can say for how long" in found


def test_a_hint_is_quick_where_all_orders_are_alike():
    release = Release("float", 1)
    for _round in range(15000):
        release.order("BTC/USDT", 0.001)
        release.order("BTC/USDT", -0.001)
    raw = release.raw()
    del raw["fills"][-1]
    began = time.process_time()
    found = problems(raw)["positions"]
    assert any("a fill is missing" in one for one in found)
    assert time.process_time() - began < 12


def test_a_fill_that_says_no_fee_pays_the_sites_ratio():
    row = {"fill_id": 1, "ts": 1000.0, "symbol": "BTC/USDT", "side": "buy", "qty": 2, "price": 50}
    portfolio = {"starting_balance": 100, "cash_balance": 0, "total_equity": 100, "total_pnl": 0}
    raw = {"at": 1001.0, "history": "fills", "fills": [row], "trades": [], "positions": [], "positions_again": [], "portfolio": portfolio}
    raw |= {"engines": [], "risk": {"policy": {}}, "mode": "live", "killed": False, "complete": True}
    books = reconcile.read_books(raw, Decimal("0.002"))
    assert (books.problems, [fill.fee for fill in books.fills]) == ([], [Decimal("0.200")])
