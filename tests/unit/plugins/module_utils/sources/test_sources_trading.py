# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `trading`: one reading of the books for all checks of a look, and what of it becomes an error."""

from __future__ import annotations

import threading
import time
from decimal import Decimal
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.http import HttpError
from ansible_collections.levibot.transition.plugins.module_utils.levibot import books
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import Unavailable
from ansible_collections.levibot.transition.plugins.module_utils.samples import ERROR, OK, Sample
from ansible_collections.levibot.transition.plugins.module_utils.sources import Sources
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import Window
from ansible_collections.levibot.transition.plugins.module_utils.trading import reconcile

URL = "http://127.0.0.1:1"
RAW = {"at": 1050.0, "complete": True}
WHAT = {"position_errors": "positions", "pnl_errors": "pnl", "limit_breaches": "limits", "engine_faults": "engines", "loss": "loss"}
KEYS = {"max_open": 3600, "tolerance_usd": "0.01", "tolerance_ratio": "0.005", "max_heartbeat_age": 60}
CHECKS = [{"id": name, "kind": "reconcile", "source": "trading", "what": what, **KEYS} for name, what in WHAT.items()]
TRADING = {
    "baseline": {"at": 900.0},
    "live": {"BTC/USDT": "100.00"},
    "step": ["BTC/USDT"],
    "sides": ["long"],
    "limits": {"position_ratio": "1"},
    "fee_ratio": "0.002",
    "other_urls": {},
    "timeout_seconds": 5.0,
}


class Desk:
    """Stands in for the books and for what judges them, and keeps account of what was asked."""

    def __init__(self) -> None:
        self.read: list[float] = []
        self.raw: Any = RAW
        self.asked: dict[str, tuple[Any, ...]] = {}
        self.findings: dict[str, Any] = {name: reconcile.Finding([], 2, "compared") for name in ("positions", "pnl", "limits", "engines")}
        self.loss: Any = (Decimal("51.20"), "BTC/USDT lost 51.20")
        self.elsewhere: dict[str, Any] = {}

    def read_books(self, _api: Any, since: float) -> Any:
        self.read.append(since)
        time.sleep(0.05)  # so that all checks are waiting for it
        if isinstance(self.raw, Exception):
            raise self.raw
        return self.raw

    def judge(self, name: str) -> Any:
        def judged(*asked: Any) -> Any:
            self.asked[name] = asked
            answer = self.loss if name == "loss" else self.findings[name]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return judged

    def engines(self, api: Any) -> Any:
        answer = self.elsewhere[api._url]
        if isinstance(answer, Exception):
            raise answer
        return {"engines": [{"symbol": symbol, "status": "running", "mode": "live"} for symbol in answer], "mode": "live", "killed": False}


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    there = Desk()
    monkeypatch.setattr(books, "read", there.read_books)
    monkeypatch.setattr(books, "engines", there.engines)
    monkeypatch.setattr(reconcile, "read_books", lambda raw, fee: ("books", raw["at"], fee))
    for name in ("positions", "pnl", "limits", "engines", "loss"):
        monkeypatch.setattr(reconcile, name, there.judge(name))
    return there


def look(trading: dict[str, Any] | None = None, api: dict[str, Any] | None = None, slot: str = "green") -> dict[str, Sample]:
    settings = {"api": {"urls": {"green": URL}, **(api or {})}, "trading": {**TRADING, **(trading or {})}}
    sources = Sources(settings)
    try:
        return sources.ask(CHECKS, Window(1000.0, 1050.0, slot, "blue"))[0]
    finally:
        sources.close()


def test_all_checks_of_a_look_judge_one_reading(desk: Desk) -> None:
    seen = look()
    assert desk.read == [900.0]
    assert {sample.status for sample in seen.values()} == {OK}
    expected = desk.asked["loss"][1]
    assert (expected.baseline, expected.live, expected.step) == ({"at": 900.0}, {"BTC/USDT": "100.00"}, ["BTC/USDT"])
    assert (expected.sides, expected.limits, expected.now, expected.since) == (["long"], {"position_ratio": "1"}, 1050.0, 1000.0)
    assert {asked[0] for asked in desk.asked.values()} == {("books", 1050.0, Decimal("0.002"))}
    assert desk.asked["positions"][2:] == (3600.0,)
    assert desk.asked["pnl"][2:] == (Decimal("0.01"), Decimal("0.005"))
    assert desk.asked["engines"][2:] == (60.0, {})


def test_findings_become_samples(desk: Desk) -> None:
    desk.findings["pnl"] = reconcile.Finding(["reported 5.00, recomputed 4.95"], 7, "of 12 fills")
    seen = look()
    assert seen["pnl_errors"] == Sample(
        OK, detail="of 12 fills", value=1.0, events=7.0, problems=("reported 5.00, recomputed 4.95",), coverage_ratio=1.0
    )
    assert seen["position_errors"] == Sample(OK, detail="compared", value=0.0, events=2.0)
    assert seen["loss"] == Sample(OK, detail="BTC/USDT lost 51.20", value=51.2)


def test_of_very_many_problems_the_first_are_kept(desk: Desk) -> None:
    desk.findings["positions"] = reconcile.Finding([f"fill {n}" for n in range(5000)], 7, "")
    sample = look()["position_errors"]
    assert (sample.value, len(sample.problems)) == (5000.0, 20)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (books.BooksError("the live book moved while being read"), "moved while being read"),
        (Unavailable("this release offers no form of live_fills"), "no form of live_fills"),
        (HttpError(URL, "connection refused"), "connection refused"),
        ({**RAW, "complete": False}, "does not reach back to where Phase 3 began"),
        (RuntimeError("what nobody thought of"), "could not be read (RuntimeError"),
    ],
)
def test_books_that_cannot_be_read_are_an_error_of_every_check(desk: Desk, raw: Any, says: str) -> None:
    desk.raw = raw
    for sample in look().values():
        assert sample.status == ERROR
        assert says in sample.detail
    assert desk.read == [900.0]


