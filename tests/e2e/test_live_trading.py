# SPDX-License-Identifier: GPL-3.0-or-later
"""Phase 3 on the sandbox: refused where it has to be, continued over a kill, live at its end; and ways to end it, seen in the engines."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger
from tests.chaos.bed import Bed, kill_tree
from tests.chaos.invariants import broken

from .conftest import BIN, ENVIRONMENT, ROLLOUT_SECONDS, ROOT, SHORT, STATE, WITHOUT_GO, Rollout, Sandbox, run

TOKEN = "sandbox-admin-token"
STABLE = "v1.7.0"
OTHER = {"blue": "green", "green": "blue"}
# Windows in which each of the stand-in's engines trades several times, and a hold in which a run can be started again.
LIVE: dict[str, Any] = json.loads(json.dumps({**SHORT, **WITHOUT_GO}))
LIVE["levibot_plan_overrides"]["defaults"] |= {"hold": "60s", "blind_after": "10s"}
# The second one is long enough to be found in the middle of it: looks are recorded every 15 s.
LIVE["levibot_plan_overrides"]["phase3"] = {"steps": {"step1": {"window": "5s"}, "step2": {"window": "24s"}, "step3": {"window": "5s"}}}
LIVE["engines_watch_seconds"] = 0  # so that the guardrails are looked at before each start
PLAYBOOK = "playbooks/phase3_live_trading.yml"
APPROVAL = {"approve_what": "live", "approve_who": "maria", "approve_until": ""}


class Desk:
    """Where an operator sits who goes live."""

    def __init__(self, sandbox: Sandbox, variables: dict[str, Any] | None = None) -> None:
        self.sandbox = sandbox
        self.slot = sandbox.stable_slot()
        self.variables = variables or LIVE

    def play(self, playbook: str = PLAYBOOK, *options: str, **variables: Any) -> Rollout:
        command = [BIN / "ansible-playbook", playbook, "-e", json.dumps({**self.variables, **variables}), *options]
        done = run(command, timeout=ROLLOUT_SECONDS)
        return Rollout(done.returncode, done.stdout, self.record())

    def approve(self, **variables: Any) -> None:
        reason = f"it looks well at {time.time()}"
        done = self.play("playbooks/approve.yml", **APPROVAL, approve_reason=reason, **variables)
        assert done.exit_code == 0, done.output[-3000:]

    def start_the_other_slot(self) -> None:
        """As a person would who starts the release before by hand."""
        other = OTHER[self.slot]
        home = STATE / "levibot"
        release = home / "releases" / (home / "slots" / other / "release").read_text(encoding="ascii").strip()
        compose = ["docker", "compose", "--project-name", f"{self.sandbox.project}-{other}"]
        compose += [
            "--env-file",
            home / "slots" / other / "compose.env",
            "--file",
            release / "compose.yml",
            "--file",
            release / f"override.{other}.yml",
        ]
        run([*compose, "up", "--detach", "--wait", "--no-deps", "api"], check=True)

    def record(self) -> list[dict[str, Any]]:
        with Ledger(STATE / "levibot/ledger.db", writable=False) as ledger:
            return [entry.to_dict() for entry in ledger.read(ledger.latest_rollout())]

    def ask(self, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> Any:
        url = f"http://127.0.0.1:{self.sandbox.ports[f'{self.slot}_api']}{path}"
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers, method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - the sandbox's own API
            return json.loads(answer.read())

    def live(self) -> dict[str, float]:
        """By symbol the capital of the engines that trade live."""
        engines = self.ask("/engines/status")["engines"]
        return {one["symbol"]: one["capital"] for one in engines if one["status"] == "running" and one["mode"] == "live"}

    def killed(self) -> bool:
        return self.ask("/live/status")["kill_switch_active"]

    def release(self) -> None:
        options = {"kill_state": "released", "kill_reason": "the test goes on", "kill_who": "the tests", "kill_slots": self.slot}
        assert self.play("playbooks/kill_switch.yml", **options).exit_code == 0
        assert not self.killed()
        self.flatten()

    def flatten(self) -> None:
        """A kill leaves positions as they are, and nobody goes live on top of them."""
        for one in self.ask("/live/positions")["positions"]:
            self.ask(f"/engines/stop/{urllib.parse.quote(one['symbol'], safe='')}?close=true", "POST")
        assert self.ask("/live/positions")["positions"] == []

    def tidy_up(self) -> None:
        """Before the next attempt: the kill switch is released, and what has crashed or is open is ended."""
        self.ask("/live/kill?on=false", "POST")
        for engine in self.ask("/engines/status")["engines"]:
            if engine["status"] == "crashed":
                self.ask(f"/engines/stop/{urllib.parse.quote(engine['symbol'], safe='')}", "POST")
        self.flatten()

    @contextmanager
    def under_way(self, reached: Callable[[list[dict[str, Any]]], bool]) -> Iterator[tuple[subprocess.Popen[str], Path]]:
        """A run that has got so far by its record, and its output."""
        log = ROOT / "build/logs/live.log"
        before = [entry["rollout"] for entry in self.record()[:1]]
        command = [str(BIN / "ansible-playbook"), PLAYBOOK, "-e", json.dumps(self.variables)]
        with log.open("w") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=output, stderr=output, text=True)
        try:
            deadline = time.monotonic() + ROLLOUT_SECONDS
            while True:
                entries = self.record()
                if [entry["rollout"] for entry in entries[:1]] != before and reached(entries):
                    break
                assert process.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield process, log
        finally:
            if process.poll() is None:
                kill_tree(process.pid)
                process.wait(10)

    def start_and_kill_when(self, reached: Callable[[list[dict[str, Any]]], bool]) -> None:
        """A run whose control process is killed with all that belongs to it when the record has got so far."""
        with self.under_way(reached):
            pass

    def breaks(self, fault: str, live: int) -> Rollout:
        """A run in which the serving slot breaks when so many engines are seen to be live; the fault is undone afterwards."""
        with self.under_way(lambda entries: len(actions(entries, "result", "start")) >= live) as (process, log):
            injector = subprocess.Popen([sys.executable, "sandbox/sandbox.py", "fault", f"{fault}@live{live}"], cwd=ROOT, env=ENVIRONMENT)
            try:
                return Rollout(process.wait(ROLLOUT_SECONDS), log.read_text(), self.record())
            finally:
                injector.terminate()
                injector.wait(timeout=10)
                self.sandbox.heal()


def actions(entries: list[dict[str, Any]], kind: str, action: str) -> list[dict[str, Any]]:
    return [entry["data"] for entry in entries if entry["kind"] == kind and entry["data"].get("action") == action]


def assert_promises() -> None:
    assert broken(Bed().observe(explained=lambda _reason: True)) == []


THE_OTHER_SLOT = """\
- hosts: app_hosts
  gather_facts: false
  environment: "{{ levibot_environment }}"
  roles: [{role: levibot.transition.environment, environment_slot: "{{ other }}"}]
