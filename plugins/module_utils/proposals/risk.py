# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan's limits of risk beside what was used of them. Pure; money and ratios are Decimal.

A limit that is far above what was used protects from little, so a tighter one is proposed: what was used, half as much again, rounded up.
A limit is never proposed to be laxer: one that was nearly used up is said to be so, and people decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import COUNT, RATIO, canonical, format_limit, format_value

NEARLY = Decimal("0.9")


@dataclass(frozen=True)
class Limit:
    """One of phase3.limits. key: as the validated plan has it; name: as a plan writes it; step: what a proposal is rounded up to."""

    key: str
    name: str
    unit: str
    step: Decimal
    of: str


LIMITS = (
    Limit("position_ratio", "position", RATIO, Decimal("0.01"), "of its engine's capital, the largest position by what was paid for it"),
    Limit("exposure_ratio", "exposure", RATIO, Decimal("0.01"), "of the live capital, all open positions together"),
    Limit("daily_loss_ratio", "daily_loss", RATIO, Decimal("0.005"), "of the live capital, the worst day"),
    Limit("concurrent_positions", "concurrent_positions", COUNT, Decimal(1), "positions open at once"),
)


def propose(limits: Mapping[str, Any], used: Sequence[Mapping[str, Any]], margin: Decimal) -> dict[str, Any]:
    """Each limit with what was used, and the overrides that would tighten them, as plain JSON.

    limits: ``phase3.limits`` of a validated plan. used: ``{"limit": key, "value": number, "source": words}``, several for a limit; the
    greatest counts. One without a value was looked for and not found, and ``problem`` says why.
    """
    rows = [_row(limit, limits, [one for one in used if one.get("limit") == limit.key], margin) for limit in LIMITS]
    tightened = {row["name"]: row["suggested"] for row in rows if row["suggested"]}
    overrides = {"phase3": {"limits": tightened}} if tightened else {}
    return {"limits": rows, "overrides": overrides}


def _row(limit: Limit, limits: Mapping[str, Any], used: Sequence[Mapping[str, Any]], margin: Decimal) -> dict[str, Any]:
    row = {"name": limit.name, "of": limit.of, "now": "", "used": "", "source": "", "headroom": "", "suggested": ""}
    now = _number(limits.get(limit.key))
    seen = [(value, str(one.get("source") or "")) for one in used for value in [_number(one.get("value"))] if value is not None]
    if now is not None:
        row["now"] = format_limit(now, limit.unit)
    if not seen:
        why = "; ".join(sorted({str(one["problem"]) for one in used if one.get("problem")}))
        return {**row, "words": f"nothing is proposed: what was used is not known ({why or 'nobody told'})"}
    value, source = max(seen)
    row.update(used=format_value(float(value), limit.unit), source=source)
    if now is None:
        return {**row, "words": "nothing is proposed: the plan has no such limit"}
    row["headroom"] = format_value(float(now - value), limit.unit)
    wanted = (value * (1 + margin) / limit.step).to_integral_value(rounding=ROUND_CEILING) * limit.step
    if 0 < value < now * NEARLY and wanted < now:
        row["suggested"] = format_limit(wanted, limit.unit)
    return {**row, "words": _words(value, now, row["suggested"], margin)}


def _words(value: Decimal, now: Decimal, suggested: str, margin: Decimal) -> str:
    if suggested:
        return f"could be {suggested}: what was used and {canonical(margin * 100)} % more"
    if value <= 0:
        return "nothing is proposed: nothing of it was used, which is no evidence of what is needed"
    if value > now:
        return "BROKEN: more was used than the limit allows; see why before anything is changed"
    if value >= now * NEARLY:
        return f"{format_value(float(value / now), RATIO)} of the limit was used: decide whether it is to bind; it is not loosened here"
    return "the limit suits what was used; nothing is proposed"


def _number(value: Any) -> Decimal | None:
    """A finite number from JSON, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        number = Decimal(repr(value) if isinstance(value, float) else str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
