# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.module_utils.trading.capital import SplitError, split


def capital_split(
    total: Any, weights: Any, minimums: Mapping[str, Any] | None = None, steps: Mapping[str, Any] | None = None
) -> dict[str, str]:
    for name, given in (("weights", weights), ("minimums", minimums or {}), ("steps", steps or {})):
        if not isinstance(given, Mapping):
            raise AnsibleFilterError(f"capital_split: {name} is {given!r}; write amounts by symbol, such as {{BTC/USDT: 1}}")
    try:
        return {symbol: str(share) for symbol, share in split(total, weights, minimums, steps).items()}
    except SplitError as exc:
        raise AnsibleFilterError(f"capital_split: {exc}") from exc


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"capital_split": capital_split}
