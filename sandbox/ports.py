# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox's ports: who answers, who has taken one."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from pathlib import Path

from shared import ROOT, SETTINGS, SandboxError, Settings, tool_environment


def answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def is_watched(alertmanager: int) -> bool:
    """Whether the watchdog has come all the way: rules, Prometheus, Alertmanager. No gate believes in quiet before that."""
    connection = http.client.HTTPConnection("127.0.0.1", alertmanager, timeout=2)
    try:
        connection.request("GET", "/api/v2/alerts?filter=alertname%3DWatchdog")
        return bool(json.load(connection.getresponse()))
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def owner(port: int) -> str:
    """Who listens there, as far as /proc lets us see."""
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]]
    inodes = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(descriptor.readlink()) in inodes:
                return f"{(descriptor.parents[1] / 'comm').read_text().strip()} (pid {descriptor.parents[1].name})"
        except OSError:
            continue
    return "a process of another user"


def of_our_slots(settings: Settings) -> str:
    """What our own Compose projects' containers publish."""
    shown = ["docker", "ps", "--filter", f"name=^{settings.project}-(blue|green)-", "--format", "{{.Ports}}"]
    return subprocess.run(shown, check=False, capture_output=True, text=True, env=tool_environment()).stdout


def check(settings: Settings, ours: set[str]) -> None:
    """A port that somebody else has is found before anything is started on the others; `ours` are those that our daemons hold."""
    taken = {name: port for name, port in settings.ports.items() if name not in ours and not is_free(port)}
    if taken.keys() & {"blue_api", "blue_panel", "green_api", "green_panel"}:
        published = of_our_slots(settings)
        taken = {name: port for name, port in taken.items() if f"127.0.0.1:{port}->" not in published}
    if taken:
        lines = [f"port {port} (sandbox_ports.{name}) is taken by {owner(port)}" for name, port in taken.items()]
        raise SandboxError("\n  ".join(lines) + f"\n  fix: stop it, or set another port in {SETTINGS.relative_to(ROOT)}")
