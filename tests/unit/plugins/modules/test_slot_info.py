# SPDX-License-Identifier: GPL-3.0-or-later
"""What a slot's API tells, in the forms of releases from the field."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.http import Client
from ansible_collections.levibot.transition.plugins.module_utils.levibot import forms
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import Api
from ansible_collections.levibot.transition.plugins.modules.slot_info import tell

ENGINE = {"symbol": "BTC/USDT", "status": "running", "mode": "live", "capital": 100}
TOLD = {"symbol": "BTC/USDT", "status": "running", "mode": "live", "capital": 100}


@contextmanager
def serving(answers: dict[str, Any]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answers.get(self.path, {"detail": "Not Found"})).encode()
            self.send_response(200 if self.path in answers else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Not on the tests' screen."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def told_by(answers: dict[str, Any], **given: Any) -> tuple[dict[str, Any], list[str]]:
    with serving(answers) as url:
        return tell(Api(url, Client(timeout=5, retries=0), **given))


def test_below_a_prefix_and_in_the_other_forms():
    told, problems = told_by({"/api/admin/flags": {"flags": {"killed": True}}, "/api/engines": {"engines": [ENGINE]}})
    assert (told["kill_switch"], told["engines"], problems) == (True, [TOLD], [])


def test_in_the_forms_of_the_site():
    spelt = {"engines": {"path": "/bots", "value": "bots"}, "kill_state": {"path": "/k", "value": "on"}}
    own = {call: forms.own(call, form) for call, form in spelt.items()}
    told, problems = told_by({"/bots": {"bots": {"BTC/USDT": ENGINE}}, "/k": {"on": False}}, overrides=own)
    assert (told["kill_switch"], told["engines"], problems) == (False, [TOLD], [])


def test_what_a_release_does_not_have_is_not_known_and_no_problem():
    told, problems = told_by({"/live/status": {"mode": "paper", "kill_switch_active": False}})
    assert told == {"mode": "paper", "kill_switch": False, "engines": None, "models": None}
    assert problems == []


def test_an_answer_of_another_shape_is_not_known():
    told, _problems = told_by({"/live/status": {"kill_switch_active": "no"}, "/engines/status": {"engines": 3}, "/ai/models": []})
    assert told == {"mode": None, "kill_switch": None, "engines": None, "models": None}


def test_an_engine_that_one_process_of_several_shows_is_seen():
    live = {"symbol": "ETH/USDT", "status": "running", "mode": "live", "capital": 100}
    asked = {"engines": 0, "kill": 0}

    class Server(Api):
        """Of two processes in turn, the second one has a live engine, and the switch on."""

        def optional(self, name: str) -> Any:
            if name == "kill_state":
                asked["kill"] += 1
                return asked["kill"] % 2 == 0
            if name == "engines":
                asked["engines"] += 1
                return [{**live, "status": "stopped"}] if asked["engines"] % 2 else [{**live, "mode": "paper"}, live]
            return None

    told, problems = tell(Server("http://127.0.0.1:9", Client(timeout=1, retries=0)))
    assert (told["kill_switch"], told["engines"], problems) == (True, [live], [])
    assert asked == {"engines": 8, "kill": 8}


def test_who_does_not_answer_is_asked_once():
    told, problems = tell(Api("http://127.0.0.1:9", Client(timeout=1, retries=0)))
    assert told == {"mode": None, "kill_switch": None, "engines": None, "models": None}
    assert len(problems) == 1
