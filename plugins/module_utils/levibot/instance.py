# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One API instance of LeviBot: its calls in the forms that it offers, on connections that are new when they have to be."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.levibot.transition.plugins.module_utils.http import IDEMPOTENT, Client, HttpError, Response
from ansible_collections.levibot.transition.plugins.module_utils.levibot import forms
from ansible_collections.levibot.transition.plugins.module_utils.levibot.kill import Reading
from ansible_collections.levibot.transition.plugins.module_utils.levibot.processes import Processes

# This form is not the one that the server takes; another one may be.
REFUSALS = (400, 404, 405, 415, 422, 501)
NOT_FOUND = 404
# A gateway's word that it has lost the server's answer; None: there was none at all.
LOST = (None, 502, 504)
STOPPED = ("stopped", "crashed")


class Unavailable(Exception):  # noqa: N818 - an answer in itself: no form of this call is offered
    """No form of a call serves, whatever is tried."""


class Api:
    """Calls to one server. overrides: a site's own forms, by call. prefix: None finds out what the paths stand under.

    calls: what was asked to change something and was answered, with anything at all; what the server's audit log has to hold.
    unanswered: what was sent and got no answer, or a gateway's in its place, which that log may hold.
    """

    def __init__(
        self,
        url: str,
        client: Client,
        *,
        overrides: Mapping[str, forms.Form] | None = None,
        prefix: str | None = None,
        deadline: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.calls: list[dict[str, Any]] = []
        self.unanswered: list[dict[str, Any]] = []
        self._clock = clock
        self._url = url.rstrip("/")
        self._client = client
        self._overrides = overrides or {}
        self._prefix = prefix
        self._deadline = deadline
        self._document: Any = None
        self._asked = False
        self._hung = False
        self._known: dict[str, list[tuple[forms.Form, str]]] = {}

    def call(self, name: str, *, refusals: Iterable[int] = REFUSALS, **arguments: str) -> tuple[Any, forms.Form]:
        """The answer's JSON (None where it is none), and the form that served. Raises HttpError, or Unavailable where no form serves.

        A form that wants another argument than these is none. refusals: the statuses after which another form is tried.
        """
        refused: HttpError | None = None
        for form, prefix in self.candidates(name):
            if form.lacks(arguments):
                continue
            try:
                answer = self._send(name, form, prefix, arguments)
            except HttpError as problem:
                if problem.status not in refusals:
                    raise
                refused = problem
                continue
            self._prefer(name, form, prefix)
            try:
                return json.loads(answer.body), form
            except (ValueError, RecursionError):
                return None, form
        if refused is not None:
            raise refused
        raise Unavailable(f"this release offers no form of {name} that is known: set it in the API's forms")

    def value(self, name: str, **arguments: str) -> Any:
        """What a reading call says at its form's value."""
        answer, form = self.call(name, **arguments)
        return forms.find(answer, form.value)

    def optional(self, name: str) -> Any:
        """The same; None where the release has no such call."""
        try:
            return self.value(name)
        except Unavailable:
            return None
        except HttpError as problem:
            if problem.status == NOT_FOUND:
                return None
            raise

    def until(self, deadline: float | None) -> None:
        """No call lasts beyond this, of the client's clock. What the server offers is asked again, if it did not answer that before."""
        self._deadline = deadline
        if self._hung:
            self._asked, self._hung = False, False
            self._known.clear()

    def _send(self, name: str, form: forms.Form, prefix: str, arguments: Mapping[str, str]) -> Response:
        """One request. What it may change is written down, whatever comes back, and it is sent once."""
        method, path, query, body = form.request(prefix, **arguments)
        noted = {
            "at": round(self._clock(), 3),
            "method": method,
            "path": path,
            "query": {key: value for key, value in query.items() if "$reason" not in form.query[key]},
            "call": name,
            "symbol": arguments.get("symbol", ""),
        }
        status = None
        try:
            answer = self._client.request(method, self._url + path, params=query, json_body=body, deadline=self._deadline)
            status = answer.status
        except HttpError as problem:
            status = problem.status
            raise
        finally:
            if method not in IDEMPOTENT:
                (self.unanswered if status in LOST else self.calls).append({**noted, "status": status})
        return answer

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self._url)
        return parts.hostname or "", parts.port or 80

    def new_connection(self) -> None:
        self._client.close()

    def local_port(self) -> int | None:
        return self._client.local_port()

    def candidates(self, name: str) -> list[tuple[forms.Form, str]]:
        """The forms to try, best first. Raises HttpError where nothing listens."""
        if name in self._known:
            return self._known[name]
        if not self._asked:
            self._document = self._openapi()
            self._asked = True
        self._known[name] = forms.choices(name, self._document, self._overrides, self._prefix)
        return self._known[name]

    def _prefer(self, name: str, served: forms.Form, prefix: str) -> None:
        """From now on only what has served, and what other arguments need."""
        needs = served.lacks(())
        self._known[name] = [one for one in self._known[name] if one == (served, prefix) or one[0].lacks(()) != needs]

    def _openapi(self) -> Any:
        """None where it is closed, or takes too long. Raises where nothing listens."""
        for prefix in forms.PREFIXES if self._prefix is None else dict.fromkeys(("", self._prefix)):
            try:
                return self._client.get_json(f"{self._url}{prefix}/openapi.json", deadline=self._deadline)
            except HttpError as problem:
                if problem.status is None and not isinstance(problem.__cause__, (TimeoutError, socket.timeout, type(None))):
                    raise  # it does not run just now: asked again at the next call
                self._hung = self._hung or problem.status is None
        return None


