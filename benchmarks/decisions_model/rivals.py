# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules that the field uses, written anew from their documentation and sources, for many simulated runs at once.

All of them see what the plan's gates see, step by step: failed probes, errors, and from step 2 on p95, which is under its limit exactly
when at most 5 % of the requests are slower. Each has its documented settings, and a grid of others to search for its best. Settings
that they share:

- rate_over: seconds over which a share is taken at an instant (``rate(...[1m])``), or 0 for since the step began. A range that would
  reach back before the step is cut there, which only does them good.
- times: the limits are so many times the plan's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import ClassVar, Protocol

import numpy as np

from benchmarks.decisions_model.plan import Step
from benchmarks.decisions_model.streams import BIN, MINUTE, Array, Slot, Streams

RATES = (60, 300, 900, 0)
TIMES = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
# Of Kayenta: values of a series, and judgements in a window of days.
MOST_VALUES = 120
MOST_JUDGEMENTS = 24
NEVER = np.iinfo(np.int64).max


@dataclass
class Outcome:
    """Of each run in one step: the bin in which it was aborted (NEVER: it was not), and the one in which the step was done."""

    aborted: Array
    done: Array


class View:
    """What the rules ask of one step's streams, computed once."""

    def __init__(self, streams: Streams, before: View | None) -> None:
        self.streams, self.before = streams, before
        self._over: dict[tuple[int, float], dict[str, Array]] = {}
        self._counted: dict[tuple[int, float], dict[str, Array]] = {}

    @property
    def step(self) -> Step:
        return self.streams.step

    @property
    def bins(self) -> int:
        return self.step.window // BIN

    @cached_property
    def series(self) -> Series:
        return Series(self)

    def measures(self, slot: Slot | None = None) -> dict[str, tuple[Array, Array, float]]:
        """By name: bad events, all events, and the share of them that may be bad."""
        slot, limits = slot or self.streams.candidate, self.step.limits
        found = {
            "down": (slot.probes_failed, self.streams.probes, 1 - limits["api_uptime"]),
            "errors": (slot.errors, slot.total, limits["error_rate"]),
        }
        if "latency_p95" in limits:
            found["slow"] = (self.streams.slow(slot, limits["latency_p95"]), slot.total, 0.05)
        return found

    def over(self, rate_over: int, times: float) -> dict[str, Array]:
        """By measure: where the share is not under its limit, or there is none since nothing came: ``[run, bin]``."""
        key = (rate_over, times)
        if key not in self._over:
            self._over[key] = {
                name: _not_under(bad, total, min(limit * times, 1.0), rate_over) for name, (bad, total, limit) in self.measures().items()
            }
        return self._over[key]

    def counted_over(self, rate_over: int, times: float) -> dict[str, Array]:
        """The same, counted since the step began."""
        key = (rate_over, times)
        if key not in self._counted:
            self._counted[key] = {name: np.cumsum(over, axis=1, dtype=np.int32) for name, over in self.over(rate_over, times).items()}
        return self._counted[key]


def _not_under(bad: Array, total: Array, limit: float, rate_over: int) -> Array:
    bad, total = (_within(counts, rate_over) for counts in (bad, total))
    return (bad >= limit * total) | (total == 0)


def _within(counts: Array, rate_over: int) -> Array:
    """How much a counter grew in the last seconds before each bin's end."""
    back = rate_over // BIN
    if not back or back >= counts.shape[1]:
        return counts
    grown = counts.copy()
    grown[:, back:] -= counts[:, :-back]
    return grown


def _first(where: Array, bins: Array) -> Array:
    """The bin of the first column that is true, or NEVER."""
    return np.where(where.any(axis=1), bins[where.argmax(axis=1)], NEVER)


