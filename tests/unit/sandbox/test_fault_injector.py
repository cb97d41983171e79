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

from sandbox.faults import FAULTS, Candidate, candidate, clear, inject, parse, reached
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


@pytest.fixture
def slot():
    puts = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            puts.append((self.path, self.headers["Authorization"], json.loads(body)))
            self.send_response(200)
            self.end_headers()

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


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--fault", "errors"],
        ["--fault", "nonsense", "--canary-file", "a", "--stable-file", "b"],
        ["--fault", "starved", "--canary-file", "a", "--stable-file", "b"],
        ["--fault", "errors", "--canary-file", "a", "--stable-file", "b", "--slot-url", "green=http://127.0.0.1:1"],
        ["--clear", "--slot-url", "red=http://127.0.0.1:1"],
        ["--clear", "--slot-url", "green=ftp://127.0.0.1"],
    ],
)
def test_mistaken_arguments_are_refused(arguments):
    with pytest.raises(SystemExit):
        parse(arguments)
