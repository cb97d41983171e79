# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.proposals.used import used_of
from ansible_collections.levibot.transition.plugins.module_utils.trading.fills import FEE_RATIO


def limits_used(
    books: Any, baseline: Any, live: Any, capital_usd: Any, until: Any = None, *, fee_ratio: Any = FEE_RATIO
) -> list[dict[str, Any]]:
    return used_of(books, baseline, live, capital_usd, until, fee_ratio=fee_ratio)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"limits_used": limits_used}
