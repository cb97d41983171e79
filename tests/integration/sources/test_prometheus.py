# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Increases, exact counts and coverage, against a Prometheus that holds a known history."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.http import Client
from ansible_collections.levibot.transition.plugins.module_utils.sources.prometheus import Prometheus, coverage, increases, measure
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import NothingThereError, UnusableError, Window
from tests.integration.daemons import PrometheusDaemon, program, running

HOURS = 28
LONG = HOURS * 3600
# A whole minute some hours ago: backfilled blocks must be older than what the running server writes itself.
START = int(time.time()) // 60 * 60 - LONG - 4 * 3600
BEFORE = 600

Samples = list[tuple[float, float]]


def counter(seconds: range, rate: float, resets: set[int], offset: float, seed: int) -> Samples:
    """A counter that is scraped once a second, at a fixed part of it, and begins again from nought where it is reset."""
    rng = random.Random(seed)  # noqa: S311  a history, not a secret
    value, out = 1000.0, []
    for second in seconds:
        value = float(rng.randrange(3)) if second in resets else value + (rng.random() < rate) * rng.randrange(1, 4)
        out.append((START + second + offset, value))
    return out


def grown(samples: Samples, window: Window, born_at_zero: bool) -> float:
    """The definition that the source must reproduce, by walking over each sample."""
    before = [value for at, value in samples if at <= window.started_at]
    last = before[-1] if before else 0.0 if born_at_zero else None
    total = 0.0
    for at, value in samples:
        if window.started_at < at <= window.at:
            total += 0.0 if last is None else value - last if value >= last else value
            last = value
    return total


WHOLE = range(-BEFORE, LONG + BEFORE)
A = 'edge="a",job="caddy",instance="a:1"'
B = 'edge="b",job="caddy",instance="b:1"'
HISTORY: dict[str, Samples] = {
    f'requests_total{{{A},code="200"}}': counter(WHOLE, 0.9, set(), 0.25, 1),
    # Resets: in the window, twice within seconds, right at a bucket's bound, in an outage.
    f'requests_total{{{B},code="200"}}': counter(WHOLE, 0.9, {5000, 5003, 28 * 60 * 7, 70_000, 99_999}, 0.5, 2),
    # Born in the window, of a target that was scraped before.
    f'requests_total{{{A},code="500"}}': counter(range(40_000, LONG + BEFORE), 0.01, {60_000}, 0.25, 3),
    # Of a target that Prometheus met in the window, with a series that counted already, and one that was born after.
    'requests_total{edge="c",job="caddy",instance="c:1",code="200"}': counter(range(20_000, LONG), 0.5, set(), 0.75, 4),
    'requests_total{edge="c",job="caddy",instance="c:1",code="500"}': counter(range(30_000, LONG), 0.02, set(), 0.75, 5),
    # Of a process that ended.
    'requests_total{edge="d",job="caddy",instance="d:1",code="200"}': counter(range(-BEFORE, 50_000), 0.5, set(), 0.1, 6),
}
BORN_AT_ZERO = {f'requests_total{{{A},code="500"}}', 'requests_total{edge="c",job="caddy",instance="c:1",code="500"}'}
OUTAGE = range(30_000, 63_600)
ONES = {
    f'up{{job="caddy",instance="{instance}"}}': [(START + second + offset, 1.0) for second in seconds]
    for instance, offset, seconds in (
        ("a:1", 0.25, WHOLE),
        ("b:1", 0.5, WHOLE),
        ("c:1", 0.75, range(20_000, LONG)),
        ("d:1", 0.1, range(-BEFORE, 50_000)),
    )
}
PROBES: Samples = [(START + second + 0.3, float(second % 700 != 0)) for second in WHOLE if second not in OUTAGE]
BOUNDS = ("0.1", "0.5", "+Inf")
SLOW: dict[str, Samples] = {
    f'latency_seconds_bucket{{job="caddy",instance="a:1",slot="{slot}",le="{bound}"}}': [
        (START + second + 0.25, float(per_second * (second + BEFORE))) for second in WHOLE
    ]
    for slot, rates in {"green": (6, 9, 10), "blue": (80, 99, 100)}.items()
    for bound, per_second in zip(BOUNDS, rates, strict=True)
}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder: Path = tmp_path_factory.mktemp("prometheus")
    lines = []
    families = {
        "requests_total": HISTORY,
        "up": ONES,
        "probe_success": {'probe_success{slot="green"}': PROBES},
        "latency_seconds_bucket": SLOW,
    }
    for family, series in families.items():
        lines.append(f"# TYPE {family.removesuffix('_total')} {'counter' if family.endswith('_total') else 'gauge'}")
        lines += [f"{name} {value:g} {at:.3f}" for name, samples in series.items() for at, value in samples]
    (folder / "history.om").write_text("\n".join([*lines, "# EOF", ""]))
    imported = [
        program("promtool"),
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        "--quiet",
        str(folder / "history.om"),
        str(folder / "data"),
    ]
    subprocess.run(imported, check=True, stdout=subprocess.DEVNULL)
    daemon = PrometheusDaemon(folder, {"global": {"scrape_interval": "15s"}})
    with running(daemon):
        yield Prometheus(daemon.url, Client(timeout=60))


