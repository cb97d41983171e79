# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This collection's engine: the very judge that the gate uses, fed with samples of the simulated streams at its own looks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ansible_collections.levibot.transition.plugins.module_utils.gates.evidence import ODDS, PARTS
from ansible_collections.levibot.transition.plugins.module_utils.gates.judge import Judge, next_look_at
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import PASS
from ansible_collections.levibot.transition.plugins.module_utils.samples import OK, Sample, no_data
from benchmarks.decisions_model.streams import BIN, BOUNDS, Array, Streams

# How far below proof the evidence may be for a stream to be judged look by look: far more than rounding.
MARGIN = 0.01
NOTHING = no_data("no events in the window so far", 1.0)


def judge(streams: Streams, alive: Array) -> tuple[Array, Array]:
    """For each run that is alive: whether its gate passed, and when it was decided in seconds since the window began.

    Looks that come nowhere near proof, in the whole window or in one of its parts, cannot decide: they are skipped up to the next end
    of a part. That is exact, and the tests compare it with judging all looks.
    """
    passed, ended = np.zeros(streams.runs, dtype=bool), np.full(streams.runs, np.nan)
    skip_after = _last_near_proof(streams)
    for run in np.flatnonzero(alive):
        passed[run], ended[run] = judge_run(streams, run, skip_after[run])
    return passed, ended


def judge_run(streams: Streams, run: int, skip_after: float) -> tuple[bool, float]:
    """Look at one run until its gate is decided; between this second and the window's end only where a part of it ends."""
    gate, window = streams.step.gate, float(streams.step.window)
    judge, look = Judge(gate), None
    while judge.verdict is None:
        at = next_look_at(gate, look)
        if skip_after < at < window:
            at = math.ceil(at / (window / PARTS)) * (window / PARTS)
        look = judge.look(at, samples(streams, run, round(at / BIN)))
    return judge.verdict.verdict == PASS, judge.verdict.at_seconds


def samples(streams: Streams, run: int, at: int) -> dict[str, Sample]:
    """What the sources would have measured at the end of this many bins."""
    return {check["id"]: _sample(streams, check, run, at) for check in streams.step.gate["checks"]}


def _sample(streams: Streams, check: Mapping[str, Any], run: int, at: int) -> Sample:
    counts = counted(streams, check, np.s_[run, at])
    if not counts[0][1]:
        return NOTHING
    if check["kind"] != "baseline":
        bad, total = counts[0]
        return Sample(status=OK, bad=float(bad), total=float(total))
    keys = ("bad", "total", "base_bad", "base_total")
    return Sample(
        status=OK,
        pairs=tuple(
            {"at": f"{bound:g}", **dict(zip(keys, map(float, four), strict=True))} for bound, four in zip(BOUNDS, counts, strict=True)
        ),
    )


def counted(streams: Streams, check: Mapping[str, Any], where: Any) -> list[tuple[Array, ...]]:
    """(bad, total) since the window began, at these indices of ``[run, bin]``; of a baseline all four counts for each bound."""
    slot, stable = streams.candidate, streams.stable
    total = slot.total[where]
    if check["kind"] == "baseline":
        return [(over[where], total, base[where], stable.total[where]) for over, base in zip(slot.over, stable.over, strict=True)]
    if check["kind"] == "quantile":
        return [(streams.slow(slot, float(check["condition"]["limit"]))[where], total)]
    if "samples" in check:
        return [(slot.probes_failed[where], streams.probes[where])]
    return [(slot.errors[where], total)]


def _last_near_proof(streams: Streams) -> Array:
    """The last look before the window's end at which a run comes near proof by one of the checks, in the whole window or in a part of it.

    0 where none does; infinity where that is so after the window's end, since the judge must have seen all looks then.
    """
    step, interval = streams.step, streams.step.gate["interval_seconds"]
    looks = np.arange(interval, step.seconds + 1, interval)
    part = step.window / PARTS
    began = np.minimum(np.ceil(looks / part) - 1, PARTS - 1) * part
    near = np.zeros((streams.runs, len(looks)), dtype=bool)
    for check in step.gate["checks"]:
        now = counted(streams, check, np.s_[:, _bins(looks)])
        near |= _near(check, now)
        if check["kind"] != "baseline":
            before = counted(streams, check, np.s_[:, _bins(began)])[0]
            near |= _near(check, [tuple(late - early for late, early in zip(now[0], before, strict=True))])
    last = np.where(near, looks, 0).max(axis=1)
    return np.where(last >= step.window, np.inf, last)


def _bins(seconds: Array) -> Array:
    return np.rint(seconds / BIN).astype(int)


def _near(check: Mapping[str, Any], counts: list[tuple[Array, ...]]) -> Array:
    evidence = np.logaddexp.reduce([_log_evidence(check, *count) for count in counts]) - math.log(len(counts))
    return evidence >= -math.log(float(check["alpha"])) - MARGIN


def _log_evidence(
    check: Mapping[str, Any], bad: Array, total: Array, base_bad: Array | None = None, base_total: Array | None = None
) -> Array:
    limit = float(check["condition"]["limit"])
    if check["kind"] == "baseline":
        weighed = (1 + limit) * total
        p0 = np.where(weighed + base_total > 0, weighed / np.maximum(weighed + base_total, 1), 1.0)
        total = bad + base_bad
    elif check["kind"] == "quantile":
        p0 = 1 - float(check["quantile"])
    else:
        p0 = 1 - limit if check["of"] == "good" else limit
    good = np.maximum(total - bad, 0)
    logs = [bad * np.log(odds) - (bad + good) * np.log1p(p0 * (odds - 1)) for odds in ODDS]
    return np.logaddexp.reduce(logs) - math.log(len(ODDS))
