# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks on their way into the ledger: collected, and written together, since each writing is a module's run on the ledger's host."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Entry = dict[str, Any]


class RecordError(Exception):
    """The ledger did not take the entries; they are kept for the next try."""


class Recorder:
    """Buffers entries and writes them at least every ``every`` seconds, when asked to."""

    def __init__(self, write: Callable[[list[Entry]], None], every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._every = every
        self._clock = clock
        self._entries: list[Entry] = []
        self._written_at = clock()

    def add(self, kind: str, at: float, data: dict[str, Any]) -> None:
        self._entries.append({"kind": kind, "at": f"{at:.3f}", "data": data})

    def flush_if_due(self) -> None:
        if self._entries and self._clock() - self._written_at >= self._every:
            self.flush()

    def flush(self) -> None:
        """Write all; raises RecordError."""
        self._written_at = self._clock()
        if self._entries:
            self._write(self._entries)
            self._entries = []
