# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.module_utils.readiness import Seen, items


def readiness(seen: Mapping[str, Any], now: float | None = None) -> list[dict[str, Any]]:
    known = {field.name for field in fields(Seen)} - {"now"}
    if set(seen) != known:
        raise AnsibleFilterError(f"readiness: expected {', '.join(sorted(known))}; found {', '.join(sorted(seen))}")
    return items(Seen(**seen, now=time.time() if now is None else float(now)))


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"readiness": readiness}
