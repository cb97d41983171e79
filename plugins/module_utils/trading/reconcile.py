# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the books that a LeviBot shows agree with its own fills, and keep to what was agreed.

All is recomputed from a baseline on, at each look, from fills, fees, funding and marks; nothing is remembered between looks.

How books are rounded. A book keeps its amounts whole, or to some decimals, or to the cent. What is rounded to four decimals or more adds
up to nothing that a tolerance of a cent would notice. Cents do: each fill books a notional and a fee, each off by up to half a cent, so
that 60 fills may be off by 60 cents, which is 20 % of a PnL of 3 USD. To allow for that would be to see nothing. So it is not allowed for
but done again. Where all fees are whole cents though the notionals are not, and the balance, the PnL or the equity is as well, the book is
kept in cents, and the recomputation rounds each notional and each fee as the book does, ties to the even cent. Only a tie may have been
rounded the other way; each one widens the tolerance by a cent. Likewise, trades that are told in whole cents are compared with their
recomputed PnL in cents, and where a fill closed a part only, or closed one position and opened another, the parts may have been rounded
either way: a cent each.

How marks move. Portfolio and engines are read between two readings of the positions, so their value lies between those at the marks of
either, symbol by symbol, unless prices turned in between; for that, half of the range is added at either end. What agrees with any value in
that range, give or take the tolerance, which is the larger of tolerance_usd and tolerance_ratio x the recomputed PnL since the baseline,
agrees.

What it cannot see. An error below the tolerance: with 0.01 USD and 0.5 %, 1 % of a PnL below 1 USD. Whatever moves while the marks do:
that is seen at another look, when fewer positions are open. In a book in cents, trades whose error rounds to the same cent; their sum, and
the total, show it. A pair of fills that are both missing and have the same cash, with no trade reported. Where a release lists no fills,
closed trades and the positions' own entry prices stand for them: then an open position agrees with itself, and only the cash and the PnL
can disagree. What an engine earned before the baseline, where the history does not reach back to its first fill: then it is not compared.

What it finds wrong though no money is: a release that rounds what it lists and not what it books, or that counts lots first in, first out.
Paper trading shows that, and there is time then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.trading.books import (
    CRASHED,
    RUNNING,
    Books,
    Engine,
    UnreadableError,
    read_books,
)
from ansible_collections.levibot.transition.plugins.module_utils.trading.case import Case, Expected, Pair, Range, case_of, in_cents, utc
from ansible_collections.levibot.transition.plugins.module_utils.trading.fills import LONG, SHORT, Fill, Trade, symbol_of
from ansible_collections.levibot.transition.plugins.module_utils.trading.money import CENT, ZERO, cents, decimal, exact, shown, text
from ansible_collections.levibot.transition.plugins.module_utils.trading.positions import DUST_USD, Closing

__all__ = [
    "BEYOND_LIMITS",
    "KILL_SWITCH_ON",
    "Books",
    "Expected",
    "Finding",
    "UnreadableError",
    "engines",
    "limits",
    "loss",
    "pnl",
    "positions",
    "read_books",
]

# Words by which others know what was found: that nothing may trade, and that more is at stake, or lost, than was agreed.
KILL_SWITCH_ON = "the kill switch is on"
_PAID = "USD were paid for a position"
_PAID_AT_ONCE = "USD were paid for positions that were open at once"
_EXPOSED = "exposure: all open positions are worth"
_LOST = "daily loss: "
_ENGINES_HAVE = "capital: the live engines have"
BEYOND_LIMITS = (_PAID, _PAID_AT_ONCE, _EXPOSED, _LOST, _ENGINES_HAVE)

# The marks of the baseline may have moved by so much while it was read.
_DRIFT_RATIO = Decimal("0.005")
# What is further ahead of our clock than this is no clock that is off, but another one, such as that of a time zone.
_AHEAD_SECONDS = 300.0
_HUNDRED = 100


@dataclass(frozen=True)
class Finding:
    """problems: a sentence each. events: how many stand behind it (closings; engines that run live). detail: what was compared."""

    problems: list[str] = field(default_factory=list)
    events: int = 0
    detail: str = ""


