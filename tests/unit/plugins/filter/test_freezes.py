# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.levibot.transition.plugins.filter import freezes as module
from ansible_collections.levibot.transition.plugins.filter.freezes import freezes

NOW = 1_795_000_000.0  # 2026-11-18T11:06:40Z
DAY = 86_400
CALENDAR = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
{}
END:VCALENDAR
"""
EVENT = "BEGIN:VEVENT\nUID:{uid}\nDTSTAMP:20260101T000000Z\n{lines}\nSUMMARY:month's end\nEND:VEVENT"


def calendar(*lines):
    return CALENDAR.format(EVENT.format(uid="1", lines="\n".join(lines))).replace("\n", "\r\n")


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(module.time, "time", lambda: NOW)


def test_without_a_start_it_is_any_time_while_the_go_counts():
    found = freezes([], None, "", DAY, 3600)
    assert (found["from"], found["until"], found["problems"]) == (NOW, NOW + DAY + 3600, [])


def test_a_start_narrows_it_to_the_rollout():
    found = freezes([], None, "2026-11-19T12:00:00+01:00", DAY, 3600)
    assert found["until"] - found["from"] == 3600


@pytest.mark.parametrize(
    ("lines", "spans"),
    [
        (["DTSTART:20261118T120000Z", "DTEND:20261118T130000Z"], [3600]),
        (["DTSTART;VALUE=DATE:20261118", "DTEND;VALUE=DATE:20261120"], [2 * DAY]),
        (["DTSTART:20261101T120000Z", "DTEND:20261101T130000Z", "RRULE:FREQ=DAILY"], [3600]),
        (["DTSTART:20271118T120000Z", "DTEND:20271118T130000Z"], []),
    ],
)
def test_a_calendar_is_read(lines, spans):
    found = freezes([], calendar(*lines), "", DAY / 2, 0)
    assert found["problems"] == []
    assert [one["until"] - one["from"] for one in found["freezes"]] == spans
    assert {one["why"] for one in found["freezes"]} <= {"month's end"}


@pytest.mark.parametrize(
    ("given", "text", "starts_at", "path"),
    [
        ("never", None, "", "preflight_freezes"),
        ([], "BEGIN:VEVENT", "", "preflight_freeze_calendar"),
        ([], "no calendar", "", "preflight_freeze_calendar"),
        ([], "", "", "preflight_freeze_calendar"),
        ([], calendar("DTEND:20261118T130000Z"), "", "preflight_freeze_calendar"),
        ([], None, "soon", "preflight_starts_at"),
        ([], None, "2026-11-19T12:00:00", "preflight_starts_at"),
    ],
)
def test_what_cannot_be_read_is_told(given, text, starts_at, path):
    (problem,) = freezes(given, text, starts_at)["problems"]
    assert problem["path"] == path
    assert problem["fix"]
