# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/phase4_post_deploy.yml on a release that trades live: the stand-in, a real edge, Prometheus and ledger, a made-up Docker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.edge.files import SplitFiles
from ansible_collections.levibot.transition.plugins.module_utils.http import Client
from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import draft
from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger
from ansible_collections.levibot.transition.plugins.module_utils.levibot import books
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import Api
from tests.standin import TOKEN, Standin
from tests.standin import running as standing_in

from .daemons import CHECKOUT, PrometheusDaemon, free_port, running, wait_for
from .edge_bed import Bed, bed, expiring, free_ports

VERSION = "v1.8.0-beta"
DIGESTS = {"api": "sha256:aa", "panel": "sha256:bb"}
RULES = {
    "groups": [
        {
            "name": "levibot",
            "rules": [
                {"alert": "Watchdog", "expr": "vector(1)"},
                {"alert": "Intruder", "expr": "vector(1) > 2", "labels": {"category": "security"}},
            ],
        }
    ]
}
POLICY = {
    "sides": ["long", "short"],
    "limits": {
        "position_ratio": "1",
        "exposure_ratio": "1",
        "daily_loss_ratio": "1",
        "concurrent_positions": 10,
        "reported": {"max_daily_loss_pct": "5", "max_symbol_risk_pct": "20", "max_concurrent_positions": "10"},
    },
}
# Seconds for hours; and of so short a time Prometheus does not see the very beginning.
PLAN = {
    "phase4": {
        "period": "3s",
        "items": {
            "uptime": {
                "evidence": [
                    {"kind": "prometheus", "samples": 'up{slot="$slot"}', "slo": "api_uptime", "window": "period", "min_coverage": "10%"}
                ]
            },
            "security": {
                "evidence": [
                    {"kind": "intrusions"},
                    {"kind": "alerts", "matchers": {"category": "security"}, "min_coverage": "10%"},
                    {"kind": "containers"},
                ]
            },
        },
    }
}
DOCKER = """\
#!{python}
import json, sys
ids = {{"c-api": "api", "c-panel": "panel"}}
if sys.argv[1] == "ps":
    print("\\n".join(ids) if any("-green" in word for word in sys.argv) else "")
else:
    digests = json.load(open({digests!r}))
    print(json.dumps([
        {{"Name": f"/levibot-green-{{name}}-1", "State": {{"Status": "running"}}, "Image": f"sha256:id-{{name}}",
          "Config": {{"Image": f"registry/levibot/{{name}}@{{digests[name]}}", "Labels": {{"com.docker.compose.service": name}}}}}}
        for name in map(ids.get, sys.argv[2:])
    ]))
"""


