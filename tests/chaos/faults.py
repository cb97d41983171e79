# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults, one function each: break something at a chosen moment of a rollout, and see how it ends. Each raises AssertionError.

What the fault may cost is said where the requests are judged: anything else that visitors lost is a finding.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import draft
from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger, LedgerError
from tests.e2e.conftest import ENVIRONMENT, ROOT, STATE, run

from .bed import LOGS, PATIENT, Bed, Run
from .invariants import LATE_SECONDS, TICK_SECONDS, safe

FAKETIME = ROOT / ".venv/debian/usr/lib"
ENGINE = ROOT / "build/sandbox/run/engine"  # written by bootstrap.sh if it started the engine
ROLLBACK = ROOT / "playbooks/rollback.yml"
OTHER = {"blue": "green", "green": "blue"}
# Nobody starts these again, so a gate that a fault leaves without data need not hold for long.
HASTY: dict[str, Any] = json.loads(json.dumps(PATIENT))
HASTY["levibot_plan_overrides"]["defaults"]["hold"] = "10s"
# From Python 3.11 on it sleeps until a moment of the monotonic clock, which libfaketime cannot do if it leaves that clock alone.
SLEEPS = """\
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""
TRUNCATIONS = 300
IN_FILE = 60  # entries


class Skip(Exception):  # noqa: N818 - not an error
    """Cannot be tried here, and why."""


def expect(found: list[str], log: str = "") -> None:
    if found:
        raise AssertionError("\n".join(found) + (f"\n{log[-2500:]}" if log else ""))


def lost_caddy(reason: str) -> bool:
    """What a client sees of a proxy that dies: connections that end, and refused ones until it is back."""
    return reason in ("refused", "connection lost", "timeout", "broken answer")


def end_safe(bed: Bed, running: Run, stable: str, outcome: str | None = "rolled_back", **how: Any) -> None:
    """The run fails, and all traffic is on stable."""
    code = running.wait()
    found = safe(bed.observe(**how), stable)
    if code == 0:
        found.append("the run ended with success")
    if outcome and (seen := closed(bed)) != outcome:
        found.append(f"the rollout was closed as {seen}, and not {outcome}")
    expect(found, running.output)


def closed(bed: Bed) -> str:
    return next((str(entry.data.get("outcome")) for entry in bed.rollout() if entry.kind == "closed"), "still open")


def at_ten_percent(bed: Bed, running: Run) -> None:
    bed.until_recorded(running, "look", gate="phase2.step1")


def caddy_killed(bed: Bed, _rng: random.Random) -> None:
    """Between the intent of a weight and its result. Counters start anew, so that a gate may or may not have enough to pass."""
    stable = bed.start()
    running = bed.play(variables=HASTY)
    bed.until_recorded(running, "intent", action="weight", step="phase2.step2")
    bed.sandbox("kill", "caddy")
    code = running.wait()
    expect(safe(bed.observe(explained=lost_caddy), OTHER[stable] if code == 0 else stable), running.output)
    expect([] if closed(bed) == ("promoted" if code == 0 else "rolled_back") else [f"exit {code}, but closed as {closed(bed)}"])


def observers_down(bed: Bed, _rng: random.Random) -> None:
    """Prometheus and Alertmanager are gone: blind, so back to stable."""
    stable = bed.start()
    running = bed.play(variables=HASTY)
    at_ten_percent(bed, running)
    bed.sandbox("stop", "prometheus")
    bed.sandbox("stop", "alertmanager")
    try:
        end_safe(bed, running, stable)
    finally:
        bed.sandbox("start", "alertmanager")
        bed.sandbox("start", "prometheus")
        bed.sandbox("up")  # which waits for the watchdog


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    """A file system of its own at a folder, with what is in it."""
    if os.geteuid():
        raise Skip("mounting a small file system takes root")
    kept = LOGS / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    place.mkdir(parents=True, exist_ok=True)
    shutil.copytree(place, kept)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "chaos", place], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skip(f"no small file system can be mounted: {done.stderr.strip()}")
    try:
        shutil.copytree(kept, place, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(place: Path) -> None:
    """To the last byte, and beyond what a rename would need."""
    with (place / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return


def disk_full_for_the_ledger(bed: Bed, _rng: random.Random) -> None:
    """What is not recorded is not done: back to stable. The outcome cannot be recorded either, so the record stays open and whole."""
    stable = bed.start()
    place = STATE / "small"
    with small_disk(place, "3m"):
        ledger = place / "ledger.db"
        running = bed.play(variables={**HASTY, "levibot_ledger_path": str(ledger)})
        bed.until(lambda: any(e.kind == "look" for e in bed.ledger(ledger) or []), 180, "a look", running)
        fill(place)
        end_safe(bed, running, stable, outcome=None)
        (place / "filler").unlink()
        with Ledger(ledger) as found:
            expect([] if found.verify().intact else [f"the chain is broken: {found.verify()}"])
            found.append([draft("chaos", "note", {"text": "there is room again"})])
    expect(
        [] if "ledger" in running.output and "full" in running.output else ["nobody said that the ledger's disk is full"], running.output
    )


def disk_full_for_the_edge(bed: Bed, _rng: random.Random) -> None:
    """The weight of the second step cannot be written. Removing a file needs no room."""
    stable = bed.start()
    place = STATE / "edge/run"
    with small_disk(place, "256k"):
        running = bed.play(variables=HASTY)
        at_ten_percent(bed, running)
        fill(place)
        end_safe(bed, running, stable)


def engine_restarted(bed: Bed, _rng: random.Random) -> None:
    """Its containers end with it, so what visitors lose meanwhile is its own."""
    if not ENGINE.exists() or ENGINE.read_text().startswith("systemd"):
        raise Skip("the Docker engine was not started by this checkout, and others may use it")
    stable = bed.start()
    running = bed.play(variables=HASTY)
    at_ten_percent(bed, running)
    pid = int(ENGINE.read_text().split()[0])
    os.kill(pid, 15)
    bed.until(lambda: not Path(f"/proc/{pid}").exists(), 60, "the engine ends")
    ENGINE.unlink()
    run([ROOT / "sandbox/bootstrap.sh", "sandbox"], check=True, timeout=120)
    code = running.wait()
    expect(safe(bed.observe(explained=lambda _reason: True), OTHER[stable] if code == 0 else stable), running.output)


def api_hangs_on_kill(bed: Bed, _rng: random.Random) -> None:
    """A rollback whose candidate never answers: traffic is back and the kill is not reported as confirmed."""
    if not ROLLBACK.exists():
        raise Skip("there is no playbooks/rollback.yml")
    stable = bed.start()
    running = bed.play(variables=HASTY)
    at_ten_percent(bed, running)
    bed.sandbox("fault", "hang")
    back = bed.play("playbooks/rollback.yml")
    bed.until(lambda: bed.files.read_settled().canary is None, 30, "the traffic is back")
    back.wait()
    running.wait()
    project = bed.settings["sandbox_project"]
    shown = run(["docker", "ps", "--filter", f"name={project}-{OTHER[stable]}-api", "--filter", "status=running", "--quiet"], check=True)
    found = safe(bed.observe(explained=lambda reason: reason in ("timeout", "status 502")), stable)
    if shown.stdout.strip():
        found.append("the candidate that hangs was neither paused nor stopped")
    if running.process.returncode == 0:
        found.append("the rollout ended with success")
    expect(found, back.output)


def two_at_once(bed: Bed, _rng: random.Random) -> None:
    """One goes on, the other is refused and says by whom."""
    stable = bed.start()
    first, second = bed.play(variables=HASTY), bed.play(variables=HASTY)
    codes = [first.wait(), second.wait()]
    outputs = [first.output, second.output]
    expect(
        [] if sorted(map(bool, codes)) == [False, True] else [f"the two ended with {codes}"], "\n".join(text[-1500:] for text in outputs)
    )
    refused = " ".join(outputs[0 if codes[0] else 1].split())
    expect([] if "held by" in refused or "lock" in refused else ["the refused one did not say who holds the lock"], refused)
    expect(safe(bed.observe(), OTHER[stable]))


def taken_over(bed: Bed, _rng: random.Random) -> None:
    """From a run that lives: it ends before its next change, and the other one goes on where it stood."""
    stable = bed.start()
    first = bed.play(variables=PATIENT)
    at_ten_percent(bed, first)
    second = bed.play("playbooks/phase2_bluegreen.yml", "-e", "levibot_take_over=true", variables=PATIENT)
    codes = first.wait(), second.wait()
    found = safe(bed.observe(), OTHER[stable])
    expect(
        [*found, *([] if codes[0] and not codes[1] else [f"the two ended with {codes}"])],
        f"{first.output[-1500:]}\n{second.output[-1500:]}",
    )
    done = [entry.data.get("action") for entry in bed.rollout() if entry.kind == "intent"]
    expect([] if closed(bed) == "promoted" and done.count("promote") == 1 else [f"closed as {closed(bed)} after {done}"], first.output)
    expect([] if "take" in first.output.lower() else ["the run that lost the lock did not say so"], first.output)


def clock_stepped(bed: Bed, rng: random.Random) -> None:
    """The control node's clock is set by hours in the middle of a soak. The edge keeps its own."""
    library = next(FAKETIME.glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        raise Skip("libfaketime is not unpacked: sandbox/bootstrap.sh test")
    stable = bed.start()
    offset = LOGS / "clock/offset"
    offset.parent.mkdir(exist_ok=True)
    offset.write_text("+0\n")
    offset.with_name("sitecustomize.py").write_text(SLEEPS)
    # Modules run on the "hosts", which keep their own clocks.
    own = {
        "PATH": ENVIRONMENT["PATH"],
        "DOCKER_CONFIG": ENVIRONMENT["DOCKER_CONFIG"],
        "DOCKER_HOST": os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"),
        "LD_PRELOAD": "",
    }
    fake = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": str(offset.parent),
    }
    running = bed.play(variables={**HASTY, "levibot_environment": own}, **fake)
    at_ten_percent(bed, running)
    offset.write_text(f"{rng.choice('+-')}{rng.randint(1, 4)}h\n")
    code = running.wait()
    seen = bed.observe()
    expect(safe(seen, OTHER[stable] if code == 0 else stable), running.output)


