# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One rollout at a time: whoever comes second is told who works on it, and goes on when that run is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger, LedgerError
from tests.integration.daemons import CHECKOUT, wait_for
from tests.integration.site import Site, site

# As a rollout does: take the lock, open, and work on it until the test lets go.
HOLDS = """
- hosts: localhost
  gather_facts: false
  vars: {ansible_python_interpreter: "%(python)s", path: "%(ledger)s"}
  tasks:
    - levibot.transition.ledger: {path: "{{ path }}", state: acquired}
    - levibot.transition.ledger:
        {path: "{{ path }}", state: opened, version: "v{{ number }}", plan_digest: x, who: {user: a, host: b}}
      register: opened
    - ansible.builtin.wait_for: {path: "%(go)s", sleep: 1, timeout: 90}
    - levibot.transition.ledger: {path: "{{ path }}", rollout: "{{ opened.rollout }}", entries: [{kind: note, data: {text: done}}]}
    - levibot.transition.ledger: {path: "{{ path }}", rollout: "{{ opened.rollout }}", state: closed, outcome: aborted}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as running:
        yield running


class Holders:
    """Runs that want the ledger of a site."""

    def __init__(self, folder: Path, ledger: Path) -> None:
        self.ledger = ledger
        self.go = folder / "go"
        self._playbook = folder / "holds.yml"
        self._playbook.write_text(HOLDS % {"python": sys.executable, "ledger": ledger, "go": self.go})

    def start(self, number: int) -> subprocess.Popen[str]:
        command = [Path(sys.executable).with_name("ansible-playbook"), self._playbook, "-e", f"number={number}"]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(
            command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )

    def opened(self) -> list[str]:
        try:
            with Ledger(self.ledger, writable=False) as ledger:
                return [entry.data["version"] for entry in ledger.read(kind="opened")]
        except LedgerError:
            return []


def untouched(made: Site) -> dict[str, Any]:
    """All but the ledger, which the other run writes, and beside which SQLite makes its files for whoever reads."""
    state = made.state()
    state["files"]["home"] = {name: kept for name, kept in state["files"]["home"].items() if "/ledger.db" not in name}
    return state


def test_of_runs_that_start_at_once_exactly_one_goes_on(tmp_path: Path) -> None:
    holders = Holders(tmp_path, tmp_path / "ledger.db")
    runs = {number: holders.start(number) for number in range(3)}
    wait_for(lambda: sum(run.poll() is not None for run in runs.values()) == 2, "two of three to be refused", seconds=60)
    holders.go.touch()
    outputs = {number: run.communicate(timeout=60)[0] for number, run in runs.items()}
    winners = [number for number, run in runs.items() if run.returncode == 0]
    assert [f"v{number}" for number in winners] == holders.opened()
    for number, output in outputs.items():
        assert number in winners or f"(process {runs[winners[0]].pid})" in output, output
    with Ledger(holders.ledger) as ledger:
        assert [entry.kind for entry in ledger.read()] == ["opened", "note", "closed"]
        assert ledger.lock() is None


def test_a_rollout_is_refused_while_another_run_lives_and_not_after(made: Site, tmp_path: Path) -> None:
    holders = Holders(tmp_path, made.directory / "home/ledger.db")
    first = holders.start(1)
    wait_for(holders.opened, "the first run to have the lock", seconds=60)
    before = untouched(made)

    found, fix = made.run().mistakes["the rollout lock"]
    assert f"(process {first.pid})" in found
    assert "last heartbeat" in found
    assert "levibot_take_over=true" in found
    assert "status.yml" in fix
    assert untouched(made) == before

    assert made.run("--check", "-e", "levibot_take_over=true").rc == 0
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate(timeout=30)
    done = made.run("--check")
    assert done.rc == 0, done.output
    assert untouched(made) == before
