# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios' tests share: the site that was prepared, further plays on it, and everything that a play could have changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

MOLECULE = Path(__file__).parent
CHECKOUT = MOLECULE.parent
SCENARIO = os.environ["MOLECULE_SCENARIO_NAME"]


@dataclass(frozen=True)
class Site:
    """Where the scenario's things are, as its inventory says."""

    home: Path
    project: str
    ports: dict[str, int]
    registry: str
    token: str
    compose_file: Path
    edge: dict[str, Path]

    def slot(self, slot: str) -> str:
        return f"{self.project}-{slot}"


@dataclass(frozen=True)
class Played:
    """What became of a play."""

    rc: int
    output: str

    @property
    def changed(self) -> int:
        return sum(int(count) for count in re.findall(r"changed=(\d+)", self.output))


@pytest.fixture(scope="session")
def site() -> Site:
    values = json.loads((CHECKOUT / f"build/molecule/{SCENARIO}/site.json").read_text())
    edge = {name: Path(path) for name, path in values.pop("edge").items()}
    home, compose_file = Path(values.pop("home")), Path(values.pop("compose_file"))
    return Site(home=home, compose_file=compose_file, edge=edge, **values)


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    client = docker.from_env(timeout=20)
    yield client
    client.close()


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Played]:
    """Runs one of the scenario's playbooks, with other variables if need be. They go by a file: a command line is no place for a token."""

    def run(playbook: str, *options: str, **variables: Any) -> Played:
        extra = tmp_path / "variables.json"
        extra.write_text(json.dumps(variables))
        inventories = ["-i", Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent, "-i", MOLECULE / "inventory"]
        command = ["ansible-playbook", *inventories, "-e", f"@{extra}", *options, MOLECULE / SCENARIO / playbook]
        environment = {**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=90)
        return Played(done.returncode, done.stdout + done.stderr)

    return run


@pytest.fixture
def containers(engine: Any, site: Site) -> Callable[[str], dict[str, Any]]:
    """A slot's containers by service, also those that do not run."""

    def of(slot: str) -> dict[str, Any]:
        found = engine.containers.list(all=True, filters={"label": f"com.docker.compose.project={site.slot(slot)}"})
        return {container.labels["com.docker.compose.service"]: container for container in found}

    return of


@pytest.fixture
def snapshot(engine: Any, site: Site, containers: Callable[[str], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """Every file of the site with its mode, time and content, and every container, network and image of ours."""

    def take() -> dict[str, Any]:
        files = {}
        for root in (site.home, site.edge["run"].parent):
            for path in sorted(root.rglob("*")):
                # Touched by what looks by itself, whatever else happens; and SQLite makes its files also for whoever only reads.
                if not path.name.startswith(("expiry.heartbeat", "deadman.", ".deadman.", "ledger.db-")):
                    found = path.lstat()
                    content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
                    files[str(path)] = (oct(found.st_mode), found.st_mtime_ns if path.is_file() else 0, content)
        return {
            "files": files,
            # Only ours are looked at: other tests start and remove theirs at the same time.
            "containers": sorted(
                (item.name, item.id, item.status, item.attrs["State"]["StartedAt"])
                for slot in ("blue", "green")
                for item in containers(slot).values()
            ),
            "networks": sorted(item.id for item in engine.networks.list() if item.name.startswith(site.project)),
            "images": sorted(
                (item["Id"], tag) for item in engine.api.images() for tag in item["RepoTags"] or [] if tag.startswith(site.registry)
            ),
        }

    return take


@pytest.fixture
def watching() -> Callable[[str], AbstractContextManager[dict[str, set[str]]]]:
    return _watching


@contextmanager
def _watching(secret: str) -> Iterator[dict[str, set[str]]]:
    """Collects the programs that run meanwhile, and those of them with the secret in their command line."""
    seen: dict[str, set[str]] = {"programs": set(), "told": set()}
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    words = entry.read_bytes().decode(errors="replace").split("\0")
                except OSError:
                    continue
                seen["programs"].update(Path(word).name for word in words[:2])
                if any(secret in word for word in words):
                    seen["told"].add(" ".join(words))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
