# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kill switch on real containers of the stand-in: confirmed, or the container's end, and never one for the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.docker_engine import Engine
from ansible_collections.levibot.transition.plugins.module_utils.levibot import switch
from ansible_collections.levibot.transition.plugins.modules import kill_switch
from tests.standin import TOKEN, base_image

from .slot_bed import CHECKOUT, READY_SECONDS
from .slot_bed import Slot as ContainerSlot

PROJECT = "levibot-test-kill"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with base_image(PROJECT, tmp_path_factory.mktemp("image")) as name:
        yield name


class Slot(ContainerSlot):
    """With the module's own procedure."""

    def call(self, state: str = "thrown", *, check_mode: bool = False, **params: Any) -> list[switch.Instance]:
        given = {name: option.get("default") for name, option in kill_switch.ARGUMENTS.items()}
        given |= {"projects": [PROJECT], "token": TOKEN, "state": state, "reason": "a test", "who": "a tester", **params}
        self.switch = switch.Switch(given, Engine(), check_mode=check_mode)
        return self.switch.run()


@pytest.fixture
def slot(image: str, tmp_path: Path) -> Iterator[Callable[..., Slot]]:
    made: list[Slot] = []

    def make(**environment: str) -> Slot:
        made.append(Slot(image, tmp_path, PROJECT, **environment))
        return made[-1]

    yield make
    for one in made:
        one.end()


def test_every_process_of_every_instance_is_killed_and_read_back(slot: Callable[..., Slot]):
    """Two containers, each with two workers that know nothing of each other's switch."""
    there = slot(LEVIBOT_WORKERS="2", LEVIBOT_API_FORM="field")
    containers = [there.start(), there.start()]
    for _unused in range(3):
        done = there.call(timeout_seconds=20.0)
        assert [one.outcome for one in done] == ["confirmed", "confirmed"], json.dumps([one.to_dict() for one in done], indent=1)
        assert [one.processes for one in done] == [2, 2]
        assert all(one.changed for one in done)
        for container in containers:
            assert set().union(*there.switches(container).values()) == {True}
            assert there.ask(container, "GET", "/engines/status")["running"] == 0
        again = there.call()
        assert [(one.outcome, one.changed) for one in again] == [("confirmed", False)] * 2
        released = there.call("released", timeout_seconds=20.0)
        assert [one.outcome for one in released] == ["released", "released"], [one.to_dict() for one in released]
        for container in containers:
            assert set().union(*there.switches(container).values()) == {False}


@pytest.mark.parametrize("form", ["plan", "field", "both"])
def test_no_order_follows_in_any_form(slot: Callable[..., Slot], form: str):
    there = slot(LEVIBOT_API_FORM=form)
    container = there.start()
    if form != "field":
        there.goes_live(container)
    (planned,) = there.call(check_mode=True)
    assert (planned.outcome, planned.changed) == ("planned", True)
    assert there.ask(container, "GET", "/live/status")["kill_switch_active"] is False
    assert there.switch.calls() == {"calls": [], "unanswered": []}
    (done,) = there.call()
    assert done.outcome == "confirmed", done.to_dict()
    calls = there.switch.calls()["calls"]
    assert [(one["call"], one["status"], one["instance"]) for one in calls] == [
        ("kill", 200, container.name),
        ("stop_engines", 200, container.name),
    ]
    assert "a test" not in str(calls), "the reason stays out"
    books = [there.ask(container, "GET", f"/{mode}/fills") for mode in ("live", "paper")]
    time.sleep(1)  # four rounds of the stand-in's trading
    assert [there.ask(container, "GET", f"/{mode}/fills") for mode in ("live", "paper")] == books
    if form == "plan":
        (refused,) = there.call("released", timeout_seconds=1.0)
        assert refused.outcome == "failed", "the plan has no form to release it"
        assert "release" in str(refused.timeline.events)
        assert there.ask(container, "GET", "/live/status")["kill_switch_active"] is True


@pytest.mark.parametrize("unconfirmed", ["end", "pause"])
@pytest.mark.parametrize("fault", ["refuse_kill", "hang"])
def test_what_does_not_confirm_loses_its_container(slot: Callable[..., Slot], fault: str, unconfirmed: str):
    there = slot(LEVIBOT_WORKERS="2")
    container = there.start(restart_policy={"Name": "unless-stopped"})
    there.fault(container, **{fault: True})
    began = time.monotonic()
    (done,) = there.call(unconfirmed=unconfirmed, timeout_seconds=1.0, call_timeout_seconds=0.5)
    assert time.monotonic() - began < 6
    state = there.state(container)
    if unconfirmed == "end":
        assert (done.outcome, state["Running"], state["Restarting"]) == ("stopped", False, False), done.to_dict()
    else:
        assert (done.outcome, state["Paused"]) == ("paused", True), done.to_dict()
    assert done.changed
    (again,) = there.call(unconfirmed=unconfirmed)
    assert (again.outcome, again.changed) == ("not_running" if unconfirmed == "end" else "paused", False)


