# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/validate_plan.yml as an operator runs it, against a real Prometheus and with nothing else there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.levibot.transition.plugins.module_utils.http import Client

from .daemons import CHECKOUT, Exporter, PrometheusDaemon, free_port, running, wait_for
from .site import MISTAKE

SECRET = "hunter2"
BUCKETS = ("0.05", "0.1", "0.2", "0.3", "+Inf")


class Traffic:
    """40 requests a second in blue, and none in green; a tenth of them takes longer than 100 ms, none longer than 200 ms."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        self._began = time.monotonic()
        self.running = True
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while self.running:
            count = int(40 * (time.monotonic() - self._began))
            labels = 'server="slot-blue",handler="subroute",code="200"'
            name = "caddy_http_request_duration_seconds"
            within = dict(zip(BUCKETS, (count // 2, count - count // 10, count, count, count), strict=True))
            lines = [f'{name}_bucket{{{labels},le="{bound}"}} {value}' for bound, value in within.items()]
            self._exporter.text = "\n".join([*lines, f"{name}_count{{{labels}}} {count}", 'probe_success{slot="blue"} 1', ""])
            time.sleep(0.05)


@dataclass(frozen=True)
class Operator:
    """Who runs the playbook."""

    folder: Path
    prometheus: str

    def run(self, *options: str, **variables: Any) -> tuple[int, str]:
        ours = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        needed = {
            "levibot_version": "v1.8.0-beta",
            "levibot_compose_file": "docker-compose.prod.yml",
            "levibot_admin_token": SECRET,
            "levibot_prometheus_url": self.prometheus,
            "validate_plan_traffic_over": "4s",
        }
        groups = {"app_hosts": {"hosts": {"app": {}}}, "edge_hosts": {"hosts": {"edge": {}}}}
        inventory = {**groups, "all": {"vars": {**ours, **needed, **variables}}}
        (self.folder / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
        command = [
            Path(sys.executable).with_name("ansible-playbook"),
            "-i",
            self.folder / "hosts.yml",
            *options,
            "playbooks/validate_plan.yml",
        ]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
        shown = done.stdout + done.stderr
        assert SECRET not in shown
        return done.returncode, shown

    def mistakes(self, *options: str, **variables: Any) -> tuple[dict[str, tuple[str, str]], str]:
        code, shown = self.run(*options, **variables)
        assert code != 0, shown
        return {found["path"]: (found["found"], found["fix"]) for found in MISTAKE.finditer(shown)}, shown


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    exporter = Exporter()
    traffic = Traffic(exporter)
    config = {
        "global": {"scrape_interval": "200ms"},
        "scrape_configs": [{"job_name": "edge", "static_configs": [{"targets": [exporter.address]}]}],
    }
    daemon = PrometheusDaemon(tmp_path_factory.mktemp("prometheus"), config)
    with running(daemon):
        asked = {"query": "count_over_time(probe_success[10s]) > 25"}
        wait_for(lambda: Client().get_json(f"{daemon.url}/api/v1/query", asked)["data"]["result"], "five seconds of data")
        yield daemon.url
    traffic.running = False
    exporter.close()


@pytest.fixture
def operator(tmp_path: Path, prometheus: str) -> Operator:
    return Operator(tmp_path, prometheus)


def test_a_sound_plan_is_told_with_the_traffic_that_is_there(operator):
    dest = operator.folder / "found.json"
    code, shown = operator.run(validate_plan_dest=str(dest))
    assert code == 0, shown
    assert "phase2.step1 (10% Traffic): 30m, held for up to 2h more" in shown
    assert "p0_p1_alerts == 0: acts after one look, which is within 15s" in shown
    assert (
        "phase3.step1 (Single Symbol): 4h, held for up to 2h more\n  starts BTC/USDT with 100.00 USD; live then are 1 engine with" in shown
    )
    assert "DOGE/USDT with 100.00 USD; live then are 10 engines with 1,000.00 USD" in shown
    assert "position_loss_usd < 50 USD: acts after one look, which is within 15s" in shown
    # Blue had no error, and nobody knows whether the selector would have found one.
    assert "These find nothing now." in shown
    assert "\n  levibot_checks.error_rate.bad\n" in shown
    found = json.loads(dest.read_text(encoding="utf-8"))
    assert found["problems"] == []
    checks = {(gate["id"], check["id"]): check for gate in found["gates"] for check in gate["checks"]}
    errors = checks["phase2.step1", "error_rate"]
    assert errors["expected"]["origin"] == "measured"
    assert errors["expected"]["all_per_second"] == pytest.approx(40, rel=0.25)
    assert errors["expected"]["per_second"] == pytest.approx(errors["expected"]["all_per_second"] / 10)
    assert checks["phase2.step1", "api_uptime"]["expected"]["per_second"] == pytest.approx(5, rel=0.25)
    worse = checks["phase2.step2", "performance_degradation"]
    assert worse["cautions"] == []
    # A tenth is slower than 100 ms, so no candidate has more than ten times that.
    assert worse["detects"][-1]["ratio"] == pytest.approx(10, rel=0.2)
    assert all(check["detects"][-1]["detectable"] for check in checks.values() if "detects" in check)


def test_check_mode_tells_the_same_and_writes_nothing(operator):
    dest = operator.folder / "found.json"
    code, shown = operator.run("--check", validate_plan_dest=str(dest), validate_plan_requests_per_second=400 / 60)
    assert code == 0, shown
    assert "error_rate < 0.1%: with 40 requests a minute (10% of 400) and 30m, 1,200 requests" in shown
    assert "min_events (3,000) will not be reached in 30m: 1,200 requests are expected; it takes 1h15m" in shown
    assert not dest.exists()


def test_what_prometheus_refuses_is_reported_with_all_other_mistakes(operator):
    mistakes, _shown = operator.mistakes(
        levibot_versoin="v2",
        levibot_checks_overrides={
            "error_rate": {"bad": "requests_total{slot=$slot}", "total": "requests_total{slot=~}"},
            "queue": {"kind": "threshold", "query": "sum(queue{slot='$slot'}"},
            "several": {"kind": "threshold", "query": "caddy_http_request_duration_seconds_bucket"},
        },
    )
    assert set(mistakes) == {
        "levibot_versoin",
        "levibot_checks_overrides.error_rate.bad",
        "levibot_checks_overrides.error_rate.total",
        "levibot_checks_overrides.queue.query",
        "levibot_checks_overrides.several.query",
    }
    for path in sorted(mistakes)[:3]:
        found, fix = mistakes[path]
        assert "refuses the query" in found
        assert "parse error" in found
        assert fix == "correct the expression"
    assert "5 series where one is expected" in mistakes["levibot_checks_overrides.several.query"][0]


def test_without_prometheus_the_rest_is_told_and_that_is_a_mistake(operator):
    nobody = f"http://me:{SECRET}@127.0.0.1:{free_port()}"
    mistakes, shown = operator.mistakes(levibot_prometheus_url=nobody, validate_plan_requests_per_second=20)
    assert set(mistakes) == {"levibot_prometheus_url"}
    assert "Prometheus cannot be asked, so no expression was parsed" in mistakes["levibot_prometheus_url"][0]
    assert "error_rate < 0.1%: with 2 requests a second (10% of 20) and 30m, 3,600 requests" in shown


def test_without_prometheus_and_traffic_nothing_is_guessed(operator):
    _mistakes, shown = operator.mistakes(levibot_prometheus_url=f"http://127.0.0.1:{free_port()}")
    assert "what it detects cannot be told" in shown
    assert "give the expected traffic: validate_plan_requests_per_second" in shown
    assert "api_uptime > 99.9%: with 60 probes a minute (assumed)" in shown
