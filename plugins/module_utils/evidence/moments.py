# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moments in documents that others write: read strictly, since a time that is guessed is an age that is guessed."""

from __future__ import annotations

import re
from datetime import datetime, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError

# What two machines' clocks may differ by; later than that is the future.
CLOCK_SKEW_SECONDS = 120
# Beyond it, a number is milliseconds, or nothing at all.
LATEST = 4102444800.0  # the year 2100


class MomentError(ValueError):
    """No moment can be read there; the message says why."""


def parse_moment(value: Any, zone: tzinfo | None = None) -> float:
    """ISO 8601 or epoch seconds to epoch seconds. A text without an offset is read in ``zone``, and refused without one."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise MomentError("is no time" if value is not None else "is not there")
    try:
        seconds = _text(value.strip(), zone) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError, OSError) as exc:
        raise exc if isinstance(exc, MomentError) else MomentError(f"is {str(value)[:40]!r} and no time") from None
    if not 0 < seconds < LATEST:
        raise MomentError(f"is {str(value)[:40]!r}, which is no time since 1970 in seconds")
    return seconds


def _text(text: str, zone: tzinfo | None) -> float:
    # Python before 3.11 reads neither the Z nor fractions of other lengths; Go writes nanoseconds.
    text = re.sub(r"[Zz]$", "+00:00", text)
    text = re.sub(r"\.(\d{1,12})", lambda match: "." + match[1][:6].ljust(6, "0"), text, count=1)
    moment = datetime.fromisoformat(text)
    if not re.search(r"\d[T ]\d", text):
        raise MomentError(f"is {text[:40]!r}, a day without a time")
    if moment.tzinfo is None:
        if zone is None:
            raise MomentError(f"is {text[:40]!r}, a time without an offset from UTC")
        moment = moment.replace(tzinfo=zone)
    return moment.timestamp()


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def zone_of(name: Any) -> tzinfo:
    """The field's parser: an IANA name. Raises MistakeError."""
    if name in ("UTC", "Z"):
        return timezone.utc
    try:
        return ZoneInfo(name)
    except Exception:  # an unknown name, a path, a list: ZoneInfo has a class of error for each
        raise MistakeError("write a time zone such as UTC or Europe/Berlin") from None
