# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The books of one mode, read so that they belong together: all fills and trades, positions, balance, engines and limits.

They move while they are read. The history is read once, page by page, and then only what is new of it. It is whole and of one moment
where its newest row is the same before and after all else was read, and the positions are those that they were. Rows stay as the server
gives them; whoever judges them reads them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.http import HttpError
from ansible_collections.levibot.transition.plugins.module_utils.levibot.engines import (
    amount,
    capital_of,
    key,
    live_engines,
    plain,
    quantity_of,
)
from ansible_collections.levibot.transition.plugins.module_utils.levibot.forms import find
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import NOT_FOUND, Api, Unavailable, engine_rows, runs
from ansible_collections.levibot.transition.plugins.module_utils.trading.fills import moment as read_moment

PAGE_ROWS = 500
MOST_PAGES = 2000
MOST_ROWS = 200_000
BEYOND = "1000000000"  # a place that no history has
TRIES = 5
REFUSED_SIZE = (400, 422)
PAIR = 2
CENT = Decimal("0.01")
MARGIN_SECONDS = 5.0  # how much further back than asked for, since two clocks are compared
IDS = ("fill_id", "trade_id", "id")
TIMES = ("ts", "at", "time", "timestamp", "exit_time")
MARKS = ("current_price", "mark_price", "mark", "price")
USUAL_PAGES = (10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10000)


class BooksError(Exception):
    """The books cannot be read as one: which, and why."""


def moment(row: Any) -> float | None:
    """When a row happened, in seconds since the epoch. None where it does not say."""
    for name in TIMES if isinstance(row, Mapping) else ():
        try:
            return read_moment(row.get(name), name)
        except ValueError:
            continue
    return None


def identity(row: Any) -> str:
    """A row's id, as text; empty where it has none."""
    return next((str(row[name]) for name in IDS if row.get(name) not in (None, "")), "") if isinstance(row, Mapping) else ""


