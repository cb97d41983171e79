# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus, asked so that the answer does not depend on how often somebody looked.

**Increases** are computed here from the stored values of each raw series, since ``increase()`` extrapolates and a gate counts. With
the last value at or before the window's start as the baseline, an increase is *last - baseline*; what happened between the last
scrape before the start and the first one after it therefore falls into the window. That is at most one scrape interval, which
a gate's settle time covers. Then:

- A series that fell was reset, and what it shows after that counts from 0. The few stretches in which resets happened are asked again in
  finer steps, down to the raw samples; so one more answer of bounded size replaces the transfer of every sample of 28 hours.
- A series without a baseline was born in the window. It counts from 0 if its target (``job``, ``instance``) was scraped before the series
  was there: then it was seen not to exist. Otherwise Prometheus may just have met a server that counts since long,
  and the first value is the baseline.
- A baseline may be as old as LOOKBACK_SECONDS, past Prometheus's staleness marks: one failed scrape makes a series stale, and must not
  make it look new-born. (``lookback_delta`` as a parameter of a query would not do: Prometheus 2.42 ignores it.)

All that a check counts is one query (:meth:`Prometheus.parts`). That costs one round trip, and it is one snapshot of the store: a scrape
that lands meanwhile is in all of the counts or in none. It takes PromQL's ``@``, so Prometheus 2.33 or newer.

**Coverage** is the share of the window in which the store has data, and that of the worst target: one edge that nobody scrapes must show
among many that are. For counters data is where a scrape of the target succeeded, so that a series without a single event, or one that was
born with the first error, is not taken for an outage. A target counts whose series are in the window, or were until LOOKBACK_SECONDS
before it while Prometheus still tries to scrape it.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.http import Client, HttpError
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import mentions
from ansible_collections.levibot.transition.plugins.module_utils.samples import OK, Sample
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import NothingThereError, UnusableError, Window, finite

LOOKBACK_SECONDS = 300
COVERAGE_BUCKETS = 240
FINEST_BUCKET_MS = 250
LONGEST_SCRAPE_INTERVAL_MS = 120_000
TOLERATED_GAPS = 2.5
RESET_BUCKETS = 60
RAW_MS = 60_000
MAX_RAW_CHUNKS = 120
SAME_BOUND = 1e-9
# From where the interval of a series is read; and samples that may be missing at the ends of a window, or late.
STRETCH_MS, STRETCHES = 300_000, 5
EXPLAINED = 2
INEXACT_RATIO = 0.0001
# Which part of a query a series belongs to.
PART = "__part"

Labels = tuple[tuple[str, str], ...]
# Of a histogram: (upper bound, events up to it), in order.
Bounds = list[tuple[float, float]]


@dataclass(frozen=True)
class Counted:
    """By how much each series grew in the window; labels without the metric's name. ``silent``: series that were there before it only."""

    by_series: dict[Labels, float]
    silent: frozenset[Labels] = frozenset()

    @property
    def total(self) -> float:
        return sum(self.by_series.values())


