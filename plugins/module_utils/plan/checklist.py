# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A phase's checklist. Its items stay in the plan's words, which the module ``evidence`` reads again where it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.judge import read_item
from ansible_collections.levibot.transition.plugins.module_utils.plan.merge import Layered
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report


def read_items(plan: Layered, phase: str, items: Any, why: str, report: Report) -> list[dict[str, Any]]:
    """The items of a phase in order, each with its id. ``why``: what rests on them, for the message where there is none."""

    def path(*keys: str) -> str:
        return plan.path(phase, "items", *keys)

    found = report.mapping(path(), items, "write the items by their id, such as backup: {name: ..., evidence: [...]}")
    if not found and isinstance(items, Mapping):
        report.add(path(), items, f"write at least one item: {why}")
    kept = []
    for name, keys in found.items():
        item = {**report.mapping(path(name), keys, "write the item: name and evidence"), "id": name}
        if isinstance(keys, Mapping):
            read_item(item, lambda *keys, name=name: path(name, *keys), report)
        kept.append(item)
    return kept
