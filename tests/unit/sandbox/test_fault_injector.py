# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""The injector finds the candidate by the edge's files, waits for its weight, and undoes what it did."""

from __future__ import annotations

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from sandbox.faults import FAULTS, OF_LIVE_TRADING, SECOND_LIVE, Candidate, candidate, clear, inject, parse, reached, serving
from sandbox.levibot.standin.faults import Faults


@pytest.mark.parametrize(
    ("canary", "stable", "expected"),
    [
        (None, "0000", Candidate("green", 0)),
        (None, None, Candidate("green", 0)),
        (None, "g", Candidate("blue", 0)),
        ("8000", "0000", Candidate("green", 50)),
        ("g", "0000", Candidate("green", 100)),
        ("8000", "g", Candidate("blue", 50)),
        ("0000", "g", Candidate("blue", 100)),
        ("4000\n", "0000\n", Candidate("green", 25)),
    ],
)
def test_the_candidate_is_the_one_that_is_not_stable(canary, stable, expected):
    assert candidate(canary, stable) == expected


@pytest.mark.parametrize(("stable", "slot"), [(None, "blue"), ("0000", "blue"), ("g", "green")])
def test_the_slot_that_serves_is_the_lasting_files(stable, slot):
    assert serving(stable) == slot


@pytest.mark.parametrize("content", ["", "10", "G", "12345", "-001", "zzzz"])
def test_other_contents_are_refused(content):
    with pytest.raises(ValueError, match="neither g nor"):
        candidate(content, "0000")


@pytest.mark.parametrize("weight", [1, 5, 10, 33, 50, 99])
@pytest.mark.parametrize("stable", ["0000", "g"])
def test_a_weight_is_reached_when_it_is_set_however_it_was_rounded(weight, stable):
    def share(percent: float, rounding) -> str:
        return f"{rounding(65536 * (percent if stable == '0000' else 100 - percent) / 100):04x}"

    for rounding in (int, round):
        assert reached(candidate(share(weight, rounding), stable), weight)
        assert not reached(candidate(share(weight - 0.5, rounding), stable), weight)


def test_every_fault_is_one_that_the_stand_in_knows():
    for body in FAULTS.values():
        assert Faults.from_dict(body).to_dict() == body


def test_what_is_waited_for_when_nobody_says_it():
    assert {*FAULTS, SECOND_LIVE} >= OF_LIVE_TRADING
    for fault in (*FAULTS, SECOND_LIVE):
        given = parse(["--fault", fault, "--canary-file", "a", "--stable-file", "b", *BOTH])
        assert (given.at_weight, given.at_live) == ((None, 1) if fault in OF_LIVE_TRADING else (10.0, None))
    assert parse(["--fault", "loss", "--at-weight", "50", "--canary-file", "a", "--stable-file", "b", *BOTH]).at_live is None


