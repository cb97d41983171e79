# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the filters that decide by the ledger's record do with their arguments."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

Records = Sequence[Mapping[str, Any]]


def entries_of(name: str, entries: Any) -> list[Mapping[str, Any]]:
    """The argument as it is; an AnsibleFilterError with the filter's name where it is no list."""
    if not isinstance(entries, list):
        raise AnsibleFilterError(f"{name}: expected entries of the ledger, found {type(entries).__name__}")
    return entries


def moment(now: float | None) -> float:
    """In seconds since the epoch; the present where none is given."""
    return time.time() if now is None else float(now)
