# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.edge.split import Canary, Split
from ansible_collections.levibot.transition.plugins.modules.edge_info import split_facts


@pytest.mark.parametrize(
    ("split", "is_open"),
    [(Split("blue", Canary(6554, 101)), True), (Split("blue", Canary(6554, 100)), False), (Split("blue"), False)],
)
def test_only_an_unexpired_canary_is_open(split: Split, is_open: bool) -> None:
    assert split_facts(split, 100) == {**split.to_dict(100), "canary": is_open}