"""
SPLIT = """\
- hosts: edge_hosts
  gather_facts: false
  tasks:
    - levibot.transition.edge_split:
        {run_dir: "{{ edge_run_dir }}", lib_dir: "{{ edge_lib_dir }}", candidate: "{{ other }}", weight: 10, expires_in_seconds: 600}
"""


def test_refused_with_all_that_a_site_lacks_before_anything_is_started(sandbox: Sandbox, tmp_path: Path):
    """The release before serves, its API knows neither mode nor capital, in the other slot an engine is live, and nothing is decided."""
    desk, other = Desk(sandbox), Desk(sandbox)
    other.slot = OTHER[desk.slot]

    def play(text: str) -> None:
        (tmp_path / "play.yml").write_text(text, encoding="utf-8")
        run([BIN / "ansible-playbook", tmp_path / "play.yml", "-e", f"other={other.slot} levibot_version={STABLE}"], check=True)

    try:
        older = {"levibot_compose_environment": {"ADMIN_TOKEN": TOKEN, "LEVIBOT_API_FORM": "field"}, "levibot_version": STABLE}
        assert desk.play("playbooks/adopt.yml", **older).exit_code == 0
        play(THE_OTHER_SLOT)
        assert desk.play("playbooks/approve.yml", **APPROVAL, approve_reason="nothing is decided", approve_revoke=True).exit_code == 0
        other.ask("/engines/start", "POST", {"symbol": "ETH/USDT", "mode": "live", "capital": 100})

        for split, reasons in (
            (
                False,
                (
                    f"{desk.slot} on sandbox holds {STABLE}",
                    f"engines of {other.slot} on sandbox",
                    "live already: ETH/USDT with 100",
                    "phase 3 needs start_live, such as POST /engines/start with a body of symbol, mode, capital",
                    "the approval of live trading",
                ),
            ),
            (True, ("a canary is open", f"{other.slot} 10.0 %", "live already: ETH/USDT with 100")),
        ):
            if split:
                play(SPLIT)
            before = sandbox.everything()
            refused = desk.play()
            assert refused.exit_code != 0
            for words in ("nothing was started", *reasons):
                assert words in refused.output, refused.output[-6000:]
            # On paper what has no mode: the server as a whole says so.
            assert desk.ask("/live/status")["mode"] == "paper"
            assert other.live() == {"ETH/USDT": 100}
            assert sandbox.everything() == before
    finally:
        sandbox.stable_release()


@pytest.fixture(scope="module")
def desk(sandbox: Sandbox) -> Desk:
    """With the candidate promoted, and nothing else done for Phase 3."""
    done = run([BIN / "ansible-playbook", "playbooks/phase2_bluegreen.yml", "-e", json.dumps(LIVE)], timeout=ROLLOUT_SECONDS)
    assert done.returncode == 0, done.stdout[-5000:]
    return Desk(sandbox)


@pytest.fixture(autouse=True)
def ends_with_nothing_live(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test has found: the next one begins as if it had not been."""
    yield
    if "desk" in request.fixturenames:
        desk = request.getfixturevalue("desk")
        if desk.live() or desk.killed():
            desk.play("playbooks/rollback.yml")
            desk.tidy_up()


