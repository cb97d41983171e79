# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/rollback.yml on the sandbox: in the middle of a rollout, with a stable that is down, to the release before, and as a drill."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .conftest import BIN, ROLLOUT_SECONDS, ROOT, STATE, Sandbox, run

OTHER = {"blue": "green", "green": "blue"}
# What a rollout has done when its candidate is at 10 %, and what it does when the last gate has passed; without the gates' time.
AT_TEN_PERCENT = """\
- hosts: app_hosts
  gather_facts: false
  environment: "{{ levibot_environment }}"
  roles: [{role: levibot.transition.environment, environment_slot: "{{ candidate }}"}]
- hosts: edge_hosts
  gather_facts: false
  tasks:
    - levibot.transition.edge_split:
        {run_dir: "{{ edge_run_dir }}", lib_dir: "{{ edge_lib_dir }}", candidate: "{{ candidate }}", weight: 10, expires_in_seconds: 600}
"""
PROMOTED = """\
- hosts: edge_hosts
  gather_facts: false
  tasks:
    - levibot.transition.edge_split: {run_dir: "{{ edge_run_dir }}", lib_dir: "{{ edge_lib_dir }}", stable: "{{ candidate }}"}
- hosts: app_hosts
  gather_facts: false
  environment: "{{ levibot_environment }}"
  roles: [{role: levibot.transition.decommission, decommission_slot: "{{ old }}"}]
"""


class Operator:
    """Who has the sandbox in front of him, and nobody to ask."""

    def __init__(self, sandbox: Sandbox, directory: Path) -> None:
        self.sandbox = sandbox
        self.directory = directory

    def play(self, text: str, **variables: Any) -> None:
        file = self.directory / "play.yml"
        file.write_text(text)
        run([BIN / "ansible-playbook", file, "-e", json.dumps(variables)], timeout=ROLLOUT_SECONDS, check=True)

    def rollback(self, *options: str, **variables: Any) -> Any:
        return run([BIN / "ansible-playbook", "playbooks/rollback.yml", "-e", json.dumps(variables), *options], timeout=ROLLOUT_SECONDS)

    def ask(self, slot: str, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.sandbox.ports[f"{slot}_api"], timeout=5)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def tell(self, slot: str, method: str, path: str, body: Any = None) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.sandbox.ports[f"{slot}_api"], timeout=5)
        try:
            connection.request(method, path, json.dumps(body), {"Authorization": "Bearer sandbox-admin-token"})
            answer = connection.getresponse()
            assert answer.status == http.HTTPStatus.OK, answer.read()
        finally:
            connection.close()

    def is_killed(self, slot: str) -> bool:
        return self.ask(slot, "/live/status")["kill_switch_active"] and self.ask(slot, "/engines/status")["running"] == 0

    def ledger(self) -> list[dict[str, Any]]:
        file = STATE / "levibot/ledger.db"
        task = f"path={file} state=exported"
        done = run([BIN / "ansible", "app_hosts", "-o", "-m", "levibot.transition.ledger", "-a", task], check=True)
        return json.loads(done.stdout.partition("=> ")[2])["entries"]


@pytest.fixture
def operator(sandbox: Sandbox, tmp_path: Path) -> Operator:
    return Operator(sandbox, tmp_path)


@pytest.fixture
def at_ten_percent(operator: Operator) -> Iterator[tuple[str, str]]:
    stable = operator.sandbox.stable_slot()
    operator.play(AT_TEN_PERCENT, candidate=OTHER[stable])
    yield stable, OTHER[stable]
    operator.sandbox.heal()


def changes(output: str) -> int:
    return sum(int(line.partition("changed=")[2].split()[0]) for line in output.splitlines() if "changed=" in line)


def test_a_rollback_in_the_middle_of_it(operator: Operator, at_ten_percent: tuple[str, str]):
    stable, candidate = at_ten_percent
    before = operator.sandbox.everything()
    would = operator.rollback("--check", "--diff")
    assert would.returncode == 0, would.stdout[-3000:]
    assert operator.sandbox.everything() == before
    assert operator.sandbox.canary() is not None
    assert not operator.is_killed(candidate)
    assert f"+{stable} 100.0 % (stable)" in would.stdout

    done = operator.rollback()
    assert done.returncode == 0, done.stdout[-3000:]
    assert operator.sandbox.canary() is None
    assert operator.is_killed(candidate)
    assert not operator.is_killed(stable)
    recorded = [entry for entry in operator.ledger() if entry["data"].get("action") == "rollback"]
    assert [entry["kind"] for entry in recorded[-2:]] == ["intent", "result"]
    assert recorded[-1]["data"]["safe"] is True
    assert recorded[-1]["data"]["kill"][0]["outcome"] == "confirmed"

    again = operator.rollback()
    assert (again.returncode, changes(again.stdout)) == (0, 0), again.stdout[-3000:]

    drilled = operator.rollback(drill=True)
    assert drilled.returncode == 0, drilled.stdout[-3000:]
    assert operator.is_killed(candidate), "a drill releases only what it has thrown itself"