@dataclass(frozen=True)
class UriUntil:
    """``ansible.builtin.uri`` with ``until`` at each look: a query that is not under its limit is tried again, and fails when no try was.

    Defaults of ansible-core: 3 retries, 5 seconds apart. A look a minute. NaN is not under a limit, and neither is an empty answer.
    """

    name: ClassVar[str] = "uri + until"
    rate_over: int = 60
    times: float = 1.0
    retries: int = 3

    @staticmethod
    def grid() -> Iterator[UriUntil]:
        for rate_over, times, retries in itertools.product(RATES, TIMES, (0, 3, 11, 23, 47, 95)):
            yield UriUntil(rate_over, times, retries)

    def judge(self, view: View, _memory: dict[str, Array]) -> Outcome:
        looks = np.arange(MINUTE // BIN, view.bins + 1, MINUTE // BIN)
        aborted = np.full(view.streams.runs, NEVER)
        for counted in view.counted_over(self.rate_over, self.times).values():
            ends = np.minimum(looks + self.retries, counted.shape[1] - 1)
            all_over = counted[:, ends] - counted[:, looks - 1] == ends - looks + 1
            aborted = np.minimum(aborted, _first(all_over, ends))
        return Outcome(aborted, np.full(view.streams.runs, view.bins))


@dataclass(frozen=True)
class Flagger:
    """Flagger's canary analysis: a check a minute, all metrics in a row; each check that fails is counted, over all steps.

    Once ``threshold`` checks have failed, the next minute rolls back. A weight advances only with a check that does not fail. No
    traffic is a failed check. Its example has threshold 5, and wants 99 % success and p99 under 500 ms over a minute (``example``).
    """

    name: ClassVar[str] = "Flagger"
    rate_over: int = 60
    times: float = 1.0
    threshold: int = 5
    example: bool = False

    @staticmethod
    def grid() -> Iterator[Flagger]:
        for rate_over, times, threshold in itertools.product(RATES, TIMES, (1, 2, 3, 5, 8, 12, 20, 40)):
            yield Flagger(rate_over, times, threshold)

    def judge(self, view: View, memory: dict[str, Array]) -> Outcome:
        runs, each = view.streams.runs, MINUTE // BIN
        checks = np.arange(each, view.streams.candidate.total.shape[1], each)
        failed = np.logical_or.reduce([over[:, checks] for over in self._over(view).values()])
        counted = memory.get("failed", np.zeros(runs, dtype=int))[:, None] + np.cumsum(failed, axis=1)
        reached = counted >= self.threshold
        # The check after the one that reached the threshold sees it, and rolls back.
        rolled_back = _first(np.pad(reached[:, :-1], ((0, 0), (1, 0))), checks)
        advances = ~failed & (checks >= view.bins)
        done = _first(advances, checks)
        memory["failed"] = np.where(advances.any(axis=1), counted[np.arange(runs), advances.argmax(axis=1)], counted[:, -1])
        # A step that has not had its good check when the streams end is taken for rolled back then.
        never_done = done == NEVER
        aborted = np.where(rolled_back <= done, rolled_back, NEVER)
        return Outcome(np.where(never_done, np.minimum(aborted, checks[-1]), aborted), np.where(never_done, checks[-1], done))

    def _over(self, view: View) -> dict[str, Array]:
        if not self.example:
            return view.over(self.rate_over, self.times)
        slot = view.streams.candidate
        return {
            "errors": _not_under(slot.errors, slot.total, 0.01, self.rate_over),
            "slow": _not_under(slot.over[2], slot.total, 0.01, self.rate_over),
        }


@dataclass(frozen=True)
class Argo:
    """Argo Rollouts: an AnalysisRun in each step, each metric measured at an interval over the window.

    More than ``failure_limit`` failed measurements of one metric (0 unless set) abort. NaN fails, since it meets no success condition;
    nothing is inconclusive, since there is only that condition, and no query errs here (``consecutiveErrorLimit``). Its example wants 95 %
    success over five minutes, every five minutes, with failureLimit 3 (``example``).
    """

    name: ClassVar[str] = "Argo Rollouts"
    rate_over: int = 60
    times: float = 1.0
    failure_limit: int = 0
    interval: int = 60
    example: bool = False

    @staticmethod
    def grid() -> Iterator[Argo]:
        for rate_over, times, limit, interval in itertools.product(RATES, TIMES, (0, 1, 2, 3, 5, 8, 12, 20), (60, 300)):
            yield Argo(rate_over, times, limit, interval)

    def judge(self, view: View, _memory: dict[str, Array]) -> Outcome:
        each = self.interval // BIN
        measured = np.arange(each, view.bins + 1, each)
        aborted = np.full(view.streams.runs, NEVER)
        for failed in self._over(view).values():
            aborted = np.minimum(aborted, _first(np.cumsum(failed[:, measured], axis=1) > self.failure_limit, measured))
        return Outcome(aborted, np.full(view.streams.runs, view.bins))

    def _over(self, view: View) -> dict[str, Array]:
        if not self.example:
            return view.over(self.rate_over, self.times)
        slot = view.streams.candidate
        return {"errors": _not_under(slot.errors, slot.total, 0.05, self.rate_over)}


@dataclass(frozen=True)
class Kayenta:
    """Kayenta's NetflixACAJudge: candidate against stable, each measure a series of one value a minute, by the Mann-Whitney test.

    A measure fails when the lower end of the confidence interval of the difference is above ``tolerance`` times the size of its
    (Hodges-Lehmann) estimate and the ratio of the means is at least ``increase``. The score is the share of measures that do not fail:
    under 75 (marginal) at an interval aborts, and at the end of the window it takes 95 (pass). The series have grown since the step
    began; stable's of the step before serve where stable has no traffic (its baseline offset).
    """

    name: ClassVar[str] = "Kayenta"
    interval: int = 1800
    tolerance: float = 0.25
    confidence: float = 0.98
    increase: float = 1.0
    marginal: ClassVar[float] = 75
    passing: ClassVar[float] = 95

    @staticmethod
    def grid() -> Iterator[Kayenta]:
        for settings in itertools.product((600, 1800), (0.1, 0.25, 0.5, 0.8), (0.95, 0.98, 0.99, 0.999), (1.0, 1.2, 1.5, 2.0, 3.0)):
            yield Kayenta(*settings)

    def judge(self, view: View, _memory: dict[str, Array]) -> Outcome:
        every = max(self.interval, view.step.window // MOST_JUDGEMENTS // MINUTE * MINUTE) // BIN
        points = np.arange(every, view.bins, every)
        aborted = np.full(view.streams.runs, NEVER)
        for at in (*points, view.bins):
            failing = [self._fails(comparison) for comparison in view.series.until(int(at))]
            score = 100 * (1 - np.mean(failing, axis=0))
            now = score < (self.marginal if at < view.bins else self.passing)
            aborted = np.where((aborted == NEVER) & now, at, aborted)
        return Outcome(aborted, np.full(view.streams.runs, view.bins))

    def _fails(self, comparison: Comparison) -> Array:
        return (comparison.lower(self.confidence) > self.tolerance * np.abs(comparison.estimate)) & (comparison.ratio >= self.increase)


class Comparison:
    """Two samples of many runs, ``[run, value]``: what the Mann-Whitney test says of their difference."""

    def __init__(self, experiment: Array, control: Array) -> None:
        n, m = experiment.shape[1], control.shape[1]
        differences = (experiment[:, :, None] - control[:, None, :]).reshape(len(experiment), n * m).astype(np.float32)
        self._differences = np.sort(differences, axis=1)
        self.estimate = np.median(self._differences, axis=1)
        means = experiment.mean(axis=1), control.mean(axis=1)
        self.ratio = np.where(means[1] > 0, means[0] / np.maximum(means[1], 1e-12), np.where(means[0] > 0, np.inf, 1.0))
        # Ties within a sample (minutes without anything bad) make the statistic vary less.
        ties = sum(np.sum(sample == 0, axis=1).astype(float) ** 3 for sample in (experiment, control))
        self._sigma = np.sqrt(n * m / 12 * np.maximum(n + m + 1 - ties / ((n + m) * (n + m - 1)), 0))
        self._middle = n * m / 2
        self._lower: dict[float, Array] = {}

    def lower(self, confidence: float) -> Array:
        """The lower end of the two-sided confidence interval of the shift, by the normal approximation, corrected for continuity."""
        if confidence not in self._lower:
            z = NormalDist().inv_cdf((1 + confidence) / 2)
            rank = np.floor(self._middle - z * self._sigma - 0.5).astype(int)
            self._lower[confidence] = np.where(rank >= 0, self._differences[np.arange(len(rank)), np.maximum(rank, 0)], -np.inf)
        return self._lower[confidence]


class Series:
    """A step's measures in both slots as series of one value a minute, or of several minutes where they would be more than MOST_VALUES."""

    def __init__(self, view: View) -> None:
        self._view = view
        # At 100 % stable has no traffic: the series of the step before it take its place.
        self._base = view if view.step.weight < 1 else view.before
        self._until: dict[int, list[Comparison]] = {}

    def until(self, end: int) -> list[Comparison]:
        """The comparison of each measure from the step's begin to this bin."""
        if end not in self._until:
            base_end = min(end, self._base.bins) if self._base is self._view else self._base.bins
            mine, base = self._view.measures(), self._base.measures(self._base.streams.stable)
            self._until[end] = [
                Comparison(self._values(*mine[name][:2], end), self._values(*base[name][:2], base_end)) for name in mine if name in base
            ]
        return self._until[end]

    @staticmethod
    def _values(bad: Array, total: Array, end: int) -> Array:
        """The bad share of each interval; zero where nothing came (nanStrategy ``replace``, as for errors)."""
        minute = MINUTE // BIN
        edges = np.arange(0, end + 1, minute * math.ceil(end / minute / MOST_VALUES))
        bad, total = np.diff(bad[:, edges], axis=1), np.diff(total[:, edges], axis=1)
        return bad / np.maximum(total, 1)


class Rule(Protocol):
    """A rule with its settings."""

    name: ClassVar[str]

    def judge(self, view: View, memory: dict[str, Array]) -> Outcome:
        """One step of all runs; `memory` is the rule's own from step to step of one rollout."""


DOCUMENTED = {
    "uri + until": UriUntil(),
    "Flagger": Flagger(),
    "Flagger, its example": Flagger(example=True),
    "Argo Rollouts": Argo(),
    "Argo Rollouts, its example": Argo(rate_over=300, interval=300, failure_limit=3, example=True),
    "Kayenta": Kayenta(),
}
RULES = (UriUntil, Flagger, Argo, Kayenta)
