# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is closed stays closed where its page cannot be written: the rescue behind it would take a release back, or stop engines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger

from .daemons import CHECKOUT

ROLLOUT = "20261124T112200Z-v1"
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars: {levibot_ledger_path: "%(ledger)s", levibot_ledger_host: localhost, report_rollout: %(rollout)s, report_dir: "%(report)s"}
  tasks:
    - levibot.transition.ledger:
        {path: "%(ledger)s", state: opened, rollout: %(rollout)s, version: v1, plan_digest: x, who: {user: a, host: b}}
    - block:
        - ansible.builtin.include_role: {name: levibot.transition.report, tasks_from: close}
          vars: {report_outcome: promoted, report_reason: all has passed}
        - ansible.builtin.debug: {msg: IT WENT ON}
      rescue:
        - ansible.builtin.debug: {msg: IT WAS TAKEN BACK}
"""


@pytest.mark.parametrize("writable", [True, False])
def test_a_page_that_cannot_be_written_takes_nothing_back(tmp_path: Path, writable: bool):
    ledger, report = tmp_path / "ledger.db", tmp_path / "build" if writable else "/dev/null/build"
    told = {"ledger": ledger, "rollout": ROLLOUT, "report": report}
    (tmp_path / "play.yml").write_text(PLAY % told, encoding="utf-8")
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", tmp_path / "play.yml"],
        cwd=tmp_path,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 0, said
    assert "IT WENT ON" in said
    assert "IT WAS TAKEN BACK" not in said
    assert ("ITS REPORT COULD NOT BE WRITTEN" in said) == (not writable), said
    assert (tmp_path / "build/report/index.html").exists() == writable
    with Ledger(ledger, writable=False) as read:
        assert [entry.data["outcome"] for entry in read.read(ROLLOUT, kind="closed")] == ["promoted"]
