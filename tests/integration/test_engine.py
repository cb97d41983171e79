# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine module against the stand-in: what it says runs does run, and what it may not start is not started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.modules import engine as module
from tests.standin import ROOT, TOKEN, Standin, running

from .api_bed import Lost, audited, meddled, run  # noqa: F401 - a fixture
from .daemons import wait_for

SYMBOL = "SOL/USDT"  # of others paper engines run from the start
LIVE = {"mode": "live", "capital_usd": "100.00"}
STOP = {"state": "stopped"}


@pytest.fixture
def engine(run: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:  # noqa: F811
    def call(where: Standin | str, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
        url = where if isinstance(where, str) else where.url
        return run(module, check=check, **{"url": url, "token": TOKEN, "symbol": SYMBOL, **arguments})

    return call


def seen(there: Standin, symbol: str = SYMBOL) -> tuple[str, str, float] | None:
    """(status, mode, capital), as the stand-in has it."""
    for one in there.ask("GET", "/engines/status")["engines"]:
        if one["symbol"] == symbol:
            return one["status"], one.get("mode", "not said"), one.get("capital", 0.0)
    return None


def holds(there: Standin, symbol: str = SYMBOL) -> bool:
    return any(row["symbol"] == symbol for row in there.ask("GET", "/live/positions")["positions"])


@pytest.mark.parametrize("form", ["plan", "both"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_run_again_modify_remove(engine: Callable[..., dict[str, Any]], form: str, workers: str, tmp_path: Path):
    """The matrix of CONTRIBUTING.md, each without and with check mode before."""
    with running(tmp_path, LEVIBOT_API_FORM=form, LEVIBOT_WORKERS=workers) as there:
        planned = engine(there, check=True, **LIVE)
        assert (planned["changed"], seen(there), planned["calls"]) == (True, None, [])
        difference = {"before": f"{SYMBOL}: absent\n", "after": f"{SYMBOL}: running, mode live, capital 100.00 USD\n"}
        assert planned["diff"] == difference
        done = engine(there, **LIVE)
        assert (done["changed"], done["unconfirmed"], done["diff"]["before"]) == (True, [], difference["before"])
        assert seen(there) == ("running", "live", 100.0)
        (sent,) = done["calls"]
        assert (sent["call"], sent["status"], sent["method"], sent["path"]) == ("start_live", 200, "POST", "/engines/start")
        (logged,) = audited(there, "engine_start")
        assert (logged["symbol"], logged["mode"]) == (SYMBOL, "live")
        assert abs(logged["ts"] - sent["at"]) < 1
        for check in (True, False):
            again = engine(there, check=check, **LIVE)
            assert (again["changed"], again["calls"]) == (False, [])

        more = {**LIVE, "capital_usd": "250.50"}
        assert engine(there, check=True, **more)["changed"]
        assert seen(there) == ("running", "live", 100.0)
        done = engine(there, **more)
        assert [one["call"] for one in done["calls"]] == ["stop_closing", "start_live"]
        assert (done["before"]["capital_usd"], done["after"]["capital_usd"]) == ("100.0", "250.5")
        assert seen(there) == ("running", "live", 250.5)

        assert engine(there, check=True, **STOP)["changed"]
        assert seen(there) == ("running", "live", 250.5)
        done = engine(there, **STOP)
        assert (done["changed"], done["open"], holds(there), seen(there)[0]) == (True, {}, False, "stopped")
        for check in (True, False):
            again = engine(there, check=check, **STOP)
            assert (again["changed"], again["calls"], again["open"]) == (False, [], {})
        assert engine(there, symbol="XRP/USDT", **STOP)["after"]["status"] == "absent"


def test_what_cannot_carry_mode_and_capital_starts_nothing(engine: Callable[..., dict[str, Any]], tmp_path: Path):
    with running(tmp_path, LEVIBOT_API_FORM="field") as there:
        for symbol in (SYMBOL, "BTC/USDT"):  # the second runs on paper, and goes on
            before = seen(there, symbol)
            for check in (True, False):
                refused = engine(there, check=check, symbol=symbol, **LIVE)
                assert (refused["failed"], refused["changed"], refused["calls"]) == (True, False, [])
                assert "no form of start_live that carries mode and capital" in refused["msg"]
            assert seen(there, symbol) == before
        assert not (there.data / "audit.jsonl").exists() or audited(there, "engine_start") == []
        own = engine(there, forms={"start_live": {"path": "/engines/start/{symbol}"}}, **LIVE)
        assert "live trading needs a form with mode and capital" in own["msg"]
        assert seen(there) is None


@pytest.mark.parametrize("form", ["field", "plan", "both"])
def test_paper_in_every_form(engine: Callable[..., dict[str, Any]], form: str, tmp_path: Path):
    with running(tmp_path, LEVIBOT_API_FORM=form, LEVIBOT_WORKERS="2") as there:
        done = engine(there, mode="paper")
        # The field's form neither takes nor tells a mode: the server as a whole is asked.
        fielded = form == "field"
        assert (done["changed"], seen(there)[:2]) == (True, ("running", "not said" if fielded else "paper"))
        assert done["unconfirmed"] == (["mode: only the server as a whole says it, and said it before"] if fielded else [])
        assert not engine(there, mode="paper")["changed"]
        told = engine(there, mode="paper", capital_usd="300")
        if fielded:
            assert (told["changed"], told["unconfirmed"][1:]) == (False, ["capital: no form of this release carries it in paper mode"])
        else:
            assert (told["changed"], seen(there)) == (True, ("running", "paper", 300.0))


def test_paper_is_stopped_before_it_goes_live(engine: Callable[..., dict[str, Any]], tmp_path: Path):
    with running(tmp_path) as there:
        done = engine(there, symbol="BTC/USDT", **LIVE)
        assert [one["call"] for one in done["calls"]] == ["stop_closing", "start_live"]
        assert (done["before"]["mode"], done["after"]["mode"]) == ("paper", "live")
        assert seen(there, "BTC/USDT") == ("running", "live", 100.0)


def test_nothing_starts_under_the_kill_switch(engine: Callable[..., dict[str, Any]], tmp_path: Path):
    with running(tmp_path) as there:
        there.ask("POST", "/live/kill?on=true")
        refused = engine(there, symbol="BTC/USDT", **LIVE)
        assert "the kill switch is on. Nothing was started" in refused["msg"]
        assert (refused["calls"], seen(there, "BTC/USDT")[:2]) == ([], ("running", "paper"))


def test_a_position_can_be_left(engine: Callable[..., dict[str, Any]], tmp_path: Path):
    with running(tmp_path) as there:
        engine(there, **LIVE)
        wait_for(lambda: holds(there), "a position")
        there.fault(stuck_position=True)  # so that it is there when the stop comes
        wait_for(lambda: holds(there), "a position that stays")
        done = engine(there, positions="leave", **STOP)
        assert (done["open"]["symbol"], done["calls"][0]["query"]) == (SYMBOL, {"close": "false"})
        assert float(done["open"]["quantity"]) != 0
        # Asked again, it is told again; and it can still be closed.
        again = engine(there, positions="leave", **STOP)
        assert (again["changed"], again["open"]) == (False, done["open"])


def test_a_start_whose_answer_is_lost_is_sent_once(engine: Callable[..., dict[str, Any]], tmp_path: Path):
    def swallow(_method: str, path: str, body: Any, forward: Callable[[Any], Any]) -> Any:
        told = forward(body)
        if path == "/engines/start":
            raise Lost
        return told

    with running(tmp_path) as there, meddled(there, swallow) as url:
        done = engine(url, **LIVE)
        assert (done["failed"], done["changed"], seen(there)) == (False, True, ("running", "live", 100.0))
        assert (done["calls"], [one["status"] for one in done["unanswered"]]) == ([], [None])
        assert len(audited(there, "engine_start")) == 1


def test_a_start_that_is_not_seen_to_arrive_is_not_sent_again(engine: Callable[..., dict[str, Any]], tmp_path: Path):
    """The process that has it may carry it out late, while another one says that nothing runs."""

    def drop(_method: str, path: str, body: Any, forward: Callable[[Any], Any]) -> Any:
        if path == "/engines/start":
            raise Lost
        return forward(body)

    with running(tmp_path) as there, meddled(there, drop) as url:
        failed = engine(url, timeout_seconds=2.0, **LIVE)
        assert (failed["failed"], failed["changed"], seen(there)) == (True, True, None)
        assert f"{SYMBOL} was not seen to run" in failed["msg"]
        assert "may still be carried out" in failed["msg"]
        assert [one["call"] for one in failed["unanswered"]] == ["start_live"]
        assert {one["call"] for one in failed["calls"]} == {"stop_closing"}


@pytest.mark.parametrize(("status", "late"), [(None, 1.5), (502, 0.0), (504, 1.5)])
def test_a_start_that_is_carried_out_late_is_sent_once(
    engine: Callable[..., dict[str, Any]], status: int | None, late: float, tmp_path: Path
):
    sent: list[str] = []

    def delayed(_method: str, path: str, body: Any, forward: Callable[[Any], Any]) -> Any:
        if path != "/engines/start":
            return forward(body)
        sent.append(path)
        threading.Timer(late, forward, [body]).start()
        if status is None:
            raise Lost
        return status, {"detail": "the upstream did not answer"}

    with running(tmp_path) as there, meddled(there, delayed) as url:
        done = engine(url, **LIVE)
        assert (done["failed"], done["changed"], seen(there)) == (False, True, ("running", "live", 100.0))
        assert (len(sent), len(audited(there, "engine_start"))) == (1, 1)


@pytest.mark.parametrize(("capital", "passes"), [(100, True), (70, False)])
def test_already_exists_is_read_and_not_believed(engine: Callable[..., dict[str, Any]], capital: float, passes: bool, tmp_path: Path):
    """Somebody else's start came first: what runs then is as asked, or it is not."""

    def overtaken(_method: str, path: str, body: Any, forward: Callable[[Any], Any]) -> Any:
        if path == "/engines/start":
            forward({**body, "capital": capital})
        return forward(body)  # 400, already exists

    with running(tmp_path) as there, meddled(there, overtaken) as url:
        done = engine(url, **LIVE)
        assert done["failed"] is not passes, done
        assert [one["status"] for one in done["calls"]] == [400]
        if not passes:
            assert "already exists" in done["msg"]
            assert "70" in done["msg"]
            assert seen(there) == ("running", "live", 70.0), "it is not ours to stop"


@pytest.mark.parametrize("changed", [{"capital": 1000}, {"mode": "paper"}])
def test_what_is_not_read_back_as_asked_is_stopped_again(engine: Callable[..., dict[str, Any]], changed: dict[str, Any], tmp_path: Path):
    def falsified(_method: str, path: str, body: Any, forward: Callable[[Any], Any]) -> Any:
        return forward({**body, **changed} if path == "/engines/start" else body)

    with running(tmp_path) as there, meddled(there, falsified) as url:
        failed = engine(url, **LIVE)
        assert failed["failed"]
        assert "does not run as it was asked for, mode live, capital 100.00 USD" in failed["msg"]
        assert "It was stopped again" in failed["msg"]
        assert seen(there)[0] == "stopped"
        assert [one["call"] for one in failed["calls"]] == ["start_live", "stop_closing"]


def test_an_api_that_hangs_ends_in_time_and_is_no_success(engine: Callable[..., dict[str, Any]], tmp_path: Path):
    with running(tmp_path) as there:
        there.fault(hang=True)
        began = time.monotonic()
        for arguments in (LIVE, STOP):
            failed = engine(there, timeout_seconds=1.5, call_timeout_seconds=0.5, **arguments)
            assert failed["failed"]
            assert failed["calls"] == []
        assert time.monotonic() - began < 8


def test_what_cannot_be_meant_is_refused_at_once(engine: Callable[..., dict[str, Any]]):
    wrong = engine("http://127.0.0.1:9", symbol="btcusdt", mode="live", capital_usd="100.001", confirm_reads=0)
    for text in ("symbol: BASE/QUOTE", "capital_usd: USD in whole cents", "confirm_reads: at least 1", "Nothing was done"):
        assert text in wrong["msg"]
    assert "mode is live but all of the following are missing: capital_usd" in engine("http://127.0.0.1:9", mode="live")["msg"]
    for text in ("NaN", "-5", "0", "ten", "1e3x"):
        assert "capital_usd" in engine("http://127.0.0.1:9", mode="live", capital_usd=text)["msg"]
    assert "nothing listens there" in engine("http://127.0.0.1:9", timeout_seconds=0.5, **LIVE)["msg"]


def test_the_token_is_in_no_output(tmp_path: Path):
    with running(tmp_path) as there:
        arguments = {"url": there.url, "token": TOKEN, "symbol": SYMBOL, **LIVE}
        done = subprocess.run(
            [Path(sys.executable).parent / "ansible", "localhost", "-vvv", "-m", "levibot.transition.engine", "-a", json.dumps(arguments)],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert seen(there) == ("running", "live", 100.0)
        # The command line that a person typed is his own; Ansible's -vvv shows the arguments with the token hidden.
        assert TOKEN not in done.stdout + done.stderr
