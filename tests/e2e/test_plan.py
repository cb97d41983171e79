# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole plan by playbooks/site.yml: it stops where somebody has to decide, goes on from there, and ends live and validated."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger

from .conftest import BIN, ROOT, STATE, VERSION, Sandbox, run
from .test_live_trading import APPROVAL, Desk, assert_promises

SITE_SECONDS = 800


def play(playbook: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """With the sandbox's own plan, as `make demo` has it."""
    return run([BIN / "ansible-playbook", playbook, "-e", json.dumps(variables)], timeout=SITE_SECONDS)


def verdicts(record: str) -> list[str]:
    with Ledger(STATE / "levibot/ledger.db", writable=False) as ledger:
        return [entry.data["verdict"] for entry in ledger.read(record) if entry.kind == "verdict"]


def test_it_stops_for_a_person_goes_on_and_ends_validated(sandbox: Sandbox):
    run([sys.executable, "sandbox/sandbox.py", "evidence"], timeout=300, check=True)
    approval = {**APPROVAL, "approve_reason": "the whole plan"}
    assert play("playbooks/approve.yml", **approval, approve_revoke=True).returncode == 0

    stopped = play("playbooks/site.yml")
    assert stopped.returncode != 0
    assert "the approval of live trading" in stopped.stdout, stopped.stdout[-5000:]
    assert "1 thing is in the way of live trading; nothing was started" in stopped.stdout
    desk = Desk(sandbox)
    assert desk.live() == {}

    assert play("playbooks/approve.yml", **approval).returncode == 0
    done = play("playbooks/site.yml")
    assert done.returncode == 0, done.stdout[-5000:]
    assert "its GO is behind it" in done.stdout
    assert "was proved at" in done.stdout
    assert sum(desk.live().values()) == 1000
    assert verdicts(f"phase4-{VERSION}")[-1] == "VALIDATED"
    assert "VALIDATED" in (ROOT / f"build/report/validation-{VERSION}.md").read_text(encoding="utf-8")
    for name in ("alerts.yml", "risk.yml", "lessons-learned.md", "proposals.md"):
        assert (ROOT / "build/proposals" / VERSION / name).stat().st_size > 0
    assert_promises()

    assert play("playbooks/rollback.yml").returncode == 0
    assert desk.live() == {}
