# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""State and histories agree for every worker at any time, and no line of the audit log is lost while it may be asked for."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.levibot.standin import store as module
from sandbox.levibot.standin.engines import LIVE, PAPER, Refused
from sandbox.levibot.standin.faults import Faults
from sandbox.levibot.standin.store import Store

NOW = 1_800_000_000.0
BTC, SOL = "BTC/USDT", "SOL/USDT"
HEALTHY = Faults()
D = Decimal


class Crash(BaseException):
    """The process ends between the two writes."""


def crash(*_arguments: object) -> None:
    raise Crash


def book(store: Store, quantities: list[int], *, crashing: bool = False) -> None:
    """One change that books these orders."""
    with pytest.MonkeyPatch.context() as patch:
        if crashing:
            patch.setattr(module, "write_atomically", crash)
        with store.change() as desk:
            for qty in quantities:
                desk.books[LIVE].fill(BTC, D(qty), D(60000 + desk.books[LIVE].next_fill), NOW)


def listed(store: Store) -> tuple[list[int], list[int]]:
    live = store.desk.books[LIVE]
    fills, trades = (range(count, 0, -1) for count in (live.total_fills, live.total_trades))
    return [fill.fill_id for fill in store.fills[LIVE].read(fills)], [trade.trade_id for trade in store.trades[LIVE].read(trades)]


def test_the_store_shares_changes_and_drops_what_failed(tmp_path):
    one, other = Store(tmp_path), Store(tmp_path)
    with one.change() as desk:
        desk.recover(NOW)
    assert set(other.desk.engines) == {BTC, "ETH/USDT"}
    with pytest.raises(Refused), other.change() as desk:
        desk.start(SOL, PAPER, D(100), NOW, HEALTHY)
        desk.start(BTC, PAPER, D(100), NOW, HEALTHY)
    assert SOL not in other.desk.engines
    assert SOL not in one.desk.engines
    assert one.may_trade()
    assert not other.may_trade()


@given(st.lists(st.tuples(st.lists(st.sampled_from([-3, -1, 1, 2]), max_size=6), st.booleans()), max_size=12))
def test_histories_hold_what_the_state_counts_also_after_crashes_between_the_writes(changes):
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory)
        reader, expected = Store(data), []
        for quantities, crashing in changes:
            writer = Store(data)
            if crashing:
                with pytest.raises(Crash):
                    book(writer, quantities, crashing=True)
            else:
                book(writer, quantities)
                expected += quantities
            for seen in (reader, writer, Store(data)):
                fills, trades = listed(seen)
                assert fills == list(range(len(expected), 0, -1))
                assert trades == list(range(seen.desk.books[LIVE].total_trades, 0, -1))
        rows = reader.fills[LIVE].read(range(1, len(expected) + 1))
        assert [fill.qty if fill.side == "buy" else -fill.qty for fill in rows] == expected
        assert [fill.price for fill in rows] == [60001 + place for place in range(len(expected))]


def test_a_page_costs_the_same_however_long_the_history_is(tmp_path):
    store = Store(tmp_path)
    book(store, [1, -1] * 5000)
    assert (tmp_path / "state.json").stat().st_size < 2000
    assert [fill.fill_id for fill in store.fills[LIVE].read(range(10000, 9900, -1))] == list(range(10000, 9900, -1))
    assert [trade.trade_id for trade in store.trades[LIVE].read([2, 2, 1])] == [2, 2, 1]
    assert all(json.loads(line) for line in (tmp_path / "live-fills.jsonl").read_text().splitlines())


def test_a_history_that_is_too_short_for_its_state_is_not_written_on(tmp_path):
    store = Store(tmp_path)
    book(store, [1, -1])
    (tmp_path / "live-fills.jsonl").unlink()
    with pytest.raises(RuntimeError, match="has 0 records, and the state counts 2"):
        book(store, [1])
    assert store.desk.books[LIVE].total_fills == 2


def test_what_an_older_stand_in_has_left_is_not_read(tmp_path):
    (tmp_path / "state.json").write_text('{"engines": {}, "books": {"live": {"fills": []}}}')
    store = Store(tmp_path)
    assert store.desk.books[LIVE].total_fills == 0
    book(store, [1])
    assert listed(Store(tmp_path)) == ([1], [])


def audited(data: Path) -> list[dict[str, object]]:
    """All lines, the newest file last."""
    files = sorted(data.glob("audit.jsonl*"), key=lambda file: int(file.suffix[1:]) if file.suffix != ".jsonl" else 0, reverse=True)
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_rotation_loses_no_line_whoever_writes_them(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_AUDIT_BYTES", 2000)

    def write(worker: int) -> None:
        own = Store(tmp_path)
        for number in range(150):
            own.audit("kill", "192.0.2.1", worker=worker, number=number)

    workers = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    lines = audited(tmp_path)
    assert len(lines) == 600
    assert all(set(line) == {"ts", "event", "ip", "worker", "number"} for line in lines)
    for worker in range(4):
        assert [line["number"] for line in lines if line["worker"] == worker] == list(range(150))
    assert len(list(tmp_path.glob("audit.jsonl.*"))) > 5


def test_rotated_files_go_by_age(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_AUDIT_BYTES", 0)
    store = Store(tmp_path)
    for number in range(4):
        store.audit("kill", "", number=number)
    assert [line["number"] for line in audited(tmp_path)] == [0, 1, 2, 3]
    days = 24 * 3600
    for name, age in {"audit.jsonl.3": 8 * days, "audit.jsonl.2": 6 * days}.items():
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    store.audit("kill", "", number=4)
    assert [line["number"] for line in audited(tmp_path)] == [1, 2, 3, 4]
