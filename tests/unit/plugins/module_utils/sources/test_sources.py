# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources on fixtures: what each answer becomes."""

from __future__ import annotations

import json
import math
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.samples import ERROR, NO_DATA, OK, Sample, from_dict
from ansible_collections.levibot.transition.plugins.module_utils.sources import THREADS, Sources, alertmanager, api, command, prometheus
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import NothingThereError, UnusableError, Window

WINDOW = Window(1000.0, 1042.0, "green", "blue")


class Fake:
    """Stands in for a client: answers by the end of the URL's path."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def get_json(self, url: str, *_asked: Any, **_options: Any) -> Any:
        return self.answers[url.rpartition("/")[2]]


class TestWindow:
    def test_placeholders(self) -> None:
        assert WINDOW.expand('up{slot="$slot",old="${stable}"}[$elapsed]') == 'up{slot="green",old="blue"}[42s]'
        assert WINDOW.expand({"a": ["$slot", 3]}) == {"a": ["green", 3]}
        assert WINDOW.expand('code=~"5..$"') == 'code=~"5..$"'

    def test_part_of_a_second(self) -> None:
        assert Window(0, 1.5, "green", "blue").elapsed == "1500ms"
        assert Window(5, 5, "green", "blue").milliseconds == 1


def scraped(buckets: Iterable[int]) -> dict[int, bool]:
    return dict.fromkeys(buckets, True)


class TestCoverage:
    def test_all(self) -> None:
        assert prometheus.covered_share(scraped(range(240)), 240, 16) == 1.0

    def test_slow_scrapes_are_no_gaps(self) -> None:
        assert prometheus.covered_share(scraped([3, 7, 11, 15, 19]), 22, 100) == 1.0

    @pytest.mark.parametrize("failed", [[], range(240)])
    def test_nothing(self, failed: Iterable[int]) -> None:
        assert prometheus.covered_share(dict.fromkeys(failed, False), 240, 16) == 0.0

    def test_a_third_is_missing(self) -> None:
        filled = [bucket for bucket in range(240) if not 80 <= bucket < 160]
        assert prometheus.covered_share(scraped(filled), 240, 16) == pytest.approx(2 / 3, abs=0.01)

    def test_the_end_is_missing(self) -> None:
        assert prometheus.covered_share(scraped(range(120)), 240, 16) == pytest.approx(0.5, abs=0.01)

    def test_one_sample_covers_little(self) -> None:
        assert prometheus.covered_share(scraped([0]), 240, 16) < 0.1

    def test_one_scrape_and_then_failures_cover_one_interval(self) -> None:
        """In a window that is shorter than the longest scrape interval, too: the failures tell how often it was tried."""
        assert prometheus.covered_share({0: True, **dict.fromkeys(range(4, 100, 4), False)}, 100, 500) == pytest.approx(0.04)

    @given(st.dictionaries(st.integers(0, 239), st.booleans()), st.floats(0.1, 500))
    def test_is_a_share(self, scraped: dict[int, bool], longest: float) -> None:
        assert 0.0 <= prometheus.covered_share(scraped, 240, longest) <= 1.0


class Store:
    """Stands in for a Prometheus: by the beginning of a query, in which buckets (of 240) each series has which value."""

    def __init__(self, **grids: dict[prometheus.Labels, dict[int, float]]) -> None:
        self.grids = grids
        self.asked: list[str] = []

    def grid(self, query: str, *_asked: Any) -> dict[prometheus.Labels, dict[int, float]]:
        self.asked.append(query)
        return next((grid for name, grid in self.grids.items() if name in query), {})


def target(instance: str, **labels: str) -> prometheus.Labels:
    return tuple(sorted({"job": "caddy", "instance": instance, **labels}.items()))


def hour() -> Window:
    return Window(0.0, 3600.0, "green", "blue")


class TestWorstTarget:
    ALWAYS: ClassVar = dict.fromkeys(range(240), 1.0)
    HALF: ClassVar = dict.fromkeys(range(120), 1.0)

    def of(self, store: Store, *series: prometheus.Labels, silent: tuple[prometheus.Labels, ...] = ()) -> float:
        return prometheus.coverage(store, "x", hour(), prometheus.Counted(dict.fromkeys(series, 1.0), frozenset(silent)))

    def test_an_edge_that_is_not_scraped_shows(self) -> None:
        down = {**dict.fromkeys(range(120), 1.0), **dict.fromkeys(range(120, 240), 0.0)}
        store = Store(up={target("a"): self.ALWAYS, target("b"): down})
        assert self.of(store, target("a", code="200"), target("b", code="200")) == pytest.approx(0.5, abs=0.01)
        assert self.of(store, target("a", code="200")) == 1.0

    def test_series_come_and_go_while_their_target_is_scraped(self) -> None:
        store = Store(up={target("a"): self.ALWAYS}, count_over_time={target("a"): self.HALF})
        assert self.of(store, target("a", code="200"), target("a", code="500"), silent=(target("a", code="404"),)) == 1.0

    def test_an_edge_that_went_silent_before_the_window_shows(self) -> None:
        store = Store(up={target("a"): self.ALWAYS, target("b"): dict.fromkeys(range(240), 0.0)})
        assert self.of(store, target("a"), silent=(target("b"),)) == 0.0

    def test_what_is_no_target_any_more_does_not_count(self) -> None:
        assert self.of(Store(up={target("a"): self.ALWAYS}), target("a"), silent=(target("old"),)) == 1.0

    def test_without_up_the_target_is_covered_where_any_of_its_series_is(self) -> None:
        store = Store(count_over_time={target("a"): self.ALWAYS, target("b"): self.HALF})
        assert self.of(store, target("a"), target("b")) == pytest.approx(0.5, abs=0.01)
        assert "max by (job, instance)" in store.asked[-1]

    def test_of_samples_the_worst_series_counts(self) -> None:
        store = Store(count_over_time={target("a"): self.ALWAYS, target("b"): self.HALF})
        assert prometheus.coverage(store, "x", hour()) == pytest.approx(0.5, abs=0.01)
        assert prometheus.coverage(Store(), "x", hour()) == 0.0

    def test_of_the_store_any_scrape_counts(self) -> None:
        assert prometheus.coverage_of_the_store(Store(up={(): self.HALF}), hour()) == pytest.approx(0.5, abs=0.01)
        assert prometheus.coverage_of_the_store(Store(), hour()) == 1.0


class Kept:
    """Stands in for a Prometheus that has stored one series at these times."""

    def __init__(self, times: list[float]) -> None:
        self.times = times

    def stamps(self, _selector: str, start_ms: int, end_ms: int, _deadline: float | None = None) -> dict[prometheus.Labels, list[float]]:
        inside = [at for at in self.times if start_ms < at * 1000 <= end_ms]
        return {(): inside} if inside else {}

    def missing(self, started_at: float, at: float) -> int:
        counts = {(): float(sum(started_at < one <= at for one in self.times))}
        found: dict[prometheus.Labels, int] = prometheus.missing_by_series(self, "up", Window(started_at, at, "", ""), counts)  # type: ignore[arg-type]
        return found[()]


def stored(interval: float, seconds: float, jitter: float = 0.0) -> list[float]:
    draw = random.Random("late")  # noqa: S311 - cases, not secrets
    return [1.7e9 + 0.3 * interval + number * interval + draw.uniform(0, jitter) for number in range(int(seconds / interval))]


class TestMissing:
    PERIOD = 48 * 3600.0

    @pytest.mark.parametrize("interval", [0.2, 1.0, 7.0, 15.0, 60.0])
    @pytest.mark.parametrize("jitter", [0.0, 0.02])
    def test_jitter_is_nothing(self, interval: float, jitter: float) -> None:
        assert Kept(stored(interval, self.PERIOD, jitter)).missing(1.7e9, 1.7e9 + self.PERIOD) == 0

    def test_a_scrape_that_is_lost_now_and_then_is_one(self) -> None:
        times = stored(15, self.PERIOD, 0.02)
        lossy = [at for number, at in enumerate(times) if number % 1100]
        assert len(times) - len(lossy) == 11
        assert Kept(lossy).missing(1.7e9, 1.7e9 + self.PERIOD) == 11 - 2 - prometheus.EXPLAINED, "of 11520, a ten-thousandth are 2"

    @pytest.mark.parametrize("hours", [0.0, 20.0, 24.0, 47.5])
    def test_a_gap_counts_wherever_it_is(self, hours: float) -> None:
        begin = 1.7e9 + hours * 3600
        left = [at for at in stored(1, self.PERIOD, 0.02) if not begin < at <= begin + 28 * 60]
        assert Kept(left).missing(1.7e9, 1.7e9 + self.PERIOD) == pytest.approx(28 * 60, abs=0.0002 * self.PERIOD)

    @pytest.mark.parametrize("seconds", [1.0, 2.0, 3.0, 10.0])
    def test_some_seconds_are_no_trouble(self, seconds: float) -> None:
        times = stored(0.5, 60, 0.2)
        assert Kept(times).missing(1.7e9 + 5, 1.7e9 + 5 + seconds) == 0

    def test_too_few_to_tell(self) -> None:
        assert Kept([1.7e9 + 1, 1.7e9 + 2]).missing(1.7e9, 1.7e9 + 3600) == 0
        assert prometheus.interval_of([]) == 0
        assert prometheus.interval_of([[1.0, 2.0, 3.0, 7.0]]) == 1.0


class TestQuantile:
    BOUNDS = ((0.1, 50.0), (0.2, 90.0), (0.5, 99.0), (math.inf, 100.0))

    def test_value_interpolates_like_prometheus(self) -> None:
        assert prometheus.quantile_of(list(self.BOUNDS), 0.95) == (pytest.approx(0.2 + 0.3 * 5 / 9), False)
        assert prometheus.quantile_of(list(self.BOUNDS), 0.999) == (0.5, True)

    @pytest.mark.parametrize(
        ("limit", "slower", "detail"),
        [
            ("0.2", 10, ""),
            ("0.35", 5.5, "interpolated between the buckets 0.2 s and 0.5 s"),
            ("2", 1, "beyond the last bucket"),
            ("0.05", 75, "interpolated"),
        ],
    )
    def test_slower_than_the_limit(self, monkeypatch: pytest.MonkeyPatch, limit: str, slower: float, detail: str) -> None:
        counted = prometheus.Counted({(("le", "+Inf" if math.isinf(bound) else str(bound)),): count for bound, count in self.BOUNDS})
        monkeypatch.setattr(prometheus, "increases", lambda *_args: [counted])
        monkeypatch.setattr(prometheus, "coverage", lambda *_args: 1.0)
        sample = prometheus.measure({"kind": "quantile", "buckets": "x", "quantile": 0.95, "condition": {"limit": limit}}, WINDOW, None)
        assert (sample.bad, sample.total) == (pytest.approx(slower), 100)
        assert detail in sample.detail

    def test_different_buckets_cannot_be_added(self, monkeypatch: pytest.MonkeyPatch) -> None:
        series = {(("i", "a"), ("le", "+Inf")): 1.0, (("i", "a"), ("le", "1")): 1.0, (("i", "b"), ("le", "+Inf")): 1.0}
        monkeypatch.setattr(prometheus, "increases", lambda *_args: [prometheus.Counted(series)])
        monkeypatch.setattr(prometheus, "coverage", lambda *_args: 1.0)
        with pytest.raises(UnusableError, match="different buckets"):
            prometheus.measure({"kind": "quantile", "buckets": "x", "condition": {"limit": "1"}}, WINDOW, None)


def histogram(**counts: float) -> prometheus.Counted:
    """Cumulated counts by bound, written as keywords: ``_0_1`` is 0.1 s."""
    return prometheus.Counted({(("le", bound[1:].replace("_", ".")),): count for bound, count in counts.items()})


class TestBaseline:
    CANDIDATE = histogram(_0_05=40, _0_1=80, _0_5=95, _Inf=100)
    STABLE = histogram(_0_05=300, _0_1=700, _0_5=900, _Inf=1000)
    SLOTS: ClassVar = {"green": CANDIDATE, "blue": STABLE}

    def ask(self, monkeypatch: pytest.MonkeyPatch, counted: dict[str, prometheus.Counted], **check: Any) -> Sample:
        covered = {selector: 0.5 if "blue" in selector else 1.0 for selector in counted}
        monkeypatch.setattr(prometheus, "increases", lambda _prometheus, _window, *selectors: [counted[selector] for selector in selectors])
        monkeypatch.setattr(prometheus, "coverage", lambda _prometheus, selector, *_args: covered[selector])
        return prometheus.measure({"kind": "baseline", **check}, WINDOW, None)

    def test_slower_requests_of_both_slots_at_each_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sample = self.ask(monkeypatch, self.SLOTS, buckets="$slot", ignore_below=0.1)
        assert sample.pairs == (
            {"at": "0.1", "bad": 20, "total": 100, "base_bad": 300, "base_total": 1000},
            {"at": "0.5", "bad": 5, "total": 100, "base_bad": 100, "base_total": 1000},
        )
        assert (sample.status, sample.total, sample.coverage_ratio) == (OK, 100, 0.5)
        assert from_dict(json.loads(json.dumps(sample.to_dict()))) == sample

    def test_every_finite_bound_counts_unless_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert [pair["at"] for pair in self.ask(monkeypatch, self.SLOTS, buckets="$slot").pairs] == ["0.05", "0.1", "0.5"]
        with pytest.raises(UnusableError, match=r"at least 2 s: lower ignore_below"):
            self.ask(monkeypatch, self.SLOTS, buckets="$slot", ignore_below=2)

    def test_counters_of_both_slots(self, monkeypatch: pytest.MonkeyPatch) -> None:
        counts = {"bad-green": 3, "all-green": 50, "bad-blue": 7, "all-blue": 400}
        counted = {selector: prometheus.Counted({(): count}) for selector, count in counts.items()}
        sample = self.ask(monkeypatch, counted, bad="bad-$slot", total="all-$slot")
        assert sample.pairs == ({"at": "", "bad": 3, "total": 50, "base_bad": 7, "base_total": 400},)
        assert sample.coverage_ratio == 0.5

    def test_a_candidate_without_events_is_no_data(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for nothing in (prometheus.Counted({}), histogram(_0_05=0, _0_1=0, _0_5=0, _Inf=0)):
            with pytest.raises(NothingThereError) as caught:
                self.ask(monkeypatch, {"green": nothing, "blue": self.STABLE}, buckets="$slot")
            assert caught.value.coverage_ratio == 0.5
        with pytest.raises(NothingThereError):
            self.ask(monkeypatch, dict.fromkeys(self.SLOTS, prometheus.Counted({})), buckets="$slot")

    def test_a_stable_slot_without_events_is_the_judges_to_decide(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sample = self.ask(monkeypatch, {"green": self.CANDIDATE, "blue": prometheus.Counted({})}, buckets="$slot", ignore_below=0.5)
        assert sample.pairs == ({"at": "0.5", "bad": 5, "total": 100, "base_bad": 0, "base_total": 0},)

    def test_different_buckets_cannot_be_compared(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(UnusableError, match="buckets of the two slots differ"):
            self.ask(monkeypatch, {"green": self.CANDIDATE, "blue": histogram(_1=1, _Inf=1)}, buckets="$slot")


def alert(name: str, silenced: bool = False, **labels: str) -> dict[str, Any]:
    return {
        "labels": {"alertname": name, **labels},
        "status": {"state": "suppressed" if silenced else "active", "silencedBy": ["x"] * silenced},
    }


RULE = {
    "name": "ApiDown",
    "labels": {"severity": "P0", "slot": "green"},
    "health": "ok",
    "lastEvaluation": "1970-01-01T00:17:20.123456789Z",
}
CHECK = {"kind": "alerts", "matchers": {"severity": "P0|P1"}, "watchdog": "Watchdog", "rules": {"slot": "$slot"}}


class TestAlerts:
    def ask(
        self, monkeypatch: pytest.MonkeyPatch, alerts: list[Any], *, rules: Any = (RULE,), fired: Any = (), silences: Any = (), **check: Any
    ) -> Sample:
        server = prometheus.Prometheus("http://p", Fake(rules={"data": {"groups": [{"interval": 1, "rules": list(rules)}]}}))
        monkeypatch.setattr(server, "instant", lambda *_args: {tuple(sorted(labels.items())): 1.0 for labels in fired})
        monkeypatch.setattr(alertmanager, "coverage", lambda *_args: 1.0)
        manager = alertmanager.Alertmanager("http://a", Fake(alerts=alerts, silences=list(silences)))
        return alertmanager.measure({**CHECK, **check}, replace(WINDOW), manager, server)

    def test_proven_quiet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sample = self.ask(monkeypatch, [alert("Watchdog"), alert("Disk", severity="P2")])
        assert (sample.status, sample.value, sample.firing, sample.problems) == (OK, 0.0, (), ())

    def test_matchers_are_anchored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.ask(monkeypatch, [alert("Watchdog"), alert("X", severity="P10")]).value == 0

    def test_whose_alert(self, monkeypatch: pytest.MonkeyPatch) -> None:
        alerts = [
            alert("Watchdog"),
            alert("A", severity="P0", slot="blue"),
            alert("B", severity="P1"),
            alert("C", severity="P1", slot="green"),
        ]
        assert {found["name"] for found in self.ask(monkeypatch, alerts).firing} == {"B", "C"}

    def test_a_silenced_alert_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sample = self.ask(monkeypatch, [alert("Watchdog"), alert("A", silenced=True, severity="P0")])
        assert sample.firing == ({"name": "A", "labels": {"severity": "P0"}, "silenced": True},)

    def test_what_fired_in_the_window_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        past = {"alertname": "A", "alertstate": "firing", "severity": "P1"}
        sample = self.ask(monkeypatch, [alert("Watchdog")], fired=[past])
        assert (sample.status, sample.firing) == (OK, ({"name": "A", "labels": {"severity": "P1"}, "silenced": False},))
        silence = {"status": {"state": "active"}, "matchers": [{"name": "alertname", "value": "A|B", "isRegex": True, "isEqual": True}]}
        assert self.ask(monkeypatch, [alert("Watchdog")], fired=[past], silences=[silence]).firing[0]["silenced"] is True

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"alerts": []}, "watchdog alert Watchdog is not in Alertmanager"),
            ({"rules": ()}, "no alerting rule with slot"),
            ({"rules": ({**RULE, "labels": {"slot": "green", "severity": "P3"}},)}, "no alerting rule with slot"),
            ({"rules": ({**RULE, "health": "err", "lastError": "many-to-many"},)}, "many-to-many"),
            ({"rules": ({**RULE, "lastEvaluation": "1970-01-01T00:00:01Z"},)}, "last evaluated 1041 s ago"),
            ({"rules": ({**RULE, "lastEvaluation": "0001-01-01T00:00:00Z"},)}, "not evaluated yet"),
        ],
    )
    def test_unproven_quiet_is_no_data(self, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], words: str) -> None:
        given = {"alerts": [alert("Watchdog")], **change}
        sample = self.ask(monkeypatch, given.pop("alerts"), **given)
        assert sample.status == NO_DATA
        assert sample.detail.startswith("quiet is not proven: ")
        assert words in sample.detail

    def test_names_of_rules(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.ask(monkeypatch, [alert("Watchdog")], rules=(RULE,)).status == OK
        missing = alertmanager.rules_missing(["ApiDown", "Latency"], {}, [{**RULE, "interval": 1}], 1042.0)
        assert missing == ["Prometheus has not loaded the alerting rule Latency"]

    def test_what_fires_counts_without_the_proof(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sample = self.ask(monkeypatch, [alert("A", severity="P0")], rules=())
        assert (sample.status, sample.value, len(sample.problems)) == (OK, 1.0, 2)


class TestApi:
    PORTFOLIO: ClassVar = {"total_pnl": "12.5", "total_trades": 7, "ratio": float("nan"), "open": [1]}

    def ask(self, **check: Any) -> Sample:
        return api.measure(
            {"path": "/portfolio", "value": "total_pnl", **check}, WINDOW, "http://x/", Fake(portfolio=self.PORTFOLIO), None
        )[0]

    def test_value_and_events(self) -> None:
        sample = self.ask(events="total_trades")
        assert (sample.value, sample.events) == (12.5, 7)

    def test_what_is_no_number(self) -> None:
        with pytest.raises(NothingThereError, match="has no nothing"):
            self.ask(value="nothing")
        with pytest.raises(NothingThereError, match="NaN"):
            self.ask(value="ratio")
        with pytest.raises(UnusableError, match="a list and no number"):
            self.ask(value="open")
        with pytest.raises(UnusableError, match="cannot be used"):
            self.ask(value="total_pnl[")

    def test_change_adds_up_and_survives_json(self) -> None:
        state = None
        for value, events in ((100.0, 5), (101.5, 6), (99.0, 8)):
            state = json.loads(json.dumps(api.changed(state, value, events, 1.0)))
        assert (state["change"], state["seen"], state["restarts"]) == (-1.0, 3, 0)

    def test_a_change_is_covered_since_the_first_answer(self) -> None:
        check = {"path": "/portfolio", "value": "total_pnl", "change": True}
        state, found = None, []
        for at in (1030.0, 1040.0):
            window = Window(1000.0, at, "green", "blue")
            sample, state = api.measure(check, window, "http://x/", Fake(portfolio=self.PORTFOLIO), state)
            found.append(sample.coverage_ratio)
        assert found == [0.0, 0.25]

    def test_an_answer_as_the_window_begins_covers_it(self) -> None:
        check = {"path": "/portfolio", "value": "total_pnl", "change": True}
        window = Window(1000.0, 1000.0, "green", "blue")
        assert api.measure(check, window, "http://x/", Fake(portfolio=self.PORTFOLIO), None)[0].coverage_ratio == 1.0

    def test_a_book_that_begins_again_counts_from_zero(self) -> None:
        state = None
        for value, events in ((100.0, 5), (103.0, 6), (2.0, 1), (1.0, 2)):
            state = api.changed(state, value, events, 1.0)
        assert (state["change"], state["seen"], state["restarts"]) == (4.0, 3, 1)


def ended(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class TestCommand:
    def ask(self, script: str, **check: Any) -> Sample:
        urls = {"green": "http://127.0.0.1:2", "blue": "http://127.0.0.1:1"}
        return command.measure({"argv": [sys.executable, "-c", script, "$slot"], **check}, WINDOW, urls)

    def test_clean(self) -> None:
        script = "import os, sys; print(sys.argv[1], os.environ['SLOT'], os.environ['SLOT_URL'], os.environ['STABLE_URL'], 'healthy')"
        sample = self.ask(script, must_match=["^green green http://127.0.0.1:2 http://127.0.0.1:1 healthy$"], must_not_match=["ERROR"])
        assert (sample.status, sample.problems) == (OK, ())

    def test_a_script_that_always_exits_0(self) -> None:
        sample = self.ask("print('fine'); print('API: DOWN (curl: 7)')", must_match=["all good"], must_not_match=["DOWN"])
        assert sample.problems == ("does not print /all good/", "prints 'API: DOWN (curl: 7)' (must not match /DOWN/)")

    def test_exit_code(self) -> None:
        assert self.ask("raise SystemExit(3)").problems == ("exit code 3",)
        assert self.ask("raise SystemExit(3)", rc=3).problems == ()

    def test_a_hang_is_killed_with_all_it_started(self, tmp_path: Path) -> None:
        script = (
            f"import subprocess, time; p = subprocess.Popen(['sleep', '60']); open('{tmp_path}/pid', 'w').write(str(p.pid)); time.sleep(60)"
        )
        with pytest.raises(UnusableError, match=r"did not end within 0.5 s"):
            self.ask(script, timeout="500ms")
        pid = (tmp_path / "pid").read_text()
        until = time.monotonic() + 20  # killed, a process of a busy machine still has to be given a moment to end in
        while not ended(pid):
            assert time.monotonic() < until

    def test_cannot_be_started(self) -> None:
        with pytest.raises(UnusableError, match="/no/such/script cannot be started: No such file"):
            command.measure({"argv": ["/no/such/script"]}, WINDOW, {})

    def test_much_output_is_bounded(self) -> None:
        assert self.ask("print('x' * 10_000_000); print('END')", must_match=["^END$"]).problems == ()


class PrometheusLike:
    """A server that answers 7 to every query, notes them, and can misbehave."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.connections: set[tuple[str, int]] = set()
        self.together: threading.Barrier | None = None
        self.silent, self.ended = False, threading.Event()
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                outer.queries.append(asked["query"][0])
                outer.connections.add(self.client_address)
                if outer.together:
                    outer.together.wait()
                if outer.silent:
                    outer.ended.wait()
                result = {"resultType": "vector", "result": [{"metric": {}, "value": [1042, "7"]}]}
                if "start" in asked:
                    result = {"resultType": "matrix", "result": [{"metric": {}, "values": [[1042, "7"]]}]}
                body = json.dumps({"status": "success", "data": result}).encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None: ...

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *args: object) -> None:
                """Clients that hang up are part of the tests."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def sources(self, **settings: Any) -> Sources:
        return Sources({"prometheus": {"url": f"http://127.0.0.1:{self._server.server_port}"}, "timeout_seconds": 30, **settings})

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def prometheus_like() -> Iterator[PrometheusLike]:
    server = PrometheusLike()
    yield server
    server.close()


def threshold(query: str) -> dict[str, Any]:
    return {"id": query, "kind": "threshold", "source": "prometheus", "query": query}


class TestSources:
    def test_each_check_is_asked_whatever_happens_to_the_others(self) -> None:
        sources = Sources({"timeout_seconds": 2, "prometheus": {"url": "http://127.0.0.1:1"}})
        checks = [
            {"id": "a", "kind": "threshold", "source": "prometheus", "query": "up"},
            {"id": "b", "kind": "command", "source": "command", "argv": [sys.executable, "-c", "pass"]},
            {"id": "c", "kind": "alerts", "source": "alertmanager", "matchers": {}},
            {"id": "d", "kind": "command", "source": "command", "argv": [sys.executable, "-c", "pass"], "must_match": ["("]},
            {"id": "e", "kind": "threshold", "source": "prometheus"},
        ]
        found, state = sources.ask(checks, WINDOW, {"kept": 1})
        assert {check_id: sample.status for check_id, sample in found.items()} == {"a": ERROR, "b": OK, "c": ERROR, "d": ERROR, "e": ERROR}
        assert "nothing listens there" in found["a"].detail
        assert "no address of alertmanager is given" in found["c"].detail
        assert "no regular expression" in found["d"].detail
        assert state == {"kept": 1}
        sources.close()

    def test_all_checks_are_asked_at_the_same_time(self, prometheus_like: PrometheusLike) -> None:
        prometheus_like.together = threading.Barrier(4, timeout=20)
        sources = prometheus_like.sources()
        found, _state = sources.ask([threshold(f"check{number}") for number in range(4)], replace(WINDOW))
        sources.close()
        assert [sample.value for sample in found.values()] == [7.0] * 4

    def test_each_look_asks_each_check_once_over_kept_connections(self, prometheus_like: PrometheusLike) -> None:
        sources = prometheus_like.sources()
        checks = [threshold(f"check{number}") for number in range(20)]
        for _look in range(5):
            sources.ask(checks, replace(WINDOW))
        sources.close()
        assert Counter(prometheus_like.queries) == {f"check{number}": 5 for number in range(20)}
        assert len(prometheus_like.connections) <= THREADS

    def test_a_look_asks_once_what_several_checks_need(self, prometheus_like: PrometheusLike) -> None:
        sources = prometheus_like.sources()
        checks = [threshold(f"check{number} + 0 * $elapsed") for number in range(5)]
        for look in (1, 2):
            found, _state = sources.ask(checks, replace(WINDOW))
            assert [sample.status for sample in found.values()] == [OK] * 5
            assert [query.startswith("max(count_over_time(up") for query in prometheus_like.queries].count(True) == look
        sources.close()

    def test_a_hang_costs_a_look_no_more_than_its_time(self, prometheus_like: PrometheusLike) -> None:
        """Silent until the test ends: an answer can only come from the time-out, which a retry does not begin anew."""
        prometheus_like.silent = True
        sources = prometheus_like.sources(timeout_seconds=0.3)
        found, _state = sources.ask([threshold("a"), threshold("b")], replace(WINDOW))
        sources.close()
        assert {sample.status for sample in found.values()} == {ERROR}
        assert all("did not answer in the time" in sample.detail for sample in found.values())
        assert Counter(prometheus_like.queries) == {"a": 1, "b": 1}

    def test_retries_are_bounded(self, prometheus_like: PrometheusLike) -> None:
        prometheus_like.status = 503
        sources = prometheus_like.sources()
        found, _state = sources.ask([threshold("a")], replace(WINDOW))
        sources.close()
        assert found["a"].status == ERROR
        assert prometheus_like.queries == ["a"] * 3

    def test_samples_travel(self) -> None:
        sample = Sample(status=OK, value=1.0, firing=({"name": "A", "labels": {}, "silenced": False},), problems=("x",))
        assert from_dict(json.loads(json.dumps(sample.to_dict()))) == sample
