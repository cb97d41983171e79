# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.plugin_utils.variables import at_hand

LOOKED_UP = "{{ lookup('community.hashi_vault.hashi_vault', 'secret=levibot') }}"


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ({}, True),
        ({"token": "abc"}, True),
        ({"token": None}, True),
        ({"token": "{{ vault_token }}", "vault_token": "abc"}, True),
        ({"token": "{{ a }}", "a": "{{ b }}", "b": "abc"}, True),
        ({"token": {"X-Key": "{{ key }}"}, "key": "abc"}, True),
        ({"token": LOOKED_UP}, False),
        ({"token": "{{ vault_token }}", "vault_token": LOOKED_UP}, False),
        ({"token": {"X-Key": LOOKED_UP}}, False),
        ({"token": [LOOKED_UP]}, False),
        ({"token": "{% include 'x' %}"}, False),
        ({"token": "{{ vault_token }}"}, False),
        ({"token": "{{ token }}"}, False),
        ({"token": "{{ a }}{{ b }}", "a": "a", "b": "b"}, False),
    ],
)
def test_only_what_needs_nobody_is_at_hand(raw: dict[str, Any], plain: bool):
    assert at_hand(raw, ["token"]) is plain
    assert at_hand({**raw, "other": "x"}, ["other", "token"]) is plain
