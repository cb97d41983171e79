# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a kill is made certain, on one instance: pure, with the clock as an argument.

The state of a kill switch may live in the memory of one process, and a release may be unwilling or hang. So nothing counts but what is
read back: on new connections, several times in a row, by every process that serves (where they can be told apart), with no engine
running and no order meanwhile. What disagrees is acted upon on the very connection that showed it, which reaches the same process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

BETWEEN_READS_SECONDS = 0.002
BETWEEN_TRIES_SECONDS = 0.02
LATE = "in the time that there was"
MOST_PRESSING = 16
MOST_EVENTS = 40


@dataclass(frozen=True)
class Reading:
    """What one connection saw.

    killed: None where it cannot be told. running: the engines that run, None where that cannot be told. worker: the process that
    answered, None where that cannot be told. orders: what the books hold, by book, of those that were asked and could be read.
    problem: why something cannot be told, in words. hopeless: no further try can help.
    crashed: the engines that stand still and were not stopped, which a release may restart by itself.
    """

    killed: bool | None = None
    running: tuple[str, ...] | None = None
    worker: int | None = None
    orders: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    hopeless: bool = False
    crashed: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        if self.problem:
            return self.problem
        switch = "unknown" if self.killed is None else "on" if self.killed else "off"
        engines = "unknown" if self.running is None else f"running {', '.join(self.running)}" if self.running else "none running"
        return f"switch {switch}, engines {engines}"


class Instance(Protocol):
    """One API instance, as the procedure needs it. None of this raises for what a network or a server can do."""

    def look(self, *, orders: bool = False, press: int = 0) -> Reading:
        """Read on a new connection, and keep that for `act`. While `press` others keep whoever is first at the door busy."""

    def act(self, seen: Reading, *, on: bool) -> str:
        """Throw or release the switch, and with `on` stop the engines; returns in words what came of it."""

    def workers(self) -> set[int] | None:
        """The processes that serve, None where they cannot be told."""


@dataclass
class Timeline:
    """What happened to one instance, and when; what repeats is counted."""

    clock: Callable[[], float]
    began: float
    events: list[dict[str, Any]] = field(default_factory=list)

    def add(self, event: str) -> None:
        at = round(self.clock() - self.began, 3)
        if self.events and self.events[-1]["event"] == event:
            self.events[-1]["times"] = self.events[-1].get("times", 1) + 1
            self.events[-1]["until_seconds"] = at
        else:
            del self.events[MOST_EVENTS - 1 :]  # how it began, and how it ended
            self.events.append({"at_seconds": at, "event": event})


@dataclass(frozen=True)
class Result:
    """Whether the wanted state was confirmed, whether anything had to be done for it, and the words for it."""

    confirmed: bool
    acted: bool
    reason: str
    first: Reading


@dataclass
class Procedure:
    """One instance until it is confirmed or the time is up.

    reads: how many readings in a row must agree. quiet_seconds: how long they must span. until: of `clock`.
    """

    instance: Instance
    timeline: Timeline
    until: float
    reads: int
    quiet_seconds: float
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def run(self, *, on: bool) -> Result:
        """Throw (or release) until it is read back. What is there already is left alone."""
        first, seen, why = self._series(on=on)
        self.timeline.add(why or "read back as wanted already")
        acted = False
        while why and not seen.hopeless and self.clock() < self.until:
            acted = True
            self.timeline.add(self.instance.act(seen, on=on))
            _first, seen, since = self._series(on=on)
            self.timeline.add(since or "read back as wanted")
            # What was wrong says more than that there was no time left to see it right.
            why = why if since.endswith(LATE) else since
            if why:
                self.sleep(BETWEEN_TRIES_SECONDS)
        if why and seen.hopeless and not acted:
            acted = True
            self.timeline.add(self.instance.act(seen, on=on))  # worth a try, but nothing that could be confirmed
        return Result(not why, acted, why, first)

    def read(self) -> Result:
        """Only look; confirmed where all readings agree."""
        first, _seen, why = self._series(on=None)
        self.timeline.add(why or first.text)
        return Result(not why, False, why, first)

    def _series(self, *, on: bool | None) -> tuple[Reading, Reading, str]:
        """(first reading, last reading, why it is not confirmed; empty where it is). With on None the first one is what is wanted."""
        began = self.clock()
        first = seen = self.instance.look(orders=bool(on))
        workers: set[int] = set()
        count = misses = 0
        while True:
            why = _differs(seen, first.killed if on is None else on, stopped=bool(on))
            if why:
                return first, seen, why
            count += 1
            workers.update(() if seen.worker is None else (seen.worker,))
            enough = count >= self.reads and self.clock() - began >= self.quiet_seconds
            serving = (self.instance.workers() or set()) if enough else set()
            missing = len(serving - workers)
            if enough and not missing:
                break
            if self.clock() >= self.until:
                late = f"{missing} of {len(serving)} processes were not seen to agree" if missing else f"{count} readings agree"
                return first, seen, f"{late} {LATE}"
            self.sleep(BETWEEN_READS_SECONDS)
            misses += 1 if missing else 0
            seen = self.instance.look(press=min(misses, MOST_PRESSING))
        # The books, once more: no order may have come in between.
        seen = self.instance.look(orders=bool(on))
        why = _differs(seen, first.killed if on is None else on, stopped=bool(on))
        followed = sorted(book for book, held in seen.orders.items() if first.orders.get(book, held) != held)
        if not why and followed:
            why = f"an order followed the kill ({', '.join(followed)})"
        return first, seen, why


def _differs(seen: Reading, wanted: bool | None, *, stopped: bool) -> str:
    """Why this reading is not what is wanted, in words."""
    if seen.problem:
        return seen.problem
    if seen.killed is None or seen.killed is not wanted:
        return seen.text
    return seen.text if stopped and seen.running != () else ""
