# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad events out of all events: what proportions and quantiles have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.evidence import WHOLE_SHARE, is_proof
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import Counted
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import Field, duration, number_of, share, text

DEFAULT_ALPHA = "0.01"
DEFAULT_BURST_SECONDS = 15

FIELDS = {"min_events": Field(number_of(0), 1), "alpha": Field(share, DEFAULT_ALPHA), "counts": Field(text)}
BURST = {"burst": Field(duration, DEFAULT_BURST_SECONDS)}


def impossible(bad: float | None, total: float | None) -> str:
    """Why these cannot be counts, or an empty text."""
    if bad is None or total is None:
        return "the sample carries no counts"
    if not (math.isfinite(bad) and math.isfinite(total)) or bad < 0 or total < 0 or bad > total * (1 + 1e-9):
        return f"{bad} of {total} cannot be counts"
    return ""


def counted(check: Mapping[str, Any], bad: float, total: float, p0: float) -> Counted:
    return Counted(min(bad, total), total, p0, alpha_of(check), float(check.get("burst") or DEFAULT_BURST_SECONDS))


def proven(seen: Counted) -> bool:
    return is_proof(seen.bad, seen.total, seen.p0, seen.alpha * WHOLE_SHARE)


def alpha_of(check: Mapping[str, Any]) -> float:
    return float(check.get("alpha") or DEFAULT_ALPHA)


def too_few(check: Mapping[str, Any], total: float, counts: str) -> str:
    """Why there are not enough events yet, or an empty text."""
    least = check.get("min_events", 1)
    return f"{amount(total)} of at least {least:,} {counts}" if total < least else ""


def noun(check: Mapping[str, Any], default: str) -> str:
    return check.get("counts") or default


def amount(events: float) -> str:
    """Counts of interpolated histograms need not be whole."""
    return f"{events:,.1f}".removesuffix(".0")
