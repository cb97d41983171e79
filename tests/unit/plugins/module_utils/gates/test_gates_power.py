# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import math
import random
from collections import Counter

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.gates import power
from ansible_collections.levibot.transition.plugins.module_utils.gates.judge import next_look_at
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds import KINDS
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import PENDING, Look
from ansible_collections.levibot.transition.plugins.module_utils.gates.power import Expected, assess, binomial, expect, looks_of, window_for
from ansible_collections.levibot.transition.plugins.module_utils.gates.review import review, text
from ansible_collections.levibot.transition.plugins.module_utils.samples import OK, Sample, no_data

TOTAL = 'requests_total{slot="$slot"}'
ERRORS = {
    "id": "error_rate",
    "kind": "proportion",
    "source": "prometheus",
    "mode": "enforce",
    "of": "bad",
    "bad": 'requests_total{slot="$slot",code="500"}',
    "total": TOTAL,
    "counts": "requests",
    "min_events": 300,
    "alpha": "0.01",
    "burst": 15,
    "condition": {"op": "<", "limit": "0.01", "unit": "ratio", "text": "error_rate < 1%"},
}
PROBES = {
    **{key: value for key, value in ERRORS.items() if key not in ("bad", "total")},
    "id": "api_uptime",
    "of": "good",
    "samples": 'probe_success{slot="$slot"}',
    "counts": "probes",
    "condition": {"op": ">", "limit": "0.99", "unit": "ratio", "text": "api_uptime > 99%"},
}
LATENCY = {
    "id": "latency_p95",
    "kind": "quantile",
    "source": "prometheus",
    "mode": "enforce",
    "quantile": 0.95,
    "buckets": 'seconds_bucket{slot="$slot"}',
    "min_events": 200,
    "alpha": "0.01",
    "burst": 15,
    "condition": {"op": "<", "limit": "0.2", "unit": "seconds", "text": "latency_p95 < 200ms"},
}
WORSE = {
    "id": "degradation",
    "kind": "baseline",
    "source": "prometheus",
    "mode": "enforce",
    "buckets": 'seconds_bucket{slot="$slot"}',
    "min_events": 500,
    "alpha": "0.01",
    "condition": {"op": "<", "limit": "0.2", "unit": "ratio", "text": "degradation < 20%"},
}
SHARES = (("0.1", 0.2), ("0.5", 0.02), ("10", 0.0))


def gate(*checks, window=600, hold=600, interval=15):
    return {
        "id": "phase2.step1",
        "window_seconds": window,
        "interval_seconds": interval,
        "settle_seconds": 0,
        "hold_seconds": hold,
        "blind_after_seconds": 120,
        "on_fail": "rollback",
        "checks": list(checks),
    }


def step(*checks, weight=10, **keys):
    return {"id": "phase2.step1", "name": "10% Traffic", "weight": weight, "gate": gate(*checks, **keys)}


def steady(per_second, base=0.0, **keys):
    return Expected(per_second, base, per_second + base, power.GIVEN, **keys)


# Drawing


@pytest.mark.parametrize(("n", "p"), [(7, 0.3), (40, 0.5), (30, 0.9), (200, 0.2)])
def test_draws_are_binomial(n, p):
    rng, draws = random.Random(1), 20_000  # noqa: S311 - a simulation
    counts = Counter(binomial(rng, n, p) for _draw in range(draws))
    assert set(counts) <= set(range(n + 1))
    for k in range(n + 1):
        expected = math.comb(n, k) * p**k * (1 - p) ** (n - k)
        # Five standard deviations, for some hundred comparisons.
        assert abs(counts[k] / draws - expected) <= 5 * math.sqrt(expected * (1 - expected) / draws) + 1e-3


