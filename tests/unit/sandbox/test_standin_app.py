# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""The HTTP side as its callers see it. Needs the stand-in's own requirements."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sandbox.levibot.standin import app as standin
from sandbox.levibot.standin.settings import Settings

TOKEN = "a-token"


class Client:
    """Calls the ASGI application itself: no server, no port, no other library."""

    def __init__(self, data: Path, form: str, **more: str) -> None:
        env = {"ADMIN_TOKEN": TOKEN, "LEVIBOT_DATA": str(data), "LEVIBOT_API_FORM": form, "LEVIBOT_VERSION": "v9", **more}
        self.api = standin.Api(Settings.from_env(env))
        self.app = self.api.app()

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
    events = audited(tmp_path)
    assert [(line["event"], line["ip"]) for line in events] == [("unauthorised", "192.0.2.1")] * 6
    assert [(line["method"], line["path"]) for line in events[:2]] == [("POST", "/live/kill"), ("PUT", "/sandbox/faults")]


def audited(data: Path) -> list[dict[str, Any]]:
    file = data / "audit.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_the_audit_log_has_every_admin_action_that_was_carried_out(call, tmp_path):
    live = {"symbol": "SOL/USDT", "mode": "live", "capital": 100}
    for method, url, body, more in (
        ("POST", "/engines/start", live, {"event": "engine_start", **live, "capital": "100"}),
        ("POST", "/engines/start/BTC%2FUSDT", None, {"event": "engine_start", "symbol": "BTC/USDT", "mode": "paper", "capital": "2500.00"}),
        ("POST", "/engines/restart/BTC%2FUSDT", None, {"event": "engine_restart", "symbol": "BTC/USDT"}),
        ("POST", "/engines/stop/SOL%2FUSDT?close=false", None, {"event": "engine_stop", "symbol": "SOL/USDT", "close": False}),
        ("POST", "/engines/stop_all", None, {"event": "engine_stop_all"}),
        ("POST", "/live/kill?on=true&reason=x", None, {"event": "kill", "reason": "x"}),
        ("POST", "/admin/unkill", None, {"event": "unkill", "reason": None}),
    ):
        before = time.time()
        assert call(method, url, body)[0] == 200
        line = audited(tmp_path)[-1]
        assert before - 0.001 <= line.pop("ts") <= time.time() + 0.001, "in milliseconds"
        assert line == {"ip": "192.0.2.1", "method": method, "path": url.partition("?")[0].replace("%2F", "/"), **more}
    count = len(audited(tmp_path))
    assert call("POST", "/engines/start/FOO")[0] == 404
    assert call("POST", "/engines/stop/XRP%2FUSDT")[0] == 404
    assert call("PUT", "/sandbox/faults", {})[0] == 200
    assert call("GET", "/live/status")[0] == 200
    assert len(audited(tmp_path)) == count


def booked(call: Client, orders: int) -> None:
    with call.api.store.change() as desk:
        for number in range(orders):
            desk.books["live"].fill("BTC/USDT", Decimal(1 if number % 2 == 0 else -1), Decimal(60000), float(number))


def test_a_history_is_read_page_by_page_to_its_beginning(call):
    booked(call, 250)
    for kind, name, total in (("fills", "fill_id", 250), ("trades", "trade_id", 125)):
        assert [row[name] for row in call("GET", f"/live/{kind}")[1][kind]] == list(range(total, total - 100, -1))
        assert call("GET", f"/live/{kind}?limit=1000") == call("GET", f"/live/{kind}?limit=100")
        assert call("GET", f"/live/{kind}?offset={total}")[1] == {kind: []}
        rows: list[Any] = []
        while page := call("GET", f"/live/{kind}?limit=99&offset={len(rows)}")[1][kind]:
            rows += page
        assert [row[name] for row in rows] == list(range(total, 0, -1))
    first = call("GET", "/live/fills?limit=1&offset=249")[1]["fills"][0]
    assert first == {"fill_id": 1, "ts": 0.0, "symbol": "BTC/USDT", "side": "buy", "qty": 1.0, "price": 60000.0, "fee": 60.0}
    assert call("GET", "/paper/fills")[1] == {"fills": []}


