# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gate whose Prometheus is killed in mid-window, that was interrupted, or whose clock is off.

The suite plays an outage of seconds. `OUTAGE_SECONDS=180 pytest <this file> -k extended` plays one of three minutes in a window of eight,
which takes half an hour: that long it takes until an outage of three minutes is a tenth of the window.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.action.test_gate import API_UPTIME, ERROR_RATE, Site, Traffic, command, environment, gate_of, play
from tests.integration.daemons import CHECKOUT, AlertmanagerDaemon, Exporter, PrometheusDaemon, running, wait_for

OUTAGE = float(os.environ.get("OUTAGE_SECONDS", "1"))
# A started Prometheus scrapes only once it has discovered its targets, which takes 5 s.
LONGEST_GAP = OUTAGE + 10
WINDOW = max(15.0, OUTAGE * 8 / 3)
INTERVAL = max(0.5, min(15.0, OUTAGE / 12))
EXTENDED = LONGEST_GAP * 11
SOON = {
    "window_seconds": WINDOW,
    "interval_seconds": INTERVAL,
    "settle_seconds": 0.5,
    "hold_seconds": 2,
    "blind_after_seconds": LONGEST_GAP + 5,
}


class Outage(PrometheusDaemon):
    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(20)
            self._process = None


class Served(Traffic):
    """Traffic that can fail so and so often."""

    def fail(self, times: int) -> None:
        self._bad += times


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Outage, AlertmanagerDaemon, Served]]:
    folder, exporter = tmp_path_factory.mktemp("daemons"), Exporter()
    config = {
        "global": {"scrape_interval": "200ms"},
        "scrape_configs": [{"job_name": "slots", "static_configs": [{"targets": [exporter.address]}]}],
    }
    # No check here asks Alertmanager, so it is not started.
    prometheus, alertmanager = Outage(folder / "prometheus", config), AlertmanagerDaemon(folder / "alertmanager")
    traffic = Served(exporter)
    with running(prometheus):
        yield prometheus, alertmanager, traffic
    traffic.running = False
    exporter.close()


@pytest.fixture
def site(daemons: tuple[Outage, AlertmanagerDaemon, Served], tmp_path: Path) -> Site:
    prometheus, alertmanager, traffic = daemons
    prometheus.start()
    here = Site(prometheus, alertmanager, traffic, tmp_path)
    wait_for(here.is_scraped, "scrapes")
    return here


def soak(site: Site, gate: dict[str, Any], during: Callable[[], None]) -> tuple[str, dict[str, Any]]:
    """Run a gate, kill Prometheus a third into its window, do what is to happen `during` the outage; the output and the result."""
    printed = site.folder / "printed"
    with printed.open("w") as out:
        process = subprocess.Popen(command(site, gate), cwd=CHECKOUT, env=environment(), stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: "settling" in printed.read_text(), "the window to begin")
        began = time.monotonic()
        wait_for(lambda: time.monotonic() - began > gate["window_seconds"] / 3, "a third of the window", seconds=gate["window_seconds"])
        site.prometheus.kill()
        during()
        process.wait(gate["window_seconds"] + gate["hold_seconds"] + 60)
    finally:
        process.kill()
    return printed.read_text(), yaml.safe_load((site.folder / "result.json").read_text())


def outage(site: Site, failures: int) -> Callable[[], None]:
    """Requests fail while nobody scrapes; then Prometheus is back, on the same data."""

    def play() -> None:
        began = time.monotonic()
        site.traffic.fail(failures)
        wait_for(lambda: time.monotonic() - began > OUTAGE, "the outage", seconds=OUTAGE + 30)
        site.prometheus.start()

    return play


@pytest.mark.slow
@pytest.mark.timeout(EXTENDED + WINDOW + 200)
def test_a_window_with_an_outage_is_extended_and_kept(site: Site) -> None:
    """Not blind, no pass while too much is missing, and nothing of what happened before or meanwhile is lost."""
    gate = gate_of(API_UPTIME, ERROR_RATE, **{**SOON, "hold_seconds": EXTENDED})
    output, result = soak(site, gate, outage(site, failures=3))
    assert result["verdict"] == "pass", output
    assert "nothing listens there" in output
    assert "hold" in output
    assert "data for only" in output
    length = result["window"]["ended_at"] - result["window"]["started_at"]
    # Coverage is told to one part in 240.
    assert length > 9.5 * OUTAGE
    errors = next(check for check in result["checks"] if check["id"] == "error_rate")
    assert errors["evidence"].startswith("3 of ")


def test_with_too_much_missing_it_is_no_pass(site: Site) -> None:
    output, result = soak(site, gate_of(API_UPTIME, ERROR_RATE, **SOON), outage(site, failures=0))
    assert (result["verdict"], result["breach"]) == ("fail", False), output
    assert result["reason"].count("data for only") == 2


def test_what_failed_during_the_outage_is_found_after_it(site: Site) -> None:
    output, result = soak(site, gate_of(API_UPTIME, ERROR_RATE, **{**SOON, "window_seconds": WINDOW * 2}), outage(site, failures=100_000))
    assert (result["verdict"], result["deciding"]) == ("fail", ["error_rate"]), output
    assert "100,000 of" in result["reason"]


def test_an_outage_that_lasts_makes_blind(site: Site) -> None:
    output, result = soak(site, gate_of(API_UPTIME, ERROR_RATE, **{**SOON, "blind_after_seconds": 2}), lambda: None)
    assert (result["verdict"], result["safe"]) == ("blind", False), output


def test_an_interrupted_soak_is_judged_on_all_of_its_window(site: Site) -> None:
    """What happened while nobody looked fails the first look of the soak that goes on."""
    began = time.time()
    site.traffic.fail(50_000)
    wait_for(lambda: time.time() - began > 2, "the interruption")
    _process, result = play(site, gate_of(API_UPTIME, ERROR_RATE, window_seconds=60), started_at=began)
    assert (result["verdict"], result["deciding"], result["looks"]) == ("fail", ["error_rate"], 1)
    assert "50,000 of" in result["reason"]


@pytest.mark.parametrize("ahead", [-10, 120])
def test_a_clock_that_is_off_makes_blind(site: Site, ahead: int) -> None:
    """With a clock that is behind, a gate would judge minutes from before its step began, and find them good."""
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > 4 - ahead, "a past that is good", seconds=30)
    (site.folder / "sitecustomize.py").write_text(f"import time\nhonest = time.time\ntime.time = lambda: honest() + {ahead}\n")
    gate = gate_of(API_UPTIME, ERROR_RATE, window_seconds=6)
    env = {**environment(), "PYTHONPATH": str(site.folder)}
    process = subprocess.run(command(site, gate), cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=60, check=False)
    result = yaml.safe_load((site.folder / "result.json").read_text())
    assert result["verdict"] == "blind", process.stdout
    assert "bring both into step" in result["reason"]
