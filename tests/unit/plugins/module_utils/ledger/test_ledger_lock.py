# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.ledger import store
from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import draft
from ansible_collections.levibot.transition.plugins.module_utils.ledger.lock import Clock, Owner, is_gone, start_time
from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger, LedgerError, LockedError, LostError

ROLLOUT = "20261124T112200Z-v1.8.0-beta"
MARIA = Owner("maria", "ops-1", 4711, "815", "boot-1", "pid:[1]")
JOHN = replace(MARIA, user="john", host="ops-2")


def entry(kind="note", **data):
    return draft(ROLLOUT, kind, data)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def now(monkeypatch):
    """The ledger host's clocks, to be set."""
    time = {"wall": 1_000_000.0, "boottime": 100.0, "boot_id": "here"}
    monkeypatch.setattr(store, "clock", lambda: Clock(**time))
    return time


def later(now, seconds):
    now["wall"] += seconds
    now["boottime"] += seconds


def test_a_second_owner_is_refused_with_all_he_needs_to_know(path, now):
    with Ledger(path) as ledger:
        ledger.append([entry("opened")], MARIA, locks=True)
        later(now, 30)
        with pytest.raises(LockedError) as refused:
            ledger.acquire(JOHN)
        for part in ("maria@ops-1", "process 4711", "since 1970-01-12T13:46:40.000Z", "30 s ago", "levibot_take_over=true"):
            assert part in str(refused.value)
        assert refused.value.holder["owner"]["token"] == MARIA.token
        with pytest.raises(LockedError):
            ledger.append([entry("opened")], JOHN, locks=True)
        assert [item.kind for item in ledger.read()] == ["opened"]


def test_each_writing_of_the_holder_is_a_heartbeat(path, now):
    with Ledger(path) as ledger:
        ledger.acquire(MARIA)
        for drafts in ([entry()], []):
            later(now, 100)
            ledger.append(drafts, MARIA)
            later(now, 100)
            with pytest.raises(LockedError):
                ledger.acquire(JOHN, stale_seconds=120)
        later(now, 21)
        ledger.append([entry()], JOHN)  # somebody else's is none
        assert ledger.acquire(JOHN, stale_seconds=120).owner == JOHN


@pytest.mark.parametrize("how", [{"gone": MARIA.token}, {"take_over": True}, {"stale_seconds": 5}], ids=lambda how: next(iter(how)))
def test_a_take_over_is_recorded_and_the_loser_may_not_write(path, now, how):
    with Ledger(path) as ledger:
        ledger.append([entry("opened")], MARIA, locks=True)
        later(now, 10)
        assert ledger.acquire(JOHN, ROLLOUT, **how).owner == JOHN
        note = list(ledger.read(ROLLOUT))[-1]
        assert (note.kind, note.data["action"]) == ("note", "take_over")
        assert (note.data["from"]["user"], note.data["to"]["user"]) == ("maria", "john")
        with pytest.raises(LostError, match="john@ops-2") as lost:
            ledger.append([entry()], MARIA)
        assert lost.value.how == "taken_over"
        with pytest.raises(LostError):
            ledger.acquire(MARIA, take_over=True)
        assert not ledger.release(MARIA)
        ledger.append([entry()], JOHN)
        assert ledger.verify().intact


def test_the_token_of_another_holder_takes_nothing(path, now):
    with Ledger(path) as ledger:
        ledger.acquire(MARIA)
        with pytest.raises(LockedError):
            ledger.acquire(JOHN, gone="another")


def test_a_clock_that_is_set_makes_nobody_stale(path, now):
    with Ledger(path) as ledger:
        ledger.acquire(MARIA)
        now["wall"] += 86_400
        with pytest.raises(LockedError):
            ledger.acquire(JOHN)
        now.update(boot_id="next", boottime=3.0)  # a boot: only the wall's clock is left
        assert ledger.acquire(JOHN).owner == JOHN


