# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where checks get their samples: each source asks one kind of server and knows no gates.

:class:`Sources` asks all of a look's checks about one and the same window, in parallel, each always: one that fails never keeps another
from being asked.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils import samples
from ansible_collections.levibot.transition.plugins.module_utils.http import Client, HttpError
from ansible_collections.levibot.transition.plugins.module_utils.levibot import forms
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import Api
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample
from ansible_collections.levibot.transition.plugins.module_utils.sources import alertmanager, api, command, prometheus, trading
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import NothingThereError, UnusableError, Window

THREADS = 8

State = dict[str, Any]
Answer = tuple[Sample, Any]


class Sources:
    """The configured sources with their kept connections: make one a gate, not one a look.

    settings: as :data:`options.SOURCES` describes them.
    environment: what commands get on top of this process's environment.
    """

    def __init__(
        self, settings: dict[str, Any], *, environment: dict[str, str] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._timeout = float(settings.get("timeout_seconds") or 10.0)
        self._clock = clock
        self._environment = environment or {}
        served = {name: settings[name] for name in ("prometheus", "alertmanager", "api") if settings.get(name)}
        clients = {name: self._client(options) for name, options in served.items()}
        self._prometheus = prometheus.Prometheus(served["prometheus"]["url"], clients["prometheus"]) if "prometheus" in served else None
        self._alertmanager = (
            alertmanager.Alertmanager(served["alertmanager"]["url"], clients["alertmanager"]) if "alertmanager" in served else None
        )
        self._api = clients.get("api")
        self._urls: dict[str, str] = served.get("api", {}).get("urls", {})
        self._prefix: str | None = served.get("api", {}).get("prefix") or None
        self._trading = self._books(settings.get("trading"), served.get("api", {}))
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="ask")

    def ask(self, checks: Iterable[dict[str, Any]], window: Window, state: State | None = None) -> tuple[dict[str, Sample], State]:
        """A sample of each check, and the state (plain JSON) to hand in with the next look."""
        window = replace(window, deadline=self._clock() + self._timeout)
        before = state or {}
        asked = {check["id"]: self._pool.submit(self._sample, check, window, before.get(check["id"])) for check in checks}
        answers = {check_id: future.result() for check_id, future in asked.items()}
        after = {check_id: own for check_id, (_sample, own) in answers.items() if own is not None}
        return {check_id: sample for check_id, (sample, _own) in answers.items()}, {**before, **after}

    def now(self) -> float | None:
        """Prometheus's clock in epoch seconds; None where there is no Prometheus or where it cannot be asked."""
        try:
            return self._prometheus and self._prometheus.now(self._clock() + self._timeout)
        except (HttpError, UnusableError):
            return None

    def close(self) -> None:
        self._pool.shutdown(wait=False)
        if self._trading:
            self._trading.close()

    def _client(self, options: dict[str, Any]) -> Client:
        verify = options.get("validate_certs")
        return Client(
            timeout=self._timeout,
            token=options.get("token"),
            headers={str(name): str(value) for name, value in (options.get("headers") or {}).items()},
            ca_file=options.get("ca_file"),
            verify=verify is None or bool(verify),
        )

    def _books(self, settings: dict[str, Any] | None, of_api: dict[str, Any]) -> trading.Trading | None:
        """The books are read from the API, in the forms that it has there."""
        if not settings or self._api is None:
            return None
        client = self._api

        def connect(url: str) -> Api:
            try:
                overrides = {call: forms.own(call, given) for call, given in (of_api.get("forms") or {}).items()}
            except forms.FormError as problem:
                raise UnusableError(f"levibot_api_forms.{problem}") from problem
            return Api(url, client, overrides=overrides, prefix=self._prefix)

        return trading.Trading(settings, self._urls, connect, self._clock)

    def _sample(self, check: dict[str, Any], window: Window, state: Any) -> Answer:
        try:
            return self._measure(check, window, state)
        except NothingThereError as nothing:
            return samples.no_data(str(nothing), nothing.coverage_ratio), state
        except (HttpError, UnusableError) as problem:
            return samples.error(str(problem)), state
        except re.error as problem:
            return samples.error(f"the pattern {problem.pattern!r} is no regular expression: {problem}"), state
        except Exception as problem:  # an answer of an unforeseen shape must cost this check its sample, not the gate its look
            return samples.error(f"the answer could not be read ({type(problem).__name__}: {str(problem)[:100]})"), state

    def _measure(self, check: dict[str, Any], window: Window, state: Any) -> Answer:
        source = check["source"]
        if source == "prometheus":
            return prometheus.measure(check, window, _configured(self._prometheus, source)), None
        if source == "alertmanager":
            return alertmanager.measure(check, window, _configured(self._alertmanager, source), self._prometheus), None
        if source == "command":
            return command.measure(check, window, self._urls, self._environment), None
        if source == "api":
            client = _configured(self._api, source)
            if window.slot not in self._urls:
                raise UnusableError(f"no address of the API of slot {window.slot} is given (sources.api.urls)")
            return api.measure(check, window, self._urls[window.slot], client, state, prefix=self._prefix)
        if source == "trading":
            return _configured(self._trading, source).measure(check, window), None
        raise UnusableError(f"there is no source {source!r}")


def _configured(source: Any, name: str) -> Any:
    if source is None:
        lacks = "what the books are compared with is not given (sources.trading, and sources.api)"
        raise UnusableError(lacks if name == "trading" else f"no address of {name} is given (sources.{name}.url)")
    return source
