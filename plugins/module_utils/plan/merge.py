# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Overrides: a site changes a number, not the plan. A mistake is reported where it was written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge(base: Any, overrides: Any) -> Any:
    """Mappings are merged key by key, anything else is replaced, and a null removes the key."""
    if not isinstance(base, Mapping) or not isinstance(overrides, Mapping):
        return overrides
    merged = {key: merge(value, overrides[key]) if key in overrides else value for key, value in base.items()}
    merged.update({key: value for key, value in overrides.items() if key not in base})
    return {key: value for key, value in merged.items() if value is not None or key not in overrides}


class Layered:
    """A variable with its overrides merged in: the value, and under which variable's name each part of it was written."""

    def __init__(self, name: str, base: Any, overrides: Any) -> None:
        self.name = name
        self.base = base
        self.overrides = overrides or {}
        self.value = merge(base, self.overrides) if self.overrides else base

    def path(self, *keys: str) -> str:
        """``levibot_plan_overrides.x`` where the overrides set it, else ``levibot_plan.x``."""
        name = f"{self.name}_overrides" if keys and _has(self.overrides, keys) else self.name
        return ".".join((name, *map(str, keys)))

    def in_base(self, *keys: str) -> bool:
        return _has(self.base, keys)


def _has(value: Any, keys: tuple[str, ...]) -> bool:
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return False
        value = value[key]
    return True
