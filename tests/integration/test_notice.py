# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The T-24h notice to a real receiver: sent once for each version, who could not be told is tried again, and all of it is recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger

from .daemons import CHECKOUT

VERSION = "v1.8.0-beta"
SECRET = "hunter2"
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: levibot.transition.preflight, tasks_from: notice}
"""


class Receiver(ThreadingHTTPServer):
    """A webhook that keeps what it is sent."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def notify(directory: Path, *options: str, **variables: Any) -> str:
    (directory / "play.yml").write_text(PLAY)
    own = {"levibot_version": VERSION, "levibot_ledger_path": str(directory / "ledger.db"), "levibot_ledger_host": "localhost"}
    own["ansible_python_interpreter"] = sys.executable
    command = [Path(sys.executable).with_name("ansible-playbook"), directory / "play.yml", "-e", json.dumps({**own, **variables}), *options]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done.stdout


def recorded(directory: Path) -> list[dict[str, Any]]:
    with Ledger(directory / "ledger.db", writable=False) as ledger:
        return [entry.data for entry in ledger.read(f"phase1-{VERSION}")]


def test_each_is_told_once_and_who_could_not_be_is_tried_again(receiver: Receiver, tmp_path: Path):
    told = {"kind": "webhook", "url": f"http://127.0.0.1:{receiver.server_port}", "headers": {"Authorization": f"Bearer {SECRET}"}}
    # Port 9 discards, where there is anybody at all.
    deaf = {"kind": "mail", "to": "exec@example.com", "host": "127.0.0.1", "port": 9, "username": "u", "password": SECRET}
    notify(tmp_path, "--check", levibot_notifications=[told, deaf])
    assert receiver.received == []

    notify(tmp_path, levibot_notifications=[told, deaf])
    (first,) = receiver.received
    assert first["subject"] == f"LeviBot {VERSION} will be deployed"
    assert "Phase: Blue-Green (10% traffic)" in first["text"]
    result = {"action": "notice", "notice": "t_minus_24h", "version": VERSION}
    assert recorded(tmp_path) == [{**result, "told": ["webhook"], "failed": ["mail"]}]

    # Who knows is not told again.
    assert "changed=0" in notify(tmp_path, levibot_notifications=[told])
    notify(tmp_path, levibot_notifications=[told, deaf])
    assert len(receiver.received) == 1
    assert len(recorded(tmp_path)) == 2
    assert recorded(tmp_path)[-1] == {**result, "told": ["webhook"], "failed": ["mail"]}
