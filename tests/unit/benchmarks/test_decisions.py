# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of decisions: its streams are what they say, its shortcuts change nothing, and its rules decide as the originals do."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

np = pytest.importorskip("numpy", reason="numpy comes with the dependency group test")

from benchmarks.decisions_model import engine, plan, rivals, rollouts, search, streams  # noqa: E402
from benchmarks.decisions_model.candidates import BROKEN, HEALTHY  # noqa: E402

STEPS = plan.shipped()


def short(index, window=600, hold=300):
    """A step of the default plan with a shorter window."""
    step = STEPS[index]
    return replace(step, gate={**step.gate, "window_seconds": window, "hold_seconds": hold})


def simulated(candidate, step, per_second=100, *, runs=20, seed=1, probes_per_second=1):
    return streams.simulate(np.random.default_rng(seed), candidate, step, streams.Traffic(per_second, probes_per_second), runs)


def made(step, per_bin, *, errors=0, failed=0, over=0, stable_errors=0):
    """One run with the same requests in each bin, and what is bad of them: a number, or a function of the bin."""
    bins = step.seconds // streams.BIN

    def slot(bad, probes, slow):
        counts = np.zeros((4, 1, bins), dtype=int)
        counts[0] = per_bin
        for row, of_bin in enumerate((bad, probes, slow), start=1):
            counts[row, 0] = [of_bin(number) if callable(of_bin) else of_bin for number in range(bins)]
        total, bad, probes, slow = (np.concatenate([np.zeros((1, 1), dtype=int), np.cumsum(row, axis=1)], axis=1) for row in counts)
        return streams.Slot(total, bad, np.stack([slow, slow, *[0 * slow] * (len(streams.BOUNDS) - 2)]), probes)

    return streams.Streams(step, slot(errors, failed, over), slot(stable_errors, 0, 0), 1)


def aborted_at(rule, step):
    """Seconds into the step, or None."""
    outcome = rule.judge(rivals.View(step, None), {})
    return None if outcome.aborted[0] == rivals.NEVER else int(outcome.aborted[0]) * streams.BIN


# The streams


def test_the_gates_are_those_of_the_default_plan():
    assert [(step.weight, step.window, step.starts_at) for step in STEPS] == [(0.1, 1800, 0), (0.5, 3600, 1800), (1.0, 7200, 5400)]
    assert [[check["id"] for check in step.gate["checks"]] for step in STEPS] == [
        ["api_uptime", "error_rate"],
        ["api_uptime", "error_rate", "latency_p95", "performance_degradation"],
        ["api_uptime", "error_rate", "latency_p95"],
    ]


def test_windows_grow_to_what_the_linter_advises_and_no_further():
    assert [step.window for step in plan.lengthened(STEPS, 1000, 5)] == [step.window for step in STEPS]
    longer = plan.lengthened(STEPS, 10, 5)
    assert longer[0].window > STEPS[0].window
    assert [step.starts_at for step in longer] == [0, longer[0].window, longer[0].window + longer[1].window]
    events = 10 * 0.1 * longer[0].seconds
    at_half = HEALTHY[0].errors * events
    # In a Poisson of this mean, as many as the limit allows or more: less than 1 %.
    within = sum(math.exp(-at_half + k * math.log(at_half) - math.lgamma(k + 1)) for k in range(math.ceil(2 * at_half)))
    assert 0.99 <= within < 0.998


@pytest.mark.parametrize("candidate", HEALTHY, ids=lambda candidate: candidate.name)
def test_a_healthy_candidates_shares_are_what_it_is_said_to_have(candidate):
    step = STEPS[1]
    # So many probes that the few that fail are told apart from none and from twice as many.
    probes_per_second = 20
    found = simulated(candidate, step, per_second=1000, runs=60, probes_per_second=probes_per_second)
    window = step.window // streams.BIN
    for slot in (found.candidate, found.stable):
        total = slot.total[:, window].sum()
        assert slot.errors[:, window].sum() / total == pytest.approx(candidate.errors, rel=0.03)
        assert found.slow(slot, streams.SLOW)[:, window].sum() / total == pytest.approx(candidate.slow, rel=0.03)
        assert slot.probes_failed[:, window].sum() / (60 * step.window * probes_per_second) == pytest.approx(candidate.down, rel=0.25)
    # Traffic drifts over the day by up to 30 %, and each run is at a time of its own.
    assert found.candidate.total[:, window].mean() == pytest.approx(0.5 * 1000 * step.window, rel=0.1)


def test_bursts_are_shared_by_both_slots():
    found = simulated(HEALTHY[1], STEPS[1], per_second=1000, runs=40)
    both = [np.diff(slot.errors, axis=1) / np.maximum(np.diff(slot.total, axis=1), 1) for slot in (found.candidate, found.stable)]
    assert np.corrcoef(both[0].ravel(), both[1].ravel())[0, 1] > 0.8
    assert (both[0] > 10 * HEALTHY[1].errors).mean() == pytest.approx(10 / streams.BURST_EVERY, rel=0.8)


