# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""alerts: how many fire. Quiet must be proven, so a source that cannot vouch for its alerts is never a pass."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.compare import holds
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds._looks import fail_after
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import AGAINST, MET, SHORT, Kind, Reading
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import REQUIRED, Field, labels, some_labels, text, words
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import COUNT
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample

NAMES_SHOWN = 5


def read(check: Mapping[str, Any], sample: Sample) -> Reading:
    accepted = set(check.get("accept_silenced", ()))
    firing = [alert for alert in sample.firing if not (alert.get("silenced") and alert.get("name") in accepted)]
    condition = check["condition"]
    seen = {"value": str(len(firing)), "evidence": _names(firing), "number": float(len(firing))}
    if not holds(len(firing), condition["op"], condition["limit"]):
        return Reading(AGAINST, reason="firing", **seen)
    if sample.problems:
        return Reading(SHORT, reason="quiet is not proven: " + "; ".join(sample.problems), **seen)
    return Reading(MET, **seen)


def _names(firing: list[Mapping[str, Any]]) -> str:
    shown = [f"{alert.get('name', '?')}{' (silenced)' if alert.get('silenced') else ''}" for alert in firing[:NAMES_SHOWN]]
    more = len(firing) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "") if firing else "quiet"


def rules(value: Any) -> dict[str, str] | list[str]:
    """Which rules must be loaded: names, or labels that at least one of them has."""
    return words(value) if isinstance(value, list) else labels(value)


def limit_mistake(_check: Mapping[str, Any], op: str, limit: Decimal) -> str:
    if limit < 0 or limit != limit.to_integral_value() or (op == "<" and limit == 0):
        return "write a number of alerts, such as == 0"
    return "" if op != "==" or limit == 0 else "write == 0, or <= and the number that may fire"


KIND = Kind(
    sources=("alertmanager",),
    fields={
        "matchers": Field(some_labels, REQUIRED),
        "watchdog": Field(text, "Watchdog"),
        "rules": Field(rules, {}),
        "slot_label": Field(text, "slot"),
        "accept_silenced": Field(words, []),
        "fail_after": Field(fail_after, 1),
    },
    read=read,
    unit=lambda _check: COUNT,
    ops=lambda _check: ("==", "<=", "<"),
    limit_mistake=limit_mistake,
)
