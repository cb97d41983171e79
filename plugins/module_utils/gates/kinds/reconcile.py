# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""reconcile: what was recomputed agrees with what is reported, on at least so many events.

``what`` says which of the books is looked at: ``positions`` (each has its fills, and none was opened that may not be), ``pnl``,
``limits`` or ``engines``.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds._counts import amount, noun, too_few
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds._looks import fail_after
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import AGAINST, MET, SHORT, Kind, Reading
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import (
    REQUIRED,
    Field,
    amount_text,
    duration,
    number_of,
    one_of,
    percentage,
    text,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import COUNT
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample

WHAT = ("positions", "pnl", "limits", "engines")
# What of them a key says something of.
_OWN = {"max_open": "positions", "tolerance_usd": "pnl", "tolerance_ratio": "pnl", "max_heartbeat_age": "engines"}
# Those whose events are closed trades.
COUNT_TRADES = ("positions", "pnl", "limits")
SHOWN = 5


def read(check: Mapping[str, Any], sample: Sample) -> Reading:
    """Any disagreement speaks against; agreement about nothing is no evidence."""
    counts = noun(check, "events")
    events = sample.events or 0
    behind = f"{amount(events)} {counts}"
    if sample.problems:
        # The source may name only the first of very many.
        found = max(float(len(sample.problems)), sample.value or 0.0)
        named = [*sample.problems[:SHOWN], *([f"and {found - SHOWN:.0f} more"] if found > SHOWN else [])]
        return Reading(AGAINST, f"{found:.0f} disagree", f"{behind}; {'; '.join(named)}", _REASONS[check.get("what", "")], found)
    short = too_few(check, events, counts)
    if short:
        return Reading(SHORT, evidence=behind, reason=short, answered=True)
    return Reading(MET, value="agrees", evidence="; ".join(filter(None, (behind, sample.detail))), number=0.0)


_REASONS = {
    "": "the books do not agree",
    "positions": "the positions are not what the fills make",
    "pnl": "the PnL is not what the fills make",
    "limits": "a limit is broken",
    "engines": "the engines are not as they should be",
}


def mistakes(check: Mapping[str, Any]) -> list[tuple[str, str]]:
    what = check.get("what")
    return [(key, f"remove it: it says something of {of} only") for key, of in _OWN.items() if key in check and what != of]


def limit_mistake(_check: Mapping[str, Any], _op: str, limit: Decimal) -> str:
    return "" if limit == 0 else "write == 0: nothing may disagree"


KIND = Kind(
    sources=("trading",),
    fields={
        "what": Field(one_of(*WHAT), REQUIRED),
        "max_open": Field(duration, 24 * 3600),
        "tolerance_usd": Field(amount_text, "0.01"),
        "tolerance_ratio": Field(percentage(100, or_zero=True), "0.005"),
        "max_heartbeat_age": Field(duration, 60),
        # Agreement about nothing is what every book that stands still shows.
        "min_events": Field(number_of(1), 1),
        "counts": Field(text),
        "fail_after": Field(fail_after, 1),
    },
    read=read,
    unit=lambda _check: COUNT,
    ops=lambda _check: ("==",),
    limit_mistake=limit_mistake,
    mistakes=mistakes,
    # The fills tell of the whole window whenever they are read; everything else is what it is at that moment.
    momentary=lambda check: check.get("what") in ("pnl", "limits", "engines"),
)