def test_steady_candidates_have_no_bursts():
    found = simulated(HEALTHY[0], STEPS[1], per_second=1000, runs=40)
    assert np.diff(found.candidate.errors, axis=1).max() <= 12


@pytest.mark.parametrize("candidate", BROKEN, ids=lambda candidate: candidate.name)
def test_a_fault_adds_to_the_candidate_and_never_to_stable(candidate):
    counts = candidate.fault.counts
    healthy = candidate.errors if counts == "errors" else candidate.slow
    shares, stable = [], []
    for step in STEPS:
        found = simulated(candidate, step, per_second=200, runs=5)
        window = step.window // streams.BIN
        shares.append(found.bad(counts)[:, window].sum() / found.candidate.total[:, window].sum())
        if step.weight < 1:
            bad = found.stable.errors if counts == "errors" else found.slow(found.stable, streams.SLOW)
            stable.append(bad[:, window].sum() / found.stable.total[:, window].sum())
    assert max(shares) > 3 * healthy
    assert stable == pytest.approx([healthy, healthy], rel=0.25)


def test_a_seed_is_a_stream():
    cell = rollouts.Cell(streams.Traffic(10), STEPS[:1], HEALTHY[1], 3, 7)
    again, other = cell.streams()[0], replace(cell, seed=8).streams()[0]
    assert (cell.streams()[0].candidate.errors == again.candidate.errors).all()
    assert (again.candidate.total != other.candidate.total).any()


# The engine


@pytest.mark.parametrize("per_second", [10, 1000])
@pytest.mark.parametrize("candidate", [HEALTHY[1], BROKEN[0], BROKEN[2], BROKEN[-4], BROKEN[-2]], ids=lambda candidate: candidate.name)
def test_skipping_looks_that_cannot_decide_changes_no_verdict(candidate, per_second):
    for index in range(3):
        found = simulated(candidate, short(index), per_second, runs=4)
        passed, ended = engine.judge(found, np.ones(4, dtype=bool))
        every_look = [engine.judge_run(found, run, float("inf")) for run in range(4)]
        assert list(zip(passed.tolist(), ended.tolist(), strict=True)) == every_look


def test_the_engine_is_asked_with_what_the_sources_measure():
    step = short(1)
    run = made(step, per_bin=50, errors=1, failed=lambda number: int(number == 3), over=2)
    found = engine.samples(run, 0, 10)
    assert (found["error_rate"].bad, found["error_rate"].total) == (10, 500)
    assert (found["api_uptime"].bad, found["api_uptime"].total) == (1, 50)
    assert (found["latency_p95"].bad, found["latency_p95"].total) == (20, 500)
    assert found["performance_degradation"].pairs[0] == {"at": "0.1", "bad": 20.0, "total": 500.0, "base_bad": 0.0, "base_total": 500.0}


def test_the_engine_stops_a_catastrophe_and_passes_the_flawless():
    step = short(0)
    assert engine.judge_run(made(step, 50, errors=25), 0, float("inf")) == (False, 15.0)
    assert engine.judge_run(made(step, 50), 0, 0) == (True, 600.0)


# The rules of the field


def test_uri_with_until_fails_when_no_try_is_under_the_limit():
    step = short(0)
    # Bad in one bin only: a minute later its rate over 60 s is fine again, and the look in between has four tries, 5 s apart.
    one = made(step, 50, errors=lambda number: 10 * (number == 22))
    assert aborted_at(rivals.UriUntil(), one) == 135
    assert aborted_at(rivals.UriUntil(retries=11), one) is None
    assert aborted_at(rivals.UriUntil(), made(step, 50)) is None


def test_no_traffic_is_not_under_a_limit():
    assert aborted_at(rivals.UriUntil(), made(short(0), 0)) == 75
    assert aborted_at(rivals.Argo(), made(short(0), 0)) == 60


def test_flagger_counts_failed_checks_over_all_steps_and_rolls_back_a_check_later():
    step = short(0)
    always = made(step, 50, errors=5)
    assert aborted_at(rivals.Flagger(threshold=5), always) == 360
    memory = {}
    twice = made(step, 50, errors=lambda number: 5 * (number < 24))
    assert rivals.Flagger(threshold=4).judge(rivals.View(twice, None), memory).aborted[0] == rivals.NEVER
    assert memory["failed"].tolist() == [2]
    assert rivals.Flagger(threshold=4).judge(rivals.View(always, None), memory).aborted[0] * streams.BIN == 180


