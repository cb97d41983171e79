# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an engine cannot be seen to stop, the kill switch comes at once, and not after each of the others has had its time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.standin import TOKEN, running

from .api_bed import Lost, meddled
from .daemons import CHECKOUT

PLAY = """
- hosts: app
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: levibot.transition.engines, tasks_from: end}
"""
ENGINES = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


def test_the_first_engine_that_does_not_stop_ends_the_loop(tmp_path: Path):
    asked: list[str] = []

    def meddle(_method: str, path: str, body: Any, forward: Any) -> Any:
        if "/stop/" in path:
            asked.append(path)
            if "ETH" in path:
                raise Lost
        return forward(body)

    with running(tmp_path / "data", LEVIBOT_API_FORM="plan") as there, meddled(there, meddle) as url:
        for symbol in ENGINES:
            there.goes_live(symbol)
        variables = {
            "__engines_rollout": "20261130T194000Z-v1-live",
            "__engines_at": "app",
            "__engines_url": url,
            "__engines_end": {"do": "stop", "positions": "flatten", "stop": dict.fromkeys(ENGINES, "100.00")},
            "__engines_kill_slots": [],  # that kill.yml is reached is what is looked for; what it does has tests of its own
            "__levibot_published": {"app": "127.0.0.1"},
            "engines_timeout_seconds": 2,
            "engines_call_timeout_seconds": 1,
            "levibot_admin_token": TOKEN,
            "levibot_ledger_host": "app",
            "levibot_version": "v1",
            "levibot_home": str(tmp_path),
            "levibot_slots": {slot: {"ports": {"api": there.port}} for slot in ("blue", "green")},
        }
        own = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory = {"all": {"vars": own, "children": {"app_hosts": {"hosts": {"app": {}}}, "edge_hosts": {"hosts": {}}}}}
        for name, content in (("variables.json", variables), ("inventory.yml", inventory)):
            (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
        (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
        command = [Path(sys.executable).parent / "ansible-playbook", "-i", tmp_path / "inventory.yml", tmp_path / "play.yml"]
        done = subprocess.run(
            [*command, "-e", f"@{tmp_path / 'variables.json'}"],
            cwd=tmp_path,
            env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        said = done.stdout + done.stderr
        live = {
            one["symbol"] for one in there.ask("GET", "/engines/status")["engines"] if (one["status"], one["mode"]) == ("running", "live")
        }
    assert any("BTC" in path for path in asked), said
    assert any("ETH" in path for path in asked), said
    assert not any("SOL" in path for path in asked), said
    assert live == {"ETH/USDT", "SOL/USDT"}
    assert "TASK [levibot.transition.engines : Throw the kill switch on every API instance]" in said
