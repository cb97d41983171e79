# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/rollback_models.yml on two app hosts, one with two instances of the stand-in: real containers, links, restarts and a ledger."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from ansible_collections.levibot.transition.plugins.module_utils.ledger import store
from tests.standin import base_image, vendor

CHECKOUT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PROJECT = "levibot-test-models"
TOKEN = "a-token-for-nothing"
NAMES = ("lgbm", "tft", "ensemble")
INSTANCES = {"app1": 2, "app2": 1}
# In app2 one date lacks a model: its directory is there, and what it should hold is not.
DATES = ("2025-10-12", "2025-10-14", "2025-10-16")
LACKS = {("app2", "2025-10-12"): "tft"}
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "DOCKER_CONFIG": str(CHECKOUT / ".venv/docker"),
    "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
    "ANSIBLE_NOCOLOR": "1",
}
DANGLES = """\
#!/bin/sh
# As in the field: says that all is well while what it has made leads nowhere.
ln -sfn "$1/nowhere" "{models}/current"
echo "rolled back $2 to $1"
"""


@dataclass(frozen=True)
class Played:
    rc: int
    output: str

    @property
    def changed(self) -> int:
        return sum(int(count) for count in re.findall(r"changed=(\d+)", self.output))

    @property
    def said(self) -> str:
        return " ".join(self.output.split())


