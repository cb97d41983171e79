# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A soak that is interrupted in each way that there is: it ends at once, says what holds now, and leaves no verdict."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger, LedgerError
from tests.integration.daemons import CHECKOUT, wait_for

ROLLOUT = "20261124T112200Z-v1.8.0-beta"
UNTIL = "2026-11-24T12:00:00Z"
SOON_SECONDS = 30.0  # on a busy machine a module takes its time

PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Open
      levibot.transition.ledger:
        {path: "{{ ledger }}", state: opened, rollout: "{{ rollout }}", version: v1, plan_digest: x, who: {user: a, host: b}}
    - block:
        - name: Soak
          levibot.transition.gate:
            gate: "{{ gate }}"
            subject: {slot: green, stable: blue}
            sources: {prometheus: {url: "{{ nobody }}"}, timeout_seconds: 1}
            ledger: {path: "{{ ledger }}", rollout: "{{ rollout }}"}
            expires_at: "{{ until }}"
            screen: plain
          timeout: "{{ timeout | int }}"
      rescue:
        - name: Make safe
          ansible.builtin.copy: {content: "", dest: "{{ safe }}", mode: "0600"}
"""
GATE = {
    "id": "phase2.step1",
    "window_seconds": 120,
    "interval_seconds": 0.5,
    "settle_seconds": 0,
    "hold_seconds": 0,
    "blind_after_seconds": 100,
    "on_fail": "rollback",
    "checks": [
        {
            "id": "up",
            "kind": "threshold",
            "source": "prometheus",
            "query": "up",
            "fail_after": 1,
            "mode": "enforce",
            "condition": {"op": ">", "limit": "0", "unit": "count", "text": "up > 0"},
        }
    ],
}


@dataclass
class Play:
    """A playbook with one gate, which waits since nobody answers it."""

    folder: Path

    @property
    def safe(self) -> bool:
        return (self.folder / "safe").exists()

    def prepare(self, timeout: int = 0) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
        variables = {
            "ledger": str(self.folder / "ledger.db"), "rollout": ROLLOUT, "gate": GATE, "nobody": nobody, "until": UNTIL,
            "timeout": timeout, "safe": str(self.folder / "safe"), "ansible_python_interpreter": sys.executable,
        }  # fmt: skip
        (self.folder / "project").mkdir()
        (self.folder / "project/play.yml").write_text(PLAYBOOK)
        (self.folder / "project/variables.json").write_text(json.dumps(variables))

    def start(self, *wrapper: Any) -> subprocess.Popen[str]:
        """What is watched is a file, since a worker that lives on keeps a pipe open."""
        variables = f"@{self.folder / 'project/variables.json'}"
        command = wrapper or (Path(sys.executable).with_name("ansible-playbook"), self.folder / "project/play.yml", "-e", variables)
        with (self.folder / "output").open("w") as output:
            return subprocess.Popen(
                list(map(str, command)),
                cwd=CHECKOUT,
                env={
                    **os.environ,
                    "PYTHONUNBUFFERED": "1",
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
                    "ANSIBLE_NOCOLOR": "1",
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
            )

    def output(self) -> str:
        return (self.folder / "output").read_text()

    def soaks(self) -> bool:
        return "phase2.step1" in self.output()

    def recorded(self, kind: str) -> list[dict[str, Any]]:
        try:
            with Ledger(self.folder / "ledger.db", writable=False) as ledger:
                assert ledger.verify().intact
                return [entry.data for entry in ledger.read(ROLLOUT, kind)]
        except LedgerError:
            return []


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return Play(tmp_path)


def assert_interrupted(play: Play, why: str) -> None:
    wait_for(lambda: any(note.get("action") == "interrupted" for note in play.recorded("note")), "the note", seconds=SOON_SECONDS)
    note = next(note for note in play.recorded("note") if note.get("action") == "interrupted")
    assert why in note["reason"], note
    assert play.recorded("look"), "what was seen until then is kept"
    assert play.recorded("verdict") == [], "what was interrupted is not judged"
    assert not play.safe, "no rescue runs then"
    output = play.output()
    assert f"keeps its weight until {UNTIL}" in output, output
    assert "Start the same playbook again" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ansible_playbook_is_ended(play: Play, number: signal.Signals) -> None:
    play.prepare()
    process = play.start()
    wait_for(play.soaks, "the soak", seconds=30)
    process.send_signal(number)
    process.wait(SOON_SECONDS)
    assert_interrupted(play, "the controlling process is gone" if number == signal.SIGKILL else "")


RUNNER = """
import sys, threading, time, pathlib, ansible_runner
folder = pathlib.Path(sys.argv[1])
cancelled = []
thread, runner = ansible_runner.run_async(
    private_data_dir=str(folder), playbook="play.yml", extravars={}, cmdline=f"-e @{folder}/project/variables.json",
    inventory="localhost ansible_connection=local", cancel_callback=lambda: bool(cancelled))
deadline = time.monotonic() + 40
while "phase2.step1" not in pathlib.Path(sys.argv[2]).read_text() and time.monotonic() < deadline:
    time.sleep(0.1)
cancelled.append(True)
thread.join(20)
print("runner said", runner.status, flush=True)
"""


def test_a_runner_cancels(play: Play) -> None:
    """What AWX does without container isolation. The runner may have stopped listening, so nothing is asserted of the screen."""
    play.prepare()
    process = play.start(sys.executable, "-c", RUNNER, play.folder, play.folder / "output")
    wait_for(lambda: "runner said canceled" in play.output(), "the runner", seconds=60)
    wait_for(lambda: any(note.get("action") == "interrupted" for note in play.recorded("note")), "the note", seconds=SOON_SECONDS)
    assert play.recorded("verdict") == []
    assert not play.safe
    process.wait(SOON_SECONDS)


def test_a_task_runs_out_of_time(play: Play) -> None:
    """The one case in which Ansible itself goes on, and a rescue makes safe."""
    play.prepare(timeout=4)
    process = play.start()
    assert process.wait(40) == 0, play.output()
    assert play.safe
    assert play.recorded("look")
    assert play.recorded("verdict") == []
