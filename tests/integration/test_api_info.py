# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The survey of an API: the stand-in in each of its forms, and servers that hide what they offer or ask nobody who he is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.http import Client
from ansible_collections.levibot.transition.plugins.module_utils.levibot.survey import Survey, survey
from tests.standin import TOKEN, running


def ask(url: str, token: str = TOKEN, *, paths: tuple[str, ...] = (), prefix: str | None = None) -> Survey:
    clients = (Client(timeout=5, retries=0, token=token), Client(timeout=5, retries=0, token="wrong"))
    return survey(url, paths, clients, {}, prefix)


@contextmanager
def server(answers: dict[str, Any], *, asks: bool) -> Iterator[str]:
    """Answers these GETs, refuses whoever has no token where it asks for one, and has an account of what was sent."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            path = self.path.partition("?")[0]
            refused = asks and path != "/openapi.json" and self.headers.get("Authorization") != f"Bearer {TOKEN}"
            status = 403 if refused else 200 if self.command == "GET" and path in answers else 404
            body = json.dumps(answers.get(path, {})).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - as the base class calls them

        def log_message(self, *_arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.parametrize("form", ["both", "plan"])
def test_a_release_that_has_all_calls(form: str, tmp_path: Path):
    with running(tmp_path, LEVIBOT_API_FORM=form) as there:
        seen = ask(there.url, paths=("/paper/portfolio",))
        lacking = [text for text in seen.missing if "release" not in text]
        assert (seen.documented, lacking) == (True, [])
        assert seen.forms["start_live"] == "POST /engines/start with a body of symbol, mode, capital"
        assert seen.token is True
        assert ask(there.url, "another").token is False
        assert "/no/such" in ask(there.url, paths=("/no/such",)).missing[-1]


def test_a_release_that_cannot_start_live_engines_says_what_it_takes(tmp_path: Path):
    with running(tmp_path, LEVIBOT_API_FORM="field") as there:
        (told,) = ask(there.url).missing
        assert told.startswith("phase 3 needs start_live, such as POST /engines/start with a body of symbol, mode, capital: ")
        assert "POST /engines/start takes symbol" in told
        assert "POST /engines/start/{symbol} takes no argument" in told


READS = {"/live/status": {"kill_switch_active": False}, "/engines/status": {"engines": []}, "/health": {}, "/ai/models": {"meta": {}}}


def test_where_the_document_is_closed_the_plans_forms_are_assumed():
    with server(READS, asks=True) as url:
        seen = ask(url)
        assert (seen.documented, seen.missing, seen.token) == (False, [], True)
        assert seen.forms["kill"] == "POST /live/kill with a body of reason"
        assert ask(url, "another").token is False


def test_an_api_that_asks_nobody_for_a_token_is_told_apart():
    with server(READS, asks=False) as url:
        seen = ask(url)
        assert seen.token is None
        assert "GET /live/status answers 200, and 200 to a wrong token" in seen.how


def test_a_server_that_is_down_is_a_problem_and_no_answer():
    seen = ask("http://127.0.0.1:9")
    assert "nothing listens" in seen.problem
    assert (seen.token, seen.forms) == (None, {})


def test_a_document_without_calls_names_them_all():
    with server({"/openapi.json": {"paths": {"/health": {"get": {}}}}}, asks=False) as url:
        seen = ask(url)
        lacking = {text.partition(", such as")[0] for text in seen.missing}
        assert lacking == {
            *(f"rollback needs {call}" for call in ("kill", "kill_state", "release", "engines", "stop_engines or stop_engine")),
            "model rollback needs models",
            *(f"phase 3 needs {call}" for call in ("start_live", "start_paper", "engines", "live_fills or live_closed")),
            *(f"phase 3 needs {call}" for call in ("live_positions", "live_portfolio", "risk")),
        }
        assert all("this server has no such path" in text for text in seen.missing)
