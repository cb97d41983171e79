# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox as chaos sees it: runs that are started and killed, and everything that invariants.py judges, read without Ansible."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.edge.files import SplitFiles
from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import Entry
from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger, LedgerError
from tests.e2e.conftest import BIN, ENVIRONMENT, ROOT, SHORT, STATE, WITHOUT_GO, run

from .invariants import Observation, Requests, broken

PLAYBOOK = "playbooks/phase2_bluegreen.yml"
LOGS = ROOT / "build/chaos"
LEDGER = STATE / "levibot/ledger.db"
TRAFFIC = STATE / "run/traffic.json"
RUN_SECONDS = 300
_TASK = re.compile(r"^TASK \[(.*?)\] \**$", re.MULTILINE)

# As short as the gates allow, but with a hold in which a run can be started again.
PATIENT: dict[str, Any] = json.loads(json.dumps({**SHORT, **WITHOUT_GO}))
PATIENT["levibot_plan_overrides"]["defaults"]["hold"] = "90s"
# Less traffic will do: it is the runs that are tried here, hundreds of them, and not the candidate.
PATIENT["levibot_checks_overrides"] = {
    "api_uptime": {"min_events": 3},
    "error_rate": {"min_events": 5},
    "latency_p95": {"min_events": 5},
    "performance_degradation": {"min_events": 20},
}


def descendants(pid: int) -> list[int]:
    """Of all generations. Ansible's workers are sessions of their own, so that a process group does not hold them."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        children.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    found, todo = [], [pid]
    while todo:
        new = children.get(todo.pop(), [])
        found += new
        todo += new
    return found


def kill_tree(pid: int) -> None:
    """As the end of a container kills: everything, with nobody left to start more. What is stopped forks no more."""
    seen: list[int] = []
    while fresh := [one for one in [pid, *descendants(pid)] if one not in seen]:
        for one in fresh:
            _signal(one, signal.SIGSTOP)
        seen += fresh
    for one in seen:
        _signal(one, signal.SIGKILL)


def _signal(pid: int, sign: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, sign)


def settings() -> dict[str, Any]:
    import yaml  # noqa: PLC0415 (comes with ansible-core)

    return yaml.safe_load((ROOT / "inventories/sandbox/group_vars/all/sandbox.yml").read_text(encoding="utf-8"))


@dataclass
class Run:
    """A playbook that runs."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def doing(self) -> str:
        """The task that was begun last."""
        return (["start", *_TASK.findall(self.output)])[-1].removeprefix("levibot.transition.")

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def wait(self, seconds: float = RUN_SECONDS) -> int:
        return self.process.wait(seconds)

    def kill(self, orphans: bool = False) -> None:
        if orphans:
            _signal(self.process.pid, signal.SIGKILL)
        else:
            kill_tree(self.process.pid)
        self.process.wait(10)


