# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two files that hold the split, read and written so that Caddy never sees a half of one.

A canary file's mtime is its expiry: content and expiry arrive with one rename, and ``find ! -newer`` is all that the edge needs
to take it away again.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

from .split import ALL, BLUE, GREEN, Canary, Split, decode, encode

# Documented in doc_fragments/edge.py.
DIRECTORIES: dict[str, Any] = {
    "run_dir": {"type": "path", "default": "/run/levibot"},
    "lib_dir": {"type": "path", "default": "/var/lib/levibot/edge"},
}
STABLE_TEXT = {BLUE: encode(0), GREEN: ALL}
SETTLE_SECONDS = 1.0


class SplitError(Exception):
    """The split cannot be read or changed; the message says why, and what to do."""


class SplitFiles:
    """The split of one edge host."""

    def __init__(self, run_dir: str, lib_dir: str) -> None:
        self.run_dir = Path(run_dir)
        self.lib_dir = Path(lib_dir)
        self.canary = self.run_dir / "canary"
        self.stable = self.lib_dir / "stable"
        # Where the expiry script puts a canary while it makes sure that it was the expired one.
        self.aside = self.run_dir / "canary.expiring"

    def missing_directories(self) -> list[str]:
        """The directories that are not there."""
        return [str(folder) for folder in (self.run_dir, self.lib_dir) if not folder.is_dir()]

    def read(self) -> Split:
        """Both files as they are; what is wrong with them is told, not raised."""
        stable = canary = None
        broken_stable = broken_canary = ""
        try:
            text = _read(self.stable)
        except OSError as exc:
            text, broken_stable = None, f"{self.stable} cannot be read: {exc.strerror}"
        if text is not None:
            stable = next((slot for slot, known in STABLE_TEXT.items() if known == text), None)
            if stable is None:
                broken_stable = f"{self.stable} holds {text[:40]!r}, where only '0000' (blue) or 'g' (green) can be"
        text = _read(self.canary)
        if text is not None:
            try:
                canary = Canary(decode(text), int(self.canary.stat().st_mtime))
            except ValueError as exc:
                broken_canary = f"{self.canary}: {exc}, so Caddy takes no notice of it"
            except FileNotFoundError:
                pass  # expired between the two looks
        return Split(stable, canary, broken_stable, broken_canary)

    def read_settled(self) -> Split:
        """The same, but a fresh canary that the expiry script holds aside for a moment is not taken for none."""
        deadline = time.monotonic() + SETTLE_SECONDS
        # Looked at in the order of its way back, so that it cannot pass unseen.
        while (split := self.read()).canary is None and (self.aside.exists() or self.read() != split):
            if time.monotonic() > deadline:
                break  # left by a run that was killed, and never put back
            time.sleep(0.02)
        return split

    def write_canary(self, canary: Canary) -> None:
        """Set the canary file, and see it there."""
        _write(self.canary, encode(canary.buckets), canary.expires)
        self._read_back(lambda split: split.canary == canary, f"{encode(canary.buckets)!r} until {canary.expires}")

    def write_stable(self, slot: str) -> None:
        """Set the lasting file, and see it there."""
        _write(self.stable, STABLE_TEXT[slot], None)
        self._read_back(lambda split: split.stable == slot, f"{STABLE_TEXT[slot]!r}")

    def remove_canary(self) -> bool:
        """Remove the canary file, also from the hands of the expiry script, which could put it back. Tell whether there was one."""
        removed = False
        for _unused in range(100):
            found = [_unlink(self.canary), _unlink(self.aside), _unlink(self.canary)]
            if not any(found):
                if removed:
                    _sync(self.run_dir)
                return removed
            removed = True
        raise SplitError(f"{self.canary} keeps coming back: another process writes it")

    def _read_back(self, same: Callable[[Split], bool], wanted: str) -> None:
        # The expiry script may hold a fresh file aside for a moment, to find that it is not the expired one.
        deadline = time.monotonic() + SETTLE_SECONDS
        while not same(split := self.read()):
            if time.monotonic() > deadline:
                raise SplitError(f"wrote {wanted}, and read back {split.text(time.time())}: another process writes here")
            time.sleep(0.02)


def _read(path: Path) -> str | None:
    try:
        data = path.read_bytes()[:4096]
    except (FileNotFoundError, NotADirectoryError):
        return None
    # Caddy strips one line end as well, so that a person may use echo.
    return data.decode("ascii", "replace").rstrip("\r\n")


def _write(path: Path, text: str, mtime: int | None) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)  # Caddy runs as a user of its own
            file.flush()
            if mtime is not None:
                os.utime(file.fileno(), (mtime, mtime))
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
    _sync(path.parent)


def _unlink(path: Path) -> bool:
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
