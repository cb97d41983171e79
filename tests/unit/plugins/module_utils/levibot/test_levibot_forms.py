# SPDX-License-Identifier: GPL-3.0-or-later
"""The forms of LeviBot's calls: what a server offers is found, and nothing is sent in a form that it would misread."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.levibot import forms


def operation(query=None, body=None, required=()):
    """As FastAPI describes it."""
    made = {"parameters": [{"in": "query", "name": name, "required": needed} for name, needed in (query or {}).items()]}
    if body is not None:
        schema = {"type": "object", "properties": {name: {"type": "string"} for name in body}, "required": list(required)}
        made["requestBody"] = {"required": bool(required), "content": {"application/json": {"schema": schema}}}
    return made


def best(call, doc, **more):
    return [(form.method, prefix + form.path, dict(form.query), form.body) for form, prefix in forms.choices(call, doc, {}, **more)]


def test_query_form_is_taken_where_on_is_demanded():
    doc = {"paths": {"/live/kill": {"post": operation({"on": True, "reason": False})}}}
    assert best("kill", doc) == [("POST", "/live/kill", {"on": "true", "reason": "$reason"}, None)]
    assert best("release", doc) == [("POST", "/live/kill", {"on": "false", "reason": "$reason"}, None)]


def test_the_plans_form_is_taken_where_a_body_is_demanded():
    doc = {"paths": {"/live/kill": {"post": operation(body=["reason"], required=["reason"])}}}
    assert best("kill", doc) == [("POST", "/live/kill", {}, {"reason": "$reason"})]
    assert best("release", doc) == [], "a plan's kill cannot be released by its own form"


def test_a_body_described_elsewhere_is_followed():
    schema = {"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]}
    made = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Kill"}}}}}
    doc = {"paths": {"/live/kill": {"post": made}}, "components": {"schemas": {"Kill": schema}}}
    assert best("kill", doc) == [("POST", "/live/kill", {}, {"reason": "$reason"})]
    doc["components"]["schemas"]["Kill"] = {"$ref": "#/components/schemas/Kill"}
    assert forms.choices("kill", doc, {}) is not None, "a description that goes in circles ends"


def test_a_form_that_lacks_what_is_demanded_is_not_taken():
    doc = {"paths": {"/live/kill": {"post": operation({"on": True, "confirm": True})}, "/admin/kill": {"post": operation()}}}
    assert best("kill", doc) == [("POST", "/admin/kill", {}, None)]


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_prefix_is_found(prefix):
    doc = {"paths": {f"{prefix}/engines/status": {"get": operation()}, f"{prefix}/engines/stop/{{name}}": {"post": operation()}}}
    assert best("engines", doc) == [("GET", f"{prefix}/engines/status", {}, None)]
    assert best("stop_engine", doc)[0][1] == f"{prefix}/engines/stop/{{symbol}}", "what a path's parameter is called does not matter"
    assert best("engines", doc, prefix="/v2") == []


def test_a_closed_server_gets_the_plans_form_first():
    assert best("kill", None)[0] == ("POST", "/live/kill", {}, {"reason": "$reason"})
    assert ("POST", "/live/kill", {"on": "true", "reason": "$reason"}, None) in best("kill", None)
    assert best("live_trades", None) == [], "a book that nobody has named is no evidence"


def test_a_sites_own_form_wins():
    own = forms.own("kill", {"path": "/stop-it", "query": {"why": "$reason"}})
    doc = {"paths": {"/live/kill": {"post": operation({"on": True})}}}
    (only,) = forms.choices("kill", doc, {"kill": own})
    assert only[0].request(only[1], reason="a & b") == ("POST", "/stop-it", {"why": "a & b"}, None)


@pytest.mark.parametrize("given", [None, {}, {"path": "x"}, {"path": "/x", "verb": "GET"}, {"path": "/x", "query": "on"}])
def test_what_is_no_form_is_refused(given):
    with pytest.raises(forms.FormError, match="kill"):
        forms.own("kill", given)
    with pytest.raises(forms.FormError, match="no such call"):
        forms.own("explode", {"path": "/x"})


@given(st.text(min_size=1, max_size=12))
def test_a_symbol_stays_one_part_of_the_path(symbol):
    _method, path, _query, _body = forms.CALLS["stop_engine"][0].request("/api", symbol=symbol)
    assert path.startswith("/api/engines/stop/")
    assert path.count("/") == 4, path
    assert "?" not in path
    assert "#" not in path


WORDS = ("paths", "/live/kill", "post", "get", "parameters", "requestBody", "content", "application/json", "schema", "$ref", "in")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_document_gives_an_answer(doc):
    for call in forms.CALLS:
        assert isinstance(forms.choices(call, {"paths": doc}, {}), list)
        assert isinstance(forms.choices(call, doc, {}), list)


FOUND = [
    ({"flags": {"killed": True}}, "flags.killed", True),
    ({"flags": []}, "flags.killed", None),
    ([], "a", None),
    ({"a": 0}, "a", 0),
    (7, "", 7),
]


@pytest.mark.parametrize(("answer", "dotted", "found"), FOUND)
def test_find(answer, dotted, found):
    assert forms.find(answer, dotted) == found