def test_a_kill_that_does_not_last_is_thrown_again(operator: Operator, at_ten_percent: tuple[str, str]):
    """As it is with a release that replaces its processes: half a second after the kill, the switch is off and an engine runs."""
    _stable, candidate = at_ten_percent

    def forgets() -> None:
        deadline = time.monotonic() + 30
        while not operator.is_killed(candidate):
            assert time.monotonic() < deadline, "no kill was seen"
            time.sleep(0.02)
        time.sleep(0.5)
        for path in ("/admin/unkill", "/engines/restart/BTC%2FUSDT"):
            operator.tell(candidate, "POST", path)

    with ThreadPoolExecutor(1) as pool:
        forgetting = pool.submit(forgets)
        done = operator.rollback()
        forgetting.result(timeout=60)
    assert done.returncode == 0, done.stdout[-3000:]
    assert operator.is_killed(candidate)
    name = f"{operator.sandbox.project}-{candidate}-api-1"
    assert f"{name} confirmed, did not last, and was killed again: {name} confirmed" in " ".join(done.stdout.split())
    recorded = [entry["data"] for entry in operator.ledger() if entry["data"].get("action") == "rollback"][-1]
    assert [one["outcome"] for one in recorded["kill"]] == ["confirmed", "confirmed"]
    assert [call["call"] for call in recorded["calls"]].count("kill") == 2


def test_a_candidate_that_hangs_while_stable_is_down(operator: Operator, at_ten_percent: tuple[str, str]):
    """And no ledger to be had: the host that keeps it does not exist."""
    stable, candidate = at_ten_percent
    project = operator.sandbox.project
    run(["docker", "stop", "--time", "0", f"{project}-{stable}-api-1"], check=True)
    operator.tell(candidate, "PUT", "/sandbox/faults", {"hang": True})
    done = operator.rollback(levibot_ledger_path="/proc/no/ledger.db", rollback_kill_timeout_seconds=2)
    assert done.returncode == 0, done.stdout[-4000:]
    assert operator.sandbox.canary() is None
    assert operator.ask(stable, "/health")["status"] == "healthy"
    assert f"{project}-{candidate}-api-1 stopped" in " ".join(done.stdout.split())
    shown = run(["docker", "ps", "--filter", f"name={project}-{candidate}-api", "--quiet"], check=True)
    assert shown.stdout == ""
    assert "Not recorded" in done.stdout


def test_stable_is_started_where_it_is_down_though_the_edge_gets_an_answer(operator: Operator, at_ten_percent: tuple[str, str]):
    """As behind an edge with several app hosts. Here the candidate's listener answers for both slots."""
    stable, candidate = at_ten_percent
    ports = operator.sandbox.ports
    slots = {slot: {"listen": ports[f"slot_{candidate}"], "ports": {"api": ports[f"{slot}_api"]}} for slot in OTHER}
    run(["docker", "stop", "--time", "0", f"{operator.sandbox.project}-{stable}-api-1"], check=True)
    done = operator.rollback(levibot_slots=slots)
    assert done.returncode == 0, done.stdout[-4000:]
    assert operator.sandbox.canary() is None
    assert operator.ask(stable, "/health")["status"] == "healthy"
    assert operator.is_killed(candidate)


def test_the_release_before_comes_back_after_its_decommission(operator: Operator, at_ten_percent: tuple[str, str]):
    old, new = at_ten_percent
    operator.play(PROMOTED, candidate=new, old=old)
    assert operator.sandbox.containers(old) == set()

    plain = operator.rollback("--check")
    assert plain.returncode == 0, plain.stdout[-3000:]
    assert operator.sandbox.stable_slot() == new

    drilled = operator.rollback(drill=True)
    assert drilled.returncode == 0, drilled.stdout[-4000:]
    assert operator.sandbox.stable_slot() == new
    assert operator.sandbox.containers(old) == set()
    assert not operator.is_killed(new)
    drill = [entry["data"] for entry in operator.ledger() if entry["data"].get("action") == "drill"][-1]
    assert drill["passed"] is True
    assert drill["seconds"] > 0

    done = operator.rollback(rollback_to="previous")
    assert done.returncode == 0, done.stdout[-4000:]
    assert operator.sandbox.stable_slot() == old
    assert operator.sandbox.canary() is None
    assert operator.is_killed(new)
    assert operator.ask(old, "/health")["status"] == "healthy"

    again = operator.rollback(rollback_to="previous")
    assert (again.returncode, changes(again.stdout)) == (0, 0), again.stdout[-4000:]
    assert operator.sandbox.stable_slot() == old


def test_an_inventory_without_hosts_is_no_success(tmp_path: Path):
    (tmp_path / "hosts.yml").write_text("app_hosts:\n")
    done = run([BIN / "ansible-playbook", ROOT / "playbooks/rollback.yml", "-i", tmp_path / "hosts.yml"])
    assert done.returncode != 0
    assert "needs hosts in the groups app_hosts and edge_hosts" in " ".join(done.stdout.split())
