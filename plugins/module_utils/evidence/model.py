# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all kinds of evidence share: what is judged (the case), what was found, and how a kind describes itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from string import Template
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.moments import iso
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import Field

# What may stand in a path or a limit, with a dollar sign before it.
PLACEHOLDERS = ("version", "revision", "stable_version", "idle_version")
_UNKNOWN = {
    "version": "set levibot_version",
    "revision": "release first: the commit is in the release's record",
    "stable_version": "see that the ledger's host has the slot that serves, and that the edges agree on it",
    "idle_version": "put a release into the other slot: without one there is no way back that could be tested",
}


class RefusedError(Exception):
    """This evidence cannot be used: why, and what to do."""

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix


@dataclass(frozen=True)
class Case:
    """What is judged, when, and by whose rules. ``now`` is in epoch seconds; ``seen`` is what an item's evidence tells the next one.

    observed: what was read elsewhere, since it is on other machines or behind LeviBot's API: see docs of module ``evidence``.
    """

    version: str
    now: float
    revision: str = ""
    images: Mapping[str, str] = field(default_factory=dict)
    image_ids: Mapping[str, str] = field(default_factory=dict)
    stable_version: str = ""
    idle_version: str = ""
    slos: Mapping[str, str] = field(default_factory=dict)
    records: tuple[Mapping[str, Any], ...] = ()
    observed: Mapping[str, Any] = field(default_factory=dict)
    approvers: tuple[str, ...] = ()
    approvals: int = 1
    prometheus_url: str = ""
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_seconds: float = 10.0
    item: str = ""
    seen: dict[str, Any] = field(default_factory=dict)

    def expand(self, text: str) -> str:
        """Puts ``$version`` and the like into a text. One that is not known is a refusal, since nothing may be compared with nothing."""
        known = {name: getattr(self, name) for name in PLACEHOLDERS}
        for match in Template.pattern.finditer(text):
            name = match.group("named") or match.group("braced")
            if name in known and not known[name]:
                raise RefusedError(f"${name} is not known", _UNKNOWN[name])
        return Template(text).safe_substitute(known)


@dataclass
class Finding:
    """What one evidence showed. It passes when there is no problem."""

    kind: str
    source: str = ""
    wanted: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    at: float | None = None
    problems: list[str] = field(default_factory=list)
    fixes: list[str] = field(default_factory=list)

    def wrong(self, problem: str, fix: str = "") -> None:
        self.problems.append(problem)
        if fix and fix not in self.fixes:
            self.fixes.append(fix)

    def to_dict(self, now: float) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "source": self.source,
            "passed": not self.problems,
            "found": "; ".join(self.found),
            "wanted": "; ".join(self.wanted),
            "at": None if self.at is None else iso(self.at),
            "age_seconds": None if self.at is None else round(now - self.at),
            "problem": "; ".join(self.problems),
            "fix": "; ".join(self.fixes),
        }


Look = Callable[[Mapping[str, Any], Case, Finding], None]


def no_mistakes(_given: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return ()


@dataclass(frozen=True)
class Kind:
    """fields: the keys that it takes. sets: those that a site gives; while one is empty, the evidence is not set.

    mistakes: what is wrong with keys together, as (key, fix).
    """

    look: Look
    fields: Mapping[str, Field] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    mistakes: Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]] = no_mistakes
