# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phase 4 of the plan: the validation's checklist, and how long the release must have been live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.plan.checklist import read_items
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import duration, text
from ansible_collections.levibot.transition.plugins.module_utils.plan.merge import Layered
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report

PHASE = "phase4"
_KEYS = ("name", "period", "items")


def read_phase4(plan: Layered, slos: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """The phase, normalised; empty where it is no mapping."""

    def path(*keys: str) -> str:
        return plan.path(PHASE, *keys)

    value = plan.value.get(PHASE) if isinstance(plan.value, Mapping) else None
    phase = report.mapping(path(), value, "write the phase: name, period and items")
    if not isinstance(value, Mapping):
        return {}
    report.unknown(path, phase, _KEYS)
    return {
        "name": report.read(path("name"), phase.get("name", PHASE), text),
        "period_seconds": report.read(path("period"), phase.get("period", "48h"), duration),
        "slos": dict(slos),
        "items": read_items(plan, PHASE, phase.get("items"), "a validation rests on evidence", report),
    }
