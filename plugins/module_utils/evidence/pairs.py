# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own calls beside the lines of the audit log: which call is which line. Pure.

A call and a line belong together when they are the same action on the same symbol, at about the same time, on the same host where both
say it. Several calls may fit several lines, so the pairs are a largest matching: no call is said to be missing that another choice would
have found.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

from ansible_collections.levibot.transition.plugins.module_utils.evidence.audit_log import symbol_of

KILL, RELEASE, START, STOP, STOP_ALL, RESTART = VERBS = ("kill", "release", "start", "stop", "stop_all", "restart")
# What releases call their events, without underscores.
EVENTS = {
    **dict.fromkeys(("kill", "killon", "livekill", "killswitch", "killswitchon", "adminkill"), KILL),
    **dict.fromkeys(("unkill", "release", "killoff", "killrelease", "killswitchoff", "adminunkill"), RELEASE),
    **dict.fromkeys(("enginestart", "startengine", "start", "enginesstart"), START),
    **dict.fromkeys(("enginestop", "stopengine", "stop", "enginesstop"), STOP),
    **dict.fromkeys(("enginestopall", "stopall", "stopengines", "enginesstopall"), STOP_ALL),
    **dict.fromkeys(("enginerestart", "restartengine", "restart", "enginesrestart"), RESTART),
}
_PATHS = (
    (re.compile(r"/engines/stop_all$"), STOP_ALL),
    (re.compile(r"/engines/(start|stop|restart)(?:/.+)?$"), ""),
    (re.compile(r"/(?:live|admin)/kill$"), KILL),
    (re.compile(r"/admin/unkill$"), RELEASE),
)
_OFF = ("false", "0", "off", "no")
LOWEST_ERROR = 400
# Which engine our own preflight asks a server to stop, with the token and with a wrong one: there is none of this name.
NOBODY = "levibot-preflight"

Item = Mapping[str, Any]


def calls_of(records: Iterable[Item]) -> list[dict[str, Any]]:
    """All calls of ours that the ledger's entries tell, in the order of time, each with the host that it was made on where that is said.

    One that got no answer has no status.
    """
    found = []
    for record in records:
        data = record.get("data")
        if isinstance(data, Mapping):
            found += _collected(data.get("calls"), data.get("host"))
            found += [{**call, "status": None} for call in _collected(data.get("unanswered"), data.get("host"))]
    return sorted(found, key=lambda call: call["at"])


def _collected(calls: Any, host: Any) -> list[dict[str, Any]]:
    """A list of calls, or one of them for each host."""
    if isinstance(calls, Mapping):
        return [call for name, its in calls.items() for call in _collected(its, name)]
    if not isinstance(calls, (list, tuple)):
        return []
    return [
        {**call, "host": str(call.get("host") or host or "")}
        for call in calls
        if isinstance(call, Mapping) and isinstance(call.get("at"), (int, float)) and not isinstance(call.get("at"), bool)
    ]


def is_taken(call: Item) -> bool:
    """Whether the server said that it did it. What it refused, or gave no answer to, may be in the log, and need not be."""
    status = call.get("status")
    return isinstance(status, int) and status < LOWEST_ERROR


def verb_of(action: Item, events: Mapping[str, str]) -> str:
    """What an action does, as one of the verbs; empty where that is not known. ``events``: a site's own names."""
    event = str(action.get("event") or "")
    if event:
        return events.get(event) or EVENTS.get(re.sub(r"[^a-z0-9]", "", event.lower()), "")
    path = str(action.get("path") or "").partition("?")[0].rstrip("/")
    for pattern, named in _PATHS:
        match = pattern.search(path)
        if match:
            verb = named or match.group(1)
            is_off = verb == KILL and dict(_asked(action)).get("on", "true").lower() in _OFF
            return RELEASE if is_off else verb
    return ""


def fits(call: Item, line: Item, tolerance: float, events: Mapping[str, str]) -> bool:
    """Whether the line may be what the server wrote of the call."""
    if abs(call["at"] - line["at"]) > tolerance or not _agree(call.get("host"), line.get("host")) or line.get("refused"):
        return False
    if None not in (line.get("status"), call.get("status")) and is_taken(call) != is_taken(line):
        return False
    if not _agree(*(_symbol(one.get("symbol") or symbol_of(str(one.get("path") or ""))) for one in (call, line))):
        return False
    verb = verb_of(line, events)
    if not line.get("path"):
        return bool(verb) and verb == verb_of(call, events)
    on = [dict(_asked(one)).get("on", "").lower() for one in (call, line)]
    same_request = _agree(line.get("method"), call.get("method")) and _path(line) == _path(call) and _agree(*on)
    # An event says more than its path where one path is for two things, such as the switch.
    return same_request and (not line.get("event") or _agree(verb, verb_of(call, events)))


def pair(calls: Sequence[Item], lines: Sequence[Item], may: Callable[[Item, Item], bool]) -> dict[int, int]:
    """A largest matching, as the number of the line by that of the call. Calls that stand first keep a line whatever follows them."""
    line_of: dict[int, int] = {}
    call_of: dict[int, int] = {}
    near = [
        sorted((number for number, line in enumerate(lines) if may(call, line)), key=lambda number: abs(lines[number]["at"] - call["at"]))
        for call in calls
    ]
    for first in range(len(calls)):
        # Breadth first from this call, over lines that others have and could do without.
        came_from: dict[int, int] = {}
        waiting, free = deque([first]), None
        while waiting and free is None:
            call = waiting.popleft()
            for line in near[call]:
                if line in came_from:
                    continue
                came_from[line] = call
                if line not in call_of:
                    free = line
                    break
                waiting.append(call_of[line])
        while free is not None:
            call = came_from[free]
            before = line_of.get(call)
            line_of[call], call_of[free] = free, call
            free = before if call != first else None
    return line_of


def is_probe(action: Item) -> bool:
    """Whether it is the question of our own preflight whether the token counts."""
    return (action.get("symbol") or symbol_of(str(action.get("path") or ""))) == NOBODY


def show(action: Item) -> str:
    """For people: what was done, without what may hold a secret."""
    what = str(action.get("event") or " ".join(filter(None, (action.get("method"), str(action.get("path") or "").partition("?")[0]))))
    symbol = str(action.get("symbol") or "")
    said = f"{what} {symbol}" if symbol and _symbol(symbol) not in _symbol(what) else what
    by, host = str(action.get("by") or ""), str(action.get("host") or "")
    return said + (f" by {by}" if by else "") + (f" on {host}" if host else "")


def _agree(one: Any, other: Any) -> bool:
    """Where one of them is not said, nothing speaks against it."""
    return not one or not other or one == other


def _symbol(symbol: Any) -> str:
    return re.sub(r"[^A-Z0-9]", "", unquote(str(symbol or "")).upper())


def _path(action: Item) -> str:
    """Without a prefix, and with a symbol's slash as it is."""
    path = unquote(str(action.get("path") or "").partition("?")[0]).rstrip("/")
    return path[4:] if path.startswith("/api/") else path


def _asked(action: Item) -> list[tuple[str, str]]:
    query = action.get("query")
    if isinstance(query, Mapping):
        return [(str(name), str(value)) for name, value in query.items()]
    return parse_qsl(str(query or "").lstrip("?"))
