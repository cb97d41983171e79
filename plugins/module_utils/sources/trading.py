# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The books of live engines, read once a look: all checks of it judge the same instant.

What is read and how is told by ``levibot/books.py``, what is wrong with it by ``trading/reconcile.py``. Everything is recomputed from the
baseline on at each look, so that nothing has to be remembered between them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.http import HttpError
from ansible_collections.levibot.transition.plugins.module_utils.levibot import books
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import Api, Unavailable
from ansible_collections.levibot.transition.plugins.module_utils.samples import OK, Sample
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import UnusableError, Window
from ansible_collections.levibot.transition.plugins.module_utils.trading import reconcile

KEPT_PROBLEMS = 20
THREADS = 4


class Trading:
    """The books behind one address.

    options: as :data:`options.SOURCES` describes them. urls: of the API by slot. connect: the API at an address, with the site's token
    and forms. clock: what deadlines are of.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        urls: Mapping[str, str],
        connect: Callable[[str], Api],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._urls = urls
        self._connect = connect
        self._clock = clock
        self._apis: dict[str, Api] = {}
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="elsewhere")

    def measure(self, check: Mapping[str, Any], window: Window) -> Sample:
        """One check's sample. Raises HttpError or UnusableError where the books cannot be read, or not as far back as they are needed."""
        read, expected = window.once("books", lambda: self._books(window))
        try:
            return self._judge(check, window, read, expected)
        except ValueError as problem:
            raise UnusableError(f"the books cannot be judged: {problem}") from problem

    def _judge(self, check: Mapping[str, Any], window: Window, read: Any, expected: Any) -> Sample:
        what = check["what"]
        if what == "loss":
            worst, detail = reconcile.loss(read, expected)
            return Sample(status=OK, detail=detail, value=float(worst))
        if what == "positions":
            return _sample(reconcile.positions(read, expected, float(check["max_open"])))
        if what == "pnl":
            return _sample(reconcile.pnl(read, expected, Decimal(check["tolerance_usd"]), Decimal(check["tolerance_ratio"])))
        if what == "limits":
            return _sample(reconcile.limits(read, expected))
        if what == "engines":
            elsewhere = window.once("elsewhere", self._elsewhere)
            return _sample(reconcile.engines(read, expected, float(check["max_heartbeat_age"]), elsewhere))
        raise UnusableError(f"the books say nothing of {what!r}")

    def close(self) -> None:
        self._pool.shutdown(wait=False)

    def _books(self, window: Window) -> tuple[Any, reconcile.Expected]:
        """The books as one moment has them, and what they are compared with."""
        if window.slot not in self._urls:
            raise UnusableError(f"no address of the API of slot {window.slot} is given (sources.api.urls)")
        baseline = self._options["baseline"]
        try:
            raw = books.read(self._api(self._urls[window.slot]), baseline["at"])
        except (books.BooksError, Unavailable) as problem:
            raise UnusableError(str(problem)) from problem
        if not raw["complete"]:
            raise UnusableError("the history of the live book does not reach back to where Phase 3 began, so nothing can be recomputed")
        try:
            return reconcile.read_books(raw, Decimal(str(self._options["fee_ratio"]))), self._expected(raw["at"], window.started_at)
        except ValueError as problem:
            raise UnusableError(f"the books cannot be read: {problem}") from problem

    def _expected(self, now: float, since: float) -> reconcile.Expected:
        told = {name: self._options[name] for name in ("baseline", "live", "step", "sides", "limits")}
        return reconcile.Expected(**told, now=now, since=since)

    def _elsewhere(self) -> dict[str, list[str] | str]:
        """The live engines of each other instance, or why they are not known."""
        others = self._options.get("other_urls") or {}
        asked = {name: self._pool.submit(self._live_at, url) for name, url in others.items()}
        found: dict[str, list[str] | str] = {}
        for name, answer in asked.items():
            try:
                found[name] = answer.result()
            except (HttpError, UnusableError) as problem:
                found[name] = str(problem)
        return found

    def _live_at(self, url: str) -> list[str]:
        api = self._api(url)
        api.new_connection()  # of several processes another one may answer each look
        try:
            return sorted(books.live(books.engines(api)))
        except (books.BooksError, Unavailable) as problem:
            raise UnusableError(str(problem)) from problem
        except HttpError as problem:
            if isinstance(problem.__cause__, ConnectionRefusedError):
                return []  # nothing listens there: a slot that was taken down runs no engine
            raise

    def _api(self, url: str) -> Api:
        if url not in self._apis:
            self._apis[url] = self._connect(url)
        api = self._apis[url]
        api.until(self._clock() + float(self._options.get("timeout_seconds") or 20.0))
        return api


def _sample(finding: reconcile.Finding) -> Sample:
    """Of very many problems the first are kept, and their number."""
    problems = tuple(finding.problems)
    return Sample(
        status=OK, detail=finding.detail, value=float(len(problems)), events=float(finding.events), problems=problems[:KEPT_PROBLEMS]
    )
