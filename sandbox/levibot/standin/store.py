# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""The desk in the data directory: it survives restarts, and all workers share it, whoever of them trades.

A change is read, made and written under one lock. What is written is bounded, since books keep their last trades and fills only.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from .engines import Desk
from .files import Watched, write_atomically

_AUDIT_BYTES = 1_000_000


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else vars(value)


class Store:
    def __init__(self, data: Path) -> None:
        self._file = Watched(data / "state.json", lambda text: Desk.from_dict(json.loads(text)), Desk)
        self._lock = _open(data / "state.lock")
        self._trader = _open(data / "trader.lock")
        self._audit = data / "audit.jsonl"

    @property
    def desk(self) -> Desk:
        """To look at. What is changed outside `change()` is lost."""
        return self._file.value

    @contextmanager
    def change(self) -> Iterator[Desk]:
        """A change that fails half-way is not written, and the next look reads the file again."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            desk = self._file.value
            try:
                yield desk
            except BaseException:
                self._file.forget()
                raise
            write_atomically(self._file.path, json.dumps(desk, default=_plain))
            self._file.keep(desk)
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def may_trade(self) -> bool:
        """One worker trades, until it ends: then another one gets the lock."""
        try:
            fcntl.flock(self._trader, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def audit(self, event: str, ip: str, **more: Any) -> None:
        if self._audit.exists() and self._audit.stat().st_size > _AUDIT_BYTES:
            self._audit.replace(self._audit.with_suffix(".jsonl.1"))
        with self._audit.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"ts": round(time.time(), 3), "event": event, "ip": ip, **more}) + "\n")


def _open(path: Path) -> IO[str]:
    return path.open("a", encoding="utf-8")
