# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SLOs as the plan writes them, ``< 0.1%``, and values that are compared with them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.conditions import OPERATORS
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Finding, RefusedError
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import (
    COUNT,
    RATIO,
    SECONDS,
    USD,
    MistakeError,
    format_limit,
    format_value,
    parse_limit,
)

_SLO = re.compile(r"(<=|>=|==|!=|<|>)\s*([^\s=<>].*)")


@dataclass(frozen=True)
class Slo:
    """``unit`` is the one that the limit is written in."""

    name: str
    op: str
    limit: Decimal
    unit: str


def parse_slo(name: str, line: Any) -> Slo:
    match = _SLO.fullmatch(line.strip()) if isinstance(line, str) else None
    for unit in (RATIO, SECONDS, USD, COUNT) if match else ():
        try:
            limit = parse_limit(match.group(2), unit)
        except MistakeError:
            continue
        if unit != USD or "USD" in match.group(2):
            return Slo(name, match.group(1), limit, _unit(match.group(2), unit))
    raise RefusedError(f"the SLO of {name} is {line!r} and cannot be read", f"write levibot_plan.slos.{name} such as < 0.1%")


def _unit(limit: str, unit: str) -> str:
    """A zero has no unit of its own, and is then compared as a plain number."""
    return COUNT if unit == RATIO and "%" not in limit else unit


def judge_slo(slo: Slo, value: Decimal, finding: Finding) -> None:
    wanted, seen = f"{slo.op} {format_limit(slo.limit, slo.unit)}", f"{slo.name} is {format_value(float(value), slo.unit)}"
    finding.wanted.append(f"{slo.name} {wanted}")
    if OPERATORS[slo.op](value, slo.limit):
        finding.found.append(seen)
    else:
        finding.wrong(f"{seen}, not {wanted}", "mend the cause, and soak again")
