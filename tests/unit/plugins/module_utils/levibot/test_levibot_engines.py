# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting and stopping an engine at an address where several processes disagree, forget and lie, on a clock of the test's own."""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.http import Client, HttpError
from ansible_collections.levibot.transition.plugins.module_utils.levibot import engines as module
from ansible_collections.levibot.transition.plugins.module_utils.levibot import forms
from ansible_collections.levibot.transition.plugins.module_utils.levibot.engines import Engine, EngineError, Engines, Wanted, find, key
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import Unavailable

LIVE = Wanted("live", Decimal("100.00"))


@dataclass
class Fake:
    """A server of several processes, of which some may know nothing of what another has started."""

    workers: int = 1
    shared: bool = True
    offered: tuple[str, ...] = ("start_live", "start_paper", "stop_engine")
    spelling: str = "BTC/USDT"
    starts_as: dict = field(default_factory=dict)  # what it makes of a start
    says: tuple[str, ...] = ("mode", "capital")
    server_mode: str | None = "paper"
    killed: bool = False
    stops: bool = True
    loses: int = 0  # how many starts are carried out and not answered
    late: float = 0.0  # how much later they are carried out
    lost_as: int | None = None  # what a gateway says instead of the answer
    refuses: int = 0  # how many starts find that nothing listens
    seed: int = 0
    now: float = 0.0

    def __post_init__(self):
        self.random = random.Random(self.seed)  # noqa: S311
        self.known = [{} for _unused in range(self.workers)]
        self.sent = []
        self.pending = []
        self.worker = 0
        self.positions = []

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def new_connection(self):
        self.worker = self.random.randrange(self.workers)

    def until(self, _deadline):
        pass

    def candidates(self, call):
        return [(forms.CALLS[call][0], "")] if call in self.offered else []

    def optional(self, name):
        return {"mode": self.server_mode, "kill_state": self.killed}[name]

    def value(self, name):
        self.now += 0.002
        if name == "engines":
            self.catch_up()
            return [{"symbol": symbol, **told} for symbol, told in self.known[self.worker].items()]
        if name == "live_positions":
            return self.positions
        raise Unavailable(name)

    def call(self, name, *, refusals=(), symbol="", **arguments):  # noqa: ARG002
        self.now += 0.002
        self.sent.append((name, symbol))
        if self.refuses and name.startswith("start"):
            self.refuses -= 1
            raise HttpError("http://x", "nothing listens there (connection refused)") from ConnectionRefusedError()
        if symbol != self.spelling:
            raise HttpError("http://x", "answered 404", status=404)
        knowing = self.known if self.shared else [self.known[self.worker]]
        if name.startswith("start"):
            told = {"mode": name[6:], "capital": float(arguments["capital"]) if "capital" in arguments else 2500.0, **self.starts_as}
            started = {"status": "running", "position": 0, **{part: told[part] for part in self.says}}
            self.pending.append((self.now + (self.late if self.loses else 0), knowing, symbol, started))
            self.catch_up()
            if self.loses:
                self.loses -= 1
                raise HttpError("http://x", "did not answer in the time that it was given", status=self.lost_as)
        elif self.stops:
            for one in knowing:
                if symbol in one:
                    one[symbol]["status"] = "stopped"

    def catch_up(self):
        for due in [one for one in self.pending if one[0] <= self.now]:
            self.pending.remove(due)
            _at, knowing, symbol, started = due
            for one in knowing:
                one[symbol] = dict(started)

    @property
    def names(self):
        return [name for name, _symbol in self.sent]


def engines(fake, **more):
    return Engines(fake, "BTC/USDT", 10.0, 8, 0.3, fake.clock, fake.sleep, **more)


@given(st.integers(1, 4), st.integers(0, 10**6))
def test_what_is_called_started_runs_in_every_process(workers, seed):
    fake = Fake(workers, seed=seed)
    done = engines(fake).start(LIVE, flatten=True)
    assert done.changed
    assert all(one["BTC/USDT"]["status"] == "running" for one in fake.known)
    assert fake.names == ["start_live"]
    assert not engines(fake).start(LIVE, flatten=True).changed
    stopped = engines(fake).stop(flatten=True)
    assert (stopped.changed, stopped.open) == (True, {})
    assert not engines(fake).stop(flatten=True).changed


