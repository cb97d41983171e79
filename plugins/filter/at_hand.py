# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.levibot.transition.plugins.plugin_utils.variables import at_hand


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"at_hand": at_hand}
