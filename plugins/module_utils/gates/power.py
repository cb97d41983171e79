# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gate can detect in its window, and what it cannot: the judge itself, asked about simulated candidates.

For each check that counts events, candidates with a known bad ratio are simulated over window and hold, and :class:`Judge` judges
them. Events come at the expected rate, each bad with the same chance, so what is told is the power against a steady fault; bursts and
drift are for the benchmarks. Two things make it cheap:

- Looks are thinned out: each is at most GROWTH times as far into the window as the one before it (in the hold, where each look is a
  chance to pass, GROWTH_IN_HOLD times). The look at the window's end is always there, so whether something is found changes by a few
  per cent at most, downwards; and when it is found is told some ten per cent late.
- FEW_RUNS simulations decide where all of them agree (then the true probability is at least 0.95, or at most 0.05, at 95 % confidence);
  else it takes MANY_RUNS. Each estimate carries its error, a half-width at 95 %.

Seeds are fixed: the same plan and traffic give the same answer, on each version of Python.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils import samples as seen
from ansible_collections.levibot.transition.plugins.module_utils.gates.judge import Judge, next_look_at
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds import KINDS
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import ENFORCE, FAIL, PASS, PENDING, Look
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import mentions
from ansible_collections.levibot.transition.plugins.module_utils.samples import OK, Sample

COUNTED = ("proportion", "quantile", "baseline")
# Bad ratios in multiples of what the limit allows; and those that are asked where it allows none.
FACTORS = (2, 3, 5, 10, 100)
RATIOS = (0.0001, 0.001, 0.01, 0.1, 1.0)
HEALTHY = 0.5
DETECTABLE = 0.95
WANTED = 0.99

GROWTH, GROWTH_IN_HOLD = 1.2, 1.04
FEW_RUNS, MANY_RUNS = 60, 160
NORMAL_95 = 1.96

PROBES_PER_SECOND = 1.0
# Of stable's requests, where nobody knows: what a baseline is compared with.
ASSUMED_SHARE = 0.01
MEASURED, GIVEN, ASSUMED = "measured", "given", "assumed"
LONGEST_SECONDS = 30 * 86400

Answers = Mapping[str, Sample]


@dataclass(frozen=True)
class Expected:
    """The events that a check will count.

    per_second, base_per_second: those of the candidate, and of stable.
    all_per_second: those of both slots together.
    origin: ``measured``, ``given`` or ``assumed``.
    shares: (bound, bad ratio) pairs of stable, for a baseline; the bounds as text and ascending, or one that is empty.
    share_origin: how these shares are known.
    bad_ratio: the bad ratio now, in both slots together, for a proportion or a quantile; None where it was not measured.
    """

    per_second: float
    base_per_second: float
    all_per_second: float
    origin: str
    shares: tuple[tuple[str, float], ...] = ()
    share_origin: str = ASSUMED
    bad_ratio: float | None = None


def expect(check: Mapping[str, Any], weight: float, answers: Answers, seconds: float, requests_per_second: float | None) -> Expected | None:
    """What a counting check will count at this weight (per cent); None where nobody knows.

    answers: the check's samples with each slot in turn as the candidate, over the last `seconds`. Given requests a second
    take precedence over measured ones; probes are never given.
    """
    there = [sample for sample in answers.values() if sample.status == OK]
    if check.get("samples"):
        probes = [_per_second(sample, seconds) for sample in there]
        rate = max(probes, default=PROBES_PER_SECOND)
        return Expected(rate, rate, rate, MEASURED if probes else ASSUMED, bad_ratio=_bad_ratio(there))
    measured = _all_per_second(check, there, seconds)
    rate, origin = (measured, MEASURED) if requests_per_second is None else (requests_per_second, GIVEN)
    if not rate:
        return None
    per_slot = mentions(check.get("total") or check["buckets"], "slot")
    share = weight / 100 if per_slot else 1.0
    shares, share_origin = _stable_shares(there)
    return Expected(rate * share, rate * (1 - share), rate, origin, shares, share_origin, _bad_ratio(there))


