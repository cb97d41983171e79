# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import GENESIS, draft
from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger, LedgerError, write_atomically

ROLLOUT = "20261124T112200Z-v1.8.0-beta"


def note(number, rollout=ROLLOUT):
    return draft(rollout, "note", {"number": number})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "levibot" / "ledger.db"


def tamper(path, *statements):
    """What somebody with the file and a grudge could do."""
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER IF EXISTS entries_never_change")
        connection.execute("DROP TRIGGER IF EXISTS entries_never_go")
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_entries_are_chained_over_all_rollouts(path):
    with Ledger(path) as ledger:
        first = ledger.append([note(1), note(2)])
    with Ledger(path) as ledger:
        second = ledger.append([note(3, "another")])
        assert [entry.seq for entry in first + second] == [1, 2, 3]
        assert [entry.previous for entry in first + second] == [GENESIS, first[0].hash, first[1].hash]
        assert list(ledger.read()) == first + second
        assert list(ledger.read("another")) == second
        assert list(ledger.read(ROLLOUT, "verdict")) == []
        chain = ledger.verify()
        assert chain.intact
        assert (chain.entries, chain.head) == (3, second[0].hash)


def test_files_are_private_and_what_is_there_keeps_its_mode(path, tmp_path):
    tmp_path.chmod(0o755)
    with Ledger(path) as ledger:
        ledger.append([note(1)])
        modes = {item.name: stat.S_IMODE(item.stat().st_mode) for item in [tmp_path, path.parent, *path.parent.iterdir()]}
    assert modes.pop(tmp_path.name) == 0o755
    assert modes.pop("levibot") == 0o700
    assert set(modes.values()) == {0o600}


def test_all_of_an_append_or_nothing(path):
    with Ledger(path) as ledger:
        with pytest.raises(RuntimeError):
            ledger.append(fails_after_one())
        assert list(ledger.read()) == []
        assert ledger.append([note(2)])[0].seq == 1
        assert ledger.verify().intact


def fails_after_one():
    yield note(1)
    raise RuntimeError


def test_reading_makes_nothing(path):
    with Ledger(path, writable=False) as ledger:
        assert list(ledger.read()) == []
        assert ledger.latest_rollout() is None
        assert ledger.verify().intact
        with pytest.raises(LedgerError, match="not open for writing"):
            ledger.append([note(1)])
    assert not path.parent.exists()


def test_the_database_refuses_changes(path):
    with Ledger(path) as ledger:
        ledger.append([note(1)])
    with sqlite3.connect(path) as connection:
        for statement in ("DELETE FROM entries", "UPDATE entries SET kind = 'look'"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "seq", "reason"),
    [
        ("UPDATE entries SET data = '{\"number\":9}' WHERE seq = 2", 2, "does not match its hash"),
        ("UPDATE entries SET data = 'nonsense' WHERE seq = 2", 2, "cannot be read"),
        ("UPDATE entries SET kind = x'00' WHERE seq = 2", 2, "cannot be read"),
        ("UPDATE entries SET rollout = 'other' WHERE seq = 1", 1, "does not match its hash"),
        ("DELETE FROM entries WHERE seq = 1", 1, "entry 1 is missing"),
        ("DELETE FROM entries WHERE seq = 3", 3, "entry 3 is missing"),
        ("DELETE FROM entries WHERE seq >= 4", 4, "entries 4 to 5 are missing"),
        ("UPDATE entries SET hash = 'x' WHERE seq = 5", 5, "does not match its hash"),
        ("UPDATE entries SET previous = 'x' WHERE seq = 4", 4, "previous hash"),
    ],
)
def test_the_first_broken_entry_is_found(path, statement, seq, reason):
    with Ledger(path) as ledger:
        ledger.append(note(number) for number in range(1, 6))
    tamper(path, statement)
    with Ledger(path, writable=False) as ledger:
        chain = ledger.verify()
    assert not chain.intact
    assert (chain.entries, chain.broken_seq) == (seq - 1, seq)
    assert reason in chain.reason


