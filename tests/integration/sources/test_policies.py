# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with a measurement, done to a real Prometheus, and what each sample then says."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.http import Client
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample
from ansible_collections.levibot.transition.plugins.module_utils.sources import Sources
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import Window
from tests.integration.daemons import Exporter, PrometheusDaemon, running, wait_for

SCRAPES = 0.2
ERRORS = {
    "id": "errors",
    "source": "prometheus",
    "kind": "proportion",
    "of": "bad",
    "bad": 'requests_total{slot="$slot",code="500"}',
    "total": 'requests_total{slot="$slot"}',
}
PROBES = {"id": "probes", "source": "prometheus", "kind": "proportion", "of": "good", "samples": 'probe_success{slot="$slot"}'}
LATENCY = {
    "id": "latency",
    "source": "prometheus",
    "kind": "quantile",
    "buckets": 'seconds_bucket{slot="$slot"}',
    "condition": {"op": "<", "limit": "0.2"},
}
DEGRADATION = {
    "id": "degradation",
    "source": "prometheus",
    "kind": "baseline",
    "bad": 'requests_total{slot="$slot",code="500"}',
    "total": 'requests_total{slot="$slot"}',
}
LOAD = {"id": "load", "source": "prometheus", "kind": "threshold", "query": 'load{slot="$slot"}'}


class Forgetful(PrometheusDaemon):
    def forget(self) -> None:
        shutil.rmtree(self._folder / "data")


@dataclass
class Store:
    """A Prometheus and the one server that it scrapes. Each test's series carry a slot of their own, so none sees another's."""

    daemon: Forgetful
    exporter: Exporter
    slot: str
    shown: int = 0

    def show(self, *lines: str) -> None:
        """Let the server show these series, and return once they are stored."""
        self.shown += 1
        marker = f'shown{{slot="{self.slot}"}} {self.shown}'
        self.exporter.text = "\n".join([*(line.replace("SLOT", f'slot="{self.slot}"') for line in lines), marker, ""])
        wait_for(lambda: self.stored("shown") == self.shown, "a scrape")

    def stored(self, name: str) -> float | None:
        query = {"query": f'{name}{{slot="{self.slot}"}}'}
        found = Client().get_json(f"{self.daemon.url}/api/v1/query", query)["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def begin(self, stable: str = "stable") -> Window:
        now = time.time()
        return Window(now, now, self.slot, stable)

    def ask(self, window: Window, *checks: dict[str, Any], at: float | None = None) -> Any:
        """The samples of a look at the window that `window` began, now; of a single check its one sample."""
        sources = Sources({"prometheus": {"url": self.daemon.url}, "timeout_seconds": 5})
        samples, _state = sources.ask(checks, replace(window, at=at or time.time()))
        sources.close()
        return samples if len(checks) > 1 else samples[checks[0]["id"]]


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Forgetful, Exporter]]:
    exporter = Exporter()
    config = {
        "global": {"scrape_interval": f"{SCRAPES * 1000:.0f}ms"},
        "scrape_configs": [{"job_name": "slots", "static_configs": [{"targets": [exporter.address]}]}],
    }
    daemon = Forgetful(tmp_path_factory.mktemp("prometheus"), config)
    with running(daemon):
        yield daemon, exporter
    exporter.close()


@pytest.fixture
def store(daemons: tuple[Forgetful, Exporter], request: pytest.FixtureRequest) -> Store:
    daemon, exporter = daemons
    exporter.up = True
    daemon.start()
    return Store(daemon, exporter, request.node.name.translate(str.maketrans("[]-", "___")))


def counts(good: int, bad: int = 0) -> list[str]:
    return [f'requests_total{{SLOT,code="200"}} {good}', f'requests_total{{SLOT,code="500"}} {bad}']


def of(sample: Sample) -> tuple[float | None, float | None]:
    return sample.bad, sample.total


def test_a_counter_that_was_reset_counts_from_zero(store: Store) -> None:
    store.show(*counts(1000, 10))
    window = store.begin()
    store.show(*counts(1030, 11))
    store.show(*counts(5, 0))
    store.show(*counts(12, 2))
    assert of(store.ask(window, ERRORS)) == (1 + 2, 30 + 12 + 1 + 2)


def test_a_series_that_is_born_with_the_first_error_counts_it(store: Store) -> None:
    store.show('requests_total{SLOT,code="200"} 1000')
    window = store.begin()
    store.show(*counts(1010, 7))
    assert of(store.ask(window, ERRORS)) == (7, 17)


