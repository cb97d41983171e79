# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told of variables before they are templated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_OTHER = re.compile(r"\s*\{\{-?\s*(\w+)\s*-?\}\}\s*")
_TEMPLATE = re.compile(r"\{[{%]")
MOST_STEPS = 10


def at_hand(raw: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Whether these are plain values, or the names of others that are. One that is not there is a role's own default, and counts."""
    return all(_is_plain(raw, raw.get(name), MOST_STEPS) for name in names)


def _is_plain(raw: Mapping[str, Any], value: Any, steps: int) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(raw, each, steps) for pair in value.items() for each in pair)
    if isinstance(value, (list, tuple)):
        return all(_is_plain(raw, each, steps) for each in value)
    if not isinstance(value, str) or not _TEMPLATE.search(value):
        return True
    other = _OTHER.fullmatch(value)
    return bool(other) and steps > 0 and other[1] in raw and _is_plain(raw, raw[other[1]], steps - 1)
