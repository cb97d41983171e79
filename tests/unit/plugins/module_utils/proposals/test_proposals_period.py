# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.http import HttpError
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report
from ansible_collections.levibot.transition.plugins.module_utils.proposals import ask, period
from ansible_collections.levibot.transition.plugins.module_utils.proposals.ask import Asker, Grid, grid_of

OPTIONS: dict[str, Any] = {
    "started_at": 1000.0,
    "ended_at": 4600.0,
    "slot": "green",
    "rule_slots": "blue|green",
    "rate_window": "5m",
    "interval": "30s",
    "max_points": 20000,
    "alerts": {
        "depth": {
            "alert": "LeviQueueDeep",
            "summary": "The queue is long.",
            "expr": 'queue{slot=~"$slot"}[$window] $1',
            "condition": ">",
            "unit": "count",
            "plan": "32",
            "for": "1m",
            "severity": "P1",
        }
    },
    "levels": [{"name": "warning", "quantile": 0.99}],
    "margin": "20%",
    "false_alarms": 0,
    "min_coverage": "90%",
    "incidents": [],
    "inference": None,
    "used": {"concurrent_positions": "open[$step]"},
    "fired": "ALERTS",
    "uptime": "",
}


class Answers:
    """Stands for a Prometheus: each query's grid, or what is raised."""

    def __init__(self, **series: Any) -> None:
        self.series = series
        self.asked: list[tuple[str, int, int, int]] = []

    def grid(self, query: str, start_ms: int, step_ms: int, buckets: int, _deadline: float | None = None) -> Any:
        self.asked.append((query, start_ms, step_ms, buckets))
        found = next((value for name, value in self.series.items() if query.startswith(name)), {})
        if isinstance(found, Exception):
            raise found
        if callable(found):
            return found(start_ms, step_ms, buckets)
        return {((("n", str(number)),)): dict(enumerate(values)) for number, values in enumerate(found)}


def look(answers: Answers, **changes: Any) -> dict[str, Any]:
    report = Report()
    wanted = period.read({**OPTIONS, **changes}, report)
    assert wanted is not None, report.problems
    found = period.look(wanted, Asker(answers, wanted.grid, 10))  # type: ignore[arg-type]
    json.dumps(found, allow_nan=False)
    return found


@example(1.0, 1.5, 1.0, 1)
@given(st.floats(1, 2e9), st.floats(0.001, 3e6), st.floats(0.1, 600), st.integers(1, 20000))
def test_a_grid_covers_its_period_in_bounded_steps(start: float, seconds: float, interval: float, most: int) -> None:
    grid = grid_of(start, start + seconds, interval, most)
    assert 1 <= grid.evaluations <= most
    assert grid.end_ms <= round((start + seconds) * 1000) + 1
    assert grid.step_seconds >= min(interval, seconds) - 0.002


def test_a_long_answer_is_asked_in_parts() -> None:
    answers = Answers(queue=lambda start_ms, step_ms, buckets: {(): {at: float(start_ms + (at + 1) * step_ms) for at in range(buckets)}})
    grid = Grid(0, 1000, 2 * ask.POINTS_AT_ONCE + 5)
    (points,) = Asker(answers, grid, 10).series("a queue", "queue") or []  # type: ignore[arg-type]
    assert [buckets for *_rest, buckets in answers.asked] == [ask.POINTS_AT_ONCE, ask.POINTS_AT_ONCE, 5]
    assert points == {at: 1000.0 * (at + 1) for at in range(grid.evaluations)}


def test_rules_and_questions_have_each_their_slots() -> None:
    answers = Answers()
    (found,) = look(answers)["alerts"]
    assert found["asked"] == 'queue{slot=~"green"}[5m] $1'
    assert found["expr"] == 'queue{slot=~"blue|green"}[5m] $1'
    assert ("open[30s]", 1_000_000, 30_000, 120) in answers.asked


def test_what_cannot_be_asked_costs_its_own_part() -> None:
    found = look(Answers(queue=HttpError("http://p", "answered 503"), open=[[1.0, 3.0, 2.0]], ALERTS=ValueError("odd")))
    assert [(one["what"], "answered 503" in one["problem"]) for one in found["problems"]] == [
        ("alert depth", True),
        ("alerts that fired", False),
    ]
    assert "answered 503" in found["alerts"][0]["problem"]
    assert found["used"] == [{"limit": "concurrent_positions", "value": "3", "source": "Prometheus: open[30s]", "problem": ""}]
    assert found["fired"] is None


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([[0.0] * 9], "what never changes is no evidence"),
        ([], "no sample"),
        ([[math.nan, math.inf]], "no sample"),
        (HttpError("u", "w"), "w"),
    ],
)
def test_use_that_nobody_saw_is_not_known(values: Any, problem: str) -> None:
    (used,) = look(Answers(open=values))["used"]
    assert used["value"] is None
    assert problem in used["problem"]


def test_too_many_series_are_refused() -> None:
    found = look(Answers(queue=[[1.0]] * (ask.MOST_SERIES + 1)))
    assert "aggregate them" in found["alerts"][0]["problem"]


def test_firings_are_counted_by_alert() -> None:
    labels = (("alertname", "LeviDown"), ("severity", "P0"))
    other = (("alertname", "LeviDown"), ("severity", "P0"), ("slot", "green"))
    there = {labels: {0: 1.0, 1: 1.0, 5: 1.0}, other: {7: 1.0}}
    found = look(Answers(ALERTS=lambda *_asked: there), incidents=[{"from": 1000 + 7 * 30, "to": 1000 + 9 * 30}])
    assert found["fired"] == [{"alert": "LeviDown", "severity": "P0", "times": 3, "firing_seconds": 120.0, "in_incidents": 1}]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"interval": "30"}, "interval"),
        ({"interval": "0s"}, "interval"),
        ({"rate_window": "often"}, "rate_window"),
        ({"margin": "0.2"}, "margin"),
        ({"min_coverage": "most"}, "min_coverage"),
        ({"levels": []}, "levels"),
        ({"levels": [{"name": "x", "quantile": 99}]}, "levels[0]"),
        ({"ended_at": 1000.0}, "ended_at"),
        ({"max_points": 0}, "max_points"),
        ({"incidents": [{"from": "2026-11-25T03:00:00", "to": 5}]}, "incidents[0]"),
        ({"incidents": [{"from": 9, "to": 5}]}, "incidents[0]"),
        ({"inference": {"buckets": "b", "label": "model", "budgets": {"tft": 0.1}}}, "inference.budgets.default"),
        ({"inference": {"buckets": "b", "label": "model", "budgets": {"default": "fast"}}}, "inference.budgets.default"),
    ],
)
def test_mistakes_are_told_with_their_path(change: dict[str, Any], path: str) -> None:
    report = Report()
    assert period.read({**OPTIONS, **change}, report) is None
    assert [problem.path for problem in report.problems] == [path]
