# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox, brought up once, and whole rollouts on it with windows of a few seconds."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / "build/sandbox"
BIN = ROOT / ".venv/bin"
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "DOCKER_CONFIG": str(ROOT / ".venv/docker"),
    "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    "ANSIBLE_INVENTORY": str(ROOT / "inventories/sandbox"),
    "ANSIBLE_NOCOLOR": "1",
    "PYTHONUNBUFFERED": "1",
    "SANDBOX_TRAFFIC_RATE": os.environ.get("SANDBOX_TRAFFIC_RATE", "60"),  # 150 cost as much as all else of a rollout
}
# What ends a run, and a test, that hangs. Two cores that have all other tests as well take three times what they take alone.
ROLLOUT_SECONDS = 400
TEST_SECONDS = 1500
VERSION = "v1.8.0-beta"
MANIFESTS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"

# For runs with a plan of their own: a GO of theirs would take longer than what they try.
WITHOUT_GO = {"preflight_override_who": "the tests", "preflight_override_reason": "a plan that nobody has approved"}

# The plan's steps and gates stay as they are; only time and counts shrink.
SHORT = {
    "levibot_plan_overrides": {
        "defaults": {"interval": "500ms", "settle": "1s", "hold": "3s", "blind_after": "5s"},
        "phase2": {"steps": {"step1": {"window": "4s"}, "step2": {"window": "5s"}, "step3": {"window": "10s"}}},
    },
    "levibot_checks_overrides": {
        "api_uptime": {"min_events": 3},
        "error_rate": {"min_events": 15},
        "latency_p95": {"min_events": 15},
        "performance_degradation": {"min_events": 100},
    },
    "rollout_kill_timeout_seconds": 2,  # a candidate that hangs takes all of it
}


@dataclass(frozen=True)
class Rollout:
    """How a rollout ended: its exit code, what it printed, and what it left in the ledger."""

    exit_code: int
    output: str
    ledger: list[dict[str, Any]]

    @property
    def closed(self) -> dict[str, Any]:
        return next(entry["data"] for entry in self.ledger if entry["kind"] == "closed")

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        return [entry["data"] for entry in self.ledger if entry["kind"] == "verdict"]