def positions(books: Books, expected: Expected, max_open_seconds: float) -> Finding:
    """Positions open and close correctly: each has its fills, quantities and cash add up, none is open for too long or where it must not.

    Raises UnreadableError where the history does not reach back to the baseline.
    """
    case = case_of(books, expected)
    with exact():
        problems = [*books.problems, *_quantities(case), *_cash(case), *case.misfits]
        problems += [*_symbols(case), *_sides(case), *_open_too_long(case, max_open_seconds)]
        held = ", ".join(f"{text(held.quantity)} {symbol}" for symbol, held in sorted(books.positions.items())) or "none"
    untraded = f"; no trade closed in {', '.join(case.untraded)}" if case.untraded else ""
    return Finding(problems, case.events, f"{len(case.fills)} fills, {len(case.closings)} closed, open: {held}{untraded}")


def pnl(books: Books, expected: Expected, tolerance_usd: Decimal, tolerance_ratio: Decimal) -> Finding:
    """What is reported of PnL, equity, cash, trades and engines is what the fills come to. Raises UnreadableError."""
    case = case_of(books, expected)
    allowed = _Tolerance(tolerance_usd, tolerance_ratio)
    with exact():
        # Those from before the baseline are not compared: what was paid for them is not known.
        pairs = [pair for pair in case.pairs if all(closing.opened_at is not None for closing in pair[1])]
        of_engines, compared = _engines_pnl(case, allowed)
        problems = _portfolio(case, allowed)
        problems += _fitting(_trades(pairs, allowed, net=True), _trades(pairs, allowed, net=False))
        problems += of_engines
        detail = (
            f"{text(cents(case.total))} USD recomputed from {len(case.fills)} fills, {text(cents(case.pnl_told))} reported; "
            f"{len(pairs)} trades and {compared} engines compared"
        )
    return Finding(problems, case.events, detail)


def limits(books: Books, expected: Expected) -> Finding:
    """No limit is broken, now or since the baseline, and those that the API reports are the plan's. Raises UnreadableError."""
    case = case_of(books, expected)
    problems: list[str] = []
    told: list[str] = []
    with exact():
        for check in (_position_size, _exposure, _concurrent, _daily_loss, _engines_capital):
            found, said = check(case, sum(case.live.values(), ZERO))
            problems += found
            told.append(said)
        problems += _reported_limits(books.policy, expected.limits.get("reported") or {})
    return Finding(problems, case.events, ", ".join(told))


def engines(
    books: Books, expected: Expected, max_heartbeat_age_seconds: float, elsewhere: Mapping[str, Sequence[str] | str] | None = None
) -> Finding:
    """The engines that should be live are, run and give signs of life, and no other is, here or elsewhere.

    elsewhere: the symbols of live engines by the name of where they are; a text there says why that is not known.
    Raises UnreadableError where nothing is wrong but that.
    """
    live = expected.capitals
    problems = [KILL_SWITCH_ON] if books.killed else []
    running, untold = 0, []
    for symbol, capital in live.items():
        rows = [engine for engine in books.engines if engine.symbol == symbol]
        found = _engine(symbol, capital, rows, expected.now, max_heartbeat_age_seconds)
        running += not found
        untold += [symbol for row in rows if row.capital is None]
        problems += found
    for engine in books.engines:
        if engine.symbol in live:
            continue
        if engine.status == CRASHED:
            problems.append(_crashed(engine))
        elif engine.live and engine.runs:
            mode = "is live" if engine.mode_told else "says no mode, which counts as live,"
            problems.append(f"engine {engine.symbol} {mode} and runs; only {', '.join(live) or 'none'} may")
    unknown = []
    for name, seen in (elsewhere or {}).items():
        if isinstance(seen, str):
            unknown.append(f"{name}: {seen}")
        else:
            problems += [f"engine {symbol_of(symbol)} is live on {name} as well; each symbol has one writer" for symbol in seen]
    if unknown and not problems:
        raise UnreadableError(f"whether a live engine runs elsewhere is not known: {'; '.join(unknown)}")
    silent = f"; the API does not tell the capital of {', '.join(untold)}" if untold else ""
    return Finding(problems, running, f"{running} of {len(live)} engines run live as they should{silent}")


def loss(books: Books, expected: Expected) -> tuple[Decimal, str]:
    """(the worst loss in USD, at least 0; whose it is). Raises UnreadableError.

    The worst of what each position, open or closed since the baseline, each symbol and all together have lost since then: recomputed at
    the lower of the marks, and as the positions, the engines and the portfolio report it. A position that was there at the baseline
    counts from its entry as well, as it is reported: it has lost what it has lost.
    """
    case = case_of(books, expected)
    with exact():
        earned, whose = min([*_earned(case), *_earned_as_told(case)], key=lambda item: item[0], default=(ZERO, ""))
        if earned >= 0:
            return ZERO, "nothing is lost"
        return -earned, f"{text(cents(-earned))} USD lost: {whose}"


