# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""What can be wrong with this instance, switched while it runs, and remembered in the data directory until it is cleared.

The file is what all workers share, and what a crash outlives: a process that finds `crash` at its start dies again. Clearing such
an instance, whose API is gone, is removing the file.

`errors` and `latency` spare /health and /metrics: as in the field, a release can be healthy and wrong. `hang` and `crash` spare
nothing but /sandbox.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .files import Watched, write_atomically


@dataclass(frozen=True)
class Latency:
    seconds: float
    ratio: float = 1.0


@dataclass(frozen=True)
class Faults:
    errors: float = 0.0  # ratio of API requests that are answered 500
    latency: Latency | None = None  # delay, and the ratio of API requests that get it
    hang: bool = False  # nothing answers, engines stand still, SIGTERM is ignored
    crash: bool = False  # the process exits with an error, at every start again
    alert: bool = False  # levi_global_stop is 1
    wrong_pnl: float = 0.0  # ratio by which reported PnL and equity exceed what the fills give
    missing_fill: bool = False  # a fill of the live book is left out of the listing: the first one that is made from now on
    duplicate_fill: bool = False  # that fill is listed twice
    stuck_position: bool = False  # engines open but never close, not even for a stop
    limit_breach: bool = False  # engines take ten times the size that the policy allows: twice their capital
    changed_limit: bool = False  # the policy that is told allows a loss of 50 % a day
    loss: bool = False  # a live engine loses 51 USD at once, and does so once
    refuse_kill: bool = False  # the kill switch answers 200 and stays off
    engine_crash: bool = False  # engines crash at their next tick
    lost_models: bool = False  # no model is found at the next start, wherever the links lead
    silent_engine: bool = False  # engines say "running" and do nothing: no heartbeat, no inference, no order

    def to_dict(self) -> dict[str, Any]:
        """Only what is switched on."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_dict(cls, data: Any) -> Faults:
        """Raises ValueError with all mistakes in one message."""
        if not isinstance(data, Mapping):
            raise ValueError("faults are a JSON object")  # noqa: TRY004 - a caller's value is wrong, not a programmer's type
        parsers = {item.name: _PARSERS.get(item.name, _switch) for item in fields(cls)}
        mistakes: list[str] = []
        values: dict[str, Any] = {}
        for name, value in data.items():
            try:
                values[name] = parsers[name](value)
            except KeyError:
                mistakes.append(f"{name}: no such fault, there are {', '.join(sorted(parsers))}")
            except ValueError as exc:
                mistakes.append(f"{name}: {exc}")
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return cls(**values)


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"true or false, not {value!r}")  # noqa: TRY004 - see from_dict
    return value


def _number(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def _ratio(value: Any) -> float:
    return _number(value, 0, 1)


def _latency(value: Any) -> Latency:
    if not isinstance(value, Mapping) or not {"seconds"} <= set(value) <= {"seconds", "ratio"}:
        raise ValueError(f'an object such as {{"seconds": 0.5, "ratio": 1}}, not {value!r}')
    return Latency(_number(value["seconds"], 0, 60), _ratio(value.get("ratio", 1)))


_PARSERS = {"errors": _ratio, "latency": _latency, "wrong_pnl": _ratio}


class FaultFile:
    def __init__(self, path: Path) -> None:
        self._file = Watched(path, lambda text: Faults.from_dict(json.loads(text)), Faults)

    @property
    def current(self) -> Faults:
        return self._file.value

    def replace(self, faults: Faults) -> None:
        write_atomically(self._file.path, json.dumps(faults.to_dict()))
