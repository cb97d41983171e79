# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox's daemons, and the supervisord that keeps them."""

from __future__ import annotations

import hashlib
import http.client
import os
import shlex
import signal
import string
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from shared import DATA, DEADMAN, DEBIAN, EDGE, ETC, HERE, LOGS, ROOT, RUN, STATE, VENV, SandboxError, Settings, wait_until, write

# In the environment of all that is started here, so that it is found again, and nothing else with it.
MARK = f"LEVIBOT_SANDBOX={ROOT}"


@dataclass(frozen=True)
class Service:
    """A daemon: what starts it, where it answers when it is ready, and the files whose change restarts it."""

    name: str
    command: list[str | Path]
    ports: tuple[str, ...] = ()  # names in sandbox_ports; at the first it answers `ready`
    ready: str = ""
    directory: Path = STATE
    configs: tuple[Path, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def section(self) -> str:
        digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in self.configs if path.exists())).hexdigest()[:16]
        pairs = {**self.environment, "LEVIBOT_CONFIG": digest}
        lines = {
            "command": shlex.join(map(str, self.command)),
            "directory": self.directory,
            "environment": ",".join(f'{key}="{value}"' for key, value in pairs.items()),
            "autostart": "false",
            "autorestart": "true",
            "startsecs": "0",
            "stopasgroup": "true",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": LOGS / f"{self.name}.log",
            "stdout_logfile_maxbytes": "5MB",
            "stdout_logfile_backups": "1",
        }
        return f"[program:{self.name}]\n" + "".join(f"{key} = {_escaped(value)}\n" for key, value in lines.items())


def _escaped(value: object) -> str:
    return str(value).replace("%", "%%")


def foundation(settings: Settings) -> list[Service]:
    """What images and the edge's installation need, and what observes."""
    address = {name: f"127.0.0.1:{port}" for name, port in settings.ports.items()}
    return [
        Service(
            "registry", [DEBIAN / "docker-registry", "serve", ETC / "registry.yml"], ("registry",), "/v2/", configs=(ETC / "registry.yml",)
        ),
        Service(
            "alertmanager",
            [
                DEBIAN / "prometheus-alertmanager",
                f"--config.file={ETC / 'alertmanager.yml'}",
                f"--storage.path={DATA / 'alertmanager'}",
                f"--web.listen-address={address['alertmanager']}",
                "--cluster.listen-address=",
            ],
            ("alertmanager",),
            "/-/ready",
            DEBIAN.parents[1],  # see `debian` in bootstrap.sh
            (ETC / "alertmanager.yml",),
        ),
        Service(
            "blackbox",
            [
                DEBIAN / "prometheus-blackbox-exporter",
                f"--config.file={ETC / 'blackbox.yml'}",
                f"--web.listen-address={address['blackbox']}",
                # Off the scrape's own time-out: a probe that hangs is a failed probe and not a missing one.
                "--timeout-offset=0.02",
            ],
            ("blackbox",),
            "/-/healthy",
            configs=(ETC / "blackbox.yml",),
        ),
        Service(
            "prometheus",
            [
                DEBIAN / "prometheus",
                f"--config.file={ETC / 'prometheus.yml'}",
                f"--storage.tsdb.path={DATA / 'prometheus'}",
                "--storage.tsdb.retention.time=2d",
                "--rules.alert.resend-delay=2s",  # an Alertmanager that has just started learns of the watchdog in seconds
                f"--web.listen-address={address['prometheus']}",
            ],
            ("prometheus",),
            "/-/ready",
            configs=(ETC / "prometheus.yml", ETC / "rules.yml"),
        ),
    ]


def edge(settings: Settings) -> list[Service]:
    """What the roles edge and deadman have put their files for: the daemons of an edge host and an app host, and the visitors."""
    snippets = EDGE / "caddy"
    home = {"HOME": str(DATA / "caddy"), "XDG_DATA_HOME": str(DATA / "caddy"), "XDG_CONFIG_HOME": str(DATA / "caddy")}
    expire = EDGE / "levibot-edge-expire"
    return [
        Service(
            "caddy",
            [VENV / "bin/caddy", "run", "--config", ETC / "Caddyfile", "--adapter", "caddyfile"],
            ("edge_metrics", "edge", "slot_blue", "slot_green", "notices"),
            "/metrics",
            configs=(ETC / "Caddyfile", snippets / "global.caddy", snippets / "slots.caddy"),
            environment=home,
        ),
        Service("expiry", [expire, "--run-dir", EDGE / "run", "--lib-dir", EDGE / "lib", "--loop", "1"], configs=(expire,)),
        Service(
            "deadman",
            [
                # The docker command is the sandbox's own where the machine has none.
                *("sh", "-c", 'PATH="$0:$PATH" exec "$@"', VENV / "bin"),
                *(VENV / "bin/python", DEADMAN, "--home", STATE / "levibot/live", "--loop", "1"),
                *(f"--project={settings.project}-{slot}" for slot in ("blue", "green")),
            ],
            configs=(DEADMAN,),
        ),
        Service(
            "traffic",
            [
                VENV / "bin/python",
                HERE / "traffic.py",
                "--url",
                f"http://127.0.0.1:{settings.ports['edge']}",
                "--rate",
                str(settings.traffic_rate),
                "--pause-file",
                RUN / "traffic.pause",
                "--stats-file",
                RUN / "traffic.json",
            ],
            configs=(HERE / "traffic.py",),
        ),
    ]