class LiveInstance:
    """What the kill's procedure needs of an instance, over HTTP."""

    def __init__(self, api: Api, reason: str, processes: Processes | None = None) -> None:
        self.api = api
        self._reason = reason
        self._processes = processes

    def look(self, *, orders: bool = False, press: int = 0) -> Reading:
        self.api.new_connection()
        with ExitStack() as pressing:
            for _unused in range(press):
                self._press(pressing)
            return self._look(orders)

    def _press(self, pressing: ExitStack) -> None:
        """A call whose answer nobody waits for: it goes to the process that is the first to accept, and leaves the next to another."""
        with suppress(OSError):
            connection = pressing.enter_context(socket.create_connection(self.api.address, timeout=0.2))
            connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: levibot\r\n\r\n")

    def _look(self, orders: bool) -> Reading:
        try:
            killed = self.api.value("kill_state")
            listed = self.api.value("engines")
            running, crashed = running_engines(listed), crashed_engines(listed)
            books = self._books() if orders else {}
        except Unavailable as problem:
            return Reading(problem=str(problem), hopeless=True)
        except HttpError as problem:
            return Reading(problem=str(problem))
        port = self.api.local_port()
        worker = self._processes.accepted(port) if self._processes and port else None
        if not isinstance(killed, bool):
            return Reading(None, running, worker, books, "the answer does not say whether the kill switch is on")
        if running is None:
            return Reading(killed, None, worker, books, "the answer does not say which engines run")
        return Reading(killed, running, worker, books, crashed=crashed)

    def act(self, seen: Reading, *, on: bool) -> str:
        said = []
        if seen.killed is not on:
            said.append(self._try("kill" if on else "release", reason=self._reason))
        if on and (seen.running != () or seen.crashed):
            said.append(self._stop((*(seen.running or ()), *seen.crashed)))
        return "; ".join(said) or "nothing to do"

    def workers(self) -> set[int] | None:
        return self._processes.serving() if self._processes else None

    def _stop(self, running: tuple[str, ...]) -> str:
        try:
            _answer, form = self.api.call("stop_engines")
        except HttpError as problem:
            if problem.status not in REFUSALS:
                return f"stop_engines: {problem}"
        except Unavailable:
            pass
        else:
            return f"stop_engines: {form.text}"
        return "; ".join(self._stop_one(symbol) for symbol in running) or "stop_engines: no form, and no engine is known by name"

    def _stop_one(self, symbol: str) -> str:
        said = self._try("stop_engine", symbol=symbol)
        # Some servers route before they decode, and know BTC/USDT as BTCUSDT.
        if "answered 404" in said and "/" in symbol:
            said = self._try("stop_engine", symbol=symbol.replace("/", ""))
        return said

    def _try(self, name: str, **arguments: str) -> str:
        try:
            _answer, form = self.api.call(name, **arguments)
        except (HttpError, Unavailable) as problem:
            return f"{name}: {problem}"
        return f"{name}: {form.text}"

    def _books(self) -> dict[str, str]:
        """What the books that can be read hold. A position's price is not an order."""
        shown: dict[str, str] = {}
        for name in forms.BOOKS:
            try:
                rows = self.api.value(name)
            except (Unavailable, HttpError):
                continue  # no book, or none that can be read just now: no evidence either way
            if isinstance(rows, list):
                shown[name] = json.dumps([_order(row) for row in rows] if name.endswith("positions") else rows, sort_keys=True)
        return shown


def _order(position: Any) -> Any:
    return {name: position.get(name) for name in ("symbol", "side", "qty")} if isinstance(position, Mapping) else position


def engine_rows(listed: Any) -> list[Mapping[str, Any]] | None:
    """The engines, from either shape of the answer: a list, or a mapping by symbol. None where it is neither, or lacks a status."""
    if isinstance(listed, Mapping):
        listed = [{"symbol": name, **(each if isinstance(each, Mapping) else {"status": each})} for name, each in listed.items()]
    if not isinstance(listed, list) or not all(isinstance(engine, Mapping) and isinstance(engine.get("status"), str) for engine in listed):
        return None
    return listed


def runs(row: Mapping[str, Any]) -> bool:
    """Whether an engine runs: whatever is not known to stand still does."""
    return row["status"].lower() not in STOPPED


def running_engines(listed: Any) -> tuple[str, ...] | None:
    """The symbols of the engines that run; None where it cannot be told."""
    rows = engine_rows(listed)
    return None if rows is None else tuple(sorted(str(engine.get("symbol")) for engine in rows if runs(engine)))


def crashed_engines(listed: Any) -> tuple[str, ...]:
    """The symbols of those that stand still and that nobody has stopped: a release may restart them by itself."""
    still = [row for row in engine_rows(listed) or [] if not runs(row) and row["status"].lower() != STOPPED[0]]
    return tuple(sorted(str(engine.get("symbol")) for engine in still))