def assess(gate: Mapping[str, Any], check: Mapping[str, Any], expected: Expected, seed: int = 1) -> dict[str, Any]:
    """What the gate finds by this check, and whom it lets pass. Plain JSON types; times in seconds, ratios from 0 to 1.

    in_window: the events in the window. min_events_after_seconds: when both the check's ``min_events`` are there; None: never.
    detects: for each bad candidate its ``factor`` (of what is allowed; None where nothing is), its ``ratio`` (of bad events; for a
        baseline: in multiples of stable's), the ``probability`` that it fails within the window with its ``error``, ``detectable``
        (0.95 or more), the ``median_seconds`` until then (None: not that often), and the probability that it ``passes`` all the same.
    healthy: the same for a candidate at half of the limit (or half of the tolerated increase): ``probability`` that it passes within
        window and hold, and ``window_seconds``, in which it would with 0.99 and without a hold (None: in no window).
    """
    alone = {**gate, "checks": [{**check, "mode": ENFORCE}]}
    needed = check.get("min_events", 1)
    slowest = min(expected.per_second, expected.base_per_second) if check["kind"] == "baseline" else expected.per_second
    simulation = _Simulation(alone, expected, f"{seed} {gate['id']} {check['id']}")
    able = slowest > 0
    return {
        "in_window": int(expected.per_second * gate["window_seconds"]),
        "min_events_after_seconds": needed / slowest if able else None,
        "detects": [_detection(simulation, factor, ratio) for factor, ratio in _broken(check, expected)] if able else [],
        "healthy": _healthy(simulation, check, slowest) if able else {"probability": 0.0, "error": 0.0, "window_seconds": None},
    }


def looks_of(gate: Mapping[str, Any]) -> Iterator[float]:
    """The gate's own schedule, thinned out: seconds since the window began, up to the end of the hold."""
    at, interval, window = 0.0, gate["interval_seconds"], gate["window_seconds"]
    end = window + gate["hold_seconds"]
    while at < end:
        growth, latest = (GROWTH, window) if at < window else (GROWTH_IN_HOLD, end)
        # Just before the look that is wanted, and never past the window's end: that look is always there.
        skipped_to = min(at * growth - interval, latest - interval / 2)
        at = next_look_at(gate, Look(0, max(at, skipped_to), PENDING))
        yield at


def binomial(rng: random.Random, n: int, p: float) -> int:
    """How many of n events are bad, each with probability p: an exact draw in some log(n p) steps.

    While many are expected, the middle one of n uniform numbers, which is beta distributed, tells on which side of it p lies, and half of
    them need not be drawn (Relles 1972; Devroye, Non-Uniform Random Variate Generation, X.4.3). The rest goes from
    one bad event to the next by geometric gaps. Python's own binomialvariate came with 3.12.
    """
    count = 0
    while n * p > 10 and p < 1:  # noqa: PLR2004 - from there on the gaps are the faster
        middle = n // 2 + 1
        at = rng.betavariate(middle, n + 1 - middle)
        if at <= p:
            count, n, p = count + middle, n - middle, (p - at) / (1 - at)
        else:
            n, p = middle - 1, p / at
    if p >= 1:
        return count + n
    if p <= 0:
        return count
    log_good = math.log1p(-p)
    position = 0
    while True:
        position += 1 + int(math.log(1.0 - rng.random()) / log_good)
        if position > n:
            return count
        count += 1


def window_for(per_second: float, allowed: float, least: float) -> float | None:
    """The window in seconds from which on a candidate with half of the allowed bad ratio keeps the limit at its end with probability 0.99.

    At least `least` events are in it. None where 30 days would not do. The chance is the exact binomial one. It falls as events come
    in, and leaps up when they allow one bad event more; so the leap is looked for behind which it never falls below 0.99 again.
    """
    bad = 1
    while allowed > 0 and _chance_of(bad, _events_for(bad, allowed), allowed * HEALTHY) > 1 - WANTED:
        bad += 1
    seconds = max(least, 1, _events_for(bad - 1, allowed) + 1) / per_second
    return seconds if seconds <= LONGEST_SECONDS else None


def _events_for(bad: int, allowed: float) -> int:
    """Of how many events, at most, so many bad ones are too many."""
    return int(bad / allowed + 1e-9) if allowed > 0 else 0


