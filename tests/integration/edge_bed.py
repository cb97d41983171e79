# SPDX-License-Identifier: GPL-3.0-or-later
"""A real edge to test on: the role `edge` installed into a directory, its Caddy, and an application behind each slot's ports."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.levibot.transition.plugins.module_utils.edge.files import SplitFiles
from ansible_collections.levibot.transition.plugins.module_utils.edge.probe import slot_requests

CHECKOUT = Path(__file__).resolve().parents[2]
PROBE_PATH = "/.levibot/slot"


def caddy_binary() -> str:
    """Caddy, from CADDY_BINARY (to test another version), the environment of the checkout, or PATH."""
    beside = Path(sys.executable).with_name("caddy")
    found = os.environ.get("CADDY_BINARY") or (str(beside) if beside.exists() else shutil.which("caddy"))
    assert found, "no caddy found: make setup"
    return found


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nothing listens on, below those that the kernel gives to outgoing connections, which would take them away."""
    found: list[int] = []
    for port in random.sample(range(20000, 32000), 1000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
        if len(found) == count:
            return found
    raise OSError("no free ports from 20000 to 32000")


class Application:
    """A small keep-alive server in a thread: answers with its name, the path and the headers it saw; `/hang` never answers."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port,), daemon=True)
        self._thread.start()
        assert self._ready.wait(5)

    def close(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self, port: int) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", port, backlog=1024))
        self._ready.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ", 2)[1]
                if path == b"/hang":
                    await asyncio.sleep(60)
                body = self.name.encode() + b" " + head
                writer.write(b"HTTP/1.1 200 OK\r\nX-LeviBot-Slot: a lie\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@dataclass
class Bed:
    """The edge, and how to ask it."""

    directory: Path
    ports: dict[str, int]
    variables: dict[str, Any]
    caddy: subprocess.Popen[bytes] | None = None

    @property
    def files(self) -> SplitFiles:
        """The split's files."""
        return SplitFiles(self.variables["edge_run_dir"], self.variables["edge_lib_dir"])

    @property
    def log(self) -> str:
        """What Caddy has logged."""
        return (self.directory / "caddy.log").read_text()

    def url(self, name: str, path: str = PROBE_PATH) -> str:
        """A URL of a listener."""
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    def get(self, path: str = "/x", *, listener: str = "site", cookie: str = "", headers: dict[str, str] | None = None) -> Reply:
        """Ask once, over a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.ports[listener], timeout=20)
        try:
            return ask(connection, path, cookie=cookie, headers=headers)
        finally:
            connection.close()

    def metrics(self) -> str:
        """Caddy's metrics."""
        return self.get("/metrics", listener="metrics").body

    def counted(self) -> dict[str, int]:
        """Requests by slot, by Caddy's own counters."""
        return slot_requests(self.metrics())

    def install(self, *extra: str) -> str:
        """Run the role, and return what it says."""
        program = Path(sys.executable).with_name("ansible-playbook")
        done = subprocess.run(
            [program, "-i", self.directory / "hosts.yml", self.directory / "install.yml", *extra],
            cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self) -> None:
        """Start Caddy, and wait until it answers."""
        with (self.directory / "caddy.log").open("ab") as log:
            self.caddy = subprocess.Popen(
                [caddy_binary(), "run", "--config", self.variables["edge_caddyfile"], "--adapter", "caddyfile"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, "HOME": str(self.directory)},
            )  # fmt: skip
        deadline = time.monotonic() + 10
        while True:
            try:
                assert self.get(PROBE_PATH).status == 200
                break
            except OSError:
                assert time.monotonic() < deadline and self.caddy.poll() is None, self.log
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop Caddy."""
        if self.caddy:
            self.caddy.send_signal(signal.SIGTERM)
            try:
                self.caddy.wait(10)
            except subprocess.TimeoutExpired:
                self.caddy.kill()
                self.caddy.wait()
            self.caddy = None


@dataclass(frozen=True)
class Reply:
    """An answer, as far as the tests look at it."""

    status: int
    slot: str
    cookie: str
    body: str


def ask(connection: HTTPConnection, path: str = "/x", *, cookie: str = "", headers: dict[str, str] | None = None) -> Reply:
    """Ask over this connection, as the visitor with this bucket."""
    connection.request("GET", path, headers={**(headers or {}), **({"Cookie": f"levibot_bucket={cookie}"} if cookie else {})})
    answer = connection.getresponse()
    body = answer.read().decode()
    new = (answer.getheader("Set-Cookie") or "").partition(";")[0].rpartition("=")[2]
    return Reply(answer.status, answer.getheader("X-LeviBot-Slot") or "", new, body)


@contextmanager
def bed(directory: Path, *, applications: bool = True, **extra: Any) -> Iterator[Bed]:
    """An installed edge whose Caddy runs, with an application behind each slot unless the caller brings some."""
    names = ("site", "blue", "green", "metrics", "blue_api", "blue_panel", "green_api", "green_panel")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": str(CHECKOUT / "sandbox/module-python"),
        "edge_run_dir": str(directory / "run"),
        "edge_lib_dir": str(directory / "lib"),
        "edge_snippet_dir": str(directory / "snippets"),
        "edge_caddyfile": str(directory / "Caddyfile"),
        "edge_caddy_binary": caddy_binary(),
        "edge_manage_caddyfile": True,
        "edge_site_address": f"http://127.0.0.1:{ports['site']}",
        "edge_metrics_listen": f"127.0.0.1:{ports['metrics']}",
        "edge_response_timeout_seconds": 1,
        "edge_dial_timeout_seconds": 1,
        "edge_expiry_mechanism": "external",
        "edge_expiry_script": str(directory / "levibot-edge-expire"),
        "levibot_slots": {
            slot: {"listen": ports[slot], "ports": {"api": ports[f"{slot}_api"], "panel": ports[f"{slot}_panel"]}}
            for slot in ("blue", "green")
        },
        **extra,
    }
    hosts = {"all": {"children": {group: {"hosts": {"edge": {}}} for group in ("app_hosts", "edge_hosts")}, "vars": variables}}
    (directory / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (directory / "install.yml").write_text(
        yaml.safe_dump([{"hosts": "edge_hosts", "gather_facts": False, "roles": ["levibot.transition.edge"]}])
    )
    edge = Bed(directory, ports, variables)
    edge.install()
    started = [Application(name, ports[name]) for name in names[4:] if applications]
    try:
        edge.start()
        yield edge
    finally:
        edge.stop()
        for application in started:
            application.close()


@contextmanager
def expiring(edge: Bed) -> Iterator[None]:
    """What takes expired canaries away runs: without its heartbeat an edge is not as it should be."""
    run, lib = edge.variables["edge_run_dir"], edge.variables["edge_lib_dir"]
    loop = subprocess.Popen(["sh", edge.variables["edge_expiry_script"], "--run-dir", run, "--lib-dir", lib, "--loop", "1"])
    try:
        yield
    finally:
        loop.terminate()
        loop.wait(10)
