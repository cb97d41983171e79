# SPDX-License-Identifier: GPL-3.0-or-later
"""The kill's procedure against instances that lie, forget, disagree and hang, on a clock of the test's own."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import running_engines
from ansible_collections.levibot.transition.plugins.module_utils.levibot.kill import Procedure, Reading, Timeline


@dataclass
class Fake:
    """An instance of several processes. known: whether they can be told apart. obeys: whether a kill is done, and not only answered."""

    switches: list[bool]
    running: list[str] = field(default_factory=lambda: ["BTC/USDT"])
    known: bool = True
    obeys: bool = True
    stops: bool = True
    hangs: bool = False
    trades: bool = False
    forgets_after: int = 10**9
    seed: int = 0
    now: float = 0.0
    looks: int = 0
    acts: int = 0
    orders: int = 0

    def __post_init__(self):
        self.random = random.Random(self.seed)  # noqa: S311
        self.reached = 0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def look(self, *, orders=False, press=0):  # noqa: ARG002
        self.looks += 1
        self.now += 1.0 if self.hangs else 0.002
        if self.hangs:
            return Reading(problem="did not answer in the time that it was given")
        if self.looks > self.forgets_after:
            self.switches = [False] * len(self.switches)
        self.orders += self.trades
        self.reached = self.random.randrange(len(self.switches))
        worker = self.reached if self.known else None
        return Reading(self.switches[self.reached], tuple(self.running), worker, {"live_trades": str(self.orders)} if orders else {})

    def act(self, seen, *, on):  # noqa: ARG002
        self.acts += 1
        self.now += 0.002
        if self.obeys:
            self.switches[self.reached] = on
        if on and self.stops:
            self.running = []
        return "done"

    def workers(self):
        return set(range(len(self.switches))) if self.known else None


def run(fake, *, on=True, seconds=5.0, reads=8):
    timeline = Timeline(fake.clock, 0.0)
    procedure = Procedure(fake, timeline, seconds, reads, 0.3, fake.clock, fake.sleep)
    return procedure.run(on=on), timeline


@given(st.integers(1, 5), st.integers(0, 10**6), st.booleans())
def test_confirmed_is_true_of_every_process(workers, seed, thrown_before):
    fake = Fake([thrown_before] * workers, seed=seed)
    result, _timeline = run(fake)
    if result.confirmed:
        assert fake.switches == [True] * workers
        assert fake.running == []
    assert fake.now < 6


@given(st.integers(1, 4), st.integers(0, 10**6))
def test_one_process_that_forgets_is_never_confirmed_unseen(workers, seed):
    """What a process holds at the last reading of it is what is reported."""
    fake = Fake([False] * workers, seed=seed, obeys=False)
    result, _timeline = run(fake)
    assert not result.confirmed
    assert "switch off" in result.reason or "not seen" in result.reason


def test_200_ok_alone_is_no_proof():
    result, timeline = run(Fake([False], obeys=False))
    assert not result.confirmed
    assert result.acted
    assert result.reason == "switch off, engines none running"
    assert {event["event"] for event in timeline.events[-2:]} <= {"switch off, engines none running", "done"}


def test_the_switch_alone_is_no_proof():
    result, _timeline = run(Fake([True], stops=False))
    assert not result.confirmed
    assert "running BTC/USDT" in result.reason


def test_an_order_after_it_is_no_kill():
    result, _timeline = run(Fake([False], trades=True))
    assert not result.confirmed
    assert result.reason == "an order followed the kill (live_trades)"


def test_readings_span_the_quiet_time_and_are_enough():
    fake = Fake([False])
    result, _timeline = run(fake, reads=8)
    assert result.confirmed
    assert fake.now >= 0.3
    assert fake.looks >= 8


def test_a_switch_that_falls_back_is_thrown_again():
    fake = Fake([False, False], forgets_after=12)
    fake.forgets_after = 12
    original = fake.look

    def once(**how):
        seen = original(**how)
        fake.forgets_after = 10**9
        return seen if fake.looks != 12 else original(**how)

    fake.look = once
    result, _timeline = run(fake)
    assert result.confirmed
    assert fake.switches == [True, True]


def test_what_is_killed_already_is_left_alone():
    fake = Fake([True, True], running=[])
    result, _timeline = run(fake)
    assert (result.confirmed, result.acted, fake.acts) == (True, False, 0)


def test_an_instance_that_hangs_ends_in_time():
    fake = Fake([False], hangs=True)
    result, _timeline = run(fake, seconds=3.0)
    assert not result.confirmed
    assert fake.now <= 5.0
    assert "did not answer" in result.reason


def test_a_process_that_cannot_be_reached_is_not_confirmed():
    fake = Fake([True], running=[])
    fake.workers = lambda: {0, 99}
    result, _timeline = run(fake)
    assert not result.confirmed
    assert "1 of 2 processes were not seen to agree" in result.reason


def test_without_a_form_nothing_is_tried_twice():
    fake = Fake([False])
    fake.look = lambda **_how: Reading(problem="this release offers no form of kill_state", hopeless=True)
    result, _timeline = run(fake)
    assert not result.confirmed
    assert fake.acts == 1
    assert fake.now < 0.1


@given(st.integers(1, 4), st.integers(0, 10**6))
def test_release_is_read_back_too(workers, seed):
    fake = Fake([True] * workers, running=[], seed=seed)
    result, _timeline = run(fake, on=False)
    if result.confirmed:
        assert fake.switches == [False] * workers
    fake = Fake([True] * workers, running=[], seed=seed, obeys=False)
    result, _timeline = run(fake, on=False)
    assert not result.confirmed


def test_reading_needs_agreement():
    fake = Fake([True, False], known=False, seed=3)
    procedure = Procedure(fake, Timeline(fake.clock, 0.0), 5.0, 8, 0.3, fake.clock, fake.sleep)
    result = procedure.read()
    assert not result.confirmed
    assert fake.acts == 0


@pytest.mark.parametrize(("listed", "running"), [
    ([{"symbol": "A", "status": "running"}, {"symbol": "B", "status": "stopped"}, {"symbol": "C", "status": "CRASHED"}], ("A",)),
    ({"A": {"status": "running"}, "B": "stopped"}, ("A",)), ([], ()), ([{"symbol": "A", "status": "starting"}], ("A",)),
    ("all", None), ([{"symbol": "A"}], None), (None, None), (["A"], None),
])  # fmt: skip
def test_running_engines(listed, running):
    assert running_engines(listed) == running