@pytest.mark.parametrize(("n", "p"), [(7500, 0.05), (10**6, 0.001), (10**6, 0.97), (10**9, 1e-9)])
def test_draws_of_many_events_have_mean_and_spread(n, p):
    rng, draws = random.Random(2), 3000  # noqa: S311 - a simulation
    drawn = [binomial(rng, n, p) for _draw in range(draws)]
    mean, variance = sum(drawn) / draws, n * p * (1 - p)
    assert abs(mean - n * p) <= 5 * math.sqrt(variance / draws)
    assert sum((k - n * p) ** 2 for k in drawn) / draws == pytest.approx(variance, rel=0.15)


def test_draws_at_the_ends():
    rng = random.Random(3)  # noqa: S311 - a simulation
    assert [binomial(rng, *case) for case in ((0, 0.5), (100, 0.0), (100, 1.0))] == [0, 0, 100]


# Looking


@pytest.mark.parametrize(("window", "hold", "interval"), [(1800, 1800, 15), (97, 0, 15), (12, 15, 1), (100_800, 3600, 15), (0.5, 0.2, 0.5)])
def test_the_looks_are_some_of_the_gates_own(window, hold, interval):
    at, its_own = 0.0, []
    while at < window + hold:
        at = next_look_at(gate(ERRORS, window=window, hold=hold, interval=interval), Look(0, at, PENDING))
        its_own.append(at)
    looks = list(looks_of(gate(ERRORS, window=window, hold=hold, interval=interval)))
    assert set(looks) <= set(its_own)
    assert looks == sorted(set(looks))
    assert {its_own[0], window, window + hold} <= set(looks)
    assert len(looks) < 80


@pytest.mark.parametrize(
    ("check", "ratio", "expected"),
    [(ERRORS, 0.02, steady(2)), (ERRORS, 0.05, steady(0.5)), (LATENCY, 0.1, steady(1)), (WORSE, 1.8, steady(5, 5, shares=SHARES))],
)
def test_thinned_out_looks_find_as_much_as_all_of_them(monkeypatch, check, ratio, expected):
    def found():
        outcomes = power._Simulation(gate(check), expected, "seed").outcomes(ratio)
        return power._estimate([outcome.found_at is not None for outcome in outcomes])

    few, error = found()
    monkeypatch.setattr(power, "GROWTH", 1.0)
    monkeypatch.setattr(power, "GROWTH_IN_HOLD", 1.0)
    every, error_of_every = found()
    assert abs(few - every) <= error + error_of_every + 0.03


# What is found


def by_factor(found):
    return {bad["factor"]: bad for bad in found["detects"]}


def test_a_proportion_with_much_traffic_finds_everything():
    found = assess(gate(ERRORS), ERRORS, steady(100))
    assert [(bad["factor"], bad["ratio"]) for bad in found["detects"]] == [
        (2, pytest.approx(0.02)),
        (3, pytest.approx(0.03)),
        (5, pytest.approx(0.05)),
        (10, pytest.approx(0.1)),
        (100, 1.0),
    ]
    assert all(bad["detectable"] and bad["passes"] == 0 for bad in found["detects"])
    times = [bad["median_seconds"] for bad in found["detects"]]
    assert times == sorted(times, reverse=True)
    assert times[-1] == 15
    assert found["in_window"] == 60_000
    assert found["min_events_after_seconds"] == 3
    assert found["healthy"]["probability"] == 1


def test_a_proportion_with_little_traffic_finds_little_and_cannot_pass():
    found = assess(gate(ERRORS), ERRORS, steady(0.2))
    assert found["in_window"] == 120
    assert found["min_events_after_seconds"] == 1500
    assert found["healthy"]["probability"] == 0
    assert not by_factor(found)[2]["detectable"]
    assert by_factor(found)[2]["median_seconds"] is None
    assert by_factor(found)[2]["passes"] == 0
    assert by_factor(found)[100]["detectable"]


def test_what_the_hold_brings_is_counted():
    without = assess(gate(ERRORS, hold=0), ERRORS, steady(0.4))
    held = assess(gate(ERRORS, hold=600), ERRORS, steady(0.4))
    assert without["healthy"]["probability"] == 0
    assert held["healthy"]["probability"] > 0.8


