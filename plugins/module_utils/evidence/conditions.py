# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditions on values in documents: ``{value: <JMESPath>, must: ">= 24"}``. No value is never a pass."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from string import Template
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import PLACEHOLDERS, Case, Finding, RefusedError
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import jmespath_text
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError, canonical

OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}
_MUST = re.compile(r"(==|!=|<=|>=|<|>)\s*([^\s=<>].*)", re.DOTALL)
NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_WORDS = {True: "true", False: "false"}
SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Condition:
    value: str
    op: str
    limit: str


def parse_must(must: Any) -> tuple[str, str]:
    """``>= 24`` to operator and limit. Raises MistakeError."""
    match = _MUST.fullmatch(must.strip()) if isinstance(must, str) else None
    if not match:
        raise MistakeError('write an operator and a limit, such as ">= 24" or "== $version"')
    op, limit = match.group(1), match.group(2).strip()
    if len(limit) > 1 and limit[0] == limit[-1] and limit[0] in "'\"":
        limit = limit[1:-1]
    check_placeholders(limit)
    if op not in ("==", "!=") and not NUMBER.fullmatch(limit):
        raise MistakeError(f"write a number after {op}, such as {op} 24")
    return op, limit


def check_placeholders(text: str) -> str:
    for match in Template.pattern.finditer(text):
        name = match.group("named") or match.group("braced")
        if name and name not in PLACEHOLDERS:
            raise MistakeError(f"${name} is not known here; use one of: {' '.join('$' + known for known in PLACEHOLDERS)}")
    return text


def conditions(value: Any) -> list[Condition]:
    """The field's parser. Raises MistakeError."""
    if not isinstance(value, list) or not value:
        raise MistakeError('write at least one condition, such as [{value: hours, must: ">= 24"}]')
    return [_condition(number, entry) for number, entry in enumerate(value)]


def _condition(number: int, entry: Any) -> Condition:
    if not isinstance(entry, Mapping) or set(entry) != {"value", "must"}:
        raise MistakeError(f'write value and must, and nothing else, in [{number}], such as {{value: hours, must: ">= 24"}}')
    try:
        return Condition(jmespath_text(entry["value"]), *parse_must(entry["must"]))
    except MistakeError as mistake:
        raise MistakeError(f"in [{number}]: {mistake}") from None


def search(expression: str, document: Any) -> Any:
    """What the JMESPath finds, or None. Raises RefusedError where it cannot be asked."""
    try:
        import jmespath  # noqa: PLC0415  the machine that judges may lack it, and then only this evidence fails
    except ImportError:
        raise RefusedError("jmespath is missing on the machine that judges", "install it there, or judge on the control node") from None
    try:
        return jmespath.search(expression, document)
    except (jmespath.exceptions.JMESPathError, RecursionError, TypeError, ValueError, ArithmeticError) as exc:
        raise RefusedError(f"the JMESPath {expression!r} cannot be used: {_short(' '.join(str(exc).split()))}") from None


def number(value: Any) -> Decimal:
    """A finite number, or a text that is one. Raises ValueError that says what it is instead."""
    if value is None:
        raise ValueError("is not there")
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise ValueError(f"is {show(value)} and no number")  # noqa: TRY004  of a document, and no mistake of a program
    try:
        found = Decimal(str(value).strip())
    except (ValueError, ArithmeticError):
        raise ValueError(f"is {show(value)} and no number") from None
    if not found.is_finite():
        raise ValueError(f"is {value} and no number")
    return found


def unmet(value: Any, op: str, limit: str) -> str:
    """Why ``value op limit`` does not hold; empty where it does."""
    if value is None:
        return "is not there"
    if isinstance(value, float) and math.isnan(value):
        return "is NaN and no number"
    if NUMBER.fullmatch(limit):
        try:
            holds = OPERATORS[op](number(value), Decimal(limit))
        except ValueError as exc:
            return str(exc)
    elif isinstance(value, (Mapping, list)):
        return f"is {show(value)} and no single value"
    else:
        text = _WORDS[value] if isinstance(value, bool) else str(value)
        holds = OPERATORS[op](text, limit)
    return "" if holds else f"is {show(value)}, not {op} {limit}"


def judge(wanted: list[Condition], document: Any, case: Case, finding: Finding, fix: str = "") -> None:
    """Adds to the finding what each condition met."""
    for condition in wanted:
        limit = case.expand(condition.limit)
        finding.wanted.append(f"{condition.value} {condition.op} {limit}")
        value = search(condition.value, document)
        problem = unmet(value, condition.op, limit)
        if problem:
            finding.wrong(f"{condition.value} {problem}", fix)
        else:
            finding.found.append(f"{condition.value} is {show(value)}")


def show(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, Decimal):
        return canonical(value)
    return _short(repr(value) if isinstance(value, float) else " ".join(str(value)[:10_000].split()) or "an empty text")


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
