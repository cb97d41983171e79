# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proposals of a day that a real Prometheus holds, by the role as an operator has it; and of a stand-in that trades."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.levibot.transition.plugins.module_utils.http import Client
from ansible_collections.levibot.transition.plugins.module_utils.ledger import store
from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import draft
from ansible_collections.levibot.transition.plugins.module_utils.sources.prometheus import Prometheus
from tests.standin import running as standin

from .daemons import CHECKOUT, PrometheusDaemon, program, running, wait_for

HOURS = 12
SECONDS = HOURS * 3600
SCRAPE = 15
# A whole minute some hours ago: backfilled blocks must be older than what the running server writes itself.
START = int(time.time()) // 60 * 60 - SECONDS - 4 * 3600
BEFORE = 1800
VERSION = "v1.8.0-beta"
FILES = ("alerts.yml", "risk.yml", "lessons-learned.md", "proposals.md")
# Three minutes in which 2 % of the requests failed.
ERRORS = range(3 * 3600, 3 * 3600 + 180)
PLAYBOOK = """\
- hosts: app
  gather_facts: false
  roles:
    - role: levibot.transition.proposals
"""


def history() -> Iterator[tuple[str, float, int]]:
    """(series, value, seconds) of each sample, in the names that LeviBot, Caddy and the probe use."""
    requests = 'server="slot-green",handler="subroute",job="caddy",instance="edge:1"'
    levi = 'slot="green",job="levibot",instance="app:1"'
    counts = dict.fromkeys(("200", "502"), 0.0)
    buckets = dict.fromkeys(("0.05", "0.1", "0.25", "+Inf"), 0.0)
    models = {"lgbm": dict.fromkeys(("0.05", "0.1", "0.25", "+Inf"), 0.0), "tft": dict.fromkeys(("0.05", "0.1", "0.25", "+Inf"), 0.0)}
    for number, second in enumerate(range(-BEFORE, SECONDS + 60, SCRAPE)):
        bad = 3.0 if second in ERRORS else 0.0
        counts["200"] += 150 - bad
        counts["502"] += bad
        for bound, share in zip(buckets, (110 + number % 13, 148, 150, 150), strict=True):
            buckets[bound] += share
        for bound, lgbm, tft in zip(models["lgbm"], (14, 15, 15, 15), (3 + number % 2, 13, 15, 15), strict=True):
            models["lgbm"][bound] += lgbm
            models["tft"][bound] += tft
        for code, value in counts.items():
            yield f'caddy_http_request_duration_seconds_count{{{requests},code="{code}"}}', value, second
        for bound, value in buckets.items():
            yield f'caddy_http_request_duration_seconds_bucket{{{requests},code="200",le="{bound}"}}', value, second
        for model, theirs in models.items():
            for bound, value in theirs.items():
                yield f'levi_inference_latency_seconds_bucket{{{levi},model="{model}",le="{bound}"}}', value, second
        yield 'probe_success{slot="green",job="probe",instance="probe:1"}', 1.0, second
        yield 'up{job="levibot",instance="app:1"}', 1.0, second
        yield 'up{job="caddy",instance="edge:1"}', 1.0, second
        yield f"levi_equity_now{{{levi}}}", 1000.0 - number % 40, second
        yield f"levi_realized_today_pct{{{levi}}}", -(number % 40) / 10, second
        yield f"levi_positions_open{{{levi}}}", float(number % 4), second
        yield f'levi_engine_status{{{levi},symbol="BTC/USDT"}}', 1.0, second
        yield f'levi_engine_last_heartbeat{{{levi},symbol="BTC/USDT"}}', float(START + second - number % 9), second
        if second in ERRORS:
            yield 'ALERTS{alertname="LeviHighErrorRate",alertstate="firing",severity="P1",slot="green"}', 1.0, second


def backfill(folder: Path) -> None:
    series: dict[str, list[str]] = {}
    for name, value, second in history():
        series.setdefault(name, []).append(f"{name} {value:.10g} {START + second}")
    lines = []
    family = ""
    for name, samples in sorted(series.items()):
        if name.partition("{")[0] != family:
            family = name.partition("{")[0]
            lines.append(f"# TYPE {family} unknown")
        lines += samples
    (folder / "history.om").write_text("\n".join([*lines, "# EOF", ""]))
    argv = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(folder / "history.om"), str(folder / "data")]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, timeout=120)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusDaemon]:
    folder = tmp_path_factory.mktemp("prometheus")
    backfill(folder)
    daemon = PrometheusDaemon(folder, {"global": {"scrape_interval": "15s"}})
    with running(daemon):
        yield daemon


