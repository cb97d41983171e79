#!/usr/bin/env python3
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stops live engines that nobody watches any more.

While watch.json is there, the run that it names has to show a heartbeat in the ledger. Without one for silence_seconds, the API containers
of the slot are paused, else ended, and a note says so. Needs Python 3.9 and the docker command, and nothing of the collection.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
LEDGER_TIMEOUT_SECONDS = 5.0
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
ALIVE = ("running", "restarting", "paused")
LOOKS_FOR_NEW = 3
MOST_SILENCE_SECONDS = 24 * 3600


class DeadmanError(Exception):
    """Something cannot be read or done; the message says what."""


@dataclass(frozen=True)
class Clock:
    """One reading of the host's clocks. ``boottime`` goes on whatever is done to the wall's clock; boot_id is empty if unknown."""

    wall: float
    boottime: float = 0.0
    boot_id: str = ""

    @classmethod
    def of(cls, told: dict[str, Any]) -> Clock:
        """From plain data. Raises LookupError, TypeError or ValueError where it is no moment."""
        wall, boottime = float(told["wall"]), float(told["boottime"])
        if not (math.isfinite(wall) and math.isfinite(boottime)):
            raise ValueError(told)
        return cls(wall, boottime, str(told["boot_id"]))

    def since(self, earlier: Clock) -> float:
        """Seconds, at least. What was before this boot is as old as the boot, however wrong the wall's clock was."""
        if not self.boot_id or not earlier.boot_id:
            return max(0.0, self.wall - earlier.wall)
        if self.boot_id == earlier.boot_id:
            return max(0.0, self.boottime - earlier.boottime)
        return max(self.boottime, self.wall - earlier.wall)


@dataclass(frozen=True)
class Watch:
    """What is watched: the API of a slot, by the heartbeat of the run that holds the ledger's lock for this rollout."""

    slot: str
    project: str
    service: str
    ledger: str
    rollout: str
    silence_seconds: float


@dataclass(frozen=True)
class State:
    """What a round leaves to the next one, and to whoever wants to know whether somebody looks.

    watch: which watch.json it is about; empty where there was none. beat: the last heartbeat, and `seen` when it was first seen, or else
    when the watch was armed. rollout: as watch.json said when it could be read. noted: the note is written. containers and problem: what
    the round saw.
    """

    at: Clock
    watch: str = ""
    beat: Clock | None = None
    seen: Clock | None = None
    rollout: str = ""
    noted: bool = False
    silence_seconds: float = 0.0
    containers: list[str] = field(default_factory=list)
    problem: str = ""

    @classmethod
    def of(cls, told: dict[str, Any]) -> State:
        """Raises LookupError, TypeError or ValueError where it is none."""
        beat, seen = (Clock.of(told[name]) if told[name] else None for name in ("beat", "seen"))
        return cls(**{**told, "at": Clock.of(told["at"]), "beat": beat, "seen": seen})


def clock() -> Clock:
    """The clocks now."""
    try:
        boot_id = BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        boot_id = ""
    return Clock(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), boot_id)


