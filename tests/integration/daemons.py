# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real daemons for the tests: each on a free loopback port, in a folder of its own, ended with the test that started it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).parents[2]
# Debian's daemons, unpacked and not installed. That Alertmanager finds its templates only from here.
DEBIAN = CHECKOUT / ".venv/debian"
READY_SECONDS = 30.0


def program(name: str) -> str:
    """The path of a program, what the set-up has put into the checkout first. A test that lacks it fails: it has not passed."""
    found = shutil.which(name, path=str(DEBIAN / "usr/bin")) or shutil.which(name)
    if not found:
        raise RuntimeError(f"{name} is missing: run `make setup`, or install it")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition: Callable[[], object], what: str, seconds: float = READY_SECONDS) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310  a loopback address made here
            return answer.status == 200
    except OSError:
        return False


class Daemon:
    """A child process that can be stopped and started again on the same port."""

    def __init__(self, argv: list[str], folder: Path, ready: str) -> None:
        self._argv, self._folder, self._ready = argv, folder, ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it unless it runs."""
        if self._process:
            return
        home = DEBIAN if self._argv[0].startswith(f"{DEBIAN}/") else self._folder
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._argv, cwd=home, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_for(self._is_ready, f"{self._argv[0]} to answer {self._ready}")

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def _is_ready(self) -> bool:
        if self._process and self._process.poll() is not None:
            raise RuntimeError(f"{self._argv[0]} ended: {(self._folder / 'log').read_text()[-2000:]}")
        return answers(self._ready)


class Exporter:
    """Serves whatever `text` is as metrics; while `up` is false it answers 500."""

    def __init__(self) -> None:
        self.text = ""
        self.up = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = outer.text.encode()
                self.send_response(200 if outer.up else 500)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class PrometheusDaemon(Daemon):
    def __init__(self, folder: Path, config: dict[str, object], rules: dict[str, object] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        if rules:
            (folder / "rules.yml").write_text(yaml.safe_dump(rules))
            config = {**config, "rule_files": [str(folder / "rules.yml")]}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        argv = [
            program("prometheus"),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            "--storage.tsdb.retention.time=30d",
            f"--web.listen-address=127.0.0.1:{port}",
            # Alertmanager is discovered only after 5 s; what fired before would be sent again after a minute.
            # Four times the delay is also how long an alert lives on when a busy machine is late.
            "--rules.alert.resend-delay=2s",
        ]
        super().__init__(argv, folder, f"{self.url}/-/ready")


class AlertmanagerDaemon(Daemon):
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"
        (folder / "alertmanager.yml").write_text(yaml.safe_dump({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}))
        argv = [
            program("prometheus-alertmanager"),
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/data",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        ]
        super().__init__(argv, folder, f"{self.url}/-/ready")


class RegistryDaemon(Daemon):
    """A registry that listens on loopback, and with a file of htpasswd's wants a login."""

    def __init__(self, folder: Path, htpasswd: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        config: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
            "http": {"addr": f"127.0.0.1:{self.port}"},
        }
        if htpasswd:
            (folder / "htpasswd").write_text(htpasswd)
            config["auth"] = {"htpasswd": {"realm": "registry", "path": str(folder / "htpasswd")}}
        (folder / "registry.yml").write_text(yaml.safe_dump(config))
        super().__init__([program("docker-registry"), "serve", str(folder / "registry.yml")], folder, f"http://127.0.0.1:{self.port}/")

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(20)
            self._process = None


@contextmanager
def running(*daemons: Daemon) -> Iterator[None]:
    try:
        for daemon in daemons:
            daemon.start()
        yield
    finally:
        for daemon in daemons:
            daemon.stop()
