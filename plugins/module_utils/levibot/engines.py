# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One engine, started or stopped for certain, with the clock as an argument.

What an answer says is not what counts, but what is read back: on new connections, since several processes may answer at one address,
several times in a row, over a quiet time. A start is money. It is sent in one form, which carries all of it; one whose answer was lost
is never sent again, since the process that has it may carry it out late while another one says that nothing runs; and one that is not
read back as asked is stopped again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.http import HttpError
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import NOT_FOUND, Api, Unavailable, engine_rows, runs

SYMBOL = re.compile(r"[A-Z0-9]{1,20}/[A-Z0-9]{1,20}")
LIVE, PAPER = "live", "paper"
ABSENT, RUNNING, STOPPED = "absent", "running", "stopped"
UNKNOWN = "unknown"
BETWEEN_READS_SECONDS = 0.01
BETWEEN_TRIES_SECONDS = 0.1
MOST_STARTS = 2  # where nothing listened, so that the first was not sent
QUANTITIES = ("qty", "quantity", "amount", "size")
CAPITALS = ("capital", "capital_usd")
STOP_SECONDS = 2.0  # how long a stop has to be seen before it is sent again
ELSEWHERE = (NOT_FOUND, 405)  # nothing was done, and another form or another spelling of the symbol may be
SERVER_ERROR = 500


class EngineError(Exception):
    """An engine is not as it was asked for, or cannot be: what was found, and what holds now."""


def key(symbol: Any) -> str:
    """The same for BTC/USDT and BTCUSDT, which are spellings of one engine."""
    return re.sub(r"[^A-Z0-9]", "", str(symbol).upper())


def amount(value: Any) -> Decimal | None:
    """A number of an answer; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def quantity_of(position: Any) -> Decimal:
    """A position's quantity, negative where it is short. Raises ValueError where it says none."""
    if not isinstance(position, Mapping):
        raise ValueError("a position is no JSON object")  # noqa: TRY004 - an answer is wrong, not a programmer's type
    found = next((number for name in QUANTITIES if (number := amount(position.get(name))) is not None), None)
    if found is None:
        raise ValueError(f"the position of {position.get('symbol')} has no quantity")
    short = str(position.get("side", "")).lower() in ("short", "sell")
    return -abs(found) if short else found


def unsent(problem: HttpError) -> bool:
    """Whether it is certain that the server has not got the request: nothing listened there. Anything else may be a lost answer."""
    return isinstance(problem.__cause__, ConnectionRefusedError)


def plain(number: Decimal) -> str:
    """Without an exponent."""
    return f"{number:f}"


def capital_of(row: Mapping[str, Any]) -> Decimal | None:
    """An engine's capital in USD; None where the row does not say."""
    return next((usd for name in CAPITALS if (usd := amount(row.get(name))) is not None), None)


@dataclass(frozen=True)
class Engine:
    """One engine, as one connection saw it. mode: "" where it is not said. capital, position: None where they are not said."""

    symbol: str
    status: str = ABSENT
    mode: str = ""
    capital: Decimal | None = None
    position: Decimal | None = None

    @property
    def may_run(self) -> bool:
        """Whether it runs, or is one that the release may restart by itself, as it does with what crashed."""
        return self.status not in (ABSENT, STOPPED)

    @property
    def runs(self) -> bool:
        return self.status != ABSENT and runs({"status": self.status})

    @property
    def text(self) -> str:
        if not self.runs:
            return f"{self.symbol}: {self.status}"
        capital = UNKNOWN if self.capital is None else f"{plain(self.capital)} USD"
        return f"{self.symbol}: {self.status}, mode {self.mode or UNKNOWN}, capital {capital}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "status": self.status,
            "mode": self.mode or None,
            "capital_usd": None if self.capital is None else plain(self.capital),
            "position": None if self.position is None else plain(self.position),
        }


@dataclass(frozen=True)
class Reading:
    """What one connection saw. mode: the whole server's, "" where it is not said. killed: None where it cannot be told."""

    engine: Engine
    mode: str = ""
    killed: bool | None = None
    problem: str = ""

    @property
    def same(self) -> tuple[Any, ...]:
        """What has to be the same in all readings; a position moves."""
        return self.engine.status, self.engine.mode, self.engine.capital, self.killed, self.problem


