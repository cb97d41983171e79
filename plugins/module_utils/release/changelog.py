# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release's section in a changelog: once, and in date order. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_HEADING = re.compile(r"##(?!#)\s*(?P<title>.*\S)\s*")
_FENCE = re.compile(r" {0,3}(```|~~~)")
_DATE = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")


class ChangelogError(ValueError):
    """What is to be inserted is no section; the message says why."""


@dataclass(frozen=True)
class Section:
    """A release's heading: the index of its line, its words without brackets, and its date, empty where it has none."""

    line: int
    words: tuple[str, ...]
    date: str


def insert(text: str, version: str, date: str, notes: Sequence[str]) -> str:
    """The changelog with the release's section in it. One that has the section already comes back as it is.

    Files go from the newest release to the oldest, or the other way round, as ``>>`` makes them; the dates that are there say which.
    Where they do not, the newest is the first.
    """
    if find(text, version):
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += newline
    dated = [found for found in sections(text) if found.date]
    at = _place(dated, date, len(lines))
    before, after = lines[:at], lines[at:]
    if not text.strip():
        before = [f"# Changelog{newline}", newline]
    if before and before[-1].strip():
        before.append(newline)
    section = [line + newline for line in _section(version, date, notes)]
    return "".join([*before, *section, *([newline] if after else []), *after])


def find(text: str, version: str) -> Section | None:
    """The version's section. A heading may spell it without the v, and in brackets."""
    names = {version, version[1:] if re.match(r"v\d", version) else version}
    return next((section for section in sections(text) if section.words and section.words[0] in names), None)


def sections(text: str) -> list[Section]:
    """The headings of the second level, but for those in code."""
    found = []
    fence = ""
    for number, line in enumerate(text.splitlines()):
        opened = _FENCE.match(line)
        if opened and (not fence or opened[1] == fence):
            fence = "" if fence else opened[1]
        heading = None if fence else _HEADING.fullmatch(line)
        if heading:
            date = _DATE.search(heading["title"])
            words = tuple(word.strip("[]()") for word in heading["title"].split())
            found.append(Section(number, words, date[0] if date else ""))
    return found


def _section(version: str, date: str, notes: Sequence[str]) -> list[str]:
    if not _DATE.fullmatch(date):
        raise ChangelogError(f"release_date: {date!r} is no date; write it as 2025-10-16")
    if not notes or not all(isinstance(note, str) and note.strip() and len(note.splitlines()) == 1 for note in notes):
        raise ChangelogError(f"release_notes: {notes!r}; write a list of one line or more, none of them empty")
    return [f"## {version} ({date})", "", *(f"- {note.strip()}" for note in notes)]


def _place(dated: Sequence[Section], date: str, end: int) -> int:
    """The line before which the section belongs. Of releases of one day the one that comes now is the newer."""
    if len(dated) > 1 and dated[0].date < dated[-1].date:
        return next((section.line for section in dated if section.date > date), end)
    return next((section.line for section in dated if section.date <= date), end)
