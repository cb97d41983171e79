# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes, collected: where, what was found there, and what to write instead."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError

SHOWN_CHARACTERS = 80
SHOWN_NAMES = 25
DEEPEST = 30


@dataclass(frozen=True)
class Problem:
    """One mistake. ``path`` is the variable's path, such as ``levibot_plan.phase2.steps.step1.weight``."""

    path: str
    found: str
    fix: str

    def __str__(self) -> str:
        return f"{self.path}: found {self.found}; {self.fix}"

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


def show(value: Any) -> str:
    """A value as it can be shown to anybody: short, on one line, and without what a URL's user part or query carries."""
    if value is None or value == "":
        return "nothing"
    try:
        text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # keys that JSON lacks, numbers of thousands of digits, thousands of levels
        return f"a {type(value).__name__} that cannot be shown"
    text = re.sub(r"//[^/@\s]*@", "//***@", text)
    text = re.sub(r"(https?://[^\s?]*)\?\S*", r"\1?***", text)
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest known name as a fix, or all of them where they are few and none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name[:SHOWN_CHARACTERS], names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return f"use one of: {', '.join(names)}" if names and len(names) <= SHOWN_NAMES else "remove it"


@dataclass
class Report:
    """Collects problems, so that one run shows them all."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, path: str, found: Any, fix: str) -> None:
        problem = Problem(path, show(found), fix)
        if problem not in self.problems:
            self.problems.append(problem)

    def unknown(self, where: Callable[[str], str], given: Iterable[Any], known: Iterable[str]) -> None:
        known = list(known)
        for key in given:
            if key not in known:
                self.add(where(str(key)), "an unknown key", did_you_mean(str(key), known))

    def read(self, path: str, value: Any, parse: Callable[[Any], Any]) -> Any:
        """The parsed value, or None with a problem added."""
        try:
            return parse(value)
        except MistakeError as exc:
            self.add(path, value, str(exc))
            return None

    def mapping(self, path: str, value: Any, fix: str = "write a mapping") -> Mapping[str, Any]:
        if isinstance(value, Mapping):
            return value
        self.add(path, value, fix)
        return {}


def text_keys(path: str, value: Any, report: Report, depth: int = 0) -> Any:
    """The value with texts as keys at all levels; any other key (YAML's true, null, numbers, dates) is reported and left out."""
    if depth > DEEPEST:
        report.add(path, f"more than {DEEPEST} levels", "write it with fewer levels")
        return None
    if isinstance(value, list):
        return [text_keys(f"{path}[{number}]", item, report, depth + 1) for number, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    for key in value:
        if not isinstance(key, str):
            report.add(f"{path}.{show(key)}", f"the key {show(key)}", "write the key in quotes: YAML does not read it as a text")
    return {key: text_keys(f"{path}.{key}", item, report, depth + 1) for key, item in value.items() if isinstance(key, str)}
