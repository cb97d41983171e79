# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the proposals ask of Prometheus: series on a grid of evaluations, in bounded answers, and what could not be had in words."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ansible_collections.levibot.transition.plugins.module_utils.http import HttpError
from ansible_collections.levibot.transition.plugins.module_utils.sources.prometheus import Counted, Labels, Prometheus, increases
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import NothingThereError, UnusableError, Window

# Prometheus gives at most 11,000 points of a series in one answer.
POINTS_AT_ONCE = 10_000
MOST_SERIES = 200

Series = dict[Labels, dict[int, float]]
T = TypeVar("T")


@dataclass(frozen=True)
class Grid:
    """The evaluations of a period: number ``i`` is at ``start + (i + 1) * step``. All in milliseconds."""

    start_ms: int
    step_ms: int
    evaluations: int

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.step_ms * self.evaluations

    @property
    def step_seconds(self) -> float:
        return self.step_ms / 1000

    def span(self, begin: float, end: float) -> tuple[int, int]:
        """Epoch seconds to the numbers of the evaluations from the last before them to the first after."""
        return math.floor((begin * 1000 - self.start_ms) / self.step_ms) - 1, math.ceil((end * 1000 - self.start_ms) / self.step_ms) - 1


def grid_of(started_at: float, ended_at: float, interval_seconds: float, max_points: int) -> Grid:
    """An evaluation each interval, or as much rarer as is needed to have at most ``max_points``; of a period that is shorter, one."""
    span_ms, step_ms = max(1, round((ended_at - started_at) * 1000)), max(1, round(interval_seconds * 1000))
    step_ms = min(step_ms * max(1, math.ceil(span_ms / step_ms / max_points)), span_ms)
    start_ms = round(started_at * 1000)
    return Grid(start_ms, step_ms, span_ms // step_ms)


@dataclass
class Asker:
    """Asks, and keeps what went wrong: a metric that cannot be had costs its own proposals only.

    deadline_seconds: for all questions together; each has the client's time-out besides.
    """

    prometheus: Prometheus
    grid: Grid
    deadline_seconds: float
    clock: Callable[[], float] = time.monotonic
    problems: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.until = self.clock() + self.deadline_seconds

    def series(self, what: str, query: str) -> list[dict[int, float]] | None:
        """The series of a query in the order of their labels, without NaN. None where it could not be asked."""
        found = self.labelled(what, query)
        return None if found is None else [found[key] for key in sorted(found)]

    def labelled(self, what: str, query: str) -> Series | None:
        return self.tried(what, query, lambda: self._grid(query))

    def counted(self, what: str, selector: str) -> Counted | None:
        """How much each counter grew over the period."""
        window = Window(self.grid.start_ms / 1000, self.grid.end_ms / 1000, "", "", self.until)
        return self.tried(what, selector, lambda: increases(self.prometheus, window, selector)[0])

    def tried(self, what: str, query: str, ask: Callable[[], T]) -> T | None:
        """What ``ask`` returns, or None with a problem kept."""
        try:
            return ask()
        except (HttpError, UnusableError, NothingThereError) as problem:
            self.problems.append({"what": what, "query": query, "problem": str(problem)})
        except Exception as problem:  # an answer of an unforeseen shape
            said = f"the answer could not be read ({type(problem).__name__}: {str(problem)[:100]})"
            self.problems.append({"what": what, "query": query, "problem": said})
        return None

    def _grid(self, query: str) -> Series:
        together: Series = {}
        for first in range(0, self.grid.evaluations, POINTS_AT_ONCE):
            start = self.grid.start_ms + first * self.grid.step_ms
            count = min(POINTS_AT_ONCE, self.grid.evaluations - first)
            for key, points in self.prometheus.grid(query, start, self.grid.step_ms, count, self.until).items():
                mine = together.setdefault(key, {})
                mine.update({first + index: value for index, value in points.items() if not math.isnan(value)})
            if len(together) > MOST_SERIES:
                raise UnusableError(f"the query gives more than {MOST_SERIES} series: aggregate them")
        return {key: points for key, points in together.items() if points}
