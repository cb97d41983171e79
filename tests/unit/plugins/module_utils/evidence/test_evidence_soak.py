# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import RefusedError
from ansible_collections.levibot.transition.plugins.module_utils.evidence.soak import read_soak
from tests.evidence_bed import JSON, NOW, VERSION

OURS = {
    "version": VERSION,
    "revision": "c0ffee",
    "started_at": "2026-11-25T20:00:00Z",
    "ended_at": "2026-11-26T20:30:00Z",
    "crashes": 0,
    "slos": {"api_uptime": "99.97%", "error_rate": 0.0002, "latency_p95": "87ms"},
}
SUMMARY = {
    "started_at": "2026-11-25T20:00:00",
    "ended_at": "2026-11-26T20:00:00",
    "duration_hours": 24.0,
    "symbols": ["BTC/USDT"],
    "snapshots_count": 288,
    "api_uptime_pct": 99.95,
    "engine_uptime_pct": 99.9,
    "inference_p95_ms": {"lgbm": 12.0, "tft": 85.0},
    "md_drop_pct": 0.02,
    "errors_per_min": 0.1,
    "global_stop_events": 0,
    "alerts_fired": 0,
    "decision_criteria": {"api_uptime": True, "engine_uptime": {"value": 99.9, "passed": True}},
    "decision_hint": "GO",
}
STATISTICS = {
    "test_config": {"symbols": ["BTC/USDT", "ETH/USDT"], "duration_minutes": 1440},
    "final_state": {"total_engines": 2, "running": 2, "crashed": 0, "stopped": 0},
    "statistics": {"max_errors": 1, "mean_uptime_seconds": 86380.0, "total_crashes": 0},
    "risk_metrics": {"final_equity": 10000.0, "realized_pnl_pct": 0.0, "final_positions": 0},
}


def soak(path, **keys):
    return {"kind": "soak_report", "path": path, "max_age": "7d", **keys}


def field(path, **keys):
    return soak(path, slos="where_given", version="unproven_ok", timezone="UTC", **keys)


def changed(document, **keys):
    """The document with its nested keys changed; ``a__b`` is ``b`` of ``a``, and None takes it away."""
    document = {key: dict(value) if isinstance(value, dict) else value for key, value in document.items()}
    for name, value in keys.items():
        where, key = (document[name.split("__")[0]], name.split("__")[1]) if "__" in name else (document, name)
        if value is None:
            del where[key]
        else:
            where[key] = value
    return document


def test_our_own_form_proves_all(look, written):
    seen = look(soak(written(OURS)))
    assert seen["passed"], seen["problem"]
    assert seen["found"] == (
        "a soak report (our form); took 1d30m; 0 crashes; api_uptime is 99.97%; error_rate is 0.02%; latency_p95 is 87ms"
    )
    assert seen["at"] == "2026-11-26T20:30:00Z"


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"version": "v1.7.0"}, f"is of v1.7.0, not of {VERSION}"),
        ({"version": None}, "nothing in it says which version was soaked"),
        ({"revision": "dead"}, "is of commit dead, not of c0ffee"),
        ({"started_at": "2026-11-26T10:00:00Z"}, "took 10h30m, not 1d"),
        ({"started_at": "2026-11-27T10:00:00Z"}, "took less than nothing, not 1d"),
        ({"started_at": "then"}, "its started_at is 'then' and no time; nothing in it says how long it took"),
        ({"ended_at": "2026-11-28T20:30:00Z"}, "is dated 2026-11-28T20:30:00Z, which is in the future"),
        (
            {"started_at": "2026-11-10T20:00:00Z", "ended_at": "2026-11-11T20:30:00Z"},
            "is of 2026-11-11T20:30:00Z, and so older than 7d",
        ),
        ({"crashes": 2}, "2 crashes, at most 0 allowed"),
        ({"crashes": None}, "its crashes is not there"),
        ({"crashes": -1}, "its crashes is -1"),
        ({"crashes": 0.5}, "its crashes is 0.5 and no whole number"),
        ({"slos__error_rate": 0.002}, "error_rate is 0.2%, not < 0.1%"),
        ({"slos__error_rate": "0.2%"}, "error_rate is 0.2%, not < 0.1%"),
        ({"slos__error_rate": None}, "has no value of error_rate"),
        ({"slos__error_rate": "few"}, "its error_rate is few and no number"),
        ({"slos__error_rate": float("nan")}, "its error_rate is nan and no number"),
        ({"slos__error_rate": -0.1}, "its error_rate is -0.1, and a share is from 0 to 1"),
        ({"slos__api_uptime": 99.97}, "its api_uptime is 99.97, and a share is from 0 to 1"),
        ({"slos__latency_p95": "201ms"}, "latency_p95 is 201ms, not < 200ms"),
        ({"slos": ["all fine"]}, "slos is a list and no mapping; has no value of api_uptime, error_rate, latency_p95"),
    ],
)
def test_each_failure_of_our_form_alone(look, written, keys, problem):
    assert look(soak(written(changed(OURS, **keys))))["problem"] == problem


