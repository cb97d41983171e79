# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups: the newest dated file of each pattern, its checksum, and a restore that is really tried, into a folder that is gone afterwards.

A listing shows a backup of 20 bytes as well as a good one, and a gzip that was cut short. So each file is read to its end, unpacked, and
counted.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, BinaryIO

from ansible_collections.levibot.transition.plugins.module_utils.evidence.documents import absolute, too_old
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case, Finding, Kind, RefusedError
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import (
    REQUIRED,
    Field,
    duration,
    number_of,
    one_of,
    text,
    words,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError, format_duration
from ansible_collections.levibot.transition.plugins.module_utils.sources import command
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import UnusableError

DATE = "YYYY-MM-DD"
REQUIRED_SUM, WHERE_GIVEN = "required", "where_given"
CHUNK_BYTES = 1024 * 1024
# What must stay free on the disk of the trial, whatever the backup turns out to hold.
RESERVE_BYTES = 64 * 1024 * 1024
MOST_BYTES = 100 * 1024**3
# What a tar's headers may hold beside a file's block: long names, and the like. Each is read in one piece.
LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
MOST_HEADER_BYTES = 1024 * 1024
LONGEST_SECONDS = 1800
# A day ends twelve hours later in the west than by UTC, and begins fourteen earlier in the east.
WEST, EAST = timedelta(hours=12), timedelta(hours=14)
DAMAGE = (OSError, EOFError, zlib.error, tarfile.TarError, ValueError)
AGAIN = "make the backup anew, and look at what makes it"


@dataclass
class Budget:
    """What a trial may take: bytes, disk and time."""

    folder: str
    left: int
    until: float

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise RefusedError("unpacks to more than max_bytes", "raise max_bytes, if that is what it should hold")
        if shutil.disk_usage(self.folder).free - size < RESERVE_BYTES:
            raise RefusedError(f"the disk of {self.folder} is too full for the trial", "give scratch: a folder with more room")
        if time.monotonic() > self.until:
            raise RefusedError("the trial took longer than its timeout", "raise timeout, or look at the disk")


def look(given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    folder = Path(case.expand(given["path"]))
    finding.source = str(folder)
    finding.wanted.append(f"{', '.join(given['files'])}, each at most {format_duration(given['max_age'])} old, and restored on trial")
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as exc:
        raise RefusedError(
            f"{folder} cannot be read: {exc.strerror}", "give the folder of the backups on the machine that judges"
        ) from None
    times = []
    for pattern in given["files"]:
        one = Finding(finding.kind)
        try:
            name, day = newest(pattern, names)
            one.source = name
            one.at = _made_at(folder / name, day, case.now)
            too_old(one, given["max_age"], case, "see why no newer one is made")
            one.found.append(_try(pattern, folder / name, given))
        except RefusedError as refused:
            one.wrong(refused.problem, refused.fix)
        finding.found += one.found
        finding.problems += [f"{one.source or pattern}: {problem}" for problem in one.problems]
        finding.fixes += [fix for fix in one.fixes if fix not in finding.fixes]
        times += [one.at] if one.at is not None else []
    finding.at = min(times, default=None)


def _try(pattern: str, path: Path, given: Mapping[str, Any]) -> str:
    """Checks and restores a backup, and says what it showed."""
    checked = _checksum(path, given["checksum"])
    with tempfile.TemporaryDirectory(prefix="levibot-restore-", dir=given.get("scratch")) as trial:
        budget = Budget(trial, given["max_bytes"], time.monotonic() + given["timeout"])
        try:
            target, size, left_out = restore(path, Path(trial), budget)
        except DAMAGE as exc:
            raise RefusedError(f"cannot be unpacked to its end ({str(exc)[:100] or type(exc).__name__})", AGAIN) from None
        if size < given["min_bytes"]:
            raise RefusedError(f"holds {size} bytes, at least {given['min_bytes']} wanted", AGAIN)
        argv = (given.get("restore_command") or {}).get(pattern)
        if argv:
            _run(argv, target, trial, budget)
    told = [f"{path.name} restored on trial ({size} bytes)", checked]
    told += [f"{left_out} links and devices left out"] if left_out else []
    told += [f"{argv[0]} accepts it"] if argv else []
    return ", ".join(told)


def newest(pattern: str, names: Iterable[str]) -> tuple[str, datetime]:
    """The name with the latest day in it. Raises RefusedError where there is none."""
    shape = re.compile(re.escape(pattern).replace(re.escape(DATE), r"(\d{4}-\d{2}-\d{2})"))
    found = []
    for name in names:
        match = shape.fullmatch(name)
        if match:
            try:
                found.append((datetime.strptime(match.group(1), "%Y-%m-%d").replace(tzinfo=timezone.utc), name))
            except ValueError:  # no day of any calendar: not a name that the script writes
                continue
    if not found:
        raise RefusedError("there is no such file", "see why no backup is made")
    day, name = max(found)
    return name, day


def _made_at(path: Path, day: datetime, now: float) -> float:
    """The file's time, but never later than the day in its name: a copy may carry the time at which it was copied."""
    if (day - EAST).timestamp() > now:
        raise RefusedError("its date is in the future", "look at the clock of the machine that makes the backups")
    try:
        modified = path.stat().st_mtime
    except OSError as exc:
        raise RefusedError(f"cannot be read: {exc.strerror}", "let the user who judges read it") from None
    if not path.is_file():
        raise RefusedError("is no file", "")
    return min(modified, (day + timedelta(days=1) + WEST).timestamp())


def _checksum(path: Path, policy: str) -> str:
    """What was checked, in words. Beside the file is FILE.sha256, or SHA256SUMS for all of the folder."""
    try:
        wanted = _written_sum(path)
        if wanted is None:
            if policy == REQUIRED_SUM:
                raise RefusedError("has no checksum beside it", f"write {path.name}.sha256 or SHA256SUMS with the backup")
            return "no checksum beside it"
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    except (OSError, UnicodeDecodeError) as exc:
        raise RefusedError(f"cannot be read: {exc}", "let the user who judges read it") from None
    if digest.hexdigest() != wanted:
        raise RefusedError("is not what its checksum was made of", AGAIN)
    return "checksum right"


def _written_sum(path: Path) -> str | None:
    for file in (Path(f"{path}.sha256"), path.parent / "SHA256SUMS"):
        if not file.is_file():
            continue
        for line in file.read_text(encoding="utf-8").splitlines():
            digest, _space, name = line.strip().partition(" ")
            if name.strip().lstrip("*").rpartition("/")[2] in ((path.name, "") if file.name != "SHA256SUMS" else (path.name,)):
                return digest.lower()
        if file.name != "SHA256SUMS":
            return ""  # a checksum that names another file checks nothing
    return None


def restore(path: Path, trial: Path, budget: Budget) -> tuple[Path, int, int]:
    """Unpacks the file: where to, how many bytes came out, and how many links and devices were left out. Raises what DAMAGE lists."""
    with path.open("rb") as raw:
        compressed = path.suffix in (".gz", ".tgz")
        stream: Any = gzip.GzipFile(fileobj=raw) if compressed else raw
        stem = path.name.rpartition(".")[0] if compressed else path.name
        if path.suffix == ".tgz" or stem.endswith(".tar"):
            target = trial / "files"
            target.mkdir()
            size, left_out = _untar(stream, target, budget)
        else:
            target = trial / stem
            with target.open("wb") as out:
                size, left_out = _copy(stream, out, budget), 0
        # A tar ends before its gzip does, whose checksum comes last.
        while chunk := stream.read(CHUNK_BYTES):
            budget.spend(len(chunk))
    return target, size, left_out


class Member(tarfile.TarInfo):
    """A tar's next header. By itself tarfile takes a damaged one, or none at all, for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> Member:
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError:
            raise tarfile.ReadError("a file's header is damaged" if buf else "there is no end of the archive") from None
        if member.type in LONG and member.size > MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a file's header has {member.size} bytes")
        return member


def _untar(stream: BinaryIO, target: Path, budget: Budget) -> tuple[int, int]:
    """Only files and folders are made, and only below the target: nothing that is in a backup may lead out of it."""
    size = left_out = 0
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=Member) as archive:
        for member in archive:
            budget.spend(tarfile.BLOCKSIZE)
            parts = Path(member.name).parts
            if member.name.startswith("/") or ".." in parts:
                raise RefusedError(f"would write outside of its folder ({member.name[:80]!r})", AGAIN)
            into = target.joinpath(*parts)
            if member.isdir():
                into.mkdir(parents=True, exist_ok=True)
            elif member.isfile():
                into.parent.mkdir(parents=True, exist_ok=True)
                with into.open("wb") as out:
                    size += _copy(archive.extractfile(member), out, budget)
            else:
                left_out += 1
    return size, left_out


def _copy(source: Any, out: BinaryIO, budget: Budget) -> int:
    size = 0
    while chunk := source.read(CHUNK_BYTES):
        budget.spend(len(chunk))
        out.write(chunk)
        size += len(chunk)
    return size


def _run(argv: list[str], target: Path, trial: str, budget: Budget) -> None:
    given = {"$file": str(target), "$dir": trial}
    argv = [given.get(argument, argument) for argument in argv]
    try:
        code, _output = command.run(argv, dict(os.environ), max(1.0, budget.until - time.monotonic()))
    except UnusableError as exc:
        raise RefusedError(str(exc), "run it by hand on the machine that judges") from None
    if code:
        raise RefusedError(f"{argv[0]} ends with exit code {code}", "run it by hand with the unpacked backup")


def _files(value: Any) -> list[str]:
    patterns = words(value)
    if not patterns or any(DATE not in pattern or "/" in pattern for pattern in patterns):
        raise MistakeError(f"write names with {DATE} in them, such as analytics_{DATE}.duckdb.gz")
    return patterns


def _commands(value: Any) -> dict[str, list[str]]:
    if not isinstance(value, Mapping):
        raise MistakeError(
            f'write the arguments for each of files, such as {{analytics_{DATE}.duckdb.gz: [duckdb, -readonly, $file, "SELECT 1"]}}'
        )
    return {text(pattern): words(argv) for pattern, argv in value.items()}


def _mistakes(given: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    unknown = [pattern for pattern in given.get("restore_command") or {} if pattern not in given["files"]]
    if unknown:
        yield "restore_command", f"write it for one of files: {', '.join(given['files'])}"


BACKUP = Kind(
    look,
    fields={
        "path": Field(absolute, REQUIRED),
        "files": Field(_files, REQUIRED),
        "max_age": Field(duration, REQUIRED),
        "min_bytes": Field(number_of(0), 1024),
        "max_bytes": Field(number_of(1, 10**15), MOST_BYTES),
        "checksum": Field(one_of(REQUIRED_SUM, WHERE_GIVEN), WHERE_GIVEN),
        "restore_command": Field(_commands),
        "scratch": Field(absolute),
        "timeout": Field(duration, LONGEST_SECONDS),
    },
    sets=("path",),
    mistakes=_mistakes,
)