def _chance_of(bad: int, n: int, p: float) -> float:
    """That `bad` or more of n events are bad, each with probability p, which is well below bad / n."""
    log = math.lgamma(n + 1) - math.lgamma(bad + 1) - math.lgamma(n - bad + 1) + bad * math.log(p) + (n - bad) * math.log1p(-p)
    tail, term = 0.0, math.exp(log)
    while term > tail * 1e-9:
        tail += term
        term *= (n - bad) / (bad + 1) * p / (1 - p)
        bad += 1
    return tail


def allowed_ratio(check: Mapping[str, Any]) -> float:
    """The bad ratio that a proportion's or a quantile's limit allows, as its kind reads it."""
    return KINDS[check["kind"]].read(check, Sample(status=OK, value=0.0, bad=0.0, total=1.0)).counted.p0


def _per_second(sample: Sample, seconds: float) -> float:
    """Per second for which there is data: a Prometheus that was just started knows less than was asked."""
    total = sum(sample.pairs[0][key] for key in ("total", "base_total")) if sample.pairs else sample.total or 0.0
    # A baseline's coverage is that of the worse slot, and an idle one has none.
    return total / (seconds * (sample.coverage_ratio or 1.0))


def _all_per_second(check: Mapping[str, Any], there: list[Sample], seconds: float) -> float:
    rates = [_per_second(sample, seconds) for sample in there]
    # A baseline's sample tells of both slots, and a selector without $slot is about the same events each time.
    both_at_once = check["kind"] == "baseline" or not mentions(check.get("total") or check["buckets"], "slot")
    return max(rates, default=0.0) if both_at_once else sum(rates)


def _bad_ratio(there: list[Sample]) -> float | None:
    counted = [(sample.bad, sample.total) for sample in there if sample.bad is not None and sample.total]
    return sum(bad for bad, _total in counted) / sum(total for _bad, total in counted) if counted else None


def _stable_shares(there: list[Sample]) -> tuple[tuple[tuple[str, float], ...], str]:
    for sample in there:
        events = [(pair["at"], pair["bad"] + pair["base_bad"], pair["total"] + pair["base_total"]) for pair in sample.pairs]
        if any(bad for _at, bad, _total in events):
            return tuple((at, bad / total) for at, bad, total in sorted(events, key=lambda event: float(event[0] or 0))), MEASURED
    return (("", ASSUMED_SHARE),), ASSUMED


def _broken(check: Mapping[str, Any], expected: Expected) -> list[tuple[int | None, float]]:
    """(factor, ratio) of the candidates that are simulated, the mildest first. No ratio is above 1, or would make one that is."""
    if check["kind"] == "baseline":
        allowed, most = 1 + _increase(check), 1 / max(share for _at, share in expected.shares)
    else:
        allowed, most = allowed_ratio(check), 1.0
        if allowed <= 0:
            return [(None, ratio) for ratio in RATIOS]
    ratios: dict[float, int] = {}
    for factor in FACTORS:
        if (ratio := min(allowed * factor, most)) > allowed:
            ratios.setdefault(ratio, factor)
    return [(factor, ratio) for ratio, factor in ratios.items()]


def _increase(check: Mapping[str, Any]) -> float:
    return float(Decimal(check["condition"]["limit"]))


def _detection(simulation: _Simulation, factor: int | None, ratio: float) -> dict[str, Any]:
    outcomes = simulation.outcomes(ratio)
    found = [outcome.found_at is not None for outcome in outcomes]
    probability, error = _estimate(found)
    middle = median(math.inf if outcome.found_at is None else outcome.found_at for outcome in outcomes)
    return {
        "factor": factor,
        "ratio": ratio,
        "probability": probability,
        "error": error,
        "detectable": probability >= DETECTABLE,
        "median_seconds": None if math.isinf(middle) else middle,
        "passes": _estimate([outcome.passed for outcome in outcomes])[0],
    }


def _healthy(simulation: _Simulation, check: Mapping[str, Any], slowest: float) -> dict[str, Any]:
    if check["kind"] == "baseline":
        # It passes unless it is proven worse, so all it waits for are its events.
        ratio, window = 1 + _increase(check) * HEALTHY, check.get("min_events", 1) / slowest
        window = window if window <= LONGEST_SECONDS else None
    else:
        allowed = allowed_ratio(check)
        ratio, window = allowed * HEALTHY, window_for(slowest, allowed, check.get("min_events", 1))
    probability, error = _estimate([outcome.passed for outcome in simulation.outcomes(ratio)])
    return {"probability": probability, "error": error, "window_seconds": window}


