# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LeviBot's audit log, read as it lies on an app host: what somebody has changed, or has tried to without being let in. Pure but for files.

Two forms are met: ``{"ts", "event", "ip"}``, and ``{timestamp, user, role, ip, method, path, query, status, duration_ms}`` in dated
files, in which every request may have a line. So what only reads is counted, and left out.
"""

from __future__ import annotations

import glob
import gzip
import json
import math
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from ansible_collections.levibot.transition.plugins.module_utils.evidence.moments import MomentError, parse_moment

READS = ("GET", "HEAD", "OPTIONS")
NOT_LET_IN = (401, 403)
REFUSED_EVENTS = frozenset(
    {
        *("unauthorised", "unauthorized", "forbidden", "access_denied", "invalid_token"),
        *("login_failed", "failed_login", "login_failure", "auth_failed", "auth_failure", "authentication_failed"),
    }
)
MOST_ACTIONS = 20_000
MOST_LINE_BYTES = 1024 * 1024
SHOWN = 3
SHOWN_CHARACTERS = 60
_AT = ("ts", "timestamp", "time", "at")
_BY = ("user", "ip")
_PART = re.compile(r"\.(\d{1,6})(?:\.gz)?$")
_DAY = re.compile(r"(?<!\d)(20\d\d)(-?)(\d\d)\2(\d\d)(?!\d)")
_MILLISECONDS_FROM = 1e11


def read_line(text: str) -> dict[str, Any]:
    """One line in our own words: ``{at, event, method, path, query, symbol, status, by, refused}``. Raises ValueError for what is none."""
    line = json.loads(text)
    if not isinstance(line, Mapping):
        raise ValueError("no object")  # noqa: TRY004  of a document, and no mistake of a program
    method = _text(line.get("method")).upper()
    path, _mark, asked = _text(line.get("path")).partition("?")
    query = _query(line.get("query")) or dict(parse_qsl(asked, keep_blank_values=True))
    status = line.get("status")
    status = status if isinstance(status, int) and not isinstance(status, bool) else None
    event = re.sub(r"[^a-z0-9]+", "_", _text(line.get("event")).lower()).strip("_")
    if not event and not (method and path):
        raise ValueError("neither an event nor a request")
    return {
        "at": _moment(next((line[key] for key in _AT if line.get(key) is not None), None)),
        "event": event,
        "method": method,
        "path": path,
        "query": query,
        "symbol": _text(line.get("symbol")) or query.get("symbol", "") or symbol_of(path),
        "status": status,
        "by": _text(next((line[key] for key in _BY if line.get(key)), "")),
        "refused": event in REFUSED_EVENTS or status in NOT_LET_IN,
    }


def is_action(line: Mapping[str, Any]) -> bool:
    """Whether somebody has changed something, or has tried to without being let in."""
    return line["refused"] or not line["method"] or line["method"] not in READS


def symbol_of(path: str) -> str:
    """The symbol at the end of a path such as ``/engines/start/BTC%2FUSDT``; empty where there is none."""
    match = re.search(r"/engines/(?:start|stop|restart)/([^?]+)$", path)
    return unquote(match.group(1)) if match else ""


def _moment(value: Any) -> float:
    """Numbers may be milliseconds; a time without an offset is UTC, as these servers run in containers."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > _MILLISECONDS_FROM:
        value = value / 1000
    try:
        return parse_moment(value, timezone.utc)
    except MomentError as exc:
        raise ValueError(f"its time {exc}") from None


def _query(value: Any) -> dict[str, str]:
    if isinstance(value, Mapping):
        return {str(key): _text(item) for key, item in value.items()}
    return dict(parse_qsl(value.lstrip("?"), keep_blank_values=True)) if isinstance(value, str) else {}


def _text(value: Any) -> str:
    return str(value)[:500] if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""


@dataclass
class Log:
    """What one slot's audit log holds. Times are epoch seconds, None where there is no line. ``problems``: what could not be read.

    ``days``: of which days there is a file, by the dates in the names. ``undated``: whether there is one without, such as today's may be.
    """

    files: list[str] = field(default_factory=list)
    lines: int = 0
    unreadable: int = 0
    examples: list[str] = field(default_factory=list)
    rotated: bool = False
    days: list[str] = field(default_factory=list)
    undated: bool = False
    first_at: float | None = None
    last_at: float | None = None
    silence: list[float] = field(default_factory=list)  # the longest time between two lines of the period, as [from, to]
    actions: list[dict[str, Any]] = field(default_factory=list)
    ignored: int = 0
    problems: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


