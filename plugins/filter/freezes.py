# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.module_utils.readiness import FreezeError, freeze_windows, moment


def freezes(
    given: Any, calendar: str | None = None, starts_at: str = "", usable_seconds: float = 0, lasts_seconds: float = 0
) -> dict[str, Any]:
    """What cannot be read is told and not raised: it is one mistake among others. None is no calendar; an empty one cannot be read."""
    now = time.time()
    try:
        begin = moment("preflight_starts_at", starts_at) if starts_at else now
        until = begin + float(lasts_seconds) + (0 if starts_at else float(usable_seconds))
        found = [*freeze_windows(given), *(() if calendar is None else _events(calendar, begin, until))]
    except FreezeError as exc:
        path, value, fix = exc.args
        told = {"path": path, "found": "nothing" if value is None else repr(value), "fix": fix}
        return {"freezes": [], "from": now, "until": now, "problems": [told]}
    return {"freezes": found, "from": begin, "until": until, "problems": []}


def _events(text: str, begin: float, until: float) -> list[dict[str, Any]]:
    """The calendar's events of that time; a recurring one is as many."""
    if not text.strip():  # no file, or one that an export has cut to nothing
        raise FreezeError("preflight_freeze_calendar", None, "write the path of a calendar on the control node, or leave it out")
    try:
        import icalendar  # noqa: PLC0415 - for those who have a calendar
        import recurring_ical_events  # noqa: PLC0415
    except ImportError as exc:
        raise AnsibleFilterError(f"freezes: a calendar needs icalendar and recurring-ical-events on the control node: {exc}") from exc
    span = [datetime.fromtimestamp(at, UTC) for at in (begin, until + 1)]
    try:
        events = recurring_ical_events.of(icalendar.Calendar.from_ical(text)).between(*span)
        return [
            {"from": _epoch(event.start), "until": _epoch(event.end), "why": str(event.get("SUMMARY") or "no reason given")}
            for event in events
        ]
    except Exception as exc:  # both libraries have many classes of error for what is no calendar
        found = f"{type(exc).__name__}: {str(exc)[:200]}"
        raise FreezeError("preflight_freeze_calendar", found, "give a file in the form of RFC 5545 (.ics)") from exc


def _epoch(at: date) -> float:
    """A day without a time is UTC's, and so is a time without a zone."""
    if not isinstance(at, datetime):
        at = datetime(at.year, at.month, at.day, tzinfo=UTC)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"freezes": freezes}