def test_books_that_cannot_be_judged_are_an_error(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.findings["pnl"] = reconcile.UnreadableError("fill 7 has no price")
    seen = look()
    assert (seen["pnl_errors"].status, seen["loss"].status) == (ERROR, OK)
    assert "fill 7 has no price" in seen["pnl_errors"].detail

    def unreadable(_raw: Any, _fee: Any) -> Any:
        raise reconcile.UnreadableError("the portfolio has no cash")

    monkeypatch.setattr(reconcile, "read_books", unreadable)
    assert {sample.status for sample in look().values()} == {ERROR}


def test_every_other_instance_is_asked_for_live_engines(desk: Desk) -> None:
    refused = HttpError(URL, "refused")
    refused.__cause__ = ConnectionRefusedError()
    desk.elsewhere = {"http://blue": ["BTC/USDT"], "http://app2": [], "http://gone": refused}
    seen = look({"other_urls": {"blue on app1": "http://blue", "green on app2": "http://app2", "blue on app2": "http://gone"}})
    assert desk.asked["engines"][3] == {"blue on app1": ["BTC/USDT"], "green on app2": [], "blue on app2": []}
    assert seen["engine_faults"].status == OK


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (HttpError("http://blue", "did not answer in the time that it was given"), "did not answer"),
        (books.BooksError("engines: the answer does not say which engines there are"), "does not say which"),
        (Unavailable("no form of engines"), "no form of engines"),
    ],
)
def test_another_instance_that_does_not_say_is_told_with_the_reason(desk: Desk, answer: Exception, says: str) -> None:
    desk.elsewhere = {"http://blue": answer, "http://app2": []}
    look({"other_urls": {"blue": "http://blue", "app2": "http://app2"}})
    told = desk.asked["engines"][3]
    assert told["app2"] == []
    assert says in told["blue"]
    desk.findings["engines"] = reconcile.UnreadableError("whether blue has a live engine is not known")
    assert look({"other_urls": {"blue": "http://blue"}})["engine_faults"].status == ERROR


def test_without_settings_it_is_an_error(desk: Desk) -> None:
    sources = Sources({"api": {"urls": {"green": URL}}})
    seen = sources.ask(CHECKS, Window(1000.0, 1050.0, "green", "blue"))[0]
    assert {sample.status for sample in seen.values()} == {ERROR}
    assert "sources.trading" in seen["loss"].detail
    assert {sample.status for sample in look(slot="red").values()} == {ERROR}
    assert desk.read == []


def test_a_form_that_is_none_is_an_error(desk: Desk) -> None:
    seen = look(api={"forms": {"live_fills": {"path": "no slash"}}})
    assert {sample.status for sample in seen.values()} == {ERROR}
    assert "levibot_api_forms.live_fills" in seen["loss"].detail


class TestAgainstAServer:
    """The books have a deadline of their own, and get the site's headers and prefix."""

    @pytest.fixture
    def server(self) -> Any:
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer  # noqa: PLC0415

        seen: list[tuple[str, str | None]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append((self.path, self.headers.get("X-Admin-Key")))
                found = self.path.startswith("/api/paper/")
                if not found:
                    time.sleep(0.0 if self.path.startswith("/paper") else 3.0)
                body = b'{"total_pnl": 5}'
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
            http.daemon_threads = True
            threading.Thread(target=http.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{http.server_port}", seen
            http.shutdown()

    def test_the_deadline_is_its_own(self, server: Any) -> None:
        url, _seen = server
        settings = {"timeout_seconds": 30.0, "api": {"urls": {"green": url}}, "trading": {**TRADING, "timeout_seconds": 0.3}}
        began = time.monotonic()
        seen = Sources(settings).ask(CHECKS, Window(1000.0, 1050.0, "green", "blue"))[0]
        assert time.monotonic() - began < 2.5
        assert {sample.status for sample in seen.values()} == {ERROR}

    @pytest.mark.parametrize("prefix", ["", "/api", None])
    def test_a_path_is_found_under_the_prefix_with_the_headers(self, server: Any, prefix: str | None) -> None:
        url, seen = server
        asked = {"id": "pnl", "kind": "api", "source": "api", "path": "/paper/portfolio", "value": "total_pnl"}
        settings = {"api": {"urls": {"green": url}, "headers": {"X-Admin-Key": "k"}, "prefix": prefix}}
        sample = Sources(settings).ask([asked], Window(1000.0, 1050.0, "green", "blue"))[0]["pnl"]
        assert (sample.status, sample.value) == (OK, 5.0)
        assert seen[-1] == ("/api/paper/portfolio", "k")
        assert len(seen) == (1 if prefix else 2)

    def test_a_path_that_is_nowhere_is_told_by_its_first_address(self, server: Any) -> None:
        url, _seen = server
        asked = {"id": "pnl", "kind": "api", "source": "api", "path": "/paperless", "value": "total_pnl"}
        sample = Sources({"api": {"urls": {"green": url}}}).ask([asked], Window(1000.0, 1050.0, "green", "blue"))[0]["pnl"]
        assert sample.status == ERROR
        assert f"{url}/paperless" in sample.detail