def test_a_prometheus_that_was_killed_and_started_again_has_lost_no_count(store: Store) -> None:
    """What the server counted while nobody scraped it is in the next scrape; that nobody looked is in the coverage."""
    store.show(*counts(1000), "probe_success{SLOT} 1")
    window = store.begin()
    store.show(*counts(1100), "probe_success{SLOT} 1")
    wait_for(lambda: time.time() - window.started_at > 2, "a window")
    before = store.ask(window, ERRORS)
    store.daemon.stop()
    dead_at = time.time()
    dead = store.ask(window, ERRORS, PROBES, LATENCY, LOAD)
    assert {sample.status for sample in dead.values()} == {"error"}
    assert {sample.coverage_ratio for sample in dead.values()} == {0.0}
    assert all("nothing listens there" in sample.detail for sample in dead.values())
    store.exporter.text = "\n".join(counts(1500, 50)).replace("SLOT", f'slot="{store.slot}"')
    wait_for(lambda: time.time() - dead_at > 2, "the outage")
    store.daemon.start()
    store.show(*counts(1500, 50), "probe_success{SLOT} 1")
    back_at = time.time()
    after = store.ask(window, ERRORS, PROBES)
    assert of(before) == (0, 100)
    assert of(after["errors"]) == (50, 550)
    seen = 1 - (back_at - dead_at) / (back_at - window.started_at)
    for sample in after.values():
        assert sample.status == "ok"
        assert sample.coverage_ratio == pytest.approx(seen, abs=0.15)
    assert after["errors"].coverage_ratio < 0.9 < before.coverage_ratio


def test_a_prometheus_that_lost_its_data_does_not_cover_the_window(store: Store) -> None:
    store.show(*counts(1000), "probe_success{SLOT} 1")
    window = store.begin()
    wait_for(lambda: time.time() - window.started_at > 2, "a window")
    store.daemon.stop()
    store.daemon.forget()
    store.daemon.start()
    store.show(*counts(1100, 5), "probe_success{SLOT} 1")
    back_at = time.time()
    wait_for(lambda: time.time() - back_at > 1, "several scrapes")
    store.show(*counts(1200, 7), "probe_success{SLOT} 1")
    samples = store.ask(window, ERRORS, PROBES)
    assert of(samples["errors"]) == (2, 102)
    assert all(sample.coverage_ratio < 0.9 for sample in samples.values())


def test_an_outage_between_two_looks_is_seen(store: Store) -> None:
    """Both looks find a target that is scraped. It was not in between, and errors happened."""
    store.show(*counts(1000), "probe_success{SLOT} 1")
    window = store.begin()
    assert store.ask(window, ERRORS).status == "no_data"
    store.exporter.up = False
    wait_for(lambda: time.time() - window.started_at > 2, "the outage")
    store.exporter.up = True
    store.show(*counts(1000, 30), "probe_success{SLOT} 1")
    samples = store.ask(window, ERRORS, PROBES)
    assert of(samples["errors"]) == (30, 30)
    assert all(sample.coverage_ratio < 0.5 for sample in samples.values())


def test_whoever_asks_the_same_window_sees_the_same(store: Store) -> None:
    """A soak that goes on in a new process knows all that the one before saw, and what neither did."""
    store.show(*counts(1000))
    window = store.begin()
    store.show(*counts(1100, 3))
    first = store.ask(window, ERRORS)
    store.show(*counts(1200, 9))
    store.show(*counts(1300, 9))
    at = time.time()
    resumed = [store.ask(window, ERRORS, at=at) for _process in range(2)]
    assert of(first) == (3, 103)
    assert resumed[0] == resumed[1]
    assert of(resumed[0]) == (9, 309)


def test_a_target_that_disappears_is_stale(store: Store) -> None:
    store.show(*counts(1000), "load{SLOT} 3", "probe_success{SLOT} 1")
    window = store.begin()
    store.show(*counts(1100, 1), "load{SLOT} 3", "probe_success{SLOT} 1")
    assert store.ask(window, LOAD).value == 3
    wait_for(lambda: time.time() - window.started_at > 1, "several scrapes")
    store.exporter.up = False
    wait_for(lambda: store.stored("load") is None, "the series to become stale")
    wait_for(lambda: time.time() - window.started_at > 3, "the outage")
    samples = store.ask(window, LOAD, ERRORS, PROBES)
    assert samples["load"].status == "no_data"
    assert "finds no series" in samples["load"].detail
    # What was counted stays counted; that the rest is missing shows in the coverage.
    assert of(samples["errors"]) == (1, 101)
    assert all(samples[name].coverage_ratio < 0.9 for name in ("errors", "probes"))


