# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is rolled out: healthy candidates, broken ones, and those of the promotion curve."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.decisions_model.plan import Step
from benchmarks.decisions_model.streams import BIN, MINUTE, Array, Candidate, Fault

# What the default plan allows: errors, requests slower than 200 ms (p95), failed probes.
ERRORS, SLOW, DOWN = 0.001, 0.05, 0.001
HOUR = 3600


def _of_limits(name: str, part: float, **more: object) -> Candidate:
    return Candidate(name, part * ERRORS, part * SLOW, part * DOWN, **more)


HEALTHY = (
    _of_limits("half of the limits, steady", 1 / 2, world=False),
    _of_limits("half of the limits", 1 / 2),
    _of_limits("a quarter of the limits", 1 / 4),
    _of_limits("a tenth of the limits", 1 / 10),
)


# What a fault adds, as functions that worker processes can be sent.


def _constant(at: Array, _step: Step, _rng: np.random.Generator, _runs: int, *, points: float) -> Array:
    return np.full(len(at), points / 100)


def _growing(at: Array, step: Step, _rng: np.random.Generator, _runs: int, *, points_an_hour: float) -> Array:
    """It grows on from step to step, as what leaks in a process does."""
    return points_an_hour / 100 * (step.starts_at + at) / HOUR


def _from_80_percent(at: Array, step: Step, _rng: np.random.Generator, _runs: int, *, points: float, last: bool) -> Array:
    """It begins in the first window or in the last, and stays."""
    if last:
        return points / 100 * (at >= 0.8 * step.window if step.weight == 1 else np.zeros(len(at)))
    return points / 100 * (at >= 0.8 * step.window if step.starts_at == 0 else np.ones(len(at)))


def _one_symbol(at: Array, _step: Step, rng: np.random.Generator, runs: int, *, requests: float, failing: float) -> Array:
    """One symbol has this share of the requests on average, busy in some minutes and quiet in others; so many of its requests fail."""
    minutes = -(-len(at) * BIN // MINUTE)
    busy = rng.lognormal(-0.5, 1.0, (runs, minutes))
    return failing * np.minimum(requests * np.repeat(busy, MINUTE // BIN, axis=1)[:, : len(at)], 1.0)


def _fault(name: str, counts: str, added: Callable[..., Array], **settings: float) -> Fault:
    return Fault(name, counts, partial(added, **settings))


FAULTS = (
    *(_fault(f"errors +{points:g} points", "errors", _constant, points=points) for points in (0.2, 0.5, 1, 5, 50)),
    *(_fault(f"slow +{points:g} points", "slow", _constant, points=points) for points in (5, 10, 20, 50)),
    _fault("leak: errors +1 point an hour", "errors", _growing, points_an_hour=1),
    _fault("leak: slow +10 points an hour", "slow", _growing, points_an_hour=10),
    _fault("errors +5 points after 80 % of the first window", "errors", _from_80_percent, points=5, last=False),
    _fault("errors +5 points after 80 % of the last window", "errors", _from_80_percent, points=5, last=True),
    _fault("slow +20 points after 80 % of the last window", "slow", _from_80_percent, points=20, last=True),
    _fault("one symbol of 50 fails half of its requests", "errors", _one_symbol, requests=0.02, failing=0.5),
)
BROKEN = tuple(_of_limits(fault.name, 1 / 5, fault=fault) for fault in FAULTS)

# The promotion curves: true shares of errors, or of failed probes, in multiples of the limit. Nothing else is wrong with those candidates.
CURVE = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
ERROR_CURVE = tuple(Candidate(f"errors at {part:g} of the limit", part * ERRORS, SLOW / 10, 0.0) for part in CURVE)
PROBE_CURVE = tuple(Candidate(f"failed probes at {part:g} of the limit", ERRORS / 10, SLOW / 10, part * DOWN) for part in CURVE)
