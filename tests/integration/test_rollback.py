# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/rollback.yml and kill_switch.yml, given wrong words, a part of the fleet, or an edge that does not know who is stable.

Whose engines are touched is what the Docker Engine is asked for, and here something that only writes that down stands in for it.
"""

from __future__ import annotations

import http.server
import json
import os
import socketserver
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger

ROOT = Path(__file__).resolve().parents[2]
TEN_PERCENT = "199a"

INVENTORY = """
all:
  vars:
    ansible_connection: local
    ansible_python_interpreter: {python}
    edge_run_dir: "{scene}/{{{{ inventory_hostname }}}}/run"
    edge_lib_dir: "{scene}/{{{{ inventory_hostname }}}}/lib"
    edge_verify: false
    levibot_home: {scene}/app
    levibot_project: levibot
    levibot_ledger_path: {scene}/ledger.db
    levibot_admin_token: none
    levibot_environment: {{DOCKER_HOST: "unix://{scene}/docker.sock"}}
    levibot_services: {{api: {{image: api, port: 8000, health: /health}}}}
    levibot_slots:
      blue: {{listen: 1, ports: {{api: {port}}}}}
      green: {{listen: 1, ports: {{api: {port}}}}}
  children:
    app_hosts: {{hosts: {{{apps}}}}}
    edge_hosts: {{hosts: {{{edges}}}}}
