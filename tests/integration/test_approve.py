# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/approve.yml, as a job runs it that cannot ask: approve, attest, revoke, each twice, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger

from .daemons import CHECKOUT

VERSION = "v1.8.0-beta"
GO = {"approve_what": "go", "approve_who": "maria", "approve_reason": "the soak was clean", "approve_until": "2999-01-01T00:00:00Z"}


class Site:
    """An inventory with nothing behind it but a folder for the ledger."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        own = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        plan = {"phase1": {"approvers": ["maria", "jan"], "approvals": 2}, "phase3": {"approvers": ["maria"]}}
        variables = {
            **own,
            "levibot_home": str(directory / "home"),
            "levibot_version": VERSION,
            "levibot_compose_file": "docker-compose.prod.yml",
            "levibot_admin_token": "a-token-for-nothing",
            "levibot_plan_overrides": plan,
        }
        groups = {"app_hosts": {"hosts": {"app": {}}}, "edge_hosts": {"hosts": {"edge": {}}}}
        (directory / "hosts.yml").write_text(yaml.safe_dump({**groups, "all": {"vars": variables}}), encoding="utf-8")

    def approve(self, *options: str, **variables: Any) -> tuple[int, str]:
        command = [Path(sys.executable).with_name("ansible-playbook"), "playbooks/approve.yml", "-i", self.directory / "hosts.yml"]
        command += ["-e", json.dumps(variables), *options]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(
            command, cwd=CHECKOUT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120
        )
        return done.returncode, done.stdout + done.stderr

    def recorded(self) -> list[dict[str, Any]]:
        path = self.directory / "home/ledger.db"
        if not path.exists():
            return []
        with Ledger(path, writable=False) as ledger:
            return [entry.data for entry in ledger.read(f"phase1-{VERSION}")]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_what_cannot_be_recorded_is_refused_with_all_its_mistakes(site: Site):
    code, said = site.approve(approve_what="bakcup", approve_until="2020-01-01T00:00:00Z")
    assert code != 0
    for name in ("approve_what", "approve_who", "approve_reason", "approve_until"):
        assert f"- {name}" in said, said
    code, said = site.approve(**{**GO, "approve_who": "mallory"})
    assert code != 0
    assert "maria, jan" in said
    assert site.recorded() == []


def test_approved_once_and_revoked_once(site: Site):
    code, said = site.approve("--check", "--diff", **GO)
    assert code == 0, said
    assert "the soak was clean" in said
    assert site.recorded() == []

    code, said = site.approve(**GO)
    assert code == 0, said
    assert f"{VERSION}: not approved (2 people are needed)" in said
    assert len(site.recorded()) == 1
    code, said = site.approve(**GO)
    assert (code, len(site.recorded())) == (0, 1)
    assert "changed=0" in said

    code, said = site.approve(**{**GO, "approve_who": "jan"})
    assert code == 0
    assert f"{VERSION}: approved" in said
    code, said = site.approve(**GO, approve_revoke=True)
    assert code == 0
    assert "not approved" in said
    assert [data["action"] for data in site.recorded()] == ["go", "go", "revoke"]


def test_live_trading_is_approved_by_its_own_approvers_for_one_plan(site: Site):
    live = {**GO, "approve_what": "live", "approve_reason": "the drill went well"}
    code, said = site.approve(**{**live, "approve_who": "jan"})
    assert code != 0
    assert "levibot_plan.phase3.approvers (maria)" in said
    for _twice in range(2):
        code, said = site.approve(**live)
        assert code == 0, said
        assert "Live trading: approved" in said
    (data,) = site.recorded()
    assert (data["action"], data["who"]) == ("live", "maria")
    assert data["plan_digest"].startswith("sha256:")
    code, said = site.approve(
        **live, levibot_plan_overrides={"phase3": {"approvers": ["maria"], "capital_usd": 2000}}, approve_revoke=False
    )
    assert [data["plan_digest"] == one["plan_digest"] for one in site.recorded()] == [True, False], said
    code, said = site.approve(**live, approve_revoke=True)
    assert code == 0, said
    assert "Live trading: not approved" in said
    assert site.recorded()[-1]["what"] == "live"
