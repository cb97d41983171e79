# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan's seven items on the sandbox's evidence: each can be made to fail alone, and the verdict says which and why."""

from __future__ import annotations

import gzip
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.levibot.transition.plugins.filter.phase1_go import FilterModule
from ansible_collections.levibot.transition.plugins.module_utils.evidence.judge import judge, read_item
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case
from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import timestamp
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report

ROOT = Path(__file__).resolve().parents[3]
VERSION, REVISION = "v1.8.0-beta", "0123456789abcdef0123456789abcdef01234567"
DIGESTS = {"api": "sha256:" + "a" * 64, "panel": "sha256:" + "b" * 64}
ITEMS = ["approved", "slos", "security", "backup", "rollback_tested", "on_call", "stakeholders"]
filters = FilterModule().filters()


@pytest.fixture(scope="module")
def evidence() -> Iterator[Any]:
    sys.path.append(str(ROOT / "sandbox"))
    import evidence as module  # noqa: PLC0415 - the sandbox's scripts are no package

    yield module
    sys.path.remove(str(ROOT / "sandbox"))


def filled(value: Any, site: dict[str, Any]) -> Any:
    """The plan's defaults with the site's variables in them."""
    if isinstance(value, dict):
        return {key: filled(one, site) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, site) for one in value]
    name = re.fullmatch(r"\{\{ (\w+) \}\}", value) if isinstance(value, str) else None
    return site[name[1]] if name else value


class Checklist:
    """All that the items rest on, as it is when they all pass."""

    def __init__(self, directory: Path, evidence: Any) -> None:
        now = datetime.now(UTC)
        self.directory = directory
        self.write("soak.json", evidence.soak(VERSION, REVISION, now))
        for service, digest in DIGESTS.items():
            about = {"Metadata": {"RepoDigests": [f"levibot/{service}@{digest}"]}, "SchemaVersion": 2, "CreatedAt": now.isoformat()}
            self.write(f"trivy-{service}.json", {**about, "Results": [{"Class": "os-pkgs", "Vulnerabilities": []}]})
        self.write("pip-audit.json", evidence.pip_audit())
        (directory / "on-call.ics").write_text(evidence.on_call(now))
        (directory / "backups").mkdir()
        for name, content in evidence.backups(now).items():
            # There is no data of a slot here.
            (directory / "backups" / name).write_bytes(gzip.compress(os.urandom(2048)) if name.startswith("analytics") else content)
        self.entries = [
            self.entry(
                "result", action="release", version=VERSION, revision=REVISION, images={n: {"digest": d} for n, d in DIGESTS.items()}
            ),
            self.entry("approval", action="go", version=VERSION, who="maria", reason="all is well", until=None),
            self.entry("result", action="drill", passed=True, seconds=4.2, versions={"stable": "v1.7.0", "idle": "v1.6.0"}),
            self.entry("result", action="notice", notice="t_minus_24h", version=VERSION, told=["slack"], failed=[]),
        ]

    @staticmethod
    def entry(kind: str, **data: Any) -> dict[str, Any]:
        return {"kind": kind, "at": timestamp(time.time() - 60), "rollout": "r", "seq": 1, "data": data}

    def write(self, name: str, document: Any) -> None:
        (self.directory / name).write_text(json.dumps(document))

    def change(self, name: str, **keys: Any) -> None:
        self.write(name, {**json.loads((self.directory / name).read_text()), **keys})

    def verdict(self) -> dict[str, Any]:
        site = yaml.safe_load((ROOT / "roles/levibot/defaults/main/evidence.yml").read_text())
        site.update(
            levibot_soak_report=str(self.directory / "soak.json"),
            levibot_trivy_reports={service: str(self.directory / f"trivy-{service}.json") for service in DIGESTS},
            levibot_pip_audit_report=str(self.directory / "pip-audit.json"),
            levibot_backup_dir=str(self.directory / "backups"),
            levibot_on_call_calendar=str(self.directory / "on-call.ics"),
        )
        plan = yaml.safe_load((ROOT / "roles/levibot/defaults/main/plan.yml").read_text())
        written, report = plan["levibot_plan"]["phase1"]["items"], Report()
        items = [read_item({**filled(item, site), "id": name}, lambda *keys: ".".join(keys), report) for name, item in written.items()]
        assert report.problems == []
        subject = filters["phase1_subject"](self.entries, VERSION, "v1.7.0", "v1.6.0")
        slos = {"api_uptime": "> 99.9%", "error_rate": "< 0.1%", "latency_p95": "< 200ms"}
        judged = judge(items, Case(**subject, now=time.time(), slos=slos, records=tuple(self.entries)))
        phase = {"go_max_age_seconds": 86400, "items": items, "approvals": 1}
        return filters["phase1_verdict"](self.entries, judged, VERSION, phase, "sha256:plan")


