# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/kill_drill.yml on real containers: proved or not, what ran on paper runs again, and a refusal changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import draft
from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger
from tests.standin import TOKEN, base_image

from .daemons import free_port
from .slot_bed import CHECKOUT, Slot

PROJECT = "levibot-test-drill"
PAPER = {"BTC/USDT", "ETH/USDT"}  # what the stand-in starts by itself
INVENTORY = """
all:
  vars:
    ansible_connection: local
    ansible_python_interpreter: {python}
    edge_run_dir: "{scene}/{{{{ inventory_hostname }}}}/run"
    edge_lib_dir: "{scene}/{{{{ inventory_hostname }}}}/lib"
    levibot_home: {scene}/app
    levibot_project: {project}
    levibot_ledger_path: {scene}/ledger.db
    levibot_admin_token: {token}
    levibot_services: {{api: {{image: api, port: 8000, health: /health}}}}
    levibot_slots:
      blue: {{listen: 1, ports: {{api: {port}}}}}
      green: {{listen: 1, ports: {{api: 9}}}}
    kill_timeout_seconds: {seconds}
  children:
    app_hosts: {{hosts: {{app: }}}}
    edge_hosts: {{hosts: {{e1: , e2: }}}}
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with base_image(PROJECT, tmp_path_factory.mktemp("image")) as name:
        yield name


class Scene:
    """Two edges that agree on blue, and an app host with one container in it."""

    def __init__(self, path: Path, image: str, seconds: float, **environment: str) -> None:
        self.path = path
        self.output = ""
        port = free_port()
        told = {"scene": path, "python": sys.executable, "port": port, "project": PROJECT, "token": TOKEN, "seconds": seconds}
        (path / "inventory.yml").write_text(INVENTORY.format(**told), encoding="utf-8")
        for edge in ("e1", "e2"):
            (path / edge / "run").mkdir(parents=True)
            (path / edge / "lib").mkdir()
            (path / edge / "lib/stable").write_text("0000", encoding="ascii")
        (path / "app/slots/blue").mkdir(parents=True)
        (path / "app/slots/blue/release").write_text("v1.8.0-beta\n", encoding="ascii")
        (path / "data").mkdir()
        self.slot = Slot(image, path / "data", f"{PROJECT}-blue", **environment)
        try:
            self.container = self.slot.start(ports={"8000/tcp": ("127.0.0.1", port)})
        except BaseException:
            self.slot.end()
            raise

    def drill(self, *arguments: str) -> int:
        done = subprocess.run(
            ["ansible-playbook", "-i", self.path / "inventory.yml", CHECKOUT / "playbooks/kill_drill.yml", *arguments],
            cwd=self.path,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
                "ANSIBLE_NOCOLOR": "1",
            },
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        self.output = " ".join((done.stdout + done.stderr).split())
        assert TOKEN not in self.output
        return done.returncode

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return self.slot.ask(self.container, method, path, body)

    def running(self) -> set[str]:
        return {one["symbol"] for one in self.ask("GET", "/engines/status")["engines"] if one["status"] == "running"}

    def killed(self) -> set[bool]:
        return set().union(*self.slot.switches(self.container).values())

    def recorded(self) -> list[dict[str, Any]]:
        with Ledger(self.path / "ledger.db", writable=False) as ledger:
            assert ledger.lock() is None, "the lock is given up"
            return [entry.data for entry in ledger.read(kind="result")]


@pytest.fixture
def scene(image: str, tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    made: list[Scene] = []

    def make(seconds: float = 20, **environment: str) -> Scene:
        made.append(Scene(tmp_path, image, seconds, **environment))
        return made[-1]

    yield make
    for one in made:
        one.slot.end()


@pytest.mark.parametrize("form", ["both", "field"])
def test_it_is_proved_and_all_is_as_it_was(scene: Callable[..., Scene], form: str):
    there = scene(LEVIBOT_WORKERS="2", LEVIBOT_API_FORM=form)
    assert there.drill("--check") == 0, there.output
    assert f"Would throw the kill switch on {there.container.name}" in there.output
    assert "start BTC/USDT, ETH/USDT again on paper" in there.output
    assert not (there.path / "ledger.db").exists()
    for number in (1, 2):  # each run is a drill
        assert there.drill() == 0, there.output
        told = there.recorded()
        assert len(told) == number
        assert told[-1] | {"seconds": 0, "kill_seconds": 0, "calls": 0} == {
            "action": "kill_drill",
            "passed": True,
            "problem": "",
            "version": "v1.8.0-beta",
            "slot": "blue",
            "hosts": ["app"],
            "seconds": 0,
            "kill_seconds": 0,
            "calls": 0,
        }
        assert told[-1]["seconds"] > 0
        assert told[-1]["kill_seconds"]["app"] > 0
        called = [one["call"] for one in told[-1]["calls"]]
        assert {"kill", "stop_engines", "release", "start_paper"} == set(called)
        assert called.count("start_paper") == len(PAPER)
        assert {one["host"] for one in told[-1]["calls"]} == {"app"}
        assert (there.running(), there.killed()) == (PAPER, {False})


def test_an_unwilling_switch_has_not_passed_and_serves_on(scene: Callable[..., Scene]):
    there = scene(seconds=1.5)
    there.slot.fault(there.container, refuse_kill=True)
    assert there.drill() != 0
    assert "The drill has NOT passed" in there.output
    (told,) = there.recorded()
    assert told["passed"] is False
    assert "app: The kill switch is not known to be thrown everywhere" in told["problem"]
    assert "its container was left alone" in told["problem"]
    assert there.slot.state(there.container)["Status"] == "running"
    assert (there.running(), there.killed()) == (PAPER, {False})


def test_engines_that_do_not_start_again_are_told(scene: Callable[..., Scene]):
    """The drill's own beginning is whole, and the way back is not."""
    there = scene()
    own = '    levibot_api_forms: {start_paper: {path: "/no/such/{symbol}"}}\n    kill_engine_timeout_seconds: 3\n'
    inventory = there.path / "inventory.yml"
    inventory.write_text(inventory.read_text(encoding="utf-8").replace("  children:", f"{own}  children:"), encoding="utf-8")
    assert there.drill() != 0
    (told,) = there.recorded()
    assert told["passed"] is False
    assert "engines were not started again" in told["problem"]
    assert there.killed() == {False}, "it is released all the same"