def edge_unreachable(bed: Bed, _rng: random.Random) -> None:
    """A second edge that does not answer: no rollout without it; and what can be taken back is."""
    stable = bed.start()
    more = LOGS / "two-edges.yml"
    more.write_text("edge_hosts: {hosts: {edge2: {ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}}}\n")
    both = ("-i", str(ROOT / "inventories/sandbox"), "-i", str(more))
    entries = len(bed.ledger() or [])
    refused = bed.play("playbooks/phase2_bluegreen.yml", *both)
    code = refused.wait()
    expect([] if code else ["a rollout began without an edge"], refused.output)
    moved = [entry for entry in (bed.ledger() or [])[entries:] if entry.kind == "intent" and entry.data.get("action") == "weight"]
    expect([*safe(bed.observe(), stable), *([f"{len(moved)} weights were meant"] if moved else [])], refused.output)

    running = bed.play(variables=HASTY)
    at_ten_percent(bed, running)
    back = bed.play("playbooks/withdraw.yml", *both)
    code = back.wait()
    expect([] if code and "edge2" in back.output else ["an edge that was not taken back was not reported"], back.output)
    end_safe(bed, running, stable)


def control_node_dies(bed: Bed, _rng: random.Random) -> None:
    """At 10 %, and nobody comes back: the edge helps itself. Much later somebody starts again."""
    stable = bed.start()
    short = {**HASTY, "rollout_expiry_margin_seconds": 2}
    running = bed.play(variables=short)
    at_ten_percent(bed, running)
    running.kill()
    canary = bed.files.read_settled().canary
    expect([] if canary else ["there was no canary at 10 %"])
    assert canary is not None
    bed.until(lambda: bed.files.read_settled().canary is None, canary.expires - time.time() + 60, "the canary is gone")
    late = time.time() - canary.expires
    print(f"  the canary was gone {late:.1f} s after its expiry; the edge looks every {TICK_SECONDS:.0f} s")
    expect([] if late <= TICK_SECONDS + LATE_SECONDS else [f"the edge was back {late:.1f} s after the expiry"])
    found = bed.broken()
    expect([*found, *([] if bed.stable() == stable else ["another slot is stable"])])
    again = bed.play(variables=short)
    again.wait()
    expect([*safe(bed.observe(), OTHER[stable]), *([] if closed(bed) == "promoted" else [closed(bed)])], again.output)


