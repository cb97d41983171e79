# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that removes expired canaries, in the shell that it finds on Debian, and with the tools beside it delayed on purpose."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.edge.files import SplitFiles
from ansible_collections.levibot.transition.plugins.module_utils.edge.inspect import notes
from ansible_collections.levibot.transition.plugins.module_utils.edge.split import Canary

SCRIPT = Path(__file__).resolve().parents[2] / "roles/edge/files/levibot-edge-expire"
SHELLS = [[found] for name in ("dash", "bash") if (found := shutil.which(name))] + (
    [[box, "sh"]] if (box := shutil.which("busybox")) else []
)


@pytest.fixture
def files(tmp_path: Path) -> SplitFiles:
    for name in ("run", "lib", "bin"):
        (tmp_path / name).mkdir()
    return SplitFiles(str(tmp_path / "run"), str(tmp_path / "lib"))


def arguments(files: SplitFiles) -> list[str]:
    return [str(SCRIPT), "--run-dir", str(files.run_dir), "--lib-dir", str(files.lib_dir)]


def expire(files: SplitFiles, shell: list[str] | None = None) -> str:
    """One look, with tools in `bin` before the real ones."""
    path = f"{files.run_dir.parent / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        [*(shell or ["sh"]), *arguments(files)], env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout + done.stderr


def instead_of(files: SplitFiles, name: str, script: str) -> None:
    tool = files.run_dir.parent / "bin" / name
    tool.write_text(f"#!/bin/sh\nreal={shutil.which(name)}\ncanary={files.canary}\naside={files.aside}\n{script}\n")
    tool.chmod(0o755)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: Path(shell[0]).name)
def test_an_expired_canary_is_removed_and_becomes_the_note(files: SplitFiles, shell: list[str]) -> None:
    expiry = int(time.time()) - 10
    files.write_canary(Canary(6554, expiry))
    assert "had expired" in expire(files, shell)
    assert sorted(path.name for path in files.run_dir.iterdir()) == ["expiry.heartbeat"]
    (note,) = notes(str(files.lib_dir))
    assert note["green_weight"] == pytest.approx(10, abs=0.001)
    assert (files.lib_dir / Path(note["file"]).name).stat().st_mtime == expiry
    assert expire(files, shell) == ""


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: Path(shell[0]).name)
def test_a_canary_with_time_left_stays(files: SplitFiles, shell: list[str]) -> None:
    files.write_canary(Canary(6554, int(time.time()) + 60))
    assert expire(files, shell) == ""
    assert files.canary.exists()
    assert notes(str(files.lib_dir)) == []


def test_a_fresh_canary_written_after_the_look_stays(files: SplitFiles) -> None:
    files.write_canary(Canary(6554, int(time.time()) - 10))
    fresh = f"printf 8000 >{files.run_dir}/new; touch -d '+60 seconds' {files.run_dir}/new; $real -f {files.run_dir}/new $canary"
    instead_of(files, "mv", f'if [ "$1" = "$canary" ]; then {fresh}; fi\n$real "$@"')
    assert expire(files) == ""
    assert files.read().buckets == 0x8000
    assert files.read().canary.expires > time.time()
    assert not files.aside.exists()
    assert notes(str(files.lib_dir)) == []


def test_a_fresh_canary_put_aside_gives_way_to_a_yet_newer_one(files: SplitFiles) -> None:
    files.write_canary(Canary(6554, int(time.time()) - 10))
    fresh = "printf 8000 >$canary; touch -d '+60 seconds' $canary"
    instead_of(files, "mv", f'if [ "$1" = "$canary" ]; then {fresh}; fi\n$real "$@"')
    instead_of(files, "ln", "printf 4000 >$canary; touch -d '+90 seconds' $canary; $real \"$@\"")
    expire(files)
    assert files.read().buckets == 0x4000
    assert not files.aside.exists()


def test_what_is_withdrawn_while_it_is_aside_does_not_come_back(files: SplitFiles) -> None:
    files.write_canary(Canary(6554, int(time.time()) - 10))
    instead_of(files, "mv", 'if [ "$1" = "$canary" ]; then printf 8000 >$canary; touch -d \'+60 seconds\' $canary; fi\n$real "$@"')
    # What edge_split does for `canary: absent`, at the worst moment.
    instead_of(files, "ln", 'rm -f "$canary" "$aside"; $real "$@"')
    expire(files)
    assert not files.canary.exists()
    assert not files.aside.exists()


def test_what_a_killed_run_left_aside_is_never_put_back(files: SplitFiles) -> None:
    files.aside.write_text("8000")
    os.utime(files.aside, (time.time() + 60,) * 2)
    expire(files)
    assert not files.canary.exists()
    assert not files.aside.exists()


def test_traffic_goes_back_even_where_no_note_can_be_left(files: SplitFiles) -> None:
    files.write_canary(Canary(6554, int(time.time()) - 10))
    files.lib_dir.rmdir()
    assert "no note could be left" in expire(files)
    assert not files.canary.exists()
    assert not files.aside.exists()


def test_the_loop_removes_in_time_keeps_its_heartbeat_and_ends_when_told(files: SplitFiles) -> None:
    loop = subprocess.Popen([*SHELLS[0], *arguments(files), "--loop", "1"], stdout=subprocess.DEVNULL)
    try:
        files.write_canary(Canary(65536, int(time.time()) + 2))
        deadline = time.monotonic() + 6
        # Traffic first: the note follows the removal by a moment.
        while files.canary.exists() or not notes(str(files.lib_dir)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert time.time() - (files.run_dir / "expiry.heartbeat").stat().st_mtime < 3
        assert len(notes(str(files.lib_dir))) == 1
    finally:
        loop.terminate()
        assert loop.wait(5) == 0


@pytest.mark.parametrize("wrong", [[], ["--run-dir"], ["--run-dir", "/x"], ["--what", "x"]])
def test_wrong_arguments_are_refused(wrong: list[str]) -> None:
    assert subprocess.run(["sh", SCRIPT, *wrong], capture_output=True, timeout=5, check=False).returncode == 2
