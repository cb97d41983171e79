# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an instance answers must not keep it from being ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.docker_engine import Container
from ansible_collections.levibot.transition.plugins.module_utils.levibot import switch

ANSWERS = {
    "a deep one": b"[" * 100_000,
    "a long number": b'{"kill_switch_active": ' + b"1" * 100_000 + b"}",
    "no text": b"\xff\xfe\x00",
    "words where there should be none": b'{"kill_switch_active": "yes", "engines": [{"status": ["running"]}]}',
    "nothing": b"",
}


class Engine:
    """One container, which can be paused and ended."""

    is_here = False

    def __init__(self, state: str = "running") -> None:
        self.state = state

    def containers(self, project: str, service: str) -> list[Container]:
        return [Container("c1", f"{project}-{service}-1", project, self.state, "127.0.0.1")]

    def inspect(self, _container: str) -> dict[str, Any]:
        return {"Status": self.state, "Running": self.state in ("running", "paused"), "Paused": self.state == "paused"}

    def pause(self, _container: str) -> None:
        self.state = "paused"

    def end(self, _container: str) -> None:
        self.state = "exited"


@pytest.fixture
def server() -> Iterator[Any]:
    class Handler(BaseHTTPRequestHandler):
        body = b""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.body)))
            self.end_headers()
            self.wfile.write(self.body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_arguments: Any) -> None:
            pass

    there = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=there.serve_forever, daemon=True).start()
    yield there
    there.shutdown()
    there.server_close()


def throw(engine: Engine, port: int = 1, *, check_mode: bool = False, **params: Any) -> switch.Instance:
    given = {name: option.get("default") for name, option in switch.THROWING.items()}
    given |= {
        "state": "thrown",
        "live_projects": {},
        "unconfirmed": "end",
        "projects": ["levibot-green"],
        "token": "t",
        "reason": "a test",
        "port": port,
        "timeout_seconds": 0.5,
        **params,
    }
    (done,) = switch.Switch(given, engine, check_mode=check_mode).run()  # type: ignore[arg-type]
    return done


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_instance_that_answers_nonsense_is_ended(server: Any, answer: str):
    server.RequestHandlerClass.body = ANSWERS[answer]
    engine = Engine()
    done = throw(engine, server.server_port)
    assert (done.outcome, engine.state) == ("stopped", "exited"), done.to_dict()


def test_an_instance_is_ended_whatever_goes_wrong_in_asking_it(monkeypatch: pytest.MonkeyPatch):
    def breaks(*_arguments: Any) -> Any:
        raise RecursionError("too deep")

    monkeypatch.setattr(switch.Switch, "_ask", breaks)
    engine = Engine()
    done = throw(engine)
    assert (done.outcome, engine.state) == ("stopped", "exited")
    assert "too deep" in done.detail


@pytest.mark.parametrize(
    ("unconfirmed", "outcome", "state"), [("end", "stopped", "exited"), ("pause", "paused", "paused"), ("leave", "paused", "paused")]
)
def test_one_that_was_paused_before_has_heard_of_no_kill(unconfirmed: str, outcome: str, state: str):
    engine = Engine("paused")
    assert (throw(engine, unconfirmed=unconfirmed, check_mode=True).changed, engine.state) == (unconfirmed == "end", "paused")
    done = throw(engine, unconfirmed=unconfirmed)
    assert (done.outcome, done.changed, engine.state) == (outcome, unconfirmed == "end", state)
