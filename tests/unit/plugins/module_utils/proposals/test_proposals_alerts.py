# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report
from ansible_collections.levibot.transition.plugins.module_utils.proposals.alerts import Level, Metric, Policy, propose, read_metrics
from ansible_collections.levibot.transition.plugins.module_utils.proposals.series import Alarm, alarms, covered, fewest_samples, quantile

STEPS = (1.0, 15.0, 30.0)
points = st.dictionaries(st.integers(0, 60), st.one_of(st.integers(0, 8).map(float), st.just(math.inf)), max_size=60)
LEVELS = (Level("warning", 0.99, "warning", pages=False), Level("critical", 0.999))
ERRORS = {
    "alert": "LeviErrorRate",
    "summary": "Requests fail.",
    "expr": 'errors{slot=~"$slot"}',
    "condition": ">",
    "unit": "ratio",
    "plan": "0.5%",
    "slo": "< 0.1%",
    "for": "0s",
    "severity": "P1",
}


def simulated(series: dict[int, float], threshold: float, for_seconds: float, step: float, evaluations: int = 80) -> tuple[int, set[int]]:
    """Prometheus's own way, evaluation by evaluation: how often a rule fired, and when."""
    state, active_at, times, firing = "inactive", 0.0, 0, set()
    for index in range(evaluations):
        now = index * step
        if index not in series or not series[index] > threshold:
            state = "inactive"
            continue
        if state == "inactive":
            state, active_at = "pending", now
        if state == "pending" and now - active_at >= for_seconds:
            state, times = "firing", times + 1
        if state == "firing":
            firing.add(index)
    return times, firing


def indices(found: list[Alarm]) -> set[int]:
    return {index for alarm in found for index in range(alarm.first, alarm.last + 1)}


@given(points, st.integers(0, 8), st.integers(0, 130), st.sampled_from(STEPS))
def test_alarms_are_those_of_prometheus(series: dict[int, float], threshold: int, for_seconds: int, step: float) -> None:
    found = alarms(series, lambda value: value > threshold, for_seconds, step)
    times, firing = simulated(series, threshold, for_seconds, step)
    assert len(found) == times
    assert indices(found) == firing
    assert all(alarm.active <= alarm.first <= alarm.last for alarm in found)


@given(points, st.integers(0, 8), st.integers(0, 8), st.integers(0, 130), st.sampled_from(STEPS))
def test_a_higher_threshold_never_fires_where_a_lower_one_is_silent(
    series: dict[int, float], one: int, other: int, for_seconds: int, step: float
) -> None:
    low, high = (alarms(series, lambda value, limit=limit: value > limit, for_seconds, step) for limit in sorted((one, other)))
    assert indices(high) <= indices(low)
    assert low or not high


def test_one_long_alarm_may_be_several_of_a_higher_threshold() -> None:
    """Which is why the seconds that a rule fires are counted beside its alarms."""
    series = dict(enumerate([5.0, 8.0, 5.0, 8.0, 5.0]))
    assert len(alarms(series, lambda value: value > 4, 0, 1)) == 1
    assert len(alarms(series, lambda value: value > 7, 0, 1)) == 2


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=200), st.sampled_from((0.5, 0.99, 0.999, 1)))
def test_a_quantile_is_a_sample_that_enough_do_not_exceed(values: list[float], q: float) -> None:
    found = quantile(values, q)
    assert found in values
    assert sum(value <= found for value in values) >= Decimal(str(q)) * len(values)
    assert sum(value < found for value in values) < Decimal(str(q)) * len(values)


def test_a_quantile_takes_samples() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)
    assert [fewest_samples(q) for q in (0.5, 0.99, 0.999, 1)] == [2, 100, 1000, 1]
    assert quantile(range(1, 1001), 0.999) == 999


def test_what_any_series_covers_is_covered() -> None:
    assert covered([{0: 1.0, 1: 1.0}, {1: 1.0, 2: 1.0}], 4) == 0.75
    assert covered([], 4) == 0.0


