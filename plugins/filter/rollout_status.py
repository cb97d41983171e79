# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.fleet import status
from ansible_collections.levibot.transition.plugins.module_utils.ledger.lock import Owner, is_gone
from ansible_collections.levibot.transition.plugins.plugin_utils.owner import owner


def _with_sign_of_life(ledger: Mapping[str, Any]) -> Mapping[str, Any]:
    """The holder of the lock may have run on this control node, where its process can be looked for."""
    lock = ledger.get("lock")
    if not lock:
        return ledger
    return {**ledger, "lock": {**lock, "gone": is_gone(Owner.of(lock["owner"]), owner())}}


def rollout_status(
    ledger: Mapping[str, Any], edges: Mapping[str, Any], apps: Mapping[str, Any], now: float | None = None
) -> dict[str, Any]:
    return status(_with_sign_of_life(ledger), edges, apps, time.time() if now is None else now)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"rollout_status": rollout_status}