def find(listed: Any, symbol: str) -> Engine:
    """The engine of a symbol among those listed. Raises EngineError where that cannot be told."""
    rows = engine_rows(listed)
    if rows is None:
        raise EngineError("the answer does not say which engines there are")
    matching = [row for row in rows if key(row.get("symbol")) == key(symbol)]
    running = [row for row in matching if runs(row)]
    if len(running) > 1:
        raise EngineError(f"{symbol} is listed {len(running)} times as running ({', '.join(str(row.get('symbol')) for row in running)})")
    if not matching:
        return Engine(symbol)
    row = next(iter(running), None) or min(matching, key=lambda row: row["status"].lower() == STOPPED)
    mode = row.get("mode")
    return Engine(
        symbol,
        row["status"].lower(),
        mode.lower() if isinstance(mode, str) else "",
        capital_of(row),
        amount(row.get("position")),
    )


def live_engines(listed: Any, mode: Any) -> dict[str, dict[str, Any]] | None:
    """The engines that run and are live, by symbol; None where that cannot be told.

    One whose mode is not said counts as live, unless the server says that it is in paper mode as a whole.
    """
    rows = engine_rows(listed)
    if rows is None:
        return None
    default = PAPER if mode == PAPER else LIVE
    return {str(row.get("symbol")): dict(row) for row in rows if runs(row) and str(row.get("mode") or default).lower() != PAPER}


@dataclass(frozen=True)
class Wanted:
    """capital: None where the release may choose it, which is for paper only."""

    mode: str
    capital: Decimal | None = None

    @property
    def call(self) -> str:
        return f"start_{self.mode}"

    def differs(self, seen: Reading) -> str:
        """Why this is not what is wanted, in words. What the server does not say is no difference, but for the mode."""
        engine = seen.engine
        if seen.problem:
            return seen.problem
        if not engine.runs or (engine.mode or seen.mode) != self.mode:
            return engine.text if engine.runs and engine.mode else f"{engine.text}, the server's mode {seen.mode or UNKNOWN}"
        if self.capital is not None and engine.capital is not None and engine.capital != self.capital:
            return engine.text
        return ""

    def unconfirmed(self, before: Reading, after: Reading, asked: Wanted) -> list[str]:
        """What is wanted and is not said by the server, or could not be asked for."""
        missing = []
        if not after.engine.mode:
            missing.append("mode: only the server as a whole says it" + (", and said it before" if before.mode == self.mode else ""))
        if self.capital != asked.capital or (self.capital is not None and after.engine.capital is None):
            missing.append("capital" if self.capital == asked.capital else "capital: no form of this release carries it in paper mode")
        return missing


@dataclass
class Outcome:
    """What was found, what was done, and what is so now. open: {symbol, quantity} of a position that is still there."""

    before: Engine
    after: Engine
    changed: bool = False
    unconfirmed: list[str] = field(default_factory=list)
    open: dict[str, str] = field(default_factory=dict)