def metric(**changes: Any) -> Metric:
    report = Report()
    found = read_metrics({"errors": {**ERRORS, **changes}}, report)
    assert not report.problems, report.problems
    return found[0]


def policy(evaluations: int, **changes: Any) -> Policy:
    wanted = {"levels": LEVELS, "margin": Decimal("0.2"), "false_alarms": 0, "min_coverage": 0.9, "step_seconds": 30.0}
    return Policy(**{**wanted, "evaluations": evaluations, **changes})


def proposed(values: list[float], of: Metric | None = None, **changes: Any) -> dict[str, Any]:
    return propose(of or metric(), [dict(enumerate(values))] if values else [], policy(len(values) or 1, **changes))


def noisy(count: int = 2000, every: int = 100, high: float = 0.008, usual: float = 0.0012) -> list[float]:
    return [high if index % every == 0 else usual + index % 7 * 1e-6 for index in range(count)]


def test_a_threshold_that_cries_wolf_is_loosened() -> None:
    found = proposed(noisy(every=100))
    assert (found["plan"]["alarms"], found["plan"]["false_alarms"], found["plan"]["firing_seconds"]) == (20, 20, 600)
    assert [(rule["level"], rule["severity"], rule["false_alarms"]) for rule in found["rules"]] == [("critical", "P1", 0)]
    # 0.8 % and 20 % more.
    assert (found["rules"][0]["threshold"], found["rules"][0]["text"]) == ("0.0096", "0.96%")
    assert found["notes"] == ["warning: comes to the same threshold as critical, and is left out"]


def test_a_threshold_far_above_what_happens_is_tightened_but_not_below_the_slo() -> None:
    found = proposed([0.0001 + index % 9 * 1e-6 for index in range(2000)])
    rules = {rule["level"]: rule for rule in found["rules"]}
    assert rules["warning"]["text"] == "0.013%"
    assert (rules["critical"]["text"], rules["critical"]["basis"]) == ("0.1%", "the SLO, below which nobody is paged")
    assert found["plan"]["false_alarms"] == 0


def test_the_plans_threshold_stays_where_it_made_no_false_alarm() -> None:
    """p99.9 with its margin is laxer, and nothing asks for that."""
    found = proposed(noisy(high=0.0049))
    assert found["candidates"][-1]["threshold"] == "0.0059"
    assert (found["rules"][-1]["text"], found["rules"][-1]["basis"]) == ("0.5%", "the plan's own threshold")


def test_a_hard_threshold_is_never_loosened() -> None:
    found = proposed(noisy(), metric(hard=True))
    assert {rule["text"] for rule in found["rules"]} == {"0.5%"}
    assert found["rules"][-1]["false_alarms"] == 20


def test_what_happened_in_incidents_is_no_false_alarm_and_no_measure() -> None:
    values = [0.5 if 300 <= index < 400 else 0.0012 + index % 7 * 1e-6 for index in range(2000)]
    found = proposed(values, incidents=[(300, 399)])
    assert (found["plan"]["alarms"], found["plan"]["false_alarms"]) == (1, 0)
    assert found["observed"]["worst"] == "0.121%"
    assert found["samples"] == 1900
    assert [(rule["text"], rule["alarms"], rule["false_alarms"]) for rule in found["rules"]] == [("0.15%", 1, 0)]


def test_what_lasts_is_no_false_alarm() -> None:
    values = [0.02 + index % 7 * 1e-6 if index % 10 else 0.001 for index in range(2000)]
    found = proposed(values)
    assert found["lasting"] == "the plan's > 0.5% would have fired for 90% of the time"
    assert "mend its cause" in found["problem"]
    assert found["rules"] == []
    assert proposed(values, incidents=[(0, 1999)])["lasting"] == ""


def test_an_uptime_is_bad_when_it_is_low() -> None:
    uptime = metric(condition="<", plan="99.9%", slo="> 99.9%", least="99.9%", may_stand_still=True)
    values = [0.99 if index % 500 == 0 else 1.0 for index in range(2000)]
    found = proposed(values, uptime)
    assert found["observed"] == {"p50": "100%", "p99": "100%", "p99.9": "99%", "worst": "99%"}
    assert found["plan"]["false_alarms"] == 4
    assert [(rule["text"], rule["false_alarms"]) for rule in found["rules"]] == [("98.8%", 0)]
    assert proposed([1.0] * 2000, uptime)["rules"][0]["text"] == "99.9%"