def test_refused_with_everything_that_is_missing_and_nothing_is_started(desk: Desk):
    before = desk.sandbox.everything()
    plan = json.loads(json.dumps(LIVE["levibot_plan_overrides"]))
    plan["phase3"]["drill_max_age"] = "1s"  # whatever was rehearsed in this slot before
    refused = desk.play(levibot_plan_overrides=plan)
    assert refused.exit_code != 0
    for words in (
        "2 things are in the way of live trading; nothing was started",
        "the kill switch's drill",
        "the approval of live trading",
    ):
        assert words in refused.output, refused.output[-3000:]
    assert desk.live() == {}
    assert desk.sandbox.everything() == before


def test_killed_in_a_soak_it_goes_on_and_is_live_at_its_end_until_a_rollback(desk: Desk):
    drill = desk.play("playbooks/kill_drill.yml")
    assert drill.exit_code == 0, drill.output[-3000:]
    desk.approve()

    before = desk.sandbox.everything()
    shown = desk.play(PLAYBOOK, "--check", "--diff")
    assert shown.exit_code == 0, shown.output[-5000:]
    assert "+BTC/USDT: running, mode live, capital 100" in shown.output
    assert (desk.live(), desk.sandbox.everything()) == ({}, before)

    desk.start_and_kill_when(lambda entries: any(e["kind"] == "look" and e["data"]["gate"] == "phase3.step2" for e in entries))
    assert desk.live() == {"BTC/USDT": 100, "ETH/USDT": 100, "SOL/USDT": 100}
    # Phase 2 keeps its hands off meanwhile, and a playbook of all phases gets past it.
    past = run([BIN / "ansible-playbook", "playbooks/phase2_bluegreen.yml", "-e", json.dumps(LIVE)], timeout=ROLLOUT_SECONDS)
    assert past.returncode == 0, past.stdout[-3000:]
    assert "serves already" in past.stdout

    assert not any(entry["kind"] == "verdict" and entry["data"]["gate"] == "phase3.step2" for entry in desk.record())

    done = desk.play()
    assert done.exit_code == 0, done.output[-5000:]
    assert done.closed["outcome"] == "live"
    assert [(verdict["gate"], verdict["verdict"]) for verdict in done.verdicts] == [(f"phase3.step{n}", "pass") for n in (1, 2, 3)]
    assert sum(desk.live().values()) == 1000
    calls = [call["call"] for one in actions(done.ledger, "result", "start") for call in one["calls"]]
    assert calls.count("start_live") == len(desk.live()), "an engine was started twice, or not by us"
    assert not (STATE / "levibot/live/watch.json").exists()
    assert_promises()

    again = desk.play()
    assert again.exit_code == 0, again.output[-3000:]
    assert "trades live already" in again.output
    assert "changed=0" in again.output.rpartition("PLAY RECAP")[2]

    status = desk.play("playbooks/status.yml").output
    assert "BTC/USDT running LIVE with 100.00 USD" in status
    assert "Ledger and fleet agree" in status

    back = desk.play("playbooks/rollback.yml")
    assert back.exit_code == 0, back.output[-3000:]
    assert desk.live() == {}
    assert desk.killed()
    desk.release()


