# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phase 1 of the plan: the checklist and what a GO needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.plan.checklist import read_items
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import duration, names, number_of, text
from ansible_collections.levibot.transition.plugins.module_utils.plan.merge import Layered
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report

PHASE = "phase1"
_KEYS = ("name", "go_max_age", "approvers", "approvals", "items")


def read_phase1(plan: Layered, slos: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """The phase, normalised; empty where it is no mapping."""

    def path(*keys: str) -> str:
        return plan.path(PHASE, *keys)

    value = plan.value.get(PHASE) if isinstance(plan.value, Mapping) else None
    phase = report.mapping(path(), value, "write the phase: name, go_max_age, approvers, approvals and items")
    if not isinstance(value, Mapping):
        return {}
    report.unknown(path, phase, _KEYS)
    approvers, approvals = read_approvals(phase, path, report)
    items = read_items(plan, PHASE, phase.get("items"), "a GO rests on evidence", report)
    return {
        "name": report.read(path("name"), phase.get("name", PHASE), text),
        "go_max_age_seconds": report.read(path("go_max_age"), phase.get("go_max_age", "24h"), duration),
        "approvers": approvers,
        "approvals": approvals,
        "slos": dict(slos),
        "items": items,
    }


def read_approvals(phase: Mapping[str, Any], path: Callable[..., str], report: Report) -> tuple[list[str], int | None]:
    """Who may approve, and how many of them must."""
    approvers = report.read(path("approvers"), phase.get("approvers", []), names) or []
    approvals = report.read(path("approvals"), phase.get("approvals", 1), number_of(1, 100))
    if approvals and approvers and approvals > len(approvers):
        report.add(path("approvals"), approvals, f"write at most {len(approvers)}: there are no more approvers")
    return approvers, approvals
