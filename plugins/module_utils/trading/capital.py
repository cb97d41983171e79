# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capital shared out to the cent, and what an exchange makes of it at least."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from math import lcm
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.trading.money import CENT, decimal, exact, shown, text

_CENTS = 100


class SplitError(ValueError):
    """What cannot be shared out; `reasons` has all of them, a sentence each."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def split(
    total: Any, weights: Mapping[str, Any], minimums: Mapping[str, Any] | None = None, steps: Mapping[str, Any] | None = None
) -> dict[str, Decimal]:
    """Each symbol's share of a total in USD, by weight. The sum is the total, exactly, and the same arguments give the same shares.

    minimums: what a symbol has to have at least (0 where it is not named), rounded up to its step. Those whose share by weight is less
    get just that, and the others share what is left. steps: what a share is a multiple of, in whole cents (one, where it is not named).
    Among symbols with the same minimum and the same step, the heavier never gets less than the lighter. Where steps differ, the coarser
    come first, and what their rounding down leaves goes to the finer. Raises SplitError with all reasons why it cannot be.
    """
    with exact():
        left, parts, least, sizes = _read(total, weights, minimums or {}, steps or {})
    unit = min(sizes.values())
    given = {name: -(-cents // sizes[name]) * sizes[name] for name, cents in least.items()}
    short = sum(given.values()) - left
    if short > 0:
        named = ", ".join(f"{name} {_usd(cents)}" for name, cents in sorted(given.items()) if cents)
        raise SplitError([f"{_usd(left)} USD is {_usd(short)} less than what the symbols have to have at least, with their steps: {named}"])
    raised = _raised(left, parts, given) if minimums else set()
    left -= sum(given[name] for name in raised)
    free = {name: part for name, part in parts.items() if name not in raised} if raised else parts
    for size in sorted({sizes[name] for name in free}, reverse=True):
        alike = {name: part for name, part in free.items() if sizes[name] == size} if steps else free
        shares = _by_weight(left, alike, sum(free.values()), size)
        given.update(shares)
        left -= sum(shares.values())
        free = {name: part for name, part in free.items() if name not in shares}
    if left:  # all that have the finest step were raised to their minimum
        finest = {name: parts[name] for name in raised if sizes[name] == unit}
        for name, more in _by_weight(left, finest, sum(finest.values()), unit).items():
            given[name] += more
    return {name: Decimal(given[name]).scaleb(-2) for name in parts}


def smallest_capital(min_notional: Any, quantity_step: Any = None, price: Any = None, order_ratio: Any = 1) -> Decimal:
    """The smallest capital, in USD to the cent, of which order_ratio is an order that the exchange takes.

    min_notional: of an order, in USD. quantity_step: what its quantity is rounded down to by the engine; with it goes the price.
    Raises ValueError.
    """
    with exact():
        needed = decimal(min_notional, "min_notional_usd")
        ratio = decimal(order_ratio, "order_ratio")
        if needed < 0:
            raise ValueError(f"min_notional_usd: at least 0 is needed, not {shown(min_notional)}")
        if not 0 < ratio <= 1:
            raise ValueError(f"order_ratio: above 0 and at most 1 is needed, not {shown(order_ratio)}")
        if (quantity_step is None) != (price is None):
            raise ValueError("quantity_step and price_usd: the one says nothing without the other")
        if quantity_step is not None:
            step, usd = decimal(quantity_step, "quantity_step"), decimal(price, "price_usd")
            if step <= 0 or usd <= 0:
                raise ValueError(f"quantity_step and price_usd: above 0 is needed, not {shown(quantity_step)} and {shown(price)}")
            needed = max((needed / (step * usd)).to_integral_value(ROUND_CEILING), Decimal(1)) * step * usd
        return (needed / ratio).quantize(CENT, rounding=ROUND_CEILING)


def _read(
    total: Any, weights: Mapping[str, Any], minimums: Mapping[str, Any], steps: Mapping[str, Any]
) -> tuple[int, dict[str, int], dict[str, int], dict[str, int]]:
    """(total, weights, minimums, steps), amounts in whole cents, weights as whole numbers in proportion. Raises SplitError."""
    reasons: list[str] = []

    def read(value: Any, what: str) -> Decimal:
        try:
            return decimal(value, what)
        except ValueError as exc:
            reasons.append(str(exc))
            return Decimal(1)

    amount = read(total, "total")
    weight = {name: read(value, f"weight of {name}") for name, value in weights.items()}
    least = {name: read(value, f"minimum of {name}") for name, value in minimums.items()}
    step = {name: read(value, f"step of {name}") for name, value in steps.items()}
    if not weights:
        reasons.append("there is no symbol to share among")
    if amount <= 0:
        reasons.append(f"total: above 0 is needed, not {text(amount)}")
    if min(weight.values(), default=1) <= 0:
        reasons += [f"weight of {name}: above 0 is needed, not {text(value)}" for name, value in weight.items() if value <= 0]
    reasons += [f"minimum of {name}: at least 0 is needed, not {text(value)}" for name, value in least.items() if value < 0]
    reasons += [
        f"step of {name}: a whole number of cents above 0 is needed, not {text(value)}"
        for name, value in step.items()
        if value <= 0 or value % CENT
    ]
    reasons += [f"minimum of {name}: it is not among the symbols" for name in least if name not in weight]
    reasons += [f"step of {name}: it is not among the symbols" for name in step if name not in weight]
    if reasons:
        raise SplitError(reasons)
    finest = min(step.get(name, CENT) for name in weight)
    reasons += [
        f"step of {name}: {text(size)} is no multiple of the finest one, {text(finest)}" for name, size in step.items() if size % finest
    ]
    if amount % finest:
        reasons.append(f"total: {text(amount)} is no multiple of the finest step, {text(finest)}")
    if reasons:
        raise SplitError(reasons)
    ratios = {name: value.as_integer_ratio() for name, value in weight.items()}
    scale = lcm(*{below for _above, below in ratios.values()})
    least_cents = {name: int((value * _CENTS).to_integral_value(ROUND_CEILING)) for name, value in least.items()}
    step_cents = {name: int(value * _CENTS) for name, value in step.items()}
    return (
        int(amount * _CENTS),
        {name: above * (scale // below) for name, (above, below) in ratios.items()},
        {**dict.fromkeys(weight, 0), **least_cents},
        {**dict.fromkeys(weight, 1), **step_cents},
    )


def _raised(left: int, parts: Mapping[str, int], least: Mapping[str, int]) -> set[str]:
    """Those whose share by weight is less than their minimum, once the minimums of all those are set aside."""
    raised: set[str] = set()
    weight = sum(parts.values())
    while True:
        below = [name for name, part in parts.items() if name not in raised and left * part < least[name] * weight]
        if not below:
            return raised
        raised.update(below)
        left -= sum(least[name] for name in below)
        weight -= sum(parts[name] for name in below)


def _by_weight(left: int, parts: Mapping[str, int], weight: int, size: int) -> dict[str, int]:
    """Their shares of `left`, which is that of all with `weight`, in multiples of a size: the largest remainders round up."""
    whole = weight * size
    shares = {name: divmod(left * part, whole) for name, part in parts.items()}
    more = left * sum(parts.values()) // whole - sum(count for count, _rest in shares.values())
    up = {name for _rest, name in sorted([(-rest, name) for name, (_count, rest) in shares.items()])[:more]}
    return {name: (count + (name in up)) * size for name, (count, _rest) in shares.items()}


def _usd(cents: int) -> str:
    return text(Decimal(cents).scaleb(-2))