# Positions


def _quantities(case: Case) -> list[str]:
    return [
        f"{symbol}: a position of {text(case.told(symbol))} is reported, and its fills come to {text(case.quantity(symbol))}"
        f"{_hint(case, symbol, case.told(symbol) - case.quantity(symbol))}"
        for symbol in case.held
        if not case.agrees(symbol)
    ]


def _hint(case: Case, symbol: str, more: Decimal) -> str:
    """What may have happened, where one fill explains the difference."""
    own = [fill for fill in case.fills if fill.symbol == symbol]
    alike: dict[tuple[Decimal, float], Fill] = {}
    for fill in own:
        if abs(fill.signed + more) * fill.price < DUST_USD:
            first = alike.setdefault((fill.price, fill.at), fill)
            if first is not fill:
                return f"; fills {first.id} and {fill.id} say the same, and may be one"
    missing = f"; a fill is missing: {'buy' if more > 0 else 'sell'} {text(abs(more))}"
    twice = next((fill for fill in reversed(own) if abs(fill.signed - more) * fill.price < DUST_USD), None)
    return missing if twice is None else f"{missing}; or {twice.text} was counted twice"


def _cash(case: Case) -> list[str]:
    """What is as much as an order: whether the PnL is accurate is another check's."""
    off = case.cash_change_told - case.cash_change
    smallest = min((fill.quantity * fill.price for fill in case.fills), default=ZERO)
    if abs(off) <= max(CENT * (1 + len(case.fills)), smallest / 2):
        return []
    return [
        f"cash: the balance has changed by {text(cents(case.cash_change_told))} USD since the baseline, and the fills come to "
        f"{text(cents(case.cash_change))}; a fill is missing, or is none"
    ]


def _symbols(case: Case) -> list[str]:
    problems = []
    only = f"only {', '.join(case.live) or 'none'} may trade"
    for symbol in dict.fromkeys(fill.symbol for fill in case.fills if fill.symbol not in case.given):
        own = [fill for fill in case.fills if fill.symbol == symbol]
        problems.append(f"{symbol} is not live, and there are {len(own)} fills in it, the first is {own[0].text}; {only}")
    for symbol in case.held:
        told, there = case.told(symbol), case.start.get(symbol)
        was_there = there is not None and there.quantity * told > 0 and abs(told) <= abs(there.quantity)
        if told and symbol not in case.live and not was_there:
            problems.append(f"{symbol} is not live, and a position of {text(told)} is open in it; {only}")
    return problems


def _sides(case: Case) -> list[str]:
    problems = []
    sides = list(case.expected.sides)
    for symbol in case.held:
        told, there = case.told(symbol), case.start.get(symbol)
        side = LONG if told > 0 else SHORT
        if told and side not in sides and (there is None or there.quantity != told):
            problems.append(f"{symbol}: a {side} position of {text(abs(told))} is open; allowed is {', '.join(sides)}")
    wrong = [row for row in case.closings if row.side not in sides and row.opened_at is not None and case.agrees(row.symbol)]
    for symbol in dict.fromkeys(closing.symbol for closing in wrong):
        last = [closing for closing in wrong if closing.symbol == symbol][-1]
        problems.append(
            f"{symbol}: a {last.side} position of {text(last.quantity)} was open from {utc(last.opened_at or 0)} to {utc(last.closed_at)}; "
            f"allowed is {', '.join(sides)}"
        )
    return problems


def _open_too_long(case: Case, most_seconds: float) -> list[str]:
    """By the first fill of a position; where the fills do not say it, by what is reported. Those that are closed by now count, too."""
    problems = _closed_too_late(case, most_seconds)
    for symbol in case.held:
        told, held = case.books.positions.get(symbol), case.book.positions.get(symbol)
        if told is None:
            continue
        opened = told.opened_at
        if held is not None and case.agrees(symbol):
            opened = _opened_before(case, symbol) if held.opened_at is None else held.opened_at
        age = 0.0 if opened is None else case.expected.now - opened
        if age < -_AHEAD_SECONDS:
            problems.append(
                f"{symbol}: a position of {text(told.quantity)} is open since {utc(opened or 0)}, which is {-age:.0f} s from now, so that "
                "nobody can say for how long"
            )
        if age > most_seconds:
            problems.append(
                f"{symbol}: a position of {text(told.quantity)} is open since {utc(opened or 0)}, for {age:.0f} s; at most "
                f"{most_seconds:g} s are allowed"
            )
    return problems


