# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is lost in the middle of live trading is a failure that the run answers. Ansible by itself would end it without a rescue."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .daemons import CHECKOUT

# A local connection whose folder for modules cannot be made counts as unreachable, as a host does that has gone.
PLAY = """
- hosts: app
  gather_facts: false
  vars:
    __engines_rollout: 20261124T112200Z-v1-live
    __engines_entry: {kind: note, data: {text: x}}
    engines_standing: {slot: green, host: lost}
    engines_engine: {symbol: BTC/USDT, capital_usd: "100.00"}
    engines_step: {id: phase3.step1}
    engines_edge_retries: 0
    levibot_validated: {phase3: {guardrails: []}}
  tasks:
    - block:
        - ansible.builtin.include_role: {name: levibot.transition.engines, tasks_from: "%s"}
        - ansible.builtin.debug: {msg: IT WENT ON}
      rescue:
        - ansible.builtin.debug: {msg: "ENDED, SINCE {{ ansible_failed_result.msg }}"}
"""
INVENTORY = """
all:
  vars:
    ansible_connection: local
    ansible_python_interpreter: {python}
    levibot_ledger_host: lost
    levibot_ledger_path: /dev/null/nowhere
    levibot_home: /dev/null/nowhere
    levibot_version: v1
    levibot_admin_token: none
    levibot_slots: {{blue: {{ports: {{api: 1}}}}, green: {{ports: {{api: 2}}}}}}
  children:
    app_hosts: {{hosts: {{app: , lost: {{ansible_pipelining: false, ansible_remote_tmp: /dev/null/nowhere}}}}}}
    edge_hosts: {{hosts: {{}}}}
"""


@pytest.mark.parametrize(
    ("tasks", "told"),
    [
        ("record", "lost, which keeps the ledger, cannot be reached"),
        ("again", "lost, which keeps the ledger, cannot be reached"),
        ("start", "lost cannot be reached"),
    ],
)
def test_it_is_rescued(tmp_path: Path, tasks: str, told: str):
    (tmp_path / "play.yml").write_text(PLAY % tasks, encoding="utf-8")
    (tmp_path / "inventory.yml").write_text(INVENTORY.format(python=sys.executable), encoding="utf-8")
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", tmp_path / "inventory.yml", tmp_path / "play.yml"],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 0, said
    assert f"ENDED, SINCE {told}" in said, said
    assert "IT WENT ON" not in said
    assert "rescued=1" in said
