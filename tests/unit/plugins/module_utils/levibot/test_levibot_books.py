# SPDX-License-Identifier: GPL-3.0-or-later
"""Listings of every kind, read whole while they grow; and books that are of one moment, or none at all."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.http import HttpError
from ansible_collections.levibot.transition.plugins.module_utils.levibot import books, forms
from ansible_collections.levibot.transition.plugins.module_utils.levibot.books import BooksError, Listing
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import Unavailable

PAGINGS = {"offset": 0, "before": 1, "page": 2, "limit": 3, "all": 4}


class Server:
    """A listing of fills with ids from 1. grows: how many come before each further page is answered. most: the server's own limit."""

    def __init__(self, paging, rows, *, most=100, newest_first=True, grows=(), refuses=10**9, first_page=1):
        self.form = forms.CALLS["live_fills"][PAGINGS[paging]]
        self.ids = list(range(1, rows + 1))
        self.most, self.newest_first, self.grows, self.refuses, self.first_page = most, newest_first, list(grows), refuses, first_page
        self.asked = 0

    def row(self, number):
        return {"fill_id": number, "ts": 1000.0 + number, "symbol": "BTC/USDT"}

    def candidates(self, _call):
        cursorless = forms.CALLS["live_fills"][PAGINGS["limit"]]
        return [(self.form, ""), (cursorless, "")] if self.form.carries("before") else [(self.form, "")]

    def call(self, _name, *, refusals=(), **arguments):  # noqa: ARG002
        if self.asked and self.grows:
            self.ids += range(self.ids[-1] + 1 if self.ids else 1, (self.ids[-1] if self.ids else 0) + 1 + self.grows.pop())
        self.asked += 1
        rows = [self.row(number) for number in self.ids]
        rows = rows[::-1] if self.newest_first else rows
        size = int(arguments["limit"])
        if size > self.refuses:
            raise HttpError("http://x", "answered 422", status=422)
        size = min(size, self.most)
        if self.form.carries("offset"):
            rows = rows[int(arguments["offset"]) :]
        elif self.form.carries("page"):
            if int(arguments["page"]) < self.first_page:
                raise HttpError("http://x", "answered 422", status=422)
            rows = rows[size * (int(arguments["page"]) - self.first_page) :]
        elif "before" in arguments:
            rows = [row for row in rows if row["fill_id"] < int(arguments["before"])]
        elif self.form.carries("limit") and not self.newest_first:
            rows = rows[-size:]
        return {"fills": rows if self.form.query == {} else rows[:size]}, self.form


def ids(listing):
    return [row["fill_id"] for row in listing.rows]


@settings(max_examples=200)
@given(st.sampled_from(sorted(PAGINGS)), st.integers(0, 250), st.booleans(), st.data())
def test_whole_or_not_called_complete(paging, rows, newest_first, data):
    newest_first = newest_first or paging == "before"
    # A limit of its own that no person would choose cannot be told from the end where pages are not counted.
    most = data.draw(st.sampled_from([10, 50, 100, 500] + ([8, 33] if paging in ("offset", "page") else [])))
    grows, refuses = data.draw(st.lists(st.integers(0, 6), max_size=8)), data.draw(st.sampled_from([20, 100, 10**9]))
    server = Server(paging, rows, most=most, newest_first=newest_first, grows=grows, refuses=refuses)
    listing = Listing(server, "live_fills")
    try:
        listing.refresh()
    except BooksError as problem:
        assert "moved" in str(problem), "small pages and many rows at once: not read, and said so"
        return
    read = ids(listing)
    assert read == sorted(set(read)), "each once, oldest first"
    if read:
        assert read == list(range(read[0], read[-1] + 1)), "no gap"
    if listing.complete:
        assert not read or read[0] == 1
    elif paging in ("offset", "page"):
        pytest.fail("pages that are counted have an end")
    server.grows = []
    listing.refresh()
    assert ids(listing)[-1:] == server.ids[-1:], "the newest is there"
    assert not listing.refresh(), "nothing new"
    server.ids.append(server.ids[-1] + 1 if server.ids else 1)
    assert listing.refresh()
    assert ids(listing)[-1] == server.ids[-1]


@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from(["offset", "page", "before"]))
def test_no_further_back_than_asked_for(rows, back, paging):
    server = Server(paging, rows, most=50)
    listing = Listing(server, "live_fills", since=1000.0 + rows - back)
    listing.refresh()
    assert set(range(max(1, rows - back), rows + 1)) <= set(ids(listing))
    if paging != "before":
        assert listing.complete