def _closed_too_late(case: Case, most_seconds: float) -> list[str]:
    """Of each symbol the position that was open for the longest time."""
    longest: dict[str, tuple[float, float, Closing]] = {}
    before = {symbol: _opened_before(case, symbol) for symbol in case.start}
    for closing in case.closings:
        opened = before.get(closing.symbol, case.base_at) if closing.opened_at is None else closing.opened_at
        age = closing.closed_at - opened
        if age > most_seconds and (closing.symbol not in longest or age > longest[closing.symbol][0]):
            longest[closing.symbol] = age, opened, closing
    return [
        f"{symbol}: a {closing.side} position of {text(closing.quantity)} was open from {utc(opened)} to {utc(closing.closed_at)}, for "
        f"{age:.0f} s; at most {most_seconds:g} s are allowed"
        for symbol, (age, opened, closing) in longest.items()
        if case.agrees(symbol)
    ]


def _opened_before(case: Case, symbol: str) -> float:
    """When a position was opened that was there at the baseline: then at the latest, and when it is reported to have been."""
    times = [case.base_at, *(trade.entry_at for trade in _trades_from_before(case, symbol))]
    held, told = case.book.positions.get(symbol), case.books.positions.get(symbol)
    if held is not None and held.opened_at is None and told is not None and told.opened_at is not None:
        times.append(told.opened_at)
    return min(times)


def _trades_from_before(case: Case, symbol: str) -> list[Trade]:
    """The trades that have closed, or closed a part of, the position that was there at the baseline."""
    return [trade for trade, closings in case.pairs if trade.symbol == symbol and any(one.opened_at is None for one in closings)]


# PnL


@dataclass(frozen=True)
class _Tolerance:
    usd: Decimal
    ratio: Decimal

    def of(self, recomputed: Decimal) -> Decimal:
        return max(self.usd, self.ratio * abs(recomputed))


def _portfolio(case: Case, allowed: _Tolerance) -> list[str]:
    told = case.books.portfolio
    tolerance = allowed.of(case.total) + CENT * case.ties()
    value = case.value()
    value = value.wider(value.width / 2)
    cash = case.base_cash + told["starting"] - case.base_starting + case.cash_change
    earned = case.base_cash - case.base_starting + _counted_from(case) + case.cash_change
    return [
        *_off("portfolio: total_pnl", told["pnl"], value.plus(earned), tolerance),
        *(_off("portfolio: total_equity", told["equity"], value.plus(cash), tolerance) if "equity" in told else ()),
        *_off("portfolio: cash_balance", told["cash"], Range(cash, cash), tolerance),
    ]


def _counted_from(case: Case) -> Decimal:
    """What total_pnl was at the baseline beside what it came to: releases count it from here or there. Its marks moved, too."""
    off = case.base_pnl - (case.base_cash - case.base_starting + case.base_value)
    moved = _DRIFT_RATIO * sum((abs(start.quantity * start.price) for start in case.start.values()), ZERO)
    return ZERO if abs(off) <= moved else off


def _trades(pairs: Sequence[Pair], allowed: _Tolerance, *, net: bool) -> list[str]:
    """Each trade's PnL, net of fees or before them; and the sums of gains and of losses, in which small errors of many trades show."""
    told_in_cents = in_cents(trade.pnl for trade, _closings in pairs)
    problems: list[str] = []
    sums = {"gains": (ZERO, ZERO, ZERO), "losses": (ZERO, ZERO, ZERO)}
    for trade, closings in pairs:
        recomputed = sum((closing.pnl if net else closing.pnl + closing.fees for closing in closings), ZERO)
        recomputed = cents(recomputed) if told_in_cents else recomputed
        slack = CENT if told_in_cents and any(closing.divided for closing in closings) else ZERO
        tolerance = allowed.of(recomputed) + slack
        problems += _off(f"trade {trade.id} of {trade.symbol}: pnl_usd", trade.pnl, Range(recomputed, recomputed), tolerance)
        kind = "gains" if recomputed > 0 else "losses"
        sums[kind] = sums[kind][0] + trade.pnl, sums[kind][1] + recomputed, sums[kind][2] + slack
    if problems:
        return problems
    for name, (told, recomputed, slack) in sums.items():
        tolerance = allowed.of(recomputed) + slack
        problems += _off(f"the {name} of {len(pairs)} trades: pnl_usd", told, Range(recomputed, recomputed), tolerance)
    return problems