def test_the_error_of_an_estimate_shrinks_where_runs_disagree():
    found = assess(gate(ERRORS), ERRORS, steady(0.5))
    unsure = [bad for bad in found["detects"] if 0.2 < bad["probability"] < 0.8]
    assert unsure
    for bad in unsure:
        assert bad["error"] == pytest.approx(1.96 * math.sqrt(bad["probability"] * (1 - bad["probability"]) / power.MANY_RUNS), abs=1e-3)


def test_a_probe_is_an_event_and_good_is_what_is_limited():
    found = assess(gate(PROBES), PROBES, steady(1))
    assert found["in_window"] == 600
    assert by_factor(found)[100]["ratio"] == 1.0
    assert by_factor(found)[10]["detectable"]


def test_a_quantile_is_about_the_share_of_slow_requests():
    found = assess(gate(LATENCY), LATENCY, steady(20))
    assert [bad["ratio"] for bad in found["detects"]] == pytest.approx([0.1, 0.15, 0.25, 0.5, 1.0])
    assert all(bad["detectable"] for bad in found["detects"])


def test_a_baseline_is_about_stables_share_at_each_bound():
    found = assess(gate(WORSE), WORSE, steady(20, 20, shares=SHARES))
    # A fifth is slower than 100 ms already, so five times that is all there can be.
    assert [(bad["factor"], round(bad["ratio"], 3)) for bad in found["detects"]] == [(2, 2.4), (3, 3.6), (5, 5.0)]
    assert all(bad["detectable"] for bad in found["detects"])
    assert found["healthy"]["probability"] == 1
    assert found["healthy"]["window_seconds"] == 25


def test_a_baseline_waits_for_the_slower_slot():
    assert assess(gate(WORSE), WORSE, steady(20, 1, shares=SHARES))["min_events_after_seconds"] == 500


def test_a_baseline_without_stable_traffic_cannot_pass():
    found = assess(gate(WORSE), WORSE, steady(20, 0, shares=SHARES))
    assert found["min_events_after_seconds"] is None
    assert found["healthy"] == {"probability": 0.0, "error": 0.0, "window_seconds": None}


def test_a_limit_of_nothing_is_asked_with_ratios_of_its_own():
    none = {**ERRORS, "condition": {**ERRORS["condition"], "op": "<=", "limit": "0"}}
    found = assess(gate(none), none, steady(100))
    assert [(bad["factor"], bad["ratio"]) for bad in found["detects"]] == [(None, ratio) for ratio in power.RATIOS]
    assert all(bad["detectable"] for bad in found["detects"][1:])
    assert found["healthy"]["probability"] == 1


def test_a_limit_that_allows_everything_is_never_broken():
    everything = {**ERRORS, "condition": {**ERRORS["condition"], "op": "<=", "limit": "1"}}
    found = assess(gate(everything), everything, steady(100))
    assert found["detects"] == []
    assert found["healthy"]["probability"] == 1


def test_the_same_question_has_the_same_answer():
    assert assess(gate(ERRORS), ERRORS, steady(0.5)) == assess(gate(ERRORS, PROBES), ERRORS, steady(0.5))


# The window that would do


def passes_at_the_end(n, allowed):
    """The probability that fewer than the allowed share of n events is bad where half of it is expected, added up."""
    p = allowed / 2
    return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(math.ceil(n * allowed - 1e-9)))


@pytest.mark.parametrize("allowed", [0.01, 0.05, 0.2])
def test_from_the_window_on_a_healthy_candidate_passes(allowed):
    events = round(window_for(1.0, allowed, 1))
    assert all(passes_at_the_end(n, allowed) >= 0.99 for n in range(events, 3 * events))
    assert passes_at_the_end(events - 1, allowed) < 0.99


def test_the_window_holds_the_events_that_are_needed():
    assert window_for(2.0, 0.5, 3000) == 1500
    assert window_for(0.01, 0.0, 5) == 500
    assert window_for(0.001, 0.001, 1) is None


# The traffic that is expected