def test_a_failed_gate_stops_what_its_step_has_started_and_keeps_the_rest(desk: Desk):
    desk.approve()
    failed = desk.breaks("changed_limit", live=3)
    assert failed.exit_code != 0
    assert failed.closed["outcome"] == "rolled_back"
    stop = actions(failed.ledger, "result", "stop")[-1]
    assert (stop["step"], set(stop["symbols"])) == ("phase3.step2", {"ETH/USDT", "SOL/USDT"})
    assert desk.live() == {"BTC/USDT": 100}
    assert not set(stop["still_open"]) & {"ETH/USDT", "SOL/USDT"}
    for words in ("limit_breaches", "ETH/USDT and SOL/USDT were stopped", "BTC/USDT (100.00 USD) GOES ON LIVE"):
        assert words in failed.closed["reason"]
    assert_promises()
    assert desk.play("playbooks/rollback.yml").exit_code == 0
    assert desk.live() == {}
    desk.release()


def test_a_kill_switch_thrown_by_hand_ends_all_of_it(desk: Desk):
    desk.approve()
    soaks = "phase3.step2"
    with desk.under_way(lambda entries: any(e["kind"] == "look" and e["data"]["gate"] == soaks for e in entries)) as (process, log):
        desk.ask("/live/kill?on=true", "POST")
        ended = Rollout(process.wait(ROLLOUT_SECONDS), log.read_text(), desk.record())
    assert ended.exit_code != 0
    kill = actions(ended.ledger, "result", "kill")[-1]
    assert (kill["cause"], kill["confirmed"], kill["still_live"]) == ("killed", True, {})
    assert set(kill["symbols"]) == {"BTC/USDT", "ETH/USDT", "SOL/USDT"}
    assert desk.live() == {}
    assert_promises()
    desk.tidy_up()


@pytest.mark.parametrize("on_blind", ["paper", "kill"])
def test_blind_it_does_as_the_plan_says(desk: Desk, on_blind: str):
    """Whoever looks has an address at which nobody answers; whoever starts and stops engines has not."""
    plan = json.loads(json.dumps(LIVE["levibot_plan_overrides"]))
    plan["phase3"]["on_blind"] = on_blind
    nowhere = {"blue": "http://127.0.0.1:1", "green": "http://127.0.0.1:1"}
    desk.approve(levibot_plan_overrides=plan)
    # With a look before the start it would be blind before anything is live.
    blind = desk.play(levibot_plan_overrides=plan, levibot_api_urls=nowhere, engines_watch_seconds=15)
    assert blind.exit_code != 0
    assert blind.verdicts[-1]["verdict"] == "blind"
    ended = actions(blind.ledger, "result", on_blind)[-1]
    assert (ended["cause"], ended["confirmed"], ended["symbols"]) == ("blind", True, ["BTC/USDT"])
    assert desk.live() == {}
    assert desk.killed() == (on_blind == "kill")
    assert ("BTC/USDT trades on paper" in blind.closed["reason"]) == (on_blind == "paper")
    assert_promises()
    desk.tidy_up()


# The last one: what was lost today counts in whatever begins on the same day.
def test_a_loss_between_two_starts_throws_the_kill_switch_before_the_next(desk: Desk):
    """Seven engines start one after the other in the last step, and no gate looks until they all run."""
    desk.approve()
    lost = desk.breaks("loss", live=4)
    assert lost.exit_code != 0
    assert lost.closed["outcome"] == "rolled_back"
    verdict = lost.verdicts[-1]
    assert (verdict["gate"], verdict["verdict"]) == ("phase3.step3.guardrails", "fail")
    assert verdict["deciding"] == ["position_loss_usd"]
    started = {symbol for one in actions(lost.ledger, "result", "start") for symbol in one["engines"]}
    assert 4 <= len(started) < 10, "the plan's ten were all started"
    kill = actions(lost.ledger, "result", "kill")[-1]
    assert (kill["cause"], kill["confirmed"]) == ("guardrail", True)
    assert started <= set(kill["symbols"])
    assert desk.live() == {}
    assert desk.killed()
    assert_promises()
    desk.release()
