# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A slot of the stand-in in real containers, as tests of the kill switch need it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any

import docker

from tests.standin import TOKEN, vendor

CHECKOUT = Path(__file__).resolve().parents[2]
READY_SECONDS = 30
TRUTH_READS = 60


class Slot:
    """A slot's containers, and what a person would find out about them without the module."""

    def __init__(self, image: str, directory: Path, project: str, **environment: str) -> None:
        self.client = docker.from_env(timeout=30)
        self.directory = directory
        self.image = image
        self.project = project
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
            labels={"com.docker.compose.project": self.project, "com.docker.compose.service": "api"},
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

    def end(self) -> None:
        for container in self.containers:
            container.remove(force=True)
        self.client.close()