def power_cut(bed: Bed, rng: random.Random) -> None:
    """Of copies of a ledger, cut off anywhere: what opens is whole up to where it ends, or it is said that it is not."""
    place = LOGS / "cut"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    whole, copies = place / "whole.db", place / "copies"

    def write(ledger: Ledger, count: int) -> None:
        for number in range(count):
            ledger.append([draft("r1", "look", {"gate": "phase2.step1", "number": number, "text": "x" * rng.randint(1, 3000)})])

    with Ledger(whole) as ledger:
        write(ledger, IN_FILE)  # at the end of this run they go from the log into the file itself
    with Ledger(whole) as ledger:
        write(ledger, 30)
        entries = list(ledger.read())
        # While it is open, so that there is a log beside it, as after a power cut.
        originals = {suffix: Path(f"{whole}{suffix}").read_bytes() for suffix in ("", "-wal")}
    told = dict.fromkeys(("whole", "shorter", "refused", "broken"), 0)
    for number in range(TRUNCATIONS):
        shutil.rmtree(copies, ignore_errors=True)
        copies.mkdir()
        victims = rng.choice([("",), ("-wal",), ("", "-wal")])
        for suffix, content in originals.items():
            (copies / f"ledger.db{suffix}").write_bytes(content[: rng.randrange(len(content) + 1)] if suffix in victims else content)
        told[_after_the_cut(copies / "ledger.db", entries, number)] += 1
    print(f"  of {TRUNCATIONS} ledgers cut off: " + ", ".join(f"{count} {what}" for what, count in told.items()))


