# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the split is: a share of 65,536 buckets that goes to green, and its words for people.

The files hold green's share whatever the colour of the candidate, because Caddy compares and does not think: a visitor's bucket
is four hex digits, and the request goes to green when ``bucket < share``. ``g`` sorts behind every hex digit: all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

BLUE = "blue"
GREEN = "green"
SLOTS = (BLUE, GREEN)

BUCKETS = 65536
ALL = "g"
ALL_PERCENT = 100
COOKIE = "levibot_bucket"
SLOT_HEADER = "X-LeviBot-Slot"

_SHARE = re.compile(r"[0-9a-f]{4}|g")


def other(slot: str) -> str:
    """The slot that is not this one."""
    return BLUE if slot == GREEN else GREEN


def green_buckets(candidate: str, weight: float) -> int:
    """How many buckets green gets when the candidate gets ``weight`` percent."""
    if not 0 <= weight <= ALL_PERCENT:  # NaN is refused as well
        raise ValueError(f"a weight is a percentage from 0 to 100, and not {weight:g}")
    buckets = round(BUCKETS * weight / 100)
    return buckets if candidate == GREEN else BUCKETS - buckets


def encode(buckets: int) -> str:
    """The text of a split file."""
    return ALL if buckets >= BUCKETS else f"{buckets:04x}"


def decode(text: str) -> int:
    """The buckets that go to green by the text of a split file."""
    if not _SHARE.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is neither four hex digits nor {ALL!r}")
    return BUCKETS if text == ALL else int(text, 16)


def iso(epoch: float) -> str:
    """An instant as people and JSON read it."""
    return datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def percent(value: float) -> str:
    """A weight to the tenth, and a small one as small as it is: 0.004 % is not nothing."""
    rounded = f"{value:.1f} %"
    whole = value in (0, ALL_PERCENT)
    return rounded if whole or rounded not in ("0.0 %", "100.0 %") else f"{value:.4g} %"


@dataclass(frozen=True)
class Canary:
    """A canary file: green's buckets, and when the edge removes it."""

    buckets: int
    expires: int


@dataclass(frozen=True)
class Split:
    """Both files together.

    stable: the slot of the lasting file, None where that is missing or unreadable (Caddy then serves blue).
    broken_stable, broken_canary: what is wrong with a file's content, in words.
    """

    stable: str | None = None
    canary: Canary | None = None
    broken_stable: str = ""
    broken_canary: str = ""

    @property
    def buckets(self) -> int:
        """The buckets that go to green now."""
        if self.canary:
            return self.canary.buckets
        return BUCKETS if self.stable == GREEN else 0

    @property
    def candidate(self) -> str:
        """The slot that is not stable."""
        return other(self.stable or BLUE)

    @property
    def weight(self) -> float:
        """The candidate's percentage."""
        return self.share(self.candidate)

    def share(self, slot: str) -> float:
        """A slot's percentage."""
        mine = self.buckets if slot == GREEN else BUCKETS - self.buckets
        return round(100 * mine / BUCKETS, 4)

    def expired(self, now: float) -> bool:
        """The canary's time is up, and the edge has not removed it yet."""
        return self.canary is not None and self.canary.expires <= now

    def text(self, now: float) -> str:
        """The split in one line, the candidate first where it has anything."""
        slots = [slot for slot in (self.candidate, other(self.candidate)) if self.share(slot) > 0]
        shares = ", ".join(f"{slot} {percent(self.share(slot))}" for slot in slots)
        if self.canary:
            verb = "expired" if self.expired(now) else "expires"
            why = f"canary, {verb} {iso(self.canary.expires)}"
        else:
            why = "stable" if self.stable else "no readable lasting file" if self.broken_stable else "no lasting file"
        return "; ".join(filter(None, (f"{shares} ({why})", self.broken_stable, self.broken_canary)))

    def to_dict(self, now: float) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "stable": self.stable,
            "stable_problem": self.broken_stable,
            "candidate": self.candidate,
            "weight": self.weight,
            "canary": self.canary is not None,
            "expires_epoch": self.canary.expires if self.canary else None,
            "expires_at": iso(self.canary.expires) if self.canary else None,
            "expired": self.expired(now),
            "text": self.text(now),
        }