def read_log(patterns: Iterable[str], since: float, until: float, ignore: Iterable[str] = ()) -> Log:
    """All files that the patterns find, as one log; the actions from ``since`` to ``until`` in the order of their times.

    ignore: events and paths that are nobody's action. They are counted only, and so take no place from those that are.
    """
    ignored = frozenset(ignore)
    log = Log()
    found = {os.path.realpath(path): path for pattern in patterns for path in sorted(glob.glob(pattern))}  # noqa: PTH207  absolute patterns
    log.files = sorted(path for path in found.values() if Path(path).is_file())
    log.problems += missing_parts(log.files)
    log.rotated = any(_PART.search(path) for path in log.files)
    # A link such as current.jsonl is the file of the day that it leads to.
    days = {day_of(path) for path, shown in found.items() if shown in log.files}
    log.days, log.undated = sorted(days - {""}), "" in days
    times: set[int] = set()
    for path in log.files:
        try:
            _read_file(path, log, times, (since, until), ignored)
        except (OSError, EOFError, zlib.error) as exc:
            log.problems.append(f"{path} cannot be read: {getattr(exc, 'strerror', None) or exc}")
    log.actions.sort(key=lambda line: line["at"])
    if len(log.actions) > MOST_ACTIONS:
        log.problems.append(f"it has more than {MOST_ACTIONS} actions in the period, of which the rest was not judged")
        del log.actions[MOST_ACTIONS:]
    log.silence = longest_silence(times, since, until)
    return log


def _read_file(path: str, log: Log, times: set[int], period: tuple[float, float], ignored: frozenset[str]) -> None:
    """Adds to the log, and to ``times`` the whole seconds of the period in which there is a line."""
    for number, text, is_whole in _lines(path):
        if not text.strip():
            continue
        try:
            line = read_line(text)
        except (ValueError, RecursionError):
            if is_whole:  # else it is being written just now
                log.unreadable += 1
                if len(log.examples) < SHOWN:
                    log.examples.append(f"{path}:{number}: {' '.join(text[:SHOWN_CHARACTERS].split())}")
            continue
        at = line["at"]
        log.lines += 1
        log.first_at = at if log.first_at is None else min(log.first_at, at)
        log.last_at = at if log.last_at is None else max(log.last_at, at)
        if period[0] <= at <= period[1]:
            times.add(int(at))
            if is_action(line) and {line["event"], line["path"]} & ignored:
                log.ignored += 1
            elif is_action(line) and len(log.actions) <= MOST_ACTIONS:
                log.actions.append({**line, "query": urlencode(line["query"]), "file": path})


def _lines(path: str) -> Iterator[tuple[int, str, bool]]:
    """Number, text, and whether its end has been written."""
    with open(path, "rb") as raw:  # noqa: PTH123
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with gzip.open(raw) if zipped else raw as file:
            number = 0
            while content := file.readline(MOST_LINE_BYTES):
                number += 1
                yield number, content.decode("utf-8", "replace"), content.endswith(b"\n")


def missing_parts(files: Iterable[str]) -> list[str]:
    """Rotated parts that are not there, where later ones are: of log, log.1 and log.3 it is log.2."""
    numbers: dict[str, set[int]] = {}
    for path in files:
        match = _PART.search(path)
        numbers.setdefault(path[: match.start()] if match else path, set()).add(int(match.group(1)) if match else 0)
    return [
        f"its part {name}{f'.{number}' if number else ''} is missing"
        for name, there in sorted(numbers.items())
        # A log that was just rotated begins with its next line.
        for number in sorted(set(range(1, max(there))) - there)[:SHOWN]
    ]


def day_of(path: str) -> str:
    """The day in a file's name, as in audit-2026-11-27.jsonl.gz or 20261127.jsonl; empty where there is none."""
    for year, _dash, month, day in _DAY.findall(Path(path).name):
        try:
            return date(int(year), int(month), int(day)).isoformat()
        except ValueError:
            continue
    return ""


def utc_day(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).date().isoformat()


def missing_days(there: Iterable[str], since: float, until: float) -> list[str]:
    """Of which days between there is no file."""
    first, last = (date.fromisoformat(utc_day(at)) for at in (since, until))
    return sorted({(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)} - set(there))


def longest_silence(times: Iterable[float], since: float, until: float) -> list[float]:
    """The longest time without a line, as [from, to]."""
    edges = [since, *sorted(times), until]
    return list(max(zip(edges, edges[1:]), key=lambda pair: pair[1] - pair[0]))
