# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""The HTTP side as its callers see it. Needs the stand-in's own requirements."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.levibot.standin import app as standin
from sandbox.levibot.standin.settings import Settings

TOKEN = "a-token"


class Client:
    """Calls the ASGI application itself: no server, no port, no other library."""

    def __init__(self, data: Path, form: str) -> None:
        env = {"ADMIN_TOKEN": TOKEN, "LEVIBOT_DATA": str(data), "LEVIBOT_API_FORM": form, "LEVIBOT_VERSION": "v9"}
        self.app = standin.Api(Settings.from_env(env)).app()

    def __call__(self, method: str, url: str, body: Any = None, token: str | None = TOKEN, timeout: float = 2.0) -> tuple[int, Any]:
        return asyncio.run(asyncio.wait_for(self._call(method, url, body, token), timeout))

    async def _call(self, method: str, url: str, body: Any, token: str | None) -> tuple[int, Any]:
        path, _, query = url.partition("?")
        sent: list[Any] = []
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path.replace("%2F", "/"),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(b"authorization", f"Bearer {token}".encode())] if token else [],
            "client": ("192.0.2.1", 1),
            "server": ("192.0.2.2", 80),
        }
        raw = b"" if body is None else json.dumps(body).encode()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        answer = b"".join(message.get("body", b"") for message in sent[1:])
        try:
            return sent[0]["status"], json.loads(answer)
        except ValueError:
            return sent[0]["status"], answer.decode()


@pytest.fixture
def call(tmp_path):
    return Client(tmp_path, "both")


def test_every_post_needs_the_token(call, tmp_path):
    for token in (None, "", "another"):
        assert call("POST", "/live/kill", {"reason": "x"}, token=token)[0] == 401
        assert call("PUT", "/sandbox/faults", {}, token=token)[0] == 401
    assert call("GET", "/live/status")[1]["kill_switch_active"] is False
    events = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert events[0]["event"] == "unauthorised"
    assert events[0]["ip"] == "192.0.2.1"


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/engines/start", {"symbol": "SOL/USDT", "mode": "live", "capital": 100}),
        ("/engines/start/SOL%2FUSDT", None),
        ("/engines/start?symbol=SOL/USDT", None),
    ],
)
def test_engines_start_in_all_forms_and_not_twice(call, url, body):
    status, answer = call("POST", url, body)
    assert status == 200
    assert answer["engine"]["mode"] == ("live" if body else "paper")
    assert call("POST", url, body)[0] == 400
    assert call("GET", "/engines/status/SOL/USDT")[1]["status"] == "running"
    assert call("POST", "/engines/stop/SOL/USDT")[0] == 200
    assert call("GET", "/engines/status")[1]["stopped"] == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"symbol": "FOO"}, 404),
        ({"mode": "live"}, 422),
        ({"symbol": "SOL/USDT", "mode": "fast"}, 422),
        ({"symbol": "SOL/USDT", "mode": "live"}, 422),
        ({"symbol": "SOL/USDT", "mode": "live", "capital": -1}, 422),
        ({"symbol": "SOL/USDT", "mode": "live", "capital": 1.001}, 422),
        ({"symbol": "SOL/USDT", "mode": "live", "capital": "NaN"}, 422),
        ({"symbol": "SOL/USDT", "mode": "live", "capital": True}, 422),
        ([1], 422),
    ],
)
def test_a_start_that_makes_no_sense_changes_nothing(call, body, status):
    assert call("POST", "/engines/start", body)[0] == status
    assert call("GET", "/engines/status")[1]["total"] == 0


@pytest.mark.parametrize("url", ["/live/kill", "/live/kill?on=true&reason=x", "/admin/kill"])
def test_the_kill_switch_in_all_forms(call, url):
    assert call("POST", url, None)[0] == 200
    assert call("GET", "/live/status")[1]["kill_switch_active"] is True
    assert call("GET", "/admin/flags")[1]["flags"]["killed"] is True
    assert call("POST", "/engines/start", {"symbol": "SOL/USDT", "mode": "live", "capital": 1})[0] == 409
    assert call("POST", "/live/kill?on=false")[0] == 200
    assert call("GET", "/live/status")[1]["kill_switch_active"] is False


def test_refuse_kill_answers_well_and_does_nothing(call):
    call("PUT", "/sandbox/faults", {"refuse_kill": True})
    assert call("POST", "/live/kill", {"reason": "x"})[0] == 200
    assert call("GET", "/live/status")[1]["kill_switch_active"] is False


