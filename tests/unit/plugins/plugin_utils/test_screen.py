# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The soak on screen."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.gates.model import CheckLook, Look
from ansible_collections.levibot.transition.plugins.plugin_utils import screen

GATE = {"id": "phase2.step1", "window_seconds": 1800, "hold_seconds": 60}


def look(at: float, state: str = "pending", value: str = "0.05%", verdict: str = "pending") -> Look:
    uptime = CheckLook("api_uptime", "proportion", "enforce", "pending", "100%", "> 99.9%", "0 of 600 probes bad", "", 1.0)
    errors = CheckLook("error_rate", "proportion", "enforce", state, value, "< 0.1%", "3 of 6,000 requests bad", "", 0.0005)
    return Look(1, at, verdict, "", (uptime, errors))


def test_plain_tells_changes_and_a_line_a_minute() -> None:
    shown: list[str] = []
    plain = screen.Plain(shown.append, GATE)
    for elapsed in (-2.0, -1.0):
        plain.tick(elapsed)
    for at in range(0, 601, 15):
        plain.look(look(at, "breach" if at >= 300 else "pending"))
    assert shown[0] == "phase2.step1  settling, the window of 30:00 begins in 00:02"
    lines = shown[1:]
    assert len(lines) == 1 + 4 + 1 + 5
    assert "00:00 of 30:00, 30:00 left" in lines[0]
    assert "    pending  error_rate  0.05%  < 0.1%   3 of 6,000 requests bad" in lines[0]
    assert "api_uptime 100% (> 99.9%); error_rate 0.05% (< 0.1%)" in lines[1]
    change = next(line for line in lines if "breach" in line)
    assert "05:00" in change
    assert "api_uptime" not in change
    assert not any("\x1b" in line for line in shown)


def test_a_short_window_gets_lines_as_well() -> None:
    shown: list[str] = []
    plain = screen.Plain(shown.append, {**GATE, "window_seconds": 12})
    for at in range(13):
        plain.look(look(at))
    assert len(shown) == 3


def test_live_redraws_one_block_and_fits_the_width() -> None:
    shown: list[str] = []
    live = screen.Live(shown.append, GATE, lambda: 60, colored=False)
    live.tick(-1.0)
    live.look(look(15))
    live.tick(16.0)
    live.end(look(30))
    assert not shown[0].startswith("\x1b")
    assert shown[1].startswith("\x1b[1A\r\x1b[J")
    assert shown[2].startswith("\x1b[3A\r\x1b[J")
    assert "00:16 of 30:00" in shown[2]
    assert "00:30 of 30:00" in shown[3]
    for block in shown:
        assert all(len(re.sub(r"\x1b\[[0-9]*[AJ]|\r", "", line)) < 60 for line in block.split("\n"))


@pytest.mark.parametrize(("environment", "setting", "colored"), [({}, False, True), ({"NO_COLOR": "1"}, False, False), ({}, True, False)])
def test_color(environment: dict[str, str], setting: bool, colored: bool) -> None:
    assert screen.wants_color(environment, setting) is colored
    shown: list[str] = []
    screen.Live(shown.append, GATE, lambda: 80, colored).look(look(1, "fail"))
    assert ("\x1b[31m" in shown[0]) is colored


@pytest.mark.parametrize(
    "environment", [{}, {"TERM": "dumb"}, {"TERM": "xterm", "CI": "true"}, {"TERM": "xterm", "AWX_ISOLATED_DATA_DIR": "/x"}]
)
def test_nobody_watches(environment: dict[str, str]) -> None:
    assert screen.terminal_of(os.getpid(), environment) is None


def test_a_process_that_cannot_be_seen_has_no_terminal() -> None:
    assert screen.terminal_of(2**22 + 1, {"TERM": "xterm"}) is None


def test_quiet_is_quiet() -> None:
    quiet: Any = screen.Quiet()
    quiet.tick(1.0)
    quiet.look(look(1))
    quiet.end(None)
