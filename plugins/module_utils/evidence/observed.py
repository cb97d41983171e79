# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read elsewhere for this case: the period, the live engines, the app hosts, the books and the ledger's chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case, RefusedError

PHASE4 = "it belongs into Phase 4, which looks at what is live"


def part(case: Case, name: str) -> Mapping[str, Any]:
    """One part of what was observed. Raises RefusedError where it could not be."""
    found = case.observed.get(name)
    if not isinstance(found, Mapping) or not found:
        raise RefusedError(f"nothing is known of {name}", PHASE4)
    if found.get("problem"):
        raise RefusedError(str(found["problem"]), str(found.get("fix") or ""))
    return found


def period(case: Case) -> tuple[float, float]:
    """From T+0 to now, in epoch seconds."""
    return float(part(case, "period")["started"]), case.now


def slot_of(case: Case) -> str:
    """The slot that serves."""
    return str(part(case, "period")["slot"])


def hosts(case: Case) -> dict[str, Mapping[str, Any]]:
    """What each app host has told, and there is one. Raises RefusedError where one of them has told nothing that can be read."""
    found = part(case, "apps")
    silent = [str(name) for name, seen in found.items() if not isinstance(seen, Mapping)]
    if silent:
        raise RefusedError(f"nothing is known of {', '.join(silent)}", "see that the host answers")
    return {str(name): seen for name, seen in found.items()}