@pytest.fixture
def checklist(tmp_path: Path, evidence: Any) -> Checklist:
    return Checklist(tmp_path, evidence)


def test_all_items_pass_and_that_is_a_go(checklist: Checklist):
    found = checklist.verdict()
    assert [item["id"] for item in found["data"]["items"]] == ITEMS
    assert found["data"]["verdict"] == "GO", found["message"]
    assert found["data"]["images"] == DIGESTS


def ended(checklist: Checklist, days: float) -> None:
    at = datetime.now(UTC) + timedelta(days=days)
    checklist.change("soak.json", started_at=(at - timedelta(days=2)).isoformat(), ended_at=at.isoformat())


def without(action: str) -> Callable[[Checklist], None]:
    def change(checklist: Checklist) -> None:
        checklist.entries = [entry for entry in checklist.entries if entry["data"]["action"] != action]

    return change


def recorded(action: str, **data: Any) -> Callable[[Checklist], None]:
    """Later than what is there."""

    def change(checklist: Checklist) -> None:
        old = next(entry for entry in checklist.entries if entry["data"]["action"] == action)
        checklist.entries = [*checklist.entries, {**old, "seq": 2, "data": {**old["data"], **data}}]

    return change


def broken_backup(checklist: Checklist) -> None:
    path = next((checklist.directory / "backups").glob("configs*"))
    path.write_bytes(path.read_bytes()[:1000])


def scanned(checklist: Checklist, *severities: str, digest: str = DIGESTS["api"]) -> None:
    found = [{"VulnerabilityID": f"CVE-{n}", "PkgName": "p", "Severity": severity} for n, severity in enumerate(severities)]
    about = {"RepoDigests": [f"levibot/api@{digest}"]}
    checklist.change("trivy-api.json", Results=[{"Class": "os-pkgs", "Vulnerabilities": found}], Metadata=about)


@pytest.mark.parametrize(
    ("item", "change", "said"),
    [
        ("approved", without("go"), "0 of 1 approval"),
        ("slos", lambda it: (it.directory / "soak.json").unlink(), "soak.json"),
        ("slos", lambda it: (it.directory / "soak.json").write_text("{"), "JSON"),
        ("slos", lambda it: it.change("soak.json", version="v1.7.9"), "v1.7.9"),
        (
            "slos",
            lambda it: it.change("soak.json", slos={"api_uptime": "99.97%", "error_rate": "0.2%", "latency_p95": "87ms"}),
            "error_rate",
        ),
        ("slos", lambda it: ended(it, -8), "old"),
        ("slos", lambda it: ended(it, 1), "future"),
        ("security", lambda it: scanned(it, "CRITICAL"), "critical"),
        ("security", lambda it: scanned(it, "HIGH", "HIGH", "HIGH"), "high"),
        ("security", lambda it: scanned(it, digest="sha256:" + "f" * 64), "not of sha256:aaaa"),
        ("backup", broken_backup, "configs_"),
        ("backup", lambda it: next((it.directory / "backups").glob("analytics*")).unlink(), "analytics_"),
        ("rollback_tested", without("drill"), "no drill"),
        ("rollback_tested", recorded("drill", passed=False), "passed"),
        ("rollback_tested", recorded("drill", seconds=301), "seconds"),
        ("rollback_tested", lambda it: it.entries[2]["data"].update(versions={"stable": "v1.5.0", "idle": "v1.6.0"}), "drill"),
        ("on_call", lambda it: (it.directory / "on-call.ics").unlink(), "on-call.ics"),
        ("stakeholders", without("notice"), "no notice"),
        ("stakeholders", recorded("notice", failed=["mail"]), "failed"),
    ],
)
def test_each_item_can_fail_alone(checklist: Checklist, item: str, change: Callable[[Checklist], Any], said: str):
    change(checklist)
    found = checklist.verdict()
    assert [one["id"] for one in found["failed"]] == [item]
    assert found["data"]["verdict"] == "NO-GO"
    assert f"({item})" in found["message"]
    assert said in found["message"], found["message"]
