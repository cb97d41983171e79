# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is on call: a PagerDuty or Opsgenie schedule, or a calendar. Somebody must be, over the whole of the time that is to be covered."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import Any
from urllib.parse import quote

from ansible_collections.levibot.transition.plugins.module_utils.evidence.documents import absolute, status_of
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case, Finding, Kind, RefusedError
from ansible_collections.levibot.transition.plugins.module_utils.evidence.moments import MomentError, iso, parse_moment, zone_of
from ansible_collections.levibot.transition.plugins.module_utils.http import Client, HttpError, redact
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import REQUIRED, Field, duration, one_of, text
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError, format_duration

PAGERDUTY, OPSGENIE, ICS = "pagerduty", "opsgenie", "ics"
URLS = {PAGERDUTY: "https://api.pagerduty.com", OPSGENIE: "https://api.opsgenie.com"}
PAGE, MOST_PAGES = 100, 50
MOST_BYTES = 16 * 1024 * 1024
DAY = 86400
# Shifts that touch, give or take what calendars round to.
SEAM_SECONDS = 1
SHOWN = 3


@dataclass(frozen=True)
class Shift:
    start: float
    end: float
    who: str


def look(given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    provider, until = given["provider"], case.now + given["covers"]
    finding.wanted.append(f"somebody on call for the next {format_duration(given['covers'])}")
    finding.at = case.now
    if provider == ICS:
        finding.source = case.expand(given["schedule"])
        shifts = _calendar(finding.source, case.now, until, zone_of(given.get("timezone", "UTC")))
    else:
        url = (given.get("url") or URLS[provider]).rstrip("/")
        finding.source = f"{provider} schedule {given['schedule']} ({redact(url)})"
        token = case.tokens.get(provider)
        if not isinstance(token, str) or not token:
            raise RefusedError(f"there is no token for {provider}", f"give levibot_evidence_tokens.{provider}, from a vault")
        ask = _pagerduty if provider == PAGERDUTY else _opsgenie
        try:
            shifts = ask(url, given["schedule"], token, case, until)
        except HttpError as exc:
            raise RefusedError(f"{provider} {exc.what}", exc.fix or "see that it answers") from None
    _judge(shifts, case.now, until, finding)


def _judge(shifts: Iterable[Shift], start: float, end: float, finding: Finding) -> None:
    inside = [shift for shift in shifts if shift.end > start and shift.start < end]
    missing = gaps(inside, start, end)
    names = list(dict.fromkeys(shift.who for shift in sorted(inside, key=lambda shift: shift.start)))
    finding.found.append(f"on call: {', '.join(names) or 'nobody'}")
    for left, right in missing[:SHOWN]:
        begins = "now" if left == start else iso(left)
        finding.wrong(f"nobody is on call from {begins} to {iso(right)}", "fill the gap in the schedule")
    if len(missing) > SHOWN:
        finding.wrong(f"and in {len(missing) - SHOWN} more gaps")


def gaps(shifts: Iterable[Shift], start: float, end: float) -> list[tuple[float, float]]:
    """When nobody is there between start and end."""
    found, reached = [], start
    for shift in sorted(shifts, key=lambda shift: shift.start):
        if shift.start > reached + SEAM_SECONDS:
            found.append((reached, min(shift.start, end)))
        reached = max(reached, shift.end)
        if reached >= end:
            return found
    return [*found, (reached, end)]


def _pagerduty(url: str, schedule: str, token: str, case: Case, until: float) -> list[Shift]:
    client = Client(
        timeout=case.timeout_seconds,
        headers={"Authorization": f"Token token={token}", "Accept": "application/vnd.pagerduty+json;version=2"},
    )
    found: list[Shift] = []
    for page in range(MOST_PAGES):
        asked = {"schedule_ids[]": schedule, "since": iso(case.now), "until": iso(until + 1), "limit": PAGE, "offset": page * PAGE}
        answer = client.get_json(f"{url}/oncalls", asked)
        if not isinstance(answer, Mapping) or not isinstance(answer.get("oncalls"), list):
            raise RefusedError("PagerDuty's answer holds no oncalls", "look at url")
        found += read_pagerduty(answer["oncalls"], schedule)
        if not answer.get("more"):
            return found
    raise RefusedError(f"PagerDuty's answer has more than {MOST_PAGES} pages")


def read_pagerduty(oncalls: Iterable[Any], schedule: str) -> list[Shift]:
    """No start and no end is always. What is of another schedule, or of nobody, does not count."""
    found = []
    for entry in oncalls:
        of = entry.get("schedule") if isinstance(entry, Mapping) else None
        user = entry.get("user") if isinstance(of, Mapping) and of.get("id") == schedule else None
        if isinstance(user, Mapping) and user.get("id"):
            start = -math.inf if entry.get("start") is None else _moment(entry["start"])
            end = math.inf if entry.get("end") is None else _moment(entry["end"])
            found.append(Shift(start, end, str(user.get("summary") or user["id"])))
    return found


def _opsgenie(url: str, schedule: str, token: str, case: Case, until: float) -> list[Shift]:
    client = Client(timeout=case.timeout_seconds, headers={"Authorization": f"GenieKey {token}"})
    # The timeline begins where its interval does, so one day more than is to be covered.
    days = math.ceil((until - case.now) / DAY) + 1
    asked = {"identifierType": "id", "date": iso(case.now), "interval": days, "intervalUnit": "days"}
    return read_opsgenie(client.get_json(f"{url}/v2/schedules/{quote(schedule, safe='')}/timeline", asked))


def read_opsgenie(answer: Any) -> list[Shift]:
    """The final timeline, in which overrides and forwarding are done. A period of nobody does not count."""
    try:
        rotations = answer["data"]["finalTimeline"]["rotations"]
        periods = [period for rotation in rotations for period in rotation.get("periods") or ()]
        found = []
        for period in periods:
            recipient = period.get("recipient") or {}
            if recipient.get("id") and recipient.get("type") != "none":
                start, end = (_moment(period.get(key)) for key in ("startDate", "endDate"))
                found.append(Shift(start, end, str(recipient.get("name") or recipient["id"])))
    except (KeyError, TypeError, AttributeError):
        raise RefusedError("Opsgenie's answer holds no final timeline", "look at url") from None
    return found


def _moment(value: Any) -> float:
    try:
        return parse_moment(value)
    except MomentError as exc:
        raise RefusedError(f"the schedule has a time that {exc}") from None


def _calendar(path: str, start: float, end: float, zone: tzinfo) -> list[Shift]:
    if status_of(path).st_size > MOST_BYTES:
        raise RefusedError(f"{path} is larger than {MOST_BYTES} bytes")
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return read_calendar(file.read(MOST_BYTES), start, end, zone)
    except OSError as exc:
        raise RefusedError(f"{path} cannot be read: {exc.strerror}", "let the user who judges read it") from None


def read_calendar(content: bytes, start: float, end: float, zone: tzinfo) -> list[Shift]:
    """Each event is a shift. Whole days and times without a zone are read in ``zone``."""
    try:
        import icalendar  # noqa: PLC0415  needed for this kind alone, and a target may lack it
        import recurring_ical_events  # noqa: PLC0415
    except ImportError:
        fix = "pip install icalendar recurring-ical-events there, or judge on the control node"
        raise RefusedError("icalendar or recurring-ical-events is missing on the machine that judges", fix) from None
    first, last = (datetime.fromtimestamp(at, timezone.utc) for at in (start, end))
    try:
        calendar = icalendar.Calendar.from_ical(content)
        # A day more on both sides: times without a zone are placed by us.
        events = recurring_ical_events.of(calendar).between(first - timedelta(days=1), last + timedelta(days=1))
        return [_shift(event, zone) for event in events if str(event.get("STATUS", "")).upper() != "CANCELLED"]
    except Exception as exc:  # both libraries have many classes of error for what is no calendar
        raise RefusedError(f"the calendar cannot be read ({type(exc).__name__}: {str(exc)[:100]})", "export it anew") from None


def _shift(event: Any, zone: tzinfo) -> Shift:
    begins = event["DTSTART"].dt
    ends = event["DTEND"].dt if "DTEND" in event else begins
    return Shift(_at(begins, zone), _at(ends, zone), " ".join(str(event.get("SUMMARY") or "somebody").split()))


def _at(moment: date, zone: tzinfo) -> float:
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=zone)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()


def _mistakes(given: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if given["provider"] == ICS:
        try:
            absolute(given["schedule"])
        except MistakeError as mistake:
            yield "schedule", str(mistake)


SCHEDULE = Kind(
    look,
    fields={
        "provider": Field(one_of(PAGERDUTY, OPSGENIE, ICS), REQUIRED),
        "schedule": Field(text, REQUIRED),
        "covers": Field(duration, REQUIRED),
        "url": Field(text),
        "timezone": Field(lambda value: zone_of(value) and value),
    },
    sets=("schedule",),
    mistakes=_mistakes,
)