class Listing:
    """One listing of an API, whole, whichever way the server pages and orders it.

    since: rows that are older need not be read; None for all. rows: oldest first. complete: whether nothing after `since` is missing.
    """

    def __init__(self, api: Api, call: str, since: float | None = None, page_rows: int = PAGE_ROWS) -> None:
        self._api = api
        self._call = call
        self._since = None if since is None else since - MARGIN_SECONDS
        self._page_rows = page_rows
        self._from_newest = True
        self._first_page: int | None = None
        self.rows: list[Any] = []
        self.complete = False

    @property
    def offered(self) -> bool:
        return bool(self._api.candidates(self._call))

    def refresh(self) -> bool:
        """Read what is new, or all of it the first time. Returns whether anything was."""
        if not self.offered:
            raise Unavailable(f"this release offers no form of {self._call} that is known: set it in the API's forms")
        form = self._api.candidates(self._call)[0][0]
        before = len(self.rows), identity(self.rows[-1]) if self.rows else ""
        how = next((name for name in ("offset", "page", "before") if form.carries(name)), "")
        if how:
            self._by_pages(how)
        else:
            self._at_once(limited=form.carries("limit"))
        return (len(self.rows), identity(self.rows[-1]) if self.rows else "") != before

    def _by_pages(self, how: str) -> None:
        known = self.rows[-1] if len(self.rows) >= PAIR else None
        page = self._page(how, [], 0)
        if known is None:  # one row alone does not tell the order
            self.rows = []
            self._from_newest = is_newest_first(page)
            if how == "before" and not self._from_newest:
                raise BooksError(f"{self._call} is listed oldest first and paged by what is before, so that its end is out of reach")
        if self._from_newest:
            new, reached = self._walk(how, page, known)
            if known is not None and not reached:
                raise BooksError(f"{self._call}: {identity(known)} was listed, and then was not")
            if known is None and not is_newest_first(new):  # which a first page of one row could not say
                self._from_newest = False
                self.rows, self.complete = self._from_oldest(how, self._page(how, [], 0))
                return
            self.rows += reversed(new)
            self.complete = reached if known is None else self.complete
        else:
            self.rows, self.complete = self._from_oldest(how, page)

    def _from_oldest(self, how: str, page: list[Any]) -> tuple[list[Any], bool]:
        """Rows are added at the end, and pages that are counted do not overlap: one that came behind a page that was read leaves a gap.

        So those pages are read until the next reading begins with all that the one before has found.
        """
        found, reached = self._walk(how, page, None)
        for _unused in range(TRIES if how == "page" else 0):
            again, reached = self._walk(how, self._page(how, [], 0), None)
            if len(again) >= len(found) and all(map(same, again, found)):
                break
            found = again
        else:
            if how == "page":
                raise BooksError(f"{self._call} moved while being read, {TRIES} times in a row: ask again")
        return found, reached

    def _walk(self, how: str, page: list[Any], known: Any) -> tuple[list[Any], bool]:
        """The rows in the server's order up to one that is known, and whether that, `since` or the end was reached."""
        found: list[Any] = []
        pushed = 0  # by how many rows that came meanwhile
        for number in range(1, MOST_PAGES):
            at = next((index for index, row in enumerate(page) if found and same(row, found[-1])), -1)
            if found and page and at < 0 and how == "offset":
                raise BooksError(f"{self._call} moved by more than a page while it was read")
            pushed += max(at, 0)
            fresh = page[at + 1 :]
            for row in fresh:
                if known is not None and same(row, known):
                    return found, True
                found.append(row)
            if len(found) > MOST_ROWS:
                break
            # A page whose last row is known says only that others have pushed it there.
            if not page or (not fresh and at == 0):
                return found, known is None
            oldest = moment(found[-1])
            if known is None and self._from_newest and self._since is not None and oldest is not None and oldest < self._since:
                return found, True
            last, page = page, self._page(how, found, number, pushed)
            if page == last and len(page) > 1 and not self._goes_by(how):
                raise BooksError(f"{self._call} answers each page with the same rows: it does not go by {how}")
            if how == "before" and not page and may_be_cut(len(last), self._page_rows):
                return found, False  # the end, or a cursor that the server understands in another way
        raise BooksError(f"{self._call} has no end within {MOST_ROWS} rows and {MOST_PAGES} pages")

    def _goes_by(self, how: str) -> bool:
        """Whether the place is not just ignored: far beyond the end there is nothing. Rows that are pushed in can repeat a page as well."""
        if how == "before":
            return False  # what is before a row does not hold it
        try:
            return not self._ask(**{how: BEYOND})
        except HttpError as problem:
            if problem.status == NOT_FOUND:
                return True
            raise

    def _page(self, how: str, found: list[Any], number: int, pushed: int = 0) -> list[Any]:
        """One page, in the server's order. Pages by offset overlap by one row, to see what has moved."""
        if how == "offset":
            return self._ask(offset=str(max(0, len(found) - 1) + pushed))
        if how == "before":
            return self._ask(before=identity(found[-1])) if found else self._ask()  # a form without the cursor
        if self._first_page is None:
            self._first_page = self._number_of_first()
        try:
            return self._ask(page=str(self._first_page + number))
        except HttpError as problem:
            if number and problem.status == NOT_FOUND:
                return []  # beyond the last one
            raise

    def _number_of_first(self) -> int:
        """Pages are counted from 1, unless there is a page 0 that is another one."""
        try:
            return 1 if self._ask(page="0") == self._ask(page="1") else 0
        except HttpError as problem:
            if problem.status is None:
                raise
            return 1

    def _at_once(self, *, limited: bool) -> None:
        """By a limit that grows until it is not reached; without one, whatever comes."""
        rows = self._ask()
        while limited and len(rows) >= self._page_rows and self._page_rows < MOST_ROWS:
            self._page_rows *= 2
            rows, before = self._ask(), rows
            if len(rows) == len(before):
                break
        oldest = rows[-1:] if is_newest_first(rows) else rows[:1]
        reached = [moment(row) for row in oldest]
        self.rows = rows[::-1] if is_newest_first(rows) else rows
        enough = self._since is not None and any(at is not None and at < self._since for at in reached)
        self.complete = enough or not may_be_cut(len(rows), self._page_rows)

    def _ask(self, **place: str) -> list[Any]:
        """One page; a smaller one where the server refuses the size."""
        while True:
            try:
                answer, form = self._api.call(self._call, refusals=(404, 405), limit=str(self._page_rows), **place)
            except HttpError as problem:
                smaller = [size for size in USUAL_PAGES if size < self._page_rows]
                if problem.status not in REFUSED_SIZE or not smaller or place.get("page") == "0":
                    raise
                self._page_rows = smaller[-1]
                continue
            return self._rows(answer, form.value)

    def _rows(self, answer: Any, value: str) -> list[Any]:
        rows = answer if isinstance(answer, list) else find(answer, value)
        if not isinstance(rows, list):
            raise BooksError(f"{self._call}: the answer has no list {value}")
        return rows


def same(one: Any, other: Any) -> bool:
    """By id where there is one, since what else is in a row may be counted anew."""
    return identity(one) == identity(other) if identity(one) else bool(one == other)


def is_newest_first(rows: list[Any]) -> bool:
    """As usual, unless times or, at one time, ids that are numbers say otherwise."""
    ends = [rows[0], rows[-1]] if rows else []
    times = [at for row in ends if (at := moment(row)) is not None]
    numbers = [int(identity(row)) for row in ends if identity(row).isdecimal()]
    for values in (times, numbers):
        if len(values) == len(ends) == PAIR and values[0] != values[1]:
            return values[0] > values[1]
    return True


def may_be_cut(rows: int, asked: int) -> bool:
    """Whether a listing of so many rows may be a part only: as many as were asked for, or as many as a server's own limit may be."""
    return rows >= asked or rows in USUAL_PAGES