def test_workers_do_not_know_each_others_kill(tmp_path):
    one, other = Client(tmp_path, "both"), Client(tmp_path, "both")
    one("POST", "/live/kill", {"reason": "x"})
    assert one("GET", "/live/status")[1]["kill_switch_active"] is True
    assert other("GET", "/live/status")[1]["kill_switch_active"] is False
    one("PUT", "/sandbox/faults", {"alert": True})
    assert other("GET", "/risk/summary")[1]["global_stop"] is True


def test_the_plans_form_alone(tmp_path):
    call = Client(tmp_path, "plan")
    assert call("POST", "/engines/start/SOL%2FUSDT")[0] in (404, 405)
    assert call("POST", "/engines/start?symbol=SOL/USDT")[0] == 422
    assert call("POST", "/engines/start", {"symbol": "SOL/USDT"})[0] == 200
    assert call("POST", "/admin/kill")[0] == 404
    assert call("POST", "/live/kill", {"reason": "x"})[0] == 200
    assert call("GET", "/live/status")[1]["reason"] == "x"


def test_the_fields_form_alone_wants_the_query_and_carries_no_capital(tmp_path):
    call = Client(tmp_path, "field")
    assert call("POST", "/live/kill", {"reason": "x"})[0] == 422
    assert call("GET", "/live/status")[1]["kill_switch_active"] is False
    assert call("POST", "/engines/start", {"symbol": "SOL/USDT", "mode": "live", "capital": 100})[0] == 422
    start = call("GET", "/openapi.json")[1]["paths"]["/engines/start"]["post"]
    assert "requestBody" not in start
    assert [item["name"] for item in start["parameters"]] == ["symbol"]


@pytest.mark.parametrize("form", ["plan", "field", "both"])
def test_every_get_that_is_described_answers(tmp_path, form):
    call = Client(tmp_path, form)
    paths = call("GET", "/openapi.json")[1]["paths"]
    gets = [path for path, item in paths.items() if "get" in item and "{" not in path]
    assert {"/health", "/metrics", "/paper/portfolio", "/live/trades"} <= set(gets)
    assert {path: call("GET", path)[0] for path in gets} == dict.fromkeys(gets, 200)


def test_errors_spare_health_and_metrics(call):
    call("PUT", "/sandbox/faults", {"errors": 1})
    assert call("GET", "/risk/summary")[0] == 500
    assert call("GET", "/health")[0] == 200
    assert call("GET", "/metrics")[0] == 200
    assert call("GET", "/sandbox/faults") == (200, {"errors": 1.0})


def test_a_hang_spares_nothing_and_can_be_undone(call):
    call("PUT", "/sandbox/faults", {"hang": True})
    with pytest.raises(TimeoutError):
        call("GET", "/health", timeout=0.3)
    call("PUT", "/sandbox/faults", {})
    assert call("GET", "/health")[0] == 200


def test_mistaken_faults_are_refused_all_at_once(call):
    status, answer = call("PUT", "/sandbox/faults", {"errors": 2, "erors": 1, "hang": "yes", "latency": 3})
    assert status == 422
    assert all(
        word in answer["detail"] for word in ("errors: a number", "erors: no such fault", "hang: true or false", "latency: an object")
    )
    assert call("GET", "/sandbox/faults") == (200, {})


def test_metrics_have_the_fields_names(call):
    call("POST", "/engines/start", {"symbol": "BTC/USDT"})
    text = call("GET", "/metrics")[1]
    for line in ('levi_engine_status{symbol="BTC/USDT"} 1.0', "levi_global_stop 0.0", "levi_inference_latency_seconds_count 0.0"):
        assert line in text
    for name in ("levi_engine_errors_total", "levi_engine_last_heartbeat", "levi_signals_total", "levi_equity_now", "levi_positions_open"):
        assert f"\n{name}" in text


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({}, "ADMIN_TOKEN"),
        ({"ADMIN_TOKEN": "x", "LEVIBOT_API_FORM": "old"}, "LEVIBOT_API_FORM"),
        ({"ADMIN_TOKEN": "x", "LEVIBOT_WORKERS": "0"}, "LEVIBOT_WORKERS"),
    ],
)
def test_a_wrong_environment_is_named(env, name):
    with pytest.raises(SystemExit, match=name):
        Settings.from_env(env)
