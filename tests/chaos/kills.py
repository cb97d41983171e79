# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL of the control process at random instants of a whole Phase 2, again and again, until the rollout is through.

Each time the run is started again, as the runbook says. Half of the kills take every process that belongs to the run, as the end of a
container does; the others only ansible-playbook itself, so that its workers live on as orphans.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from .bed import RUN_SECONDS, Bed, Run
from .invariants import safe

KILLS_PER_ROLLOUT = 8
# From here a run is judged to end by itself: a start, and the longest stretch between two steps of the ledger on a busy machine.
LONGEST_SECONDS = 30.0


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
    entries = bed.rollout()
    if not entries:
        return "nothing"
    last = entries[-1]
    data = last.data
    return " ".join(
        str(part) for part in (last.kind, data.get("action"), data.get("step") or data.get("gate") or data.get("outcome")) if part
    )


def one_rollout(bed: Bed, rng: random.Random, kills: int, first: int) -> tuple[list[Kill], list[str], float]:
    """A rollout that is killed so often and then left alone. Returns its kills, what is broken at its end, and its seconds."""
    begun = time.monotonic()
    stable = bed.start()
    candidate = {"blue": "green", "green": "blue"}[stable]
    opened_before = opened(bed)
    done: list[Kill] = []
    running: Run | None = None
    while len(done) < kills:
        running = bed.play()
        seconds = rng.uniform(0.3, LONGEST_SECONDS)
        orphans = rng.random() < 0.5
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not running.ended:
            time.sleep(0.02)
        if running.ended:
            break
        running.kill(orphans)
        done.append(Kill(first + len(done), seconds, orphans, running.doing, last_recorded(bed), bed.broken(explained=overloaded)))
    else:
        running = bed.play()
    assert running is not None
    code = running.wait(RUN_SECONDS)
    found = ending(bed, running, code, candidate, opened_before)
    for kill in done:
        kill.outcome = "promoted" if not found else "NOT THE RIGHT END"
    return done, found, time.monotonic() - begun


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


def run_kills(bed: Bed, runs: int, seed: int, seconds: float = float("inf")) -> Iterator[str]:
    """Kills until there were so many, or the time is over; yields the table line by line, and raises at the end if anything is broken."""
    rng = random.Random(seed)  # noqa: S311 - a seed is to be repeated
    deadline = time.monotonic() + seconds
    number, failures, rollouts = 1, [], 0
    yield HEAD
    while number <= runs and (rollouts == 0 or time.monotonic() < deadline):
        wanted = min(runs - number + 1, rng.randint(1, KILLS_PER_ROLLOUT))
        kills, found, took = one_rollout(bed, rng, wanted, number)
        for kill in kills:
            yield kill.line()
            failures += [f"kill {kill.number}: {text}" for text in kill.found]
        rollouts += 1
        number += len(kills)
        yield f"      rollout {rollouts}: {len(kills)} kills, {took:.0f} s: {'; '.join(found) or 'promoted, promises kept, chain whole'}"
        failures += [f"rollout {rollouts}: {text}" for text in found]
    yield f"{number - 1} kills in {rollouts} rollouts, seed {seed}: {len(failures)} findings"
    if failures:
        raise AssertionError("\n".join(failures))