"""
FLEETS = {"several": {"apps": "app: ", "edges": "e1: , e2: "}, "alone": {"apps": "e1: ", "edges": "e1: "}}


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"[]"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


class Scene:
    """Two edges at 10 %, an app host without containers, and what its Docker Engine was asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: set[str] = set()
        self.output = ""

    def run(self, playbook: str, *arguments: str, fleet: str = "several") -> int:
        self.asked.clear()
        done = subprocess.run(
            ["ansible-playbook", "-i", self.path / f"{fleet}.yml", ROOT / f"playbooks/{playbook}.yml", *arguments],
            cwd=self.path,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_NOCOLOR": "1",
            },
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        self.output = " ".join((done.stdout + done.stderr).split())
        return done.returncode

    def canaries(self) -> list[bool]:
        return [(self.path / edge / "run/canary").exists() for edge in ("e1", "e2")]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)

    class Engine(Healthy):
        def do_GET(self) -> None:
            filters = json.loads(urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["filters"][0])
            scene.asked.update(label.partition("project=levibot-")[2] for label in filters["label"] if "project=" in label)
            super().do_GET()

    class UnixServer(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    engine = UnixServer(str(tmp_path / "docker.sock"), Engine)
    for server in (web, engine):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, hosts in FLEETS.items():
        inventory = INVENTORY.format(scene=tmp_path, python=sys.executable, port=web.server_address[1], **hosts)
        (tmp_path / f"{name}.yml").write_text(inventory, encoding="utf-8")
    (tmp_path / "app/slots/green").mkdir(parents=True)
    for edge in ("e1", "e2"):
        (tmp_path / edge / "run").mkdir(parents=True)
        (tmp_path / edge / "lib").mkdir()
        (tmp_path / edge / "lib/stable").write_text("0000", encoding="ascii")
        (tmp_path / edge / "run/canary").write_text(TEN_PERCENT, encoding="ascii")
        os.utime(tmp_path / edge / "run/canary", (2**32, 2**32))
    yield scene
    for server in (web, engine):
        server.shutdown()
        server.server_close()


def test_a_slot_that_does_not_exist_is_not_obeyed_and_the_traffic_moves(scene: Scene) -> None:
    assert scene.run("rollback", "-e", "rollback_stable=gren") != 0
    assert "rollback_stable=gren is no slot, and was not obeyed" in scene.output
    assert scene.canaries() == [False, False]
    assert scene.asked == {"green"}


def test_without_the_edges_nobody_stops_what_may_be_stable(scene: Scene) -> None:
    assert scene.run("rollback", "--limit", "app") != 0
    assert "--limit leaves out every edge" in scene.output
    assert "no engine was touched" in scene.output
    assert (scene.asked, scene.canaries()) == (set(), [True, True])
    assert scene.run("rollback", "--limit", "app", "-e", "rollback_stable=blue") == 0
    assert scene.asked == {"green", "blue"}, "whether a live engine runs in the slot that serves is asked, too"


def test_an_edge_that_does_not_know_who_is_stable_is_not_safe_until_somebody_says_it(scene: Scene) -> None:
    for edge in ("e1", "e2"):
        (scene.path / edge / "lib/stable").write_text("what?", encoding="ascii")
    assert scene.run("rollback") != 0
    assert "no edge can say which slot is stable" in scene.output
    assert (scene.asked, scene.canaries()) == ({"blue", "green"}, [False, False])
    assert scene.run("rollback", "-e", "rollback_stable=blue") == 0
    assert (scene.path / "e1/lib/stable").read_text(encoding="ascii") == "0000"
    assert scene.asked == {"green", "blue"}, "whether a live engine runs in the slot that serves is asked, too"


@pytest.mark.parametrize("fleet", FLEETS)
def test_the_traffic_waits_for_no_token(scene: Scene, fleet: str) -> None:
    """It is there, or not to be had, only when the canary is gone."""
    canary = scene.path / "e1/run/canary"
    token = f"{{{{ lookup('ansible.builtin.pipe', 'test ! -e {canary} && echo secret') }}}}"
    assert scene.run("rollback", "-e", json.dumps({"levibot_admin_token": token}), fleet=fleet) == 0, scene.output
    assert scene.asked == {"green"}
    canary.write_text(TEN_PERCENT, encoding="ascii")
    os.utime(canary, (2**32, 2**32))
    none = "{{ lookup('ansible.builtin.file', '/nonexistent/token') }}"
    assert scene.run("rollback", "-e", json.dumps({"levibot_admin_token": none}), fleet=fleet) != 0
    assert not canary.exists()
    assert "/nonexistent/token" in scene.output.partition("NOT SAFE")[2]


@pytest.mark.parametrize("fleet", FLEETS)
def test_a_lasting_file_that_cannot_be_read_keeps_no_canary(scene: Scene, fleet: str) -> None:
    stable = scene.path / "e1/lib/stable"
    stable.unlink()
    stable.mkdir()
    scene.run("rollback", fleet=fleet)
    assert not scene.canaries()[0]
    assert "stable cannot be read: Is a directory" in scene.output


def test_a_drill_is_of_the_idle_slot_whatever_else_is_asked_for(scene: Scene) -> None:
    for edge in ("e1", "e2"):
        (scene.path / edge / "run/canary").unlink()
    for slot in ("blue", "green"):
        (scene.path / f"app/slots/{slot}").mkdir(exist_ok=True)
        (scene.path / f"app/slots/{slot}/release").write_text("v1.8.0", encoding="ascii")
    scene.run("rollback", "-e", "drill=true", "-e", "rollback_kill=all")
    assert scene.asked == {"green"}, scene.output


def test_a_drill_that_is_misspelt_is_no_rollback(scene: Scene) -> None:
    assert scene.run("rollback", "-e", "drill=ture") != 0
    assert "drill=ture is neither true nor false" in scene.output
    assert (scene.asked, scene.canaries()) == (set(), [True, True])


def test_a_kill_says_what_it_found_nothing_for(scene: Scene) -> None:
    assert scene.run("kill_switch", "-e", "kill_state=thrown", "-e", "kill_slots=gren") != 0
    assert "Got no match for: gren" in scene.output
    assert scene.asked == set()
    assert scene.run("kill_switch", "-e", "kill_state=thrown", "-e", "kill_slots=green") == 0
    assert "levibot-green: no container of its API is on this host" in scene.output
    assert scene.asked == {"green"}


def test_a_kill_that_failed_is_recorded(scene: Scene) -> None:
    (scene.path / "docker.sock").unlink()
    assert scene.run("kill_switch", "-e", "kill_state=thrown", "-e", "kill_slots=green") != 0
    assert "does not answer" in scene.output
    with Ledger(scene.path / "ledger.db", writable=False) as ledger:
        (noted,) = ledger.read("kill-thrown")
    assert (noted.data["action"], noted.data["instances"]) == ("kill thrown", [])
    assert "does not answer" in noted.data["failed"]