def test_a_target_that_was_scraped_once_covers_little(store: Store) -> None:
    store.show(*counts(1000))
    window = store.begin()
    store.show(*counts(1100))
    store.exporter.up = False
    wait_for(lambda: time.time() - window.started_at > 3, "the outage")
    sample = store.ask(window, ERRORS)
    assert of(sample) == (0, 100)
    assert sample.coverage_ratio < 0.5


def test_a_series_that_disappears_while_its_target_is_scraped(store: Store) -> None:
    store.show(*counts(1000), "probe_success{SLOT} 1")
    window = store.begin()
    store.show(*counts(1100))
    wait_for(lambda: time.time() - window.started_at > 2, "a window")
    samples = store.ask(window, ERRORS, PROBES)
    assert samples["errors"].coverage_ratio > 0.9
    assert samples["probes"].coverage_ratio < 0.9


@pytest.mark.parametrize(("value", "status", "infinite"), [("NaN", "no_data", ""), ("+Inf", "ok", "+"), ("-Inf", "ok", "-")])
def test_what_is_no_number(store: Store, value: str, status: str, infinite: str) -> None:
    store.show(f"load{{SLOT}} {value}")
    sample = store.ask(store.begin(), LOAD)
    assert (sample.status, sample.infinite, sample.value) == (status, infinite, None)


@pytest.mark.parametrize(("value", "status"), [("NaN", "no_data"), ("+Inf", "error"), ("2", "error"), ("-1", "error")])
def test_a_probe_that_is_not_between_0_and_1(store: Store, value: str, status: str) -> None:
    store.show("probe_success{SLOT} 1")
    window = store.begin()
    store.show(f"probe_success{{SLOT}} {value}")
    assert store.ask(window, PROBES).status == status


@pytest.mark.parametrize(("value", "status"), [("NaN", "no_data"), ("+Inf", "error")])
def test_a_counter_that_is_no_number(store: Store, value: str, status: str) -> None:
    store.show(*counts(1000))
    window = store.begin()
    store.show(f'requests_total{{SLOT,code="200"}} {value}', 'requests_total{SLOT,code="500"} 0')
    assert store.ask(window, ERRORS).status == status


def test_no_series_is_no_data(store: Store) -> None:
    store.show()
    samples = store.ask(store.begin(), ERRORS, PROBES, LATENCY, LOAD)
    assert {sample.status for sample in samples.values()} == {"no_data"}


def test_several_series_where_one_is_expected_are_an_error(store: Store) -> None:
    store.show('load{SLOT,host="a"} 1', 'load{SLOT,host="b"} 9')
    sample = store.ask(store.begin(), LOAD)
    assert sample.status == "error"
    assert "2 series where one is expected" in sample.detail
    assert "aggregate" in sample.detail


def test_a_bad_query_is_an_error(store: Store) -> None:
    sample = store.ask(store.begin(), {**LOAD, "query": "sum(load"})
    assert sample.status == "error"
    assert "parse error" in sample.detail


def test_a_candidate_without_traffic_has_data_and_no_events(store: Store) -> None:
    store.show(*counts(1000))
    window = store.begin()
    wait_for(lambda: time.time() - window.started_at > 2, "a window")
    sample = store.ask(window, ERRORS)
    assert (sample.status, sample.detail) == ("no_data", "no events in the window so far")
    assert sample.coverage_ratio > 0.9


def both(candidate: int, stable: int) -> list[str]:
    lines = counts(candidate, candidate // 10)
    return lines + [line.replace("SLOT", 'slot="other"') for line in counts(stable, stable // 10)]


def test_a_baseline_without_traffic_is_told_to_the_judge(store: Store) -> None:
    store.show(*both(1000, 1000))
    window = store.begin(stable="other")
    store.show(*both(1100, 1000))
    (pair,) = store.ask(window, DEGRADATION).pairs
    assert (pair["bad"], pair["total"], pair["base_bad"], pair["base_total"]) == (10, 110, 0, 0)


def test_a_candidate_without_traffic_has_no_baseline_either(store: Store) -> None:
    store.show(*both(1000, 1000))
    window = store.begin(stable="other")
    store.show(*both(1000, 1100))
    assert store.ask(window, DEGRADATION).status == "no_data"


@pytest.mark.parametrize("ahead", [2, 60])
def test_a_clock_that_is_ahead_of_prometheus_shows_as_missing_data(store: Store, ahead: float) -> None:
    """The window's last seconds are still to come, and its first ones were never asked about."""
    store.show(*counts(1000))
    window = store.begin()
    store.show(*counts(1100))
    wait_for(lambda: time.time() - window.started_at > 4, "a window")
    store.show(*counts(1200))
    sample = store.ask(replace(window, started_at=window.started_at + ahead), ERRORS, at=time.time() + ahead)
    assert sample.coverage_ratio < 0.9
