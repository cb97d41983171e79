# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action `gate` in a real ansible-playbook, asking a real Prometheus and Alertmanager that scrape a tiny exporter."""

from __future__ import annotations

import json
import os
import pty
import signal
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
from ansible_collections.levibot.transition.plugins.plugin_utils.screen import NOT_WATCHED
from tests.integration.daemons import CHECKOUT, AlertmanagerDaemon, Exporter, PrometheusDaemon, running, wait_for

SLOT = 'slot="$slot"'
API_UPTIME = {
    "id": "api_uptime",
    "kind": "proportion",
    "source": "prometheus",
    "of": "good",
    "samples": f"probe_success{{{SLOT}}}",
    "min_events": 5,
    "condition": {"op": ">", "limit": "0.999", "unit": "ratio", "text": "api_uptime > 99.9%"},
}
ERROR_RATE = {
    "id": "error_rate",
    "kind": "proportion",
    "source": "prometheus",
    "of": "bad",
    "bad": f'requests_total{{{SLOT},code="500"}}',
    "total": f"requests_total{{{SLOT}}}",
    "min_events": 20,
    "condition": {"op": "<", "limit": "0.01", "unit": "ratio", "text": "error_rate < 1%"},
}
ALERTS = {
    "id": "p0_p1_alerts",
    "kind": "alerts",
    "source": "alertmanager",
    "matchers": {"severity": "P0|P1"},
    "watchdog": "Watchdog",
    "rules": {"slot": "$slot"},
    "fail_after": 1,
    "condition": {"op": "==", "limit": "0", "unit": "count", "text": "p0_p1_alerts == 0"},
}
RULES = {
    "groups": [
        {
            "name": "levibot",
            "interval": "200ms",
            "rules": [
                {"alert": "Watchdog", "expr": "vector(1)"},
                *(
                    {"alert": "ApiDown", "expr": f'api_down{{slot="{slot}"}} == 1', "labels": {"severity": "P0", "slot": slot}}
                    for slot in ("blue", "green")
                ),
            ],
        }
    ]
}


