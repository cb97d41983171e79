# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A switch that is armed for fifteen minutes; then, in this order, what becomes of it when they are three seconds."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.ledger.lock import Owner
from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger

ROLLOUT = "phase3-v1.7.0"
SILENCE_SECONDS = 3
INTERVAL_SECONDS = 1
SLACK_SECONDS = 3  # for a machine that has much else to do


@pytest.fixture
def live(site):
    return site.home / "live"


@pytest.fixture
def container(containers):
    def current():
        return containers("blue")["api"]

    return current


@contextmanager
def beating(site) -> Iterator[None]:
    """A run that holds the lock and gives signs of life."""
    over = threading.Event()
    owner = Owner("molecule", "localhost", 1, "1", "", "")

    def beat() -> None:
        while not over.wait(0.3):
            with Ledger(site.home / "ledger.db") as ledger:
                ledger.acquire(owner, ROLLOUT, take_over=True)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_it_is_armed_and_for_its_owner_only(host, site, live):
    assert host.file(str(live)).mode == 0o700
    assert host.file(str(live / "watch.json")).mode == 0o600
    assert json.loads((live / "watch.json").read_text()) == {
        "slot": "blue",
        "project": site.slot("blue"),
        "service": "api",
        "ledger": str(site.home / "ledger.db"),
        "rollout": ROLLOUT,
        "silence_seconds": 900,
    }
    assert "levibot-deadman" in host.process.get(pid=int((live / "deadman.pid").read_text())).args


def test_check_mode_disarms_nothing(play, snapshot):
    before = snapshot()
    played = play("moves.yml", "--check", "--diff", scenario_moves=["disarm"])
    assert played.rc == 0, played.output
    assert played.changed == 1
    assert snapshot() == before


def test_it_is_disarmed_once(play, live):
    assert play("moves.yml", scenario_moves=["disarm", "disarm"]).changed == 1
    assert not (live / "watch.json").exists()


def test_a_silence_that_a_run_needs_is_refused(play, live):
    played = play("moves.yml", scenario_moves=["arm"], deadman_silence_seconds=1)
    assert played.rc != 0
    assert "Nothing was armed" in played.output
    assert not (live / "watch.json").exists()


def test_it_is_quiet_while_the_heart_beats_and_pulled_when_it_does_not(play, site, container, live):
    armed = live / "watch.json"
    with beating(site):
        played = play("moves.yml", scenario_moves=["arm"], deadman_silence_seconds=SILENCE_SECONDS)
        assert played.rc == 0, played.output
        time.sleep(SILENCE_SECONDS + INTERVAL_SECONDS)
        assert container().status == "running"
        assert armed.exists()
    ended = time.monotonic()
    while armed.exists() and time.monotonic() - ended < 20:
        time.sleep(0.05)
    took = time.monotonic() - ended
    assert SILENCE_SECONDS - 0.5 < took < SILENCE_SECONDS + INTERVAL_SECONDS + SLACK_SECONDS
    assert container().status == "paused"
    assert container().attrs["HostConfig"]["RestartPolicy"]["Name"] == "no"


def test_the_note_is_told_and_forgotten_once(play, live, container):
    played = play("moves.yml", scenario_moves=["info", "forget", "forget"])
    assert played.rc == 0, played.output
    assert played.changed == 1
    info = json.loads((live.parents[1] / "info.json").read_text())
    assert not info["armed"]
    (note,) = info["notes"]
    assert note["containers"] == [{"name": container().name, "outcome": "paused"}]
    assert (note["slot"], note["rollout"]) == ("blue", ROLLOUT)
    assert list(live.glob("stopped-*")) == []


def test_a_watch_that_would_not_work_is_not_left_behind(play, live):
    played = play("moves.yml", scenario_moves=["arm"], deadman_silence_seconds=SILENCE_SECONDS)
    assert played.rc != 0
    assert "would not work" in played.output
    assert not (live / "watch.json").exists()
