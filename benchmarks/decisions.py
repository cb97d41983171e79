# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom the gates let through, and how soon they stop the others: thousands of simulated rollouts of the default plan.

The same streams are judged by this collection's engine and by the rules of the field, each with its documented settings and with the best
setting that a search finds. The tables have false rollbacks, missed failures and bad requests served before the abort;
build/bench/decisions.json has every run, and docs/img the plots (with --plots).
"""
# ruff: noqa: E402  the checkout has to be on the path before what is imported from it

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT / "collections"), str(CHECKOUT)]

import numpy as np

from benchmarks.decisions_model import figures, plan
from benchmarks.decisions_model.candidates import BROKEN, ERROR_CURVE, HEALTHY, PROBE_CURVE
from benchmarks.decisions_model.rivals import DOCUMENTED, RULES, Rule
from benchmarks.decisions_model.rollouts import Cell, Result, run
from benchmarks.decisions_model.search import best
from benchmarks.decisions_model.streams import Candidate, Traffic

OURS = "levibot.transition"
SEED = 20260101
# Runs of one cell at a time: what fits into the memory of a small machine.
BATCH = 50
WORKERS = 2
DAY = 86_400
# From so many requests a second on it is the probes that are few.
PROBES_MATTER = 100


@dataclass(frozen=True)
class Level:
    """Traffic, and windows: the plan's, or such as the plan's linter advises for it.

    compared: whether rules are searched for their best settings. Not where the windows do not bring the events that the checks want and
    every candidate goes back, nor where only the probes are fewer.
    """

    traffic: Traffic
    lengthened: bool = False
    compared: bool = True

    @property
    def name(self) -> str:
        """For people."""
        parts = [f"{self.traffic.per_second:,} requests a second", "longer windows" if self.lengthened else ""]
        parts.append(
            "" if self.traffic.probes_per_second == Traffic.probes_per_second else f"{self.traffic.probes_per_second} probe a second"
        )
        return ", ".join(filter(None, parts))

    def steps(self, shipped: tuple[plan.Step, ...]) -> tuple[plan.Step, ...]:
        """With this level's windows."""
        return plan.lengthened(shipped, **asdict(self.traffic)) if self.lengthened else shipped


LEVELS = (
    Level(Traffic(1), compared=False),
    Level(Traffic(10), compared=False),
    Level(Traffic(1), lengthened=True),
    Level(Traffic(10), lengthened=True),
    Level(Traffic(100)),
    Level(Traffic(1000)),
    Level(Traffic(100, probes_per_second=1), compared=False),
    Level(Traffic(1000, probes_per_second=1), compared=False),
)


