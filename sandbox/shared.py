# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the sandbox keeps things, its settings, and what its programs have in common."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "sandbox"
BUILD = ROOT / "build"
STATE = BUILD / "sandbox"
ETC = STATE / "etc"
RUN = STATE / "run"
DATA = STATE / "data"
EDGE = STATE / "edge"
DEADMAN = STATE / "deadman/levibot-deadman"
LOGS = BUILD / "logs"
VENV = ROOT / ".venv"
DEBIAN = VENV / "debian/usr/bin"
INVENTORY = ROOT / "inventories/sandbox"
SETTINGS = INVENTORY / "group_vars/all/sandbox.yml"


class SandboxError(Exception):
    """What is wrong, and what to do, for a person."""


@dataclass(frozen=True)
class Settings:
    project: str
    ports: dict[str, int]
    base_image: str
    versions: tuple[str, str]
    traffic_rate: int
    admin_token: str = field(repr=False)

    @classmethod
    def load(cls) -> Settings:
        values = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))
        return cls(
            project=values["sandbox_project"],
            ports=values["sandbox_ports"],
            base_image=os.environ.get("SANDBOX_BASE_IMAGE") or values["sandbox_base_image"],
            versions=(values["sandbox_stable_version"], values["sandbox_candidate_version"]),
            traffic_rate=int(os.environ.get("SANDBOX_TRAFFIC_RATE") or values["sandbox_traffic_rate"]),
            admin_token=values["sandbox_admin_token"],
        )


def write(path: Path, text: str) -> bool:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True


def wait_until(condition: Callable[[], bool], seconds: float, message: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SandboxError(message)
        time.sleep(0.05)


def tool_environment() -> dict[str, str]:
    path = f"{VENV / 'bin'}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    ours = {
        "DOCKER_CONFIG": VENV / "docker",
        "ANSIBLE_CONFIG": ROOT / "ansible.cfg",
        # Nothing is left in the home folder, nor needed there.
        "ANSIBLE_HOME": BUILD / "ansible",
        "ANSIBLE_REMOTE_TEMP": BUILD / "ansible/tmp",
    }
    return {**os.environ, "PATH": path, **{name: str(place) for name, place in ours.items()}}


def run_logged(command: list[str | Path], log: str) -> None:
    """For what a person need not see, unless it fails."""
    path = LOGS / log
    with path.open("w", encoding="utf-8") as output:
        done = subprocess.run(command, check=False, cwd=ROOT, env=tool_environment(), stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        tail = "\n    ".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
        raise SandboxError(f"{Path(command[0]).name} failed ({done.returncode}); the end of {path.relative_to(ROOT)}:\n    {tail}")


def tree_digest(*places: Path) -> str:
    digest = hashlib.sha256()
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
