# SPDX-License-Identifier: GPL-3.0-or-later
"""make chaos: kills at random instants, then every fault: run.py [--runs 200] [--seed N] [--only kills|<fault>]"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

from .bed import Bed, bed
from .faults import FAULTS, Skip
from .kills import run_kills


def attempt(name: str, what: Callable[[], None]) -> bool | None:
    """Prints what came out. True: promises kept; False: not; None: skipped."""
    begun = time.monotonic()
    try:
        what()
    except Skip as exc:
        print(f"SKIPPED {name}: {exc}", flush=True)
        return None
    except (AssertionError, subprocess.TimeoutExpired) as exc:
        print(f"FAILED  {name} ({time.monotonic() - begun:.0f} s):\n  " + str(exc).replace("\n", "\n  "), flush=True)
        return False
    print(f"passed  {name} ({time.monotonic() - begun:.0f} s)", flush=True)
    return True


def kills(box: Bed, runs: int, seed: int) -> None:
    for line in run_kills(box, runs, seed):
        print(line, flush=True)


def main() -> int:
    names = ["kills", *FAULTS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[2])
    parser.add_argument("--runs", type=int, default=200, help="how many kills (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="repeats an earlier series; printed at the start")
    parser.add_argument("--only", choices=names, action="append", help="may be repeated")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs: at least 1")
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    wanted = options.only or names
    print(f"chaos: {', '.join(wanted)}; RUNS={options.runs} SEED={seed}", flush=True)
    results: list[bool | None] = []
    with bed() as box:
        for name in wanted:
            rng = random.Random(seed)  # noqa: S311 - a seed is to be repeated
            what = partial(kills, box, options.runs, seed) if name == "kills" else partial(FAULTS[name], box, rng)
            results.append(attempt(name, what))
            box.end()
    print(f"{results.count(True)} passed, {results.count(False)} failed, {results.count(None)} skipped")
    return 0 if results.count(True) and not results.count(False) else 1


if __name__ == "__main__":
    sys.exit(main())
