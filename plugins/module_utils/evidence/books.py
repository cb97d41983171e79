# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live book over the whole of live trading, recomputed by the same functions as at each look of Phase 3."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.conditions import OPERATORS
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case, Finding, Kind, RefusedError
from ansible_collections.levibot.transition.plugins.module_utils.evidence.moments import CLOCK_SKEW_SECONDS, iso
from ansible_collections.levibot.transition.plugins.module_utils.evidence.observed import part
from ansible_collections.levibot.transition.plugins.module_utils.evidence.slos import Slo, parse_slo
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import Field, duration, number_of
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import (
    RATIO,
    USD,
    MistakeError,
    canonical,
    format_duration,
    format_limit,
    parse_limit,
)
from ansible_collections.levibot.transition.plugins.module_utils.trading import reconcile
from ansible_collections.levibot.transition.plugins.module_utils.trading.books import Books, UnreadableError, read_books
from ansible_collections.levibot.transition.plugins.module_utils.trading.money import decimal
from ansible_collections.levibot.transition.plugins.module_utils.trading.reconcile import Expected

SHOWN = 10
UNREADABLE = "see what the API says of its live book"
DAY = 86400


def _read(case: Case, finding: Finding) -> tuple[Books, Expected]:
    """The book, and what should be so since the baseline. Raises RefusedError."""
    live, seen = part(case, "live"), part(case, "books")
    finding.source = f"the live book of {live['slot']} on {live['host']}"
    for name in live.get("elsewhere") or ():
        finding.wrong(
            f"{name} has traded live in another book since T+0, and what it did there is not judged",
            "judge that by hand, and roll the version out anew: its period begins again",
        )
    engines = {str(symbol): str(capital) for symbol, capital in live["engines"].items()}
    # A fill of an engine's first second may be before its start by the other clock.
    starts = {str(symbol): [(at - CLOCK_SKEW_SECONDS, capital) for at, capital in rows] for symbol, rows in live["starts"].items()}
    expected = Expected(live["baseline"], engines, list(engines), list(live["sides"]), live["limits"], case.now, starts=starts)
    try:
        books = read_books(seen["raw"], decimal(seen.get("fee_ratio", "0.001"), "levibot_fee_ratio"))
    except ValueError as exc:
        raise RefusedError(f"the book cannot be read: {exc}", UNREADABLE) from None
    finding.at = books.at
    return books, expected


def _told(found: reconcile.Finding, finding: Finding, fix: str) -> None:
    for problem in found.problems[:SHOWN]:
        finding.wrong(problem, fix)
    if len(found.problems) > SHOWN:
        finding.wrong(f"and {len(found.problems) - SHOWN} more")
    finding.found.append(found.detail)