def _after_the_cut(path: Path, entries: list[Any], number: int) -> str:
    try:
        with Ledger(path) as ledger:
            chain = ledger.verify()
            if not chain.intact:
                return "broken"
            found = list(ledger.read())
            if found != entries[: len(found)]:
                raise AssertionError(f"cut {number}: reads entries that were never written, and calls the chain whole")
            # The end of the log is what a power cut may take; what was in the file cannot go unseen.
            if len(found) < IN_FILE:
                raise AssertionError(f"cut {number}: {IN_FILE - len(found)} entries of the file are gone, and the chain is called whole")
            ledger.append([draft("r1", "note", {"text": "after the cut"})])
            if not ledger.verify().intact:
                raise AssertionError(f"cut {number}: an entry more breaks the chain")
            return "whole" if len(found) == len(entries) else "shorter"
    except LedgerError as exc:
        if str(path) not in str(exc):
            raise AssertionError(f"cut {number}: {exc} does not say which file") from exc
        return "refused"
    except (sqlite3.Error, ValueError, KeyError, TypeError) as exc:
        raise AssertionError(f"cut {number}: {type(exc).__name__} instead of a clear error: {exc}") from exc


FAULTS: dict[str, Callable[[Bed, random.Random], None]] = {
    fault.__name__: fault
    for fault in (
        power_cut,
        control_node_dies,
        caddy_killed,
        observers_down,
        disk_full_for_the_ledger,
        disk_full_for_the_edge,
        two_at_once,
        taken_over,
        edge_unreachable,
        clock_stepped,
        api_hangs_on_kill,
        engine_restarted,
    )
}
