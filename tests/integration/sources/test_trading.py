# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phase 3's gates as the plan has them, over the books of a real stand-in: what is right passes, each fault is caught by its check."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.levibot.transition.plugins.module_utils.gates.judge import Judge
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import Verdict
from ansible_collections.levibot.transition.plugins.module_utils.gates.words import explain
from ansible_collections.levibot.transition.plugins.module_utils.http import Client
from ansible_collections.levibot.transition.plugins.module_utils.levibot import books
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import Api
from ansible_collections.levibot.transition.plugins.module_utils.plan.validate import validate
from ansible_collections.levibot.transition.plugins.module_utils.sources import Sources
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import Window
from tests.integration.daemons import CHECKOUT, wait_for
from tests.standin import TOKEN, Standin, running
from tests.unit.plugins.module_utils.plan.conftest import DEFAULTS, resolved

WINDOW_SECONDS = 8
GUARDRAIL = "position_loss_usd"


def phase() -> dict[str, Any]:
    """The shipped plan's Phase 3, with seconds for hours."""
    shipped: dict[str, Any] = {}
    for path in sorted(DEFAULTS.glob("*.yml")):
        shipped.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    own = {"levibot_version": "v1.8.0-beta", "levibot_compose_file": "docker-compose.yml", "levibot_admin_token": TOKEN}
    apart = ("levibot_plan", "levibot_checks")
    site = {name: value for name, value in shipped.items() if not name.startswith(apart) and "{{" not in str(value)}
    times = {"interval": "2s", "hold": "2m", "blind_after": "3s"}
    steps = {f"step{number}": {"window": f"{WINDOW_SECONDS}s"} for number in (1, 2, 3)}
    checks = {"position_errors": {"max_open": "6s"}, "engine_faults": {"max_heartbeat_age": "4s"}}
    plan = resolved(shipped["levibot_plan"], shipped)
    read, problems = validate(plan, shipped["levibot_checks"], {**site, **own}, {"defaults": times, "phase3": {"steps": steps}}, checks)
    assert problems == []
    return read["phase3"]


PHASE = phase()


def baseline(there: Standin) -> dict[str, Any]:
    return json.loads(json.dumps(books.baseline(books.read(Api(there.url, Client(timeout=5, token=TOKEN))))))


@dataclass
class Desk:
    """A slot with live engines, watched as the gate watches it."""

    there: Standin
    step: dict[str, Any] = field(default_factory=lambda: PHASE["steps"][0])
    others: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.baseline = baseline(self.there)

    def goes_live(self) -> Desk:
        for symbol, dollars in self.step["live"].items():
            self.there.goes_live(symbol, float(dollars))
        return self

    @property
    def sources(self) -> dict[str, Any]:
        step = self.step
        trading = {"baseline": self.baseline, "live": step["live"], "step": list(step["engines"]), "other_urls": self.others}
        trading |= {"sides": PHASE["sides"], "limits": PHASE["limits"], "fee_ratio": "0.001", "timeout_seconds": 10.0}
        return {"api": {"urls": {"green": self.there.url}, "token": TOKEN}, "trading": trading}

    def watch(self, started_at: float | None = None) -> Verdict:
        """Look every interval until the gate is decided."""
        sources, judge = Sources(self.sources), Judge(self.step["gate"])
        began = time.time() if started_at is None else started_at
        while not judge.verdict:
            at = time.time()
            found, _state = sources.ask(self.step["gate"]["checks"], Window(began, at, "green", "blue"))
            judge.look(at - began, found)
            time.sleep(max(0.0, at + self.step["gate"]["interval_seconds"] - time.time()))
        sources.close()
        return judge.verdict


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with running(tmp_path / "green") as there:
        yield Desk(there).goes_live()


def trades(desk: Desk, number: int) -> None:
    wait_for(lambda: len(desk.there.ask("GET", "/live/trades")["trades"]) >= number, f"{number} trades")


@pytest.mark.parametrize("number", [1, 3], ids=["one engine", "the whole portfolio"])
def test_honest_books_pass(tmp_path: Path, number: int) -> None:
    with running(tmp_path / "green") as there, running(tmp_path / "blue") as blue:
        desk = Desk(there, PHASE["steps"][number - 1], {"blue": blue.url, "gone": "http://127.0.0.1:9"}).goes_live()
        verdict = desk.watch()
        assert verdict.verdict == "pass", explain(verdict)
        assert all(check.state == "pass" for check in verdict.checks)


