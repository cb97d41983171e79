# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated traffic of both slots through one step of a rollout: how many requests, errors, slow requests and failed probes there were.

Both slots live in one world: traffic that swells and ebbs over the day, noise from minute to minute, and bursts in which a database
fails over or an exchange reconnects and, for some seconds, many requests fail in either slot. All of these change *when* a healthy
candidate's requests are bad, not how many: they are scaled so that the mean over the window, weighted by traffic, is the share that the
candidate is said to have. On top of that, a broken candidate has a fault of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.decisions_model.plan import Step

Array = np.ndarray

# Counts are kept for bins of this many seconds, which divides the intervals between looks.
BIN = 5
DAY = 86_400.0
MINUTE = 60

# The world. Traffic and bad shares swing by this much over a day, each with a phase of its own.
DRIFT = 0.3
# Noise is log-normal and forgets itself in NOISE_MINUTES; sigma of traffic, and of the bad shares.
TRAFFIC_NOISE, SHARE_NOISE, NOISE_MINUTES = 0.1, 0.2, 5
# Bursts come at random, one in BURST_EVERY seconds on average, last from 5 to 15 seconds, and hold this part of all that is bad: at a
# mean of 0.05 % errors, one request in thirty fails in them.
BURST_EVERY, BURST_SECONDS = 1800.0, (5.0, 15.0)
BURST_ERRORS, BURST_SLOW = 0.4, 0.1

# A histogram's bounds in seconds, from the smallest that the baseline check looks at, and how many requests are slower than each, in
# multiples of those slower than 200 ms (which is interpolated between the first two, as the gate does it).
BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SLOW = 0.2
TAIL = (1.8, 0.6, 0.2, 0.06, 0.01, 0.003, 0.001)


@dataclass(frozen=True)
class Traffic:
    """Requests a second in both slots together, on average over the days, and probes a second of each slot."""

    per_second: float
    probes_per_second: int = 5


@dataclass(frozen=True)
class Fault:
    """What is wrong with a candidate.

    counts: what its bad requests are: ``errors`` or ``slow``.
    added: what the fault adds to their share, ``[bin]`` or ``[run, bin]``, from the seconds since the step began, the step, a generator and
        the number of runs.
    """

    name: str
    counts: str
    added: Callable[[Array, Step, np.random.Generator, int], Array | float]


@dataclass(frozen=True)
class Candidate:
    """errors, slow, down: the shares of requests that fail, that take longer than 200 ms, and of probes that fail, in both slots.

    world: whether there are drift, noise and bursts. fault: the candidate's own, if any.
    """

    name: str
    errors: float
    slow: float
    down: float
    world: bool = True
    fault: Fault | None = None


@dataclass(frozen=True)
class Slot:
    """Counts since the step began, with a zero in front: ``[run, bin]``, ``over`` is ``[bound, run, bin]``."""

    total: Array
    errors: Array
    over: Array
    probes_failed: Array


@dataclass(frozen=True)
class Streams:
    """Many runs of one step."""

    step: Step
    candidate: Slot
    stable: Slot
    probes_per_second: int
    _slow: dict[tuple[int, float], Array] = field(default_factory=dict, compare=False, repr=False)

    @property
    def runs(self) -> int:
        return len(self.candidate.total)

    @property
    def probes(self) -> Array:
        """Of either slot since the step began: ``[run, bin]``."""
        made = self.probes_per_second * BIN * np.arange(self.candidate.total.shape[1])
        return np.broadcast_to(made, self.candidate.total.shape)

    def bad(self, counts: str) -> Array:
        """The candidate's bad requests, errors or those slower than 200 ms: ``[run, bin]``."""
        return self.candidate.errors if counts == "errors" else self.slow(self.candidate, SLOW)

    def slow(self, slot: Slot, limit: float) -> Array:
        """Requests slower than the limit, interpolated in the bucket that holds it, as Prometheus does it: ``[run, bin]``."""
        key = (id(slot), limit)
        if key not in self._slow:
            share = (limit - BOUNDS[0]) / (BOUNDS[1] - BOUNDS[0])
            self._slow[key] = slot.over[0] + (slot.over[1] - slot.over[0]) * share
        return self._slow[key]