def test_what_is_closed_has_no_owner(path, now):
    with Ledger(path) as ledger:
        ledger.append([entry("opened")], MARIA, locks=True)
        ledger.append([entry("closed")], MARIA, ends=ROLLOUT)
        assert ledger.lock() is None
        ledger.append([entry()], MARIA)


@pytest.mark.parametrize("who", [JOHN, None], ids=["a rollback", "somebody"])
def test_a_run_whose_rollout_somebody_else_has_closed_stops(path, now, who):
    with Ledger(path) as ledger:
        ledger.append([entry("opened")], MARIA, locks=True)
        ledger.append([entry("closed")], who, ends=ROLLOUT)  # needs no lock
        with pytest.raises(LostError) as lost:
            ledger.append([entry()], MARIA)
        assert lost.value.how == "closed"
        assert ledger.acquire(JOHN).owner == JOHN


def test_of_many_at_once_one_gets_it(path):
    Ledger(path).close()

    def try_it(number):
        with Ledger(path) as ledger:
            try:
                ledger.acquire(replace(MARIA, pid=number))
            except LockedError:
                return 0
            return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(try_it, range(24))) == 1


def test_a_ledger_of_the_first_schema_gets_its_lock(path):
    with sqlite3.connect(path) as connection:
        connection.executescript(store.MIGRATIONS[0])
        connection.execute(f"PRAGMA application_id = {store.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with Ledger(path, writable=False) as ledger:
        assert ledger.lock() is None
    with Ledger(path) as ledger:
        assert ledger.acquire(MARIA).owner == MARIA


def test_a_process_is_gone_only_where_that_can_be_seen():
    pid = os.getpid()
    me = Owner("me", "here", pid, start_time(pid), "boot-1", "pid:[1]")
    assert me.start
    assert not is_gone(me, me)
    assert is_gone(replace(me, start="1"), me)  # another process has its pid by now
    assert is_gone(replace(me, pid=2**22 + 1), me)
    for elsewhere in ({"host": "there"}, {"boot_id": "boot-2"}, {"pid_namespace": "pid:[2]"}):
        assert not is_gone(replace(me, start="1", **elsewhere), me)
    assert not is_gone(replace(me, start="1", boot_id=""), replace(me, boot_id=""))


def test_what_is_left_of_an_ended_process_is_no_process(tmp_path):
    (tmp_path / "7").mkdir()
    stat = tmp_path / "7/stat"
    stat.write_text("7 (a) b) S " + " ".join(str(number) for number in range(4, 30)))
    assert start_time(7, tmp_path) == "22"
    stat.write_text(stat.read_text().replace(" S ", " Z "))
    assert start_time(7, tmp_path) == ""


@pytest.mark.parametrize("kept", [50, 99, 100, 4000, 4096, 5000, 8192, 9000, 12288])
def test_a_ledger_that_a_power_cut_has_shortened_is_one_clear_error(path, kept):
    with Ledger(path) as ledger:
        ledger.append([entry(number=number, text="x" * 500) for number in range(40)])
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert path.stat().st_size > kept
    os.truncate(path, kept)
    with pytest.raises(LedgerError) as damaged, Ledger(path) as ledger:
        ledger.check_file()
        list(ledger.read())
    assert "damaged" in str(damaged.value)
    assert "Taking the traffic back needs no ledger" in str(damaged.value)


@pytest.mark.parametrize("at", range(4096, 20000, 3000))
def test_a_page_of_rubbish_is_one_clear_error(path, at):
    with Ledger(path) as ledger:
        ledger.append([entry(number=number, text="x" * 500) for number in range(40)])
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(os.urandom(2000))
    with pytest.raises(LedgerError, match=r"damaged|cannot be read|broken"), Ledger(path) as ledger:
        ledger.check_file()
        list(ledger.read())
        if not ledger.verify().intact:
            raise LedgerError("the chain is broken")  # rubbish inside a text, which SQLite cannot know
