# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger's file: SQLite with a write-ahead log, and one chain of entries over all rollouts.

An entry that :meth:`Ledger.append` returned is on the disk: a change may follow its intent. Whatever goes wrong is one
:class:`LedgerError` that names the file, the cause and what to do.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import (
    GENESIS,
    Draft,
    Entry,
    broken_at,
    canonical,
    draft,
    link,
    timestamp,
)
from ansible_collections.levibot.transition.plugins.module_utils.ledger.lock import STALE_SECONDS, Clock, Lock, Owner, boot_id, may_take

BUSY_TIMEOUT_SECONDS = 10.0

DAMAGED = (
    "keep it and its -wal file for the audit, and restore a copy or set levibot_ledger_path to another file. "
    "Taking the traffic back needs no ledger"
)

# "LeVi": tells a ledger from any other SQLite file that a wrong path may lead to.
APPLICATION_ID = 0x4C655669

# Each item takes the schema one version up; the file's user_version says how many have been applied.
MIGRATIONS = (
    """
    CREATE TABLE entries (
        seq      INTEGER PRIMARY KEY AUTOINCREMENT,
        rollout  TEXT NOT NULL,
        kind     TEXT NOT NULL,
        at       TEXT NOT NULL,
        data     TEXT NOT NULL,
        previous TEXT NOT NULL UNIQUE,
        hash     TEXT NOT NULL UNIQUE
    );
    CREATE INDEX entries_by_rollout ON entries (rollout, seq);
    CREATE TRIGGER entries_never_change BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
    CREATE TRIGGER entries_never_go BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
    """,
    # Who writes now, which is no part of the chain; and the runs that have lost the lock, which must not write any more.
    """
    CREATE TABLE lock (
        only     INTEGER PRIMARY KEY CHECK (only = 1),
        rollout  TEXT NOT NULL,
        owner    TEXT NOT NULL,
        since    TEXT NOT NULL,
        wall     REAL NOT NULL,
        boottime REAL NOT NULL,
        boot_id  TEXT NOT NULL
    );
    CREATE TABLE lost (
        token TEXT PRIMARY KEY,
        at    TEXT NOT NULL,
        how   TEXT NOT NULL,
        why   TEXT NOT NULL
    );
    """,
)
SCHEMA_VERSION = len(MIGRATIONS)

_INSERT = "INSERT INTO entries (seq, rollout, kind, at, data, previous, hash) VALUES (?, ?, ?, ?, ?, ?, ?)"
_SELECT = """
    SELECT seq, rollout, kind, at, data, previous, hash FROM entries
    WHERE (?1 IS NULL OR rollout = ?1) AND (?2 IS NULL OR kind = ?2) ORDER BY seq
"""
_REMEDIES = (
    ("disk is full", "the disk is full", "free some space"),
    ("disk i/o error", "the disk cannot be written or read", "see the host's kernel log"),
    ("readonly", "it cannot be written", "check the file system, the owner and the mode"),
    ("unable to open", "it cannot be opened", "check that the folder exists and may be written"),
    ("locked", "another process keeps it locked", "see who has it open (fuser), and try again"),
    ("not a database", "it is not a ledger, or a damaged one", DAMAGED),
    ("malformed", "the file is damaged", DAMAGED),
)


class LedgerError(Exception):
    """The ledger cannot be used; the message names the file, the cause and what to do."""


class LockedError(LedgerError):
    """Another run holds the lock."""

    def __init__(self, message: str, holder: dict[str, Any]) -> None:
        super().__init__(message)
        self.holder = holder


class LostError(LedgerError):
    """The run had the lock and has lost it: it must go on no more. ``how``: ``taken_over``, or ``closed`` by somebody else."""

    def __init__(self, message: str, how: str) -> None:
        super().__init__(message)
        self.how = how


@dataclass(frozen=True)
class Chain:
    """What a verification found. ``reason`` says what is wrong with the entry ``broken_seq``, the first that is."""

    entries: int
    head: str
    broken_seq: int | None = None
    broken_rollout: str | None = None
    reason: str | None = None

    @property
    def intact(self) -> bool:
        return self.broken_seq is None