def test_faults_on_the_listing_hold_over_its_pages(call):
    booked(call, 150)
    with call.api.store.change() as desk:
        desk.unlisted = 50
    rows = [row["fill_id"] for offset in (0, 100) for row in call("GET", f"/live/fills?offset={offset}")[1]["fills"]]
    assert rows == [number for number in range(150, 0, -1) if number != 50]
    with call.api.store.change() as desk:
        desk.unlisted, desk.listed_twice = None, 51
    rows = [row["fill_id"] for offset in (0, 100) for row in call("GET", f"/live/fills?offset={offset}")[1]["fills"]]
    assert rows[98:102] == [52, 51, 51, 50]
    assert len(rows) == 151


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=x", "limit=²", "offset=-1", "offset=1.5", "limit=9999999999999"])
def test_a_page_that_makes_no_sense_is_refused(call, query):
    status, answer = call("GET", f"/live/fills?{query}")
    assert (status, answer["detail"].split(":")[0]) == (422, query.split("=")[0])


def test_a_stop_closes_unless_it_is_told_not_to(call):
    def stop(query: str) -> float:
        call("POST", "/engines/start", {"symbol": "BTC/USDT", "mode": "live", "capital": 100})
        with call.api.store.change() as desk:
            if "BTC/USDT" not in desk.books["live"].positions:
                desk.books["live"].fill("BTC/USDT", Decimal("0.001"), Decimal(60000), 1.0)
        status, answer = call("POST", f"/engines/stop/BTC%2FUSDT{query}")
        assert (status, answer["engine"]["status"]) == (200, "stopped")
        return float(answer["engine"]["position"])

    assert stop("?close=false") == 0.001
    assert call("GET", "/live/positions")[1]["count"] == 1
    assert stop("?close=true") == 0
    assert stop("") == 0
    assert call("POST", "/engines/stop/BTC%2FUSDT?close=perhaps")[0] == 422


@pytest.mark.parametrize(
    ("form", "more", "told"),
    [
        ("plan", {}, True),
        ("both", {}, True),
        ("field", {}, False),
        ("both", {"LEVIBOT_ENGINE_ROWS": "field"}, False),
        ("field", {"LEVIBOT_ENGINE_ROWS": "full"}, True),
    ],
)
def test_mode_and_capital_are_told_or_not(tmp_path, form, more, told):
    call = Client(tmp_path, form, **more)
    url, body = ("/engines/start?symbol=BTC/USDT", None) if form == "field" else ("/engines/start", {"symbol": "BTC/USDT"})
    rows = [
        call("POST", url, body)[1]["engine"],
        call("GET", "/engines/status")[1]["engines"][0],
        call("GET", "/engines/status/BTC/USDT")[1],
    ]
    for row in rows:
        assert {"symbol", "status", "last_heartbeat", "position", "total_pnl"} <= set(row)
        assert ("mode" in row, "capital" in row) == (told, told)


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
    for path in ("/live/fills", "/live/trades", "/paper/fills", "/paper/trades"):
        assert [item["name"] for item in paths[path]["get"]["parameters"]] == ["limit", "offset"]
    assert [item["name"] for item in paths["/engines/stop/{symbol}"]["post"]["parameters"]] == ["symbol", "close"]
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
        ({"ADMIN_TOKEN": "x", "LEVIBOT_ENGINE_ROWS": "some"}, "LEVIBOT_ENGINE_ROWS"),
        ({"ADMIN_TOKEN": "x", "LEVIBOT_WORKERS": "0"}, "LEVIBOT_WORKERS"),
    ],
)
def test_a_wrong_environment_is_named(env, name):
    with pytest.raises(SystemExit, match=name):
        Settings.from_env(env)
