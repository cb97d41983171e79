# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""The made-up market: a price is a pure function of symbol and time, so that restarts and several workers all see the same one.

Prices walk in legs of two seconds, up and down in turn around a fixed base, each leg's length drawn from a generator seeded by
symbol and leg, with a small jitter on top that never turns them. That drift is what the strategy follows, and it is told its
direction: it holds the right side of most legs and, so that there are losing trades as well, the wrong side of every eleventh. It holds
nothing while a price turns. So what a position is worth lies, at any time, between what it was a moment before and what it is one later.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from random import Random

BASES = {
    "BTC/USDT": Decimal("62000.00"),
    "ETH/USDT": Decimal("2500.00"),
    "SOL/USDT": Decimal("150.000"),
    "BNB/USDT": Decimal("590.00"),
    "XRP/USDT": Decimal("0.55000"),
    "ADA/USDT": Decimal("0.36000"),
    "AVAX/USDT": Decimal("27.0000"),
    "LINK/USDT": Decimal("11.0000"),
    "DOT/USDT": Decimal("4.20000"),
    "DOGE/USDT": Decimal("0.11000"),
}
SYMBOLS = tuple(BASES)

LEG_SECONDS = 2.0
MISREAD_EVERY = 11
_FLAT_EDGE = 0.2  # part of a leg at either end without a position: longer than the time between two looks at the market
_JITTERS_PER_SECOND = 4


@lru_cache(maxsize=4096)
def _turn(symbol: str, leg: int) -> float:
    """Where the price turns at the start of a leg, as a share of the base: below it before a leg up, above it before one down."""
    swing = Random(f"{symbol}:{leg}").uniform(0.03, 0.04)  # noqa: S311 - a market, not a secret
    return -swing if leg % 2 == 0 else swing


@lru_cache(maxsize=4096)
def _noise(symbol: str, instant: int) -> float:
    return Random(f"{symbol}~{instant}").uniform(-0.0002, 0.0002)  # noqa: S311


def _jitter(symbol: str, now: float) -> float:
    instant, part = divmod(now * _JITTERS_PER_SECOND, 1.0)
    return _noise(symbol, int(instant)) * (1 - part) + _noise(symbol, int(instant) + 1) * part


def _leg(symbol: str, now: float) -> tuple[int, float]:
    """The leg that runs at `now`, and the part of it that has passed. All turn together, every other one upwards, so that there are times
    without an order for those who read a whole book call by call."""
    legs = now / LEG_SECONDS + SYMBOLS.index(symbol)
    return int(legs), legs % 1.0


def price(symbol: str, now: float) -> Decimal:
    leg, phase = _leg(symbol, now)
    start, end = _turn(symbol, leg), _turn(symbol, leg + 1)
    share = 1 + start + (end - start) * phase + _jitter(symbol, now)
    base = BASES[symbol]
    return (base * Decimal(repr(share))).quantize(base)


def tick(symbol: str) -> Decimal:
    """The smallest difference between two prices."""
    return Decimal(1).scaleb(BASES[symbol].as_tuple().exponent)  # type: ignore[arg-type]


def wanted_side(symbol: str, now: float) -> int:
    """The strategy: 1 long, -1 short, 0 flat."""
    leg, phase = _leg(symbol, now)
    if not _FLAT_EDGE <= phase < 1 - _FLAT_EDGE:
        return 0
    direction = 1 if leg % 2 == 0 else -1
    misread = (leg + 4 * SYMBOLS.index(symbol)) % MISREAD_EVERY == 0
    return -direction if misread else direction