def test_a_cut_off_end_stays_visible_when_the_record_goes_on(path):
    with Ledger(path) as ledger:
        ledger.append([note(1), note(2)])
    tamper(path, "DELETE FROM entries WHERE seq = 2")
    with Ledger(path) as ledger:
        ledger.append([note(3)])
        assert ledger.verify().reason == "entry 2 is missing"


def test_the_latest_rollout_is_the_one_that_was_opened_last(path):
    with Ledger(path) as ledger:
        ledger.append([note(1, "loose")])
        assert ledger.latest_rollout() == "loose"
        ledger.append([draft("first", "opened", {}), draft("second", "opened", {}), note(2, "first")])
        assert ledger.latest_rollout() == "second"


def test_export_is_lines_of_json_and_changes_nothing_twice(path, tmp_path):
    dest = tmp_path / "build" / "ledger.jsonl"
    with Ledger(path) as ledger:
        entries = ledger.append([note(1), note(2, "another")])
        assert ledger.export(dest, dry_run=True) is True
        assert not dest.exists()
        assert ledger.export(dest) is True
        assert ledger.export(dest) is False
        assert [json.loads(line) for line in dest.read_text().splitlines()] == [entry.to_dict() for entry in entries]
        assert stat.S_IMODE(dest.stat().st_mode) == 0o600
        assert ledger.export(dest, "another") is True
        assert len(dest.read_text().splitlines()) == 1
    assert [item.name for item in dest.parent.iterdir()] == ["ledger.jsonl"]


def test_processes_that_start_together_share_one_chain(path):
    program = (
        "import sys; from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import draft;"
        "from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger\n"
        "for number in range(20):\n"
        "    with Ledger(sys.argv[1]) as ledger: ledger.append([draft('r', 'note', {'number': number})] * 2)"
    )
    root = Path(__file__).parents[5] / "collections"
    with ThreadPoolExecutor(4) as pool:
        command = [sys.executable, "-c", program, str(path)]
        done = list(pool.map(lambda _: subprocess.run(command, env={"PYTHONPATH": str(root)}, capture_output=True, check=False), range(4)))
    assert [item.stderr for item in done] == [b""] * 4
    with Ledger(path, writable=False) as ledger:
        assert ledger.verify().entries == 160
        assert ledger.verify().intact


def test_a_locked_ledger_is_one_clear_error(path):
    with Ledger(path) as ledger:
        ledger.append([note(1)])
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with Ledger(path, busy_timeout_seconds=0.05) as ledger, pytest.raises(LedgerError, match=r"keeps it locked"):
        ledger.append([note(2)])
    holder.close()


def test_a_full_disk_is_one_clear_error_and_loses_nothing(path):
    with Ledger(path) as ledger:
        ledger.append([note(1)])
        ledger._connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(LedgerError, match="the disk is full; free some space"):
            ledger.append([draft(ROLLOUT, "note", {"text": "x" * 200_000})])
        assert ledger.verify().entries == 1


def test_paths_that_cannot_be_used_are_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("no database, but longer than the header of one, which is a hundred bytes. " * 2)
    with pytest.raises(LedgerError, match=r"file: it is not a ledger"):
        Ledger(file)
    with pytest.raises(LedgerError, match=r"file/ledger\.db"):
        Ledger(file / "ledger.db")
    with pytest.raises(LedgerError, match=str(tmp_path)):
        Ledger(tmp_path)
    with pytest.raises(LedgerError, match=r"export .*file/out"):
        write_atomically(file / "out", "text")


def test_another_sqlite_file_is_left_alone(tmp_path):
    path = tmp_path / "orders.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    connection.close()
    before = path.read_bytes()
    for writable in (True, False):
        with pytest.raises(LedgerError, match="an SQLite file, but not a ledger"):
            Ledger(path, writable=writable)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(path):
    Ledger(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LedgerError, match=r"newer release .* update levibot"):
        Ledger(path)
