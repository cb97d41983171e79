# SPDX-License-Identifier: GPL-3.0-or-later
"""One host back to the safe state: a real container of the stand-in, and the files of an edge whose slots a small server answers for."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.edge.files import SplitFiles
from ansible_collections.levibot.transition.plugins.module_utils.edge.split import Canary, green_buckets
from tests.standin import TOKEN, base_image

from .slot_bed import CHECKOUT, Slot

PROJECT = "levibot-test-safe"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with base_image(PROJECT, tmp_path_factory.mktemp("image")) as name:
        yield name


class Host:
    """Edge and app host in one: blue is stable, green has a tenth of the traffic, and `slot` is one container with a live engine."""

    def __init__(self, directory: Path, slot: Slot, url: str) -> None:
        for name in ("run", "lib"):
            (directory / name).mkdir()
        self.files = SplitFiles(str(directory / "run"), str(directory / "lib"))
        self.files.write_stable("blue")
        self.open_canary()
        self.slot = slot
        self.container = slot.start()
        slot.goes_live(self.container)
        self.url = url
        self.status = 200
        self.output = ""

    def open_canary(self) -> None:
        self.files.write_canary(Canary(green_buckets("green", 10.0), int(time.time()) + 600))

    def goes_back(self, *options: str, engine: str = "", **kill: Any) -> dict[str, Any]:
        arguments = {
            "run_dir": str(self.files.run_dir), "lib_dir": str(self.files.lib_dir), "token": TOKEN, "reason": "a test",
            "healthy": {"urls": {"blue": self.url, "green": self.url}},
            "kill": {"blue": {"projects": [PROJECT], **kill}, "green": {"projects": []}},
        }  # fmt: skip
        done = subprocess.run(
            [
                Path(sys.executable).parent / "ansible",
                "localhost",
                "-m",
                "levibot.transition.safe_state",
                "-a",
                json.dumps(arguments),
                *options,
            ],
            cwd=CHECKOUT,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
                "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
                "ANSIBLE_NOCOLOR": "1",
                **({"DOCKER_HOST": engine} if engine else {}),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert TOKEN not in done.stdout + done.stderr
        self.output = done.stdout
        return json.loads(done.stdout.partition("=> ")[2])

    @property
    def has_canary(self) -> bool:
        return self.files.read().canary is not None

    @property
    def trades(self) -> bool:
        status = self.slot.ask(self.container, "GET", "/live/status")
        return self.slot.ask(self.container, "GET", "/engines/status")["running"] > 0 or not status["kill_switch_active"]


@pytest.fixture
def host(image: str, tmp_path: Path) -> Iterator[Host]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(there.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Nothing."""

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    slot = Slot(image, tmp_path, PROJECT)
    there = Host(tmp_path, slot, f"http://127.0.0.1:{web.server_port}/health")
    yield there
    slot.end()
    web.shutdown()
    web.server_close()


def test_traffic_and_kill_in_one_go(host: Host):
    would = host.goes_back("--check")
    assert (would["changed"], would["after"]["canary"], would["kill"]["confirmed"]) == (True, False, False)
    assert would["kill"]["instances"][0]["outcome"] == "planned"
    assert host.has_canary and host.trades
    done = host.goes_back("--diff")
    assert (done["changed"], done["before"]["canary"], done["after"]["text"]) == (True, True, "blue 100.0 % (stable)")
    assert (done["kill"]["confirmed"], done["kill"]["instances"][0]["outcome"]) == (True, "confirmed")
    assert "+blue 100.0 % (stable)" in host.output
    assert f"+{host.container.name}: switch on, engines none running" in host.output
    assert [call["call"] for call in done["kill"]["calls"]] == ["kill", "stop_engines"]
    assert not host.has_canary and not host.trades
    again = host.goes_back()
    assert (again["changed"], again["kill"]["confirmed"], again["kill"]["calls"]) == (False, True, [])


def test_where_the_traffic_has_to_stay_nothing_is_killed_yet(host: Host):
    host.status = 503
    done = host.goes_back()
    assert (done["waits"], done["changed"], done["kill"]) == (True, False, None)
    assert host.has_canary and host.trades


def test_where_nobody_can_say_who_is_stable_nothing_is_killed_yet(host: Host):
    (host.files.lib_dir / "stable").write_text("neither")
    done = host.goes_back()
    assert done["kill"] is None
    assert not host.has_canary and host.trades


def test_the_traffic_is_back_though_the_docker_engine_does_not_answer(host: Host):
    done = host.goes_back(engine="unix:///nonexistent/docker.sock")
    assert (done["after"]["canary"], done["kill"]["confirmed"]) == (False, False)
    assert "none of them is confirmed" in done["kill"]["failure"]
    assert not host.has_canary


def test_who_serves_is_killed_where_it_trades_live_unless_it_is_the_release_before(host: Host):
    serves = {"projects": [], "live_projects": {PROJECT: "/nonexistent/mark"}}
    assert host.goes_back(**serves)["kill"]["instances"] == []
    assert not host.has_canary and host.trades
    assert host.goes_back(**serves)["kill"]["instances"][0]["outcome"] == "confirmed"
    assert not host.trades
