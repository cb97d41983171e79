# SPDX-License-Identifier: GPL-3.0-or-later
"""Phase 1 by playbooks/phase1_predeploy.yml, which the session's sandbox has run once: a second run, a NO-GO, and Phase 2 without a GO."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger

from .conftest import BIN, ROOT, SHORT, STATE, VERSION, Sandbox, run

RECORD = f"phase1-{VERSION}"


def recorded() -> list[dict[str, Any]]:
    with Ledger(STATE / "levibot/ledger.db", writable=False) as ledger:
        return [entry.to_dict() for entry in ledger.read(RECORD)]


def refs() -> str:
    both = [run(["git", "-C", STATE / place, "show-ref", "--head"], check=True).stdout for place in ("repository", "remote.git")]
    return "".join(both) + run(["git", "-C", STATE / "repository", "status", "--porcelain"], check=True).stdout


def everything(sandbox: Sandbox) -> dict[str, Any]:
    reports = {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in (ROOT / "build/report").glob("go-*")}
    notices = (ROOT / "build/logs/notices.log").read_text(encoding="utf-8").count("\n")
    images = {service: sandbox.registry_digest(service) for service in ("api", "panel")}
    return {**sandbox.everything(), "ledger": recorded(), "refs": refs(), "registry": images, "reports": reports, "notices": notices}


def changed(output: str) -> int:
    return sum(map(int, re.findall(r"changed=(\d+)", output)))


def test_a_second_run_changes_nothing(sandbox: Sandbox):
    before = everything(sandbox)
    again = sandbox.phase1("-e", "preflight_notify=true")
    assert again.returncode == 0, again.stdout[-5000:]
    assert changed(again.stdout) == 0, again.stdout
    assert everything(sandbox) == before


def test_the_go_is_for_the_images_that_the_registry_has(sandbox: Sandbox):
    verdict = [entry["data"] for entry in recorded() if entry["kind"] == "verdict"][-1]
    assert verdict["verdict"] == "GO"
    assert all(item["passed"] for item in verdict["items"])
    assert verdict["images"] == {service: sandbox.registry_digest(service) for service in ("api", "panel")}
    page = (ROOT / f"build/report/go-{VERSION}.md").read_text(encoding="utf-8")
    assert all(item["name"] in page for item in verdict["items"])


def test_check_mode_tells_a_no_go_and_every_item_that_failed(sandbox: Sandbox):
    """Two of the checklist and one of the hosts, at once."""
    before = everything(sandbox)
    wrong = {"levibot_soak_report": "/no/such/report.json", "levibot_backup_dir": "/no/such/folder", "preflight_free_mib": 10**9}
    told = sandbox.phase1("--check", "-e", json.dumps(wrong))
    assert told.returncode != 0
    for said in ("NO-GO for v1.8.0-beta: 3 of", "(slos)", "(backup)", "(disk)", "/no/such/report.json", "at least 1000000000 MiB"):
        assert said in told.stdout, told.stdout[-5000:]
    assert everything(sandbox) == before


def test_phase2_is_refused_without_a_go(sandbox: Sandbox):
    """A plan that nobody has approved has none. With an override it begins, and says so in every report: see test_resume.py."""
    before = everything(sandbox)
    loose = json.dumps({**SHORT, "levibot_slo_error_rate": "< 50%", "preflight_override_who": "somebody"})
    refused = run([BIN / "ansible-playbook", "playbooks/phase2_bluegreen.yml", "-e", loose])
    assert refused.returncode != 0
    assert "was given for another plan" in refused.stdout
    assert "an override needs a name and a reason" in refused.stdout
    assert everything(sandbox) == before