def window(start: float = 0.0, end: float = float(LONG)) -> Window:
    return Window(START + start, START + end, "green", "blue")


SPANS = {
    "the whole of it": window(),
    "half an hour with a double reset": window(4000.4, 5800.4),
    "half an hour without": window(8000, 9800),
    "from a sample to a sample": window(4999.5, 5002.5),
    "one second around a reset": window(4999.6, 5000.6),
    "a minute over a birth": window(39_990, 40_050),
    "a target that was just met": window(19_000, 31_000),
    "a process that ended": window(49_000, 52_000),
    "shorter than a scrape": window(8000.6, 8001.1),
}


@pytest.mark.parametrize("span", SPANS.values(), ids=SPANS.keys())
def test_increases_are_exact(prometheus: Prometheus, span: Window) -> None:
    counted = increases(prometheus, span, "requests_total")[0].by_series
    expected = {name: grown(samples, span, name in BORN_AT_ZERO) for name, samples in HISTORY.items()}
    found = {
        f'requests_total{{edge="{k["edge"]}",job="caddy",instance="{k["instance"]}",code="{k["code"]}"}}': v
        for k, v in ((dict(k), v) for k, v in counted.items())
    }
    assert found == {name: value for name, value in expected.items() if name in found}
    assert sum(found.values()) == sum(expected.values())


def test_the_whole_window_costs_little(prometheus: Prometheus) -> None:
    """28 hours of one-second samples with resets: a look must not take longer than it may."""
    began = time.monotonic()
    increases(prometheus, window(), "requests_total")
    assert time.monotonic() - began < 5


def test_each_stored_sample_is_an_event(prometheus: Prometheus) -> None:
    check = {"kind": "proportion", "of": "good", "samples": 'probe_success{slot="$slot"}'}
    sample = measure(check, window(), prometheus)
    inside = [value for at, value in PROBES if START < at <= START + LONG]
    assert (sample.bad, sample.total) == (inside.count(0.0), len(inside))
    assert sample.value == pytest.approx(1 - inside.count(0.0) / len(inside))


def test_an_outage_of_a_third_shows(prometheus: Prometheus) -> None:
    check = {"kind": "proportion", "of": "good", "samples": 'probe_success{slot="$slot"}'}
    assert measure(check, window(), prometheus).coverage_ratio == pytest.approx(2 / 3, abs=0.01)
    assert measure(check, window(0, 1800), prometheus).coverage_ratio == 1.0
    assert measure(check, window(0, 10), prometheus).coverage_ratio == 1.0