def test_a_listing_cut_by_the_server_is_not_complete():
    listing = Listing(Server("limit", 300, most=100), "live_fills")
    listing.refresh()
    assert (len(listing.rows), listing.complete) == (100, False)
    listing = Listing(Server("limit", 300, most=100), "live_fills", since=1290.0)
    listing.refresh()
    assert listing.complete, "it reaches back far enough"


@pytest.mark.parametrize("at", [1, 49, 50, 51, 99, 100])
def test_a_row_listed_twice_stays_twice(at):
    server = Server("offset", 120, most=50)
    server.ids.insert(at, at)
    listing = Listing(server, "live_fills")
    listing.refresh()
    assert len(listing.rows) == 121
    assert ids(listing).count(at) == 2
    assert not listing.refresh()


def test_pages_counted_from_0():
    listing = Listing(Server("page", 120, most=50, first_page=0), "live_fills")
    listing.refresh()
    assert ids(listing) == list(range(1, 121))


def test_a_listing_that_moves_by_more_than_a_page_is_no_reading():
    with pytest.raises(BooksError, match="moved by more than a page"):
        Listing(Server("offset", 100, most=5, grows=[0, 20]), "live_fills").refresh()


def test_a_server_that_ignores_the_offset_has_no_end():
    server = Server("offset", 10)
    server.call = lambda *_names, **_more: ({"fills": [server.row(2), server.row(1)]}, server.form)
    with pytest.raises(BooksError, match="does not go by offset"):
        Listing(server, "live_fills").refresh()


def test_a_row_that_vanishes_is_no_reading():
    server = Server("offset", 10)
    listing = Listing(server, "live_fills")
    listing.refresh()
    server.ids = server.ids[:-1]
    with pytest.raises(BooksError, match="10 was listed, and then was not"):
        listing.refresh()


@pytest.mark.parametrize("answer", [None, [], {"trades": []}, {"fills": {}}, "x", 3])
def test_an_answer_without_rows_is_no_empty_book(answer):
    server = Server("limit", 3)
    server.call = lambda *_names, **_more: (answer, server.form)
    listing = Listing(server, "live_fills")
    if answer == []:
        listing.refresh()
        assert listing.rows == []
    else:
        with pytest.raises(BooksError, match="no list"):
            listing.refresh()


@pytest.mark.parametrize(("row", "at"), [
    ({"ts": 1764450000.5}, 1764450000.5), ({"timestamp": 1764450000500}, 1764450000.5), ({"time": "2025-11-29T21:00:00Z"}, 1764450000.0),
    ({"exit_time": "2025-11-29T22:00:00+01:00"}, 1764450000.0), ({"at": "soon"}, None), ({}, None), ([], None), ({"ts": True}, None),
    ({"ts": float("nan")}, None), ({"at": "2025-11-29T21:00:00.5Z"}, 1764450000.5), ({"at": "2025-11-29 22:00:00+0100"}, 1764450000.0),
])  # fmt: skip
def test_moment(row, at):
    assert books.moment(row) == at


class Desk:
    """A server of all books; `moves`: how many bracketed readings in a row a fill falls into."""

    def __init__(self, moves=0, **changed):
        self.values = {
            "live_positions": [{"symbol": "BTC/USDT", "side": "short", "qty": 0.002, "current_price": 62000.5}],
            "live_portfolio": {"cash_balance": 224.1, "total_pnl": 0.1, "starting_balance": 100},
            "risk": {"policy": {}},
            "engines": [{"symbol": "BTC/USDT", "status": "running"}],
            "mode": "live",
            "kill_state": False,
            **changed,
        }
        self.moves = moves
        self.asked = []
        self.fills = [{"fill_id": 1, "ts": 1001.0}, {"fill_id": 2, "ts": 1002.0}]

    def candidates(self, call):
        known = call in self.values or call == "live_fills"
        return [(forms.CALLS[call][0], "")] if known else []

    def call(self, name, **arguments):
        if name == "live_fills":
            return {"fills": self.fills[::-1][int(arguments["offset"]) :]}, forms.CALLS[name][0]
        return {"value": self.values[name]}, forms.Form("GET", "/", value="value")

    def value(self, name):
        self.asked.append(name)
        if name == "live_portfolio" and self.moves:
            self.moves -= 1
            self.fills.append({"fill_id": len(self.fills) + 1, "ts": 1001.0 + len(self.fills)})
        return self.values[name]

    optional = value


