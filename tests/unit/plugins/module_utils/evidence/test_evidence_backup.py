# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.evidence import backup
from tests.evidence_bed import NOW

DATA = os.urandom(50_000)
ANALYTICS, CONFIGS = "analytics_YYYY-MM-DD.duckdb.gz", "configs_YYYY-MM-DD.tar.gz"


def tar(*members, mode="w:gz"):
    """A tar with the members given as (name, content) or as TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return out.getvalue()


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def folder(tmp_path):
    """Sound backups of two days, as the field's script leaves them, and a scratch folder that must be empty again."""
    (tmp_path / "backups").mkdir()
    (tmp_path / "scratch").mkdir()
    for day in ("26", "27"):
        put(tmp_path / "backups", f"analytics_2026-11-{day}.duckdb.gz", gzip.compress(DATA))
        put(tmp_path / "backups", f"configs_2026-11-{day}.tar.gz", tar(("config/app.yml", b"a: 1\n" * 500), ("config/x/y.yml", b"b")))
    return tmp_path / "backups"


def put(folder, name, content, age=3600.0):
    (folder / name).write_bytes(content)
    os.utime(folder / name, (NOW - age, NOW - age))


@pytest.fixture
def check(look, folder):
    def judged(**keys):
        scratch = folder.parent / "scratch"
        given = {
            "kind": "backup",
            "path": str(folder),
            "files": [ANALYTICS, CONFIGS],
            "max_age": "26h",
            "scratch": str(scratch),
        }
        seen = look({**given, **keys})
        assert list(scratch.iterdir()) == [], "the trial left something"
        return seen

    return judged


def test_the_newest_of_each_is_restored_on_trial(check):
    seen = check()
    assert seen["passed"], seen["problem"]
    assert seen["found"] == (
        "analytics_2026-11-27.duckdb.gz restored on trial (50000 bytes), no checksum beside it; "
        "configs_2026-11-27.tar.gz restored on trial (2501 bytes), no checksum beside it"
    )
    assert seen["age_seconds"] == 3600


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


NAME = "analytics_2026-11-27.duckdb.gz"
PACKED = gzip.compress(DATA)
TWO = tar(("config/one", b"1" * 1500), ("config/two", b"2" * 1500), mode="w")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (gzip.compress(b"", mtime=0), "holds 0 bytes, at least 1024 wanted"),
        (gzip.compress(b"x" * 1023, mtime=0), "holds 1023 bytes, at least 1024 wanted"),
        (b"", "holds 0 bytes, at least 1024 wanted"),
        (PACKED[:-100], "cannot be unpacked to its end"),
        (PACKED[:-4], "cannot be unpacked to its end"),
        (flipped(PACKED, 25_000), "cannot be unpacked to its end"),
        (flipped(PACKED, len(PACKED) - 8), "cannot be unpacked to its end"),
        (DATA, "cannot be unpacked to its end"),
    ],
)
def test_each_damage_of_a_gzip_is_found(check, folder, content, problem):
    put(folder, NAME, content)
    seen = check()
    assert not seen["passed"]
    assert seen["problem"].startswith(f"{NAME}: {problem}")
    assert "configs_2026-11-27.tar.gz restored on trial" in seen["found"]


BIG = ("config/app.yml", b"a: 1\n" * 500)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (tar(), "holds 0 bytes, at least 1024 wanted"),
        (tar(BIG, ("../../etc/cron.d/x", b"x")), "would write outside of its folder ('../../etc/cron.d/x')"),
        (tar(BIG, ("/etc/cron.d/x", b"x")), "would write outside of its folder ('/etc/cron.d/x')"),
        (tar(BIG)[:-30], "cannot be unpacked to its end"),
        (gzip.compress(gzip.decompress(tar(BIG))[:1500]), "cannot be unpacked to its end"),
        (gzip.compress(b"no tar" * 1000, mtime=0), "cannot be unpacked to its end"),
        # tar died after the first of two files, and gzip ended well; the second file's header was lost; a name of 1 MiB
        (gzip.compress(TWO[:2048]), "cannot be unpacked to its end (there is no end of the archive)"),
        (gzip.compress(TWO[:2048] + b"?" * 512 + TWO[2560:]), "cannot be unpacked to its end (a file's header is damaged)"),
        (tar((f"{'x' * 1024**2}", b"")), "cannot be unpacked to its end (a file's header has 1048590 bytes)"),
        (tar(BIG, ("config/app.yml/below", b"x")), "cannot be unpacked to its end"),
    ],
    ids=lambda value: value if isinstance(value, str) else "a tar",  # packed bytes differ from one second to the next
)
def test_each_damage_of_a_tar_is_found(check, folder, content, problem):
    put(folder, "configs_2026-11-27.tar.gz", content)
    seen = check()
    assert not seen["passed"]
    assert seen["problem"].startswith(f"configs_2026-11-27.tar.gz: {problem}")


