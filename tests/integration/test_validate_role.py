# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The validation as a site meets it: a real ansible-playbook on inventories with mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SECRET = "hunter2"
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - block:
        - ansible.builtin.include_role: {name: levibot.transition.levibot, tasks_from: validate}
      rescue:
        - ansible.builtin.meta: noop
    - ansible.builtin.copy:
        dest: "{{ inventory_dir }}/{{ inventory_hostname }}.json"
        content: "{{ {'steps': __steps, 'problems': levibot_validation.problems} | to_json }}"
        mode: "0644"
      vars:
        __steps: "{{ levibot_validated.phase2.steps if levibot_validated is defined else [] }}"
"""


@pytest.fixture
def validate(tmp_path):
    """Validate a site with these variables; what it leaves on the second host, and everything that was shown."""

    def run(**variables):
        ours = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        needed = {"levibot_version": "v1.8.0-beta", "levibot_compose_file": "docker-compose.prod.yml", "levibot_admin_token": SECRET}
        groups = {"app_hosts": {"hosts": {"app": {}}}, "edge_hosts": {"hosts": {"edge": {"edge_run_dir": "/run/levibot"}}}}
        inventory = {**groups, "all": {"vars": {**ours, **needed, **variables}}}
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
        (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
        command = [Path(sys.executable).with_name("ansible-playbook"), "-vvv", "-i", tmp_path / "hosts.yml", tmp_path / "play.yml"]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_DISPLAY_ARGS_TO_STDOUT": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        shown = done.stdout + done.stderr
        assert done.returncode == 0, shown
        return json.loads((tmp_path / "edge.json").read_text(encoding="utf-8")), shown

    return run


def test_a_sound_site_gets_the_plan(validate):
    left, shown = validate()
    assert left["problems"] == []
    assert [(step["weight"], step["window_seconds"]) for step in left["steps"]] == [(10, 1800), (50, 3600), (100, 7200)]
    assert SECRET not in shown


def test_every_mistake_comes_at_once_and_no_secret_is_shown(validate):
    left, shown = validate(
        levibot_versoin="v2",
        levibot_admin_token=f"{SECRET}\n",
        levibot_environment={"HTTPS_PROXY": f"http://me:{SECRET}@proxy", "BAD-NAME": "1"},
        levibot_prometheus_url=f"http://me:{SECRET}@localhost:9090/?x",
        levibot_compose_file="",
        rollout_candidate="purple",
        levibot_plan_overrides={"phase2": {"steps": {"step1": {"weight": 130, "window": "30 min"}}}},
        levibot_checks_overrides={"error_rate": {"min_events": -1}},
    )
    expected = [
        "levibot_versoin",
        "levibot_admin_token",
        "levibot_environment.BAD-NAME",
        "levibot_prometheus_url",
        "levibot_compose_file",
        "rollout_candidate",
        "levibot_plan_overrides.phase2.steps.step1.weight",
        "levibot_plan_overrides.phase2.steps.step1.window",
        "levibot_checks_overrides.error_rate.min_events",
    ]
    assert sorted(problem["path"] for problem in left["problems"]) == sorted(expected)
    assert all(f"- {path}: found " in shown for path in expected)
    assert "did you mean levibot_version?" in shown
    assert left["steps"] == []
    assert SECRET not in shown