class Prometheus:
    """The HTTP API of one Prometheus."""

    def __init__(self, url: str, client: Client) -> None:
        self._url = url.rstrip("/")
        self._client = client

    def instant(self, query: str, at: float, deadline: float | None = None) -> dict[Labels, float]:
        """The value of each series of a vector (or of the one scalar), NaN and infinities included."""
        data = self._query("query", {"query": query, "time": f"{at:.3f}"}, deadline)
        if data["resultType"] == "scalar":
            return {(): float(data["result"][1])}
        if data["resultType"] != "vector":
            raise UnusableError(f"the query gives a {data['resultType']} and no number: {query}")
        return {_labels(item["metric"]): float(item["value"][1]) for item in data["result"]}

    def parts(self, queries: dict[str, str], at: float, deadline: float | None = None) -> dict[str, dict[Labels, float]]:
        """The vectors of several queries by their names, asked as one query and so from one snapshot of the store."""
        query = " or ".join(f'label_replace({query}, "{PART}", "{name}", "", "")' for name, query in queries.items())
        found: dict[str, dict[Labels, float]] = {name: {} for name in queries}
        for item in self._query("query", {"query": query, "time": f"{at:.3f}"}, deadline)["result"]:
            found[item["metric"].pop(PART)][_labels(item["metric"])] = float(item["value"][1])
        return found

    def grid(self, query: str, start_ms: int, step_ms: int, buckets: int, deadline: float | None = None) -> dict[Labels, dict[int, float]]:
        """For each series the values at the ends of equal buckets, by the bucket's number from 0."""
        asked = {
            "query": query,
            "start": _seconds(start_ms + step_ms),
            "end": _seconds(start_ms + buckets * step_ms),
            "step": _seconds(step_ms),
        }
        data = self._query("query_range", asked, deadline)
        return {
            _labels(item["metric"]): {round((float(at) * 1000 - start_ms) / step_ms) - 1: float(value) for at, value in item["values"]}
            for item in data["result"]
        }

    def raw(self, selector: str, start_ms: int, end_ms: int, deadline: float | None = None) -> dict[Labels, list[float]]:
        """The stored values of each series, in order."""
        data = self._query("query", {"query": f"{selector}[{end_ms - start_ms}ms]", "time": _seconds(end_ms)}, deadline)
        return {_labels(item["metric"]): [float(value) for _at, value in item["values"]] for item in data["result"]}

    def stamps(self, selector: str, start_ms: int, end_ms: int, deadline: float | None = None) -> dict[Labels, list[float]]:
        """When each series has stored values, in seconds, in order."""
        data = self._query("query", {"query": f"{selector}[{end_ms - start_ms}ms]", "time": _seconds(end_ms)}, deadline)
        return {_labels(item["metric"]): [float(at) for at, _value in item["values"]] for item in data["result"]}

    def rules(self, deadline: float | None = None) -> list[dict[str, Any]]:
        """The alerting rules that are loaded, each with its group's interval."""
        answer = self._client.get_json(f"{self._url}/api/v1/rules", {"type": "alert"}, deadline=deadline)
        return [{**rule, "interval": group.get("interval", 0)} for group in answer["data"]["groups"] for rule in group["rules"]]

    def now(self, deadline: float | None = None) -> float:
        """The server's clock, which its samples are stamped with."""
        return float(self._query("query", {"query": "time()"}, deadline)["result"][1])

    def _query(self, endpoint: str, asked: dict[str, str], deadline: float | None) -> dict[str, Any]:
        url = f"{self._url}/api/v1/{endpoint}"
        try:
            answer = self._client.request("POST", url, form=asked, deadline=deadline, retry=True).json()
            return answer["data"]
        except HttpError as problem:
            if problem.status in (400, 422):
                raise UnusableError(f"{problem.url} refuses the query {asked['query']!r}: {_prometheus_error(problem)}") from problem
            raise
        except (KeyError, TypeError):
            raise UnusableError(f"{url} does not answer like Prometheus; check the URL") from None


def measure(check: dict[str, Any], window: Window, prometheus: Prometheus) -> Sample:
    """One check's sample. Raises what :mod:`window` and :mod:`http` define."""
    return KINDS[check["kind"]](check, window, prometheus)


def _proportion(check: dict[str, Any], window: Window, prometheus: Prometheus) -> Sample:
    if check.get("samples"):
        selector = window.expand(check["samples"])
        covered = coverage(prometheus, selector, window)
        inside = f"{selector}[{_inside(window)}]"
        parts = {
            "total": f"sum(count_over_time({inside}))",
            "high": f"sum(sum_over_time({inside}))",
            "lowest": f"min(min_over_time({inside}))",
            "highest": f"max(max_over_time({inside}))",
        }
        found = prometheus.parts(parts, window.at, window.deadline)
        total, high, lowest, highest = (finite(found[name].get((), 0.0), query) for name, query in parts.items())
        if lowest < 0 or highest > 1:
            raise UnusableError(f"{selector} has samples other than 0 and 1")
        bad = total - high if check.get("of") == "good" else high
    else:
        selector = window.expand(check["total"])
        counted_bad, counted = increases(prometheus, window, window.expand(check["bad"]), selector)
        covered = coverage(prometheus, selector, window, counted)
        bad, total = counted_bad.total, counted.total
    if total <= 0:
        raise NothingThereError("no events in the window so far", covered)
    value = 1 - bad / total if check.get("of") == "good" else bad / total
    return Sample(status=OK, value=value, bad=bad, total=total, coverage_ratio=covered)


