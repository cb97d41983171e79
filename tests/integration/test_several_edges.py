# SPDX-License-Identifier: GPL-3.0-or-later
"""The role rollout on two edges, of which one cannot follow, or cannot be reached, at the worst moment.

Roles, edge_split and ledger are the real ones; only the gate's verdict is given, by an action that stands in for it, and an edge
"dies" by a connection that nobody answers. Caddy is not asked (edge_verify: false): what counts here are the files that it reads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STEPS = {"p.step1": 10, "p.step2": 100}
TEN_PERCENT, ALL = "199a", "g"

GATE = '''
"""Stands in for the gate: runs what the test has prepared for this gate, and gives the verdict that it has written."""
import pathlib, subprocess
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

SCENE = pathlib.Path({scene!r})


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        gate = str(self._task.args["gate"]["id"])
        event, verdict = SCENE / f"{{gate}}.sh", SCENE / f"{{gate}}.verdict"
        if event.exists():
            subprocess.run(["sh", str(event)], check=True, timeout=10)
        said = verdict.read_text() if verdict.exists() else "pass"
        result = dict(changed=False, gate=gate, verdict=said, safe=said == "pass", on_fail="rollback", reason=f"{{gate}} said {{said}}")
        if said != "pass":
            raise AnsibleActionFail(result["reason"], result={{**result, "failed": True}})
        return result
'''

INVENTORY = """
all:
  vars:
    ansible_host: 127.0.0.1
    ansible_port: 1
    ansible_connection: "{{{{ 'ssh' if ('{scene}/down.' ~ inventory_hostname) is exists else 'local' }}}}"
    ansible_python_interpreter: {python}
    edge_run_dir: "{scene}/{{{{ inventory_hostname }}}}/run"
    edge_lib_dir: "{scene}/{{{{ inventory_hostname }}}}/lib"
    edge_verify: false
    levibot_version: v2
    levibot_ledger_path: {scene}/ledger.db
    levibot_prometheus_url: http://127.0.0.1:9
    levibot_alertmanager_url: http://127.0.0.1:9
    levibot_admin_token: none
    report_dir: {scene}/report
  children:
    app_hosts: {{hosts: {{app: {{ansible_connection: "{{{{ 'ssh' if '{scene}/down.app' is exists else 'local' }}}}"}}}}}}
    edge_hosts: {{hosts: {{e1: , e2: }}}}
"""

PLAYBOOK = """
- hosts: app_hosts
  gather_facts: false
  tasks:
    - levibot.transition.ledger:
        path: "{{ levibot_ledger_path }}"
        state: opened
        rollout: r1
        version: v2
        plan_digest: "sha256:none"
        who: {user: test, host: test}
    - ansible.builtin.set_fact:
        environment_proven: {slot: green, version: "{{ proven | default('v2') }}"}
- hosts: edge_hosts
  gather_facts: false
  any_errors_fatal: true
  roles:
    - role: levibot.transition.rollout
      rollout_candidate: green
      rollout_stable: blue
      rollout_id: r1
"""


@dataclass
class Scene:
    """Two edges' directories, and what is to happen while a gate soaks."""

    path: Path
    output: str = ""

    def during(self, gate: str, command: str) -> None:
        (self.path / f"{gate}.sh").write_text(command, encoding="utf-8")

    def verdict(self, gate: str, verdict: str) -> None:
        (self.path / f"{gate}.verdict").write_text(verdict, encoding="utf-8")

    def down(self, host: str) -> str:
        return f"touch {self.path}/down.{host}"

    def roll_out(self, *arguments: str) -> int:
        gates = [
            {
                "id": name,
                "name": name,
                "weight": weight,
                "window_seconds": 5,
                "gate": {"id": name, "settle_seconds": 1, "hold_seconds": 1, "window_seconds": 5, "checks": []},
            }
            for name, weight in STEPS.items()
        ]
        done = subprocess.run(
            [
                "ansible-playbook",
                "-i",
                "inventory.yml",
                "play.yml",
                "-e",
                json.dumps({"levibot_validated": {"phase2": {"steps": gates}}}),
                *arguments,
            ],
            cwd=self.path,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_COLLECTIONS_PATH": f"{self.path / 'collections'}:{next((ROOT / '.venv/lib').glob('python3.*/site-packages'))}",
                "ANSIBLE_TIMEOUT": "2",
                "ANSIBLE_NOCOLOR": "1",
            },
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        self.output = done.stdout + done.stderr
        return done.returncode

    def edge(self, name: str) -> tuple[str, str | None]:
        """What is in an edge's lasting file and in its canary file."""
        canary = self.path / name / "run/canary"
        return (self.path / name / "lib/stable").read_text(
            encoding="ascii"
        ).strip(), canary.read_text().strip() if canary.exists() else None

    def closed(self) -> dict[str, str] | None:
        record = self.path / "report/ledger.jsonl"
        lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
        return next((entry["data"] for entry in map(json.loads, lines) if entry["kind"] == "closed"), None)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    collection = tmp_path / "collections/ansible_collections/levibot/transition"
    (collection / "plugins/action").mkdir(parents=True)
    for leaf in ("galaxy.yml", "meta", "roles"):
        (collection / leaf).symlink_to(ROOT / leaf)
    for folder in (ROOT / "plugins").iterdir():
        if folder.name != "action":
            (collection / "plugins" / folder.name).symlink_to(folder)
    (collection / "plugins/action/gate.py").write_text(GATE.format(scene=str(tmp_path)), encoding="utf-8")
    (tmp_path / "inventory.yml").write_text(INVENTORY.format(scene=tmp_path, python=sys.executable), encoding="utf-8")
    (tmp_path / "play.yml").write_text(textwrap.dedent(PLAYBOOK), encoding="utf-8")
    for edge in ("e1", "e2"):
        (tmp_path / edge / "run").mkdir(parents=True)
        (tmp_path / edge / "lib").mkdir()
        (tmp_path / edge / "lib/stable").write_text("0000", encoding="ascii")
    return Scene(tmp_path)


