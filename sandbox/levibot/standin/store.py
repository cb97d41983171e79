# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""The desk in the data directory: it survives restarts, and all workers share it, whoever of them trades.

A change is read, made and written under one lock: first what was booked goes into the books' histories, then the state that counts it.
What is written is bounded, however long the histories are.
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

from .book import Fill, Trade
from .engines import MODES, Desk
from .files import Watched, write_atomically
from .history import History

_LAYOUT = 3  # of the data directory; what an older stand-in has left there is not read
_FILL_BYTES, _TRADE_BYTES = 160, 288
_AUDIT_BYTES = 1_000_000
_AUDIT_KEPT_SECONDS = 7 * 24 * 3600


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else vars(value)


class Store:
    def __init__(self, data: Path) -> None:
        self._file = Watched(data / "state.json", _desk, Desk)
        self._lock = _open(data / "state.lock")
        self._trader = _open(data / "trader.lock")
        self._audit = data / "audit.jsonl"
        self._audit_lock = _open(data / "audit.lock")
        self.fills = {mode: History(data / f"{mode}-fills.jsonl", Fill, _FILL_BYTES) for mode in MODES}
        self.trades = {mode: History(data / f"{mode}-trades.jsonl", Trade, _TRADE_BYTES) for mode in MODES}

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
                self._keep_history(desk)
                write_atomically(self._file.path, json.dumps({"layout": _LAYOUT, **vars(desk)}, default=_plain))
            except BaseException:
                self._file.forget()
                raise
            self._file.keep(desk)
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _keep_history(self, desk: Desk) -> None:
        for mode, book in desk.books.items():
            self.fills[mode].append(book.total_fills - len(book.fills), book.fills)
            self.trades[mode].append(book.total_trades - len(book.trades), book.trades)
            book.fills, book.trades = [], []

    def may_trade(self) -> bool:
        """One worker trades, until it ends: then another one gets the lock."""
        try:
            fcntl.flock(self._trader, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def audit(self, event: str, ip: str, **more: Any) -> None:
        fcntl.flock(self._audit_lock, fcntl.LOCK_EX)
        try:
            now = time.time()
            if self._audit.exists() and self._audit.stat().st_size > _AUDIT_BYTES:
                self._rotate(now)
            with self._audit.open("a", encoding="utf-8") as log:
                log.write(json.dumps({"ts": round(now, 3), "event": event, "ip": ip, **more}) + "\n")
        finally:
            fcntl.flock(self._audit_lock, fcntl.LOCK_UN)

    def _rotate(self, now: float) -> None:
        """`audit.jsonl.1` is the newest of the older ones. They go by age and not by number: no flood of lines pushes others out."""
        older = [self._audit]
        while (name := self._audit.with_name(f"{self._audit.name}.{len(older)}")).exists():
            older.append(name)
        for number, file in reversed(list(enumerate(older, 1))):
            if now - file.stat().st_mtime > _AUDIT_KEPT_SECONDS:
                file.unlink()
            else:
                file.replace(self._audit.with_name(f"{self._audit.name}.{number}"))


def _desk(text: str) -> Desk:
    data = json.loads(text)
    return Desk.from_dict(data) if data.get("layout") == _LAYOUT else Desk()


def _open(path: Path) -> IO[str]:
    return path.open("a", encoding="utf-8")
