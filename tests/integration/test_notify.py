# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages arrive: a mail by SMTP and a webhook's JSON; who cannot be told keeps nobody else from hearing it."""

from __future__ import annotations

import email
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from .daemons import CHECKOUT

PLAYBOOK = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: levibot.transition.notify}
"""
TEXT = "🚀 gate phase2.step1 failed.\nStable serves."
SECRET = "a-secret-of-the-hook"


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self.mails.append(email.message_from_bytes(envelope.content or b"", policy=default))
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    yield box, port
    server.stop()


@pytest.fixture
def hook() -> Iterator[tuple[list[tuple[dict[str, Any], str]], int]]:
    called: list[tuple[dict[str, Any], str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            called.append((body, self.headers.get("X-Key", "")))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield called, server.server_port
    server.shutdown()
    server.server_close()


def test_all_are_told_and_who_cannot_be_is_named(
    tmp_path: Path, mailbox: tuple[Mailbox, int], hook: tuple[list[tuple[dict[str, Any], str]], int]
) -> None:
    (box, smtp), (called, http) = mailbox, hook
    playbook = tmp_path / "play.yml"
    playbook.write_text(PLAYBOOK)
    variables = {
        "levibot_notifications": [
            {"kind": "webhook", "url": "http://127.0.0.1:1/nobody"},
            {"kind": "mail", "to": "ops@example.com", "from": "levibot@example.com", "host": "127.0.0.1", "port": smtp, "secure": "never"},
            {"kind": "webhook", "url": f"http://127.0.0.1:{http}/hook", "headers": {"X-Key": SECRET}},
        ],
        "notify_subject": "Rollback: safe state",
        "notify_text": TEXT,
        "notify_severity": "warning",
    }
    command = [Path(sys.executable).parent / "ansible-playbook", playbook, "-vvv", "-e", json.dumps(variables)]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_HOME": str(tmp_path), "ANSIBLE_FORCE_COLOR": "0"}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [failed] = re.findall(r"The (\w+) of levibot_notifications was not told \(number (\d) of", " ".join(done.stdout.split()))
    assert failed == ("webhook", "1")
    (mail,) = box.mails
    assert mail["Subject"] == "Rollback: safe state" and mail["To"] == "ops@example.com"
    body = mail.get_body(("plain",))
    assert body and TEXT in body.get_content().replace("\r\n", "\n")
    assert called == [({"subject": "Rollback: safe state", "text": TEXT, "severity": "warning"}, SECRET)]
    # Apart from the variables as they were given, which is this test's own command line.
    told = [line for line in done.stdout.splitlines() if SECRET in line and "extra_vars" not in line]
    assert not told
