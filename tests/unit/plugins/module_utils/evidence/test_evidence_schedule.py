# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import RefusedError
from ansible_collections.levibot.transition.plugins.module_utils.evidence.schedule import (
    Shift,
    gaps,
    read_calendar,
    read_opsgenie,
    read_pagerduty,
)
from tests.evidence_bed import JSON, NOW

HOUR = 3600
MARIA, IVO = {"id": "PU1", "summary": "Maria"}, {"id": "PU2", "summary": "Ivo"}


def calendar(*events):
    """An ICS file; | is a line's end in an event."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//levibot//test//EN"]
    for number, text in enumerate(events):
        lines += ["BEGIN:VEVENT", f"UID:{number}@example.com", "DTSTAMP:20261101T000000Z", *text.split("|"), "END:VEVENT"]
    return "\r\n".join([*lines, "END:VCALENDAR", ""])


DAILY = "DTSTART:20261101T060000Z|DTEND:20261102T060000Z|RRULE:FREQ=DAILY|SUMMARY:Maria"


@pytest.fixture
def scheduled(look, written):
    def judged(content, **keys):
        path = written(content, "oncall.ics")
        return look({"kind": "schedule", "provider": "ics", "schedule": path, "covers": "48h", **keys})

    return judged


def test_a_recurring_shift_covers_the_time(scheduled):
    seen = scheduled(calendar(DAILY))
    assert seen["passed"], seen["problem"]
    assert seen["found"] == "on call: Maria"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (calendar(), "nobody is on call from now to 2026-11-29T20:00:00Z"),
        (
            calendar("DTSTART:20261127T000000Z|DTEND:20261128T060000Z|SUMMARY:Maria"),
            "nobody is on call from 2026-11-28T06:00:00Z to 2026-11-29T20:00:00Z",
        ),
        (
            calendar("DTSTART:20261127T220000Z|DTEND:20261130T060000Z|SUMMARY:Maria"),
            "nobody is on call from now to 2026-11-27T22:00:00Z",
        ),
        (
            calendar(DAILY + "|EXDATE:20261128T060000Z"),
            "nobody is on call from 2026-11-28T06:00:00Z to 2026-11-29T06:00:00Z",
        ),
        (calendar(DAILY + "|STATUS:CANCELLED"), "nobody is on call from now to 2026-11-29T20:00:00Z"),
        (
            calendar(
                "DTSTART:20261127T000000Z|DTEND:20261128T060000Z|SUMMARY:Maria",
                "DTSTART:20261128T070000Z|DTEND:20261130T060000Z|SUMMARY:Ivo",
            ),
            "nobody is on call from 2026-11-28T06:00:00Z to 2026-11-28T07:00:00Z",
        ),
    ],
)
def test_each_gap_is_named(scheduled, content, problem):
    assert scheduled(content)["problem"] == problem


def test_whole_days_are_read_in_the_zone_of_the_plan(scheduled):
    days = calendar("DTSTART;VALUE=DATE:20261127|DTEND;VALUE=DATE:20261130|SUMMARY:Maria")
    assert scheduled(days)["passed"]
    assert scheduled(days, timezone="Europe/Berlin")["passed"]
    # In Honolulu the 27th begins at ten in the morning, UTC, and has begun.
    assert scheduled(days, timezone="Pacific/Honolulu")["passed"]
    later = calendar("DTSTART;VALUE=DATE:20261128|DTEND;VALUE=DATE:20261201|SUMMARY:Maria")
    assert scheduled(later, timezone="Asia/Tokyo")["passed"]
    assert scheduled(later)["problem"] == "nobody is on call from now to 2026-11-28T00:00:00Z"


@pytest.mark.parametrize("content", ["", "BEGIN:VCALENDAR", "{}", "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VCALENDAR\r\n"])
def test_what_is_no_calendar_is_refused(scheduled, content):
    seen = scheduled(content)
    assert not seen["passed"]
    assert "could not be judged" not in seen["problem"]


def test_pagerduty_without_start_and_end_is_always():
    told = [{"schedule": {"id": "PS1"}, "user": MARIA, "start": None, "end": None, "escalation_level": 1}]
    assert gaps(read_pagerduty(told, "PS1"), NOW, NOW + 48 * HOUR) == []


@pytest.mark.parametrize(
    "entry",
    [
        {"schedule": {"id": "other"}, "user": MARIA, "start": None, "end": None},
        {"schedule": None, "user": MARIA, "start": None, "end": None},
        {"schedule": {"id": "PS1"}, "user": None, "start": None, "end": None},
        {"schedule": {"id": "PS1"}, "user": {}, "start": None, "end": None},
        "PS1",
    ],
)
def test_pagerduty_entries_of_nobody_or_of_another_schedule_do_not_count(entry):
    assert read_pagerduty([entry], "PS1") == []


def test_opsgenie_periods_of_nobody_do_not_count():
    def answer(**recipient):
        period = {"startDate": "2026-11-27T00:00:00Z", "endDate": "2026-11-30T00:00:00Z", "type": "default", "recipient": recipient}
        return {"data": {"finalTimeline": {"rotations": [{"id": "r", "name": "Main", "periods": [period]}, {"id": "s", "name": "Empty"}]}}}

    assert [shift.who for shift in read_opsgenie(answer(id="u1", type="user", name="maria@example.com"))] == ["maria@example.com"]
    assert read_opsgenie(answer(type="none", id="x")) == []
    assert read_opsgenie(answer()) == []
    with pytest.raises(RefusedError):
        read_opsgenie({"data": {}})


SPANS = st.lists(st.tuples(st.integers(-50, 150), st.integers(0, 60)), max_size=8)


@given(SPANS)
def test_gaps_are_just_where_nobody_is(spans):
    shifts = [Shift(start * HOUR, (start + length) * HOUR, "x") for start, length in spans]
    found = gaps(shifts, 0, 100 * HOUR)
    for hour in range(100):
        middle = (hour + 0.5) * HOUR
        covered = any(shift.start <= middle < shift.end for shift in shifts)
        assert covered != any(left <= middle < right for left, right in found)


@given(JSON, JSON)
def test_garbage_is_refused_and_nothing_else(entry, answer):
    for read in (lambda: read_pagerduty([entry], "PS1"), lambda: read_opsgenie(answer)):
        with contextlib.suppress(RefusedError):
            assert read() == []


@given(st.binary(max_size=100) | st.text("BEGIN:VCALENDAR\r\nDTSTART0123456789TZ", max_size=120).map(str.encode))
def test_bytes_are_no_shift(content):
    with contextlib.suppress(RefusedError):
        assert read_calendar(content, NOW, NOW + HOUR, UTC) == []