class Template(string.Template):
    delimiter = "@"  # `$` belongs to Prometheus


def render(settings: Settings) -> bool:
    """Fill in the templates; true if any file came out different."""
    values = {**settings.ports, "data": DATA, "snippets": EDGE / "caddy", "logs": LOGS}
    changed = [
        write(ETC / source.name, Template(source.read_text(encoding="utf-8")).substitute(values)) for source in (HERE / "etc").iterdir()
    ]
    return any(changed)


class Supervisor:
    """supervisord, over its unix socket."""

    config = ETC / "supervisord.conf"

    @cached_property
    def socket(self) -> Path:
        path = RUN / "supervisor.sock"
        if len(str(path)) < 90:  # 107 is the kernel's limit, and supervisord binds a longer name first
            return path
        short = Path(tempfile.gettempdir()) / f"levibot-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]}"
        short.mkdir(mode=0o700, exist_ok=True)
        if short.stat().st_uid != os.getuid():
            raise SandboxError(f"{short} belongs to somebody else\n  fix: remove it, or use a checkout with a shorter path")
        return short / "supervisor.sock"

    @property
    def rpc(self) -> Any:
        from supervisor.xmlrpc import SupervisorTransport  # noqa: PLC0415 - 50 ms that `up` spends only when it talks to it

        return ServerProxy("http://127.0.0.1", transport=SupervisorTransport(None, None, f"unix://{self.socket}")).supervisor

    def states(self) -> dict[str, dict[str, Any]] | None:
        """Each program's process info, or None where no supervisord answers."""
        try:
            return {info["name"]: info for info in self.rpc.getAllProcessInfo()}
        except Fault:  # it is shutting down: still there, but it answers nothing any more
            return {}
        except (OSError, http.client.HTTPException):
            return None

    def running(self) -> set[str]:
        return {name for name, info in (self.states() or {}).items() if info["statename"] == "RUNNING"}

    def configure(self, services: Iterable[Service]) -> None:
        """Write the configuration, and let a supervisord that runs take over what has changed."""
        head = f"""\
[unix_http_server]
file = {_escaped(self.socket)}
chmod = 0700

[supervisord]
pidfile = {_escaped(RUN / "supervisord.pid")}
logfile = {_escaped(LOGS / "supervisord.log")}
logfile_maxbytes = 1MB
logfile_backups = 0
childlogdir = {_escaped(LOGS)}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

"""
        changed = write(self.config, head + "\n".join(service.section() for service in services))
        if self.states() is None:
            environment = {**os.environ, "LEVIBOT_SANDBOX": str(ROOT)}
            command = [VENV / "bin/supervisord", "-c", self.config]
            begun = subprocess.run(command, check=False, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if begun.returncode:
                raise SandboxError(f"supervisord does not start: {begun.stdout}{begun.stderr}".rstrip())
            wait_until(lambda: self.states() is not None, 10, "supervisord does not answer; see build/logs/supervisord.log")
        elif changed:
            [[added, modified, removed]] = self.rpc.reloadConfig()
            for name in modified + removed:
                self.rpc.stopProcessGroup(name)
                self.rpc.removeProcessGroup(name)
            for name in modified + added:
                self.rpc.addProcessGroup(name)

    def start(self, services: Iterable[Service]) -> None:
        running = self.running()
        for service in services:
            if service.name not in running:
                try:
                    self.rpc.startProcess(service.name, False)
                except Fault as exc:
                    raise SandboxError(f"{service.name} does not start: {exc.faultString}; see build/logs/{service.name}.log") from exc


def marked() -> Iterator[int]:
    """Processes that were started from this checkout's sandbox."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if MARK.encode() in environ.read_bytes().split(b"\0") and int(environ.parent.name) != os.getpid():
                yield int(environ.parent.name)
        except OSError:
            continue


def end_marked() -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for pid in marked():
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + 10
        while any(marked()) and time.monotonic() < deadline:
            time.sleep(0.05)
