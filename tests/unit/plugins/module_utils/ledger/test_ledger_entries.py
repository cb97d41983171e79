# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import (
    GENESIS,
    MAX_DATA_BYTES,
    EntryError,
    broken_at,
    canonical,
    draft,
    link,
    timestamp,
)

ROLLOUT = "20261124T112200Z-v1.8.0-beta"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_an_entry_survives_its_own_line(data):
    entry = link(draft(ROLLOUT, "note", data), 1, GENESIS)
    again = json.loads(entry.to_line())
    assert again == entry.to_dict()
    assert canonical(again) == entry.to_line()
    assert broken_at(entry, 1, GENESIS) is None


def test_the_hash_covers_every_part_of_an_entry():
    base = draft(ROLLOUT, "note", {"text": "a"}, 0)
    others = [
        link(draft(ROLLOUT + "x", "note", {"text": "a"}, 0), 1, GENESIS),
        link(draft(ROLLOUT, "result", {"text": "a"}, 0), 1, GENESIS),
        link(draft(ROLLOUT, "note", {"text": "b"}, 0), 1, GENESIS),
        link(draft(ROLLOUT, "note", {"text": "a"}, 1), 1, GENESIS),
        link(base, 2, GENESIS),
        link(base, 1, "1" * 64),
    ]
    assert len({link(base, 1, GENESIS).hash, *(entry.hash for entry in others)}) == 7


def test_the_canonical_form_does_not_change():
    """The hashes of every ledger in the field depend on it."""
    assert link(draft(ROLLOUT, "look", {"b": [1, 2.50, None], "a": "é"}, 0), 1, GENESIS).to_line() == (
        '{"at":"1970-01-01T00:00:00.000Z","data":{"a":"\\u00e9","b":[1,2.5,null]},'
        '"hash":"4b83f3aa854f2a2679c2ffb17dd61aec9bcfd8e18cbc7d273a239453a708e64f","kind":"look",'
        '"previous":"0000000000000000000000000000000000000000000000000000000000000000",'
        '"rollout":"20261124T112200Z-v1.8.0-beta","seq":1}'
    )


@pytest.mark.parametrize(
    ("rollout", "kind", "data", "at", "message"),
    [
        ("", "note", {}, None, "rollout: '' is no id"),
        ("../etc", "note", {}, None, "rollout: '../etc'"),
        (ROLLOUT, "opinion", {}, None, "kind: 'opinion' is not known"),
        (ROLLOUT, "note", [], None, "data: expected a dictionary, found list"),
        (ROLLOUT, "note", {"a": {"b": [math.nan]}}, None, r"data\.a\.b\[0\]: nan is not JSON"),
        (ROLLOUT, "note", {"a": math.inf}, None, "inf is not JSON"),
        (ROLLOUT, "note", {"a": b"x"}, None, r"data\.a: bytes is not JSON"),
        (ROLLOUT, "note", {1: "x"}, None, "the key 1 is not a string"),
        (ROLLOUT, "note", {"a": "x" * MAX_DATA_BYTES}, None, "bytes of JSON; at most 262144"),
        (ROLLOUT, "note", {}, "yesterday", "at: 'yesterday' is no moment"),
        (ROLLOUT, "note", {}, "2026-11-24T11:22:00", "no offset from UTC"),
    ],
)
def test_what_cannot_be_recorded_is_named(rollout, kind, data, at, message):
    with pytest.raises(EntryError, match=message):
        draft(rollout, kind, data, at)


def test_data_without_a_bottom_is_refused():
    data: dict = {}
    data["again"] = data
    with pytest.raises(EntryError, match="nested too deeply"):
        draft(ROLLOUT, "note", data)


@pytest.mark.parametrize(
    "data",
    [
        {"admin_token": "hunter2hunter2"},
        {"headers": [{"Authorization": "hunter2hunter2"}]},
        {"api_key": "hunter2hunter2", "password": "hunter2hunter2", "client-secret": "hunter2hunter2"},
        {"error": "401 for Bearer hunter2hunter2"},
        {"url": "https://user:hunter2hunter2@prometheus.example:9090/"},
    ],
)
def test_secrets_are_taken_out(data):
    assert "hunter2" not in link(draft(ROLLOUT, "note", data), 1, GENESIS).to_line()


def test_what_only_sounds_like_a_secret_stays():
    data = {"token": "", "tokens": 3, "cookie_name": "levibot_bucket", "text": "basic checks; see https://example/a:b@c"}
    assert draft(ROLLOUT, "note", data).data == data


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        ("1.5", "1970-01-01T00:00:01.500Z"),
        ("2026-11-24T11:22:00Z", "2026-11-24T11:22:00.000Z"),
        ("2026-11-24T12:22:00.1234567+01:00", "2026-11-24T11:22:00.123Z"),
    ],
)
def test_moments_become_utc_with_milliseconds(at, expected):
    assert timestamp(at) == expected