def sample(bad, total, coverage=1.0):
    return Sample(status=OK, bad=bad, total=total, coverage_ratio=coverage)


def test_traffic_is_that_of_both_slots_over_the_time_with_data():
    answers = {"blue": sample(3.0, 500.0), "green": sample(0.0, 50.0, coverage=0.5)}
    expected = expect(ERRORS, 10, answers, 100, None)
    assert (expected.per_second, expected.base_per_second, expected.all_per_second) == pytest.approx((0.6, 5.4, 6.0))
    assert expected.origin == power.MEASURED
    assert expected.bad_ratio == pytest.approx(3 / 550)


def test_given_traffic_wins_and_an_idle_slot_is_none():
    answers = {"blue": sample(0.0, 600.0), "green": no_data("no events in the window so far")}
    assert expect(ERRORS, 50, answers, 60, None).per_second == pytest.approx(5.0)
    given = expect(ERRORS, 50, answers, 60, 40.0)
    assert (given.per_second, given.origin) == (20.0, power.GIVEN)


def test_events_that_no_slot_has_to_itself_are_all_the_candidates():
    shared = {**ERRORS, "bad": "orders_failed_total", "total": "orders_total"}
    answers = {"blue": sample(0.0, 600.0), "green": sample(0.0, 600.0)}
    assert expect(shared, 10, answers, 60, None).per_second == pytest.approx(10.0)


def test_probes_come_whatever_the_weight_and_one_a_second_unless_they_are_there():
    assert expect(PROBES, 10, {}, 60, 400.0) == Expected(1.0, 1.0, 1.0, power.ASSUMED)
    measured = expect(PROBES, 10, {"blue": sample(0.0, 12.0), "green": no_data("nothing")}, 60, None)
    assert (measured.per_second, measured.origin) == (pytest.approx(0.2), power.MEASURED)


def test_a_baselines_sample_tells_of_both_slots_and_of_the_slow_shares():
    pair = {"bad": 5.0, "total": 100.0, "base_bad": 15.0, "base_total": 900.0}
    pairs = ({"at": "1", **pair, "bad": 0.0, "base_bad": 10.0}, {"at": "0.25", **pair})
    answers = {"blue": Sample(status=OK, total=100.0, pairs=pairs), "green": no_data("no events")}
    expected = expect(WORSE, 50, answers, 100, None)
    assert expected.all_per_second == pytest.approx(10.0)
    assert expected.shares == (("0.25", 0.02), ("1", 0.01))
    assert expected.share_origin == power.MEASURED


def test_where_nobody_knows_the_traffic_nothing_is_guessed():
    assert expect(ERRORS, 10, {}, 60, None) is None
    assert expect(LATENCY, 10, {"blue": no_data("nothing"), "green": no_data("nothing")}, 60, None) is None
    (found,) = review([step(ERRORS)], {}, 600, None)[0]["checks"]
    assert "cannot be told" in found["lines"][0]
    assert found["cautions"] == ["give the expected traffic: validate_plan_requests_per_second"]


# Words


@pytest.fixture
def told(monkeypatch):
    """What is said of a check, from few simulations."""
    monkeypatch.setattr(power, "FEW_RUNS", 4)
    monkeypatch.setattr(power, "MANY_RUNS", 8)

    def run(check, per_second, answers=None, **keys):
        gates = review([step(check, **keys)], {check["id"]: answers or {}}, 600, per_second)
        json.dumps(gates, allow_nan=False)
        return "\n".join(text(gates))

    return run


def test_the_words_say_what_is_found_and_what_is_not(told):
    strict = {**ERRORS, "min_events": 3000, "condition": {**ERRORS["condition"], "limit": "0.001", "text": "error_rate < 0.1%"}}
    said = told(strict, 400 / 60, window=1800, hold=1800)
    assert "phase2.step1 (10% Traffic): 30m, held for up to 30m more" in said
    assert "error_rate < 0.1%: with 40 requests a minute (10% of 400) and 30m, 1,200 requests" in said
    assert "0.5% is found with probability " in said
    assert (
        "! min_events (3,000) will not be reached in 30m: 1,200 requests are expected; it takes 1h15m, "
        "more than window and hold: the gate cannot pass"
    ) in said


