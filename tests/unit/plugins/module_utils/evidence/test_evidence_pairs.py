# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which call is which line of the audit log, against trying out every way of pairing them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.evidence.pairs import calls_of, fits, is_taken, pair, show, verb_of
from tests.evidence_bed import JSON
from tests.validation_bed import T0, call, line, records

SYMBOLS = ("BTC/USDT", "ETH/USDT")


def may(one, other):
    return fits(one, other, 5.0, {})


def most(calls, lines):
    """The size of a largest matching, by trying all of them."""
    if not calls:
        return 0
    first, rest = calls[0], calls[1:]
    found = most(rest, lines)
    for number, other in enumerate(lines):
        if may(first, other):
            found = max(found, 1 + most(rest, lines[:number] + lines[number + 1 :]))
    return found


seconds = st.integers(0, 12).map(float)
calls = st.lists(st.builds(lambda at, symbol: call("start_live", T0 + at, symbol), seconds, st.sampled_from(SYMBOLS)), max_size=5)
lines = st.lists(st.builds(lambda at, symbol: line("engine_start", T0 + at, symbol), seconds, st.sampled_from((*SYMBOLS, ""))), max_size=5)


@given(calls, lines)
def test_pairs_are_a_largest_matching(made, written):
    pairs = pair(made, written, may)
    assert len(set(pairs.values())) == len(pairs), "a line was given to two calls"
    assert all(may(made[one], written[other]) for one, other in pairs.items())
    assert len(pairs) == most(made, written)


@given(calls, calls, lines)
def test_who_stands_first_loses_nothing_to_those_behind(first, others, written):
    assert set(pair(first, written, may)) == {number for number in pair([*first, *others], written, may) if number < len(first)}


@given(st.permutations([0, 1, 2, 3]), st.permutations([0, 1, 2, 3]))
def test_the_order_does_not_matter(order, other):
    made = [call("start_live", T0 + 3 * number, SYMBOLS[number % 2]) for number in order]
    written = [line("engine_start", T0 + 3 * number + 1, SYMBOLS[number % 2]) for number in other]
    assert len(pair(made, written, may)) == 4


def request(method, path, at=T0, **more):
    return line("", at, method=method, path=path, **more)


@pytest.mark.parametrize(
    ("made", "written"),
    [
        (call("start_live", T0, "BTC/USDT"), line("engine_start", T0 + 4.9, "BTC/USDT")),
        (call("start_live", T0, "BTC/USDT"), line("engine_start", T0 - 4.9, "BTCUSDT")),
        (call("start_live", T0, "BTC/USDT"), line("engine.start", T0)),
        (call("start_live", T0, "BTC/USDT"), request("POST", "/api/engines/start", status=200)),
        (call("stop_engine", T0, "BTC/USDT"), request("POST", "/engines/stop/BTC/USDT")),
        (call("stop_engine", T0, "BTC/USDT"), request("POST", "/engines/stop/BTC%2FUSDT")),
        (call("kill", T0), line("kill", T0)),
        (call("kill", T0), line("kill", T0, method="POST", path="/live/kill")),
        (call("release", T0), line("unkill", T0, method="POST", path="/live/kill")),
        (call("kill", T0), request("POST", "/live/kill", query="on=true&reason=x")),
        (call("release", T0, query={}, path="/admin/unkill"), line("kill_release", T0)),
        (call("stop_engines", T0), line("engine_stop_all", T0)),
        (call("kill", T0, status=None), request("POST", "/live/kill", status=500)),
        (call("kill", T0), line("something_new", T0, method="POST", path="/live/kill")),
    ],
)
def test_what_belongs_together(made, written):
    assert may(made, written)


@pytest.mark.parametrize(
    ("made", "written"),
    [
        (call("start_live", T0, "BTC/USDT"), line("engine_start", T0 + 5.1, "BTC/USDT")),
        (call("start_live", T0, "BTC/USDT"), line("engine_start", T0, "ETH/USDT")),
        (call("start_live", T0, "BTC/USDT"), line("engine_stop", T0, "BTC/USDT")),
        (call("stop_engine", T0, "BTC/USDT"), line("engine_stop_all", T0)),
        (call("kill", T0), line("unkill", T0)),
        (call("kill", T0), line("unkill", T0, method="POST", path="/live/kill")),
        (call("release", T0), request("POST", "/live/kill", query="on=true")),
        (call("kill", T0), request("POST", "/live/kill", status=422)),
        (call("kill", T0, status=422), request("POST", "/live/kill", status=200)),
        (call("kill", T0), request("GET", "/live/kill")),
        (call("kill", T0), line("", T0)),
        (call("kill", T0), line("something_new", T0)),
        (call("kill", T0), line("kill", T0, refused=True)),
        (call("kill", T0, host="app1"), line("kill", T0, host="app2")),
    ],
)
def test_what_does_not(made, written):
    assert not may(made, written)


def test_a_sites_own_event():
    assert fits(call("kill", T0), line("panic", T0), 1.0, {"panic": "kill"})
    assert verb_of(line("panic", T0), {}) == ""


def test_calls_are_read_from_all_entries_with_their_hosts():
    found = calls_of(records())
    assert [(one["call"], one["host"], one["symbol"]) for one in found] == [
        ("kill", "app1", ""),
        ("release", "app1", ""),
        ("start_live", "app1", "BTC/USDT"),
        ("start_live", "app1", "ETH/USDT"),
    ]
    assert all(map(is_taken, found))
    unanswered = {"kind": "note", "data": {"unanswered": [call("kill", T0)], "calls": [call("kill", T0 + 1, status=422)]}}
    assert [is_taken(one) for one in calls_of([unanswered])] == [False, False]


@given(JSON, JSON)
def test_garbage_in_the_ledger_is_no_call(data, calls):
    assert isinstance(calls_of([{"kind": "result", "data": data}, {"kind": "note", "data": {"calls": calls}}]), list)


def test_for_people():
    assert show({**call("start_live", T0, "BTC/USDT"), "host": "app1"}) == "POST /engines/start BTC/USDT on app1"
    assert show(line("kill", T0)) == "kill by 10.0.0.7"
    assert "s3cret" not in show(request("POST", "/live/kill?token=s3cret", query="token=s3cret"))