@dataclass(frozen=True)
class Fleet:
    directory: Path
    engine: Any

    def play(self, *options: str, **variables: Any) -> Played:
        extra = self.directory / "extra.json"
        extra.write_text(json.dumps(variables))
        command = [
            BIN / "ansible-playbook",
            "playbooks/rollback_models.yml",
            "-i",
            self.directory / "hosts.yml",
            "-e",
            f"@{extra}",
            *options,
        ]
        done = subprocess.run(command, cwd=CHECKOUT, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=90)
        return Played(done.returncode, done.stdout + done.stderr)

    def models(self, host: str) -> Path:
        return self.directory / host / "slots/blue/data/models"

    def containers(self, host: str) -> list[Any]:
        label = f"com.docker.compose.project={PROJECT}-{host}-blue"
        return sorted(self.engine.containers.list(all=True, filters={"label": label}), key=lambda item: item.name)

    def call(self, container: Any, path: str, body: Any = None, method: str | None = None) -> Any:
        address = next(iter(container.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{address}:8000{path}", data, {"Authorization": f"Bearer {TOKEN}"}, method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return json.load(answer)

    def loaded(self) -> dict[str, list[set[tuple[str, bool]]]]:
        """By host and instance, what each says of its models."""
        return {
            host: [
                {(card["version"], card["found"]) for card in self.call(container, "/ai/models")["meta"].values()}
                for container in self.containers(host)
            ]
            for host in INSTANCES
        }

    def state(self) -> Any:
        """Links, and since when each container runs."""
        links = {
            host: ((self.models(host) / "current").readlink(), (self.models(host) / "current").lstat().st_mtime_ns) for host in INSTANCES
        }
        started = {item.name: item.attrs["State"]["StartedAt"] for host in INSTANCES for item in self.containers(host)}
        return links, started, len(self.ledger())

    def ledger(self) -> list[tuple[str, dict[str, Any]]]:
        path = self.directory / "ledger.db"
        if not path.exists():
            return []
        with store.Ledger(str(path), writable=False) as ledger:
            return [(entry.kind, entry.data) for entry in ledger.read()]


def everywhere(version: str, found: bool = True) -> dict[str, list[set[tuple[str, bool]]]]:
    return {host: [{(version, found)}] * count for host, count in INSTANCES.items()}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with base_image(PROJECT, tmp_path_factory.mktemp("image")) as name:
        yield name


@pytest.fixture(scope="module")
def fleet(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("fleet")
    fleet = Fleet(directory, docker.from_env(timeout=30))
    (directory / "lib").mkdir()
    (directory / "run").mkdir()
    (directory / "lib/stable").write_text("0000\n")
    hosts = {}
    for host in INSTANCES:
        for date in DATES:
            (fleet.models(host) / date).mkdir(parents=True)
            for name in NAMES:
                if LACKS.get((host, date)) != name:
                    (fleet.models(host) / date / f"{name}.json").write_text("{}")
        (fleet.models(host) / "current").symlink_to("2025-10-16")
        (directory / host / "compose.yml").write_text(compose(image, fleet.models(host).parent))
        script = directory / host / "rollback_model.sh"
        script.write_text(DANGLES.format(models=fleet.models(host)))
        script.chmod(0o755)
        hosts[host] = {"levibot_home": str(directory / host), "levibot_project": f"{PROJECT}-{host}", "site_script": str(script)}
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": str(CHECKOUT / "sandbox/module-python"),
        "levibot_ledger_path": str(directory / "ledger.db"),
        "levibot_admin_token": TOKEN,
        "edge_run_dir": str(directory / "run"),
        "edge_lib_dir": str(directory / "lib"),
        "models_stop_timeout_seconds": 2,
        "models_loading_seconds": 1,
        "models_inference_seconds": 5,
    }
    inventory = {"all": {"vars": variables, "children": {"app_hosts": {"hosts": hosts}, "edge_hosts": {"hosts": {"app1": {}}}}}}
    (directory / "hosts.yml").write_text(yaml.safe_dump(inventory))
    try:
        for host, instances in INSTANCES.items():
            up(f"{PROJECT}-{host}-blue", directory / host / "compose.yml", "up", "--detach", "--wait", "--scale", f"api={instances}")
        yield fleet
    finally:
        for host in INSTANCES:
            up(f"{PROJECT}-{host}-blue", directory / host / "compose.yml", "down", "--timeout", "1")
        fleet.engine.close()


def compose(image: str, data: Path) -> str:
    health = ["CMD", "python3", "-I", "-S", "/app/standin/healthcheck.py", "8000", "/health"]
    api = {
        "image": image,
        "command": ["python3", "-m", "standin"],
        "environment": {"ADMIN_TOKEN": TOKEN, "PYTHONPATH": "/app:/vendor", "LEVIBOT_DATA": "/data", "PYTHONDONTWRITEBYTECODE": "1"},
        "volumes": [f"{CHECKOUT}/sandbox/levibot:/app:ro", f"{vendor()}:/vendor:ro", f"{data}:/data"],
        "healthcheck": {"test": health, "interval": "1s", "timeout": "2s", "retries": 60},
    }
    return yaml.safe_dump({"services": {"api": api}})


def up(project: str, file: Path, *command: str) -> None:
    words = ["docker", "compose", "--project-name", project, "--file", file, *command]
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr


def test_all_mistakes_are_refused_at_once(fleet: Fleet):
    before = fleet.state()
    played = fleet.play(models_date="2025-10-13", models_names=["lgbm", "gpt"], models_script="/nowhere/rollback_model.sh")
    assert played.rc == 2, played.output
    assert "6 mistakes found; nothing was changed" in played.said, played.output
    for path, found in (("models_date", "2025-10-13: not among"), ("models_names", "gpt: not among"), ("models_script", "is not there")):
        for host in INSTANCES:
            assert f"- {path} on {host} found: " in played.said
        assert found in played.said
    assert fleet.state() == before


def test_check_mode_shows_the_links_and_changes_nothing(fleet: Fleet):
    before = fleet.state()
    played = fleet.play("--check", "--diff", models_date="2025-10-14")
    assert played.rc == 0, played.output
    assert played.output.count("-    src: '2025-10-16'") == len(INSTANCES)
    assert played.output.count("+    src: '2025-10-14'") == len(INSTANCES)
    assert "would be restarted" in played.said
    assert fleet.state() == before


def test_what_cannot_be_recorded_is_not_done(fleet: Fleet):
    before = fleet.state()
    played = fleet.play("-e", f"levibot_ledger_path={fleet.directory}", models_date="2025-10-14")
    assert played.rc == 2, played.output
    assert "what is not recorded is not done; -e models_ledger=false goes on without it" in played.said
    assert "app1: not touched. app2: not touched." in played.said
    assert fleet.state() == before


def test_the_models_go_back_and_a_second_run_changes_nothing(fleet: Fleet):
    played = fleet.play(models_date="2025-10-14")
    assert played.rc == 0, played.output
    assert fleet.loaded() == everywhere("2025-10-14")
    kinds = [(kind, data["action"], data.get("outcome")) for kind, data in fleet.ledger()]
    assert kinds == [("intent", "rollback_models", None), ("result", "rollback_models", "verified")]
    assert fleet.ledger()[0][1]["before"]["app1"] == dict.fromkeys(NAMES, "2025-10-16")
    started = [item.attrs["State"]["StartedAt"] for host in INSTANCES for item in fleet.containers(host)]
    assert max(started[:2]) < started[2], "one host after the other"

    before = fleet.state()
    again = fleet.play(models_date="2025-10-14")
    assert (again.rc, again.changed) == (0, 0), again.output
    assert "is loaded already in blue" in again.said
    assert fleet.state() == before


def test_a_model_that_is_not_found_takes_all_hosts_back(fleet: Fleet):
    before = fleet.loaded()
    played = fleet.play(models_date="2025-10-12")
    assert played.rc == 2, played.output
    assert "tft 2025-10-12 is listed with found: false" in played.said
    assert "app1: verified, and taken back with the others. Back on 2025-10-14." in played.said
    assert played.said.count("Back on 2025-10-14.") >= 2
    assert fleet.loaded() == before == everywhere("2025-10-14")
    kind, data = fleet.ledger()[-1]
    assert (kind, data["outcome"]) == ("result", "back")
    assert "found: false" in data["reason"]


def test_a_script_that_leaves_links_dangling_is_not_believed(fleet: Fleet):
    played = fleet.play(models_date="2025-10-16", models_script="{{ site_script }}")
    assert played.rc == 2, played.output
    assert "ended well, and yet the link current dangles: 2025-10-16/nowhere is not there" in played.said
    assert "app1: " in played.said
    assert "Back on 2025-10-14." in played.said
    assert "app2: not touched." in played.said
    assert fleet.loaded() == everywhere("2025-10-14")


def test_live_engines_are_not_interrupted(fleet: Fleet):
    first = fleet.containers("app2")[0]
    fleet.call(first, "/engines/start", {"symbol": "BTC/USDT", "mode": "live", "capital": 100})
    before = fleet.state()
    played = fleet.play("--limit", "app2", models_date="2025-10-16", models_slot="blue")
    assert played.rc == 2, played.output
    assert "live engines run: BTC/USDT" in played.said
    assert "models_interrupt_live=true" in played.said
    assert fleet.state() == before
    fleet.call(first, "/engines/stop/BTC/USDT", {})


def test_what_goes_neither_forward_nor_back_is_said(fleet: Fleet):
    fleet.call(fleet.containers("app2")[0], "/sandbox/faults", {"lost_models": True}, "PUT")
    played = fleet.play("--limit", "app2", models_date="2025-10-16", models_slot="blue")
    assert played.rc == 2, played.output
    assert re.search(
        r"2025-10-16 was not taken into service in blue. app2: .+ NOT BACK: levibot-test-models-app2-blue-api-1: ", played.said
    )
    kind, data = fleet.ledger()[-1]
    assert (kind, data["outcome"]) == ("result", "not_back")
    assert (fleet.models("app2") / "current").readlink().name == "2025-10-14", "the link is back all the same"


def test_run_again_it_does_what_is_left(fleet: Fleet):
    before = {item.name: item.attrs["State"]["StartedAt"] for host in INSTANCES for item in fleet.containers(host)}
    (fleet.models("app2").parent / "faults.json").unlink()
    played = fleet.play(models_date="2025-10-14", models_interrupt_live=True)
    assert played.rc == 0, played.output
    assert fleet.loaded() == everywhere("2025-10-14")
    after = {item.name: item.attrs["State"]["StartedAt"] for host in INSTANCES for item in fleet.containers(host)}
    assert {name for name in after if after[name] != before[name]} == {f"{PROJECT}-app2-blue-api-1"}