def read(api: Api, since: float | None = None, *, mode: str = "live", clock: Callable[[], float] = time.time) -> dict[str, Any]:
    """The books of a mode as they were at one moment, in raw rows. Raises BooksError, HttpError or Unavailable, with words.

    {at, history: "fills" or "trades", fills, trades, positions, positions_again, portfolio, engines, risk, mode, killed, complete}.
    The positions bracket portfolio and engines: their PnL lies between those at the marks of either. history: what stands for the orders.
    complete: whether the history reaches back to `since` (the beginning where it is None), as far as can be told.
    """
    fills, closed = Listing(api, f"{mode}_fills", since), Listing(api, f"{mode}_closed", since)
    _refuse(api, mode, history=fills.offered or closed.offered)
    listings = [listing for listing in (fills, closed) if listing.offered]
    for listing in listings:
        listing.refresh()
    for _unused in range(TRIES):
        for listing in listings:
            listing.refresh()
        positions, at = _positions(api, mode), clock()
        whole = {**engines(api), "risk": _object(api, "risk"), "portfolio": _object(api, f"{mode}_portfolio")}
        again = _positions(api, mode)
        moved = [listing.refresh() for listing in listings]
        if not any(moved) and quantities(positions) == quantities(again):
            return {
                "at": round(at, 3),
                "history": "fills" if fills.offered else "trades",
                "fills": fills.rows,
                "trades": closed.rows,
                "positions": positions,
                "positions_again": again,
                **whole,
                "complete": all(listing.complete for listing in listings),
            }
    raise BooksError(f"the {mode} book moved while being read, {TRIES} times in a row: ask again")


def _refuse(api: Api, mode: str, *, history: bool) -> None:
    """Raises where a book is not there at all, with all that is missing."""
    needed = (f"{mode}_positions", f"{mode}_portfolio", "engines", "risk")
    missing = [*([] if history else [f"{mode}_fills or {mode}_closed"]), *(call for call in needed if not api.candidates(call))]
    if missing:
        raise Unavailable(
            f"this release offers no form of {', '.join(missing)} that is known: set it in the API's forms (levibot_api_forms)"
        )


def _positions(api: Api, mode: str) -> list[Any]:
    rows = api.value(f"{mode}_positions")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise BooksError(f"{mode}_positions: the answer has no list of positions")
    return rows


def engines(api: Api) -> dict[str, Any]:
    """{engines, mode, killed}: the raw rows, the whole server's mode (None where it is not said), the switch (None: not known)."""
    rows = engine_rows(api.value("engines"))
    if rows is None:
        raise BooksError("engines: the answer does not say which engines there are")
    mode, killed = api.optional("mode"), api.optional("kill_state")
    return {
        "engines": [dict(row) for row in rows],
        "mode": mode if mode in ("live", "paper") else None,
        "killed": killed if isinstance(killed, bool) else None,
    }


def _object(api: Api, call: str) -> dict[str, Any]:
    answer = api.value(call)
    if not isinstance(answer, Mapping):
        raise BooksError(f"{call}: the answer is no JSON object")
    return dict(answer)


def quantities(positions: list[Any]) -> dict[str, Decimal]:
    """Signed, by symbol; what is listed twice adds up."""
    found: dict[str, Decimal] = {}
    for row in positions:
        try:
            found[key(row.get("symbol"))] = found.get(key(row.get("symbol")), Decimal(0)) + quantity_of(row)
        except ValueError as problem:
            raise BooksError(str(problem)) from problem
    return {symbol: quantity for symbol, quantity in found.items() if quantity}


def baseline(books: Mapping[str, Any]) -> dict[str, Any]:
    """From where Phase 3 counts: positions with their marks, cash, PnL, and the last fill before. Plain JSON, numbers as text.

    Raises BooksError where one of them is not said, or where the history may be cut.
    """
    portfolio = books["portfolio"]
    money = {
        "cash_usd": amount(portfolio.get("cash_balance")),
        "total_pnl_usd": amount(portfolio.get("total_pnl")),
        "starting_usd": amount(portfolio.get("starting_balance")),
    }
    wrong = [f"the portfolio does not say {name}" for name, value in money.items() if value is None]
    if not books["complete"]:
        wrong.append("the history is cut by the server")
    positions = {}
    for row in books["positions"]:
        mark = next((value for name in MARKS if (value := amount(row.get(name))) is not None), None)
        if mark is None:
            wrong.append(f"the position of {row.get('symbol')} has no mark")
        else:
            positions[str(row.get("symbol"))] = {"quantity": plain(quantity_of(row)), "price_usd": plain(mark)}
    if wrong:
        raise BooksError(f"no baseline: {'; '.join(wrong)}")
    history = books[books["history"]]
    return {
        "at": books["at"],
        "positions": positions,
        **{name: plain(value) for name, value in money.items() if value is not None},
        "last_fill_id": identity(history[-1]) if history else None,
        "fills": len(history),
    }


def live(books: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The engines that are live and run, by symbol."""
    return live_engines(books["engines"], books["mode"]) or {}


def running(books: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The engines that run, as they could be started again: {symbol, mode, capital_usd}, the capital to the cent."""
    found = []
    for row in books["engines"]:
        if runs(row):
            capital = capital_of(row)
            usd = None if capital is None else plain(capital.quantize(CENT))
            found.append({"symbol": str(row.get("symbol")), "mode": row.get("mode"), "capital_usd": usd})
    return found
