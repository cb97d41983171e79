# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kill switch on real containers of the stand-in: confirmed, or the container's end, and never one for the other."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from ansible_collections.levibot.transition.plugins.module_utils.docker_engine import Engine
from ansible_collections.levibot.transition.plugins.modules import kill_switch
from tests.standin import vendor

CHECKOUT = Path(__file__).resolve().parents[2]
PROJECT = "levibot-test-kill"
TOKEN = "a-token-for-nothing"
READY_SECONDS = 30
TRUTH_READS = 60


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's Python, as the sandbox has it, under a name of its own."""
    sys.path.append(str(CHECKOUT / "sandbox"))
    import images  # noqa: PLC0415 - the sandbox's scripts are no package

    client = docker.from_env(timeout=120)
    archive = tmp_path_factory.mktemp("image") / "base.tar"
    with archive.open("wb") as output:
        images.root_file_system(output)
    client.api.import_image_from_file(str(archive), repository=f"{PROJECT}/base", tag="1")
    archive.unlink()
    yield f"{PROJECT}/base:1"
    client.images.remove(f"{PROJECT}/base:1", force=True)
    client.close()


class Slot:
    """A slot's containers, and what a person would find out about them without the module."""

    def __init__(self, image: str, directory: Path, **environment: str) -> None:
        self.client = docker.from_env(timeout=30)
        self.directory = directory
        self.image = image
        self.environment = {"ADMIN_TOKEN": TOKEN, "PYTHONPATH": "/app:/vendor", "LEVIBOT_DATA": "/data", **environment}
        self.containers: list[Any] = []

    def start(self, **how: Any) -> Any:
        data = self.directory / str(len(self.containers))
        data.mkdir()
        container = self.client.containers.run(
            self.image,
            ["python3", "-m", "standin"],
            detach=True,
            init=True,
            environment={**self.environment, "PYTHONDONTWRITEBYTECODE": "1"},
            labels={"com.docker.compose.project": PROJECT, "com.docker.compose.service": "api"},
            volumes=[f"{CHECKOUT}/sandbox/levibot:/app:ro", f"{vendor()}:/vendor:ro", f"{data}:/data"],
            **how,
        )
        self.containers.append(container)
        deadline = time.monotonic() + READY_SECONDS
        while True:
            container.reload()
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.ask(container, "GET", "/health")
                return container
            assert time.monotonic() < deadline, container.logs()[-2000:]
            time.sleep(0.05)

    def ask(self, container: Any, method: str, path: str, body: Any = None, *also: str) -> Any:
        """One new connection; `also` are paths asked on the same one, so of the same process."""
        address = next(iter(container.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]
        connection = http.client.HTTPConnection(address, 8000, timeout=3)
        try:
            answers = []
            connection.connect()
            for each in (path, *also):
                data = None if body is None else json.dumps(body)
                connection.request(method, each, data, {"Authorization": f"Bearer {TOKEN}"})
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                answer = connection.getresponse()
                answers.append(json.loads(answer.read()))
                assert answer.status == 200, answers
            return answers if also else answers[0]
        finally:
            connection.close()

    def fault(self, container: Any, **faults: Any) -> None:
        self.ask(container, "PUT", "/sandbox/faults", faults)

    def goes_live(self, container: Any) -> None:
        self.ask(container, "POST", "/engines/start", {"symbol": "BTC/USDT", "mode": "live", "capital": 100})

    def switches(self, container: Any) -> dict[int, set[bool]]:
        """What each process says of its own switch, by pid, asked many times."""
        found: dict[int, set[bool]] = {}
        for _unused in range(TRUTH_READS):
            health, status = self.ask(container, "GET", "/health", None, "/live/status")
            found.setdefault(health["pid"], set()).add(status["kill_switch_active"])
        return found

    def state(self, container: Any) -> dict[str, Any]:
        container.reload()
        return container.attrs["State"]

    def call(self, state: str = "thrown", *, check_mode: bool = False, **params: Any) -> list[kill_switch.Instance]:
        given = {name: option.get("default") for name, option in kill_switch.ARGUMENTS.items()}
        given |= {"projects": [PROJECT], "token": TOKEN, "state": state, "reason": "a test", "who": "a tester", **params}
        return kill_switch.Switch(given, Engine(), check_mode=check_mode).run()

    def end(self) -> None:
        for container in self.containers:
            container.remove(force=True)
        self.client.close()


@pytest.fixture
def slot(image: str, tmp_path: Path) -> Iterator[Callable[..., Slot]]:
    made: list[Slot] = []

    def make(**environment: str) -> Slot:
        made.append(Slot(image, tmp_path, **environment))
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
    (done,) = there.call()
    assert done.outcome == "confirmed", done.to_dict()
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
