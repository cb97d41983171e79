# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of modules that call LeviBot's API need: a module's run in this process, and a network that loses and changes things."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

from tests.standin import Standin


class EndedError(Exception):
    def __init__(self, result: dict[str, Any]) -> None:
        self.result = result


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """`run(module, check=True, symbol=…)`: the module's result, as JSON would carry it."""

    def end(_module: Any, failed: bool = False, **result: Any) -> None:
        raise EndedError(json.loads(json.dumps({**result, "failed": failed}, allow_nan=False)))

    monkeypatch.setattr(basic.AnsibleModule, "exit_json", end)
    monkeypatch.setattr(basic.AnsibleModule, "fail_json", lambda module, **result: end(module, failed=True, **result))

    def run_module(module: ModuleType, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
        given = {name: value for name, value in arguments.items() if value is not None}
        with patch_module_args({**given, "_ansible_check_mode": check, "_ansible_diff": True}), pytest.raises(EndedError) as ended:
            module.main()
        return ended.value.result

    return run_module


def audited(there: Standin, event: str) -> list[dict[str, Any]]:
    """What the stand-in's audit log has of one kind."""
    lines = (there.data / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry for entry in map(json.loads, lines) if entry["event"] == event]


class Lost(Exception):  # noqa: N818 - an event, not an error
    """Raised by what meddles with a request: no answer goes back."""


@contextmanager
def meddled(there: Standin, meddle: Callable[[str, str, Any, Callable[[Any], Any]], Any]) -> Iterator[str]:
    """A proxy's address. `meddle(method, path, body, forward)` returns what is answered, (status, JSON), or raises Lost.

    `forward(body)` asks the stand-in, and returns its (status, JSON).
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))

            def forward(body: Any) -> Any:
                connection = http.client.HTTPConnection("127.0.0.1", urlsplit(there.url).port or 0, timeout=10)
                headers = {"Authorization": self.headers.get("Authorization", ""), "Content-Type": "application/json"}
                connection.request(self.command, self.path, None if body is None else json.dumps(body), headers)
                answer = connection.getresponse()
                told = answer.status, json.loads(answer.read())
                connection.close()
                return told

            try:
                status, answer = meddle(self.command, self.path, json.loads(raw) if raw else None, forward)
            except Lost:
                self.close_connection = True
                return
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - as the base class calls them

        def log_message(self, *_arguments: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as http_server:
        threading.Thread(target=http_server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http_server.server_port}"
        http_server.shutdown()
