# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.resume import continued


def continued_soak(look: Any, gate: Mapping[str, Any], now: float | None = None) -> dict[str, Any]:
    return continued(look or None, gate, time.time() if now is None else now)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"continued_soak": continued_soak}