@dataclass(frozen=True)
class Sandbox:
    """What a person would do at its keyboard, and what he would look at."""

    ports: dict[str, int]
    project: str

    def rollout(self, *arguments: str) -> Rollout:
        record = ROOT / "build/ledger.jsonl"
        record.unlink(missing_ok=True)
        done = run(
            [BIN / "ansible-playbook", "playbooks/phase2_bluegreen.yml", "-e", json.dumps(SHORT), *arguments], timeout=ROLLOUT_SECONDS
        )
        lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
        return Rollout(done.returncode, done.stdout, [json.loads(line) for line in lines])

    def phase1(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """With the plan that the rollouts have, since a GO is for one plan."""
        return run(
            [BIN / "ansible-playbook", "playbooks/phase1_predeploy.yml", "-e", json.dumps(SHORT), *arguments], timeout=ROLLOUT_SECONDS
        )

    def broken_rollout(self, fault: str, weight: int) -> Rollout:
        """A rollout whose candidate breaks when it reaches the weight; the fault is undone afterwards."""
        injector = subprocess.Popen([sys.executable, "sandbox/sandbox.py", "fault", f"{fault}@{weight}"], cwd=ROOT, env=ENVIRONMENT)
        try:
            return self.rollout()
        finally:
            injector.terminate()
            injector.wait(timeout=10)
            self.heal()

    def heal(self) -> None:
        run([sys.executable, "sandbox/sandbox.py", "fault", "clear"], check=True)

    def stable_release(self) -> None:
        run([BIN / "ansible-playbook", "sandbox/stable.yml"], check=True)

    def canary(self) -> str | None:
        file = STATE / "edge/run/canary"
        return file.read_text(encoding="ascii") if file.exists() else None

    def stable_slot(self) -> str:
        return "green" if (STATE / "edge/lib/stable").read_text(encoding="ascii").startswith("g") else "blue"

    def slot_requests(self) -> dict[str, float]:
        """How many visitors' requests each slot has answered so far, by Caddy's own counters."""
        text = run(["curl", "-sS", "--max-time", "5", f"http://127.0.0.1:{self.ports['edge_metrics']}/metrics"], check=True).stdout
        found = re.findall(r'caddy_http_request_duration_seconds_count\{[^}]*handler="subroute"[^}]*server="slot-(\w+)"[^}]*\} (\S+)', text)
        counts = {"blue": 0.0, "green": 0.0}
        for slot, value in found:
            counts[slot] += float(value)
        return counts

    def everything(self) -> dict[str, str]:
        """What a rollout may change, by content or by identity: files of app host and edge, containers and images."""
        kept = {}
        for folder in (STATE / "levibot", STATE / "edge"):
            for file in sorted(folder.rglob("*")):
                # A slot's data and what looks by itself live on their own, and SQLite makes its files also for whoever only reads.
                own = file.name.startswith(("expiry.heartbeat", "deadman.", ".deadman.", "ledger.db-"))
                if not own and file.is_file() and "data" not in file.parts:
                    kept[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
        containers = ["docker", "ps", "--all", "--no-trunc", "--filter", f"name={self.project}-", "--format", "{{.ID}} {{.State}}"]
        images = ["docker", "images", "--no-trunc", "--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}} {{.ID}}"]
        images.append(f"127.0.0.1:{self.ports['registry']}/levibot/*")
        for name, command in {"containers": containers, "images": images}.items():
            kept[name] = "\n".join(sorted(run(command, check=True).stdout.splitlines()))
        return kept

    def registry_digest(self, service: str) -> str:
        """Of the candidate's image."""
        url = f"http://127.0.0.1:{self.ports['registry']}/v2/levibot/{service}/manifests/{VERSION}"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": MANIFESTS}), timeout=5) as answer:
            return answer.headers["Docker-Content-Digest"]

    def running_digests(self, slot: str, service: str) -> set[str]:
        """Under which digests the registry gave the images that a slot's containers run."""
        labels = [f"label=com.docker.compose.project={self.project}-{slot}", f"label=com.docker.compose.service={service}"]
        containers = run(
            ["docker", "ps", "--quiet", *(part for label in labels for part in ("--filter", label))], check=True
        ).stdout.split()
        images = run(["docker", "inspect", "--format", "{{.Image}}", *containers], check=True).stdout.split()
        told = run(["docker", "image", "inspect", "--format", "{{json .RepoDigests}}", *images], check=True).stdout
        return {digest.partition("@")[2] for line in told.splitlines() for digest in json.loads(line)}

    def containers(self, slot: str) -> set[str]:
        """The services of a slot that have a container, running or not."""
        project = f"label=com.docker.compose.project={self.project}-{slot}"
        shown = run(["docker", "ps", "--all", "--filter", project, "--format", '{{.Label "com.docker.compose.service"}}'], check=True)
        return set(shown.stdout.split())


def run(command: list[Any], timeout: float = 120, check: bool = False) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(list(map(str, command)), cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode:
        raise AssertionError(f"{command[0]} failed with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Phase 1 first: a rollout changes what is in the slots, and so what its drill was rehearsed with. The whole plan last: its GO is for a
    plan of its own, and takes the place of the one that the rollouts have."""
    for item in items:
        item.add_marker(pytest.mark.timeout(TEST_SECONDS))
    items.sort(key=lambda item: {"test_phase1.py": 0, "test_plan.py": 2}.get(item.path.name, 1))


@pytest.fixture(scope="session")
def daemons() -> Iterator[Sandbox]:
    import yaml  # noqa: PLC0415 (comes with ansible-core)

    settings = yaml.safe_load((ROOT / "inventories/sandbox/group_vars/all/sandbox.yml").read_text(encoding="utf-8"))
    run([sys.executable, "sandbox/sandbox.py", "up"], timeout=300, check=True)
    box = Sandbox(settings["sandbox_ports"], settings["sandbox_project"])
    try:
        box.heal()
        box.stable_release()
        run([sys.executable, "sandbox/sandbox.py", "release"], timeout=300, check=True)
        run([sys.executable, "sandbox/sandbox.py", "evidence"], timeout=300, check=True)
        verdict = box.phase1("-e", "preflight_notify=true")
        assert verdict.returncode == 0, verdict.stdout[-5000:]
        yield box
    finally:
        box.heal()
        run([sys.executable, "sandbox/sandbox.py", "down"])


@pytest.fixture(scope="module")
def sandbox(daemons: Sandbox) -> Sandbox:
    """As a file of tests finds it: no fault, and the stable release serves, whatever the file before has rolled out."""
    daemons.heal()
    daemons.stable_release()
    return daemons