@pytest.mark.parametrize(
    ("faults", "caught_by", "says"),
    [
        ({"wrong_pnl": 0.01}, "pnl_errors", ": its fills come to"),
        ({"missing_fill": True}, "position_errors", "fill"),
        ({"duplicate_fill": True}, "position_errors", "is listed twice"),
        ({"stuck_position": True}, "position_errors", "at most 6 s are allowed"),
        ({"limit_breach": True}, "limit_breaches", "were paid for a position"),
        ({"changed_limit": True}, "limit_breaches", "max_daily_loss_pct: the API reports 50; the plan's is 5"),
        ({"engine_crash": True}, "engine_faults", "has crashed"),
        ({"silent_engine": True}, "engine_faults", "heartbeat"),
        ({"loss": True}, GUARDRAIL, "USD lost: BTC/USDT"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_fault_is_caught_by_its_check(desk: Desk, faults: dict[str, Any], caught_by: str, says: str) -> None:
    trades(desk, 3)
    desk.there.fault(**faults)
    verdict = desk.watch()
    told = explain(verdict)
    assert verdict.verdict == "fail", told
    assert verdict.breach, told
    assert caught_by in verdict.deciding, told
    assert says in told
    # What tells a broken guardrail from all other failures.
    assert (GUARDRAIL in verdict.deciding) == (caught_by == GUARDRAIL), told


def test_a_second_live_engine_in_the_other_slot(desk: Desk, tmp_path: Path) -> None:
    with running(tmp_path / "blue") as blue:
        blue.goes_live()
        desk.others = {"blue on app1": blue.url}
        verdict = desk.watch()
    assert (verdict.verdict, verdict.deciding) == ("fail", ("engine_faults",)), explain(verdict)
    assert "engine BTC/USDT is live on blue on app1 as well" in explain(verdict)


def test_books_that_cannot_be_read_are_blind_and_never_a_pass(desk: Desk) -> None:
    trades(desk, 1)
    desk.there.kill()
    verdict = desk.watch()
    assert verdict.verdict == "blind", explain(verdict)
    assert GUARDRAIL in verdict.deciding


def test_no_trade_holds_and_the_guardrail_still_acts_at_once(tmp_path: Path) -> None:
    """The engine's trades so far are from before this window, and it makes no more: what it then loses is seen in the extension."""
    with running(tmp_path / "green") as there:
        desk = Desk(there).goes_live()
        wait_for(lambda: there.ask("GET", "/live/trades")["trades"], "a trade")
        desk.step = {**desk.step, "engines": {"ETH/USDT": "100.00"}, "gate": {**desk.step["gate"], "window_seconds": 2, "hold_seconds": 60}}
        sources, judge = Sources(desk.sources), Judge(desk.step["gate"])
        began, lost = time.time(), False
        while not judge.verdict:
            found, _state = sources.ask(desk.step["gate"]["checks"], Window(began, time.time(), "green", "blue"))
            look = judge.look(time.time() - began, found)
            if look.verdict == "hold" and not lost:
                assert "0 of at least 1 trades" in look.reason
                there.fault(loss=True)
                lost = True
            time.sleep(0.3)
        sources.close()
        assert lost
        assert (judge.verdict.verdict, judge.verdict.breach) == ("fail", True), explain(judge.verdict)
        assert GUARDRAIL in judge.verdict.deciding


def test_a_history_that_begins_after_the_baseline_is_no_answer(desk: Desk) -> None:
    trades(desk, 1)
    desk.baseline = {**desk.baseline, "fills": 400, "last_fill_id": "400"}
    sources = Sources(desk.sources)
    found, _state = sources.ask(desk.step["gate"]["checks"], Window(time.time() - 5, time.time(), "green", "blue"))
    sources.close()
    assert {sample.status for name, sample in found.items() if name != "engine_faults"} == {"error"}


@pytest.mark.parametrize("observe_from", ["controller", "target"])
def test_the_role_watches_them_from_either_side(desk: Desk, tmp_path: Path, observe_from: str) -> None:
    """As a playbook does it, check mode included; the token is nowhere to be seen."""
    gate = {**desk.step["gate"], "window_seconds": 4, "hold_seconds": 120, "interval_seconds": 10}
    variables = {
        "gate_definition": gate,
        "gate_slot": "green",
        "gate_stable": "blue",
        "gate_trading": {key: value for key, value in desk.sources["trading"].items() if key not in ("fee_ratio", "timeout_seconds")},
        "levibot_api_urls": {"green": desk.there.url, "blue": "http://127.0.0.1:9"},
        "levibot_admin_token": TOKEN,
        "levibot_ledger_host": "localhost",
        "levibot_observe_from": observe_from,
        "levibot_prometheus_url": "http://127.0.0.1:9",
    }
    result = tmp_path / "result.json"
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": variables,
        "tasks": [
            {"ansible.builtin.include_role": {"name": "levibot.transition.gate"}},
            {"ansible.builtin.copy": {"content": "{{ gate_result | to_json }}", "dest": str(result)}, "check_mode": False},
        ],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")

    def run(*options: str) -> dict[str, Any]:
        environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        environment |= {"ANSIBLE_HOME": str(tmp_path / "home"), "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote")}
        command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "-c", "local", "-vvv"]
        command += ["-e", f"ansible_python_interpreter={sys.executable}", *options, tmp_path / "play.yml"]
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=200)
        assert done.returncode == 0, done.stdout + done.stderr
        assert TOKEN not in done.stdout + done.stderr
        return json.loads(result.read_text(encoding="utf-8"))

    planned = run("--check")
    assert planned["verdict"] == "unjudged"
    assert "position_loss_usd < 50 USD; position_errors == 0" in planned["reason"]
    told = run()
    assert told["verdict"] == "pass", told["reason"]
    with suppress(OSError):
        result.unlink()
