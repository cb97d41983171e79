# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may write a rollout's record: one run at a time. Pure; the row itself is kept by ``store``.

An owner is a run of ansible-playbook, told by its process: user, host, pid, and what makes a pid unique (start time, boot, pid
namespace). Its token is a digest of these. Nothing in it is secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import canonical, timestamp

STALE_SECONDS = 120.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROC = Path("/proc")
_FIELDS = ("user", "host", "pid", "start", "boot_id", "pid_namespace")
_START_TIME = 19  # of the fields of /proc/<pid>/stat behind the command's name


@dataclass(frozen=True)
class Owner:
    """A run. ``start`` is the process's start time in clock ticks since the boot ``boot_id``."""

    user: str
    host: str
    pid: int
    start: str
    boot_id: str
    pid_namespace: str

    @property
    def token(self) -> str:
        return hashlib.sha256(canonical(asdict(self)).encode("ascii")).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "token": self.token}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Owner:
        return cls(**{name: int(told[name]) if name == "pid" else str(told[name]) for name in _FIELDS})

    @property
    def text(self) -> str:
        return f"{self.user}@{self.host} (process {self.pid})"


@dataclass(frozen=True)
class Clock:
    """One reading of the ledger host's clocks. ``boottime`` goes on whatever is done to the wall's clock, and starts anew at a boot."""

    wall: float
    boottime: float
    boot_id: str

    def age_of(self, earlier: Clock) -> float:
        """Seconds since the earlier reading; by the wall's clock only where the host has been booted since."""
        if self.boot_id and self.boot_id == earlier.boot_id:
            return max(0.0, self.boottime - earlier.boottime)
        return max(0.0, self.wall - earlier.wall)


@dataclass(frozen=True)
class Lock:
    """The lock as it is held."""

    rollout: str
    owner: Owner
    since: str
    beat: Clock

    def to_dict(self, now: Clock) -> dict[str, Any]:
        return {
            "rollout": self.rollout,
            "owner": self.owner.to_dict(),
            "since": self.since,
            "heartbeat_at": timestamp(self.beat.wall),
            "heartbeat_age_seconds": round(now.age_of(self.beat), 1),
        }

    def text(self, now: Clock) -> str:
        age = now.age_of(self.beat)
        return f"held by {self.owner.text} since {self.since}; its last heartbeat was {age:.0f} s ago ({timestamp(self.beat.wall)})"


def may_take(lock: Lock | None, owner: Owner, now: Clock, *, stale_seconds: float, gone: str, take_over: bool) -> str | None:
    """Why the owner may have the lock: ``free``, ``own``, or why it takes it over. None where it may not.

    ``gone``: the token of a holder whose process was seen to be gone, by somebody who could see it.
    """
    if lock is None:
        return "free"
    if lock.owner.token == owner.token:
        return "own"
    if gone and gone == lock.owner.token:
        return "its process is gone"
    age = now.age_of(lock.beat)
    if age > stale_seconds:
        return f"its last heartbeat was {age:.0f} s ago"
    return "levibot_take_over was given" if take_over else None


def boot_id() -> str:
    """Empty where it cannot be told."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def start_time(pid: int, proc: Path = PROC) -> str:
    """The process's start time in ticks since the boot; empty where there is no such process, or only its remains."""
    try:
        stat = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in ("Z", "X") else fields[_START_TIME]


def is_gone(holder: Owner, here: Owner, proc: Path = PROC) -> bool:
    """Whether ``here``, who asks, can see that the holder's process does not live any more. False wherever that cannot be seen."""
    same_place = (holder.host, holder.boot_id, holder.pid_namespace) == (here.host, here.boot_id, here.pid_namespace)
    return same_place and bool(holder.boot_id) and start_time(holder.pid, proc) != holder.start