def _engines_pnl(case: Case, allowed: _Tolerance) -> tuple[list[str], int]:
    """(where an engine's total_pnl is not what its fills come to, how many were compared).

    Releases count it with what is open or without; one way has to fit all engines.
    """
    ways: list[list[str]] = [[], []]
    compared = 0
    for engine in case.books.engines:
        before = case.earned_before(engine.symbol) if engine.symbol in case.live and case.comparable(engine) else None
        if before is None or engine.total_pnl is None:
            continue
        compared += 1
        account = case.account(engine.symbol)
        closed = before + account.realised - account.fees + account.funding
        whole = case.earned(engine.symbol).plus(before)
        whole = whole.wider(whole.width / 2)
        for problems, amount in zip(ways, (whole, Range(closed, closed))):
            tolerance = allowed.of(amount.middle) + CENT * case.ties(engine.symbol)
            problems.extend(_off(f"engine {engine.symbol}: total_pnl", engine.total_pnl, amount, tolerance))
    return _fitting(*ways), compared


def _fitting(*ways: list[str]) -> list[str]:
    """No problem where one way of counting fits all; else those of the first way."""
    return [] if any(not way for way in ways) else ways[0]


def _off(what: str, told: Decimal, recomputed: Range, tolerance: Decimal) -> list[str]:
    """Nothing where it agrees."""
    by = max(recomputed.low - told, told - recomputed.high)
    if by <= tolerance:
        return []
    low, high = (text(amount.quantize(Decimal("0.0001"))) for amount in (recomputed.low, recomputed.high))
    return [
        f"{what} is {text(told.quantize(Decimal('0.0001')))} USD, {text(by.quantize(Decimal('0.0001')))} too "
        f"{'high' if told > recomputed.high else 'low'}: its fills come to {low if low == high else f'{low} to {high}'}"
    ]


# Limits: each returns (problems, what was found, in words)


def _position_size(case: Case, _capital: Decimal) -> tuple[list[str], str]:
    """What was paid for each position that there was since the baseline, between looks as well."""
    ratio = case.expected.limit("position_ratio")
    problems, largest = [], ZERO
    for symbol in case.given:
        # (paid, of which capital, says who, from where on that is worth telling)
        found = [(paid, capital, "by its fills", ZERO) for capital, paid in case.peaks.get(symbol, {}).items()]
        now = case.capital_of(symbol, case.expected.now)
        found += [
            (abs(held.quantity) * held.entry_price, now, "as reported", CENT)
            for held in (case.books.positions.get(symbol), case.books.again.get(symbol))
            if held is not None and held.entry_price is not None
        ]
        if not found:
            continue
        largest = max(largest, *(paid / capital for paid, capital, _how, _from in found if capital > 0), ZERO)
        paid, capital, how, _from = max(found, key=lambda one: one[0] - ratio * one[1] - one[3])
        if paid > ratio * capital + CENT:
            problems.append(
                f"{symbol}: {text(cents(paid))} {_PAID}, {how}; at most {text(cents(ratio * capital))} are allowed, "
                f"{_percent(ratio)} of its engine's capital"
            )
    return problems, f"largest position {_percent(largest)} of its capital"


def _exposure(case: Case, capital: Decimal) -> tuple[list[str], str]:
    """At the marks of now; and between looks by what was paid, since no mark tells of then."""
    ratio = case.expected.limit("exposure_ratio")
    most = ratio * capital
    readings = [
        sum((abs(held.quantity) * (held.mark or case.low[symbol]) for symbol, held in told.items()), ZERO)
        for told in (case.books.positions, case.books.again)
    ]
    found = max(*readings, sum((abs(held.quantity) * case.low[symbol] for symbol, held in case.book.positions.items()), ZERO))
    said = f"exposure {text(cents(found))} of {text(cents(most))} USD"
    if found > most + CENT:
        return [f"{_EXPOSED} {text(cents(found))} USD; at most {text(cents(most))} are allowed"], said
    for total, paid in case.paid.items():
        if paid > ratio * total + CENT:
            problem = (
                f"exposure: {text(cents(paid))} {_PAID_AT_ONCE} since the baseline, by their fills; "
                f"at most {text(cents(ratio * total))} are allowed"
            )
            return [problem], said
    return [], said