@dataclass
class Site:
    """A release that has been live for some seconds, and an operator who starts the playbook on it."""

    directory: Path
    edge: Bed
    standin: Standin
    fresh: int = 0

    @property
    def audit(self) -> Path:
        return self.standin.data / "audit.jsonl"

    @property
    def digests(self) -> Path:
        return self.directory / "digests.json"

    def validate(self, *options: str, **variables: Any) -> tuple[int, str]:
        command = [
            Path(sys.executable).with_name("ansible-playbook"),
            "playbooks/phase4_post_deploy.yml",
            "-i",
            self.directory / "hosts.yml",
        ]
        command += ["-e", json.dumps({"report_dir": str(self.directory / "build"), **variables}), *options]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=300)
        return done.returncode, done.stdout + done.stderr

    def verdicts(self) -> list[dict[str, Any]]:
        with Ledger(self.directory / "home/ledger.db", writable=False) as ledger:
            return [entry.data for entry in ledger.read(f"phase4-{VERSION}")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("validation")
    home = directory / "home"
    with _release(home) as standin, _metrics(directory, standin) as prometheus:
        tools = directory / "bin"
        tools.mkdir()
        (directory / "digests.json").write_text(json.dumps(DIGESTS))
        (tools / "docker").write_text(DOCKER.format(python=sys.executable, digests=str(directory / "digests.json")))
        (tools / "docker").chmod(0o755)
        blue, *panels, listen, other = free_ports(5)
        (directory / "compose.yml").write_text("services: {}\n")
        variables = {
            "levibot_home": str(home),
            "levibot_project": "levibot",
            "levibot_version": VERSION,
            "levibot_compose_file": str(directory / "compose.yml"),
            "levibot_admin_token": TOKEN,
            "levibot_prometheus_url": prometheus,
            "levibot_environment": {"PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"},
            "levibot_plan_overrides": PLAN,
            "proposals_dir": str(directory / "proposals"),
            "proposals_interval": "100ms",
            # On a busy machine scrapes are late: what is too little is tried in tests/unit.
            "levibot_slo_api_uptime": "> 1%",
            "edge_initial_stable": "green",
            "levibot_slots": {
                "blue": {"listen": listen, "ports": {"api": blue, "panel": panels[0]}},
                "green": {"listen": other, "ports": {"api": standin.port, "panel": panels[1]}},
            },
        }
        with bed(directory, applications=False, **variables) as edge, expiring(edge):
            assert SplitFiles(edge.variables["edge_run_dir"], edge.variables["edge_lib_dir"]) is not None
            there = Site(directory, edge, standin)
            _live(there)
            yield there


@contextmanager
def _release(home: Path) -> Iterator[Standin]:
    (home / f"releases/{VERSION}").mkdir(parents=True)
    images = {name: {"digest": f"registry/levibot/{name}@{digest}", "id": f"sha256:id-{name}"} for name, digest in DIGESTS.items()}
    (home / f"releases/{VERSION}/release.json").write_text(json.dumps({"version": VERSION, "images": images}))
    with standing_in(home / "slots/green/data", LEVIBOT_VERSION=VERSION) as standin:
        (home / "slots/green/release").write_text(VERSION)
        yield standin


@contextmanager
def _metrics(directory: Path, standin: Standin) -> Iterator[str]:
    scrape = {"job_name": "levibot", "static_configs": [{"targets": [f"127.0.0.1:{standin.port}"], "labels": {"slot": "green"}}]}
    config = {"global": {"scrape_interval": "500ms", "scrape_timeout": "450ms", "evaluation_interval": "500ms"}, "scrape_configs": [scrape]}
    daemon = PrometheusDaemon(directory / "prometheus", config, RULES)
    with running(daemon):
        client = Client(timeout=5)

        def answers(query: str) -> bool:
            return bool(client.get_json(f"{daemon.url}/api/v1/query", {"query": query})["data"]["result"])

        wait_for(lambda: answers('up{slot="green"} == 1') and answers('ALERTS{alertname="Watchdog"}'), "the first scrapes")
        yield daemon.url


def _live(site: Site) -> None:
    """What Phases 1 to 3 would have done and recorded, until a live trade is closed."""
    api = Api(site.standin.url, Client(timeout=5, token=TOKEN))
    begun = time.time()
    api.call("kill", reason="drill")
    api.call("release", reason="drill")
    drilled, api.calls = api.calls, []
    baseline = books.baseline(books.read(api))
    started = time.time()
    api.call("start_live", symbol="BTC/USDT", capital="100")
    images = {name: {"digest": digest, "id": f"sha256:id-{name}"} for name, digest in DIGESTS.items()}
    engines = {"BTC/USDT": "100.00"}
    where = {"host": "edge", "slot": "green"}
    steps = [{"id": "phase3.step1", "engines": engines}]
    about = {"version": VERSION, "plan_digest": "sha256:p"}
    told = [
        (f"phase1-{VERSION}", "result", begun - 9, {"action": "release", "version": VERSION, "revision": "c0ffee", "images": images}),
        ("rollout", "opened", begun, {**about, "stable": {"slot": "blue"}, "candidate": {"slot": "green"}}),
        ("rollout", "result", begun, {"action": "weight", "step": "phase2.step1", "weight": 10}),
        ("rollout", "closed", begun, {"outcome": "promoted"}),
        ("kill-drill-1", "result", begun, {"action": "kill_drill", "passed": True, "version": VERSION, "calls": {"edge": drilled}}),
        ("live", "opened", started, {**about, **where, "phase": "phase3", "baseline": baseline, "steps": steps, "policy": POLICY}),
        ("live", "intent", started, {**where, "action": "start", "step": "phase3.step1", "engines": engines}),
        ("live", "result", started, {**where, "action": "start", "step": "phase3.step1", "engines": engines, "calls": api.calls}),
    ]
    with Ledger(site.directory / "home/ledger.db") as ledger:
        ledger.append([draft(rollout, kind, data, at) for rollout, kind, at, data in told])
    wait_for(lambda: site.standin.ask("GET", "/live/trades")["trades"], "a live trade to be closed", 60)
    with Ledger(site.directory / "home/ledger.db") as ledger:
        ledger.append([draft("live", "closed", {"outcome": "live"}, time.time())])


def test_validated_once(site: Site) -> None:
    code, said = site.validate("--check")
    assert code == 0, said
    assert site.verdicts() == []
    assert not (site.directory / "build").exists()
    assert not (site.directory / "proposals").exists()

    code, said = site.validate()
    assert code == 0, said
    assert f"VALIDATED: {VERSION}" in said
    (verdict,) = site.verdicts()
    assert verdict["verdict"] == "VALIDATED"
    assert [(item["id"], item["passed"]) for item in verdict["items"]] == [
        (name, True) for name in ("promoted", "period", "activated", "traffic", "uptime", "live", "trades", "pnl", "security", "audit")
    ]
    page = (site.directory / f"build/report/validation-{VERSION}.md").read_text()
    for words in (f"# VALIDATED for {VERSION}", "c0ffee", "T+0", "48h uptime", "3 of 3 calls of the ledger are in it", "Signature"):
        assert words in page
    assert (site.directory / f"build/report/validation-{VERSION}.html").exists()
    proposals = {path.name: path.read_text() for path in (site.directory / "proposals").iterdir()}
    assert set(proposals) == {"alerts.yml", "risk.yml", "lessons-learned.md", "proposals.md"}
    assert "recomputed from" in proposals["risk.yml"]
    assert "VALIDATED" in proposals["lessons-learned.md"]
    assert TOKEN not in page + said + json.dumps(verdict) + "".join(proposals.values())

    code, said = site.validate()
    assert code == 0, said
    assert len(site.verdicts()) == 1
    assert "changed=0" in said


def test_too_early(site: Site) -> None:
    plan = {"phase4": {**PLAN["phase4"], "period": "48h"}}
    code, said = site.validate(levibot_plan_overrides=plan)
    assert code != 0
    assert f"NOT VALIDATED for {VERSION}: 1 of 10 did not pass." in said
    assert "not yet: T+0 was at" in said


def test_each_fault_is_told_in_one_verdict(site: Site) -> None:
    """A line of the audit log is gone, one was not let in, another did something, a limit was changed, and a container is another one."""
    kept = site.audit.read_text()
    before = len(site.verdicts())
    digests = site.digests.read_text()
    try:
        site.audit.write_text("".join(kept.splitlines(keepends=True)[1:]))
        site.standin.ask("POST", "/live/kill", {"reason": "let me in"}, token="guessed", status=401)
        site.standin.ask("POST", "/engines/start", {"symbol": "ETH/USDT", "mode": "live", "capital": 100})
        site.standin.fault(changed_limit=True)
        site.digests.write_text(json.dumps({**DIGESTS, "api": "sha256:cc"}))
        code, said = site.validate()
    finally:
        site.standin.fault()
        site.digests.write_text(digests)
    assert code != 0
    for words in (
        "POST /live/kill on edge at",
        "of the ledger is not in the audit log",
        "unauthorised by 127.0.0.1 on edge at",
        "engine_start ETH/USDT by 127.0.0.1 on edge at",
        "ETH/USDT runs live in green on edge, where nobody has started it",
        "max_daily_loss_pct",
        "was made from sha256:cc, not from sha256:aa",
    ):
        assert words in said, said
    assert "fix: " in said
    verdict = site.verdicts()[-1]
    assert len(site.verdicts()) == before + 1
    failed = {item["id"] for item in verdict["items"] if not item["passed"]}
    assert {"live", "trades", "security", "audit"} <= failed
    assert not failed & {"promoted", "period", "activated", "traffic", "uptime"}


def test_nothing_can_be_asked(site: Site) -> None:
    """Neither Prometheus nor the API nor the ledger: each is said, and nothing is passed."""
    site.standin.kill()
    nowhere = f"http://127.0.0.1:{free_port()}"
    code, said = site.validate(levibot_prometheus_url=nowhere)
    assert code != 0
    for words in ("nothing listens there", "is not known", "The books cannot be read"):
        assert words in said, said
    code, said = site.validate(levibot_ledger_path=str(site.directory / "hosts.yml"))
    assert code != 0
    assert "the ledger could not be read" in said
    assert "10 of 10 did not pass" in said
