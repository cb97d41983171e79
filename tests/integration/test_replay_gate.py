# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/replay_gate.yml as an operator runs it, on a Prometheus that holds two past windows, and on a ledger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.levibot.transition.plugins.module_utils.gates.judge import Judge
from ansible_collections.levibot.transition.plugins.module_utils.gates.record import questions
from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import draft
from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample

from .daemons import CHECKOUT, PrometheusDaemon, free_port, program, running

SECRET = "hunter2"
SCRAPE = 15
WINDOW = 30 * 60
# Hours ago, since a running server takes no history of its own last hours.
HEALTHY = int(time.time()) // 60 * 60 - 9 * 3600
SICK = HEALTHY + 2 * 3600
# In requests a scrape interval, of the candidate; in the sick window one in a hundred fails.
REQUESTS, FAILURES = 100, 1
GATE = {"phase2": {"steps": {"step1": {"gate": ["api_uptime > 99.9%", "error_rate < 5%", "p0_p1_alerts == 0"]}}}}


def history() -> str:
    """Counters of the candidate's listener and its probe from before the healthy window until after the sick one."""
    edge = 'job="edge",instance="edge:1"'
    labels = f'{edge},server="slot-green",handler="subroute"'
    count = "caddy_http_request_duration_seconds_count"
    times = range(HEALTHY - 600, SICK + WINDOW + 600, SCRAPE)
    scrapes = [(at, number, max(0, at - SICK) // SCRAPE * FAILURES) for number, at in enumerate(times)]
    lines = ["# TYPE up gauge", *(f"up{{{edge}}} 1 {at}" for at in times)]
    lines += ["# TYPE probe_success gauge", *(f'probe_success{{job="probe",instance="probe:1",slot="green"}} 1 {at}' for at in times)]
    lines += [f"# TYPE {count} unknown"]
    lines += [f'{count}{{{labels},code="200"}} {number * REQUESTS - failed} {at}' for at, number, failed in scrapes]
    lines += [f'{count}{{{labels},code="500"}} {failed} {at}' for at, _number, failed in scrapes]
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "history.om").write_text(history())
    made = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(folder / "history.om"), str(folder / "data")]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    daemon = PrometheusDaemon(folder, {"global": {"scrape_interval": "15s"}})
    with running(daemon):
        yield daemon.url


@dataclass(frozen=True)
class Operator:
    """Who runs the playbook."""

    folder: Path
    prometheus: str

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.db"

    def run(self, *options: str, **variables: Any) -> tuple[int, str]:
        ours = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        needed = {
            "levibot_version": "v1.8.0-beta",
            "levibot_compose_file": "docker-compose.prod.yml",
            "levibot_admin_token": SECRET,
            "levibot_prometheus_url": self.prometheus,
            "levibot_ledger_path": str(self.ledger),
            "levibot_checks_overrides": {"api_uptime": {"min_events": 100}},
            "replay_gate": "phase2.step1",
        }
        groups = {"app_hosts": {"hosts": {"app": {}}}, "edge_hosts": {"hosts": {"edge": {}}}}
        (self.folder / "hosts.yml").write_text(yaml.safe_dump({**groups, "all": {"vars": {**ours, **needed}}}), encoding="utf-8")
        command = [Path(sys.executable).with_name("ansible-playbook"), "-i", self.folder / "hosts.yml", *options]
        command += ["-e", json.dumps(variables), "playbooks/replay_gate.yml"]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
        shown = done.stdout + done.stderr
        assert SECRET not in shown
        return done.returncode, shown

    def judged(self, *options: str, **variables: Any) -> tuple[dict[str, Any], str]:
        dest = self.folder / "result.json"
        code, shown = self.run(*options, replay_dest=str(dest), **variables)
        assert code == 0, shown
        return json.loads(dest.read_text(encoding="utf-8")), shown

    def record(self, gate: dict[str, Any], bad_share: float) -> None:
        """What a live gate would have left in the ledger, window and verdict."""
        judge, drafts = Judge(gate), []
        while not judge.verdict:
            at = len(drafts) * gate["interval_seconds"]
            samples = {"error_rate": Sample("ok", bad=round(100 * at * bad_share), total=100 * at, value=bad_share)}
            told = {name: sample.to_dict() for name, sample in samples.items()}
            look = judge.look(at, samples)
            data = {**look.to_dict(), "gate": gate["id"], "samples": told, "started_at": SICK, "asked": questions(gate)}
            drafts.append(draft("r1", "look", data, SICK + at))
        verdict = {**judge.verdict.to_dict(), "window": {"started_at": SICK}, "reason": "..."}
        with Ledger(self.ledger, writable=True) as ledger:
            ledger.append([*drafts, draft("r1", "verdict", verdict, SICK + 99)])


@pytest.fixture
def operator(tmp_path: Path, prometheus: str) -> Operator:
    return Operator(tmp_path, prometheus)


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def test_a_healthy_window_would_have_passed(operator):
    result, shown = operator.judged(replay_from=iso(HEALTHY), replay_slot="green")
    assert (result["verdict"], result["decided"], result["at_seconds"], result["looks"]) == ("pass", True, WINDOW, 121)
    assert {check["id"]: check["state"] for check in result["checks"]} == {"api_uptime": "pass", "error_rate": "pass"}
    assert [left["id"] for left in result["left_out"]] == ["p0_p1_alerts"]
    assert "NOT JUDGED, so this verdict says nothing of them:" in shown
    assert "p0_p1_alerts: it asks alertmanager, which keeps no past" in shown
    assert "now   pass after 30m" in shown