def look_at_trades(given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    """All of them, from the baseline on: quantities, fills, what was allowed and since when. No trade at all proves nothing."""
    finding.wanted.append(f"every position has its fills, and none is open for longer than {format_duration(given['max_open'])}")
    books, expected = _read(case, finding)
    try:
        found = reconcile.positions(books, expected, float(given["max_open"]))
    except UnreadableError as exc:
        raise RefusedError(str(exc), UNREADABLE) from None
    _told(found, finding, "find out what was traded, and by whom")
    for problem in _too_early(books, expected)[:SHOWN]:
        finding.wrong(problem, "find out who has traded before live trading was begun")
    least = given["min_events"]
    finding.wanted.append(f"at least {least} closed trades")
    finding.found.append(f"{found.events} closed trades")
    if found.events < least:
        finding.wrong(
            f"{found.events} trades were closed, of at least {least}: nothing shows that they would be right", "wait for more trades"
        )


def _too_early(books: Books, expected: Expected) -> list[str]:
    """Fills in a symbol before its live engine was started."""
    starts = {symbol: rows[0][0] for symbol, rows in expected.given.items()}
    since = float(expected.baseline["at"])
    return [
        f"{fill.text} was at {iso(fill.at)}, before the live engine was started at {iso(starts[fill.symbol] + CLOCK_SKEW_SECONDS)}"
        for fill in books.fills
        if since < fill.at < starts.get(fill.symbol, 0.0)
    ]


def look_at_limits(_given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    finding.wanted.append("no limit of Phase 3 was broken since live trading began, and LeviBot reports those of the plan")
    books, expected = _read(case, finding)
    try:
        found = reconcile.limits(books, expected)
    except UnreadableError as exc:
        raise RefusedError(str(exc), UNREADABLE) from None
    _told(found, finding, "find out why nothing has held it back")


def look_at_pnl(given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    """Recomputed from fills, fees and marks, beside what is reported and the balance; and what the plan expects of it."""
    tolerance_usd, tolerance_ratio = Decimal(given["tolerance"]), Decimal(given["tolerance_ratio"])
    finding.wanted.append(
        f"what is reported is what the fills come to, within {given['tolerance']} USD or {format_limit(tolerance_ratio, RATIO)}"
    )
    books, expected = _read(case, finding)
    try:
        found = reconcile.pnl(books, expected, tolerance_usd, tolerance_ratio)
    except UnreadableError as exc:
        raise RefusedError(str(exc), UNREADABLE) from None
    _told(found, finding, "find out which of the two is wrong")
    if found.events < given["min_events"]:
        finding.wrong(
            f"{found.events} trades were closed, of at least {given['min_events']}: a number that nothing moved is no PnL",
            "wait for more trades",
        )
    if given.get("expected"):
        _judge_expectation(parse_slo("PnL", given["expected"]), books, expected, finding)


def _judge_expectation(wanted: Slo, books: Books, expected: Expected, finding: Finding) -> None:
    """Of the live capital, or in USD."""
    earned = books.portfolio["pnl"] - decimal(expected.baseline.get("total_pnl_usd"), "the baseline's total_pnl_usd")
    capital = sum((decimal(usd, "capital") for usd in expected.live.values()), Decimal(0))
    of_capital = wanted.unit == RATIO
    if of_capital and not capital:
        raise RefusedError("there is no live capital that the PnL could be a share of")
    unit = RATIO if of_capital else USD
    value = earned / capital if of_capital else earned
    finding.wanted.append(f"PnL {wanted.op} {format_limit(wanted.limit, unit)}{' of the live capital' if of_capital else ''}")
    said = f"PnL is {canonical(round(earned, 2))} USD" + (
        f", {canonical(round(value * 100, 2))}% of {canonical(capital)}" if of_capital else ""
    )
    if OPERATORS[wanted.op](value, wanted.limit):
        finding.found.append(said)
    else:
        finding.wrong(
            f"{said}, not {wanted.op} {format_limit(wanted.limit, unit)}", "review the strategy before it goes on with live money"
        )


def _expectation(value: Any) -> str:
    fix = 'write an operator and a share of the live capital or an amount, such as ">= -5%" or ">= 0 USD"'
    try:
        slo = parse_slo("PnL", value)
    except RefusedError:
        raise MistakeError(fix) from None
    if slo.unit not in (RATIO, USD) and slo.limit:
        raise MistakeError(fix)
    return str(value).strip()


def _share(value: Any) -> str:
    found = parse_limit(value if isinstance(value, str) else "", RATIO)
    if not 0 <= found < 1:
        raise MistakeError("write a share from 0% to less than 100%")
    return canonical(found)


def _usd(value: Any) -> str:
    try:
        found = decimal(value, "tolerance")
    except ValueError:
        found = Decimal(-1)
    if not 0 <= found <= 1000:  # noqa: PLR2004 - more would be no tolerance
        raise MistakeError("write an amount in USD, such as 0.01")
    return canonical(found)


TRADES = Kind(look_at_trades, fields={"max_open": Field(duration, DAY), "min_events": Field(number_of(0), 1)})
LIMITS = Kind(look_at_limits)
PNL = Kind(
    look_at_pnl,
    fields={
        "tolerance": Field(_usd, "0.01"),
        "tolerance_ratio": Field(_share, "0.005"),
        "min_events": Field(number_of(0), 1),
        "expected": Field(_expectation),
    },
)
