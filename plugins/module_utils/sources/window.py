# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The span of time that a look asks about, and the two ways in which an answer can be worth nothing."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from string import Template
from typing import Any


class UnusableError(Exception):
    """The source answered what cannot be used: several series where one is expected, a text instead of a number."""


class NothingThereError(Exception):
    """The source answered, and holds nothing that counts."""

    def __init__(self, detail: str, coverage_ratio: float = 0.0) -> None:
        super().__init__(detail)
        self.coverage_ratio = coverage_ratio


class Once:
    """Asks once for what several checks of a look need, such as the scrapes of their targets. All get the one answer, or the one error."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[str, Future[Any]] = {}

    def __call__(self, what: str, ask: Callable[[], Any]) -> Any:
        with self._lock:
            is_first = what not in self._answers
            answer = self._answers.setdefault(what, Future())
        if is_first:
            try:
                answer.set_result(ask())
            except BaseException as problem:  # whatever it is, nobody may wait for ever
                answer.set_exception(problem)
        return answer.result()


@dataclass(frozen=True)
class Window:
    """From when to when, in epoch seconds, for which slot, and until when (monotonic) the answers must be there.

    ``once`` is shared by the checks that ask about this window, and by no other window.
    """

    started_at: float
    at: float
    slot: str
    stable: str
    deadline: float | None = None
    once: Once = field(default_factory=Once, init=False, repr=False, compare=False)

    @property
    def milliseconds(self) -> int:
        """The length; at least 1, since PromQL knows no empty range."""
        return max(1, round((self.at - self.started_at) * 1000))

    @property
    def elapsed(self) -> str:
        """The length as PromQL writes it, in whole seconds where it is that."""
        whole, rest = divmod(self.milliseconds, 1000)
        return f"{self.milliseconds}ms" if rest else f"{whole}s"

    def expand(self, value: Any) -> Any:
        """Put ``$slot``, ``$stable`` and ``$elapsed`` into a text, or into each text of a list or dict."""
        if isinstance(value, str):
            # safe_: a dollar sign that is no placeholder belongs to a regular expression.
            return Template(value).safe_substitute(slot=self.slot, stable=self.stable, elapsed=self.elapsed)
        if isinstance(value, dict):
            return {key: self.expand(item) for key, item in value.items()}
        return [self.expand(item) for item in value] if isinstance(value, (list, tuple)) else value


def finite(value: Any, what: str) -> float:
    """A number, or a text that is one (money often travels as text). NaN is nothing, an infinity or anything else unusable."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise UnusableError(f"{what} is {_kind(value)} and no number")
    try:
        number = float(value)
    except ValueError:
        raise UnusableError(f"{what} is {value[:40]!r} and no number") from None
    if math.isnan(number):
        raise NothingThereError(f"{what} is NaN")
    if math.isinf(number):
        raise UnusableError(f"{what} is {number}")
    return number


def _kind(value: Any) -> str:
    names = {bool: "true or false", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)
