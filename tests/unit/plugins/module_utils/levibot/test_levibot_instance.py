# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls to one API: what was sent is written down, in the form that serves, and what hung once is asked again."""

from __future__ import annotations

import json

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.http import HttpError
from ansible_collections.levibot.transition.plugins.module_utils.levibot import forms
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import Api, LiveInstance, Unavailable, crashed_engines
from ansible_collections.levibot.transition.plugins.module_utils.levibot.kill import Reading

START = {"schema": {"properties": {"symbol": {}, "mode": {}, "capital": {}}}}
DOCUMENT = {
    "paths": {
        "/live/fills": {"get": {"parameters": [{"in": "query", "name": "limit"}]}},
        "/engines/start": {"post": {"requestBody": {"content": {"application/json": START}}}},
        "/live/kill": {"post": {"parameters": [{"in": "query", "name": "on"}, {"in": "query", "name": "reason"}]}},
    }
}


class Answer:
    status = 200

    def __init__(self, body):
        self.body = json.dumps(body).encode()


class Client:
    """Answers /openapi.json by the list, and all else with `status`."""

    def __init__(self, documents, status=200):
        self.documents, self.status, self.sent = list(documents), status, []

    def get_json(self, _url, **_more):
        document = self.documents.pop(0) if len(self.documents) > 1 else self.documents[0]
        if isinstance(document, Exception):
            raise document
        return document

    def request(self, method, url, *, params, json_body, deadline):
        self.sent.append((method, url, params, json_body, deadline))
        if self.status != 200:
            raise HttpError(url, "no", status=self.status)
        return Answer({"fills": []})


def hung():
    problem = HttpError("http://x", "did not answer in the time that it was given")
    problem.__cause__ = TimeoutError()
    return problem


def closed():
    return HttpError("http://x", "answered 404", status=404)


def test_what_hung_once_is_asked_again():
    api = Api("http://x", Client([hung(), DOCUMENT]), prefix="")
    with pytest.raises(Unavailable):
        api.value("live_fills", limit="5")
    api.until(9.0)
    assert api.value("live_fills", limit="5") == []


def test_what_is_closed_stays_closed():
    api = Api("http://x", Client([closed(), DOCUMENT]), prefix="")
    for _unused in range(2):
        with pytest.raises(Unavailable):
            api.value("live_fills", limit="5")
        api.until(9.0)
    assert [form.text for form, _prefix in api.candidates("start_live")] == ["POST /engines/start with a body of symbol, mode, capital"]
    assert api.candidates("stop_closing") == []


def test_each_change_is_written_down_without_its_reason_and_once():
    client = Client([DOCUMENT])
    api = Api("http://x", client, prefix="", clock=lambda: 1764450000.12345)
    api.call("kill", reason="because")
    api.call("start_live", symbol="BTC/USDT", capital="100.50")
    api.value("live_fills", limit="5")
    common = {"at": 1764450000.123, "method": "POST", "status": 200}
    assert api.calls == [
        {**common, "path": "/live/kill", "query": {"on": "true"}, "call": "kill", "symbol": ""},
        {**common, "path": "/engines/start", "query": {}, "call": "start_live", "symbol": "BTC/USDT"},
    ]
    assert client.sent[1][3] == {"symbol": "BTC/USDT", "mode": "live", "capital": 100.5}, "a number, as the plan writes it"
    client.status = 409
    with pytest.raises(HttpError):
        api.call("start_live", symbol="BTC/USDT", capital="100")
    for client.status in (None, 502, 504, 500):
        with pytest.raises(HttpError):
            api.call("start_live", symbol="BTC/USDT", capital="100")
    assert ([one["status"] for one in api.calls], [one["status"] for one in api.unanswered]) == ([200, 200, 409, 500], [None, 502, 504])


def test_a_form_that_wants_more_than_there_is_is_none():
    api = Api("http://x", Client([DOCUMENT]), prefix="")
    with pytest.raises(Unavailable):
        api.call("start_live", symbol="BTC/USDT")
    api.call("start_paper", symbol="BTC/USDT")
    assert api.calls[0]["call"] == "start_paper"


@pytest.mark.parametrize("given", [
    {"path": "/engines/start/{symbol}"}, {"path": "/e", "body": {"symbol": "$symbol", "mode": "live"}},
    {"path": "/e", "query": {"symbol": "$symbol", "capital": "$capital"}}, {"path": "/live/start", "body": {"capital": "$capital"}},
    {"path": "/e/{symbol}", "body": {"mode": "$mode", "capital": "$capital"}},
])  # fmt: skip
def test_a_sites_own_live_form_carries_all_of_it(given):
    with pytest.raises(forms.FormError, match="start_live"):
        forms.own("start_live", given)


def test_a_sites_own_live_form_that_does():
    for given in (
        {"path": "/live/engines/{symbol}", "query": {"usd": "$capital"}},
        {"path": "/v2/start", "body": {"pair": "$symbol", "kind": "live", "usd": "$capital"}},
    ):
        form = forms.own("start_live", given)
        assert form.carries("capital")
        assert form.lacks(("symbol", "capital")) == set()


@pytest.mark.parametrize(("seen", "stops"), [
    (Reading(False, (), crashed=("B/USDT",)), ["B/USDT"]), (Reading(False, ("A/USDT",), crashed=("B/USDT",)), ["A/USDT", "B/USDT"]),
    (Reading(False, ()), []),
])  # fmt: skip
def test_a_kill_stops_what_has_crashed(seen, stops):
    client = Client([{"paths": {**DOCUMENT["paths"], "/engines/stop/{symbol}": {"post": {}}}}])
    LiveInstance(Api("http://x", client, prefix=""), "because").act(seen, on=True)
    assert [url.rpartition("/")[2].replace("%2F", "/") for _method, url, *_more in client.sent if "/stop/" in url] == stops


def test_crashed_engines():
    rows = [{"symbol": name, "status": status} for name, status in (("A", "running"), ("B", "CRASHED"), ("C", "stopped"))]
    assert crashed_engines(rows) == ("B",)
    assert crashed_engines("all") == ()
