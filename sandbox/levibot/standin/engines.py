# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""The trading desk: one engine a symbol, in paper or live mode, and a book for each mode. No I/O; the time is an argument."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Any

from . import market
from .book import FEE_RATE, STEP, ZERO, Book, typed
from .faults import Faults

PAPER, LIVE = "paper", "live"
MODES = (PAPER, LIVE)
RUNNING, STOPPED, CRASHED = "running", "stopped", "crashed"

PAPER_CAPITAL = Decimal("2500.00")
PAPER_STARTING = Decimal("10000.00")
STARTUP_SYMBOLS = ("BTC/USDT", "ETH/USDT")
POLICY = {"max_daily_loss_pct": 5, "max_symbol_risk_pct": 20, "max_concurrent_positions": 10}
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25)

LOSS_USD = Decimal(51)  # what the fault `loss` costs

_STAKE = Decimal(POLICY["max_symbol_risk_pct"]) / 100


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not an error
    """An order from outside that this desk does not carry out; `status` is the HTTP status that says so."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass
class Engine:
    symbol: str
    mode: str
    capital: Decimal
    status: str = STOPPED
    started_at: float = 0.0
    last_heartbeat: float = 0.0
    error_count: int = 0
    last_error: str | None = None
    signals: dict[str, int] = field(default_factory=lambda: {"buy": 0, "sell": 0})
    day_start_pnl: Decimal = ZERO


@dataclass
class Inference:
    """A histogram of the made-up model's latency, as Prometheus counts it: each bucket holds what is at or below its bound."""

    buckets: list[int] = field(default_factory=lambda: [0] * len(LATENCY_BUCKETS))
    count: int = 0
    sum: float = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets = [self.buckets[index] + (seconds <= bound) for index, bound in enumerate(LATENCY_BUCKETS)]
        self.count += 1
        self.sum += seconds