def test_processes_that_disagree_are_no_success():
    with pytest.raises(EngineError, match=r"was not seen to run|cannot be read"):
        engines(Fake(3, shared=False, seed=5)).start(LIVE, flatten=True)


@given(st.integers(0, 2), st.sampled_from([0.0, 0.5, 3.0, 8.0]), st.sampled_from([None, 500, 502, 504]))
def test_a_lost_start_is_never_doubled(loses, late, lost_as):
    """Nor where it is carried out long after another process has said that nothing runs."""
    fake = Fake(loses=loses, late=late, lost_as=lost_as)
    done = engines(fake).start(LIVE, flatten=True)
    assert done.after.runs
    assert fake.names == ["start_live"]


@pytest.mark.parametrize("wanted", [LIVE, Wanted("paper")])
def test_a_lost_start_that_is_not_seen_is_undone(wanted):
    fake = Fake(loses=1, late=60.0)
    with pytest.raises(EngineError, match=r"not seen to run \(.*did not answer.*stopped again. The start .* may still be carried out"):
        engines(fake).start(wanted, flatten=True)
    assert fake.names == [wanted.call, "stop_engine"]
    assert fake.now < 20
    fake = Fake(loses=1, late=2.0, starts_as={"capital": 1000.0})
    with pytest.raises(EngineError, match=r"does not run as it was asked for.*It was stopped again$"):
        engines(fake).start(LIVE, flatten=True)
    assert fake.names == ["start_live", "stop_engine"]


@pytest.mark.parametrize("refuses", [1, 2])
def test_a_start_that_was_never_sent_is_sent_again(refuses):
    fake = Fake(refuses=refuses)
    if refuses == 1:
        assert engines(fake).start(LIVE, flatten=True).after.runs
        assert fake.names == ["start_live"] * 2
        return
    with pytest.raises(EngineError, match=r"nothing listens there.*It was stopped again$"):
        engines(fake).start(LIVE, flatten=True)
    assert fake.names == ["start_live", "start_live", "stop_engine"]


def test_only_where_nothing_listens_is_it_certain_that_nothing_was_sent():
    with socket.socket() as bound, pytest.raises(HttpError) as refused:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        Client(timeout=5, retries=0).request("POST", f"http://127.0.0.1:{bound.getsockname()[1]}/engines/start")
    assert module.unsent(refused.value)
    for cause in (TimeoutError(), ConnectionResetError(), BrokenPipeError(), OSError(113, "no route"), None):
        problem = HttpError("http://x", "no answer")
        problem.__cause__ = cause
        assert not module.unsent(problem)


@pytest.mark.parametrize(("starts_as", "server_mode"), [
    ({"mode": "paper"}, "paper"), ({"capital": 1000.0}, "live"), ({"mode": ""}, "paper"), ({"mode": ""}, None),
])  # fmt: skip
def test_what_is_not_as_asked_is_stopped_again(starts_as, server_mode):
    fake = Fake(starts_as=starts_as, server_mode=server_mode)
    with pytest.raises(EngineError, match=r"does not run as it was asked for.*It was stopped again"):
        engines(fake).start(LIVE, flatten=True)
    assert fake.names == ["start_live", "stop_engine"]
    fake = Fake(starts_as=starts_as, server_mode=server_mode, stops=False)
    with pytest.raises(EngineError, match=r"IT MAY RUN.*throw the kill switch"):
        engines(fake).start(LIVE, flatten=True)
    assert fake.now < 25, "bounded all the same"


def test_what_is_not_said_is_told():
    fake = Fake(says=(), server_mode="live")
    done = engines(fake).start(LIVE, flatten=True)
    assert done.unconfirmed == ["mode: only the server as a whole says it, and said it before", "capital"]


def test_refused_before_anything_is_sent():
    for fake, why in (
        (Fake(offered=("stop_engine",)), "no form of start_live that carries mode and capital"),
        (Fake(killed=True), "the kill switch is on"),
    ):
        with pytest.raises(EngineError, match=why):
            engines(fake).start(LIVE, flatten=True)
        with pytest.raises(EngineError, match=why):
            engines(fake, check=True).start(LIVE, flatten=True)
        assert fake.sent == []