def simulate(rng: np.random.Generator, candidate: Candidate, step: Step, traffic: Traffic, runs: int) -> Streams:
    """This many runs of a step."""
    at = np.arange(0, step.seconds, BIN, dtype=float)
    world = _World(rng, at, step, runs) if candidate.world else _Steady(runs, len(at))
    requests = traffic.per_second * BIN * world.traffic
    added = candidate.fault.added(at, step, rng, runs) if candidate.fault else 0.0
    shares = {
        "errors": world.spread(candidate.errors, BURST_ERRORS),
        "slow": world.spread(candidate.slow, BURST_SLOW),
        "down": world.spread(candidate.down, BURST_ERRORS),
    }
    broken = {**shares, candidate.fault.counts: shares[candidate.fault.counts] + added} if candidate.fault else shares
    probes = traffic.probes_per_second
    slots = _slot(rng, step.weight * requests, broken, probes), _slot(rng, (1 - step.weight) * requests, shares, probes)
    return Streams(step, *slots, probes)


def _slot(rng: np.random.Generator, requests: Array, shares: dict[str, Array], probes_per_second: int) -> Slot:
    total = rng.poisson(requests)
    slowest = np.minimum(TAIL[0] * shares["slow"], 1.0)
    over = [rng.binomial(total, slowest)]
    for bound in range(1, len(TAIL)):
        over.append(rng.binomial(over[-1], TAIL[bound] / TAIL[bound - 1]))
    probes = np.full(total.shape, BIN * probes_per_second)
    errors, failed = rng.binomial(total, np.minimum(shares["errors"], 1.0)), rng.binomial(probes, np.minimum(shares["down"], 1.0))
    return Slot(_since_start(total), _since_start(errors), np.stack([_since_start(counts) for counts in over]), _since_start(failed))


def _since_start(counts: Array) -> Array:
    return np.concatenate([np.zeros((len(counts), 1), dtype=np.int64), np.cumsum(counts, axis=1)], axis=1)


class _Steady:
    def __init__(self, runs: int, bins: int) -> None:
        self.traffic = np.ones((runs, bins))

    def spread(self, share: float, _in_bursts: float) -> Array:
        return share * self.traffic


class _World:
    """Drift, noise and bursts of each run, the same for both slots."""

    def __init__(self, rng: np.random.Generator, at: Array, step: Step, runs: int) -> None:
        self._window = at < step.window
        self.traffic = _drift(rng, at, runs) * _noise(rng, TRAFFIC_NOISE, len(at), runs)
        self._shape = _drift(rng, at, runs) * _noise(rng, SHARE_NOISE, len(at), runs)
        # 1 on average.
        self._bursts = _bursts(rng, at, runs) * BURST_EVERY / (sum(BURST_SECONDS) / 2)

    def spread(self, share: float, in_bursts: float) -> Array:
        """The bad share over time, `share` on average over the window: ``[run, bin]``."""
        shape = self._shape * (1 - in_bursts + in_bursts * self._bursts)
        return share * shape / _mean(shape, self.traffic, self._window)


def _drift(rng: np.random.Generator, at: Array, runs: int) -> Array:
    return 1 + DRIFT * np.sin(2 * np.pi * at / DAY + rng.uniform(0, 2 * np.pi, (runs, 1)))


def _mean(values: Array, weights: Array, window: Array) -> Array:
    return ((values * weights)[:, window].sum(axis=1) / weights[:, window].sum(axis=1))[:, None]


def _noise(rng: np.random.Generator, sigma: float, bins: int, runs: int) -> Array:
    """Log-normal with mean 1, a first-order autoregression over minutes."""
    minutes = -(-bins * BIN // MINUTE)
    keep = np.exp(-1 / NOISE_MINUTES)
    steps = rng.normal(0, sigma, (runs, minutes))
    value = np.empty_like(steps)
    value[:, 0] = steps[:, 0]
    for minute in range(1, minutes):
        value[:, minute] = keep * value[:, minute - 1] + np.sqrt(1 - keep**2) * steps[:, minute]
    return np.repeat(np.exp(value - sigma**2 / 2), MINUTE // BIN, axis=1)[:, :bins]


def _bursts(rng: np.random.Generator, at: Array, runs: int) -> Array:
    """Which part of each bin lies in a burst: ``[run, bin]``."""
    inside = np.zeros((runs, len(at)))
    span = at[-1] + BIN
    for run, count in enumerate(rng.poisson(span / BURST_EVERY, runs)):
        for start, length in zip(rng.uniform(0, span, count), rng.uniform(*BURST_SECONDS, count), strict=True):
            inside[run] += np.clip(np.minimum(at + BIN, start + length) - np.maximum(at, start), 0, BIN) / BIN
    return np.minimum(inside, 1.0)
