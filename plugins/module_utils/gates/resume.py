# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an interrupted soak can still be finished, or is better begun anew. Pure.

What the metrics store recorded meanwhile counts. A check of the moment (an alert's state, a script's answer) has nobody who looked
while the run was dead, and needs data for most of the window all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.judge import MIN_COVERAGE, VOUCHES_FOR_INTERVALS
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds import KINDS
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import ENFORCE


def continued(look: Mapping[str, Any] | None, gate: Mapping[str, Any], now: float) -> dict[str, Any]:
    """``started_at`` and ``state`` for the gate to continue with, from its last look; empty where it is to begin anew."""
    if not look or not isinstance(look.get("started_at"), (int, float)) or not isinstance(look.get("state"), Mapping):
        return {}
    elapsed = now - look["started_at"]
    end = _could_pass_at(look, gate, elapsed)
    last = gate["window_seconds"] + gate["hold_seconds"]
    if not look["at_seconds"] <= elapsed < last or end > last or end - elapsed >= gate["settle_seconds"] + gate["window_seconds"]:
        return {}
    return {"started_at": look["started_at"], "state": look["state"]}


def _could_pass_at(look: Mapping[str, Any], gate: Mapping[str, Any], elapsed: float) -> float:
    memories = (look["state"].get("judge") or {}).get("checks") or {}
    unvouched = max(0.0, elapsed - look["at_seconds"] - VOUCHES_FOR_INTERVALS * gate["interval_seconds"])
    unseen = [
        look["at_seconds"] - float(memories.get(check["id"], {}).get("covered", 0.0)) + unvouched
        for check in gate["checks"]
        if check.get("mode", ENFORCE) == ENFORCE and KINDS[check["kind"]].momentary(check)
    ]
    return max([float(gate["window_seconds"]), *(seconds / (1 - MIN_COVERAGE) for seconds in unseen)])
