# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.evidence.conditions import number, parse_must, unmet
from ansible_collections.levibot.transition.plugins.module_utils.evidence.moments import LATEST, MomentError, parse_moment
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError
from tests.evidence_bed import JSON, NOW, VERSION

GOOD = {"version": VERSION, "hours": 24.5, "made": "2026-11-27T10:00:00Z", "ok": True, "name": "soak"}
CONDITIONS = [{"value": "hours", "must": ">= 24"}, {"value": "version", "must": "== $version"}, {"value": "ok", "must": "== true"}]


def report(path, **keys):
    return {"kind": "report", "path": path, "max_age": "1d", "at": "made", "conditions": CONDITIONS, **keys}


def test_a_report_that_meets_its_conditions_passes(look, written):
    seen = look(report(written(GOOD)))
    assert seen["passed"]
    assert seen["found"] == f"hours is 24.5; version is {VERSION}; ok is true"
    assert seen["wanted"] == f"at most 1d old; hours >= 24; version == {VERSION}; ok == true"
    assert (seen["at"], seen["age_seconds"]) == ("2026-11-27T10:00:00Z", 36000)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"hours": 23.9}, "hours is 23.9, not >= 24"),
        ({"hours": None}, "hours is not there"),
        ({"hours": "many"}, "hours is many and no number"),
        ({"hours": True}, "hours is true and no number"),
        ({"hours": [24]}, "hours is a list and no number"),
        ({"hours": float("nan")}, "hours is NaN and no number"),
        ({"hours": float("inf")}, "hours is inf and no number"),
        ({"version": "v1.7.0"}, f"version is v1.7.0, not == {VERSION}"),
        ({"version": {}}, "version is an object and no single value"),
        ({"ok": False}, "ok is false, not == true"),
        ({"ok": 1}, "ok is 1, not == true"),
        ({"made": "2026-11-20T10:00:00Z"}, "is of 2026-11-20T10:00:00Z, and so older than 1d"),
        ({"made": "2026-11-27T20:05:00Z"}, "is dated 2026-11-27T20:05:00Z, which is in the future"),
        ({"made": "2027-01-01T00:00:00+01:00"}, "is dated 2026-12-31T23:00:00Z, which is in the future"),
        ({"made": None}, "its time made is not there"),
        ({"made": "yesterday"}, "its time made is 'yesterday' and no time"),
        ({"made": "2026-11-27"}, "its time made is '2026-11-27', a day without a time"),
        ({"made": "2026-11-27T10:00:00"}, "its time made is '2026-11-27T10:00:00', a time without an offset from UTC"),
        ({"made": True}, "its time made is no time"),
        ({"made": 1795781000000}, "its time made is '1795781000000', which is no time since 1970 in seconds"),
    ],
)
def test_each_failure_alone_has_its_reason(look, written, changed, problem):
    seen = look(report(written({**GOOD, **changed})))
    assert not seen["passed"]
    assert seen["problem"] == problem


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "the report is empty"),
        ('{"hours": 24', "the report is no JSON (line 1: Expecting ',' delimiter)"),
        ("[" * 100_000, "the report is no JSON"),
        ("null", "its time made is not there; hours is not there; version is not there; ok is not there"),
        ("[]", "its time made is not there; hours is not there; version is not there; ok is not there"),
    ],
)
def test_what_is_no_report_is_refused(look, written, content, problem):
    assert look(report(written(content)))["problem"] == problem


def test_a_file_that_cannot_be_read_is_refused(look, tmp_path):
    assert look(report(str(tmp_path / "none.json")))["problem"].endswith("none.json cannot be read: No such file or directory")
    assert look(report(str(tmp_path)))["problem"].endswith("is no plain file")
    (tmp_path / "latin.json").write_bytes(b'{"hours": "\xff"}')
    assert look(report(str(tmp_path / "latin.json")))["problem"] == "the report is no JSON"


def test_the_files_own_age_counts_only_where_the_plan_says_so(look, written):
    path = written({"hours": 25})
    os.utime(path, (NOW - 60, NOW - 60))
    given = {"kind": "report", "path": path, "max_age": "1d", "conditions": CONDITIONS[:1]}
    assert look(given)["problem"] == "nothing says how old it is"
    seen = look({**given, "age_from": "mtime"})
    assert seen["passed"]
    assert seen["age_seconds"] == 60
    os.utime(path, (NOW - 90000, NOW - 90000))
    assert "older than 1d" in look({**given, "age_from": "mtime"})["problem"]


def test_a_clock_may_be_a_little_ahead_but_not_more(look, written):
    assert look(report(written({**GOOD, "made": "2026-11-27T20:01:30Z"})))["passed"]
    assert not look(report(written({**GOOD, "made": "2026-11-27T20:02:01Z"})))["passed"]


def test_a_time_without_an_offset_is_read_in_the_zone_that_the_plan_names(look, written):
    path = written({**GOOD, "made": "2026-11-27T10:00:00"})
    assert look(report(path, timezone="Europe/Berlin"))["at"] == "2026-11-27T09:00:00Z"


def test_the_path_may_carry_the_version(look, written):
    path = written(GOOD, f"soak-{VERSION}.json")
    seen = look(report(path.replace(VERSION, "$version")))
    assert seen["passed"]
    assert seen["source"] == path


def test_what_is_not_known_is_compared_with_nothing(look, written):
    conditions = [{"value": "name", "must": "== $revision"}]
    assert look(report(written({**GOOD, "name": ""}), conditions=conditions), revision="")["problem"] == "$revision is not known"


@pytest.mark.parametrize("must", ["24", "", None, 24, "=> 24", ">=", "< many", "> $version", "== $vresion"])
def test_a_condition_without_a_limit_is_a_mistake(must):
    with pytest.raises(MistakeError):
        parse_must(must)


@given(JSON, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.sampled_from(["24", "-1.5", "0"]))
def test_only_a_finite_number_ever_meets_a_number(value, op, limit):
    problem = unmet(value, op, limit)
    try:
        number(value)
    except ValueError:
        assert problem


@given(JSON)
def test_a_moment_is_a_moment_or_an_error(value):
    try:
        assert 0 < parse_moment(value) < LATEST
    except MomentError as exc:
        assert str(exc)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_garbage_never_passes_and_never_raises(look, tmp_path, content):
    (tmp_path / "garbage.json").write_bytes(content)
    seen = look(report(str(tmp_path / "garbage.json")))
    assert not seen["passed"]
    assert "could not be judged" not in seen["problem"]
