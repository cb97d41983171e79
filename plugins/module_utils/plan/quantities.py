# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations and limits: the plan's words to canonical numbers, and back to words.

Numbers are exact (``Decimal``), since "99.9%" must not become 0.9990000000000001 on its way to a comparison.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any


class MistakeError(ValueError):
    """What was written cannot be read. The message is the fix, in words."""


RATIO = "ratio"
SECONDS = "seconds"
USD = "usd"
COUNT = "count"
UNITS = (RATIO, SECONDS, USD, COUNT)

EXAMPLES = {RATIO: "0.1%", SECONDS: "200ms", USD: "50 USD", COUNT: "0"}

_SECONDS_IN = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
# 27 digits at most, which a Decimal's 28 hold exactly, whatever is computed with them.
_DIGITS = r"[0-9]{1,12}(?:\.[0-9]{1,15})?"
_PART = re.compile(rf"({_DIGITS})(ms|s|m|h|d)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_NUMBER = re.compile(rf"(-?{_DIGITS})\s*(%|ms|s|USD)?")
LONGEST_SECONDS = 30 * 86400
_MINUTE = 60
_MILLION = 1e6
# In per cent: from where on the distance to 100 % is what matters, and where decimals would be zeros only.
_NEARLY_ALL, _ALL, _TINY = 90, 100, 0.0001


def parse_duration(text: Any) -> Decimal:
    """``1h30m`` to 5400. Raises MistakeError with the fix, in words.

    A bare number is refused: YAML reads ``1:30`` as 90 and people read 30 as minutes.
    """
    if isinstance(text, bool) or not isinstance(text, str):
        raise MistakeError("write a number with its unit (ms, s, m, h or d), such as 30m or 1h30m")
    if not _DURATION.fullmatch(text):
        joined = re.sub(r"\s+", "", text.lower())
        short = re.sub(r"(hours?|hrs?|minutes?|mins?|seconds?|secs?|days?)", lambda m: m.group(0)[0], joined)
        hint = f"write {short}" if _DURATION.fullmatch(short) else "write a number with its unit (ms, s, m, h or d), such as 30m or 1h30m"
        raise MistakeError(hint)
    units = [unit for _number, unit in _PART.findall(text)]
    if sorted(set(units), key=lambda u: -_SECONDS_IN[u]) != units:
        raise MistakeError("write each unit once, the largest first, such as 1h30m")
    seconds = sum((Decimal(number) * _SECONDS_IN[unit] for number, unit in _PART.findall(text)), Decimal(0))
    if seconds > LONGEST_SECONDS:
        raise MistakeError("write a duration of at most 30d")
    return seconds


def format_duration(seconds: Decimal | float | int) -> str:
    """5400 to ``1h30m``: the shortest text that :func:`parse_duration` reads back as the same number."""
    left = Decimal(str(seconds))
    if left < 0:
        raise ValueError("a duration is not negative")
    parts = []
    for unit in ("d", "h", "m"):
        whole, left = divmod(left, _SECONDS_IN[unit])
        if whole:
            parts.append(f"{whole:f}{unit}")
    if left and left < 1 and not parts:
        parts.append(f"{canonical(left * 1000)}ms")
    elif left or not parts:
        parts.append(f"{canonical(left)}s")
    return "".join(parts)


def format_span(seconds: float) -> str:
    """A measured time for people: tenths below a minute, else whole seconds."""
    return format_duration(round(seconds, 1) if seconds < _MINUTE else round(seconds))


def canonical(number: Decimal) -> str:
    """A Decimal without exponent and trailing zeros: the form in which limits travel."""
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("", "-0") else text


def parse_limit(text: str, unit: str) -> Decimal:
    """``0.1%`` for a ratio to 0.001, ``200ms`` for seconds to 0.2. Raises MistakeError with the fix."""
    match = _NUMBER.fullmatch(text.strip())
    example = EXAMPLES[unit]
    if not match:
        raise MistakeError(f"write a number with its unit, such as {example}")
    number, suffix = Decimal(match.group(1)), match.group(2)
    if number == 0 and suffix is None:
        return Decimal(0)
    if unit == RATIO and suffix == "%":
        return number / 100
    if unit == SECONDS and suffix in ("ms", "s"):
        return number * _SECONDS_IN[suffix]
    if unit == USD and suffix in (None, "USD"):
        return number
    if unit == COUNT and suffix is None:
        return number
    if suffix is None:
        raise MistakeError(f"write the unit as well, such as {example}")
    raise MistakeError(f"this check is measured in {_UNIT_WORDS[unit]}; write a limit such as {example}")


_UNIT_WORDS = {RATIO: "per cent", SECONDS: "seconds", USD: "US dollars", COUNT: "plain numbers"}


def format_limit(number: Decimal, unit: str) -> str:
    """The inverse of :func:`parse_limit`."""
    if unit == RATIO:
        return f"{canonical(number * 100)}%"
    if unit == SECONDS:
        return f"{canonical(number * 1000)}ms" if abs(number) < 1 and number else f"{canonical(number)}s"
    return f"{canonical(number)} USD" if unit == USD else canonical(number)


def format_value(number: float, unit: str) -> str:
    """A measured number for people: short, and never rounded across a limit that matters (99.996% is not shown as 100%)."""
    if unit == RATIO:
        return f"{_short_percent(number * 100)}%"
    if unit == SECONDS:
        return f"{_trim(number * 1000, 1)}ms" if abs(number) < 1 else f"{_trim(number, 2)}s"
    if unit == USD:
        return f"{number:,.2f} USD"
    return f"{number:,.6g}" if abs(number) < _MILLION else f"{number:,.0f}"


def _short_percent(percent: float) -> str:
    if _NEARLY_ALL < percent < _ALL:
        return _trim(int(percent * 1000 + 1e-9) / 1000, 3)
    if abs(percent) >= 1:
        return _trim(percent, 1)
    return f"{percent:.3g}" if abs(percent) >= _TINY or not percent else f"{percent:.1e}"


def _trim(number: float, digits: int) -> str:
    text = f"{number:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