@pytest.mark.parametrize(
    ("values", "changes", "problem"),
    [
        ([], {}, "no sample in the period"),
        ([0.1, 0.2] * 30, {"evaluations": 60}, "only 60 samples; at least 100"),
        ([0.1, 0.2] * 60, {"evaluations": 240}, "only 50% of the period has samples; 90% are needed"),
        ([0.2] * 500, {}, "what never changes is no evidence"),
        ([0.1, math.inf] * 600, {}, "infinite"),
    ],
)
def test_with_too_little_nothing_is_proposed(values: list[float], changes: dict[str, Any], problem: str) -> None:
    found = propose(metric(), [dict(enumerate(values))] if values else [], policy(**{"evaluations": len(values) or 1, **changes}))
    assert problem in found["problem"]
    assert found["rules"] == []
    json.dumps(found, allow_nan=False)


def test_a_quantile_without_its_samples_is_left_to_later() -> None:
    found = proposed(noisy(count=500))
    assert [rule["level"] for rule in found["rules"]] == ["warning"]
    assert found["notes"] == ["critical: p99.9 takes 1000 samples, so nothing is proposed"]


def test_nought_makes_no_threshold() -> None:
    found = proposed([0.0] * 2000, metric(may_stand_still=True, slo=""))
    assert found["rules"] == []
    assert len(found["notes"]) == 2


values_of = st.lists(st.sampled_from((0.0, 0.0004, 0.002, 0.004, 0.006, 0.01, 0.3)), min_size=1, max_size=30)


@given(values_of, st.integers(0, 3), st.booleans(), st.sampled_from(("0s", "30s", "2m")))
def test_whatever_the_data_a_proposal_keeps_its_word(pattern: list[float], allowed: int, hard: bool, waits: str) -> None:
    values = (pattern * 1200)[:1200]
    found = proposed(values, metric(hard=hard, **{"for": waits}), false_alarms=allowed)
    plan = found["plan"]
    thresholds = [Decimal(rule["threshold"]) for rule in found["rules"]]
    assert thresholds == sorted(thresholds)
    if found["lasting"]:
        assert not found["rules"]
    for rule in found["rules"]:
        times, firing = simulated(dict(enumerate(values)), float(rule["threshold"]), metric(**{"for": waits}).for_seconds, 30.0, 1200)
        assert (rule["alarms"], rule["firing_seconds"]) == (times, len(firing) * 30)
        assert rule["false_alarms"] <= allowed or (hard and rule["threshold"] == plan["threshold"])
        if hard or plan["false_alarms"] <= allowed:
            assert Decimal(rule["threshold"]) <= Decimal(plan["threshold"])
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("change", "path", "fix"),
    [
        ({"condition": "<", "unit": "seconds"}, "condition", "ratio such as an uptime"),
        ({"unit": "miles"}, "unit", "write one of ratio"),
        ({"plan": "SLO + 50%", "slo": ""}, "plan", "give the slo"),
        ({"plan": "0.5"}, "plan", "write the unit as well"),
        ({"for": "soon"}, "for", "write a number with its unit"),
        ({"expr": ""}, "expr", "write a text"),
        ({"treshold": "1"}, "treshold", "remove it"),
    ],
)
def test_a_sites_mistakes_are_told(change: dict[str, str], path: str, fix: str) -> None:
    report = Report()
    assert read_metrics({"errors": {**ERRORS, **change}}, report) == []
    assert [problem.path for problem in report.problems] == [f"proposals_alerts.errors.{path}"]
    assert fix in report.problems[0].fix


def test_a_limit_may_be_said_by_its_slo() -> None:
    assert metric(unit="seconds", slo="< 200ms", plan="SLO + 50%").plan == Decimal("0.3")
