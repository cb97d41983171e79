# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP client against a server that misbehaves."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.http import Client, HttpError, redact

TOKEN = "s3cr3t-of-the-admin"


class Server:
    """Answers with `reply(handler)`; counts requests and connections."""

    def __init__(self) -> None:
        self.reply: Callable[[BaseHTTPRequestHandler], None] = lambda handler: send(handler, 200, b"{}")
        self.requests = 0
        self.connections: set[tuple[str, int]] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.requests += 1
                outer.connections.add(self.client_address)
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.reply(self)

            do_POST = do_GET  # noqa: N815  the base class names it

            def log_message(self, *args: object) -> None: ...

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *args: object) -> None:
                """Clients that hang up are part of the tests."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, *, close: bool = False) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    if close:
        handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    it = Server()
    yield it
    it.close()


def test_one_connection_for_many_calls(server: Server) -> None:
    client = Client()
    for _ in range(20):
        assert client.get_json(f"{server.url}/x", {"q": "a b"}) == {}
    assert (server.requests, len(server.connections)) == (20, 1)


def test_a_connection_that_idled_too_long_is_made_anew(server: Server) -> None:
    client = Client(retries=0)

    def drop(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200, b"{}")
        handler.close_connection = True

    server.reply = drop
    client.get(server.url)
    time.sleep(0.1)
    client_with_retries = Client()
    client_with_retries.get(server.url)
    time.sleep(0.1)
    assert client_with_retries.get(server.url).status == 200


def test_a_server_that_says_close_is_believed(server: Server) -> None:
    server.reply = lambda handler: send(handler, 200, b"{}", close=True)
    client = Client(retries=0)
    for _ in range(3):
        client.get(server.url)
    assert len(server.connections) == 3


def test_reads_are_tried_again_and_posts_are_not(server: Server) -> None:
    answers = iter([503, 502, 200, 503])
    server.reply = lambda handler: send(handler, next(answers), b"{}")
    assert Client(sleep=lambda _s: None).get(server.url).status == 200
    with pytest.raises(HttpError, match="503"):
        Client(sleep=lambda _s: None).request("POST", server.url, json_body={"on": True})
    assert server.requests == 4


def test_retries_are_bounded_and_end_at_the_deadline(server: Server) -> None:
    server.reply = lambda handler: send(handler, 503, b"busy")
    with pytest.raises(HttpError, match="503"):
        Client(retries=2, sleep=lambda _s: None).get(server.url)
    assert server.requests == 3
    with pytest.raises(HttpError):
        Client(retries=50).get(server.url, deadline=time.monotonic() + 0.05)
    assert server.requests == 4


@pytest.mark.parametrize("drip", [False, True], ids=["silent", "drop by drop"])
def test_a_hang_costs_no_more_than_the_deadline(server: Server, drip: bool) -> None:
    done = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        if drip:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
        while not done.wait(0.05):
            if drip:
                handler.wfile.write(b"x")

    server.reply = hang
    began = time.monotonic()
    with pytest.raises(HttpError, match="did not answer"):
        Client(timeout=30).get(server.url, deadline=began + 0.4)
    assert time.monotonic() - began < 1.5
    done.set()


def test_an_endless_answer_is_cut(server: Server) -> None:
    server.reply = lambda handler: send(handler, 200, b"x" * 300_000)
    with pytest.raises(HttpError, match="more than 200 KiB"):
        Client(max_bytes=200 * 1024).get(server.url)


def test_nobody_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(HttpError, match=r"nothing listens there.*check that the server runs"):
        Client(sleep=lambda _s: None).get(f"http://127.0.0.1:{port}/health")


@pytest.mark.parametrize("url", ["", "127.0.0.1:9090", "ftp://host/", "http://", "http://host:port/"])
def test_what_is_no_url_is_said(url: str) -> None:
    with pytest.raises(HttpError, match="write http"):
        Client().get(url)


def test_no_secret_in_any_message(server: Server) -> None:
    def echo(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 401, f"bad header {handler.headers['Authorization']} on {handler.path}".encode())

    server.reply = echo
    with pytest.raises(HttpError) as caught:
        Client(token=TOKEN).get(f"{server.url}/x?api_key=abc123")
    assert TOKEN not in str(caught.value)
    assert "abc123" not in caught.value.url
    assert "check the token" in str(caught.value)
    host = server.url.removeprefix("http://")
    with pytest.raises(HttpError) as caught:
        Client().get(f"http://admin:hunter2-long@{host}/")
    assert "hunter2" not in str(caught.value)


def test_redaction() -> None:
    assert redact("https://u:p@host:1/a?token=x&q=up") == "https://host:1/a?token=***&q=up"
    assert redact("http://[broken") == "(not a URL)"
    assert len(redact("http://h/?query=" + "x" * 5000)) < 300


def test_loopback_needs_no_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert Client().get(server.url).status == 200


def test_not_json_is_said(server: Server) -> None:
    server.reply = lambda handler: send(handler, 200, b"<html>login</html>")
    with pytest.raises(HttpError, match=r"not JSON.*login"):
        Client().get_json(server.url)


def test_a_missing_ca_file_is_named() -> None:
    with pytest.raises(HttpError, match=r"/no/such/ca.pem: cannot be read"):
        Client(ca_file="/no/such/ca.pem").get("https://127.0.0.1:1/")
