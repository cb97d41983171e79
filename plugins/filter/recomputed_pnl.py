# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.module_utils.trading.fills import Fill, read_fills, symbol_of
from ansible_collections.levibot.transition.plugins.module_utils.trading.money import decimal, text
from ansible_collections.levibot.transition.plugins.module_utils.trading.pnl import pnl
from ansible_collections.levibot.transition.plugins.module_utils.trading.positions import read_funding, read_start


def recomputed_pnl(
    fills: Any, marks: Mapping[str, Any] | None = None, baseline: Mapping[str, Any] | None = None, funding: Any = ()
) -> dict[str, str]:
    try:
        prices = {symbol_of(symbol): decimal(mark, f"mark of {symbol}") for symbol, mark in (marks or {}).items()}
        found = pnl(readable(fills), prices, read_start(baseline or {}), read_funding(funding))
    except (ValueError, AttributeError) as exc:
        raise AnsibleFilterError(f"recomputed_pnl: {exc}") from exc
    return {name: text(amount) for name, amount in vars(found).items()}


def readable(rows: Any) -> list[Fill]:
    """Raises ValueError with all that is wrong with them: a sum of what could be read would look like the truth."""
    if not isinstance(rows, (list, tuple)):
        raise ValueError("give a list of fills")  # noqa: TRY004 - a user's value, not a programmer's type
    fills, problems = read_fills(rows)
    if problems:
        raise ValueError("; ".join(problems))
    return fills


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"recomputed_pnl": recomputed_pnl}