class Ledger:
    """An open ledger; a context manager. With ``writable=False`` nothing is made or changed, and a missing file is empty."""

    def __init__(self, path: str | Path, writable: bool = True, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> None:
        self.path = Path(path).absolute()
        self._busy_timeout_seconds = busy_timeout_seconds
        self._connection: sqlite3.Connection | None = None
        with self._one_clear_error():
            if writable:
                _make_private(self.path)
            if self.path.exists():
                self._connection = self._connect(writable)
        if self._connection is not None:
            try:
                with self._one_clear_error():
                    self._prepare(writable)
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def append(self, drafts: Iterable[Draft], owner: Owner | None = None, *, locks: bool = False, ends: str = "") -> list[Entry]:
        """Records all of them in one transaction, or none. With an owner, one that has lost the lock is refused, and the holder's
        heart beats. ``locks``: only with the lock, which is taken if it is free. ``ends``: this rollout is over, and with it its lock.
        """
        with self._one_clear_error(), self._transaction() as connection:
            items = list(drafts)
            now = clock()
            if owner:
                self._refuse_lost(connection, owner)
                if locks:
                    self._take(connection, owner, items[0].rollout, now)
                _beat(connection, owner, now)
            if ends:
                _end(connection, ends, owner, now)
            return _append(connection, items)

    def acquire(
        self, owner: Owner, rollout: str = "", *, stale_seconds: float = STALE_SECONDS, gone: str = "", take_over: bool = False
    ) -> Lock:
        """Takes the lock for a rollout that is open (or none yet), or keeps it. Raises LockedError. A take-over is recorded."""
        with self._one_clear_error(), self._transaction() as connection:
            self._refuse_lost(connection, owner)
            return self._take(connection, owner, rollout, clock(), stale_seconds=stale_seconds, gone=gone, take_over=take_over)

    def would_acquire(self, owner: Owner, *, stale_seconds: float = STALE_SECONDS, gone: str = "", take_over: bool = False) -> Lock | None:
        """As acquire, without taking it: the lock as it is, or LockedError."""
        held, now = self.lock(), clock()
        if held and may_take(held, owner, now, stale_seconds=stale_seconds, gone=gone, take_over=take_over) is None:
            raise self._locked(held, now, stale_seconds)
        return held

    def _locked(self, held: Lock, now: Clock, stale_seconds: float) -> LockedError:
        text = (
            f"ledger {self.path}: {held.text(now)}. It goes to another run by itself when its process is gone or {stale_seconds:g} s "
            "after the last heartbeat; if you know that nobody works on it, take it over with -e levibot_take_over=true"
        )
        return LockedError(text, held.to_dict(now))

    def release(self, owner: Owner) -> bool:
        """Gives the lock up. Says whether this owner had it."""
        with self._one_clear_error(), self._transaction() as connection:
            lock = _lock(connection)
            mine = lock is not None and lock.owner.token == owner.token
            if mine:
                connection.execute("DELETE FROM lock")
            return mine

    def lock(self) -> Lock | None:
        """Who holds it now."""
        with self._one_clear_error():
            return _lock(self._connection) if self._connection is not None else None

    def check_file(self) -> None:
        """Raises LedgerError where the file is damaged in a place that nobody has read yet."""
        with self._one_clear_error():
            found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0] if self._connection is not None else "ok"
        if found != "ok":
            raise LedgerError(f"ledger {self.path}: the file is damaged ({found}); {DAMAGED}")

    def read(self, rollout: str | None = None, kind: str | None = None) -> Iterator[Entry]:
        """The entries in order: of all rollouts and kinds, or of one."""
        with self._one_clear_error():
            if self._connection is not None:
                yield from map(_entry, self._connection.execute(_SELECT, (rollout, kind)))

    def latest_rollout(self) -> str | None:
        """The rollout that was opened last, or else the one of the last entry."""
        with self._one_clear_error():
            if self._connection is None:
                return None
            row = self._connection.execute("SELECT rollout FROM entries ORDER BY kind = 'opened' DESC, seq DESC LIMIT 1").fetchone()
            return row[0] if row else None

    def open_rollout(self) -> str | None:
        """The rollout that was opened last, if nobody has closed it."""
        rollout = self.latest_rollout()
        opened = rollout and any(True for _entry in self.read(rollout, "opened"))
        closed = rollout and any(True for _entry in self.read(rollout, "closed"))
        return rollout if opened and not closed else None

    def verify(self) -> Chain:
        """Walks the whole chain, to the first entry that is not what it should be."""
        if self._connection is None:
            return Chain(0, GENESIS)
        with self._one_clear_error():
            # One transaction, or entries that are appended meanwhile would look like missing ones.
            self._connection.execute("BEGIN")
            try:
                return _walk(self._connection)
            finally:
                self._connection.execute("ROLLBACK")

    def export(self, dest: str | Path, rollout: str | None = None, dry_run: bool = False) -> bool:
        """Writes the entries as JSON lines, atomically. Says whether the file changed, or would."""
        return write_atomically(dest, "".join(entry.to_line() + "\n" for entry in self.read(rollout)), dry_run)

    def _refuse_lost(self, connection: sqlite3.Connection, owner: Owner) -> None:
        row = connection.execute("SELECT at, how, why FROM lost WHERE token = ?", (owner.token,)).fetchone()
        if row:
            raise LostError(f"ledger {self.path}: this run has lost the rollout and must not go on: {row[2]} at {row[0]}", row[1])

    def _take(
        self,
        connection: sqlite3.Connection,
        owner: Owner,
        rollout: str,
        now: Clock,
        *,
        stale_seconds: float = STALE_SECONDS,
        gone: str = "",
        take_over: bool = False,
    ) -> Lock:
        held = _lock(connection)
        why = may_take(held, owner, now, stale_seconds=stale_seconds, gone=gone, take_over=take_over)
        if why is None and held:
            raise self._locked(held, now, stale_seconds)
        if held and why not in ("own", "free"):
            _lose(connection, held, "taken_over", f"{owner.text} took it over, since {why},", now)
            told = {"action": "take_over", "from": held.owner.to_dict(), "to": owner.to_dict(), "held_since": held.since}
            text = f"{owner.text} took the lock over from {held.owner.text}: {why}"
            _append(connection, [draft(rollout or held.rollout or "lock", "note", {**told, "text": text, "reason": why})])
        taken = Lock(rollout, owner, held.since if held and why == "own" else timestamp(now.wall), now)
        connection.execute("DELETE FROM lock")
        values = (taken.rollout, canonical(owner.to_dict()), taken.since, now.wall, now.boottime, now.boot_id)
        connection.execute("INSERT INTO lock VALUES (1, ?, ?, ?, ?, ?, ?)", values)
        return taken

    def _connect(self, writable: bool) -> sqlite3.Connection:
        uri = f"{self.path.as_uri()}?mode={'rw' if writable else 'ro'}"
        return sqlite3.connect(uri, uri=True, timeout=self._busy_timeout_seconds, isolation_level=None)

    def _prepare(self, writable: bool) -> None:
        connection = self._open_connection()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and writable:
            self._migrate()
            version = SCHEMA_VERSION
        elif version == 0 and not _tables(connection):
            # Somebody made the file and got no further: as good as none.
            self.close()
            return
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise LedgerError(f"ledger {self.path}: it is an SQLite file, but not a ledger; give another path")
        if version > SCHEMA_VERSION:
            raise LedgerError(
                f"ledger {self.path}: it was written by a newer release of this collection "
                f"(schema {version}, known up to {SCHEMA_VERSION}); update levibot.transition on the control node"
            )
        if writable:
            if version < SCHEMA_VERSION:
                self._migrate()
            # FULL: a commit is on the disk when it returns. With a write-ahead log the default is not.
            connection.execute("PRAGMA synchronous = FULL")

    def _migrate(self) -> None:
        self._use_write_ahead_log()
        with self._transaction() as connection:
            # Read again under the lock: another process may have been faster.
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0 and _tables(connection):
                raise LedgerError(f"ledger {self.path}: it is an SQLite file, but not a ledger; give another path")
            for script in MIGRATIONS[version:]:
                for statement in _statements(script):
                    connection.execute(statement)
            if version < SCHEMA_VERSION:
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _use_write_ahead_log(self) -> None:
        connection = self._open_connection()
        if _tables(connection) and connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            return
        deadline = time.monotonic() + self._busy_timeout_seconds
        while not _try_write_ahead_log(connection, last=time.monotonic() >= deadline):
            time.sleep(0.02)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._open_connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            # A full disk may have ended the transaction already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise LedgerError(f"ledger {self.path}: it is not open for writing")
        return self._connection

    @contextlib.contextmanager
    def _one_clear_error(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            text = str(exc)
            for fragment, cause, remedy in _REMEDIES:
                if fragment in text.lower():
                    raise LedgerError(f"ledger {self.path}: {cause}; {remedy}") from exc
            raise LedgerError(f"ledger {self.path}: {text}") from exc
        except OSError as exc:
            raise LedgerError(_os_error("ledger", self.path, exc)) from exc
        except (LookupError, TypeError, ValueError) as exc:
            # A damaged page can hold anything where JSON belongs.
            raise LedgerError(f"ledger {self.path}: an entry cannot be read ({exc}); {DAMAGED}") from exc


def clock() -> Clock:
    """The clocks of this host, which keeps the ledger."""
    return Clock(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), boot_id())


