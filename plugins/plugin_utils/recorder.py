# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks on their way into the ledger: collected, and written together, since each writing is a module's run on the ledger's host."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

Entry = dict[str, Any]

# So many looks are written whatever the time, and so many wait for a ledger that cannot be written: some hours of a gate's.
WRITTEN_AT_ONCE = 100
KEPT = 1000


class RecordError(Exception):
    """The ledger did not take the entries; they are kept for the next try. ``lost``: it never will, see module ledger."""

    def __init__(self, message: str, lost: str = "") -> None:
        super().__init__(message)
        self.lost = lost


class Recorder:
    """Buffers entries and writes them at least every ``every`` seconds, when asked to.

    Where the ledger does not take them for long, the oldest looks give way, and a note in their place says how many. So memory
    is bounded, and what is missing is told.
    """

    def __init__(self, write: Callable[[list[Entry]], None], every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._every = every
        self._clock = clock
        self._entries: deque[Entry] = deque()
        self._lost: Entry | None = None
        self._tried_at = clock()
        self._since_tried = 0

    def add(self, kind: str, at: float, data: dict[str, Any]) -> None:
        self._entries.append({"kind": kind, "at": f"{at:.3f}", "data": data})
        self._since_tried += 1
        if len(self._entries) > KEPT:
            self._lose(self._entries.popleft())

    def flush_if_due(self) -> None:
        if self._entries and (self._clock() - self._tried_at >= self._every or self._since_tried >= WRITTEN_AT_ONCE):
            self.flush()

    def beat_if_due(self) -> None:
        """A sign of life, also where there is nothing to tell: nobody else may take the rollout over meanwhile."""
        if self._clock() - self._tried_at >= self._every:
            self._tried_at = self._clock()
            self._write([]) if not self._entries else self.flush()

    def flush(self) -> None:
        """Write all; raises RecordError."""
        self._tried_at = self._clock()
        self._since_tried = 0
        if self._entries:
            self._write([*filter(None, [self._lost]), *self._entries])
            self._entries.clear()
            self._lost = None

    def _lose(self, entry: Entry) -> None:
        count = 1 + (self._lost["data"]["lost"] if self._lost else 0)
        text = f"{count:,} looks until then are not in the ledger: it could not be written"
        self._lost = {"kind": "note", "at": entry["at"], "data": {"text": text, "lost": count}}
