# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead man's switch: when it is pulled, what it does then, and that nothing keeps it from it. With a docker that is none."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import sqlite3
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.ledger import store
from ansible_collections.levibot.transition.plugins.module_utils.ledger.lock import Owner
from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger

SCRIPT = Path(__file__).resolve().parents[3] / "roles/deadman/files/levibot_deadman.py"
SPEC = importlib.util.spec_from_file_location("levibot_deadman", SCRIPT)
script = importlib.util.module_from_spec(SPEC)
sys.modules["levibot_deadman"] = script
SPEC.loader.exec_module(script)

OWNER = Owner("maria", "control", 4711, "1", "a-boot", "pid:1")
ROLLOUT = "phase3-v1.8.0-1"
SILENCE = 900.0
BOOT = 5_000.0  # seconds since the boot
WALL = 1_800_000_000.0

FAKE = """#!/bin/sh
# This is no docker: it stands in for one in a test, and keeps its containers in files.
cd "$(dirname "$0")" || exit
echo "$*" >>calls
[ ! -f "hangs-$1" ] || sleep 30
[ ! -f "refuses-$1" ] || { echo "fake docker: $1 is refused" >&2; exit 1; }
for last; do :; done
case $1 in
ps) cat containers ;;
inspect) cat "$last" 2>/dev/null || { echo "Error: No such container: $last" >&2; exit 1; } ;;
pause) [ -f lies ] || echo paused >"$last" ;;
kill | stop) [ -f lies ] || echo exited >"$last" ;;
esac
"""