def samples_by_series(prometheus: Prometheus, selector: str, window: Window) -> dict[Labels, tuple[float, float]]:
    """Of each series the sum of its samples in the window, and their count."""
    inside = f"{selector}[{_inside(window)}]"
    found = prometheus.parts({"sum": f"sum_over_time({inside})", "count": f"count_over_time({inside})"}, window.at, window.deadline)
    return {labels: (finite(found["sum"][labels], selector), count) for labels, count in found["count"].items()}


def missing_by_series(prometheus: Prometheus, selector: str, window: Window, counts: dict[Labels, float]) -> dict[Labels, int]:
    """How many samples each series lacks in the window, of which `counts` are there.

    The whole window is counted against the interval at which the series is stored, so that jitter, which evens out, is nothing, and each
    lost scrape is one. The interval is read from some stretches of raw samples, since no answer of bounded size has all of them. What that
    may be wrong by, and what the window's ends and a late scrape explain, is not called missing.
    """
    start, length = round(window.started_at * 1000), window.milliseconds
    stretch = min(length, STRETCH_MS)
    begins = {start + (length - stretch) * part // (STRETCHES - 1) for part in range(STRETCHES)}
    stamps: dict[Labels, list[list[float]]] = {}
    for begin in sorted(begins):
        for labels, times in prometheus.stamps(selector, begin, begin + stretch, window.deadline).items():
            stamps.setdefault(labels, []).append(times)
    found = {}
    for labels, count in counts.items():
        interval = interval_of(stamps.get(labels, []))
        expected = math.floor(length / 1000 / interval * (1 - INEXACT_RATIO)) - EXPLAINED if interval else 0
        found[labels] = max(0, expected - round(count))
    return found


def interval_of(stretches: list[list[float]]) -> float:
    """At which samples are stored, in seconds, whatever is missing in between; 0 where there are too few to tell.

    The usual distance says how many intervals each other distance is; all of them together say how long one is.
    """
    distances = sorted(after - before for times in stretches for before, after in zip(times, times[1:]) if after > before)
    if len(distances) < EXPLAINED:
        return 0.0
    usual = distances[len(distances) // 2]
    return sum(distances) / sum(max(1, round(distance / usual)) for distance in distances)


def _quantile(check: dict[str, Any], window: Window, prometheus: Prometheus) -> Sample:
    selector = window.expand(check["buckets"])
    (counted,) = increases(prometheus, window, selector)
    covered = coverage(prometheus, selector, window, counted)
    bounds = cumulative(counted, selector)
    total = bounds[-1][1] if bounds else 0.0
    if total <= 0:
        raise NothingThereError("no events in the window so far", covered)
    within, detail = events_within(bounds, float(check["condition"]["limit"]))
    value, beyond = quantile_of(bounds, float(check.get("quantile", 0.95)))
    detail = "; ".join(
        part for part in (detail, f"the quantile lies beyond the last bucket, so it is at least {value:g} s" if beyond else "") if part
    )
    return Sample(status=OK, detail=detail, value=value, bad=max(0.0, total - within), total=total, coverage_ratio=covered)


def _baseline(check: dict[str, Any], window: Window, prometheus: Prometheus) -> Sample:
    """The same selectors for both slots: in stable's, ``$slot`` is stable."""
    slots = (window, replace(window, slot=window.stable))
    by_buckets = bool(check.get("buckets"))
    keys = ("buckets",) if by_buckets else ("total", "bad")
    selectors = [slot.expand(check[key]) for key in keys for slot in slots]
    counted = increases(prometheus, window, *selectors)
    # The first two hold all events of a slot.
    covered = min(coverage(prometheus, selector, window, its) for selector, its in zip(selectors[:2], counted[:2]))
    if by_buckets:
        candidate, stable = (cumulative(its, selector) for its, selector in zip(counted, selectors))
        pairs = _slower(candidate, stable, float(check.get("ignore_below") or 0.0))
    else:
        total, base_total, bad, base_bad = (its.total for its in counted)
        pairs = (_pair("", bad, total, base_bad, base_total),)
    events = pairs[0]["total"] if pairs else 0.0
    if events <= 0:
        raise NothingThereError("no events in the window so far", covered)
    return Sample(status=OK, total=events, pairs=pairs, coverage_ratio=covered)


def _slower(candidate: Bounds, stable: Bounds, ignore_below: float) -> tuple[dict[str, Any], ...]:
    """For each finite bound a pair of what was slower; a slot without series has nothing."""
    if candidate and stable and [bound for bound, _count in candidate] != [bound for bound, _count in stable]:
        raise UnusableError("the buckets of the two slots differ, so they cannot be compared: give both the same bounds")
    bounds = [bound for bound, _count in candidate or stable]
    chosen = [bound for bound in bounds if ignore_below <= bound < math.inf]
    if bounds and not chosen:
        raise UnusableError(f"there is no finite bucket with a bound of at least {ignore_below:g} s: lower ignore_below")
    within, base_within = dict(candidate), dict(stable)
    total, base_total = within.get(math.inf, 0.0), base_within.get(math.inf, 0.0)
    return tuple(
        _pair(f"{bound:g}", total - within.get(bound, 0.0), total, base_total - base_within.get(bound, 0.0), base_total) for bound in chosen
    )


def _pair(at: str, bad: float, total: float, base_bad: float, base_total: float) -> dict[str, Any]:
    # A recount after a reset may see a scrape more of one series than of another, so a difference may fall below nought.
    return {"at": at, "bad": max(0.0, bad), "total": total, "base_bad": max(0.0, base_bad), "base_total": base_total}


def _threshold(check: dict[str, Any], window: Window, prometheus: Prometheus) -> Sample:
    query = window.expand(check["query"])
    found = prometheus.instant(query, window.at, window.deadline)
    if not found:
        raise NothingThereError("the query finds no series", 0.0)
    if len(found) > 1:
        shown = ", ".join(_shown(labels) for labels in sorted(found)[:3])
        raise UnusableError(f"the query finds {len(found)} series where one is expected ({shown}): aggregate them")
    value = next(iter(found.values()))
    if math.isnan(value):
        raise NothingThereError("the query gives NaN", 0.0)
    # Over a whole window an outage of the store must show; what the query reads is unknown here, but an outage stops every scrape.
    covered = coverage_of_the_store(prometheus, window) if mentions(check["query"], "elapsed") else 1.0
    events = _events(check, window, prometheus)
    if math.isinf(value):
        return Sample(status=OK, infinite="+" if value > 0 else "-", events=events, coverage_ratio=covered)
    return Sample(status=OK, value=value, events=events, coverage_ratio=covered)


def _events(check: dict[str, Any], window: Window, prometheus: Prometheus) -> float | None:
    """How many events stand behind a threshold's number; None where the check does not ask."""
    if not check.get("events"):
        return None
    found = prometheus.instant(window.expand(check["events"]), window.at, window.deadline)
    if len(found) > 1:
        raise UnusableError(f"the query for events finds {len(found)} series where one is expected: aggregate them")
    value = next(iter(found.values()), 0.0)
    return value if math.isfinite(value) else 0.0


KINDS: dict[str, Callable[[dict[str, Any], Window, Prometheus], Sample]] = {
    "proportion": _proportion,
    "quantile": _quantile,
    "baseline": _baseline,
    "threshold": _threshold,
}


def increases(prometheus: Prometheus, window: Window, *selectors: str) -> list[Counted]:
    """How much each counter of each selector grew in the window, exact to the stored sample (module's text)."""
    inside = _inside(window)
    asked = {}
    for number, selector in enumerate(selectors):
        asked[f"last {number}"] = f"last_over_time({selector}[{inside}])"
        asked[f"base {number}"] = f"last_over_time({selector}[{LOOKBACK_SECONDS}s] @ {window.started_at:.3f})"
        asked[f"lowest {number}"] = f"min_over_time({selector}[{inside}])"
        asked[f"falls {number}"] = f"resets({selector}[{inside}]) > 0"
    found = prometheus.parts(asked, window.at, window.deadline)
    return [
        _grown(prometheus, window, selector, {what: found[f"{what} {number}"] for what in ("last", "base", "lowest", "falls")})
        for number, selector in enumerate(selectors)
    ]


def _grown(prometheus: Prometheus, window: Window, selector: str, seen: dict[str, dict[Labels, float]]) -> Counted:
    last, base, lowest = seen["last"], seen["base"], seen["lowest"]
    born = last.keys() - base.keys()
    from_zero = _seen_to_be_absent(prometheus, selector, window, born) if born else set()
    starts = {key: base.get(key, 0.0 if key in from_zero else None) for key in last}
    fell = {key: starts[key] for key in last if key in seen["falls"]}
    grown = {key: _step(starts[key], lowest.get(key, value), value) for key, value in last.items() if key not in fell}
    if fell:
        start_ms = round(window.started_at * 1000)
        grown.update(_Recount(prometheus, selector, window.deadline).over(start_ms, start_ms + window.milliseconds, fell))
    if not math.isfinite(sum(grown.values())):
        grown = {key: finite(value, f"the counter {selector}") for key, value in grown.items()}
    return Counted(grown, frozenset(base.keys() - last.keys()))


def _step(before: float | None, lowest: float, last: float) -> float:
    """The increase to `last` over samples that never fall among themselves, of which `lowest` is therefore the first."""
    if before is None:
        return last - lowest
    return last - before if lowest >= before else last


def _seen_to_be_absent(prometheus: Prometheus, selector: str, window: Window, born: set[Labels]) -> set[Labels]:
    """The series whose target was scraped while they did not exist yet."""
    jobs = _alternatives(dict(key).get("job") for key in born)
    if not jobs:
        return set()
    scraped = _scrapes(prometheus, f'up{{job=~"{jobs}"}}', window)
    before = {key for key in born if scraped["before"].get(_target(key), 0) > 0}
    if before == born:
        return before
    present = prometheus.instant(f"count_over_time({selector}[{_inside(window)}])", window.at, window.deadline)
    return before | {key for key in born if scraped["during"].get(_target(key), 0) > present.get(key, 0)}


def _scrapes(prometheus: Prometheus, up: str, window: Window) -> dict[str, dict[Labels, float]]:
    """How many scrapes of each target succeeded before and during the window."""
    parts = {
        "before": f"sum by (job, instance) (sum_over_time({up}[{LOOKBACK_SECONDS}s] @ {window.started_at:.3f}))",
        "during": f"sum by (job, instance) (sum_over_time({up}[{_inside(window)}]))",
    }
    return window.once(f"scrapes of {up}", lambda: prometheus.parts(parts, window.at, window.deadline))


@dataclass
class _Recount:
    """Counts across resets, in ever finer stretches around them."""

    prometheus: Prometheus
    selector: str
    deadline: float | None
    chunks_left: int = MAX_RAW_CHUNKS

    def over(self, start: int, end: int, before: dict[Labels, float | None]) -> dict[Labels, float]:
        """The increases from start to end (milliseconds) of the series in `before`, which holds each one's last value ahead of it."""
        if end - start <= RAW_MS:
            return self._over_raw(start, end, before)
        step = (end - start) // RESET_BUCKETS
        last, lowest, falls = (
            self.prometheus.grid(query.format(f"{self.selector}[{step}ms]"), start, step, RESET_BUCKETS, self.deadline)
            for query in ("last_over_time({})", "min_over_time({})", "resets({}) > 0")
        )
        grown, previous = dict.fromkeys(before, 0.0), dict(before)
        for bucket in range(RESET_BUCKETS):
            finer: dict[Labels, float | None] = {}
            for key in before:
                if bucket not in last.get(key, {}):
                    continue
                if bucket in falls.get(key, {}):
                    finer[key] = previous[key]
                else:
                    grown[key] += _step(previous[key], lowest[key][bucket], last[key][bucket])
                previous[key] = last[key][bucket]
            if finer:
                _add(grown, self.over(start + bucket * step, start + (bucket + 1) * step, finer))
        if start + RESET_BUCKETS * step < end:
            _add(grown, self.over(start + RESET_BUCKETS * step, end, previous))
        return grown

    def _over_raw(self, start: int, end: int, before: dict[Labels, float | None]) -> dict[Labels, float]:
        self.chunks_left -= 1
        if self.chunks_left < 0:
            raise UnusableError(f"the counters {self.selector} were reset too often to be counted: something restarts all the time")
        raw = self.prometheus.raw(self.selector, start, end, self.deadline)
        return {key: _walk(value, raw.get(key, [])) for key, value in before.items()}


def _add(grown: dict[Labels, float], more: dict[Labels, float]) -> None:
    for key, value in more.items():
        grown[key] += value


def _walk(before: float | None, values: list[float]) -> float:
    grown = 0.0
    for value in values:
        if before is not None:
            grown += value - before if value >= before else value
        before = value
    return grown


def coverage(prometheus: Prometheus, selector: str, window: Window, counted: Counted | None = None) -> float:
    """The share of the window with data: that of the selector's worst series or, for counters, of the worst of their targets."""
    if counted is None:
        return min(_shares(prometheus, f"count_over_time({selector}[%s])", window).values(), default=0.0)
    here, silent = ({_target(key) for key in series} for series in (counted.by_series, counted.silent))
    jobs, instances = (_alternatives(dict(key).get(label) for key in here | silent) for label in ("job", "instance"))
    shares: dict[Labels, float] = {}
    if jobs and instances:
        up = f'up{{job=~"{jobs}",instance=~"{instances}"}}'
        scraped = _shares(prometheus, f"max by (job, instance) (sum_over_time({up}[%s]))", window)
        shares = {target: scraped[target] for target in here | silent if target in scraped}
    if here - shares.keys():  # a store without their `up`, such as one that others write to
        held = _shares(prometheus, f"max by (job, instance) (count_over_time({selector}[%s]))", window)
        shares |= {target: held.get(target, 0.0) for target in here - shares.keys()}
    return min(shares.values(), default=0.0)


def coverage_of_the_store(prometheus: Prometheus, window: Window) -> float:
    """The share of the window in which anything was scraped at all; 1 where the store knows no targets."""
    return max(_shares(prometheus, "max(count_over_time(up[%s]))", window).values(), default=1.0)


def _shares(prometheus: Prometheus, query: str, window: Window) -> dict[Labels, float]:
    """For each series of the query the share of the window in which it is above 0. The query has ``%s`` as its range."""
    return window.once(f"shares of {query}", lambda: _measured_shares(prometheus, query, window))


def _measured_shares(prometheus: Prometheus, query: str, window: Window) -> dict[Labels, float]:
    step = _bucket_ms(window.milliseconds)
    buckets = window.milliseconds // step
    if not buckets:
        return {(): 1.0}
    found = prometheus.grid(query % f"{step}ms", round(window.started_at * 1000), step, buckets, window.deadline)
    longest = LONGEST_SCRAPE_INTERVAL_MS / step
    return {key: covered_share({at: value > 0 for at, value in values.items()}, buckets, longest) for key, values in found.items()}


def _bucket_ms(window_ms: int) -> int:
    """How long a bucket is: without a common factor with intervals in which people scrape, so that samples wander through the buckets.

    Were they to fall on borders again and again, Prometheus 2, which counts a sample there in both, would show two for each.
    """
    return next(ms for ms in itertools.count(max(FINEST_BUCKET_MS, math.ceil(window_ms / COVERAGE_BUCKETS))) if math.gcd(ms, 30) == 1)


def covered_share(scraped: dict[int, bool], buckets: int, longest_gap: float) -> float:
    """The share of the buckets that hold data, where a scrape interval may be longer than a bucket.

    scraped: in which buckets a scrape was tried, and whether one succeeded.
    The usual distance between tries (at most `longest_gap`) tells the scrape interval. A longer distance between successes is an outage,
    of which one interval still counts as covered by the sample before it.
    """
    tried, filled = sorted(scraped), sorted(bucket for bucket, succeeded in scraped.items() if succeeded)
    if not filled:
        return 0.0
    distances = [after - before for before, after in zip([-1, *filled], [*filled, buckets])]
    inner = sorted(after - before for before, after in zip(tried, tried[1:]))
    usual = min(inner[len(inner) // 2] if inner else longest_gap, longest_gap)
    tolerated = max(usual * TOLERATED_GAPS, 1.0)
    # The distance from before the first bucket and to behind the last is one more than the gap there.
    covered = sum(distance if distance <= tolerated else usual for distance in distances) - 1
    return max(0.0, min(1.0, covered / buckets))


def quantile_of(bounds: Bounds, quantile: float) -> tuple[float, bool]:
    """The quantile by linear interpolation in its bucket, as ``histogram_quantile`` does it, and whether it lies beyond the finite ones."""
    rank = quantile * bounds[-1][1]
    lower, below = 0.0, 0.0
    for bound, count in bounds:
        if count >= rank and count > below:
            if math.isinf(bound):
                return lower, True
            return lower + (bound - lower) * (rank - below) / (count - below), False
        lower, below = bound, count
    return lower, True


def events_within(bounds: Bounds, limit: float) -> tuple[float, str]:
    """How many events took at most `limit`, and how exact that is."""
    lower, below = 0.0, 0.0
    for bound, count in bounds:
        if math.isclose(bound, limit, rel_tol=SAME_BOUND):
            return count, ""
        if bound > limit:
            if math.isinf(bound):
                return below, f"the limit {limit:g} s lies beyond the last bucket ({lower:g} s), so all slower than that count as too slow"
            share = (limit - lower) / (bound - lower)
            return below + (count - below) * share, f"interpolated between the buckets {lower:g} s and {bound:g} s"
        lower, below = bound, count
    return below, ""


def cumulative(counted: Counted, selector: str) -> Bounds:
    """All series together."""
    sums: dict[float, float] = {}
    layouts: dict[Labels, set[float]] = {}
    for key, value in counted.by_series.items():
        labels = dict(key)
        try:
            bound = float(labels.pop("le"))
        except (KeyError, ValueError):
            raise UnusableError(f"{selector} has a series without a bucket's bound (label le)") from None
        sums[bound] = sums.get(bound, 0.0) + value
        layouts.setdefault(tuple(sorted(labels.items())), set()).add(bound)
    if layouts and (any(layout != set(sums) for layout in layouts.values()) or not math.isinf(max(sums))):
        raise UnusableError(f"the series of {selector} have different buckets, or lack the bucket +Inf, and cannot be added up")
    return sorted(sums.items())


def _inside(window: Window) -> str:
    """The window without its first millisecond, for a sample at the very start is the baseline. (Prometheus 2 includes it, 3 does not.)"""
    return f"{max(1, window.milliseconds - 1)}ms"


def _labels(metric: dict[str, str]) -> Labels:
    metric.pop("__name__", None)
    return tuple(sorted(metric.items()))


def _target(key: Labels) -> Labels:
    return tuple(item for item in key if item[0] in ("instance", "job"))


def _alternatives(values: Any) -> str:
    """A regular expression, ready for a PromQL string, that matches just these values."""
    return "|".join(re.escape(value).replace("\\", "\\\\").replace('"', '\\"') for value in sorted({value for value in values if value}))


def _shown(labels: Labels) -> str:
    return "{" + ", ".join(f'{key}="{value}"' for key, value in labels) + "}"


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}"


def _prometheus_error(problem: HttpError) -> str:
    match = re.search(rb'"error":"((?:[^"\\]|\\.)*)"', problem.body)
    return match.group(1).decode("utf-8", "replace") if match else problem.what