def test_the_fields_summary_passes_where_the_plan_takes_it(look, written):
    seen = look(field(written(SUMMARY)))
    assert seen["passed"], seen["problem"]
    assert "constants of its script" in seen["found"]
    assert "its version is not proven" in seen["found"]
    assert "has no value of error_rate, latency_p95" in seen["found"]
    assert "api_uptime is 99.95%" in seen["found"]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"decision_hint": "NO-GO"}, "its decision_hint is NO-GO, not GO"),
        ({"decision_hint": "go"}, "its decision_hint is go, not GO"),
        ({"decision_criteria__api_uptime": False}, "its criterion api_uptime is not met"),
        ({"decision_criteria__engine_uptime": {"passed": False}}, "its criterion engine_uptime is not met"),
        ({"snapshots_count": 0}, "it is made of no snapshot at all"),
        ({"global_stop_events": 1}, "trading was stopped by its own risk limits: global_stop_events is 1"),
        ({"api_uptime_pct": 99.5}, "api_uptime is 99.5%, not > 99.9%"),
        ({"duration_hours": 2}, "took 2h, not 1d"),
        ({"started_at": "2026-11-26T18:00:00"}, "took 2h, not 1d"),
        ({"duration_hours": "long"}, "its duration_hours is long and no number"),
        ({"ended_at": "2026-11-01T20:00:00", "started_at": "2026-10-01T20:00:00"}, "is of 2026-11-01T20:00:00Z, and so older than 7d"),
    ],
)
def test_each_failure_of_the_summary_alone(look, written, keys, problem):
    assert look(field(written(changed(SUMMARY, **keys))))["problem"] == problem


def test_the_other_form_has_no_time_and_no_version_of_its_own(look, written):
    path = written(STATISTICS, f"soak-{VERSION}.json")
    os.utime(path, (NOW - 3600, NOW - 3600))
    assert look(field(path))["problem"] == "nothing says how old it is"
    assert look(soak(path, slos="where_given", age_from="mtime"))["problem"] == "nothing in it says which version was soaked"
    seen = look(soak(path.replace(VERSION, "$version"), slos="where_given", age_from="mtime", version="in_path"))
    assert seen["passed"], seen["problem"]
    assert f"its name says {VERSION}" in seen["found"]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"test_config__duration_minutes": 60, "statistics__mean_uptime_seconds": 3600}, "took 1h, not 1d"),
        ({"final_state__crashed": 1}, "1 crashes, at most 0 allowed"),
        ({"statistics__total_crashes": 3}, "3 crashes, at most 0 allowed"),
        ({"final_state__running": 1}, "1 of 2 engines ran at its end"),
        ({"final_state__running": 0, "final_state__total_engines": 0}, "0 of 0 engines ran at its end"),
        ({"statistics__mean_uptime_seconds": 600}, "its engines ran for 10m on average, and it was to take 1d"),
        ({"statistics__total_crashes": None}, "its statistics.total_crashes is not there"),
        ({"final_state": []}, "its final_state.crashed is not there"),
    ],
)
def test_each_failure_of_the_other_form_alone(look, written, keys, problem):
    path = written(changed(STATISTICS, **keys))
    os.utime(path, (NOW - 3600, NOW - 3600))
    assert look(field(path, age_from="mtime"))["problem"] == problem


def test_all_slos_must_be_in_the_report_unless_the_plan_says_otherwise(look, written):
    assert "has no value of error_rate, latency_p95" in look(soak(written(SUMMARY), version="unproven_ok", timezone="UTC"))["problem"]


def test_without_slos_nothing_is_met(look, written):
    assert look(soak(written(OURS)), slos={})["problem"] == "no SLOs are given to compare it with"
    assert "cannot be read" in look(soak(written(OURS)), slos={"error_rate": "small"})["problem"]


def test_times_without_an_offset_are_refused_without_a_zone(look, written):
    seen = look(soak(written(SUMMARY), slos="where_given", version="unproven_ok"))
    assert "a time without an offset from UTC" in seen["problem"]
    assert "give timezone" in seen["fix"]


def test_a_document_that_is_no_soak_report_is_refused(look, written):
    assert look(soak(written({"a": 1})))["problem"] == "the report has the shape of no soak report that is known"
    assert look(soak(written([1])))["problem"] == "the report is a list and no soak report"


SHAPED = st.fixed_dictionaries({}, optional={key: JSON for document in (OURS, SUMMARY, STATISTICS) for key in document})


@given(SHAPED | st.builds(lambda base, other: {**base, **other}, st.sampled_from([OURS, SUMMARY, STATISTICS]), SHAPED))
def test_garbage_is_never_a_soak(document):
    try:
        read = read_soak(document)
    except RefusedError:
        return
    assert read.crashes is None or read.crashes >= 0
    assert read.seconds is None or read.seconds >= 0