def _concurrent(case: Case, _capital: Decimal) -> tuple[list[str], str]:
    most = case.expected.limit("concurrent_positions")
    said = f"{len(case.held)} of {text(most)} positions"
    if len(case.held) > most:
        return [f"{len(case.held)} positions are open ({', '.join(case.held)}); at most {text(most)} are allowed"], said
    if case.most_open > most:
        return [f"{case.most_open} positions were open at once since the baseline, by their fills; at most {text(most)} are allowed"], said
    return [], said


def _daily_loss(case: Case, capital: Decimal) -> tuple[list[str], str]:
    """The worse of the reported and the recomputed: what was closed on a UTC day, net of fees; by now with all that is open.

    Recomputed at each closing, of the capital that was live then: what is earned later on that day, or with more, excuses nothing.
    """
    ratio = case.expected.limit("daily_loss_ratio")
    now, today = case.expected.now, _day(case.expected.now)
    is_open = sum((case.value(symbol).low - held.cost - held.fees for symbol, held in case.book.positions.items()), ZERO)
    booked = [(closing.closed_at, closing.pnl) for closing in case.closings] + [(paid.at, paid.amount) for paid in case.funding]
    days: dict[str, Decimal] = {}
    worst: dict[str, tuple[Decimal, Decimal]] = {}  # by day (what was earned, what could be lost)
    for at, amount, counted in [*((at, amount, case.capital_at(at)) for at, amount in sorted(booked)), (now, is_open, capital)]:
        day, most = _day(at), ratio * counted
        days[day] = days.get(day, ZERO) + amount
        if day not in worst or days[day] + most < sum(worst[day], ZERO):
            worst[day] = days[day], most
    told = case.books.realised_today
    problems = [
        f"{_LOST}{text(cents(-earned))} USD on {day}, recomputed; at most {text(cents(most))} are allowed, "
        f"{_percent(ratio)} of the live capital"
        for day, (earned, most) in sorted(worst.items())
        if earned < -most
    ]
    if told is not None and told < -ratio:
        problems.append(f"{_LOST}realized_today_pct is {_percent(told)}; a loss of at most {_percent(ratio)} is allowed")
    return problems, f"today {text(cents(days[today]))} USD ({'none' if told is None else _percent(told)} reported)"


def _engines_capital(case: Case, capital: Decimal) -> tuple[list[str], str]:
    """A release that does not tell it breaks nothing by that: what its positions may cost is judged by the plan's capital all the same."""
    live = [engine for engine in case.books.engines if engine.live and engine.runs]
    running = [(engine.symbol, engine.capital) for engine in live if engine.capital is not None]
    total = sum((dollars for _symbol, dollars in running), ZERO)
    silent = [engine.symbol for engine in live if engine.capital is None]
    told = [f"capital {text(total)} of {text(capital)} USD"] if running or not live else []
    if silent:
        told.append(f"the API does not tell the capital of {', '.join(silent)}: positions are judged by the plan's {text(capital)} USD")
    said = ", ".join(told)
    if total <= capital:
        return [], said
    named = ", ".join(f"{symbol} {text(dollars)}" for symbol, dollars in running)
    return [f"{_ENGINES_HAVE} {text(total)} USD ({named}); at most {text(capital)} are allowed"], said


