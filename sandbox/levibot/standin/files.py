# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""Small files that several processes share: written by rename, read again only when they changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


def write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


class Watched(Generic[T]):
    """The parsed content of a file, or what `absent` makes while there is none. An unchanged file costs one stat."""

    def __init__(self, path: Path, parse: Callable[[str], T], absent: Callable[[], T]) -> None:
        self.path = path
        self._parse = parse
        self._absent = absent
        self._value = absent()
        self._seen: tuple[int, int, int] | None = None

    @property
    def value(self) -> T:
        try:
            seen = self._stamp()
            if seen != self._seen:
                self._value = self._parse(self.path.read_text(encoding="utf-8"))
                self._seen = seen
        except FileNotFoundError:
            self._value, self._seen = self._absent(), None
        return self._value

    def keep(self, value: T) -> None:
        """`value` is what was just written: no need to read it."""
        self._value, self._seen = value, self._stamp()

    def forget(self) -> None:
        """The value in memory is not to be trusted any more."""
        self._seen = None

    def _stamp(self) -> tuple[int, int, int]:
        stat = self.path.stat()
        return (stat.st_ino, stat.st_mtime_ns, stat.st_size)
