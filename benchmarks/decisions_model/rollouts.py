# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole rollouts: the same simulated streams, step by step, judged by the engine and by every rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from benchmarks.decisions_model import engine
from benchmarks.decisions_model.plan import Step
from benchmarks.decisions_model.rivals import NEVER, Rule, View
from benchmarks.decisions_model.streams import BIN, Array, Candidate, Streams, Traffic, simulate


@dataclass(frozen=True)
class Result:
    """Of each run: whether the candidate was promoted, the bad requests that it served until then, and the seconds it took."""

    promoted: Array
    served: Array
    seconds: Array


@dataclass(frozen=True)
class Cell:
    """Some runs of one candidate with one kind of traffic."""

    traffic: Traffic
    steps: tuple[Step, ...]
    candidate: Candidate
    runs: int
    seed: int

    def streams(self) -> list[Streams]:
        what = f"{self.candidate.name} {self.traffic} {[step.window for step in self.steps]}"
        rng = np.random.default_rng([self.seed, crc32(what.encode())])
        return [simulate(rng, self.candidate, step, self.traffic, self.runs) for step in self.steps]


def run(cell: Cell, rules: Iterable[Rule]) -> tuple[Result, dict[Rule, Result]]:
    """The engine's results, and each rule's."""
    streams = cell.streams()
    views: list[View] = []
    for step in streams:
        views.append(View(step, views[-1] if views else None))
    return _roll_out(cell, streams, _engine), {rule: _roll_out(cell, views, _rule(rule)) for rule in rules}


def _engine(streams: Streams, alive: Array) -> tuple[Array, Array]:
    passed, seconds = engine.judge(streams, alive)
    return passed, np.rint(np.nan_to_num(seconds) / BIN).astype(int)


def _rule(rule: Rule) -> Callable[[View, Array], tuple[Array, Array]]:
    memory: dict[str, Array] = {}

    def judge(view: View, _alive: Array) -> tuple[Array, Array]:
        outcome = rule.judge(view, memory)
        return outcome.aborted == NEVER, np.minimum(outcome.aborted, outcome.done)

    return judge


def _roll_out(cell: Cell, steps: list[Streams] | list[View], judge: Callable[..., tuple[Array, Array]]) -> Result:
    alive, served, seconds = np.ones(cell.runs, dtype=bool), np.zeros(cell.runs), np.zeros(cell.runs)
    counts = cell.candidate.fault.counts if cell.candidate.fault else "errors"
    for step in steps:
        passed, ended = judge(step, alive)
        bad = (step.streams if isinstance(step, View) else step).bad(counts)
        served[alive] += bad[np.arange(cell.runs), ended][alive]
        seconds[alive] += BIN * ended[alive]
        alive = alive & passed
    return Result(alive, served, seconds)
