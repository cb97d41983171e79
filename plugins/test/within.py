# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.module_utils.gates.compare import OPERATORS
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import show
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import (
    COUNT,
    EXAMPLES,
    RATIO,
    SECONDS,
    USD,
    MistakeError,
    parse_limit,
)

_CONDITION = re.compile(r"\s*(<=|>=|==|!=|<|>)\s*(\S.*?)\s*")
_UNITS = {"%": RATIO, "ms": SECONDS, "s": SECONDS, "USD": USD, "": COUNT}
_UNIT = re.compile(r"(%|ms|s|USD)?$")


def within(value: Any, condition: Any) -> bool:
    try:
        operator, limit, unit = _read_condition(condition)
        return OPERATORS[operator](_read_value(value, unit), limit)
    except MistakeError as mistake:
        raise AnsibleFilterError(f"within: {mistake}") from mistake


def _read_condition(condition: Any) -> tuple[str, Decimal, str]:
    match = _CONDITION.fullmatch(condition) if isinstance(condition, str) else None
    if not match:
        raise MistakeError(f"found {show(condition)}; write an operator and a limit, such as '< 0.1%'")
    operator, limit = match.groups()
    unit = _UNITS[_UNIT.search(limit).group() or ""]
    try:
        return operator, parse_limit(limit, unit), unit
    except MistakeError as mistake:
        raise MistakeError(f"found {show(condition)}; {mistake}") from None


def _read_value(value: Any, unit: str) -> Decimal:
    """A number as it is measured (a ratio, seconds, US dollars, a count), or a text with its unit. No number is within nothing."""
    try:
        if isinstance(value, str):
            number = parse_limit(value, unit) if _UNIT.search(value).group() else Decimal(value)
        else:
            number = Decimal("NaN" if isinstance(value, bool) else repr(value))
    except (MistakeError, InvalidOperation):
        number = Decimal("NaN")
    if not number.is_finite():
        raise MistakeError(
            f"found {show(value)} as the value; give a finite number, or a text in the condition's unit such as {EXAMPLES[unit]}"
        )
    return number


class TestModule:
    def tests(self) -> dict[str, Callable[..., Any]]:
        return {"within": within}
