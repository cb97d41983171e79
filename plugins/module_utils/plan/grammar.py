# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan's gate lines: text to what it asks for.

error_rate < 0.1%             a check, an operator, a limit
latency_p95 < SLO + 10%       the limit relative to the check's SLO
same as step1                 the checks of an earlier step
all SLOs                      each SLO as a check
health_monitor where set      a command, if the site has given one
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError

_NAME = r"[a-z][a-z0-9_]*"
_CONDITION = re.compile(rf"({_NAME})\s*(<=|>=|==|!=|<|>|=|=<|=>|[^\s\w]+)\s*(\S.*)")
_SLO = re.compile(r"SLO(?:\s*([+-])\s*([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*%)?")
_SAME_AS = re.compile(r"same\s+as\s+(\S+)", re.IGNORECASE)
_WHERE_SET = re.compile(rf"({_NAME})\s+where\s+set")
_ALL_SLOS = re.compile(r"all\s+SLOs", re.IGNORECASE)


@dataclass(frozen=True)
class Condition:
    """``check op limit``; the limit is still text, since its unit depends on the check."""

    check: str
    op: str
    limit: str

    def __str__(self) -> str:
        return f"{self.check} {self.op} {self.limit}"


@dataclass(frozen=True)
class SameAs:
    step: str

    def __str__(self) -> str:
        return f"same as {self.step}"


@dataclass(frozen=True)
class WhereSet:
    check: str

    def __str__(self) -> str:
        return f"{self.check} where set"


@dataclass(frozen=True)
class AllSlos:
    def __str__(self) -> str:
        return "all SLOs"


def parse_gate_line(line: Any) -> Condition | SameAs | WhereSet | AllSlos:
    """Raises MistakeError with the fix in words."""
    if not isinstance(line, str):
        raise MistakeError("write a line such as error_rate < 0.1% (in quotes, where YAML reads it otherwise)")
    text = " ".join(line.split())
    if _ALL_SLOS.fullmatch(text):
        return AllSlos()
    if match := _SAME_AS.fullmatch(text):
        return SameAs(match.group(1))
    if match := _WHERE_SET.fullmatch(text):
        return WhereSet(match.group(1))
    if match := _CONDITION.fullmatch(text):
        return Condition(*match.groups())
    raise MistakeError("write <check> <operator> <limit>, such as error_rate < 0.1%; or same as <step>, all SLOs, <check> where set")


def parse_slo_factor(limit: str) -> Decimal | None:
    """``SLO`` to 1, ``SLO + 10%`` to 1.1; None for a limit that is a number of its own. Raises MistakeError with the fix."""
    if not limit.upper().startswith("SLO"):
        return None
    match = _SLO.fullmatch(limit)
    if not match:
        raise MistakeError("write SLO, or SLO + 10%")
    sign, percent = match.groups()
    change = Decimal(percent or 0) / 100
    if sign == "-" and change >= 1:
        raise MistakeError("write SLO - and less than 100%")
    return 1 - change if sign == "-" else 1 + change