@pytest.fixture
def slot():
    puts = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            puts.append((self.path, self.headers["Authorization"], json.loads(body)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", puts
    server.shutdown()
    server.server_close()


@pytest.fixture
def files(tmp_path):
    (tmp_path / "stable").write_text("0000")
    return tmp_path


def options(files, *more):
    return parse(["--canary-file", str(files / "canary"), "--stable-file", str(files / "stable"), "--timeout", "0.5", *more])


def weigh(files, share, seconds=60.0):
    (files / "canary").write_text(share)
    os.utime(files / "canary", (time.time() + seconds,) * 2)


def test_it_waits_for_the_weight_and_switches_on_in_the_candidate(files, slot):
    url, puts = slot
    said = []
    wanted = options(files, "--fault", "errors", "--at-weight", "50", "--slot-url", "blue=http://127.0.0.1:1", "--slot-url", f"green={url}")
    weigh(files, "199a")
    assert not inject(wanted, "a-token", said.append)
    assert not puts
    weigh(files, "8000", seconds=-1)
    assert not inject(wanted, "a-token", said.append)
    weigh(files, "8000")
    assert inject(wanted, "a-token", said.append)
    assert puts == [("/sandbox/faults", "Bearer a-token", FAULTS["errors"])]
    assert said[-1] == "errors switched on in green at 50 %"


def test_starving_pauses_the_traffic_and_clearing_undoes_all(files, slot):
    url, puts = slot
    pause, data = files / "pause", files / "data"
    data.mkdir()
    (data / "faults.json").write_text('{"crash": true}')
    weigh(files, "g")
    assert inject(options(files, "--fault", "starved", "--at-weight", "100", "--pause-file", str(pause)), "", print)
    assert pause.exists()
    slots = ["--slot-url", f"blue={url}", "--slot-url", "green=http://127.0.0.1:1", "--slot-data", f"green={data}"]
    undo = parse(["--clear", "--pause-file", str(pause), *slots])
    assert clear(undo, "a-token", print)
    assert not pause.exists()
    assert not (data / "faults.json").exists()
    assert puts == [("/sandbox/faults", "Bearer a-token", {})]


class Api:
    """An answer for each engine's state; what else was asked is kept."""

    def __init__(self) -> None:
        self.engines: list[dict[str, object]] = []
        self.start_status = 200
        self.asked: list[tuple[str, str, object]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
                if self.command != "GET":
                    api.asked.append((self.command, self.path, body))
                self.send_response(api.start_status if self.path == "/engines/start" else 200)
                self.end_headers()
                self.wfile.write(json.dumps({"engines": api.engines, "detail": "the kill switch is on"}).encode())

            do_GET = do_PUT = do_POST = answer  # noqa: N815 - as the base class calls them

            def log_message(self, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def lists(self, **modes: str) -> None:
        """Engines by symbol: live, paper, or stopped, which is a live one that does not run."""
        self.engines = [
            {"symbol": f"{name}/USDT", "mode": mode.replace("stopped", "live"), "capital": 100.0}
            | {"status": "stopped" if mode == "stopped" else "running"}
            for name, mode in modes.items()
        ]

    def end(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def apis():
    """Blue and green."""
    both = (Api(), Api())
    yield both
    for one in both:
        one.end()


def at_live(files, fault, count, apis):
    slots = [f"--slot-url={slot}={api.url}" for slot, api in zip(("blue", "green"), apis, strict=True)]
    return parse(["--fault", fault, "--at-live", str(count), "--stable-file", str(files / "stable"), "--timeout", "0.5", *slots])


@pytest.mark.parametrize("stable", ["0000", "g"])
def test_it_waits_for_live_engines_in_the_slot_that_serves(files, apis, stable):
    (files / "stable").write_text(stable)
    serves, idle = apis if stable == "0000" else reversed(apis)
    said = []
    idle.lists(BTC="live", ETH="live", SOL="live")
    serves.lists(BTC="live", ETH="paper", SOL="stopped")
    wanted = at_live(files, "wrong_pnl", 3, apis)
    assert not inject(wanted, "a-token", said.append)
    assert serves.asked == idle.asked == []
    assert said == ["wrong_pnl not switched on within 0.5 s: there never were 3 live engines in the slot that serves"]
    serves.lists(BTC="live", ETH="live", SOL="live", BNB="live")
    assert inject(wanted, "a-token", said.append)
    assert serves.asked == [("PUT", "/sandbox/faults", {"wrong_pnl": 0.01})]
    assert idle.asked == []
    slot = serving(stable)
    assert said[-1] == f"wrong_pnl switched on in {slot}, with 4 live engines there"


def test_engines_whose_mode_is_not_told_are_waited_for(files, apis):
    apis[0].engines = [{"symbol": "BTC/USDT", "status": "running"}]
    assert not inject(at_live(files, "loss", 1, apis), "a-token", print)
    assert apis[0].asked == []


def test_a_second_live_engine_is_started_in_the_other_slot_and_clearing_stops_it(files, apis):
    blue, green = apis
    said = []
    blue.lists(ETH="paper", BTC="live")
    assert inject(at_live(files, SECOND_LIVE, 1, apis), "a-token", said.append)
    assert green.asked == [("POST", "/engines/start", {"symbol": "BTC/USDT", "mode": "live", "capital": 100.0})]
    assert blue.asked == []
    assert said == ["second_live switched on in green, for BTC/USDT, which is live in blue"]
    green.lists(BTC="live", ETH="paper")
    slots = ["--slot-url", f"blue={blue.url}", "--slot-url", f"green={green.url}", "--stable-file", str(files / "stable")]
    assert clear(parse(["--clear", *slots]), "a-token", said.append)
    assert green.asked[1:] == [("PUT", "/sandbox/faults", {}), ("POST", "/engines/stop/BTC%2FUSDT", None)]
    assert blue.asked == [("PUT", "/sandbox/faults", {})], "what serves goes on"


def test_another_slot_that_is_gone_or_refuses_is_said_at_once(files, apis):
    blue, green = apis
    said = []
    blue.lists(BTC="live")
    green.start_status = 409
    wanted = at_live(files, SECOND_LIVE, 1, apis)
    wanted.timeout = 60.0
    assert not inject(wanted, "a-token", said.append)
    assert "green does not start a live engine for BTC/USDT: 409" in said[-1]
    assert "the kill switch is on" in said[-1]
    wanted.slot_url["green"] = "http://127.0.0.1:1"
    assert not inject(wanted, "a-token", said.append)
    assert said[-1].startswith("second_live not switched on: green does not answer at http://127.0.0.1:1 (")
    assert "are its containers gone?" in said[-1]


BOTH = ["--slot-url", "blue=http://127.0.0.1:1", "--slot-url", "green=http://127.0.0.1:1"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--fault", "errors"],
        ["--fault", "nonsense", "--canary-file", "a", "--stable-file", "b"],
        ["--fault", "starved", "--canary-file", "a", "--stable-file", "b"],
        ["--fault", "errors", "--canary-file", "a", "--stable-file", "b", "--slot-url", "green=http://127.0.0.1:1"],
        ["--fault", "loss", "--at-live", "0", "--stable-file", "b", *BOTH],
        ["--fault", "loss", "--at-live", "1", *BOTH],
        ["--fault", "loss", "--at-live", "1", "--at-weight", "10", "--stable-file", "b", *BOTH],
        ["--fault", "loss", "--at-live", "1", "--stable-file", "b", "--slot-url", "green=http://127.0.0.1:1"],
        ["--fault", "second_live", "--at-weight", "10", "--canary-file", "a", "--stable-file", "b", *BOTH],
        ["--clear", "--slot-url", "red=http://127.0.0.1:1"],
        ["--clear", "--slot-url", "green=ftp://127.0.0.1"],
    ],
)
def test_mistaken_arguments_are_refused(arguments):
    with pytest.raises(SystemExit):
        parse(arguments)