def _reported_limits(policy: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    problems = []
    for name, value in wanted.items():
        plan = decimal(value, name)
        if policy.get(name) is None:
            problems.append(f"limit {name}: the API reports none; the plan's is {text(plan)}")
            continue
        try:
            agrees = decimal(policy[name], name) == plan
        except ValueError:
            agrees = False
        if not agrees:
            problems.append(f"limit {name}: the API reports {shown(policy[name])}; the plan's is {text(plan)}")
    return problems


# Engines


def _engine(symbol: str, capital: Decimal, rows: Sequence[Engine], now: float, most_seconds: float) -> list[str]:
    """What is wrong with an engine that should be live."""
    if len(rows) != 1:
        listed = (
            f"is listed {len(rows)} times; each symbol has one writer" if rows else f"is not listed; it should run with {text(capital)} USD"
        )
        return [f"engine {symbol} {listed}"]
    engine = rows[0]
    if engine.status == CRASHED:
        return [_crashed(engine)]
    problems = []
    if engine.status != RUNNING:
        problems.append(f"engine {symbol} is {engine.status or 'in no state'}; it should run")
    if not engine.live:
        problems.append(f"engine {symbol} is in paper mode; it should be live")
    if engine.capital is not None and engine.capital != capital:
        problems.append(f"engine {symbol} has a capital of {text(engine.capital)} USD; it should have {text(capital)}")
    if engine.heartbeat_at is None:
        problems.append(f"engine {symbol} tells no heartbeat; one of at most {most_seconds:g} s ago is needed")
    elif engine.heartbeat_at - now > most_seconds:
        # A clock that is ahead, or a time without its zone: such a heartbeat would stay young for hours after the last one.
        problems.append(
            f"engine {symbol} gave its last heartbeat {engine.heartbeat_at - now:.1f} s from now, so that nobody can say how old it is; "
            f"at most {most_seconds:g} s are allowed, either way"
        )
    elif now - engine.heartbeat_at > most_seconds:
        problems.append(
            f"engine {symbol} gave its last heartbeat {now - engine.heartbeat_at:.1f} s ago; at most {most_seconds:g} s are allowed"
        )
    return problems


def _crashed(engine: Engine) -> str:
    said = " ".join(engine.last_error.split())[:200]
    return f"engine {engine.symbol} has crashed{': ' + said if said else ''}"


# Losses


def _earned(case: Case) -> Iterable[tuple[Decimal, str]]:
    """(what was earned, by whom), recomputed."""
    lots: dict[tuple[str, float | None], Decimal] = {}
    for closing in case.closings:
        lots[closing.symbol, closing.opened_at] = lots.get((closing.symbol, closing.opened_at), ZERO) + closing.pnl
    for symbol, held in case.book.positions.items():
        lots[symbol, held.opened_at] = lots.get((symbol, held.opened_at), ZERO) + case.value(symbol).low - held.cost - held.fees
    for (symbol, opened), earned in lots.items():
        yield earned, f"{symbol}, the position of {utc(case.base_at if opened is None else opened)}"
    symbols = {symbol: case.earned(symbol).low for symbol in {*case.book.accounts, *case.book.positions}}
    for symbol, earned in sorted(symbols.items()):
        yield earned, f"{symbol} since the baseline"
    yield sum(symbols.values(), ZERO), "all symbols since the baseline"


def _earned_as_told(case: Case) -> Iterable[tuple[Decimal, str]]:
    """(what was earned, by whom), as reported."""
    for symbol, held in [*case.books.positions.items(), *case.books.again.items()]:
        if held.pnl is not None and symbol not in case.start:
            yield held.pnl, f"{symbol}, the open position as reported"
    for symbol in case.start:
        yield from _from_entry(case, symbol)
    for engine in case.books.engines:
        before = case.earned_before(engine.symbol) if engine.symbol in case.live else None
        if engine.total_pnl is not None and before is not None:
            yield engine.total_pnl - before, f"engine {engine.symbol}, its total_pnl"
    portfolio = case.books.portfolio
    yield case.pnl_told, "the portfolio's total_pnl since the baseline"
    if "equity" in portfolio:
        paid_in = portfolio["starting"] - case.base_starting
        yield portfolio["equity"] - paid_in - case.base_cash - case.base_value, "the portfolio's total_equity since the baseline"


def _from_entry(case: Case, symbol: str) -> Iterable[tuple[Decimal, str]]:
    """Of a position that was there at the baseline what it has earned from its entry on, which only what is reported tells.

    What was closed of it counts with what is left of it, and by itself once that is another position.
    """
    closed = sum((trade.pnl for trade in _trades_from_before(case, symbol)), ZERO)
    own = case.book.positions.get(symbol)
    before = closed if own is None or own.opened_at is None else ZERO
    for held in (told[symbol] for told in (case.books.positions, case.books.again) if symbol in told):
        amounts = [] if held.pnl is None else [held.pnl]
        if held.entry_price is not None:
            amounts += [held.quantity * (mark - held.entry_price) for mark in (case.low[symbol], case.high[symbol])]
        for amount in amounts:
            yield amount + before, f"{symbol}, the open position from its entry as reported"
    yield closed, f"{symbol}, the position from before the baseline, as reported"


def _percent(ratio: Decimal) -> str:
    return f"{text((ratio * _HUNDRED).quantize(CENT))}%"


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d")
