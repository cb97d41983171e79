# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a key of a check may hold: parsers that return the normalised value or raise ValueError with the fix in words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from string import Template
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import (
    RATIO,
    MistakeError,
    canonical,
    parse_duration,
    parse_limit,
)

try:
    import jmespath
except ImportError:  # only an api check needs it, and the source that asks says so
    jmespath = None

PLACEHOLDERS = ("slot", "stable", "elapsed")
# PromQL's strings and comments: what stands in them is no part of the expression.
_QUOTED = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|`[^`]*`|#[^\n]*')
_REACHES_BACK = re.compile(r"\[\s*[0-9][^\]]*\]|\boffset\b|@", re.IGNORECASE)
MOST_DIGITS = 18
# So small a chance that no counts are proof any more; and beyond what its logarithm could bear.
SMALLEST_SHARE, LARGEST_SHARE = Decimal("1e-9"), Decimal("0.5")
CENT = Decimal("0.01")
_AMOUNT = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,15})?")
REQUIRED = object()


@dataclass(frozen=True)
class Field:
    """One key: how its value is read, and what it is when it is not given (None: left out)."""

    parse: Callable[[Any], Any]
    default: Any = None

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


def integer(text: Any, low: int, high: int, what: str) -> int:
    """A whole number, also when templating made a string of it."""
    if isinstance(text, str) and re.fullmatch(rf"\s*-?[0-9]{{1,{MOST_DIGITS}}}\s*", text):
        text = int(text)
    if isinstance(text, bool) or not isinstance(text, int) or not low <= text <= high:
        raise MistakeError(what)
    return text


def number_of(low: int, high: int = 10**9) -> Callable[[Any], int]:
    return lambda value: integer(value, low, high, f"write a whole number from {low}" + (f" to {high}" if high < 10**9 else " upwards"))


def boolean(value: Any) -> bool:
    if isinstance(value, str) and value.strip().lower() in ("true", "false", "yes", "no"):
        return value.strip().lower() in ("true", "yes")
    if not isinstance(value, bool):
        raise MistakeError("write true or false")
    return value


def text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise MistakeError("write a text that is not empty")
    return value.strip()


def one_of(*words: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in words:
            raise MistakeError(f"write {' or '.join(words)}")
        return str(value)

    return parse


def words(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(word, (str, int, float)) and not isinstance(word, bool) for word in value):
        raise MistakeError("write a list of texts")
    if any(isinstance(word, int) and abs(word) >= 10**MOST_DIGITS for word in value):
        raise MistakeError(f"write numbers of at most {MOST_DIGITS} digits, or texts in quotes")
    return [str(word) for word in value]


def names(value: Any) -> list[str]:
    """Names of people, each once whatever the case."""
    read = [text(name) for name in words(value)]
    if len({name.casefold() for name in read}) < len(read):
        raise MistakeError("write each name once: an approver counts once")
    return read


def patterns(value: Any) -> list[str]:
    for pattern in words(value):
        _compile(pattern)
    return words(value)


def duration(value: Any) -> float | int:
    seconds = parse_duration(value)
    if seconds <= 0:
        raise MistakeError("write a duration greater than zero")
    return plain(seconds)


def share(value: Any) -> str:
    """An error rate such as ``1%``."""
    ratio = parse_limit(value if isinstance(value, str) else "", RATIO)
    if not SMALLEST_SHARE <= ratio <= LARGEST_SHARE:
        raise MistakeError(f"write a percentage of at least {canonical(SMALLEST_SHARE * 100)}% and at most 50%")
    return canonical(ratio)


def amount(value: Any) -> Decimal:
    """A number that is not negative, or a text that is one. A float counts as people write it."""
    written = format(Decimal(repr(value)), "f") if isinstance(value, float) and math.isfinite(value) else value
    bare = str(written).strip() if isinstance(written, (int, str)) and not isinstance(written, bool) and _is_short(written) else ""
    if not _AMOUNT.fullmatch(bare):
        raise MistakeError("write a number, such as 100 or 0.01, of at most 12 digits before the point and 15 behind it")
    return Decimal(bare)


def usd(value: Any) -> Decimal:
    """An amount of money above zero, in whole cents."""
    bare = value.strip().removesuffix("USD").rstrip() if isinstance(value, str) else value
    dollars = amount(bare)
    if dollars <= 0 or dollars != dollars.quantize(CENT):
        raise MistakeError("write an amount of US dollars greater than zero, in whole cents")
    return dollars.quantize(CENT)


def amount_text(value: Any) -> str:
    return canonical(amount(value))


def percentage(highest: int, *, or_zero: bool = False) -> Callable[[Any], str]:
    """A ratio, written in per cent, as its canonical text."""

    def parse(value: Any) -> str:
        ratio = parse_limit(value, RATIO) if isinstance(value, str) else Decimal(-1)
        if not (0 < ratio * 100 <= highest or (or_zero and not ratio)):
            raise MistakeError(f"write a percentage {'from 0%' if or_zero else 'greater than 0%'} and of at most {highest}%, such as 0.5%")
        return canonical(ratio)

    return parse


def quantile(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = 0.0
    if isinstance(value, bool) or not 0 < number < 1:
        raise MistakeError("write a number between 0 and 1, such as 0.95")
    return number


def path(value: Any) -> str:
    if not text(value).startswith("/"):
        raise MistakeError("write a path that starts with /")
    return text(value)


def jmespath_text(value: Any) -> str:
    expression = text(value)
    if jmespath is None:
        return expression
    try:
        jmespath.compile(expression)
    except (jmespath.exceptions.JMESPathError, RecursionError):
        raise MistakeError("write a JMESPath expression, such as total_pnl") from None
    return expression


def query(value: Any) -> str:
    """A PromQL expression, judged as it is at each look. A range of its own would reach back before the step began."""
    expression = _template(text(value), PLACEHOLDERS)
    if _REACHES_BACK.search(_QUOTED.sub('""', expression)):
        raise MistakeError("write [$elapsed] as the range: a fixed range, an offset or @ reaches back before the step began")
    return expression


def mentions(expression: str, placeholder: str) -> bool:
    """Whether ``$placeholder`` or ``${placeholder}`` stands in the expression."""
    return any(placeholder in (match.group("named"), match.group("braced")) for match in Template.pattern.finditer(expression))


def selector(value: Any) -> str:
    """A PromQL series selector: no range, no function; increases are computed from the stored samples."""
    expression = _template(text(value), ("slot", "stable"))
    if not re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*\s*(\{.*\})?|\{.+\}", expression, re.DOTALL):
        raise MistakeError('write a plain series selector, such as metric{slot="$slot"}, without functions or ranges')
    return expression


def labels(value: Any) -> dict[str, str]:
    """Label names with the pattern that their whole value must match."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and isinstance(pattern, str) for name, pattern in value.items()):
        raise MistakeError("write label names with the pattern each must match, such as {severity: P0|P1}")
    for pattern in value.values():
        _compile(_template(pattern, ("slot", "stable")))
    return dict(value)


def some_labels(value: Any) -> dict[str, str]:
    if not labels(value):
        raise MistakeError("write at least one label, such as {severity: P0|P1}: without one every alert counts")
    return labels(value)


def plain(seconds) -> float | int:
    """A Decimal as the plain JSON number that travels in results."""
    return int(seconds) if seconds == seconds.to_integral_value() else float(seconds)


def _compile(pattern: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as exc:
        raise MistakeError(f"write a valid regular expression ({exc})") from None


def _template(expression: str, allowed: tuple[str, ...]) -> str:
    known = " ".join(f"${name}" for name in allowed)
    for match in Template.pattern.finditer(expression):
        name = match.group("named") or match.group("braced")
        if name and name not in allowed:
            raise MistakeError(f"${name} is not known here; use one of: {known}; or write $$ for a dollar sign")
    return expression


def _is_short(value: int | str) -> bool:
    """Python refuses to write out an integer of thousands of digits."""
    return isinstance(value, str) or abs(value) < 10**MOST_DIGITS
