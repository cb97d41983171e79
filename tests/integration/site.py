# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole site on this machine that a rollout would accept: an edge, Prometheus with its rules, Alertmanager, and no release yet."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .daemons import CHECKOUT, AlertmanagerDaemon, PrometheusDaemon, running, wait_for
from .edge_bed import Bed, bed, expiring

PROJECT = "levibot-test-site"
TOKEN = "a-token-for-nothing"
COMPOSE = """\
services:
  api:
    image: levibot/api:${VERSION:?}
    container_name: levibot-api
    ports: ["8000:8000"]
    environment: {ADMIN_TOKEN: "${ADMIN_TOKEN:?}"}
  panel: {image: "levibot/panel:${VERSION:?}", depends_on: [api]}
  grafana: {image: "grafana/grafana:11.1.0"}
"""
# Quiet, and provably so.
RULES = {
    "groups": [
        {
            "name": "levibot",
            "rules": [
                {"alert": f"Rule-{severity}", "expr": "vector(1) > 2", "labels": {"severity": severity}}
                for severity in ("P0", "P1", "critical")
            ]
            + [{"alert": "Watchdog", "expr": "vector(1)"}],
        }
    ]
}
MISTAKE = re.compile(r"^ *- (?P<path>.+)\n *found: (?P<found>.+)\n *fix: (?P<fix>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """How a run of the playbook ended."""

    rc: int
    output: str

    @property
    def errors(self) -> list[str]:
        """What a person sees of tasks that failed."""
        return re.split(r"^(?:fatal|failed): ", self.output, flags=re.MULTILINE)[1:]

    @property
    def mistakes(self) -> dict[str, tuple[str, str]]:
        """What is reported, by path: what was found, and what to do."""
        return {found["path"]: (found["found"], found["fix"]) for found in MISTAKE.finditer(self.errors[-1] if self.errors else "")}


@dataclass(frozen=True)
class Site:
    """The site, and an operator who starts the playbook on it."""

    directory: Path
    edge: Bed

    def run(self, *options: str, **mistakes: Any) -> Outcome:
        extra = self.directory / "extra.json"
        extra.write_text(json.dumps(mistakes))
        command = [Path(sys.executable).with_name("ansible-playbook"), "playbooks/phase2_bluegreen.yml"]
        command += ["-i", self.directory / "hosts.yml", "-e", f"@{extra}", *options]
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "DOCKER_CONFIG": str(CHECKOUT / ".venv/docker"),
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
        }
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=100)
        return Outcome(done.returncode, done.stdout + done.stderr)

    def state(self) -> dict[str, Any]:
        """All that a run could change: the site's files, and what the engine has of its projects."""
        asked = {
            "containers": ["ps", "--all", "--no-trunc", "--filter", f"name={PROJECT}", "--format", "{{.ID}} {{.Status}}"],
            "networks": ["network", "ls", "--filter", f"name={PROJECT}", "--format", "{{.ID}}"],
            "images": ["images", "--filter", "reference=levibot/*", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"],
        }
        listed = {what: subprocess.run(["docker", *ask], capture_output=True, text=True, check=True).stdout for what, ask in asked.items()}
        return {"files": {name: _listing(self.directory / name) for name in ("home", "run", "lib", "snippets")}, **listed}


def _listing(root: Path) -> dict[str, tuple[int, int, str]]:
    found = {}
    for path in sorted([root, *root.rglob("*")]) if root.exists() else []:
        if path.name != "expiry.heartbeat":  # touched by the loop that takes expired canaries away
            status = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path)] = (status.st_mode, status.st_mtime_ns if path.is_file() else 0, content)
    return found


@contextmanager
def site(directory: Path) -> Iterator[Site]:
    """The site, with everything running."""
    alertmanager = AlertmanagerDaemon(directory / "alertmanager")
    prometheus = PrometheusDaemon(
        directory / "prometheus",
        {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "450ms", "evaluation_interval": "500ms"},
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.address]}]}]},
        },
        RULES,
    )
    compose = directory / "docker-compose.prod.yml"
    compose.write_text(COMPOSE)
    variables = {
        "levibot_home": str(directory / "home"),
        "levibot_project": PROJECT,
        "levibot_version": "v1.8.0-beta",
        "levibot_compose_file": str(compose),
        "levibot_compose_environment": {"ADMIN_TOKEN": "{{ levibot_admin_token }}"},
        "levibot_admin_token": TOKEN,
        "levibot_prometheus_url": prometheus.url,
        "levibot_alertmanager_url": alertmanager.url,
        # What else keeps a rollout from its start is tried here.
        "preflight_override_who": "the tests",
        "preflight_override_reason": "no release was made for them",
    }
    with running(alertmanager, prometheus), bed(directory, applications=False, **variables) as edge, expiring(edge):
        wait_for(lambda: "Watchdog" in _read(f"{alertmanager.url}/api/v2/alerts"), "the watchdog alert in Alertmanager")
        yield Site(directory, edge)


def _read(url: str) -> str:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  a loopback address made here
        return answer.read().decode()
    return ""
