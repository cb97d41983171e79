# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the filters that render pages share."""

from __future__ import annotations

import re
from typing import Any

# Control characters, and those that turn the direction of what is read.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def seen(value: Any) -> Any:
    """A text without what a reader cannot see, which must not change what a page seems to say; anything else as it is."""
    return _UNSEEN.sub("", value) if type(value) is str else value