def write_atomically(dest: str | Path, text: str, dry_run: bool = False) -> bool:
    """Replaces the file by one with this text and mode 0600, in one rename. Says whether anything changed, or would."""
    path = Path(dest).absolute()
    content = text.encode("utf-8")
    try:
        changed = not path.is_file() or path.read_bytes() != content
        if changed and not dry_run:
            _make_private_folders(path.parent)
            _replace(path, content)
    except OSError as exc:
        raise LedgerError(_os_error("export", path, exc)) from exc
    return changed


def _replace(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def _os_error(what: str, path: Path, exc: OSError) -> str:
    remedies = {
        errno.ENOSPC: "free some space",
        errno.EDQUOT: "free some space",
        errno.EROFS: "choose a path on a file system that can be written",
        errno.EACCES: "check the owner and the mode, or run the task with become",
        errno.EPERM: "check the owner and the mode, or run the task with become",
    }
    return f"{what} {path}: {exc.strerror or exc}; {remedies.get(exc.errno or 0, 'give another path')}"


def _make_private(path: Path) -> None:
    """Makes the file and the folders that are missing, for the owner alone. What is there keeps its mode."""
    _make_private_folders(path.parent)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _make_private_folders(path: Path) -> None:
    if not path.is_dir():
        _make_private_folders(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def _try_write_ahead_log(connection: sqlite3.Connection, last: bool) -> bool:
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
    except sqlite3.OperationalError as exc:
        # SQLite's own busy time-out does not cover a change of the journal's mode.
        if last or "locked" not in str(exc):
            raise
        return False
    return True


def _walk(connection: sqlite3.Connection) -> Chain:
    count, previous = 0, GENESIS
    for row in connection.execute(_SELECT, (None, None)):
        reason = _broken_row(row, count + 1, previous)
        if reason:
            return Chain(count, previous, count + 1, str(row[1]), reason)
        count, previous = count + 1, row[-1]
    given = _last_given(connection)
    if given > count:
        return Chain(count, previous, count + 1, None, f"entries {count + 1} to {given} are missing")
    return Chain(count, previous)


def _broken_row(row: tuple[Any, ...], seq: int, previous: str) -> str | None:
    try:
        return broken_at(_entry(row), seq, previous)
    except (TypeError, ValueError):
        return "its content cannot be read"


def _statements(script: str) -> Iterator[str]:
    """The script's statements one by one, since executescript() would commit the transaction first."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def _tables(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _head(connection: sqlite3.Connection) -> tuple[int, str]:
    row = connection.execute("SELECT hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
    return (_last_given(connection), row[0] if row else GENESIS)


def _last_given(connection: sqlite3.Connection) -> int:
    """The highest number ever given: SQLite remembers it, so entries cut off at the end do not go unseen."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entries'").fetchone()
    return row[0] if row else 0


def _append(connection: sqlite3.Connection, drafts: Iterable[Draft]) -> list[Entry]:
    seq, previous = _head(connection)
    entries = []
    for item in drafts:
        entry = link(item, seq + 1, previous)
        connection.execute(_INSERT, _row(entry))
        entries.append(entry)
        seq, previous = entry.seq, entry.hash
    return entries


def _lock(connection: sqlite3.Connection) -> Lock | None:
    if not connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'lock'").fetchone()[0]:
        return None  # read only, and written by an older release
    row = connection.execute("SELECT rollout, owner, since, wall, boottime, boot_id FROM lock").fetchone()
    return Lock(row[0], Owner.of(json.loads(row[1])), row[2], Clock(*row[3:])) if row else None


def _beat(connection: sqlite3.Connection, owner: Owner, now: Clock) -> None:
    lock = _lock(connection)
    if lock and lock.owner.token == owner.token:
        connection.execute("UPDATE lock SET wall = ?, boottime = ?, boot_id = ?", (now.wall, now.boottime, now.boot_id))


def _end(connection: sqlite3.Connection, rollout: str, owner: Owner | None, now: Clock) -> None:
    """A rollout that is closed has no owner any more. A run that still thinks it is must not write on."""
    lock = _lock(connection)
    if lock and lock.rollout == rollout:
        if owner is None or lock.owner.token != owner.token:
            _lose(connection, lock, "closed", f"{owner.text if owner else 'somebody'} closed it", now)
        connection.execute("DELETE FROM lock")


def _lose(connection: sqlite3.Connection, lock: Lock, how: str, why: str, now: Clock) -> None:
    connection.execute("INSERT OR REPLACE INTO lost VALUES (?, ?, ?, ?)", (lock.owner.token, timestamp(now.wall), how, why))


def _row(entry: Entry) -> tuple[Any, ...]:
    data = json.dumps(entry.data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return (entry.seq, entry.rollout, entry.kind, entry.at, data, entry.previous, entry.hash)


def _entry(row: tuple[Any, ...]) -> Entry:
    seq, rollout, kind, at, data, previous, digest = row
    return Entry(seq, rollout, kind, at, json.loads(data), previous, digest)
