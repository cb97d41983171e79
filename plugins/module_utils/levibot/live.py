# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an instance trades live, for whoever must not stop one that trades on paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ansible_collections.levibot.transition.plugins.module_utils.http import HttpError
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import Unavailable, engine_rows, runs

PAPER = "paper"
READS = 8  # of an instance whose processes may differ


class Asked(Protocol):
    """What is needed of an :class:`instance.Api`."""

    def new_connection(self) -> None: ...

    def value(self, name: str) -> Any: ...


def signs_of_live(api: Asked, reads: int) -> tuple[list[str], str]:
    """(the engines that any of so many connections has shown to run live, why that is not for certain).

    Each reading may be answered by another process with engines of its own, so that one that shows none proves nothing. An engine of
    which neither itself nor the server says the mode is a reason for doubt; one in a mode that is not paper is live, whatever it is called.
    """
    doubt = ""
    for _read in range(reads):
        api.new_connection()
        try:
            rows, mode = engine_rows(api.value("engines")), _mode(api)
        except (HttpError, Unavailable) as problem:
            return [], str(problem)
        if rows is None:
            return [], "the answer does not say which engines run"
        modes = [(str(row.get("symbol")), str(row.get("mode") or mode or "").strip().lower()) for row in rows if runs(row)]
        live = sorted({symbol for symbol, each in modes if each not in ("", PAPER)})
        if live:
            return live, ""
        unsaid = sorted({symbol for symbol, each in modes if not each})
        doubt = f"the mode of {', '.join(unsaid)} is not said" if unsaid else doubt
    return [], doubt


def worst(readings: Iterable[Iterable[Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    """One row for each engine that any reading has shown: running before standing still, and live, or not said, before on paper."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in (row for rows in readings for row in rows):
        symbol = str(row.get("symbol"))
        if symbol not in found or _weight(row) > _weight(found[symbol]):
            found[symbol] = row
    return list(found.values())


def _weight(row: Mapping[str, Any]) -> int:
    if not runs(row):
        return 0
    return 1 if str(row.get("mode") or "").lower() == PAPER else 2


def _mode(api: Asked) -> Any:
    """What the server as a whole says; None where it has no such call."""
    try:
        return api.value("mode")
    except Unavailable:
        return None
    except HttpError as problem:
        if problem.status is None:
            raise
        return None