def test_books_of_one_moment():
    read = books.read(Desk(moves=3), clock=lambda: 1764450000.0)
    assert [row["fill_id"] for row in read["fills"]] == [1, 2, 3, 4, 5]
    assert (read["history"], read["complete"], read["trades"], read["at"]) == ("fills", True, [], 1764450000.0)
    assert books.live(read) == {"BTC/USDT": {"symbol": "BTC/USDT", "status": "running"}}
    with pytest.raises(BooksError, match="moved while being read"):
        books.read(Desk(moves=99))


def test_whatever_reports_a_pnl_is_read_between_two_readings_of_the_marks():
    desk = Desk()
    books.read(desk)
    first, last = (places := [place for place, name in enumerate(desk.asked) if name == "live_positions"])
    assert len(places) == 2
    assert {"live_portfolio", "engines"} <= set(desk.asked[first:last])


def test_a_baseline_says_all_or_nothing():
    read = books.read(Desk(), clock=lambda: 1764450000.0)
    assert books.baseline(read) == {
        "at": 1764450000.0,
        "positions": {"BTC/USDT": {"quantity": "-0.002", "price_usd": "62000.5"}},
        "cash_usd": "224.1",
        "total_pnl_usd": "0.1",
        "starting_usd": "100",
        "last_fill_id": "2",
        "fills": 2,
    }
    poor = Desk(live_portfolio={"cash_balance": None}, live_positions=[{"symbol": "BTC/USDT", "qty": 1}])
    with pytest.raises(BooksError) as failed:
        books.baseline({**books.read(poor), "complete": False})
    for text in ("cash_usd", "total_pnl_usd", "starting_usd", "history is cut", "the position of BTC/USDT has no mark"):
        assert text in str(failed.value)


def test_all_that_is_missing_is_named_at_once():
    desk = Desk()
    desk.candidates = lambda _call: []
    with pytest.raises(Unavailable) as failed:
        books.read(desk)
    for text in ("live_fills or live_closed", "live_positions", "live_portfolio", "engines", "risk", "levibot_api_forms"):
        assert text in str(failed.value)


@pytest.mark.parametrize("wrong", [
    {"live_positions": None}, {"live_positions": [3]}, {"live_positions": [{"symbol": "BTC/USDT"}]}, {"live_positions": [{"qty": "x"}]},
    {"live_portfolio": []}, {"risk": None}, {"engines": "all"}, {"engines": [{"symbol": "BTC/USDT"}]},
])  # fmt: skip
def test_an_answer_of_another_kind_is_no_book(wrong):
    with pytest.raises(BooksError):
        books.read(Desk(**wrong))


def test_modes_that_are_not_said_count_as_live():
    rows = [
        {"symbol": "A/USDT", "status": "running"},
        {"symbol": "B/USDT", "status": "running", "mode": "paper"},
        {"symbol": "C/USDT", "status": "crashed", "mode": "live"},
        {"symbol": "D/USDT", "status": "starting", "mode": "LIVE"},
    ]
    for mode in (None, "live"):
        assert sorted(books.live({"engines": rows, "mode": mode})) == ["A/USDT", "D/USDT"]
    assert sorted(books.live({"engines": rows, "mode": "paper"})) == ["D/USDT"]


def test_engines_that_run_can_be_started_again_with_their_capital():
    rows = [
        {"symbol": "A/USDT", "status": "running", "mode": "live", "capital": 100.004},
        {"symbol": "B/USDT", "status": "running", "mode": "paper", "capital_usd": "50"},
        {"symbol": "C/USDT", "status": "running"},
        {"symbol": "D/USDT", "status": "stopped", "capital": 1},
    ]
    assert books.running({"engines": rows}) == [
        {"symbol": "A/USDT", "mode": "live", "capital_usd": "100.00"},
        {"symbol": "B/USDT", "mode": "paper", "capital_usd": "50.00"},
        {"symbol": "C/USDT", "mode": None, "capital_usd": None},
    ]


def test_quantities_add_up_and_are_signed():
    rows = [{"symbol": "A/USDT", "qty": "1.5", "side": "long"}, {"symbol": "AUSDT", "size": -0.5}, {"symbol": "B/USDT", "qty": 0}]
    assert books.quantities(rows) == {"AUSDT": Decimal("1.0")}