def test_another_spelling_after_404_only():
    fake = Fake(spelling="BTCUSDT")
    done = engines(fake).start(LIVE, flatten=True)
    assert fake.sent == [("start_live", "BTC/USDT"), ("start_live", "BTCUSDT")]
    assert (done.after.symbol, done.after.status) == ("BTC/USDT", "running")
    engines(fake).stop(flatten=True)
    assert fake.known[0]["BTCUSDT"]["status"] == "stopped"


def test_a_position_that_stays_is_told_and_no_failure():
    fake = Fake()
    engines(fake).start(LIVE, flatten=True)
    fake.positions = [{"symbol": "BTCUSDT", "side": "short", "qty": "0.002"}, {"symbol": "ETH/USDT", "qty": 1}]
    for flatten in (True, False):
        done = engines(fake).stop(flatten=flatten)
        assert done.open == {"symbol": "BTC/USDT", "quantity": "-0.002"}
        fake.now = 0.0
    fake.positions = [{"symbol": "BTC/USDT", "side": "long"}]
    assert engines(fake).stop(flatten=False).open == {"symbol": "BTC/USDT", "quantity": "unknown"}


def test_a_crashed_engine_with_a_position_is_closed_where_there_is_a_form_for_it():
    fake = Fake(offered=("start_live", "stop_engine", "stop_closing"))
    engines(fake).start(LIVE, flatten=True)
    fake.known[0]["BTC/USDT"]["status"] = "crashed"
    fake.positions = [{"symbol": "BTC/USDT", "side": "long", "qty": 1}]
    fake.sent.clear()
    done = engines(fake, check=True).stop(flatten=True)
    assert (done.changed, fake.sent) == (True, [])
    done = engines(fake).stop(flatten=True)
    assert (done.changed, fake.names, done.open["quantity"]) == (True, ["stop_closing"], "1")


@pytest.mark.parametrize("stops", [True, False])
def test_a_crashed_engine_is_stopped_before_it_is_restarted(stops):
    fake = Fake()
    engines(fake).start(LIVE, flatten=True)
    fake.known[0]["BTC/USDT"]["status"] = "crashed"
    fake.stops = stops
    fake.sent.clear()
    done = engines(fake).stop(flatten=True)
    assert (done.changed, fake.names) == (stops, ["stop_engine"])
    assert engines(fake).stop(flatten=True).changed is False, "also one that stays crashed"


def test_an_engine_listed_twice_is_none_that_is_known():
    twice = [{"symbol": "BTC/USDT", "status": "running"}, {"symbol": "BTCUSDT", "status": "running"}]
    with pytest.raises(EngineError, match="listed 2 times as running"):
        find(twice, "BTC/USDT")
    assert find([twice[0], {"symbol": "BTCUSDT", "status": "stopped"}], "BTC/USDT").runs


@pytest.mark.parametrize("listed", [None, "all", [{"symbol": "A"}], [3]])
def test_a_list_that_is_none_is_not_absence(listed):
    with pytest.raises(EngineError, match="does not say which engines"):
        find(listed, "BTC/USDT")


def test_absent_and_mapped():
    assert find([], "BTC/USDT") == Engine("BTC/USDT")
    assert find({"BTC/USDT": "running"}, "BTC/USDT").runs
    assert find({"BTCUSDT": {"status": "RUNNING", "mode": "LIVE", "capital": "100"}}, "BTC/USDT") == Engine(
        "BTC/USDT", "running", "live", Decimal(100)
    )


@given(st.text(max_size=8), st.text(max_size=8))
def test_spellings_of_one_engine(base, quote):
    assert key(f"{base}/{quote}") == key(f"{base}{quote}") == key(f"{base}-{quote}".lower() if (base + quote).isascii() else base + quote)


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.lists(st.none(), max_size=1)))
def test_an_amount_is_a_number_or_none(value):
    number = module.amount(value)
    assert number is None or number.is_finite()
    if isinstance(value, int) and not isinstance(value, bool):
        assert number == value