@dataclass(frozen=True)
class Site:
    folder: Path
    url: str

    @property
    def proposals(self) -> Path:
        return self.folder / "proposals"

    def run(self, *options: str, **changes: Any) -> tuple[str, dict[str, int]]:
        """What was shown, and the host's counts."""
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "levibot_version": VERSION,
            "levibot_home": str(self.folder),
            "levibot_prometheus_url": self.url,
            "proposals_dir": str(self.proposals),
            "proposals_slot": "green",
            "proposals_started_at": START,
            "proposals_ended_at": START + SECONDS,
            "proposals_phase3": {"limits": {"daily_loss_ratio": "0.05", "concurrent_positions": 10, "position_ratio": "1"}},
            "proposals_used": [{"limit": "position_ratio", "value": "0.2", "source": "recomputed from 12 fills"}],
            **changes,
        }
        inventory = {"app_hosts": {"hosts": {"app": {}}}, "all": {"vars": variables}}
        (self.folder / "hosts.yml").write_text(yaml.safe_dump(inventory))
        (self.folder / "play.yml").write_text(PLAYBOOK)
        command = [Path(sys.executable).with_name("ansible-playbook"), "-i", self.folder / "hosts.yml", self.folder / "play.yml", *options]
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        }
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=280)
        shown = done.stdout + done.stderr
        recap = shown.rpartition("PLAY RECAP")[2]
        counts = {name: int(count) for name, _is, count in (part.partition("=") for part in recap.split()) if count.isdigit()}
        return shown, counts

    def read(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted(self.proposals.glob("*"))}


@pytest.fixture
def site(tmp_path: Path, prometheus: PrometheusDaemon) -> Site:
    with store.Ledger(tmp_path / "ledger.db") as ledger:
        ledger.append(
            [
                draft(f"phase1-{VERSION}", "result", {"action": "release", "version": VERSION}, START - 7200),
                draft(f"20261124T112200Z-{VERSION}", "opened", {"version": VERSION}, START - 3600),
                draft(
                    f"20261124T112200Z-{VERSION}",
                    "verdict",
                    {"gate": "phase2.step1", "verdict": "pass", "at_seconds": 1801, "window_seconds": 1800},
                    START - 1800,
                ),
                draft(f"20261124T112200Z-{VERSION}", "closed", {"outcome": "promoted", "reason": ""}, START),
            ]
        )
    return Site(tmp_path, prometheus.url)