@dataclass
class Desk:
    engines: dict[str, Engine] = field(default_factory=dict)
    books: dict[str, Book] = field(default_factory=lambda: {PAPER: Book.opened_with(PAPER_STARTING), LIVE: Book.opened_with(ZERO)})
    inference: Inference = field(default_factory=Inference)
    day: str = ""
    day_start_equity: dict[str, Decimal] = field(default_factory=dict)
    funded: dict[str, Decimal] = field(default_factory=dict)  # by symbol, what its live engine was last given
    # What faults have done while they were on.
    faulty: bool = False
    unlisted: int | None = None  # the live fill that is not listed
    listed_twice: int | None = None
    lost: bool = False

    # What people and playbooks ask for.

    def start(self, symbol: str, mode: str, capital: Decimal, now: float, faults: Faults) -> Engine:
        """A running paper engine is turned live, with its paper position closed; any other running engine is refused."""
        engine = self.engines.get(symbol)
        if engine and engine.status == RUNNING:
            if not (engine.mode == PAPER and mode == LIVE):
                raise Refused(400, f"engine {symbol} already exists")
            self._flatten(engine, now, faults)
        if mode == LIVE:
            self._fund(symbol, capital)
        engine = Engine(symbol, mode, capital, RUNNING, started_at=now, last_heartbeat=now)
        engine.day_start_pnl = self.books[mode].symbol_pnl(symbol, market.price(symbol, now))
        self.engines[symbol] = engine
        return engine

    def _fund(self, symbol: str, capital: Decimal) -> None:
        """What is paid in, or taken out, is neither a profit of the day nor a loss."""
        change = capital - self.funded.get(symbol, ZERO)
        self.funded[symbol] = capital
        self.books[LIVE].fund(change)
        self.day_start_equity[LIVE] = self.day_start_equity.get(LIVE, ZERO) + change

    def stop(self, symbol: str, now: float, faults: Faults, *, killed: bool, close: bool = True) -> Engine:
        """A stop closes the position, also what an engine has left that crashed or was stopped before, unless it is told not to, and
        except under the kill switch: no order follows a kill."""
        engine = self.engine(symbol)
        if close and not (killed and engine.mode == LIVE):
            self._flatten(engine, now, faults)
        engine.status = STOPPED
        return engine

    def restart(self, symbol: str, now: float) -> Engine:
        engine = self.engine(symbol)
        engine.status, engine.started_at, engine.last_heartbeat = RUNNING, now, now
        return engine

    def engine(self, symbol: str) -> Engine:
        if symbol not in self.engines:
            raise Refused(404, f"there is no engine {symbol}")
        return self.engines[symbol]

    def recover(self, now: float) -> None:
        """After a start of the whole service: paper goes on, and what is given at start-up runs; live engines wait for somebody."""
        for symbol in STARTUP_SYMBOLS:
            self.engines.setdefault(symbol, Engine(symbol, PAPER, PAPER_CAPITAL, RUNNING))
        for engine in self.engines.values():
            if engine.mode == LIVE:
                engine.status = STOPPED
            elif engine.status != STOPPED or engine.symbol in STARTUP_SYMBOLS:
                engine.status, engine.started_at, engine.last_heartbeat = RUNNING, now, now

    # What happens by itself.

    def tick(self, now: float, faults: Faults, killed: bool) -> None:
        """One round of all engines. The kill switch stops the orders of live engines, and only those."""
        if faults.hang:
            return
        self._begin_day(now)
        self._forget(faults, now)
        if faults.loss and not self.lost and not killed:
            self._lose(now, faults)
        for engine in self.engines.values():
            if engine.status != RUNNING or faults.silent_engine:
                continue
            if faults.engine_crash:
                engine.status = CRASHED
                engine.error_count += 1
                engine.last_error = "inference failed: model returned no prediction"
                continue
            engine.last_heartbeat = now
            self.inference.observe(0.004 + (now * 1000 % 17) / 1000)
            if not (killed and engine.mode == LIVE):
                self._trade(engine, now, faults)

    def _begin_day(self, now: float) -> None:
        today = time.strftime("%Y-%m-%d", time.gmtime(now))
        if today == self.day:
            return
        self.day = today
        self.day_start_equity = {mode: self.equity(mode, now) for mode in MODES}
        for engine in self.engines.values():
            engine.day_start_pnl = self.books[engine.mode].symbol_pnl(engine.symbol, market.price(engine.symbol, now))

    def _trade(self, engine: Engine, now: float, faults: Faults) -> None:
        """Moves the engine's position to the side that the strategy wants: out of the old one first, then into the new one."""
        book = self.books[engine.mode]
        held = book.positions.get(engine.symbol)
        side = 0 if held is None else (1 if held.qty > 0 else -1)
        wanted = market.wanted_side(engine.symbol, now)
        if side == wanted or (held and faults.stuck_position):
            return
        if held:
            self._order(engine, -held.qty, now, faults)
        if wanted and (faults.limit_breach or self._may_open(engine, now)):
            price = market.price(engine.symbol, now)
            stake = _STAKE * min(engine.capital, self.equity(engine.mode, now)) * (10 if faults.limit_breach else 1)
            qty = (stake / price).quantize(STEP)
            if qty > 0:
                self._order(engine, qty * wanted, now, faults)

    def _may_open(self, engine: Engine, now: float) -> bool:
        opened = len(self.books[engine.mode].positions)
        return opened < POLICY["max_concurrent_positions"] and not self.daily_loss_reached(engine.mode, now)

    def _order(self, engine: Engine, qty: Decimal, now: float, faults: Faults, price: Decimal | None = None) -> None:
        fill = self.books[engine.mode].fill(engine.symbol, qty, price or market.price(engine.symbol, now), now)
        engine.signals[fill.side] += 1
        if engine.mode == LIVE and faults.missing_fill and self.unlisted is None:
            self.unlisted = fill.fill_id
        elif engine.mode == LIVE and faults.duplicate_fill and self.listed_twice is None:
            self.listed_twice = fill.fill_id

    def _flatten(self, engine: Engine, now: float, faults: Faults) -> None:
        held = self.books[engine.mode].positions.get(engine.symbol)
        if held and not faults.stuck_position:
            self._order(engine, -held.qty, now, faults)

    def _lose(self, now: float, faults: Faults) -> None:
        """The first of the live engines with the largest capital buys for all of it, and sells so far below that LOSS_USD are gone, fees
        included, or all that it has."""
        live = [engine for engine in self.engines.values() if engine.mode == LIVE and engine.status == RUNNING]
        if not live:
            return
        engine = max(live, key=lambda item: item.capital)
        self._flatten(engine, now, faults)
        price = market.price(engine.symbol, now)
        qty = (engine.capital / price).quantize(STEP, rounding=ROUND_DOWN)
        sale = (qty * price * (1 + FEE_RATE) - LOSS_USD) / (qty * (1 - FEE_RATE))
        tick = market.tick(engine.symbol)
        self._order(engine, qty, now, faults)
        self._order(engine, -qty, now, faults, max(sale.quantize(tick, rounding=ROUND_DOWN), tick))
        self.lost = True

    def _forget(self, faults: Faults, now: float) -> None:
        """What a fault has done ends with it, so that it does it again when it is switched on again; and what was lost is then not counted
        as the day's loss any more, or nothing would be traded until midnight."""
        if self.faulty and not faults.to_dict():
            self.day_start_equity = {mode: self.equity(mode, now) for mode in MODES}
        self.faulty = bool(faults.to_dict())
        self.unlisted = self.unlisted if faults.missing_fill else None
        self.listed_twice = self.listed_twice if faults.duplicate_fill else None
        self.lost = self.lost and faults.loss

    # What is asked about it.

    @property
    def mode(self) -> str:
        return LIVE if any(engine.mode == LIVE and engine.status == RUNNING for engine in self.engines.values()) else PAPER

    def prices(self, mode: str, now: float) -> dict[str, Decimal]:
        return {symbol: market.price(symbol, now) for symbol in self.books[mode].positions}

    def equity(self, mode: str, now: float) -> Decimal:
        return self.books[mode].equity(self.prices(mode, now))

    def realised_today_pct(self, mode: str, now: float) -> float:
        start = self.day_start_equity.get(mode, ZERO)
        return float((self.equity(mode, now) - start) / start * 100) if start > 0 else 0.0

    def daily_loss_reached(self, mode: str, now: float) -> bool:
        return self.realised_today_pct(mode, now) <= -POLICY["max_daily_loss_pct"]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Desk:
        return cls(
            engines={symbol: typed(Engine, item) for symbol, item in data["engines"].items()},
            books={mode: Book.from_dict(item) for mode, item in data["books"].items()},
            inference=typed(Inference, data["inference"]),
            day=data["day"],
            day_start_equity={mode: Decimal(value) for mode, value in data["day_start_equity"].items()},
            funded={symbol: Decimal(value) for symbol, value in data["funded"].items()},
            faulty=data["faulty"],
            unlisted=data["unlisted"],
            listed_twice=data["listed_twice"],
            lost=data["lost"],
        )
