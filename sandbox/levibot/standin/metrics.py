# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""Metrics under LeviBot's names, made from the shared desk at each scrape, so that every worker tells the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from . import views
from .engines import CRASHED, LATENCY_BUCKETS, RUNNING, STOPPED, Desk
from .faults import Faults

_STATUS = {STOPPED: 0, RUNNING: 1, CRASHED: 2}


class DeskCollector:
    def __init__(self, desk: Callable[[], Desk], faults: Callable[[], Faults]) -> None:
        self._desk = desk
        self._faults = faults

    def collect(self) -> Iterator[Metric]:
        desk, now = self._desk(), time.time()
        risk = views.risk_summary(desk, now, self._faults())
        yield GaugeMetricFamily("levi_equity_now", "Equity in USD, of the mode that trades", risk["equity_now"])
        yield GaugeMetricFamily("levi_realized_today_pct", "Change of the equity since the day began", risk["realized_today_pct"])
        yield GaugeMetricFamily("levi_positions_open", "Open positions", risk["positions_open"])
        yield GaugeMetricFamily("levi_global_stop", "1 when trading is stopped for all engines", int(risk["global_stop"]))
        yield from self._engines(desk)
        yield self._inference(desk)

    @staticmethod
    def _engines(desk: Desk) -> Iterator[Metric]:
        status = GaugeMetricFamily("levi_engine_status", "0 stopped, 1 running, 2 crashed", labels=["symbol"])
        heartbeat = GaugeMetricFamily("levi_engine_last_heartbeat", "Seconds since the epoch", labels=["symbol"])
        errors = CounterMetricFamily("levi_engine_errors", "Errors of an engine", labels=["symbol"])
        signals = CounterMetricFamily("levi_signals", "Orders that an engine gave", labels=["symbol", "side"])
        for engine in desk.engines.values():
            status.add_metric([engine.symbol], _STATUS[engine.status])
            heartbeat.add_metric([engine.symbol], engine.last_heartbeat)
            errors.add_metric([engine.symbol], engine.error_count)
            for side, count in engine.signals.items():
                signals.add_metric([engine.symbol, side], count)
        yield from (status, heartbeat, errors, signals)

    @staticmethod
    def _inference(desk: Desk) -> Metric:
        seen = desk.inference
        buckets = [(str(bound), seen.buckets[index]) for index, bound in enumerate(LATENCY_BUCKETS)]
        return HistogramMetricFamily(
            "levi_inference_latency_seconds", "Latency of inference", buckets=[*buckets, ("+Inf", seen.count)], sum_value=seen.sum
        )


class Exporter:
    def __init__(self, desk: Callable[[], Desk], faults: Callable[[], Faults]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(DeskCollector(desk, faults))

    def text(self) -> bytes:
        return generate_latest(self._registry)