BACK = ("0000", None)
PROMOTED = ("g", None)


def test_both_edges_are_promoted_together(scene: Scene):
    assert scene.roll_out() == 0, scene.output
    assert scene.edge("e1") == scene.edge("e2") == PROMOTED


def test_a_failed_gate_takes_both_back_and_says_so_of_both(scene: Scene):
    scene.verdict("p.step2", "fail")
    assert scene.roll_out() != 0
    assert scene.edge("e1") == scene.edge("e2") == BACK
    closed = scene.closed()
    assert closed["outcome"] == "rolled_back"
    assert "p.step2 said fail" in closed["reason"]
    assert "again on e1, e2" in closed["reason"]
    assert "NOT SEEN" not in closed["reason"]
    assert "MAY GO ON" not in closed["reason"]


def test_an_edge_that_dies_during_the_soak_does_not_keep_the_other_from_coming_back(scene: Scene):
    scene.during("p.step1", scene.down("e2"))
    scene.verdict("p.step1", "fail")
    assert scene.roll_out() != 0
    assert scene.edge("e1") == BACK
    assert scene.edge("e2") == ("0000", TEN_PERCENT)  # until it expires: nobody can reach it
    closed = scene.closed()
    assert "p.step1 said fail" in closed["reason"]
    assert "again on e1." in closed["reason"]
    assert "NOT SEEN TO BE BACK: e2 cannot be reached" in closed["reason"]


def test_an_edge_that_dies_between_steps_takes_both_back(scene: Scene):
    scene.during("p.step1", scene.down("e1"))
    assert scene.roll_out() != 0
    assert scene.edge("e2") == BACK
    assert "e1 cannot be reached" in scene.closed()["reason"]


def test_a_ledger_host_that_dies_takes_both_back(scene: Scene):
    scene.during("p.step1", scene.down("app"))
    assert scene.roll_out() != 0
    assert scene.edge("e1") == scene.edge("e2") == BACK
    assert "The ledger on app cannot be written" in scene.output
    assert "ENGINES OF green MAY GO ON on app:" in " ".join(scene.output.split())


def test_an_edge_that_refuses_takes_both_back(scene: Scene):
    scene.during("p.step1", f"rm -r {scene.path}/e2/run")
    assert scene.roll_out() != 0
    assert scene.edge("e1") == scene.edge("e2") == BACK
    assert "e2" in scene.closed()["reason"]


def test_a_promotion_that_one_edge_refuses_is_undone_on_the_other(scene: Scene):
    scene.during("p.step2", f"echo nonsense > {scene.path}/e2/lib/stable")
    assert scene.roll_out() != 0
    assert scene.edge("e1") == BACK
    assert scene.edge("e2")[1] is None
    assert scene.closed()["outcome"] == "rolled_back"


@pytest.mark.parametrize("gate", STEPS)
def test_a_canary_that_an_operator_takes_back_stays_back(scene: Scene, gate: str):
    scene.during(gate, f"rm {scene.path}/e1/run/canary {scene.path}/e2/run/canary")
    assert scene.roll_out() != 0
    assert scene.edge("e1") == scene.edge("e2") == BACK


def test_a_candidate_that_was_not_deployed_gets_no_traffic(scene: Scene):
    assert scene.roll_out("-e", "proven=v1") != 0
    assert scene.edge("e1") == scene.edge("e2") == BACK
    assert "v2 is not proven to run in green on app" in scene.output


def test_edges_do_not_move_without_each_other(scene: Scene):
    assert scene.roll_out("--limit", "app_hosts:e1") != 0
    assert scene.edge("e1") == scene.edge("e2") == BACK
    assert "A rollout moves all edges together" in scene.output