def test_flagger_advances_only_with_a_good_check():
    step = short(0)
    late = made(step, 50, errors=lambda number: 5 * (108 <= number < 132))
    outcome = rivals.Flagger(threshold=5).judge(rivals.View(late, None), {})
    assert (outcome.aborted[0], outcome.done[0] * streams.BIN) == (rivals.NEVER, 720)


def test_flaggers_example_wants_99_percent():
    step = short(0)
    assert aborted_at(rivals.Flagger(example=True), made(step, 1000, errors=9)) is None
    assert aborted_at(rivals.Flagger(example=True), made(step, 1000, errors=11)) == 360


def test_argo_fails_one_measurement_after_its_limit():
    always = made(short(0), 50, errors=5)
    assert aborted_at(rivals.Argo(), always) == 60
    assert aborted_at(rivals.Argo(failure_limit=3), always) == 240
    assert aborted_at(rivals.Argo(failure_limit=3, interval=300), always) is None


def test_argo_counts_each_metric_for_itself():
    step = short(0)
    errors, down = (lambda number: 5 * (number < 12)), (lambda number: 12 <= number < 24)
    assert aborted_at(rivals.Argo(failure_limit=1), made(step, 50, errors=errors, failed=down)) is None
    assert aborted_at(rivals.Argo(failure_limit=0), made(step, 50, errors=errors, failed=down)) == 60


def test_kayenta_compares_with_stable():
    step = short(0, window=1800)
    rng = np.random.default_rng(5)
    noise, other = rng.integers(0, 3, 10_000), rng.integers(0, 3, 10_000)
    alike = made(step, 1000, errors=lambda number: noise[number], stable_errors=lambda number: other[number])
    worse = made(step, 1000, errors=lambda number: 3 + noise[number], stable_errors=lambda number: other[number])
    assert aborted_at(rivals.Kayenta(), alike) is None
    assert aborted_at(rivals.Kayenta(), worse) == 1800
    assert aborted_at(rivals.Kayenta(interval=600), worse) == 600
    assert aborted_at(rivals.Kayenta(increase=10), worse) is None


def test_kayenta_takes_stable_of_the_step_before_where_it_has_no_traffic():
    rng = np.random.default_rng(5)
    noise, other = rng.integers(0, 3, 10_000), rng.integers(0, 3, 10_000)
    before = rivals.View(made(short(1), 1000, stable_errors=lambda number: other[number]), None)
    alone = rivals.View(made(short(2), 1000, errors=lambda number: 3 + noise[number]), before)
    assert rivals.Kayenta().judge(alone, {}).aborted[0] * streams.BIN == 600


def test_a_confidence_interval_of_a_shift():
    rng = np.random.default_rng(3)
    shifts = rng.normal(0, 1, (400, 30)) + 2, rng.normal(0, 1, (400, 30))
    compared = rivals.Comparison(*shifts)
    assert compared.estimate.mean() == pytest.approx(2, abs=0.05)
    assert (compared.lower(0.98) > 2).mean() == pytest.approx(0.01, abs=0.012)
    assert (compared.lower(0.5) > 2).mean() == pytest.approx(0.25, abs=0.06)


# Rollouts, and the search


def test_bad_requests_count_until_the_abort_and_to_the_end_where_there_is_none():
    cell = rollouts.Cell(streams.Traffic(100), tuple(short(index) for index in range(3)), BROKEN[4], 4, 1)
    engine_result, results = rollouts.run(cell, [rivals.Flagger(threshold=1), rivals.Flagger(times=10_000.0, threshold=40)])
    soon, never = results.values()
    steps = cell.streams()
    window = short(0).window // streams.BIN
    assert not soon.promoted.any()
    assert soon.served.tolist() == steps[0].candidate.errors[:, 24].tolist()
    assert never.promoted.all()
    assert never.served.tolist() == sum(step.candidate.errors[:, window] for step in steps).tolist()
    assert not engine_result.promoted.any()
    assert (engine_result.served < soon.served).all()


def result(promoted, served):
    return rollouts.Result(np.array(promoted), np.array(served, dtype=float), np.zeros(len(served)))


def test_the_best_setting_serves_least_among_those_that_keep_the_false_rollbacks():
    careful, eager, idle = rivals.Argo(failure_limit=5), rivals.Argo(), rivals.Argo(failure_limit=20)
    ours = result([True, True, False], [0, 0, 0])
    healthy = [
        (ours, {careful: result([True, True, False], [0] * 3), eager: result([False] * 3, [0] * 3), idle: result([True] * 3, [0] * 3)})
    ]
    broken = [(ours, {careful: result([False], [50]), eager: result([False], [1]), idle: result([False], [500])})]
    assert search.best([careful, eager, idle], healthy, broken) == (careful, True)
    assert search.best([eager], healthy, broken) == (eager, False)
