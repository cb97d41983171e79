# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an instance trades live: one process that says so is enough, and one that says nothing is a doubt."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.http import HttpError
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import Unavailable
from ansible_collections.levibot.transition.plugins.module_utils.levibot.live import signs_of_live


class Server:
    """What each new connection is answered; the last answer stays. An exception is raised."""

    def __init__(self, *engines: Any, mode: Any = "paper") -> None:
        self._engines, self._mode, self._at = engines, mode, -1

    def new_connection(self) -> None:
        self._at += 1

    def value(self, name: str) -> Any:
        answer = self._mode if name == "mode" else self._engines[min(self._at, len(self._engines) - 1)]
        if isinstance(answer, Exception):
            raise answer
        return answer


def engine(symbol: str = "BTC/USDT", status: str = "running", **more: Any) -> dict[str, Any]:
    return {"symbol": symbol, "status": status, **more}


@pytest.mark.parametrize(
    ("server", "live"),
    [
        (Server([engine(mode="live")]), ["BTC/USDT"]),
        (Server([engine()], mode="live"), ["BTC/USDT"]),
        (Server([engine(mode="LIVE", status="starting")]), ["BTC/USDT"]),
        (Server([], [], [engine(mode="live")]), ["BTC/USDT"]),
        (Server([engine(mode="real")]), ["BTC/USDT"]),
        (Server([engine(mode="live ")]), ["BTC/USDT"]),
        (Server([engine(mode="live"), engine(mode="paper")]), ["BTC/USDT"]),
        (Server([engine(mode=" Paper")], mode="live"), []),
        (Server([engine(mode="paper")], mode="live"), []),
        (Server([engine()]), []),
        (Server([engine(mode="live", status="stopped"), engine("ETH/USDT", mode="live", status="crashed")]), []),
        (Server([]), []),
        (Server([engine(mode="paper")], mode=Unavailable("none")), []),
        (Server([engine(mode="paper")], mode=HttpError("http://x", "answered 404", status=404)), []),
    ],
)
def test_what_is_seen(server: Server, live: list[str]):
    assert signs_of_live(server, 4) == (live, "")


@pytest.mark.parametrize(
    ("server", "word"),
    [
        (Server([engine()], mode=None), "mode of BTC/USDT is not said"),
        (Server([engine()], mode=Unavailable("none")), "mode of BTC/USDT is not said"),
        (Server(HttpError("http://x", "timed out")), "timed out"),
        (Server([engine(mode="paper")], mode=HttpError("http://x", "timed out")), "timed out"),
        (Server(Unavailable("no form of engines")), "no form of engines"),
        (Server("nonsense"), "does not say which engines run"),
        (Server([engine(mode="paper")], HttpError("http://x", "reset")), "reset"),
    ],
)
def test_what_cannot_be_seen_is_a_doubt(server: Server, word: str):
    live, doubt = signs_of_live(server, 4)
    assert live == []
    assert word in doubt