def test_refused_with_all_reasons_and_nothing_is_changed(scene: Callable[..., Scene]):
    there = scene()

    def refused(*reasons: str) -> None:
        before = there.running(), there.killed()
        for arguments in ((), ("--check",)):
            assert there.drill(*arguments) != 0
            assert "No drill, and nothing was changed" in there.output
            for reason in reasons:
                assert reason in there.output, (reason, there.output)
        assert (there.running(), there.killed()) == before
        if (there.path / "ledger.db").exists():
            assert there.recorded() == []

    there.ask("POST", "/engines/start", {"symbol": "SOL/USDT", "mode": "live", "capital": 100})
    with Ledger(there.path / "ledger.db") as ledger:
        ledger.append([draft("20261124T112200Z-v1", "opened", {"version": "v1"})])
    refused("live engines run on app: SOL/USDT", "the rollout 20261124T112200Z-v1 is open")
    (there.path / "ledger.db").unlink()
    there.ask("POST", "/engines/stop/SOL/USDT")
    there.ask("POST", "/live/kill?on=true")
    refused(f"a kill is on in {there.container.name} on app")
    there.ask("POST", "/live/kill?on=false")
    (there.path / "e2/lib/stable").write_text("g", encoding="ascii")
    refused("it is not certain which slot serves: e1 has")
    (there.path / "e2/lib/stable").write_text("0000", encoding="ascii")
    (there.path / "e2/run/canary").write_text("199a", encoding="ascii")
    os.utime(there.path / "e2/run/canary", (2**32, 2**32))
    refused("it is not certain which slot serves")
    (there.path / "e2/run/canary").unlink()
    assert there.drill("--limit", "app") != 0
    assert "e1, e2 would be left out" in there.output


def test_what_could_not_be_put_back_is_not_begun(scene: Callable[..., Scene]):
    there = scene(LEVIBOT_API_FORM="plan")
    assert there.drill() != 0
    assert "app offers no form to release the kill switch again: set levibot_api_forms.release" in there.output
    assert (there.running(), there.killed()) == (PAPER, {False})
    there.container.stop(timeout=0)
    assert there.drill() != 0
    assert "no instance of blue runs on app" in there.output
