# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The soak: look at a gate until it is decided. Time, sleep and everything that acts are arguments, so 28 hours pass in a test's second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.judge import Judge, next_look_at
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import Look, Verdict
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample

TICK_SECONDS = 1.0

Samples = dict[str, Sample]


class StoppedError(Exception):
    """The soak has to end before it is decided: the parent is gone, a signal came."""


@dataclass(frozen=True)
class Timing:
    """Wall time says once when the window began; from then on the monotonic clock keeps it, whatever is done to the wall's clock."""

    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Hands:
    """What the soak does to the world.

    ask: (started_at, at) in epoch seconds to the samples of all checks.
    seen: called with each look, its samples and when it was, before anything else happens.
    tick: called at least once a second with the seconds since the window began (negative while the traffic settles).
    guard: called as often; raises StoppedError when it is time to go.
    """

    ask: Callable[[float, float], Samples]
    seen: Callable[[Look, Samples, float], None]
    tick: Callable[[float], None]
    guard: Callable[[], None]


class Soak:
    """One gate's window. ``started_at`` (epoch seconds) continues one that was interrupted; its settle time is over then."""

    def __init__(
        self, gate: dict[str, Any], judge: Judge, hands: Hands, *, started_at: float | None = None, timing: Timing | None = None
    ) -> None:
        self._gate = gate
        self._judge = judge
        self._hands = hands
        self._time = timing or Timing()
        self._resumed = started_at is not None
        since = self._time.wall() - started_at if started_at is not None else -float(gate["settle_seconds"])
        self._zero = self._time.clock() - since
        self.started_at = self._time.wall() - since

    def run(self) -> Verdict:
        """Look on the absolute schedule until the verdict."""
        due = self.elapsed if self._resumed else 0.0
        while True:
            self._wait(due)
            look = self._look()
            if self._judge.verdict:
                return self._judge.verdict
            due = next_look_at(self._gate, look)

    @property
    def elapsed(self) -> float:
        """Seconds since the window began."""
        return self._time.clock() - self._zero

    @property
    def now(self) -> float:
        return self._time.wall()

    def _look(self) -> Look:
        elapsed = max(0.0, self.elapsed)
        at = self.started_at + elapsed
        samples = self._hands.ask(self.started_at, at)
        self._hands.guard()
        look = self._judge.look(elapsed, samples)
        self._hands.seen(look, samples, at)
        return look

    def _wait(self, due: float) -> None:
        while (left := due - self.elapsed) > 0:
            self._hands.guard()
            self._hands.tick(self.elapsed)
            self._time.sleep(min(left, TICK_SECONDS))
        self._hands.guard()