class Traffic:
    """A slot that serves: counters that grow with time, faults that can be switched on."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        self._good, self._bad = 0, 0
        self.running = True
        self.heal()
        threading.Thread(target=self._serve, daemon=True).start()

    def heal(self) -> None:
        self.flows, self.errors, self.down = True, False, {"green": 0, "blue": 0}

    def _serve(self) -> None:
        while self.running:
            self._good += 10 * self.flows
            self._bad += 5 * self.errors
            lines = [f'requests_total{{slot="green",code="200"}} {self._good}', 'probe_success{slot="green"} 1']
            # As with real servers, there is no series for 500s before the first of them.
            lines += [f'requests_total{{slot="green",code="500"}} {self._bad}'] if self._bad else []
            lines += [f'api_down{{slot="{slot}"}} {down}' for slot, down in self.down.items()]
            self._exporter.text = "\n".join([*lines, ""])
            time.sleep(0.05)


@dataclass
class Site:
    """What the tests act on."""

    prometheus: PrometheusDaemon
    alertmanager: AlertmanagerDaemon
    traffic: Traffic
    folder: Path

    def sources(self) -> dict[str, Any]:
        return {"prometheus": {"url": self.prometheus.url}, "alertmanager": {"url": self.alertmanager.url}}

    def is_scraped(self) -> bool:
        answer = Client().get_json(f"{self.prometheus.url}/api/v1/query", {"query": "count_over_time(probe_success[1s]) >= 4"})
        return bool(answer["data"]["result"])

    def alerts(self) -> set[str]:
        return {alert["labels"]["alertname"] for alert in Client().get_json(f"{self.alertmanager.url}/api/v2/alerts")}

    def is_quiet(self) -> bool:
        return self.alerts() == {"Watchdog"}


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PrometheusDaemon, AlertmanagerDaemon, Traffic]]:
    folder = tmp_path_factory.mktemp("daemons")
    exporter = Exporter()
    traffic = Traffic(exporter)
    alertmanager = AlertmanagerDaemon(folder / "alertmanager")
    config = {
        "global": {"scrape_interval": "200ms", "evaluation_interval": "200ms"},
        "scrape_configs": [{"job_name": "slots", "static_configs": [{"targets": [exporter.address]}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.address]}]}]},
    }
    prometheus = PrometheusDaemon(folder / "prometheus", config, RULES)
    with running(alertmanager, prometheus):
        yield prometheus, alertmanager, traffic
    traffic.running = False
    exporter.close()


@pytest.fixture
def site(daemons: tuple[PrometheusDaemon, AlertmanagerDaemon, Traffic], tmp_path: Path) -> Site:
    """A healthy slot that is scraped, whatever the test before has done to it."""
    prometheus, alertmanager, traffic = daemons
    traffic.heal()
    prometheus.start()
    here = Site(prometheus, alertmanager, traffic, tmp_path)
    wait_for(here.is_scraped, "scrapes")
    return here


@pytest.fixture
def alerting(site: Site) -> Site:
    """Once alerts arrive, which takes some seconds after a start, and none but the watchdog is there."""
    wait_for(site.is_quiet, "the watchdog alone")
    return site


def gate_of(*checks: dict[str, Any], **changed: Any) -> dict[str, Any]:
    timing = {"window_seconds": 4, "interval_seconds": 0.5, "settle_seconds": 0.5, "hold_seconds": 2, "blind_after_seconds": 1}
    return {"id": "phase2.step1", "on_fail": "rollback", **timing, **changed, "checks": [{"mode": "enforce", **check} for check in checks]}


def play(site: Site, gate: dict[str, Any], **arguments: Any) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Run one gate task; returns the process and the task's result, which a rescue would see."""
    flags = ["--check"] if arguments.pop("check", False) else []
    process = subprocess.run(
        [*command(site, gate, **arguments), *flags],
        cwd=CHECKOUT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    kept = site.folder / "result.json"
    return process, json.loads(kept.read_text()) if kept.exists() else {}


def command(site: Site, gate: dict[str, Any], **arguments: Any) -> list[str]:
    task = {
        "name": "Soak",
        "levibot.transition.gate": {"gate": gate, "subject": {"slot": "green", "stable": "blue"}, "sources": site.sources(), **arguments},
        "register": "soaked",
    }
    keep = {
        "name": "Keep the result",
        "ansible.builtin.copy": {
            "content": "{{ (ansible_failed_result | default(soaked)) | to_json }}",
            "dest": str(site.folder / "result.json"),
            "mode": "0600",
        },
        "check_mode": False,
    }
    failed = {
        "name": "Fail again",
        "ansible.builtin.fail": {"msg": "{{ ansible_failed_result.reason | default(ansible_failed_result.msg) }}"},
    }
    block = {"name": "Gate", "block": [task, keep], "rescue": [keep, failed]}
    book = [
        {
            "name": "Soak a gate",
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
            "tasks": [block],
        }
    ]
    (site.folder / "play.yml").write_text(yaml.safe_dump(book, sort_keys=False))
    return [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", str(site.folder / "play.yml")]


def environment() -> dict[str, str]:
    """Without what the caller's own runner has set: `CI` alone would change how the screen draws."""
    cleared = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_") and name not in NOT_WATCHED}
    return {**cleared, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "TERM": "xterm", "PYTHONUNBUFFERED": "1"}


@pytest.mark.parametrize("observe_from", ["controller", "target"])
def test_a_good_slot_passes(alerting: Site, observe_from: str) -> None:
    process, result = play(alerting, gate_of(API_UPTIME, ERROR_RATE, ALERTS), observe_from=observe_from)
    assert process.returncode == 0, process.stdout + process.stderr
    assert (result["verdict"], result["safe"], result["failed"]) == ("pass", True, False)
    assert {check["state"] for check in result["checks"]} == {"pass"}
    assert result["looks"] >= 2
    assert "phase2.step1  settling" in process.stdout
    assert "\x1b[" not in process.stdout


def test_errors_fail_it_early(alerting: Site) -> None:
    alerting.traffic.errors = True
    process, result = play(alerting, gate_of(API_UPTIME, ERROR_RATE, ALERTS, window_seconds=60))
    assert process.returncode == 2
    assert (result["verdict"], result["deciding"]) == ("fail", ["error_rate"])
    assert result["window"]["ended_at"] - result["window"]["started_at"] < 20
    assert "error_rate was 3" in result["reason"]


def test_an_alert_of_this_slot_fails_it_and_one_of_the_other_does_not(alerting: Site) -> None:
    alerting.traffic.down["blue"] = 1
    assert play(alerting, gate_of(ALERTS))[1]["verdict"] == "pass"
    alerting.traffic.down["green"] = 1
    result = play(alerting, gate_of(ALERTS))[1]
    assert (result["verdict"], result["deciding"]) == ("fail", ["p0_p1_alerts"])
    assert "ApiDown" in result["reason"]


def test_an_alert_that_is_over_still_counts(alerting: Site) -> None:
    began = time.time()
    alerting.traffic.down["green"] = 1
    wait_for(lambda: "ApiDown" in alerting.alerts(), "the alert")
    alerting.traffic.down["green"] = 0
    wait_for(alerting.is_quiet, "the alert's end")
    result = play(alerting, gate_of(ALERTS, window_seconds=60), started_at=began)[1]
    assert (result["verdict"], result["looks"]) == ("fail", 1)
    assert "ApiDown" in result["reason"]


def test_quiet_without_rules_or_watchdog_is_no_pass(alerting: Site) -> None:
    unknown = play(alerting, gate_of({**ALERTS, "rules": ["NoSuchRule"]}))[1]
    assert unknown["verdict"] == "fail"
    assert "NoSuchRule" in unknown["reason"]
    dead = play(alerting, gate_of({**ALERTS, "watchdog": "DeadMansSwitch"}))[1]
    assert dead["verdict"] == "fail"
    assert "DeadMansSwitch" in dead["reason"]


def test_no_traffic_holds_and_then_fails(site: Site) -> None:
    site.traffic.flows = False
    result = play(site, gate_of(ERROR_RATE))[1]
    assert result["verdict"] == "fail"
    assert "held" in result["reason"]


def test_a_dead_prometheus_makes_blind(site: Site) -> None:
    threading.Timer(2, site.prometheus.stop).start()
    process, result = play(site, gate_of(API_UPTIME, window_seconds=30, blind_after_seconds=2))
    assert process.returncode == 2
    assert result["verdict"] == "blind"
    assert "nothing listens there" in result["reason"]


def test_check_mode_asks_nothing_and_waits_for_nothing(site: Site) -> None:
    site.prometheus.stop()
    began = time.monotonic()
    process, result = play(site, gate_of(API_UPTIME, ALERTS, window_seconds=3600), check=True)
    assert process.returncode == 0, process.stdout
    assert (result["verdict"], result["safe"]) == ("unjudged", False)
    assert time.monotonic() - began < 15


def test_on_fail_warn_goes_on(site: Site) -> None:
    site.traffic.errors = True
    process, result = play(site, gate_of(ERROR_RATE, on_fail="warn"))
    assert process.returncode == 0
    assert (result["verdict"], result["safe"]) == ("fail", False)
    assert "WARNING" in process.stdout + process.stderr


def test_looks_and_verdict_are_in_the_ledger(site: Site) -> None:
    ledger = site.folder / "ledger.db"
    rollout = "20261124T112200Z-test"
    opened = {
        "hosts": "localhost",
        "name": "Open",
        "gather_facts": False,
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
    }
    book = site.folder / "open.yml"
    module = {
        "path": str(ledger),
        "state": "opened",
        "rollout": rollout,
        "version": "v1",
        "plan_digest": "sha256:" + "0" * 64,
        "who": {"user": "u", "host": "h"},
    }
    book.write_text(yaml.safe_dump([{**opened, "tasks": [{"name": "Open", "levibot.transition.ledger": module}]}]))
    ansible = str(Path(sys.executable).parent / "ansible-playbook")
    subprocess.run([ansible, "-i", "localhost,", str(book)], cwd=CHECKOUT, env=environment(), check=True, capture_output=True)
    process, result = play(site, gate_of(API_UPTIME, ERROR_RATE), ledger={"path": str(ledger), "rollout": rollout}, record_every=1)
    assert process.returncode == 0, process.stdout
    export = {"path": str(ledger), "state": "exported", "rollout": rollout, "dest": str(site.folder / "ledger.jsonl")}
    book.write_text(yaml.safe_dump([{**opened, "tasks": [{"name": "Export", "levibot.transition.ledger": export}]}]))
    subprocess.run([ansible, "-i", "localhost,", str(book)], cwd=CHECKOUT, env=environment(), check=True, capture_output=True)
    entries = [json.loads(line) for line in (site.folder / "ledger.jsonl").read_text().splitlines()]
    looks = [entry for entry in entries if entry["kind"] == "look"]
    assert len(looks) == result["looks"]
    assert looks[-1]["data"]["samples"]["api_uptime"]["status"] == "ok"
    assert [entry["data"]["verdict"] for entry in entries if entry["kind"] == "verdict"] == ["pass"]
    assert str(ledger) in result["samples_at"]


def test_a_ledger_that_cannot_be_written_is_no_pass(site: Site) -> None:
    process, result = play(site, gate_of(API_UPTIME), ledger={"path": "/proc/nowhere/ledger.db", "rollout": "r"})
    assert process.returncode == 2
    assert (result["verdict"], result["safe"]) == ("fail", False)


def test_a_soak_continues_where_it_stood(site: Site) -> None:
    time.sleep(4.5)
    began = time.time() - 4
    process, result = play(site, gate_of(API_UPTIME, ERROR_RATE), started_at=began)
    assert process.returncode == 0, process.stdout
    assert result["looks"] == 1
    assert result["window"]["started_at"] == pytest.approx(began, abs=0.01)


def test_a_terminal_gets_one_block_in_place(site: Site) -> None:
    output = on_a_terminal(command(site, gate_of(API_UPTIME, ERROR_RATE, window_seconds=2)), environment())
    assert "\x1b[3A" in output
    assert "api_uptime" in output
    plain = on_a_terminal(command(site, gate_of(API_UPTIME, window_seconds=2)), {**environment(), "CI": "true"})
    assert "\x1b[2A" not in plain
    bare = on_a_terminal(command(site, gate_of(API_UPTIME, window_seconds=2)), {**environment(), "NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1"})
    assert "\x1b[2A" in bare
    assert "\x1b[36m" not in bare


def on_a_terminal(argv: list[str], env: dict[str, str]) -> str:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(argv, cwd=CHECKOUT, env=env, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)
    os.close(terminal)
    read = bytearray()
    while True:
        try:
            chunk = os.read(controller, 65536)
        except OSError:
            break
        if not chunk:
            break
        read += chunk
    process.wait(30)
    os.close(controller)
    return read.decode()


def test_an_orphan_ends(site: Site) -> None:
    """The controlling process is killed; its worker, which lives on, must notice and stop asking."""
    process = subprocess.Popen(
        command(site, gate_of(API_UPTIME, window_seconds=120)),
        cwd=CHECKOUT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    workers: list[int] = []

    def worker_is_there() -> bool:
        workers[:] = _children(process.pid)
        return bool(workers)

    wait_for(worker_is_there, "the worker")
    time.sleep(1.5)
    process.send_signal(signal.SIGKILL)
    process.wait(5)
    wait_for(lambda: not any(_lives(pid) for pid in workers), "the worker to end", seconds=6)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
