# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A JMESPath over an answer of the LeviBot API, absolute or as change since the window began.

**Restarts.** A change is added up from look to look, since a book that lives in a process begins again with it. Only ``events`` (trades,
say), which can only grow, shows that: where it fell, the book began again, and what it holds now is counted from zero. A value alone
may fall for good reasons (PnL does), so its fall is the change that it looks like. What happened between the last look and
the restart is lost, and the sample's detail says that there was one.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.http import Client, HttpError
from ansible_collections.levibot.transition.plugins.module_utils.levibot.forms import PREFIXES
from ansible_collections.levibot.transition.plugins.module_utils.samples import OK, Sample
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import NothingThereError, UnusableError, Window, finite

State = dict[str, Any]

NOT_FOUND = 404


def measure(
    check: dict[str, Any], window: Window, url: str, client: Client, state: State | None, *, prefix: str | None = None
) -> tuple[Sample, State | None]:
    """One check's sample, and what its next look needs to know (plain JSON). prefix: as for :func:`_ask`."""
    answer = _ask(client, url.rstrip("/"), window.expand(check["path"]), prefix, window.deadline)
    value = _search(check["value"], answer)
    events = _search(check["events"], answer) if check.get("events") else None
    if not check.get("change"):
        return Sample(status=OK, value=value, events=events), None
    state = changed(state, value, events, window.at)
    began = f"what is counted began again from nothing {state['restarts']} times in this window" if state["restarts"] else ""
    seen = state["seen"] if events is not None else None
    return Sample(status=OK, detail=began, value=state["change"], events=seen, coverage_ratio=_covered(state, window)), state


def _ask(client: Client, url: str, path: str, prefix: str | None, deadline: float | None) -> Any:
    """The answer under the prefix. Without one both the root and ``/api`` are tried, as everywhere else."""
    if prefix is not None:
        return client.get_json(url + prefix + path, deadline=deadline)
    try:
        return client.get_json(url + path, deadline=deadline)
    except HttpError as missing:
        if missing.status != NOT_FOUND:
            raise
        try:
            return client.get_json(url + PREFIXES[1] + path, deadline=deadline)
        except HttpError:
            raise missing from None


def _covered(state: State, window: Window) -> float:
    """The share of the window since the first answer. (Of silences after that the judge knows, who counts the looks.)"""
    length = window.at - window.started_at
    return min(1.0, (window.at - state["since"]) / length) if length > 0 else 1.0


def changed(state: State | None, value: float, events: float | None, at: float) -> State:
    """The state after one more reading. Without a state this reading is the baseline."""
    if state is None:
        return {"since": at, "value": value, "events": events, "change": 0.0, "seen": 0.0, "restarts": 0}
    began_again = events is not None and state["events"] is not None and events < state["events"]
    return {
        "since": state["since"],
        "value": value,
        "events": events,
        "change": state["change"] + (value if began_again else value - state["value"]),
        "seen": state["seen"] + ((events or 0.0) if began_again else (events or 0.0) - (state["events"] or 0.0)),
        "restarts": state["restarts"] + began_again,
    }


def _search(path: str, answer: Any) -> float:
    try:
        import jmespath  # noqa: PLC0415  needed for this kind of check alone, and a target may lack it
        from jmespath.exceptions import JMESPathError  # noqa: PLC0415
    except ImportError:
        raise UnusableError("jmespath is missing on the machine that asks: install it there, or set observe_from: controller") from None
    try:
        found = jmespath.search(path, answer)
    except JMESPathError as problem:
        raise UnusableError(f"the JMESPath {path!r} cannot be used: {' '.join(str(problem).split())}") from problem
    if found is None:
        raise NothingThereError(f"the answer has no {path}")
    return finite(found, path)
