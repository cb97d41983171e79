# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Amounts as they come from JSON, YAML and people, to Decimal and back."""

from __future__ import annotations

import decimal as _decimal
from contextlib import AbstractContextManager
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

ZERO = Decimal(0)
CENT = Decimal("0.01")

# Below this is what binary fractions leave behind, such as 0.1 + 0.2 - 0.3; above that no book counts.
_FINEST_EXPONENT = -24
_FINEST = Decimal(1).scaleb(_FINEST_EXPONENT)
_HIGHEST_EXPONENT = 18
_MOST = 10**_HIGHEST_EXPONENT
_LONGEST_TEXT = 60
# Products of two amounts, and sums of any number of those, are exact in it.
_EXACT = Context(prec=120, rounding=ROUND_HALF_EVEN)


def exact() -> AbstractContextManager[Context]:
    """A context in which sums and products of amounts are never rounded."""
    return _decimal.localcontext(_EXACT)


def decimal(value: Any, what: str) -> Decimal:
    """An amount from a number or a text; a float by its shortest text, so that 0.1 is 0.1.

    what: names the amount in an error. Raises ValueError for all that is no finite number, and for what no book can hold.
    """
    if type(value) is int and -_MOST <= value <= _MOST:
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, (int, str, float, Decimal)):
        raise ValueError(f"{what}: a number is needed, not {shown(value)}")  # noqa: TRY004 - an answer is wrong, not a programmer's type
    try:
        text = repr(value) if isinstance(value, float) else value.strip() if isinstance(value, str) else value
        if isinstance(text, str) and ("_" in text or len(text) > _LONGEST_TEXT):
            raise ValueError  # noqa: TRY301 - told below, with the others
        amount = Decimal(text)
    except (ValueError, ArithmeticError):
        raise ValueError(f"{what}: a number is needed, not {shown(value)}") from None
    if not amount.is_finite():
        raise ValueError(f"{what}: a finite number is needed, not {shown(value)}")
    if amount and amount.adjusted() > _HIGHEST_EXPONENT:
        raise ValueError(f"{what}: {shown(value)} is more than can be counted")
    if isinstance(value, int) or amount.as_tuple().exponent >= _FINEST_EXPONENT:
        return amount
    with exact():
        return amount.quantize(_FINEST)


def cents(amount: Decimal) -> Decimal:
    """Rounded to the cent, ties to the even one."""
    with exact():
        return amount.quantize(CENT)


def text(amount: Decimal) -> str:
    """The shortest plain text of an amount: 1000, 0.00025."""
    with exact():
        return "0" if not amount else f"{amount.normalize():f}"


def shown(value: Any) -> str:
    """A value in an error: short, on one line."""
    try:
        written = "nothing" if value is None or value == "" else repr(value)
    except (ValueError, RecursionError):
        written = f"a {type(value).__name__} that cannot be shown"
    return written if len(written) <= _LONGEST_TEXT else f"{written[:_LONGEST_TEXT]}…"