@dataclass(frozen=True)
class Sizes:
    """How many runs of each candidate that all rules judge, of a healthy one for the engine alone, and of each point of the curves."""

    healthy: int
    broken: int
    alone: int
    curve: int

    def at(self, level: Level, steps: tuple[plan.Step, ...]) -> Sizes:
        """Fewer where a run takes days, and fewer where nothing is compared."""
        if not level.compared:
            return replace(self, healthy=min(self.healthy, 50), broken=min(self.broken, 20))
        if sum(step.window for step in steps) <= DAY:
            return self
        # The engine's false rollbacks are too few to be told from fewer runs.
        return replace(Sizes(*(max(20, size // 4) for size in astuple(self))), alone=self.alone)


FULL, QUICK = Sizes(200, 100, 1000, 200), Sizes(50, 20, 50, 20)


def batches(level: Level, steps: tuple[plan.Step, ...], candidates: Iterable[Candidate], runs: int, seed: int) -> Iterator[Cell]:
    """Cells of at most BATCH runs of a few hours, or of fewer runs of days."""
    most = max(5, int(BATCH * min(1, DAY / 4 / sum(step.seconds for step in steps))))
    for candidate in candidates:
        for start in range(0, runs, most):
            yield Cell(level.traffic, steps, candidate, min(most, runs - start), seed + start)


def judge(task: tuple[Cell, tuple[Rule, ...]]) -> tuple[str, Result, dict[Rule, Result]]:
    """One task of a worker."""
    cell, rules = task
    return cell.candidate.name, *run(cell, rules)


def joined(parts: list[Result]) -> Result:
    """Results of several batches as one."""
    return Result(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("promoted", "served", "seconds")))


def gather(pool: ProcessPoolExecutor, cells: Iterable[Cell], rules: Iterable[Rule]) -> dict[str, tuple[Result, dict[Rule, Result]]]:
    """By candidate: the engine's results and each rule's, of all its batches."""
    rules = tuple(dict.fromkeys(rules))
    found: dict[str, list[tuple[Result, dict[Rule, Result]]]] = {}
    for name, engine, others in pool.map(judge, [(cell, rules) for cell in cells]):
        found.setdefault(name, []).append((engine, others))
    return {
        name: (joined([engine for engine, _others in parts]), {rule: joined([others[rule] for _engine, others in parts]) for rule in rules})
        for name, parts in found.items()
    }


def named(results: dict[str, tuple[Result, dict[Rule, Result]]], rules: dict[str, Rule]) -> dict[str, dict[str, Result]]:
    """By candidate and by rule's name, the engine among them."""
    return {name: {OURS: engine, **{told: others[rule] for told, rule in rules.items()}} for name, (engine, others) in results.items()}


def measure(pool: ProcessPoolExecutor, level: Level, shipped: tuple[plan.Step, ...], sizes: Sizes) -> dict[str, object]:
    """All that is measured at one level of traffic."""
    steps = level.steps(shipped)
    sizes = sizes.at(level, steps)
    families = RULES if level.compared else ()
    everything = [*DOCUMENTED.values(), *(rule for family in families for rule in family.grid())]
    healthy = gather(pool, batches(level, steps, HEALTHY, sizes.healthy, SEED), everything)
    broken = gather(pool, batches(level, steps, BROKEN, sizes.broken, SEED), everything)
    rules, keeps = dict(DOCUMENTED), {}
    for family in families:
        told = f"{family.name}, best"
        rules[told], keeps[told] = best(list(family.grid()), healthy.values(), broken.values())
    alone = gather(pool, batches(level, steps, HEALTHY[:2], sizes.alone, SEED + 10**6), ())
    errors = gather(pool, batches(level, steps, ERROR_CURVE, sizes.curve, SEED), [rules[told] for told in keeps])
    probes = gather(pool, batches(level, steps, PROBE_CURVE, sizes.curve, SEED), ()) if level.traffic.per_second >= PROBES_MATTER else {}
    return {
        "level": level,
        "windows": [step.window for step in steps],
        "settings": {name: repr(rule) for name, rule in rules.items()},
        "keeps": keeps,
        "healthy": named(healthy, rules),
        "broken": named(broken, rules),
        "alone": named(alone, {}),
        "errors_curve": named(errors, {told: rules[told] for told in keeps}),
        "probes_curve": named(probes, {}),
    }


def machine() -> dict[str, object]:
    """Where this ran, and what ran."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "processor": model[1] if model else platform.machine(),
        "processors": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def plain(value: object) -> object:
    """For JSON."""
    if isinstance(value, Result):
        return {
            "promoted": value.promoted.astype(int).tolist(),
            "served": np.round(value.served, 1).tolist(),
            "seconds": value.seconds.astype(int).tolist(),
        }
    if isinstance(value, Level):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} in the figures")


def main() -> int:
    """Simulate, judge, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer runs: about a minute")
    levels = sorted({level.traffic.per_second for level in LEVELS})
    parser.add_argument("--level", type=int, action="append", choices=levels, help="only so many requests a second")
    parser.add_argument("--hold", type=float, help="another hold, in seconds, in all steps")
    parser.add_argument("--plan", default="", help="levibot_plan_overrides, as YAML")
    parser.add_argument("--checks", default="", help="levibot_checks_overrides, as YAML")
    parser.add_argument("--plots", action="store_true", help="draw docs/img/decisions-*.svg anew")
    options = parser.parse_args()
    sizes, began = QUICK if options.quick else FULL, time.monotonic()
    shipped = plan.shipped(options.plan, options.checks)
    shipped = shipped if options.hold is None else plan.held(shipped, options.hold)
    found = []
    with ProcessPoolExecutor(WORKERS) as pool:
        for level in LEVELS:
            if options.level and level.traffic.per_second not in options.level:
                continue
            found.append(measure(pool, level, shipped, sizes))
            print(figures.tables(found[-1], OURS), flush=True)
    print(figures.summary(found, OURS))
    if options.plots:
        figures.plots(found, OURS, CHECKOUT / "docs/img")
    out = CHECKOUT / "build/bench/decisions.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    settings = {**vars(options), "seed": SEED, "runs": asdict(sizes), "seconds": round(time.monotonic() - began)}
    out.write_text(json.dumps({"machine": machine(), "settings": settings, "levels": found}, default=plain) + "\n")
    print(f"{settings['seconds']} s; all runs: {out.relative_to(CHECKOUT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
