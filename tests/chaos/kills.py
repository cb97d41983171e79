# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL of the control process at random instants of a whole Phase 2, again and again, until the rollout is through.

Each time the run is started again, as the runbook says. Half of the kills take every process that belongs to the run, as the end of a
container does; the others only ansible-playbook itself, so that its workers live on as orphans.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .bed import RUN_SECONDS, Bed, Run
from .invariants import safe

# Between two kills. To be back where it was takes a run about as long, so that a rollout dies at nearly each of its steps.
MEAN_SECONDS = 10.0


@dataclass
class Kill:
    number: int
    seconds: float  # since the run was started
    orphans: bool
    doing: str
    recorded: str
    found: list[str]
    outcome: str = ""

    def line(self) -> str:
        how = "parent" if self.orphans else "all"
        what = f"{self.doing[:58]:60}{self.recorded[:34]:36}"
        return f"{self.number:4}  {self.seconds:6.1f} s  {how:8}{what}{'; '.join(self.found) or self.outcome}"


HEAD = f"{'kill':>4}  {'instant':>8}  {'of':8}{'task':60}{'last in the ledger':36}outcome"


def overloaded(reason: str) -> bool:
    """A kill costs no visitor anything; only a machine with far more to do than it can answers late."""
    return reason == "timeout" and os.getloadavg()[0] > 3 * (os.cpu_count() or 1)


def last_recorded(bed: Bed) -> str:
    last = bed.rollout()[-1]
    words = (last.kind, last.data.get("action"), last.data.get("step") or last.data.get("gate") or last.data.get("outcome"))
    return " ".join(str(word) for word in words if word)


def one_rollout(bed: Bed, rng: random.Random, limit: int, first: int) -> tuple[list[Kill], list[str]]:
    """A rollout that is killed until it is through, or was killed `limit` times and then left alone.

    Returns its kills, and what is broken at its end.
    """
    stable = bed.start()
    candidate = {"blue": "green", "green": "blue"}[stable]
    opened_before = opened(bed)
    done: list[Kill] = []
    running = bed.play()
    while len(done) < limit and not ended_within(running, seconds := rng.expovariate(1 / MEAN_SECONDS)):
        orphans = rng.random() < 0.5
        running.kill(orphans)
        recorded = last_recorded(bed) if opened(bed) > opened_before else "nothing"
        done.append(Kill(first + len(done), seconds, orphans, running.doing, recorded, bed.broken(explained=overloaded)))
        running = bed.play()
    found = ending(bed, running, running.wait(RUN_SECONDS), candidate, opened_before)
    for kill in done:
        kill.outcome = "promoted" if not found else "NOT THE RIGHT END"
    return done, found


def ended_within(running: Run, seconds: float) -> bool:
    try:
        running.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def opened(bed: Bed) -> int:
    return sum(entry.kind == "opened" for entry in bed.ledger() or [])


def ending(bed: Bed, running: Run, code: int, candidate: str, opened_before: int) -> list[str]:
    found = safe(bed.observe(explained=overloaded), candidate)
    entries = bed.rollout()
    outcome = next((entry.data.get("outcome") for entry in entries if entry.kind == "closed"), "still open")
    if outcome != "promoted":
        found.append(f"the rollout ended as {outcome}, and not promoted")
    if code:
        found.append(f"exit {code}; see {running.log.name}")
    if (more := opened(bed) - opened_before) != 1:
        found.append(f"{more} rollouts were opened for one")
    return found


def run_kills(bed: Bed, runs: int, seed: int) -> Iterator[str]:
    """So many kills; yields the table line by line, and raises at the end if anything is broken."""
    rng = random.Random(seed)  # noqa: S311 - a seed is to be repeated
    all_kills: list[Kill] = []
    failures: list[str] = []
    rollouts = 0
    yield HEAD
    while len(all_kills) < runs:
        kills, found = one_rollout(bed, rng, runs - len(all_kills), len(all_kills) + 1)
        for kill in kills:
            yield kill.line()
            failures += [f"kill {kill.number}: {text}" for text in kill.found]
        rollouts += 1
        all_kills += kills
        yield f"      rollout {rollouts}, {len(kills)} kills: {'; '.join(found) or 'promoted, promises kept, chain whole'}"
        failures += [f"rollout {rollouts}: {text}" for text in found]
    where = Counter(kill.recorded for kill in all_kills).most_common()
    yield "killed behind " + ", ".join(f"{recorded}: {count}" for recorded, count in where)
    yield f"{len(all_kills)} kills in {rollouts} rollouts, seed {seed}: {len(failures)} findings"
    if failures:
        raise AssertionError("\n".join(failures))