@dataclass
class Engines:
    """One engine behind one address.

    reads, quiet_seconds: how many readings in a row have to agree, and how long they have to span. until: of `clock`, for all of it.
    grace_seconds: how long to try to stop again what was started and is not as asked. check: only read, and say what would be.
    """

    api: Api
    symbol: str
    until: float
    reads: int
    quiet_seconds: float
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    grace_seconds: float = 5.0
    check: bool = False

    def start(self, wanted: Wanted, *, flatten: bool) -> Outcome:
        """Have the engine run as wanted. One that runs otherwise is stopped first. Raises EngineError where it is not seen to."""
        before = self._settle("what runs cannot be read", _readable)
        forms = [form for form, _prefix in self.api.candidates(wanted.call)]
        asked = wanted if wanted.mode == LIVE or (forms and forms[0].carries("capital")) else replace(wanted, capital=None)
        if not asked.differs(before):
            return Outcome(before.engine, before.engine, unconfirmed=wanted.unconfirmed(before, before, asked))
        self._refuse(wanted, before, offered=bool(forms))
        if self.check:
            return Outcome(before.engine, Engine(self.symbol, RUNNING, wanted.mode, asked.capital), changed=True)
        if before.engine.runs:
            self._stopped(flatten=flatten)
        after = self._started(asked, flatten=flatten)
        return Outcome(before.engine, after.engine, changed=True, unconfirmed=wanted.unconfirmed(before, after, asked))

    def stop(self, *, flatten: bool) -> Outcome:
        """Have the engine stand still; with flatten, wait for its position to be gone. Raises EngineError where it is not seen to."""
        before = self._settle("what runs cannot be read", _readable)
        found = before.engine
        mode = before.engine.mode or before.mode or LIVE
        held = held_before = self._held(mode, found)
        # An engine that crashed, or was stopped in another way, keeps its position.
        closes = flatten and bool(held) and found.status != ABSENT and bool(self.api.candidates("stop_closing"))
        if not found.may_run and not closes:
            return Outcome(found, found, open=held)
        if self.check:
            return Outcome(found, replace(found, status=STOPPED), changed=True, open={} if flatten else held)
        after = self._stopped(flatten=flatten)
        held = self._held(mode, after.engine)
        while flatten and held and self.clock() < self.until:
            self.sleep(BETWEEN_TRIES_SECONDS)
            held = self._held(mode, after.engine)
        return Outcome(found, after.engine, changed=found.status != after.engine.status or held != held_before, open=held)

    def look(self) -> Reading:
        """On a new connection. Raises nothing for what a network or a server can do."""
        self.api.new_connection()
        try:
            engine = find(self.api.value("engines"), self.symbol)
            mode = self.api.optional("mode")
            killed = self.api.optional("kill_state")
        except (HttpError, Unavailable, EngineError) as problem:
            return Reading(Engine(self.symbol), problem=str(problem))
        return Reading(engine, mode.lower() if isinstance(mode, str) else "", killed if isinstance(killed, bool) else None)

    def _settle(self, failure: str, against: Callable[[Reading], str], until: float | None = None) -> Reading:
        """The last of enough readings that agree, and that nothing is against. Raises EngineError at the end of the time."""
        until = self.until if until is None else until
        began, count, why = self.clock(), 0, ""
        last: Reading | None = None
        while True:
            seen = self.look()
            wrong = against(seen)
            if wrong or (last is not None and seen.same != last.same):
                # What was wrong says more than that there was no time left to see it right.
                late = why if self.clock() >= until else ""
                why = late or wrong or f"{seen.engine.text} and {last.engine.text if last else ''} in turn"
                began, count = self.clock(), 0
            count += not wrong
            last = seen
            if count >= self.reads and self.clock() - began >= self.quiet_seconds:
                return seen
            if self.clock() >= until:
                raise EngineError(f"{failure}: {why or f'only {count} of {self.reads} readings agree'} at the end of the time")
            self.sleep(BETWEEN_TRIES_SECONDS if wrong else BETWEEN_READS_SECONDS)

    def _refuse(self, wanted: Wanted, before: Reading, *, offered: bool) -> None:
        """Raises EngineError, before anything is done, where it cannot be done."""
        if not offered:
            need = "mode and capital" if wanted.mode == LIVE else "a symbol"
            raise EngineError(f"this release offers no form of {wanted.call} that carries {need}. Nothing was started")
        if wanted.mode == LIVE and before.killed:
            raise EngineError("the kill switch is on. Nothing was started: release it first, with a reason and a name")

    def _started(self, wanted: Wanted, *, flatten: bool) -> Reading:
        capital = {} if wanted.capital is None else {"capital": plain(wanted.capital)}
        problem = None
        for again in range(MOST_STARTS):
            problem = self._send(wanted.call, **capital)
            if problem is None or not unsent(problem) or again + 1 == MOST_STARTS or not self._stands_still():
                break
        if problem is not None and problem.status is not None and problem.status < SERVER_ERROR:
            return self._refused(wanted, problem)
        said = "" if problem is None else f" ({problem})"
        lost = problem is not None and not unsent(problem)
        may_follow = ". The start that got no answer may still be carried out: see that it is not" if lost else ""
        try:
            seen = self._settle(f"{self.symbol} was not seen to run{said}", lambda seen: seen.problem or _unless(seen.engine.runs, seen))
            wrong = wanted.differs(seen)
            failure = f"{self.symbol} does not run as it was asked for, mode {wanted.mode}{_capital(wanted)}: {wrong}"
            may_follow = ""
        except EngineError as late:
            wrong = failure = str(late)
        if wrong:
            raise EngineError(f"{failure}. {self._undone(flatten=flatten)}{may_follow}")
        return seen

    def _refused(self, wanted: Wanted, problem: HttpError) -> Reading:
        """Something may run there already, which is somebody else's, and not ours to stop."""
        seen = self._settle(f"{problem}. What runs cannot be read", _readable)
        if wanted.differs(seen):
            raise EngineError(f"{problem}. It was not started: {seen.engine.text}")
        return seen

    def _stands_still(self) -> bool:
        """Whether it is certain that no engine runs, so that a start may be sent once more."""
        try:
            self._settle("", lambda seen: seen.problem or _unless(not seen.engine.runs, seen), self.clock() + 2 * self.quiet_seconds)
        except EngineError:
            return False
        return True

    def _undone(self, *, flatten: bool) -> str:
        self.until = self.clock() + self.grace_seconds
        self.api.until(self.until)
        try:
            self._stopped(flatten=flatten)
        except EngineError as failure:
            return f"IT MAY RUN, since it could not be stopped again ({failure}): throw the kill switch"
        return "It was stopped again"

    def _stopped(self, *, flatten: bool) -> Reading:
        """Stop until it is read back. A stop does no harm twice."""
        closing = bool(self.api.candidates("stop_closing"))
        while True:
            problem = self._send("stop_closing", close="true" if flatten else "false") if closing else self._send("stop_engine")
            said = "" if problem is None else f" ({problem})"
            try:
                until = min(self.until, self.clock() + self.quiet_seconds + STOP_SECONDS)
                failure = f"{self.symbol} was not seen to stop{said}"
                return self._settle(failure, lambda seen: seen.problem or _unless(not seen.engine.runs, seen), until)
            except EngineError:
                if self.clock() >= self.until:
                    raise

    def _send(self, call: str, **arguments: str) -> HttpError | None:
        """Once, by the first form and the first spelling of the symbol that are known there. Returns what went wrong."""
        first: HttpError | None = None
        for symbol in dict.fromkeys((self.symbol, self.symbol.replace("/", ""))):
            try:
                self.api.call(call, refusals=ELSEWHERE, symbol=symbol, **arguments)
            except Unavailable as missing:
                raise EngineError(str(missing)) from missing
            except HttpError as problem:
                if problem.status not in ELSEWHERE:
                    return problem
                first = first or problem
            else:
                return None
        return first

    def _held(self, mode: str, engine: Engine) -> dict[str, str]:
        """The position that is still there: by the book where there is one, else as the engine says."""
        quantity = engine.position
        try:
            rows = self.api.value(f"{mode}_positions")
            if isinstance(rows, list):
                mine = [row for row in rows if isinstance(row, Mapping) and key(row.get("symbol")) == key(self.symbol)]
                quantity = sum(map(quantity_of, mine), Decimal(0))
        except Unavailable:
            pass
        except (HttpError, ValueError):
            quantity = None
        if quantity is None and engine.status != ABSENT:
            return {"symbol": self.symbol, "quantity": UNKNOWN}
        return {"symbol": self.symbol, "quantity": plain(quantity)} if quantity else {}


def _readable(seen: Reading) -> str:
    return seen.problem


def _unless(met: bool, seen: Reading) -> str:
    return "" if met else seen.engine.text


def _capital(wanted: Wanted) -> str:
    return "" if wanted.capital is None else f", capital {plain(wanted.capital)} USD"