def test_proposals_are_files_to_review(site: Site, prometheus: PrometheusDaemon) -> None:
    shown, counts = site.run("--check", "--diff")
    assert (counts["failed"], counts["changed"]) == (0, 3), shown
    assert "+groups:" in shown
    assert not site.proposals.exists()

    shown, counts = site.run("--diff")
    assert (counts["failed"], counts["changed"]) == (0, 3), shown
    files = site.read()
    assert set(files) == set(FILES)

    checked = subprocess.run(
        [program("promtool"), "check", "rules", site.proposals / "alerts.yml"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    rules = yaml.safe_load(files["alerts.yml"])["groups"][0]["rules"]
    assert f"SUCCESS: {len(rules)} rules found" in checked.stdout
    assert all("blue|green" in rule["expr"] and "$slot" not in rule["expr"] for rule in rules)
    by_alert = {(rule["alert"], rule["labels"]["severity"]): rule for rule in rules}
    assert by_alert["LeviErrorRate", "P1"]["expr"].endswith("> 0.015")
    # What keeps its SLO pages nobody, and half a budget too much all day long is no false alarm.
    assert by_alert["LeviLatencyP95", "P1"]["expr"].endswith("> 0.2")
    assert "LeviInferenceP95" not in {alert for alert, _severity in by_alert}
    assert "would have fired for 99.305% of the time: that is no false alarm" in files["alerts.yml"]
    assert "the plan's  > 0.5% for 2m: 1 false alarm, firing for 3 min" in files["alerts.yml"]
    assert by_alert["LeviDailyLoss", "P0"]["expr"].endswith("> 46")

    # The rules' own expressions, as Prometheus evaluates them, are met as seldom as was counted.
    asker = Prometheus(prometheus.url, Client(timeout=30))
    for rule in rules:
        assert "would have made 0 false alarms" in rule["annotations"]["proposal"]
        if rule["for"] == "0s":
            assert asker.grid(rule["expr"], START * 1000, 30_000, SECONDS // 30) == {}

    tightened = {"position": "30%", "concurrent_positions": 5}
    assert yaml.safe_load(files["risk.yml"]) == {"levibot_proposed_plan_overrides": {"phase3": {"limits": tightened}}}
    lessons = files["lessons-learned.md"].replace("\\", "")
    assert "- Gate phase2.step1 passed in its window, after 30 min 1 s" in lessons
    assert "- Alert LeviHighErrorRate (P1) fired 1 time" in lessons
    assert "| tft | 100ms | **exceeds** |" in files["proposals.md"]


def test_the_same_data_gives_the_same_files(site: Site) -> None:
    site.run()
    first = site.read()
    shown, counts = site.run()
    assert (counts["failed"], counts["changed"]) == (0, 0), shown
    # Those with a threshold in them, and nothing is changed yet.
    shown, counts = site.run("--check", "--diff", proposals_margin="50%")
    assert (counts["failed"], counts["changed"]) == (0, 2), shown
    assert site.read() == first


def test_an_incident_that_is_named_is_no_false_alarm(site: Site) -> None:
    began = START + ERRORS.start
    site.run(proposals_incidents=[{"from": began - 60, "to": began + 900, "why": "the database was moved"}])
    assert "> 0.5% for 2m: 0 false alarms and 1 in incidents" in (site.proposals / "alerts.yml").read_text()


def test_without_prometheus_nothing_is_proposed_and_that_is_said(site: Site) -> None:
    shown, counts = site.run(levibot_prometheus_url="http://127.0.0.1:9")
    assert counts["failed"] == 0, shown
    files = site.read()
    assert yaml.safe_load(files["alerts.yml"]) == {"groups": []}
    assert files["alerts.yml"].count("NOTHING IS PROPOSED") == 6
    assert "nothing listens there" in files["proposals.md"]
    checked = subprocess.run([program("promtool"), "check", "rules", site.proposals / "alerts.yml"], check=False, capture_output=True)
    assert checked.returncode == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"proposals_started_at": 0, "proposals_slot": "red"}, ["one of blue, green", "Nothing was asked"]),
        (
            {
                "proposals_alerts_overrides": {"error_rate": {"plan": "0.5"}},
                "proposals_incidents": [{"from": "yesterday", "to": 5}],
                "proposals_interval": "often",
            },
            ["proposals_alerts.error_rate.plan", "incidents[0]", "interval"],
        ),
    ],
)
def test_mistakes_are_told_at_once_and_nothing_is_written(site: Site, changes: dict[str, Any], told: list[str]) -> None:
    shown, counts = site.run(**changes)
    assert counts["failed"] == 1, shown
    assert all(text in shown for text in told), shown
    assert not site.proposals.exists()


@pytest.mark.slow
def test_a_stand_ins_own_metrics_make_proposals(tmp_path: Path) -> None:
    with standin(tmp_path / "standin") as there:
        scraped = {"job_name": "levibot", "static_configs": [{"targets": [there.url.partition("//")[2]], "labels": {"slot": "green"}}]}
        daemon = PrometheusDaemon(
            tmp_path / "prometheus",
            {
                "global": {"scrape_interval": "200ms", "scrape_timeout": "190ms"},
                "scrape_configs": [{**scraped, "metrics_path": "/metrics"}],
            },
        )
        with running(daemon):
            asker = Prometheus(daemon.url, Client(timeout=5))
            wait_for(lambda: asker.instant('levi_engine_status{slot="green"}', time.time()), "the first scrape")
            began = time.time()
            wait_for(lambda: time.time() - began > 12, "twelve seconds of samples", 20)
            site = Site(tmp_path, daemon.url)
            shown, counts = site.run(
                proposals_started_at=began,
                proposals_ended_at=began + 12,
                proposals_interval="100ms",
                proposals_rate_window="2s",
                proposals_alerts_overrides={"inference_p95": {"for": "1s"}},
            )
    assert counts["failed"] == 0, shown
    text = (site.proposals / "alerts.yml").read_text()
    proposed = {rule["alert"] for rule in yaml.safe_load(text)["groups"][0]["rules"]}
    assert {"LeviEngineSilent", "LeviInferenceP95"} <= proposed, text
    assert text.count("NOTHING IS PROPOSED: there is no sample in the period") >= 3  # no edge was scraped
    assert "all models" in (site.proposals / "proposals.md").read_text()
    assert json.dumps(yaml.safe_load((site.proposals / "risk.yml").read_text()))
