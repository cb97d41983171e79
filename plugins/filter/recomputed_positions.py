# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.filter.recomputed_pnl import readable
from ansible_collections.levibot.transition.plugins.module_utils.trading.money import text
from ansible_collections.levibot.transition.plugins.module_utils.trading.positions import Closing, Position, read_start, replay


def recomputed_positions(fills: Any, baseline: Mapping[str, Any] | None = None) -> dict[str, Any]:
    try:
        book = replay(readable(fills), read_start(baseline or {}))
    except ValueError as exc:
        raise AnsibleFilterError(f"recomputed_positions: {exc}") from exc
    opened = {symbol: {**_plain(held), "side": held.side, "entry_price": text(held.entry_price)} for symbol, held in book.positions.items()}
    return {"open": opened, "closed": [_plain(closing) for closing in book.closings]}


def _plain(row: Position | Closing) -> dict[str, Any]:
    told = {name: text(value) if isinstance(value, Decimal) else value for name, value in asdict(row).items()}
    del told["divided"]  # of no use to anybody but a reconciliation
    return told


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"recomputed_positions": recomputed_positions}
