# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.levibot import switch
from ansible_collections.levibot.transition.plugins.modules import safe_state


def test_that_the_traffic_is_back_is_told_whatever_happens_to_the_kill(monkeypatch: pytest.MonkeyPatch):
    def breaks(*_arguments: Any, **_options: Any) -> Any:
        raise KeyError("Names")

    monkeypatch.setattr(switch, "operate", breaks)
    told = safe_state.throw({}, check_mode=False)
    assert (told["confirmed"], told["changed"], told["instances"]) == (False, True, [])
    assert "KeyError('Names')" in told["failure"]
