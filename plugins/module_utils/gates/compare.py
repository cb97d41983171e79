# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditions are data: an operator and a canonical limit, compared exactly."""

from __future__ import annotations

import operator
from fractions import Fraction

OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}


def holds(value: float | Fraction, op: str, limit: str) -> bool:
    """Whether ``value op limit``. A float counts as the decimal number that people would write for it (0.1 is 1/10)."""
    exact = value if isinstance(value, Fraction) else Fraction(repr(float(value)))
    return OPERATORS[op](exact, Fraction(limit))


def ratio(part: float, whole: float) -> Fraction:
    return Fraction(repr(float(part))) / Fraction(repr(float(whole)))
