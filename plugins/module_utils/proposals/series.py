# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Series on a grid of evaluations, their quantiles, and the alarms that a rule would have made of them. Pure.

A series is ``{index: value}``: what its expression gave at the evaluation with that number; an index that is missing had no value. One
evaluation is one step, and the step is what a rule's group has as its interval, so that the alarms are those of the rule itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

Points = Mapping[int, float]
# How a quantile is taken, as each file says it.
QUANTILE_METHOD = "nearest rank over all samples of all series: the least sample that at least this share of the samples does not exceed"


@dataclass(frozen=True)
class Alarm:
    """One firing of a rule for one series, in indices: when the condition was first met, and the first and last firing evaluation."""

    active: int
    first: int
    last: int


def quantile(values: Iterable[float], q: float) -> float:
    """By nearest rank, 0 < q <= 1. Raises ValueError where there is no value."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("there are no values")
    # 0.999 of 1000 is 999, and not what binary fractions make of it.
    return ordered[max(1, math.ceil(Fraction(str(q)) * len(ordered))) - 1]


def fewest_samples(q: float) -> int:
    """How many samples a quantile needs so that it is not just the greatest of them."""
    return math.ceil(1 / (1 - Fraction(str(q)))) if q < 1 else 1


def alarms(points: Points, is_bad: Callable[[float], bool], for_seconds: float, step_seconds: float) -> list[Alarm]:
    """As Prometheus does it: pending with the first bad value, firing once that is ``for`` ago, gone with the first good or missing one."""
    waits = math.ceil(Fraction(str(for_seconds)) / Fraction(str(step_seconds)))
    bad = sorted(index for index, value in points.items() if is_bad(value))
    found: list[Alarm] = []
    start = 0
    for number, index in enumerate(bad):
        if number and index != bad[number - 1] + 1:
            start = number
        if number + 1 == len(bad) or bad[number + 1] != index + 1:
            firing = bad[start] + waits
            if firing <= index:
                found.append(Alarm(bad[start], firing, index))
    return found


def covered(series: Iterable[Points], evaluations: int) -> float:
    """The share of the evaluations at which any series has a value."""
    return len({index for points in series for index in points}) / evaluations if evaluations else 0.0
