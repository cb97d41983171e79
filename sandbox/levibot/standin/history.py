# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""All that a book has ever booked, beside the state: a JSON line of fixed width for each record, so that any page costs the same.

The count in the state says how many lines hold. A line behind it is of a process that died before it wrote the state, and the next
change replaces it; whoever reads goes by the count that he has read, and needs no lock.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Generic, TypeVar

from .book import typed

R = TypeVar("R")


class History(Generic[R]):
    """Records of one kind, numbered from 1 without a gap."""

    def __init__(self, path: Path, kind: type[R], width: int) -> None:
        self._path = path
        self._kind = kind
        self._width = width
        self._names = tuple(kind.__dataclass_fields__)  # type: ignore[attr-defined]

    def append(self, before: int, records: Sequence[R]) -> None:
        """Under the state's lock. `before` is how many the state has counted so far."""
        if not records:
            return
        with self._path.open("ab") as file:
            if file.tell() < before * self._width:
                raise RuntimeError(f"{self._path} has {file.tell() // self._width} records, and the state counts {before}")
            file.truncate(before * self._width)
            file.write(b"".join(map(self._line, records)))

    def read(self, numbers: Sequence[int]) -> list[R]:
        """The records with these numbers, in this order."""
        if not numbers:
            return []
        first, last = min(numbers), max(numbers)
        with self._path.open("rb") as file:
            file.seek((first - 1) * self._width)
            block = file.read((last - first + 1) * self._width)
        return [self._record(block[(number - first) * self._width :][: self._width]) for number in numbers]

    def _line(self, record: R) -> bytes:
        values = [str(value) if isinstance(value, Decimal) else value for value in map(vars(record).get, self._names)]
        line = json.dumps(values, separators=(",", ":")).encode()
        if len(line) >= self._width:
            raise RuntimeError(f"{self._path}: a record of {len(line)} bytes, and a line has {self._width}: {line!r}")
        return line.ljust(self._width - 1) + b"\n"

    def _record(self, line: bytes) -> R:
        values = json.loads(line)
        return typed(self._kind, {name: values[place] for place, name in enumerate(self._names)})  # type: ignore[no-any-return]