def _estimate(seen_so: list[bool]) -> tuple[float, float]:
    """The share and its half-width at 95 %; where all runs agree, how far off it may be with them agreeing in 5 % of all cases."""
    runs = len(seen_so)
    share = sum(seen_so) / runs
    return round(share, 3), round(1 - 0.05 ** (1 / runs) if share in (0, 1) else NORMAL_95 * math.sqrt(share * (1 - share) / runs), 3)


@dataclass(frozen=True)
class _Outcome:
    """When it was proven that a candidate breaks the limit (None: not within the window), and whether it passed in the end."""

    found_at: float | None
    passed: bool


class _Simulation:
    """Candidates for one gate with one check."""

    def __init__(self, gate: Mapping[str, Any], expected: Expected, seed: str) -> None:
        self._gate = gate
        self._check = gate["checks"][0]
        self._expected = expected
        self._seed = seed
        self._looks = list(looks_of(gate))

    def outcomes(self, ratio: float) -> list[_Outcome]:
        """Of FEW_RUNS candidates with this bad ratio (a baseline: in multiples of stable's), or of MANY_RUNS if these disagree."""
        rng = random.Random(f"{self._seed} {ratio!r}")  # noqa: S311 - a simulation
        outcomes = [self._run(rng, ratio) for _run in range(FEW_RUNS)]
        if len({(outcome.found_at is None, outcome.passed) for outcome in outcomes}) > 1:
            outcomes += [self._run(rng, ratio) for _run in range(MANY_RUNS - FEW_RUNS)]
        return outcomes

    def _run(self, rng: random.Random, ratio: float) -> _Outcome:
        judge, window = Judge(self._gate), self._gate["window_seconds"]
        sample_at = self._candidate(rng, ratio)
        for at in self._looks:
            judge.look(at, {self._check["id"]: sample_at(at)})
            if judge.verdict:
                break
        verdict, ended_at = (judge.verdict.verdict, judge.verdict.at_seconds) if judge.verdict else (PENDING, math.inf)
        return _Outcome(ended_at if verdict == FAIL and ended_at <= window else None, verdict == PASS)

    def _candidate(self, rng: random.Random, ratio: float) -> Callable[[float], Sample]:
        expected = self._expected
        if self._check["kind"] == "baseline":
            shares = [share for _at, share in expected.shares]
            candidate = _Stream(rng, expected.per_second, [min(1.0, share * ratio) for share in shares])
            return _compared(candidate, _Stream(rng, expected.base_per_second, shares), [at for at, _share in expected.shares])
        return _counted(_Stream(rng, expected.per_second, [ratio]))


class _Stream:
    """Events of one slot since the window began. Shares are those above ascending bounds: each lies within the one before it."""

    def __init__(self, rng: random.Random, per_second: float, shares: list[float]) -> None:
        self._rng, self._per_second, self._shares = rng, per_second, shares
        self.total = 0
        self.bad = [0] * len(shares)

    def go_on(self, at: float) -> None:
        total = int(self._per_second * at + 1e-9)
        new, within = total - self.total, 1.0
        for number, share in enumerate(self._shares):
            new = binomial(self._rng, new, share / within) if share > 0 else 0
            self.bad[number] += new
            within = share
        self.total = total


def _counted(stream: _Stream) -> Callable[[float], Sample]:
    def sample_at(at: float) -> Sample:
        stream.go_on(at)
        return Sample(status=OK, bad=float(stream.bad[0]), total=float(stream.total)) if stream.total else _NOTHING

    return sample_at


def _compared(candidate: _Stream, stable: _Stream, bounds: list[str]) -> Callable[[float], Sample]:
    def sample_at(at: float) -> Sample:
        candidate.go_on(at)
        stable.go_on(at)
        if not candidate.total:
            return _NOTHING
        totals = {"total": float(candidate.total), "base_total": float(stable.total)}
        counts = zip(bounds, candidate.bad, stable.bad)
        return Sample(status=OK, pairs=tuple({"at": at, "bad": float(bad), "base_bad": float(base), **totals} for at, bad, base in counts))

    return sample_at


_NOTHING = seen.no_data("no events in the window so far", 1.0)