def test_links_and_devices_are_never_made(check, folder, tmp_path):
    leak = tmp_path / "leak"
    leak.mkdir()
    members = (
        BIG,
        special("out", tarfile.SYMTYPE, str(leak)),
        special("hard", tarfile.LNKTYPE, "/etc/passwd"),
        special("null", tarfile.CHRTYPE),
        ("out/file", b"x"),
    )
    put(folder, "configs_2026-11-27.tar.gz", tar(*members))
    seen = check()
    assert seen["passed"], seen["problem"]
    assert "3 links and devices left out" in seen["found"]
    assert list(leak.iterdir()) == []


def test_what_is_too_old_or_missing_or_of_the_future(check, folder):
    for name in ("analytics_2026-11-26.duckdb.gz", NAME):
        (folder / name).unlink()
    assert check()["problem"] == f"{ANALYTICS}: there is no such file"
    put(folder, "analytics_2026-11-20.duckdb.gz", PACKED, age=7 * 86400)
    assert "is of 2026-11-20T20:00:00Z, and so older than 1d2h" in check()["problem"]
    put(folder, "analytics_2026-11-29.duckdb.gz", PACKED)
    assert check()["problem"] == "analytics_2026-11-29.duckdb.gz: its date is in the future"


def test_a_copy_is_not_younger_than_the_day_in_its_name(check, folder):
    for name in ("analytics_2026-11-26.duckdb.gz", NAME):
        (folder / name).unlink()
    put(folder, "analytics_2026-11-24.duckdb.gz", PACKED, age=60)
    assert "is of 2026-11-25T12:00:00Z, and so older than 1d2h" in check()["problem"]


def test_a_name_that_is_no_day_is_no_backup(check, folder):
    put(folder, "analytics_2026-13-99.duckdb.gz", b"x")
    put(folder, "analytics_2026-11-28.duckdb.gz.tmp", b"x")
    assert check()["passed"]


def test_checksums_are_checked_where_they_are(check, folder):
    digest = hashlib.sha256((folder / NAME).read_bytes()).hexdigest()
    assert check(checksum="required", files=[ANALYTICS])["problem"] == f"{NAME}: has no checksum beside it"
    for content in (f"{digest}  {NAME}\n", f"{digest} *./{NAME}\n", digest):
        (folder / f"{NAME}.sha256").write_text(content, encoding="utf-8")
        seen = check(checksum="required", files=[ANALYTICS])
        assert seen["passed"], seen["problem"]
        assert "checksum right" in seen["found"]
    for content in ("0" * 64, f"{digest}  another.gz\n", "", "garbage in it"):
        (folder / f"{NAME}.sha256").write_text(content, encoding="utf-8")
        assert check(files=[ANALYTICS])["problem"] == f"{NAME}: is not what its checksum was made of"
    (folder / f"{NAME}.sha256").unlink()
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  other\n{digest}  {NAME}\n", encoding="utf-8")
    assert "checksum right" in check(checksum="required", files=[ANALYTICS])["found"]


def test_a_restore_command_has_the_last_word(check):
    command = {ANALYTICS: ["sh", "-c", 'test "$(wc -c < "$0")" = 50000 && test -d "$1"', "$file", "$dir"]}
    seen = check(restore_command=command)
    assert seen["passed"], seen["problem"]
    assert "sh accepts it" in seen["found"]
    assert check(restore_command={ANALYTICS: ["false"]})["problem"] == f"{NAME}: false ends with exit code 1"
    assert "cannot be started" in check(restore_command={ANALYTICS: ["/none/duckdb"]})["problem"]
    assert "did not end within" in check(restore_command={ANALYTICS: ["sleep", "60"]}, timeout="1s")["problem"]


def test_a_bomb_is_stopped_by_size_and_by_disk(check, folder, monkeypatch):
    put(folder, NAME, gzip.compress(b"\0" * 50_000_000))
    assert check(max_bytes=10_000_000)["problem"] == f"{NAME}: unpacks to more than max_bytes"
    monkeypatch.setattr(backup.shutil, "disk_usage", lambda _path: SimpleNamespace(free=backup.RESERVE_BYTES + 500_000))
    assert "is too full for the trial" in check()["problem"]


def test_a_folder_that_is_not_there(check, folder):
    assert check(path=str(folder / "none"))["problem"].endswith("none cannot be read: No such file or directory")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.integers(0, len(PACKED) - 1), st.booleans())
def test_whatever_is_cut_or_flipped_never_passes_for_the_whole(position, cut):
    content = PACKED[:position] if cut else flipped(PACKED, position)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "x.duckdb.gz"
        path.write_bytes(content)
        budget = backup.Budget(scratch, 10**9, float("inf"))
        (Path(scratch) / "trial").mkdir()
        try:
            target, size, _left_out = backup.restore(path, Path(scratch) / "trial", budget)
        except backup.DAMAGE:
            return
        # A flipped time or name in the header changes nothing that is kept.
        assert (not content and size == 0) or target.read_bytes() == DATA
