# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counting looks: `fail_after`, as a number of consecutive looks or as a share of the window's looks."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import integer

ALL = 100


def fail_after(value: Any) -> int | str:
    """``3`` looks, or ``10%`` of the window's looks (3 bad looks are 10 % of half an hour and 0.2 % of 28 hours)."""
    if isinstance(value, str) and (match := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%", value.strip())) and 0 < float(match.group(1)) <= ALL:
        return value.strip()
    return integer(
        value, 1, 10**6, "write a number of consecutive looks from 1 upwards, such as 3, or a share of the window's looks, such as 10%"
    )


def looks(value: int | str, window_seconds: float, interval_seconds: float) -> int:
    """``fail_after`` as a number of looks of this window, rounded up."""
    if isinstance(value, int):
        return value
    share = float(value.rstrip("%")) / 100
    return max(1, -int(-share * window_seconds // interval_seconds))
