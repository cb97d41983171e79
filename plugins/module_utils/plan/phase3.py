# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phase 3 of the plan: live money, step by step.

Money travels as text in whole cents (``"100.00"``), ratios as canonical decimal text (``"0.05"``).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds.reconcile import COUNT_TRADES
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import ENFORCE
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import (
    amount,
    amount_text,
    duration,
    number_of,
    one_of,
    percentage,
    usd,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.phase1 import read_approvals
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError, canonical, parse_duration
from ansible_collections.levibot.transition.plugins.module_utils.plan.site import positive_seconds
from ansible_collections.levibot.transition.plugins.module_utils.plan.steps import Steps
from ansible_collections.levibot.transition.plugins.module_utils.trading.capital import SplitError, smallest_capital, split

PHASE = "phase3"
SIDES = ("long", "short")
_DURATIONS = {"approval_max_age": "24h", "drill_max_age": "7d", "unwatched_after": "15m"}
_KEYS = (
    *("name", "capital_usd", "approvers", "approvals", *_DURATIONS, "sides", "limits", "guardrails", "on_fail", "on_blind"),
    *("order_ratio", "instruments", "steps"),
)
_EXAMPLE = "step1: {engines: {BTC/USDT: 100}, window: 4h, gate: [...]}"
# Role deadman arms nothing sooner, unless the site says otherwise.
_LEAST_SILENCE = "deadman_silence_at_least_seconds"
LEAST_SILENCE_SECONDS = 60
# As module `engine` takes it; in the release's own spelling it sends it by itself.
_SYMBOL = re.compile(r"[A-Z0-9]{1,20}/[A-Z0-9]{1,20}")
_CENT = Decimal("0.01")

_LIMITS = {
    "position": percentage(100),
    "exposure": percentage(1000),
    "daily_loss": percentage(100),
    "concurrent_positions": number_of(1, 10**6),
}
_LIMIT_FIXES = {"position": "100%", "exposure": "100%", "daily_loss": "5%", "concurrent_positions": "10"}
_ON_FAIL = {"positions": ("flatten", ("flatten", "leave")), "earlier": ("keep", ("keep", "stop"))}
_ON_BLIND = ("kill", "paper")
# Nobody waits for a person while live engines trade on, and what is live is watched from its first second.
_FIXED = {"settle": "0s", "on_fail": "rollback"}


def read_phase3(reader: Steps) -> dict[str, Any]:
    """The phase as playbooks and gates take it. Engines' capitals are final: ``rest`` is split here."""
    plan, report = reader.plan, reader.report

    def path(*keys: str) -> str:
        return plan.path(PHASE, *keys)

    phase, steps = reader.read_phase(PHASE, _KEYS, _EXAMPLE)
    if not isinstance(plan.value.get(PHASE) if isinstance(plan.value, Mapping) else None, Mapping):
        return {}
    approvers, approvals = read_approvals(phase, path, report)
    parsers = {"unwatched_after": _at_least(reader.site.get(_LEAST_SILENCE, LEAST_SILENCE_SECONDS))}
    seconds = {
        f"{key}_seconds": report.read(path(key), phase.get(key, usual), parsers.get(key, duration)) for key, usual in _DURATIONS.items()
    }
    capital = report.read(path("capital_usd"), phase.get("capital_usd"), usd)
    sides = report.read(path("sides"), phase.get("sides"), _sides)
    limits = _limits(reader, phase.get("limits"))
    guardrails = _guardrails(reader, phase.get("guardrails"))
    engines = _Engines(reader, phase, steps, capital).read()
    live: dict[str, str] = {}
    gates: dict[str, dict[str, Any]] = {}
    read = []
    for step, keys in steps.items():
        own = {symbol: str(dollars) for symbol, dollars in engines[step].items()}
        live = {**live, **own}
        told = reader.read_step(PHASE, step, keys, ("engines", "rest"), gates, always=guardrails, without=_FIXED)
        if gates[step]:
            _check_exposure(reader, step, keys["gate"], told["gate"])
        _refer(told["gate"], {"live": live, "sides": sides, "limits": limits})
        read.append({**told, "engines": own, "live": live})
    return {
        "name": phase["name"],
        "capital_usd": str(capital),
        "approvers": approvers,
        "approvals": approvals,
        **seconds,
        "sides": sides,
        "limits": limits,
        "guardrails": list(guardrails),
        "on_fail": _on_fail(reader, phase.get("on_fail", {})),
        "on_blind": report.read(path("on_blind"), phase.get("on_blind", _ON_BLIND[0]), one_of(*_ON_BLIND)),
        "steps": read,
    }


def _at_least(seconds: Any) -> Callable[[Any], float | int]:
    """seconds: as the site has written it; what is none is reported with its variables."""
    try:
        least = positive_seconds(seconds)
    except MistakeError:
        least = LEAST_SILENCE_SECONDS

    def parse(value: Any) -> float | int:
        if parse_duration(value) < least:
            raise MistakeError(f"write at least {least:g}s ({_LEAST_SILENCE}): a run may give no sign of life for so long while it works")
        return duration(value)

    return parse


def _sides(value: Any) -> list[str]:
    if not isinstance(value, list) or not value or any(side not in SIDES for side in value) or len(value) > len(set(value)):
        raise MistakeError("write the sides that engines may take: [long, short], [long] or [short]")
    return [side for side in SIDES if side in value]


def _limits(reader: Steps, value: Any) -> dict[str, Any]:
    plan, report = reader.plan, reader.report

    def path(*keys: str) -> str:
        return plan.path(PHASE, "limits", *keys)

    limits = report.mapping(path(), value, f"write the limits: {', '.join(_LIMITS)}")
    report.unknown(path, limits, (*_LIMITS, "reported"))
    read = {}
    for name, parse in _LIMITS.items():
        key = name if name == "concurrent_positions" else f"{name}_ratio"
        if limits.get(name) is None and isinstance(value, Mapping):
            report.add(path(name), None, f"write it, such as {_LIMIT_FIXES[name]}: live money is never without a limit")
        read[key] = report.read(path(name), limits[name], parse) if limits.get(name) is not None else None
    reported = report.mapping(path("reported"), limits.get("reported", {}), "write a mapping, such as {max_daily_loss_pct: 5}")
    read["reported"] = {name: report.read(path("reported", name), number, amount_text) for name, number in sorted(reported.items())}
    return read


def _guardrails(reader: Steps, lines: Any) -> dict[str, dict[str, str]]:
    """The conditions that hold in every step, each of which fails at the first look."""
    path = reader.plan.path(PHASE, "guardrails")
    if not isinstance(lines, list) or not lines:
        reader.report.add(path, lines, "write at least one guardrail, such as [position_loss_usd < 50]: live money is never without")
        return {}
    conditions = reader.read_lines(path, lines, {}, {}, {})
    for name, condition in conditions.items():
        check = reader.library[name]
        if check.get("fail_after") != 1:
            reader.report.add(path, condition["text"], f"name a check that fails at the first look: {name} has no fail_after of 1")
        if check["mode"] != ENFORCE:
            reader.report.add(path, condition["text"], f"name a check that decides: {name} only observes")
    return conditions


def _on_fail(reader: Steps, value: Any) -> dict[str, str]:
    plan, report = reader.plan, reader.report
    keys = report.mapping(plan.path(PHASE, "on_fail"), value, "write what is done about engines: {positions: flatten, earlier: keep}")
    report.unknown(lambda key: plan.path(PHASE, "on_fail", key), keys, _ON_FAIL)
    return {
        key: report.read(plan.path(PHASE, "on_fail", key), keys.get(key, usual), one_of(*choices))
        for key, (usual, choices) in _ON_FAIL.items()
    }


def _check_exposure(reader: Steps, step: str, lines: Any, gate: Mapping[str, Any]) -> None:
    """A gate that counts no trades passes though its engines have never traded."""
    if not any(one["kind"] == "reconcile" and one["what"] in COUNT_TRADES and one["mode"] == ENFORCE for one in gate["checks"]):
        fix = "add a check that counts trades and decides, such as position_errors == 0: without a trade nothing was shown to be right"
        reader.report.add(reader.plan.path(PHASE, "steps", step, "gate"), lines, fix)


def _refer(gate: Mapping[str, Any], judged_by: Mapping[str, Any]) -> None:
    """Lets a check of the books tell what it compares them with, so that its samples are not judged again by another plan's limits."""
    digest = hashlib.sha256(json.dumps(judged_by, sort_keys=True).encode()).hexdigest()[:12]
    for check in gate["checks"]:
        if check["source"] == "trading":
            check["compared_with"] = digest


class _Engines:
    """The engines of all steps with their capitals, and what is wrong with them together."""

    def __init__(self, reader: Steps, phase: Mapping[str, Any], steps: Mapping[str, Any], capital: Decimal | None) -> None:
        self._plan, self._report = reader.plan, reader.report
        self._phase, self._steps, self._capital = phase, steps, capital
        self._started: dict[str, tuple[str, str]] = {}

    def read(self) -> dict[str, dict[str, Decimal]]:
        """Each step's own engines. What cannot be read is reported and left out."""
        found = len(self._report.problems)
        ratio = self._report.read(self._path("order_ratio"), self._phase.get("order_ratio", "20%"), percentage(100))
        instruments = self._instruments()
        given: dict[str, dict[str, Decimal]] = {}
        weights: dict[str, dict[str, Decimal]] = {}
        for step, keys in self._steps.items():
            written = keys if isinstance(keys, Mapping) else {}
            given[step] = self._step(step, "engines", written, usd)
            weights[step] = self._step(step, "rest", written, _weight)
            if isinstance(keys, Mapping) and not (written.get("engines") or written.get("rest")):
                fix = "write the engines that the step starts, such as {BTC/USDT: 100}, or rest, such as {BNB/USDT: 1, XRP/USDT: 1}"
                self._report.add(self._path("steps", step, "engines"), written.get("engines"), fix)
        self._check_names(instruments)
        if self._capital is None or ratio is None or len(self._report.problems) > found:
            return given
        smallest = {
            symbol: self._smallest(instruments, symbol, Decimal(ratio)) for step in self._steps for symbol in (*given[step], *weights[step])
        }
        self._check_given(given, instruments, smallest)
        return self._share(given, weights, instruments, smallest)

    def _path(self, *keys: str) -> str:
        return self._plan.path(PHASE, *keys)

    def _step(self, step: str, key: str, written: Mapping[str, Any], parse: Any) -> dict[str, Decimal]:
        path = self._path("steps", step, key)
        read = {}
        for symbol, value in self._report.mapping(path, written.get(key, {}), "write symbols, such as {BTC/USDT: 100}").items():
            own = self._path("steps", step, key, symbol)
            number = self._report.read(own, value, parse)
            if not _SYMBOL.fullmatch(symbol):
                self._report.add(own, symbol, "write it as BASE/QUOTE in capitals, such as BTC/USDT, however the release spells it")
                continue
            if _same(symbol) in self._started:
                other, where = self._started[_same(symbol)]
                self._report.add(own, symbol, f"write it once: {where} starts {other}, and an engine is started once")
            elif number is not None:
                read[symbol] = number
            self._started.setdefault(_same(symbol), (symbol, step))
        return read

    def _instruments(self) -> dict[str, dict[str, Decimal]]:
        read: dict[str, dict[str, Decimal]] = {}
        path = self._path("instruments")
        for name, written in self._report.mapping(
            path, self._phase.get("instruments", {}), "write {default: {min_notional_usd: 5}}"
        ).items():
            keys = self._report.mapping(self._path("instruments", name), written, "write {min_notional_usd: 5}")
            known = _INSTRUMENT if name != "default" else {key: _INSTRUMENT[key] for key in _ANY_INSTRUMENT}
            self._report.unknown(lambda key, name=name: self._path("instruments", name, key), keys, known)
            values = {
                key: self._report.read(self._path("instruments", name, key), keys[key], parse)
                for key, parse in known.items()
                if keys.get(key) is not None
            }
            read[name] = {key: value for key, value in values.items() if value is not None}
            for key, other in (("quantity_step", "price_usd"), ("price_usd", "quantity_step")):
                if key in values and other not in values:
                    self._report.add(self._path("instruments", name, other), None, f"write it as well: {key} says nothing without it")
        return read

    def _check_names(self, instruments: Mapping[str, Any]) -> None:
        symbols = [symbol for symbol, _step in self._started.values()]
        unused = [name for name in instruments if name != "default" and name not in symbols]
        self._report.unknown(lambda name: self._path("instruments", name), unused, ("default", *symbols))

    def _instrument(self, instruments: Mapping[str, Mapping[str, Decimal]], symbol: str) -> dict[str, Decimal]:
        return {"min_notional_usd": Decimal(0), "capital_step_usd": _CENT, **instruments.get("default", {}), **instruments.get(symbol, {})}

    def _smallest(self, instruments: Mapping[str, Mapping[str, Decimal]], symbol: str, ratio: Decimal) -> Decimal:
        """The capital whose orders the exchange still takes."""
        its = self._instrument(instruments, symbol)
        return smallest_capital(its["min_notional_usd"], its.get("quantity_step"), its.get("price_usd"), ratio)

    def _check_given(
        self,
        given: Mapping[str, Mapping[str, Decimal]],
        instruments: Mapping[str, Mapping[str, Decimal]],
        smallest: Mapping[str, Decimal],
    ) -> None:
        for step, engines in given.items():
            for symbol, dollars in engines.items():
                path = self._path("steps", step, "engines", symbol)
                step_usd = self._instrument(instruments, symbol)["capital_step_usd"]
                if dollars < smallest[symbol]:
                    fix = f"write at least {canonical(smallest[symbol])}: below that its orders are smaller than the exchange takes"
                    self._report.add(path, canonical(dollars), fix)
                if dollars % step_usd:
                    self._report.add(path, canonical(dollars), f"write a multiple of its capital_step_usd of {canonical(step_usd)}")

    def _share(
        self,
        given: dict[str, dict[str, Decimal]],
        weights: Mapping[str, Mapping[str, Decimal]],
        instruments: Mapping[str, Mapping[str, Decimal]],
        smallest: Mapping[str, Decimal],
    ) -> dict[str, dict[str, Decimal]]:
        """Never more than the capital in all; what is left of it to the one step with ``rest``, to the cent."""
        capital = self._capital or Decimal(0)
        spent = sum((dollars for engines in given.values() for dollars in engines.values()), Decimal(0))
        if spent > capital:
            fix = f"write at least {canonical(spent)}, which the steps' engines add up to, or less for the engines"
            self._report.add(self._path("capital_usd"), canonical(capital), fix)
            return given
        sharing = [step for step in weights if weights[step]]
        for step in sharing[1:]:
            self._report.add(self._path("steps", step, "rest"), dict.fromkeys(weights[step], "…"), f"write rest once: {sharing[0]} has it")
        if len(sharing) != 1:
            return given
        own = weights[sharing[0]]
        path = self._path("steps", sharing[0], "rest")
        if spent == capital:
            self._report.add(path, f"nothing left of {canonical(capital)}", "write more for capital_usd, or less for the engines before")
            return given
        steps = {symbol: self._instrument(instruments, symbol)["capital_step_usd"] for symbol in own}
        try:
            # No engine is started with nothing, whatever its weight.
            shares = split(capital - spent, own, {symbol: max(smallest[symbol], _CENT) for symbol in own}, steps)
        except SplitError as problem:
            for reason in problem.reasons:
                self._report.add(path, f"{canonical(capital - spent)} USD that cannot be split", f"change weights or capital_usd: {reason}")
            return given
        return {**given, sharing[0]: {**given[sharing[0]], **{symbol: shares[symbol].quantize(_CENT) for symbol in own}}}


def _same(symbol: str) -> str:
    """BTC/USDT and BTCUSDT are one."""
    return re.sub(r"[/._:-]", "", symbol).upper()


def _weight(value: Any) -> Decimal:
    weight = amount(value)
    if not weight:
        raise MistakeError("write a weight greater than zero, such as 1")
    return weight


def _above_zero(value: Any) -> Decimal:
    number = amount(value)
    if not number:
        raise MistakeError("write a number greater than zero")
    return number


_INSTRUMENT = {"min_notional_usd": amount, "capital_step_usd": usd, "quantity_step": _above_zero, "price_usd": _above_zero}
_ANY_INSTRUMENT = ("min_notional_usd", "capital_step_usd")
