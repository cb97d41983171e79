# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.gates.resume import continued

TIMES = {"window_seconds": 1800, "interval_seconds": 15, "settle_seconds": 30, "hold_seconds": 7200}
STORED = {"id": "error_rate", "kind": "proportion", "mode": "enforce"}
MOMENTARY = {"id": "script", "kind": "command", "mode": "enforce"}


def look(at, covered=None):
    return {
        "started_at": 1000.0,
        "at_seconds": at,
        "state": {"judge": {"checks": {"script": {"covered": at if covered is None else covered}}}},
    }


def goes_on(of, elapsed, *checks, **times):
    return bool(continued(of, {**TIMES, **times, "checks": list(checks)}, 1000.0 + elapsed))


def test_it_keeps_its_beginning_and_its_memory():
    found = continued(look(600), {**TIMES, "checks": [STORED]}, 1700.0)
    assert found == {"started_at": 1000.0, "state": look(600)["state"]}


@pytest.mark.parametrize("elapsed", [610, 1700, 1800, 5000])
def test_what_the_store_recorded_counts_however_long_nobody_looked(elapsed):
    assert goes_on(look(600), elapsed, STORED)


def test_a_check_of_the_moment_needs_most_of_the_window():
    assert goes_on(look(600), 600 + 200, STORED, MOMENTARY)
    assert not goes_on(look(600), 600 + 900, STORED, MOMENTARY)
    assert not goes_on(look(600, covered=100), 610, STORED, MOMENTARY)
    assert goes_on(look(600), 600 + 900, STORED, {**MOMENTARY, "mode": "observe"})


def test_one_that_is_over_begins_anew():
    assert not goes_on(look(600), 9000, STORED)
    assert not goes_on(look(600), 599, STORED)  # a clock that went back


@pytest.mark.parametrize("nothing", [None, {}, {"started_at": "soon", "state": {}}, {"started_at": 1.0}])
def test_without_a_look_it_begins_anew(nothing):
    assert not goes_on(nothing, 10, STORED)