@dataclass
class Host:
    """An app host: a ledger, a clock, containers that are files, and the script's own directory."""

    home: Path
    now: script.Clock
    timeout: float = 5.0

    @property
    def ledger(self) -> Path:
        return self.home / "ledger.db"

    @property
    def live(self) -> Path:
        return self.home / "live"

    @property
    def docker(self) -> Path:
        return self.home / "bin"

    @property
    def calls(self) -> list[str]:
        """What the engine was told to change."""
        log = self.docker / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if line.split()[0] not in ("ps", "inspect")]

    def passes(self, seconds: float, wall: float | None = None) -> None:
        step = seconds if wall is None else wall
        self.now = replace(self.now, wall=self.now.wall + step, boottime=self.now.boottime + seconds)

    def has(self, **containers: str) -> None:
        (self.docker / "containers").write_text("".join(f"{name} levibot-blue-{name}-1\n" for name in containers))
        for name, status in containers.items():
            (self.docker / name).write_text(f"{status}\n")

    def does(self, *what: str) -> None:
        for name in what:
            (self.docker / name).touch()

    def status(self, name: str) -> str:
        return (self.docker / name).read_text().strip()

    def beats(self, **other: object) -> None:
        now = {"wall": self.now.wall, "boottime": self.now.boottime, "boot_id": self.now.boot_id, **other}
        with Ledger(self.ledger) as ledger:
            ledger.acquire(OWNER, ROLLOUT, take_over=True)
        with sqlite3.connect(self.ledger) as connection:
            connection.execute("UPDATE lock SET wall = :wall, boottime = :boottime, boot_id = :boot_id", now)

    def arm(self, **other: object) -> None:
        watch = {"slot": "blue", "project": "levibot-blue", "service": "api", "ledger": str(self.ledger)}
        self.arm_text(json.dumps({**watch, "rollout": ROLLOUT, "silence_seconds": SILENCE, **other}))

    def arm_text(self, text: str) -> None:
        self.live.mkdir(exist_ok=True)
        (self.live / "watch.json").write_text(text)
        os.utime(self.live / "watch.json", (self.now.wall,) * 2)

    @property
    def armed(self) -> bool:
        return (self.live / "watch.json").exists()

    @property
    def deadman(self) -> script.Deadman:
        return script.Deadman(self.live, ["levibot-blue", "levibot-green"], "api", SILENCE, script.Docker(self.timeout))

    def round(self) -> bool:
        return self.deadman.round()

    @property
    def notes(self) -> list[dict]:
        return self.deadman.info()["notes"]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path, script.Clock(WALL, BOOT, "a-boot"))
    host.docker.mkdir()
    (host.docker / "docker").write_text(FAKE)
    (host.docker / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{host.docker}:{os.environ['PATH']}")
    monkeypatch.setattr(script, "clock", lambda: host.now)
    monkeypatch.setattr(store, "clock", lambda: store.Clock(host.now.wall, host.now.boottime, host.now.boot_id))
    host.has(api="running")
    return host


@pytest.fixture
def watched(host: Host) -> Host:
    host.beats()
    host.arm()
    assert host.round()
    return host


# When


def test_without_a_watch_nothing_is_asked_or_done(host: Host) -> None:
    assert host.round()
    assert not (host.docker / "calls").exists()
    told = host.deadman.info()
    assert (told["armed"], told["watch"], told["notes"], told["round_age_seconds"]) == (False, {}, [], 0)


def test_a_heartbeat_keeps_it_quiet(watched: Host) -> None:
    for _round in range(5):
        watched.passes(SILENCE - 1)
        assert watched.round()
        watched.beats()
        assert watched.round()
    assert watched.calls == []
    assert watched.armed
    told = watched.deadman.info()
    assert (told["seen"], told["problem"], told["containers"], told["silence_seconds"]) == (True, "", ["levibot-blue-api-1"], 0)


def test_silence_pauses_and_leaves_a_note(watched: Host) -> None:
    watched.passes(SILENCE + 1)
    assert watched.round()
    assert watched.calls == ["pause api", "update --restart=no api"]
    assert watched.status("api") == "paused"
    assert not watched.armed
    (note,) = watched.notes
    assert Path(note.pop("file")).name == "stopped-20270115T081501Z.json"
    assert note == {
        "slot": "blue",
        "project": "levibot-blue",
        "rollout": ROLLOUT,
        "containers": [{"name": "levibot-blue-api-1", "outcome": "paused"}],
        "heartbeat_at": "2027-01-15T08:00:00.000Z",
        "found_at": "2027-01-15T08:15:01.000Z",
        "why": "the run that watched gave no sign of life for 901 s, and 900 s are allowed",
    }
    assert watched.round()
    assert len(watched.notes) == 1


def test_files_are_for_their_owner_only(watched: Host) -> None:
    watched.passes(SILENCE + 1)
    watched.round()
    modes = {path.name.partition("-")[0]: path.stat().st_mode & 0o777 for path in watched.live.iterdir()}
    assert modes == {"deadman.lock": 0o600, "deadman.state": 0o600, "stopped": 0o600}


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
def test_a_step_of_the_clock_neither_pulls_nor_blocks_it(watched: Host, step: float) -> None:
    watched.passes(1, wall=step)
    assert watched.round()
    assert watched.armed
    watched.passes(SILENCE)
    assert watched.round()
    assert not watched.armed
    assert watched.status("api") == "paused"


@pytest.mark.parametrize("boot_id", ["", "a-boot", "another"])
def test_a_heartbeat_from_the_future_keeps_it_quiet_for_one_silence_only(host: Host, boot_id: str) -> None:
    host.now = replace(host.now, boottime=10.0)
    host.beats(wall=WALL + 86_400, boottime=9e9, boot_id=boot_id)
    host.arm()
    host.round()
    assert host.armed
    host.passes(SILENCE - 20)
    host.round()
    assert host.armed
    host.passes(30)
    host.round()
    assert not host.armed


def test_after_a_boot_the_old_heartbeat_is_at_least_as_old_as_the_boot(watched: Host) -> None:
    watched.now = script.Clock(WALL - 1e6, 30.0, "another-boot")
    assert watched.round()
    assert watched.armed
    watched.passes(SILENCE)
    assert watched.round()
    assert not watched.armed


def test_who_comes_back_in_time_is_not_stopped(watched: Host) -> None:
    watched.passes(SILENCE - 1)
    watched.beats()
    watched.passes(SILENCE - 1)
    assert watched.round()
    assert watched.armed


@pytest.mark.parametrize("end", ["released", "another rollout", "missing", "garbled", "no lock's table", "nonsense in it"])
def test_a_ledger_without_a_heartbeat_counts_from_the_last_one(watched: Host, end: str) -> None:
    watched.passes(100)
    watched.beats()
    watched.round()
    if end == "released":
        with Ledger(watched.ledger) as ledger:
            ledger.release(OWNER)
    elif end == "missing":
        watched.ledger.unlink()
    elif end == "garbled":
        watched.ledger.with_name("ledger.db-wal").unlink(missing_ok=True)
        watched.ledger.write_bytes(os.urandom(4096))
    else:
        statement = {
            "another rollout": "UPDATE lock SET rollout = 'v1.9.0'",
            "no lock's table": "DROP TABLE lock",
            "nonsense in it": "UPDATE lock SET wall = 'soon'",
        }[end]
        with sqlite3.connect(watched.ledger) as connection:
            connection.execute(statement)
    watched.passes(SILENCE - 1)
    assert watched.round()
    assert watched.armed
    assert watched.deadman.info()["problem"]
    watched.passes(2)
    assert watched.round()
    assert watched.status("api") == "paused"
    (note,) = watched.notes
    assert note["heartbeat_at"] == "2027-01-15T08:01:40.000Z"
    assert "ledger" in note["why"]


def test_a_watch_that_never_saw_a_heartbeat_counts_from_when_it_was_armed(host: Host) -> None:
    host.arm()
    host.passes(SILENCE + 1)
    assert host.round()
    assert not host.armed
    assert host.notes[0]["heartbeat_at"] == ""


def test_a_new_watch_does_not_inherit_the_silence_of_an_old_one(watched: Host) -> None:
    (watched.live / "watch.json").unlink()
    watched.passes(10 * SILENCE)
    watched.beats()
    watched.arm(rollout=ROLLOUT, slot="green")
    assert watched.round()
    assert watched.armed


GARBLED = ["", "{", "[]", "null", "\x00\xff", '{"slot": "blue"}', "[" * 100_000]


@pytest.mark.parametrize("text", GARBLED, ids=[repr(text[:20]) for text in GARBLED])
def test_a_garbled_watch_stops_both_slots(watched: Host, text: str) -> None:
    watched.arm_text(text)
    assert watched.round()
    assert "watch.json cannot be read" in watched.deadman.info()["problem"]
    watched.passes(SILENCE + 1)
    assert watched.round()
    assert watched.status("api") == "paused"
    assert not watched.armed
    (note,) = watched.notes
    assert (note["project"], note["rollout"]) == ("levibot-blue, levibot-green", ROLLOUT)
    assert "watch.json cannot be read" in note["why"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"at": 1}', '{"at": {"wall": "x"}, "beat": 0, "seen": 0}', "[" * 100_000])
def test_a_garbled_state_is_as_good_as_none(watched: Host, text: str) -> None:
    (watched.live / "deadman.state").write_text(text)
    assert watched.round()
    assert watched.armed
    (watched.live / "deadman.state").write_text(text)
    watched.passes(SILENCE + 1)
    assert watched.round()
    assert not watched.armed


# What then


def test_what_does_not_run_is_left_alone(watched: Host) -> None:
    watched.has(api="exited", new="created", halted="paused", gone="")
    (watched.docker / "gone").unlink()
    watched.passes(SILENCE + 1)
    assert watched.round()
    assert watched.calls == ["update --restart=no halted"]
    outcomes = {one["name"].split("-")[2]: one["outcome"] for one in watched.notes[0]["containers"]}
    assert outcomes == {"api": "not_running", "new": "not_running", "gone": "not_running", "halted": "paused"}


def test_what_is_between_two_restarts_is_stopped(watched: Host) -> None:
    watched.has(api="restarting")
    watched.passes(SILENCE + 1)
    assert watched.round()
    assert watched.calls == ["stop --time 0 api"]
    assert watched.notes[0]["containers"][0]["outcome"] == "stopped"


def test_what_cannot_be_paused_is_ended(watched: Host) -> None:
    watched.does("refuses-pause")
    watched.passes(SILENCE + 1)
    assert watched.round()
    assert watched.calls == ["pause api", "kill api"]
    (one,) = watched.notes[0]["containers"]
    assert one["outcome"] == "stopped"
    assert "fake docker: pause is refused" in one["detail"]


@pytest.mark.parametrize("trouble", [["lies"], ["refuses-pause", "refuses-kill"], ["refuses-ps"], ["refuses-inspect"]], ids=" ".join)
def test_what_cannot_be_stopped_stays_watched_and_is_tried_again(
    watched: Host, trouble: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    watched.does(*trouble)
    watched.passes(SILENCE + 1)
    for _round in range(2):
        assert not watched.round()
        assert watched.armed
        assert watched.notes == []
        assert "NOT STOPPED, tried again" in capsys.readouterr().err
        assert watched.deadman.info()["problem"]
    for name in trouble:
        (watched.docker / name).unlink()
    assert watched.round()
    assert watched.status("api") == ("exited" if "refuses-inspect" in trouble else "paused")
    assert len(watched.notes) == 1
    assert not watched.armed


@pytest.mark.parametrize("call", ["pause", "ps"])
def test_a_docker_that_hangs_is_not_waited_for(watched: Host, call: str) -> None:
    watched.timeout = 0.3
    watched.does(f"hangs-{call}")
    watched.passes(SILENCE + 1)
    began = time.monotonic()
    assert watched.round() is (call == "pause")
    assert time.monotonic() - began < 4
    assert watched.armed is (call == "ps")
    if call == "pause":
        assert watched.notes[0]["containers"][0] == {
            "name": "levibot-blue-api-1",
            "outcome": "stopped",
            "detail": "docker pause has not answered in 0.3 s",
        }


def test_no_docker_is_said_with_the_path(watched: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert watched.round()
    assert "PATH is /nowhere" in watched.deadman.info()["problem"]


def test_a_host_that_cannot_be_written_does_not_keep_engines_alive(
    watched: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(script, "write", refuse)
        patch.setattr(Path, "mkdir", refuse)
        watched.passes(SILENCE + 1)
        assert not watched.round()
    assert watched.status("api") == "paused"
    assert watched.armed
    assert "no note can be left" in capsys.readouterr().err
    assert watched.round()
    assert not watched.armed
    assert len(watched.notes) == 1


def test_a_watch_that_cannot_be_removed_brings_one_note_only(watched: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "unlink", refuse)
    for _round in range(3):
        watched.passes(SILENCE + 1)
        assert not watched.round()
    assert len(watched.notes) == 1


def test_two_rounds_do_not_meet(watched: Host) -> None:
    watched.passes(SILENCE + 1)
    with (watched.live / "deadman.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert watched.round()
    assert watched.calls == []
    assert watched.round()
    assert not watched.armed


def test_what_is_armed_anew_while_it_stops_stays_armed(watched: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    real = script.Deadman._note

    def meanwhile(*arguments: object) -> None:
        (watched.live / "watch.json").unlink()
        (watched.live / "other").touch()  # or the file would get the same inode
        watched.arm(slot="green")
        real(*arguments)

    monkeypatch.setattr(script.Deadman, "_note", meanwhile)
    watched.passes(SILENCE + 1)
    assert watched.round()
    assert watched.armed


def test_a_note_that_cannot_be_read_is_still_one(host: Host) -> None:
    host.live.mkdir()
    (host.live / "stopped-1.json").write_text("{")
    (note,) = host.notes
    assert "cannot be read" in note["why"]


# The command


def test_the_loop_outlives_a_round_that_fails(watched: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = []

    def fails(_self: object) -> bool:
        rounds.append(1)
        if len(rounds) == 3:
            raise KeyboardInterrupt
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(script.Deadman, "round", fails)
    with pytest.raises(KeyboardInterrupt):
        script.main(["--home", str(watched.live), "--loop", "0"])


def test_check_says_what_is_wrong(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.arm()
    assert script.main(["--check", str(host.live / "watch.json")]) == 0
    host.arm(silence_seconds=-1, ledger="here", slot="")
    assert script.main(["--check", str(host.live / "watch.json")]) == 1
    told = capsys.readouterr().err
    assert all(name in told for name in ("silence_seconds is -1", "ledger is 'here'", "slot is ''"))


# For all inputs

ANYTHING = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4)
FIELDS = st.sampled_from([*sorted(script.Watch.__dataclass_fields__), "more"])


@given(st.text() | st.dictionaries(FIELDS, ANYTHING).map(json.dumps))
def test_a_watch_is_read_or_refused(text: str) -> None:
    try:
        watch = script.parse(text)
    except script.DeadmanError:
        return
    assert 0 < watch.silence_seconds <= script.MOST_SILENCE_SECONDS
    assert watch.ledger.startswith("/")


STEPS = st.lists(st.tuples(st.floats(0.1, 500), st.floats(-1e6, 1e6), st.booleans()), min_size=1, max_size=30)


@given(STEPS, st.sampled_from(["a-boot", ""]))
def test_silence_is_what_has_passed_whatever_the_wall_says(steps: list[tuple[float, float, bool]], boot_id: str) -> None:
    """Each step: seconds that pass, how the wall's clock is moved meanwhile (where there is another one), whether a heartbeat follows."""
    now = script.Clock(WALL, BOOT, boot_id)
    beat, state, since = now, script.State(now), 0.0
    state = script.judge(now, WALL, state, "it", beat)
    for seconds, moved, beats in steps:
        wall = now.wall + seconds + (moved if boot_id else 0.0)
        now = script.Clock(wall, now.boottime + seconds, boot_id)
        since = 0.0 if beats else since + seconds
        beat = now if beats else beat
        state = script.judge(now, WALL, state, "it", beat)
        assert state.silence_seconds == pytest.approx(since, abs=0.11)