def test_a_crash_loop_is_stopped(slot: Callable[..., Slot]):
    there = slot()
    container = there.start(restart_policy={"Name": "unless-stopped"})
    there.fault(container, crash=True)
    deadline = time.monotonic() + 10
    while there.state(container)["Status"] != "restarting" and time.monotonic() < deadline:
        time.sleep(0.05)
    (done,) = there.call(timeout_seconds=1.0)
    state = there.state(container)
    assert (done.outcome, state["Running"], state["Restarting"]) == ("stopped", False, False), done.to_dict()


def test_nothing_live_is_nothing_to_do(slot: Callable[..., Slot], monkeypatch: pytest.MonkeyPatch):
    there = slot()
    assert there.call() == []
    container = there.start()
    container.stop(timeout=0)
    assert [(one.outcome, one.changed) for one in there.call()] == [("not_running", False)]
    # A container's address is never asked for by a proxy.
    container.start()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    deadline = time.monotonic() + READY_SECONDS
    while (read := there.call("read"))[0].outcome != "read" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert read[0].first.killed is False, read[0].to_dict()


def test_without_the_engine_the_switch_is_thrown_and_not_called_confirmed(slot: Callable[..., Slot]):
    there = slot()
    container = there.start()
    there.goes_live(container)
    address = next(iter(container.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]
    arguments = {"projects": [PROJECT], "token": TOKEN, "published": {PROJECT: f"http://{address}:8000"}}
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible", "localhost", "-m", "levibot.transition.kill_switch", "-a", json.dumps(arguments)],
        cwd=CHECKOUT,
        env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "DOCKER_HOST": "unix:///nonexistent/docker.sock"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "none of them is confirmed" in done.stdout
    assert "switch on, engines none running" in done.stdout
    assert "Make the engine answer" in done.stdout
    assert TOKEN not in done.stdout + done.stderr
    assert there.ask(container, "GET", "/live/status")["kill_switch_active"]
    assert there.ask(container, "GET", "/engines/status")["running"] == 0


def test_where_only_live_engines_are_to_stop_those_on_paper_go_on(slot: Callable[..., Slot], tmp_path: Path):
    there = slot(LEVIBOT_WORKERS="2")
    container = there.start()
    marker = tmp_path / "live"
    asked = {"projects": [], "live_projects": {PROJECT: str(marker)}}
    (left,) = there.call(**asked)
    assert (left.outcome, left.changed) == ("left", False), left.to_dict()
    assert there.ask(container, "GET", "/engines/status")["running"] > 0
    assert there.switch.calls() == {"calls": [], "unanswered": []}
    there.goes_live(container)
    (planned,) = there.call(check_mode=True, **asked)
    assert (planned.outcome, planned.changed) == ("planned", True)
    (killed,) = there.call(timeout_seconds=20.0, **asked)
    assert (killed.outcome, killed.changed) == ("confirmed", True), killed.to_dict()
    assert there.ask(container, "GET", "/engines/status")["running"] == 0


def test_where_engines_may_be_live_they_are_killed_though_none_is_seen_since_a_start_may_be_on_its_way(
    slot: Callable[..., Slot], tmp_path: Path
):
    there = slot()
    container = there.start()
    marker = tmp_path / "live"
    marker.write_text("a rollout")
    (killed,) = there.call(projects=[], live_projects={PROJECT: str(marker)})
    assert (killed.outcome, killed.changed) == ("confirmed", True), killed.to_dict()
    with pytest.raises(AssertionError):
        there.goes_live(container)


def test_what_somebody_has_paused_is_ended_or_its_engines_would_go_on_once_it_is_unpaused(slot: Callable[..., Slot]):
    there = slot()
    container = there.start(restart_policy={"Name": "unless-stopped"})
    there.goes_live(container)
    container.pause()
    (left,) = there.call(unconfirmed="pause")
    assert (left.outcome, left.changed) == ("paused", False)
    (planned,) = there.call(check_mode=True)
    assert (planned.outcome, there.state(container)["Paused"]) == ("planned", True)
    (ended,) = there.call()
    assert (ended.outcome, ended.changed) == ("stopped", True), ended.to_dict()
    assert not there.state(container)["Running"]
    (again,) = there.call()
    assert (again.outcome, again.changed) == ("not_running", False)


@pytest.mark.parametrize("noted", [False, True])
def test_an_instance_that_hangs_counts_as_live_only_where_that_is_noted(slot: Callable[..., Slot], tmp_path: Path, noted: bool):
    there = slot()
    container = there.start()
    there.fault(container, hang=True)
    marker = tmp_path / "live"
    if noted:
        marker.write_text("a rollout")
    (done,) = there.call(projects=[], live_projects={PROJECT: str(marker)}, timeout_seconds=2.0, call_timeout_seconds=0.5)
    assert done.outcome == ("stopped" if noted else "left"), done.to_dict()
    assert there.state(container)["Running"] is not noted
