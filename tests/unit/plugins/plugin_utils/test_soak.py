# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The soak with time as an argument: 28 hours in a moment."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.gates.judge import Judge
from ansible_collections.levibot.transition.plugins.module_utils.samples import OK, Sample, error, no_data
from ansible_collections.levibot.transition.plugins.plugin_utils.recorder import Recorder, RecordError
from ansible_collections.levibot.transition.plugins.plugin_utils.soak import Hands, Soak, StoppedError, Timing

EPOCH = 1_763_980_800.0


class Time:
    """A clock that only sleeping and asking move."""

    def __init__(self) -> None:
        self.passed = 0.0

    def timing(self) -> Timing:
        return Timing(clock=lambda: 77.0 + self.passed, wall=lambda: EPOCH + self.passed, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 1
        self.passed += seconds


def gate(**changed: Any) -> dict[str, Any]:
    check = {
        "id": "errors",
        "kind": "proportion",
        "source": "prometheus",
        "mode": "enforce",
        "of": "bad",
        "min_events": 10,
        "condition": {"op": "<", "limit": "0.001", "unit": "ratio", "text": "errors < 0.1%"},
    }
    timing = {"window_seconds": 1800, "interval_seconds": 15, "settle_seconds": 15, "hold_seconds": 60, "blind_after_seconds": 120}
    return {"id": "phase2.step1", "on_fail": "rollback", "checks": [check], **timing, **changed}


class Run:
    """A soak with a source that answers as told, and all that it did."""

    def __init__(self, gate: dict[str, Any], answer: Any, *, started_at: float | None = None, asking: float = 0.01) -> None:
        self.time = Time()
        self.asked: list[tuple[float, float]] = []
        self.ticks: list[float] = []
        self.seen: list[float] = []
        self.stop_at: float | None = None
        self.answer, self.asking = answer, asking
        hands = Hands(self.ask, lambda look, _samples, _at: self.seen.append(look.at_seconds), self.ticks.append, self.guard)
        self.soak = Soak(gate, Judge(gate), hands, started_at=started_at, timing=self.time.timing())

    def ask(self, started_at: float, at: float) -> dict[str, Sample]:
        self.asked.append((started_at, at))
        sample = self.answer(at - started_at)
        self.time.passed += self.asking
        return {"errors": sample}

    def guard(self) -> None:
        if self.stop_at is not None and self.time.passed >= self.stop_at:
            raise StoppedError("told to")


def good(elapsed: float) -> Sample:
    return Sample(status=OK, bad=0.0, total=elapsed * 10, value=0.0)


def test_28_hours_pass_on_schedule() -> None:
    run = Run(gate(window_seconds=28 * 3600), good)
    assert run.soak.run().safe
    assert len(run.asked) == 28 * 240 + 1
    assert {round(after - before, 3) for before, after in zip(run.seen, run.seen[1:], strict=False)} == {15.0}
    assert run.seen[-1] == pytest.approx(28 * 3600, abs=0.001)
    assert {started for started, _at in run.asked} == {EPOCH + 15}


def test_settling_comes_first_and_is_shown() -> None:
    run = Run(gate(), good)
    run.soak.run()
    assert run.ticks[0] == -15
    assert run.asked[0] == (EPOCH + 15, EPOCH + 15)
    assert max(after - before for before, after in zip(run.ticks, run.ticks[1:], strict=False)) <= 1.02


def test_a_slow_answer_delays_its_look_and_shifts_no_other() -> None:
    def slow_once(elapsed: float) -> Sample:
        run.asking = 50 if elapsed == pytest.approx(60, abs=0.1) else 0.01
        return good(elapsed)

    run = Run(gate(), slow_once)
    assert run.soak.run().safe
    asked = [round(at - started, 1) for started, at in run.asked]
    assert asked[4:9] == [60, 110, 120, 135, 150]


def test_it_fails_at_once() -> None:
    run = Run(gate(), lambda elapsed: Sample(status=OK, bad=elapsed, total=elapsed * 10, value=0.1))
    verdict = run.soak.run()
    assert (verdict.verdict, verdict.safe) == ("fail", False)
    assert run.time.passed < 60


def test_no_data_holds_and_then_fails() -> None:
    run = Run(gate(), lambda _elapsed: no_data("no series"))
    assert run.soak.run().verdict == "fail"
    assert run.seen[-1] == pytest.approx(1860, abs=1)


def test_errors_make_blind() -> None:
    run = Run(gate(), lambda _elapsed: error("refused"))
    assert run.soak.run().verdict == "blind"
    assert run.seen[-1] == pytest.approx(120, abs=5)


def test_a_resumed_soak_looks_at_once_and_keeps_its_time() -> None:
    run = Run(gate(), good, started_at=EPOCH - 1700)
    assert run.soak.run().safe
    assert run.asked[0] == (EPOCH - 1700, EPOCH)
    assert run.time.passed == pytest.approx(100, abs=1)


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_wall_clock_that_is_set_in_mid_window_moves_no_look(step: float) -> None:
    run = Run(gate(), good)
    run.soak._time = replace(run.soak._time, wall=lambda: EPOCH + run.time.passed + step)
    assert run.soak.run().safe
    assert run.asked[-1] == pytest.approx((EPOCH + 15, EPOCH + 15 + 1800), abs=0.1)


def test_a_window_that_is_over_needs_one_look() -> None:
    run = Run(gate(), good, started_at=EPOCH - 1800)
    assert run.soak.run().safe
    assert len(run.asked) == 1


def test_it_stops_when_told() -> None:
    run = Run(gate(), good)
    run.stop_at = 100.0
    with pytest.raises(StoppedError):
        run.soak.run()
    assert run.time.passed == pytest.approx(100, abs=1.1)


def test_records_are_batched_and_kept_until_written() -> None:
    now, written, works = [0.0], [], [True]

    def write(entries: list[dict[str, Any]]) -> None:
        if not works[0]:
            raise RecordError("full")
        written.append(len(entries))

    recorder = Recorder(write, 60, clock=lambda: now[0])
    for second in range(0, 130, 10):
        now[0] = second
        recorder.add("look", second, {})
        recorder.flush_if_due()
    assert written == [7, 6]
    works[0] = False
    recorder.add("look", 130, {})
    with pytest.raises(RecordError):
        recorder.flush()
    works[0] = True
    recorder.add("verdict", 131, {})
    recorder.flush()
    assert written == [7, 6, 2]


def test_many_looks_are_written_before_they_are_due() -> None:
    written: list[int] = []
    recorder = Recorder(lambda entries: written.append(len(entries)), 3600, clock=lambda: 0.0)
    for look in range(250):
        recorder.add("look", look, {})
        recorder.flush_if_due()
    assert written == [100, 100]


def test_a_ledger_that_is_gone_for_long_costs_no_memory_and_is_told_what_it_missed() -> None:
    tried, written, works = [0], [], [False]

    def write(entries: list[dict[str, Any]]) -> None:
        tried[0] += 1
        if not works[0]:
            raise RecordError("gone")
        written.extend(entries)

    recorder = Recorder(write, 3600, clock=lambda: 0.0)
    for look in range(1500):
        recorder.add("look", look, {"index": look})
        with suppress(RecordError):
            recorder.flush_if_due()
    assert tried[0] == 15
    works[0] = True
    recorder.add("verdict", 1500, {})
    recorder.flush()
    assert len(written) == 1 + 1000
    assert (written[0]["kind"], written[0]["at"], written[0]["data"]["lost"]) == ("note", "500.000", 501)
    assert (written[1]["data"]["index"], written[-1]["kind"]) == (501, "verdict")
    recorder.add("look", 1501, {})
    recorder.flush()
    assert written[-1]["at"] == "1501.000"
    assert [entry["kind"] for entry in written].count("note") == 1


def test_a_heart_beats_also_where_there_is_nothing_to_tell() -> None:
    now, written = [0.0], []
    recorder = Recorder(lambda entries: written.append(len(entries)), 15, clock=lambda: now[0])
    for second in range(50):
        now[0] = second
        recorder.beat_if_due()
    assert written == [0, 0, 0]
    recorder.add("look", 50, {})
    now[0] = 60
    recorder.beat_if_due()
    assert written == [0, 0, 0, 1]