@dataclass
class Bed:
    """The sandbox, from one instant on: `start()` is that instant."""

    settings: Mapping[str, Any] = field(default_factory=settings)
    started: Mapping[str, Any] = field(default_factory=dict)
    logs: list[Path] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    def start(self) -> str:
        """A stable release that serves, no fault, no rollout. Returns its slot."""
        LOGS.mkdir(parents=True, exist_ok=True)
        self.end()
        self.sandbox("fault", "clear")
        run([BIN / "ansible-playbook", "sandbox/stable.yml"], check=True, timeout=RUN_SECONDS)
        # The slot was restarted, which Prometheus saw: no gate of the rollout is to judge that. The other one is about to be deployed.
        stable = self.stable()
        self.until(lambda: stable not in self.slots_with_alerts(), 180, f"no alert fires any more for {stable} (see Alertmanager)")
        self.logs = []
        self.mark()
        return stable

    def end(self) -> None:
        """Ends what still runs of a fault that failed."""
        for running in self.runs:
            if not running.ended:
                running.kill()
        self.runs = []

    def mark(self) -> None:
        """From here on requests are counted."""
        self.started = self.traffic()

    def sandbox(self, *arguments: str) -> None:
        run([sys.executable, "sandbox/sandbox.py", *arguments], check=True)

    def play(self, playbook: str = PLAYBOOK, *options: str, variables: Mapping[str, Any] = PATIENT, **environment: str) -> Run:
        log = LOGS / f"{time.monotonic_ns()}.log"
        self.logs.append(log)
        command = [str(BIN / "ansible-playbook"), playbook, "-e", json.dumps(variables), *options]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env={**ENVIRONMENT, **environment}, stdout=output, stderr=output, start_new_session=True
            )
        self.runs.append(Run(process, log))
        return self.runs[-1]

    @property
    def files(self) -> SplitFiles:
        return SplitFiles(str(STATE / "edge/run"), str(STATE / "edge/lib"))

    def stable(self) -> str:
        return self.files.read_settled().stable or "blue"

    def ledger(self, path: Path = LEDGER) -> list[Entry] | None:
        try:
            with Ledger(path, writable=False) as ledger:
                return list(ledger.read())
        except LedgerError:
            return None

    def rollout(self) -> list[Entry]:
        """The entries of the rollout that was opened last."""
        entries = self.ledger() or []
        last = next((entry.rollout for entry in reversed(entries) if entry.kind == "opened"), None)
        return [entry for entry in entries if entry.rollout == last]

    def traffic(self) -> dict[str, Any]:
        return json.loads(TRAFFIC.read_text(encoding="utf-8"))

    def requests(self) -> Requests:
        now, then = self.traffic(), self.started
        failed = Counter(now["failed_by_reason"])
        failed.subtract(then.get("failed_by_reason", {}))
        slots = Counter(now["slots"])
        slots.subtract(then.get("slots", {}))
        return Requests(now["sent"] - then.get("sent", 0), dict(+failed), dict(+slots))

    def slots_with_alerts(self) -> set[str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.settings["sandbox_ports"]["alertmanager"], timeout=5)
        try:
            connection.request("GET", "/api/v2/alerts?active=true")
            return {alert["labels"].get("slot", "") for alert in json.load(connection.getresponse())}
        finally:
            connection.close()

    def images(self) -> frozenset[str]:
        return frozenset(run(["docker", "images", "--no-trunc", "--quiet"], check=True).stdout.split())

    def releases(self) -> dict[str, frozenset[str]]:
        found = {}
        for file in STATE.glob("levibot/slots/*/release"):
            record = STATE / "levibot/releases" / file.read_text().strip() / "release.json"
            found[file.parent.name] = frozenset(image["id"] for image in json.loads(record.read_text())["images"].values())
        return found

    def observe(self, explained: Callable[[str], bool] = lambda _reason: False, ledger_lost: bool = False) -> Observation:
        # The edge before the ledger: what is seen at an edge was meant before, so its intent is read afterwards.
        edges, now = {"sandbox": self.files.read_settled()}, time.time()
        return Observation(
            now=now,
            edges=edges,
            ledger=self.ledger(),
            ledger_lost=ledger_lost,
            requests=self.requests(),
            explained=explained,
            images=self.images(),
            releases=self.releases(),
            texts={log.name: log.read_text(encoding="utf-8", errors="replace") for log in self.logs},
            secrets=(self.settings["sandbox_admin_token"],),
        )

    def broken(self, **how: Any) -> list[str]:
        return broken(self.observe(**how))

    def until(self, reached: Callable[[], bool], seconds: float, what: str, running: Run | None = None) -> None:
        deadline = time.monotonic() + seconds
        while not reached():
            if running and running.ended:
                raise AssertionError(f"the run ended before {what}:\n{running.output[-3000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"after {seconds:.0f} s still not: {what}")
            time.sleep(0.05)

    def until_recorded(self, running: Run, kind: str, seconds: float = 180, **data: Any) -> None:
        """Until this run's rollout has such an entry."""
        first = len(self.ledger() or [])

        def reached() -> bool:
            return any(entry.kind == kind and data.items() <= entry.data.items() for entry in (self.ledger() or [])[first:])

        self.until(reached, seconds, f"{kind} {data}", running)


@contextmanager
def bed() -> Iterator[Bed]:
    """Of a sandbox that is brought up, and taken down again."""
    for step in ("up", "release"):
        run([sys.executable, "sandbox/sandbox.py", step], timeout=300, check=True)
    try:
        yield Bed()
    finally:
        run([sys.executable, "sandbox/sandbox.py", "fault", "clear"])
        if not os.environ.get("CHAOS_KEEP"):
            run([sys.executable, "sandbox/sandbox.py", "down"])