def utc(wall: float) -> str:
    """A moment in words."""
    return datetime.fromtimestamp(wall, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: str) -> Watch:
    """watch.json, or a DeadmanError with all that is wrong with it."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise DeadmanError(f"it is no JSON ({exc})") from exc
    if not isinstance(told, dict):
        raise DeadmanError("it is no JSON object")
    rules = {
        "slot": _is_name,
        "project": _is_name,
        "service": _is_name,
        "ledger": lambda value: isinstance(value, str) and value.startswith("/"),
        "rollout": lambda value: isinstance(value, str) and bool(value),
        "silence_seconds": lambda value: type(value) in (int, float) and 0 < value <= MOST_SILENCE_SECONDS,
    }
    wrong = [f"{name} is {told[name]!r}" if name in told else f"it has no {name}" for name in rules if not rules[name](told.get(name))]
    if wrong:
        raise DeadmanError(", ".join(wrong))
    return Watch(**{name: told[name] for name in rules})


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(NAME.fullmatch(value))


def read_beat(watch: Watch) -> Clock:
    """The heartbeat of the run that holds the lock for the rollout, or a DeadmanError. Nothing is made or changed."""
    uri = f"{Path(watch.ledger).as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=LEDGER_TIMEOUT_SECONDS)) as connection:
            row = connection.execute("SELECT rollout, wall, boottime, boot_id FROM lock").fetchone()
        if row is None:
            raise DeadmanError("nobody holds the ledger's lock")
        rollout, beat = row[0], Clock.of(dict(zip(("wall", "boottime", "boot_id"), row[1:])))
        utc(beat.wall)
    except (sqlite3.Error, OSError, ValueError, TypeError, OverflowError) as exc:  # a damaged page can hold anything
        raise DeadmanError(f"the ledger {watch.ledger} cannot be read: {exc}") from exc
    if rollout != watch.rollout:
        raise DeadmanError(f"the ledger's lock is held for {rollout or 'no rollout'}, and not for {watch.rollout}")
    return beat


def judge(now: Clock, armed: float, before: State, ident: str, beat: Clock | None) -> State:
    """For how long there has been no sign of life.

    A heartbeat is as old as the clocks say, and at least as old as it has been seen unchanged: one in the future keeps nobody quiet for
    longer than a watch without any.
    """
    if before.watch == ident and before.seen:
        state = replace(before, at=now)
    else:
        state = State(now, ident, None, Clock(armed) if armed <= now.wall else now, before.rollout)
    if beat and beat != state.beat:
        state = replace(state, beat=beat, seen=now)
    silent = max(now.since(state.seen or now), now.since(beat) if beat else 0.0)
    return replace(state, silence_seconds=round(silent, 1), containers=[], problem="")


@dataclass
class Docker:
    """The few calls of the docker command, each with a time-out."""

    timeout_seconds: float

    def call(self, *arguments: str) -> str:
        """What it printed. Raises DeadmanError for whatever goes wrong."""
        try:
            process = subprocess.Popen(
                ["docker", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as exc:
            raise DeadmanError(f"docker cannot be started: {exc}; PATH is {os.environ.get('PATH')}") from exc
        try:
            output, errors = process.communicate(timeout=self.timeout_seconds)
        except subprocess.TimeoutExpired as exc:
            # With all that it has started: a child that keeps the pipe would be waited for.
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=1)
            raise DeadmanError(f"docker {arguments[0]} has not answered in {self.timeout_seconds:g} s") from exc
        if process.returncode:
            said = (errors.strip() or output.strip() or "nothing").splitlines()[-1]
            raise DeadmanError(f"docker {arguments[0]} ended with {process.returncode}: {said}")
        return output

    def containers(self, project: str, service: str) -> dict[str, str]:
        """Names by id of all containers of a service, running or not."""
        labels = [f"label=com.docker.compose.project={project}", f"label=com.docker.compose.service={service}"]
        filters = [word for label in labels for word in ("--filter", label)]
        listed = self.call("ps", "--all", "--no-trunc", *filters, "--format", "{{.ID}} {{.Names}}")
        return dict(line.split(" ", 1) for line in listed.splitlines() if line.strip())

    def status(self, container: str) -> str:
        """Such as running or paused; empty where there is no such container any more."""
        try:
            return self.call("inspect", "--type", "container", "--format", "{{.State.Status}}", container).strip()
        except DeadmanError as problem:
            if "no such" in str(problem).lower():
                return ""
            raise

    def silence(self, container: str) -> tuple[str, str]:
        """(outcome, detail): paused, stopped or not_running, and seen to be; else failed."""
        told = []
        try:
            before = self.status(container)
        except DeadmanError as problem:
            before = "running"
            told.append(str(problem))
        if before not in ALIVE:
            return "not_running", f"it is {before or 'gone'}"
        if before == "running":
            told += self._try("pause", container)
        if self._is(container, ("paused",), told):
            # Or it would run again after the host's next boot.
            return "paused", "; ".join(self._try("update", "--restart=no", container))
        told += self._try("stop", "--time", "0", container) if before == "restarting" else self._try("kill", container)
        if self._is(container, ("", "exited", "dead", "created", "removing"), told):
            return "stopped", "; ".join(told)
        return "failed", "; ".join(told) or "it goes on"

    def _try(self, *arguments: str) -> list[str]:
        try:
            self.call(*arguments)
        except DeadmanError as problem:
            return [str(problem)]
        return []

    def _is(self, container: str, wanted: tuple[str, ...], told: list[str]) -> bool:
        try:
            return self.status(container) in wanted
        except DeadmanError as problem:
            told.append(str(problem))
            return False

    def silence_all(self, projects: list[str], service: str) -> list[dict[str, str]]:
        """All containers of the service in these projects, side by side; those that come up meanwhile as well."""
        done: dict[str, dict[str, str]] = {}
        for _look in range(LOOKS_FOR_NEW):
            found = {key: name for project in projects for key, name in self.containers(project, service).items()}
            new = {key: name for key, name in found.items() if key not in done}
            if not new:
                break
            with ThreadPoolExecutor(len(new)) as pool:
                for (key, name), (outcome, detail) in zip(new.items(), pool.map(self.silence, new)):
                    done[key] = {"name": name, "outcome": outcome, **({"detail": detail} if detail else {})}
        return sorted(done.values(), key=lambda one: one["name"])


class Deadman:
    """The rounds of one host. Everything is kept in `home`: watch.json, the state and the notes."""

    def __init__(self, home: Path, projects: list[str], service: str, silence_seconds: float, docker: Docker) -> None:
        self.home, self.docker = home, docker
        self._projects, self._service, self._silence_seconds = projects, service, silence_seconds

    @property
    def watch(self) -> Path:
        return self.home / "watch.json"

    @property
    def state(self) -> Path:
        return self.home / "deadman.state"

    def read_state(self) -> State | None:
        """None where there is none that can be read."""
        try:
            return State.of(json.loads(self.state.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, LookupError, RecursionError):
            return None

    def read_watch(self) -> tuple[str, float, Watch | None, str]:
        """(which one it is, when it was armed, the watch, what is wrong with it); with no watch.json, the first is empty."""
        try:
            found = self.watch.stat()
        except FileNotFoundError:
            return "", 0.0, None, ""
        except OSError as exc:
            return "unreadable", 0.0, None, f"{self.watch} cannot be read: {exc}"
        ident = f"{found.st_ino}-{found.st_mtime_ns}"
        try:
            return ident, found.st_mtime, parse(self.watch.read_text(encoding="utf-8")), ""
        except (OSError, ValueError, DeadmanError) as exc:
            return ident, found.st_mtime, None, f"{self.watch} cannot be read: {exc}"

    def round(self) -> bool:
        """One look, and what follows from it. False where something could not be stopped."""
        with contextlib.ExitStack() as stack:
            try:
                self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(self.home / "deadman.lock", os.O_WRONLY | os.O_CREAT, 0o600)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True  # another round is at work
            except OSError as exc:
                say(f"{self.home} cannot be written: {exc}")  # which must not keep the engines alive
            state, watch, why = self._look()
            if not state.watch:
                self._keep(state)
                return True
            if state.silence_seconds <= self._limit(watch):
                self._keep(self._see(state, watch, why))
                return True
            return self._stop(state, watch, why)

    def _limit(self, watch: Watch | None) -> float:
        return watch.silence_seconds if watch else self._silence_seconds

    def _look(self) -> tuple[State, Watch | None, str]:
        """(state, the watch, why there is no heartbeat)."""
        ident, armed, watch, why = self.read_watch()
        beat = None
        if watch:
            try:
                beat = read_beat(watch)
            except DeadmanError as problem:
                why = str(problem)
        now = clock()
        return (judge(now, armed, self.read_state() or State(now), ident, beat) if ident else State(now)), watch, why

    def _see(self, state: State, watch: Watch | None, why: str) -> State:
        """What a stop would reach, so that whoever arms knows that it would."""
        problems = [why] if why else []
        names: list[str] = []
        if watch:
            try:
                names = sorted(self.docker.containers(watch.project, watch.service).values())
            except DeadmanError as problem:
                problems.append(str(problem))
            else:
                problems += [] if names else [f"there is no container of {watch.service} in {watch.project}"]
        if problems:
            say(f"{'; '.join(problems)}; no heartbeat for {state.silence_seconds:g} s")
        return replace(state, rollout=watch.rollout if watch else state.rollout, containers=names, problem="; ".join(problems))

    def _stop(self, state: State, watch: Watch | None, why: str) -> bool:
        projects, service = ([watch.project], watch.service) if watch else (self._projects, self._service)
        silent = f"no sign of life for {state.silence_seconds:g} s, and {self._limit(watch):g} s are allowed"
        why = f"{why}; {silent}" if why else f"the run that watched gave {silent}"
        try:
            containers = self.docker.silence_all(projects, service)
        except DeadmanError as problem:
            containers, failed = [], str(problem)
        else:
            failed = "; ".join(f"{one['name']}: {one['detail']}" for one in containers if one["outcome"] == "failed")
        if failed:
            self._keep(replace(state, problem=failed))
            say(f"NOT STOPPED, tried again at the next round: {failed}; {why}")
            return False
        if not state.noted:
            try:
                self._note(state, watch, projects, containers, why)
            except OSError as exc:
                say(f"stopped, but no note can be left, and {self.watch} stays until there is one: {exc}")
                return False
        self._keep(replace(state, noted=True))
        told = ", ".join(f"{one['name']} {one['outcome']}" for one in containers) or f"no container of {service} in {' or '.join(projects)}"
        say(f"{told}: {why}")
        if self.read_watch()[0] == state.watch:
            try:
                self.watch.unlink()
            except OSError as exc:
                say(f"{self.watch} cannot be removed, and keeps the engines stopped: {exc}")
                return False
        return True

    def _note(self, state: State, watch: Watch | None, projects: list[str], containers: list[dict[str, str]], why: str) -> None:
        note = {
            "slot": watch.slot if watch else "",
            "project": ", ".join(projects),
            "rollout": watch.rollout if watch else state.rollout,
            "containers": containers,
            "heartbeat_at": utc(state.beat.wall) if state.beat else "",
            "found_at": utc(state.at.wall),
            "why": why,
        }
        at = datetime.fromtimestamp(state.at.wall, timezone.utc)
        write(self.home / f"stopped-{at:%Y%m%dT%H%M%SZ}.json", note)
        os.sync()

    def _keep(self, state: State) -> None:
        try:
            write(self.state, asdict(state))
        except OSError as exc:
            say(f"{self.state} cannot be written: {exc}")

    def info(self) -> dict[str, Any]:
        """What is there, for whoever asks. Nothing is changed."""
        ident, _armed, watch, problem = self.read_watch()
        state = self.read_state()
        about = state if state and ident and state.watch == ident else None
        return {
            "armed": bool(ident),
            "watch": asdict(watch) if watch else {},
            "problem": problem or (about.problem if about else ""),
            "round_age_seconds": round(clock().since(state.at), 1) if state else None,
            # By a round that has seen this very watch.json.
            "seen": bool(about),
            "silence_seconds": about.silence_seconds if about else None,
            "containers": about.containers if about else [],
            "notes": [_read_note(path) for path in sorted(self.home.glob("stopped-*.json"))],
        }


def _read_note(path: Path) -> dict[str, Any]:
    try:
        return {**json.loads(path.read_text(encoding="utf-8")), "file": str(path)}
    except (OSError, ValueError, TypeError, RecursionError) as exc:
        return {"file": str(path), "containers": [], "why": f"the note cannot be read: {exc}"}


def write(path: Path, content: dict[str, Any]) -> None:
    """With one rename, and for its owner only."""
    aside = path.with_name(f".{path.name}.new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(json.dumps(content) + "\n")
    aside.replace(path)


def say(text: str) -> None:
    """One line of the log."""
    print(f"levibot-deadman: {text}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """One round, or one every --loop seconds; with --check a look at a watch.json to be, with --info at what there is."""
    parser = argparse.ArgumentParser(prog="levibot-deadman", description=__doc__)
    parser.add_argument("--home", type=Path, default=Path("/var/lib/levibot/live"), help="where watch.json and the notes are")
    parser.add_argument("--project", action="append", default=[], help="what is stopped where watch.json cannot be read")
    parser.add_argument("--service", default="api", help="the same")
    parser.add_argument("--silence", type=float, default=900.0, help="after how many seconds, the same")
    parser.add_argument("--timeout", type=float, default=20.0, help="of each call of docker, in seconds")
    parser.add_argument("--loop", type=float, help="seconds between two rounds")
    parser.add_argument("--check", type=Path, help="say what is wrong with this file as a watch.json")
    parser.add_argument("--info", action="store_true", help="say what is watched and what was stopped, as JSON")
    options = parser.parse_args(arguments)
    if options.check:
        try:
            parse(options.check.read_text(encoding="utf-8"))
        except (OSError, ValueError, DeadmanError) as exc:
            print(f"{options.check}: {exc}", file=sys.stderr)
            return 1
        return 0
    deadman = Deadman(options.home, options.project, options.service, options.silence, Docker(options.timeout))
    if options.info:
        print(json.dumps(deadman.info()))
        return 0
    while True:
        try:
            fine = deadman.round()
        except Exception as exc:  # whatever it is, the next round has to come
            say(f"the round has failed: {exc!r}")
            fine = False
        if options.loop is None:
            return 0 if fine else 1
        time.sleep(options.loop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