def test_a_sick_window_would_have_failed_early_and_passes_with_a_limit_that_allows_it(operator):
    result, shown = operator.judged(replay_from=iso(SICK), replay_slot="green")
    assert (result["verdict"], result["deciding"], result["breach"]) == ("fail", ["error_rate"], True)
    assert 0 < result["at_seconds"] < WINDOW / 4
    assert ": error_rate" in shown
    loose, _shown = operator.judged(replay_from=iso(SICK), replay_slot="green", levibot_plan_overrides=GATE)
    assert (loose["verdict"], loose["checks"][1]["value"], loose["checks"][1]["limit"]) == ("pass", "1%", "< 5%")


def test_the_other_slot_was_not_there_so_it_would_have_been_held(operator):
    result, _shown = operator.judged(replay_from=iso(SICK), replay_slot="blue", replay_every="10m")
    assert (result["verdict"], result["decided"], result["safe"]) == ("hold", False, False)
    assert result["deciding"] == ["api_uptime", "error_rate"]


def test_fewer_looks_say_the_same_at_the_end(operator):
    result, _shown = operator.judged(replay_from=iso(HEALTHY), replay_slot="green", replay_every="5m", levibot_observe_from="target")
    assert (result["verdict"], result["looks"]) == ("pass", 7)
    assert "5m apart instead of 15s" in result["notes"][0]


def test_check_mode_judges_just_as_well_and_writes_nothing(operator):
    dest = operator.folder / "result.json"
    code, shown = operator.run("--check", replay_from=iso(SICK), replay_slot="green", replay_every="5m", replay_dest=str(dest))
    assert code == 0, shown
    assert "now   fail after" in shown
    assert not dest.exists()


def test_every_mistake_comes_at_once(operator):
    code, shown = operator.run(replay_gate="phase2.step9", replay_from="last Tuesday", replay_every="often", replay_time_limit=3)
    assert code != 0
    for expected in (
        "5 mistakes; nothing was judged.",
        "- replay_gate: found phase2.step9; did you mean phase2.step",
        "- replay_from: found last Tuesday; write when the window began, such as 2026-11-17T10:00:00Z",
        "- replay_slot: found nothing; write blue or green",
        "- replay_every: found often; write a number with its unit",
        "- replay_time_limit: found 3; write a number with its unit",
    ):
        assert expected in " ".join(shown.split()), shown


def test_a_store_that_cannot_be_asked_says_nothing_about_then(operator):
    code, shown = operator.run(replay_from=iso(HEALTHY), replay_slot="green", levibot_prometheus_url=f"http://127.0.0.1:{free_port()}")
    assert code != 0
    assert "Prometheus cannot be asked now" in shown


def recorded_gate(limit: str, shown: str) -> dict[str, Any]:
    """The step's gate as the plan of then had it."""
    count = 'caddy_http_request_duration_seconds_count{server="slot-$slot",handler="subroute"'
    check = {
        "id": "error_rate",
        "kind": "proportion",
        "source": "prometheus",
        "mode": "enforce",
        "of": "bad",
        "bad": f'{count},code=~"5.."}}',
        "total": f"{count}}}",
        "counts": "requests",
        "min_events": 3000,
        "condition": {"op": "<", "limit": limit, "unit": "ratio", "text": f"error_rate < {shown}"},
    }
    times = {"window_seconds": WINDOW, "interval_seconds": SCRAPE, "hold_seconds": 0, "blind_after_seconds": 120}
    return {"id": "phase2.step1", **times, "checks": [check]}


def test_what_the_ledger_holds_is_judged_by_the_plan_of_now(operator):
    operator.record(recorded_gate("0.05", "5%"), bad_share=0.01)
    only = {"phase2": {"steps": {"step1": {"gate": ["error_rate < 0.1%"]}}}}
    result, shown = operator.judged(replay_source="ledger", levibot_plan_overrides=only)
    assert (result["then"]["verdict"], result["verdict"], result["deciding"]) == ("pass", "fail", ["error_rate"])
    assert "then  pass after 30m" in shown
    assert "r1" in shown


def test_what_was_not_asked_then_is_an_error_and_no_pass(operator):
    operator.record(recorded_gate("0.05", "5%"), bad_share=0.01)
    with Ledger(operator.ledger, writable=False) as ledger:
        ledger.export(operator.folder / "export.jsonl", None)
    result, _shown = operator.judged(
        replay_source="ledger", replay_export=str(operator.folder / "export.jsonl"), levibot_plan_overrides=GATE
    )
    assert (result["verdict"], result["deciding"]) == ("hold", ["api_uptime", "p0_p1_alerts"])
    assert [check["state"] for check in result["checks"]] == ["error", "pass", "error"]


def test_a_ledger_that_somebody_has_changed_proves_nothing(operator):
    operator.record(recorded_gate("0.05", "5%"), bad_share=0.01)
    export = operator.folder / "export.jsonl"
    with Ledger(operator.ledger, writable=False) as ledger:
        ledger.export(export, None)
    export.write_text(export.read_text().replace('"total":3000', '"total":9999'))
    code, shown = operator.run(replay_source="ledger", replay_export=str(export))
    assert code != 0
    assert "is not as it was exported (entry 3: its content does not match its hash)" in shown
