# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An edge with a quarter of the traffic on green; then, in this order, what else becomes of it."""

from __future__ import annotations

import time
from http.client import HTTPConnection

import pytest

LAST_OF_GREENS_QUARTER, FIRST_OF_BLUES = "3fff", "4000"


@pytest.fixture
def slot_of(site):
    """Who answers the visitor with this bucket."""

    def ask(bucket: str) -> str | None:
        connection = HTTPConnection("127.0.0.1", site.ports["site"], timeout=5)
        connection.request("GET", "/.levibot/slot", headers={"Cookie": f"levibot_bucket={bucket}"})
        answer = connection.getresponse()
        connection.close()
        return answer.getheader("X-LeviBot-Slot")

    return ask


def test_files_are_readable_for_caddy_and_writable_for_nobody_else(host, site):
    for directory in (site.edge["run"], site.edge["lib"], site.edge["caddy"]):
        assert host.file(str(directory)).mode == 0o755
    for path in (
        site.edge["run"] / "canary",
        site.edge["lib"] / "stable",
        site.edge["caddy"] / "slots.caddy",
        site.edge["caddy"] / "global.caddy",
    ):
        assert host.file(str(path)).mode == 0o644
    assert host.file(str(site.edge["script"])).mode == 0o755


def test_the_canary_holds_share_and_expiry(host, site):
    canary = host.file(str(site.edge["run"] / "canary"))
    assert canary.content_string.strip() == "4000"
    assert 480 < canary.mtime.timestamp() - time.time() <= 600
    assert host.file(str(site.edge["lib"] / "stable")).content_string.strip() == "0000"


def test_the_running_caddy_splits(slot_of):
    assert [slot_of(bucket) for bucket in ("0000", LAST_OF_GREENS_QUARTER, FIRST_OF_BLUES, "ffff")] == ["green", "green", "blue", "blue"]


def test_somebody_looks_for_expired_canaries(host, site):
    pid = int((site.edge["run"] / "expiry.pid").read_text())
    assert str(site.edge["script"]) in host.process.get(pid=pid).args
    assert time.time() - host.file(str(site.edge["run"] / "expiry.heartbeat")).mtime.timestamp() < 10


def test_check_mode_moves_nothing(play, snapshot):
    before = snapshot()
    played = play(
        "moves.yml", "--check", "--diff", scenario_move="weight", edge_candidate="green", edge_weight=50, edge_expires_in_seconds=60
    )
    assert played.rc == 0, played.output
    assert played.changed == 1
    assert "+green 50.0 %, blue 50.0 %" in played.output.replace("+ ", "+")
    assert snapshot() == before


def test_an_expired_canary_is_taken_away(play, slot_of, site):
    played = play("moves.yml", scenario_move="weight", edge_candidate="green", edge_weight=100, edge_expires_in_seconds=2)
    assert played.rc == 0, played.output
    assert slot_of("ffff") == "green"
    deadline = time.monotonic() + 30
    # The note is the last thing that the expiry does.
    while not (notes := list(site.edge["lib"].glob("expired-*"))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [note.read_text().strip() for note in notes] == ["g"]
    assert not (site.edge["run"] / "canary").exists()
    assert [slot_of(bucket) for bucket in ("0000", "ffff")] == ["blue", "blue"]


def test_promotion_makes_green_stable_once(play, slot_of, site):
    assert play("moves.yml", scenario_move="promote", edge_stable="green").changed == 1
    assert (site.edge["lib"] / "stable").read_text().strip() == "g"
    assert [slot_of(bucket) for bucket in ("0000", "ffff")] == ["green", "green"]
    assert play("moves.yml", scenario_move="promote", edge_stable="green").changed == 0


def test_withdrawal_brings_everybody_back(play, slot_of, site):
    assert play("moves.yml", scenario_move="weight", edge_candidate="blue", edge_weight=10, edge_expires_in_seconds=600).changed == 1
    assert [slot_of(bucket) for bucket in ("0000", "ffff")] == ["green", "blue"]
    assert play("moves.yml", scenario_move="withdraw").changed == 1
    assert [slot_of(bucket) for bucket in ("0000", "ffff")] == ["green", "green"]
    assert not (site.edge["run"] / "canary").exists()