@pytest.mark.parametrize("seconds", [2, 8, 900, 960])
def test_coverage_does_not_depend_on_where_samples_fall(prometheus: Prometheus, seconds: int) -> None:
    """Also where a window begins so that each sample lies on the border of two buckets, and Prometheus 2 finds it in both."""
    check = {"kind": "proportion", "samples": 'probe_success{slot="$slot"}', "of": "good", "condition": {"limit": 0.999}}
    spans = [window(100 + twentieths / 20, 100 + twentieths / 20 + seconds) for twentieths in range(20)]
    assert {measure(check, span, prometheus).coverage_ratio for span in spans} == {1.0}


def test_coverage_of_counters_is_that_of_their_scrapes(prometheus: Prometheus) -> None:
    """The series for 500s is born at 40,000 s: until then there was none, and that was seen."""
    selector, span = 'requests_total{edge="a",code="500"}', window()
    assert coverage(prometheus, selector, span, increases(prometheus, span, selector)[0]) == 1.0
    assert coverage(prometheus, selector, span) == pytest.approx(1 - 40_000 / LONG, abs=0.01)


def test_a_share_of_bad_requests(prometheus: Prometheus) -> None:
    check = {"kind": "proportion", "of": "bad", "bad": 'requests_total{code=~"5.."}', "total": "requests_total"}
    sample = measure(check, window(), prometheus)
    expected = {name: grown(samples, window(), name in BORN_AT_ZERO) for name, samples in HISTORY.items()}
    assert sample.bad == sum(value for name, value in expected.items() if '"500"' in name)
    assert sample.total == sum(expected.values())


def test_both_slots_over_the_same_minutes(prometheus: Prometheus) -> None:
    span = window(0, 600)
    slower = measure({"kind": "baseline", "buckets": 'latency_seconds_bucket{slot="$slot"}', "ignore_below": 0.1}, span, prometheus)
    assert slower.pairs == (
        {"at": "0.1", "bad": 2400, "total": 6000, "base_bad": 12000, "base_total": 60000},
        {"at": "0.5", "bad": 600, "total": 6000, "base_bad": 600, "base_total": 60000},
    )
    assert (slower.total, slower.coverage_ratio) == (6000, 1.0)
    counters = {"bad": 'latency_seconds_bucket{slot="$slot",le="0.1"}', "total": 'latency_seconds_bucket{slot="$slot",le="+Inf"}'}
    counted = measure({"kind": "baseline", **counters}, span, prometheus)
    assert counted.pairs == ({"at": "", "bad": 3600, "total": 6000, "base_bad": 48000, "base_total": 60000},)
    alone = measure({"kind": "baseline", "buckets": 'latency_seconds_bucket{slot="$slot"}'}, replace(span, stable="red"), prometheus)
    assert {pair["base_total"] for pair in alone.pairs} == {0}
    with pytest.raises(NothingThereError):
        measure({"kind": "baseline", **counters}, replace(span, slot="red"), prometheus)


def test_no_series_is_no_data(prometheus: Prometheus) -> None:
    with pytest.raises(NothingThereError):
        measure({"kind": "proportion", "bad": "nothing_total{code='500'}", "total": "nothing_total"}, window(), prometheus)
    with pytest.raises(NothingThereError):
        measure({"kind": "threshold", "query": "nothing_at_all"}, window(), prometheus)


def test_a_threshold_wants_one_number(prometheus: Prometheus) -> None:
    def threshold(query: str):
        return measure({"kind": "threshold", "query": query}, window(0, 600), prometheus)

    assert threshold("vector(0.25)").value == 0.25
    assert threshold("scalar(vector(3))").value == 3
    assert threshold("vector(1) / vector(0)").infinite == "+"
    assert threshold("-vector(1) / vector(0)").infinite == "-"
    with pytest.raises(NothingThereError, match="NaN"):
        threshold("vector(0) / vector(0)")
    with pytest.raises(UnusableError, match="series where one is expected"):
        threshold("up")
    with pytest.raises(UnusableError, match=r"refuses the query.*parse error"):
        threshold("rate(up")
    whole = threshold("sum(increase(requests_total[$elapsed]))")
    assert whole.coverage_ratio == 1.0
    assert whole.value > 0
