# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a soak looks on screen: one block that is redrawn in place on a terminal, plain lines everywhere else.

A worker of ansible-core has its own standard output on /dev/null and draws through Display, whose messages the controlling process writes.
So whether there is a terminal is that process's business: its file descriptor 1, as /proc shows it. Where that cannot be
read there is none. AWX runs ansible-playbook on a pseudo-terminal that nobody watches, which is why its variables count as well.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.levibot.transition.plugins.module_utils.gates.model import Look
from ansible_collections.levibot.transition.plugins.module_utils.gates.words import clock, headline, rows

LINE_EVERY_SECONDS = 60.0
LINES_A_WINDOW = 6
SHORTEST_LINE_SECONDS = 5.0
NOT_WATCHED = ("AWX_ISOLATED_DATA_DIR", "RUNNER_OMIT_EVENTS", "AWX_HOST", "CI")
BAR_WIDTH = 24

COLORS = {"pass": 32, "pending": 36, "waiting": 33, "hold": 33, "breach": 31, "fail": 31, "error": 35, "blind": 35}

Show = Callable[[str], None]


class Screen(Protocol):
    """What a soak tells its viewer."""

    def tick(self, elapsed: float) -> None:
        """A second has passed; `elapsed` since the window began is negative while the traffic settles."""

    def look(self, look: Look) -> None:
        """There was a look."""

    def end(self, look: Look | None) -> None:
        """It is over, with this last look."""


class Plain:
    """A line for each change of state, and one at least every minute (more often in a window of minutes)."""

    def __init__(self, show: Show, gate: Mapping[str, Any]) -> None:
        self._show = show
        self._gate = gate
        self._every = min(LINE_EVERY_SECONDS, max(SHORTEST_LINE_SECONDS, gate["window_seconds"] / LINES_A_WINDOW))
        self._states: dict[str, str] = {}
        self._shown_at = -float("inf")
        self._settling = False

    def tick(self, elapsed: float) -> None:
        if elapsed < 0 and not self._settling:
            self._settling = True
            self._show(settling(self._gate, elapsed))

    def look(self, look: Look) -> None:
        table = rows(look)
        states = {check_id: state for check_id, state, *_rest in table} | {"": look.verdict}
        changed = [row for row in table if states[row[0]] != self._states.get(row[0])]
        if states != self._states:
            self._show("\n".join([_titled(look, self._gate), *(f"    {line}" for line in aligned(changed))]))
        elif look.at_seconds - self._shown_at >= self._every:
            values = "; ".join(f"{check_id} {value} ({limit})" for check_id, _state, value, limit, _behind in table)
            self._show(f"{_titled(look, self._gate)}: {values}")
        else:
            return
        self._states, self._shown_at = states, look.at_seconds

    def end(self, look: Look | None) -> None:
        """Nothing to put in order."""


class Live:
    """One block, redrawn at each look and each second. `columns` is asked each time, since windows get resized."""

    def __init__(self, show: Show, gate: Mapping[str, Any], columns: Callable[[], int], colored: bool) -> None:
        self._show = show
        self._gate = gate
        self._columns = columns
        self._colored = colored
        self._height = 0
        self._look: Look | None = None

    def tick(self, elapsed: float) -> None:
        if self._look is None:
            self._draw([settling(self._gate, elapsed)] if elapsed < 0 else [])
        else:
            self._draw(self._block(replace(self._look, at_seconds=max(elapsed, self._look.at_seconds))))

    def look(self, look: Look) -> None:
        self._look = look
        self._draw(self._block(look))

    def end(self, look: Look | None) -> None:
        """Leave the block as the last look had it."""
        if look is not None:
            self._draw(self._block(look))
        self._height = 0

    def _block(self, look: Look) -> list[str]:
        width = self._columns() - 1
        share = min(1.0, look.at_seconds / self._gate["window_seconds"]) if self._gate["window_seconds"] else 1.0
        bar = "#" * round(share * BAR_WIDTH) + "." * (BAR_WIDTH - round(share * BAR_WIDTH))
        table = rows(look)
        lines = [f"[{bar}] {_titled(look, self._gate)}"[:width]]
        for (_id, state, *_rest), text in zip(table, aligned(table), strict=True):
            lines.append(_paint(f"  {text}"[:width], state.split(" ")[0], self._colored))
        return lines

    def _draw(self, lines: list[str]) -> None:
        if not lines:
            return
        # One message, so that nothing of another host can come between the steps back and the new block.
        back = f"\x1b[{self._height}A\r\x1b[J" if self._height else ""
        self._show(back + "\n".join(lines))
        self._height = len(lines)


class Quiet:
    """Nothing at all."""

    def tick(self, elapsed: float) -> None: ...

    def look(self, look: Look) -> None: ...

    def end(self, look: Look | None) -> None: ...


def settling(gate: Mapping[str, Any], elapsed: float) -> str:
    return f"{gate['id']}  settling, the window of {clock(gate['window_seconds'])} begins in {clock(-elapsed + 0.999)}"


def aligned(table: list[tuple[str, str, str, str, str]]) -> list[str]:
    """The rows as columns: state, check, value, limit, evidence."""
    ordered = [(state, check_id, value, limit, behind) for check_id, state, value, limit, behind in table]
    widths = [max((len(row[column]) for row in ordered), default=0) for column in range(4)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]).rstrip() for row in ordered]


def _titled(look: Look, gate: Mapping[str, Any]) -> str:
    return f"{headline(look, gate)}  [{look.verdict}{': ' + look.reason if look.reason else ''}]"


def _paint(text: str, state: str, colored: bool) -> str:
    return f"\x1b[{COLORS.get(state, 0)}m{text}\x1b[0m" if colored else text


def terminal_of(pid: int, environment: Mapping[str, str]) -> str | None:
    """The path of the terminal that the process writes to and somebody watches, or None."""
    if any(environment.get(name) for name in NOT_WATCHED) or environment.get("TERM", "dumb") == "dumb":
        return None
    try:
        path = str(Path(f"/proc/{pid}/fd/1").readlink())
        if not path.startswith("/dev/"):
            return None
        terminal = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return path if os.isatty(terminal) else None
    finally:
        os.close(terminal)


def last_words(pid: int) -> Show:
    """Writes where ansible-playbook itself writes its errors: when it is ending, nobody shows what a worker has to say."""
    try:
        # Not blocking, since a pipe may be full; and a terminal must not become this worker's own.
        stream = os.open(f"/proc/{pid}/fd/2", os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return lambda _text: None

    def show(text: str) -> None:
        with contextlib.suppress(OSError):
            os.write(stream, f"\n{text}\n".encode())

    return show


def columns_of(path: str) -> int:
    """The terminal's width now."""
    try:
        terminal = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return shutil.get_terminal_size().columns
    try:
        return os.get_terminal_size(terminal).columns or 80
    except OSError:
        return 80
    finally:
        os.close(terminal)


def wants_color(environment: Mapping[str, str], nocolor_setting: bool) -> bool:
    """NO_COLOR (any text) and ansible's own setting both say no."""
    return not environment.get("NO_COLOR") and not nocolor_setting