def test_the_words_speak_as_the_condition_does(told):
    assert "98% is found with probability" in told(PROBES, None)
    assert "10% slower than 200ms is found with probability" in told(LATENCY, 20.0)
    assert "2.4 times stable's share of slow requests is found" in told(WORSE, 20.0, weight=50)
    assert "it cannot pass: stable gets no traffic" in told(WORSE, 20.0, weight=100)
    assert "[observed only]" in told({**ERRORS, "mode": "observe"}, 20.0)


def test_a_limit_that_is_broken_already_is_said(told):
    answers = {"blue": sample(30.0, 1000.0), "green": no_data("nothing")}
    assert "over the last 10m it was 3% in both slots together: the limit is broken already" in told(ERRORS, None, answers)


OTHERS = {
    "threshold": (
        {"query": "queue_length", "fail_after": 3},
        "acts after 3 looks in a row, which is within 45s",
        "between two looks, is not seen",
    ),
    "alerts": ({"fail_after": 1}, "acts after one look, which is within 15s", "that no loaded rule describes"),
    "api": (
        {"events": "total_trades", "min_events": 5, "counts": "trades"},
        "is judged when the window of 10m is over",
        "fewer than 5 trades it holds",
    ),
    "reconcile": ({"min_events": 2, "fail_after": 1}, "acts after one look", "fewer than 2 events it holds"),
    "command": ({"must_match": [], "must_not_match": [], "rc": 0, "fail_after": 1}, "acts after one look", "if it always exits with 0"),
}


def test_every_kind_has_words():
    assert set(OTHERS) | set(power.COUNTED) == set(KINDS)


@pytest.mark.parametrize("kind", OTHERS)
def test_the_other_kinds_say_how_soon_they_act_and_what_they_do_not_see(told, kind):
    keys, soon, unseen = OTHERS[kind]
    said = told({"id": "it", "kind": kind, "mode": "enforce", "condition": {"text": "it == 0"}, **keys}, None)
    assert soon in said
    assert unseen in said


@pytest.mark.parametrize(
    ("keys", "unseen"),
    [
        ({"kind": "threshold", "what": "loss"}, "what is lost between two looks is seen at the later one"),
        ({"kind": "reconcile", "what": "positions", "min_events": 1, "counts": "trades"}, "with fewer than 1 trades it holds"),
        ({"kind": "reconcile", "what": "pnl", "min_events": 1}, "only between two looks"),
        ({"kind": "reconcile", "what": "limits", "min_events": 1}, "unless the fills tell of it"),
        ({"kind": "reconcile", "what": "engines", "min_events": 1}, "was restarted between two looks"),
    ],
)
def test_what_checks_of_live_books_do_not_see(told, keys, unseen):
    said = told({"id": "it", "source": "trading", "mode": "enforce", "fail_after": 1, "condition": {"text": "it == 0"}, **keys}, None)
    assert "acts after one look" in said
    assert unseen in said


def test_a_step_with_engines_says_what_is_at_stake_and_has_all_the_traffic():
    check = {"id": "it", "kind": "reconcile", "mode": "enforce", "min_events": 1, "fail_after": 1, "condition": {"text": "it == 0"}}
    engines = {"ETH/USDT": "100.00", "SOL/USDT": "1000.50"}
    live = {"id": "phase3.step2", "name": "Three", "engines": engines, "live": {"BTC/USDT": "100.00", **engines}}
    (gate,) = review([{**{key: value for key, value in step(check).items() if key != "weight"}, **live}], {}, 600, None)
    assert (gate["weight"], gate["engines"]) == (100, engines)
    assert "  starts ETH/USDT with 100.00 USD, SOL/USDT with 1000.50 USD; live then are 3 engines with 1,200.50 USD" in text([gate])
