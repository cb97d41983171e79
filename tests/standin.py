# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests need to run the stand-in: its packages, a process of it, and for containers an image with Debian's Python."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "sandbox/levibot/requirements.txt"
VENDOR = ROOT / "build/test/standin"
TOKEN = "a-token-for-nothing"
READY_SECONDS = 60.0
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def vendor() -> Path:
    """The directory that holds the packages. They are pinned apart from the project's own, since the stand-in runs on older Pythons."""
    done = VENDOR / ".requirements"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    VENDOR.mkdir(parents=True, exist_ok=True)
    with VENDOR.with_suffix(".lock").open("w") as lock:  # tests run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text(encoding="utf-8") != wanted:
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", VENDOR, "-r", REQUIREMENTS]
            subprocess.run(list(map(str, install)), check=True, timeout=300)
            done.write_text(wanted, encoding="utf-8")
    return VENDOR


class Standin:
    """A process of the stand-in on a free port of loopback, with a data directory of its own. It can be ended and started again there."""

    def __init__(self, data: Path, environment: Mapping[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.data = data
        self.url = f"http://127.0.0.1:{self.port}"
        own = {"ADMIN_TOKEN": TOKEN, "LEVIBOT_PORT": str(self.port), "LEVIBOT_DATA": str(data), **environment}
        self._environment = {**os.environ, **own, "PYTHONPATH": f"{ROOT}/sandbox/levibot:{vendor()}", "PYTHONDONTWRITEBYTECODE": "1"}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        self.data.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen([sys.executable, "-m", "standin"], env=self._environment, cwd=self.data, start_new_session=True)
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the stand-in does not answer at {self.url}: exit status {self._process.poll()}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            self.ask("GET", "/health")
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, its workers included."""
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait(10)
            self._process = None

    def ask(self, method: str, path: str, body: Any = None, *, token: str = TOKEN, status: int = 200) -> Any:
        """The answer's JSON; any other status than this one is an error."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)  # noqa: S310 - a loopback address made here
        try:
            with _NO_PROXY.open(request, timeout=10) as answer:
                seen, text = answer.status, answer.read()
        except urllib.error.HTTPError as exc:
            seen, text = exc.code, exc.read()
        assert seen == status, f"{method} {path}: {seen} {text[:300]!r}"
        return json.loads(text)

    def fault(self, **faults: Any) -> None:
        """These are on from now on, all others off."""
        self.ask("PUT", "/sandbox/faults", faults)

    def goes_live(self, symbol: str = "BTC/USDT", capital: float = 100) -> None:
        self.ask("POST", "/engines/start", {"symbol": symbol, "mode": "live", "capital": capital})


@contextmanager
def running(data: Path, **environment: str) -> Iterator[Standin]:
    """`with running(tmp_path, LEVIBOT_API_FORM="plan", LEVIBOT_WORKERS="2") as there: there.goes_live()`."""
    there = Standin(data, environment)
    try:
        there.start()
        yield there
    finally:
        there.kill()


@contextmanager
def base_image(project: str, directory: Path) -> Iterator[str]:
    """Debian's Python, as the sandbox has it, under a name of the project's own. The directory is for what is made on the way."""
    sys.path.append(str(ROOT / "sandbox"))
    import images  # noqa: PLC0415 - the sandbox's scripts are no package

    client = docker.from_env(timeout=120)
    archive = directory / "base.tar"
    with archive.open("wb") as output:
        images.root_file_system(output)
    client.api.import_image_from_file(str(archive), repository=f"{project}/base", tag="1")
    archive.unlink()
    try:
        yield f"{project}/base:1"
    finally:
        client.images.remove(f"{project}/base:1", force=True)
        client.close()
