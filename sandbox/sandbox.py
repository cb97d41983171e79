#!/usr/bin/env python3
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox's daemons and images: bring up what is not there, say what is, take all down.

sandbox.py up        # returns at once when all is up and nothing has changed
sandbox.py release   # the candidate, as Phase 1 makes it, for who starts with Phase 2
sandbox.py evidence  # what the phases rest on: reports, backups, a drill and approvals; the sandbox's own
sandbox.py status    # exit 0 when all runs
sandbox.py fault errors@50   # waits for the candidate's 50 % and breaks it then; `fault clear` undoes all faults
sandbox.py fault wrong_pnl@live3   # waits for three live engines in the slot that serves, and breaks that
sandbox.py stop prometheus   # or start, or kill, which is SIGKILL: supervisord starts it again at once
sandbox.py down      # daemons only; `make clean` removes containers, images and files, too
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import evidence
import images
import repository
from daemons import Service, Supervisor, edge, end_marked, foundation, render
from ports import answers, check, is_watched
from shared import (
    DATA,
    DEADMAN,
    DEBIAN,
    EDGE,
    ETC,
    HERE,
    INVENTORY,
    LOGS,
    ROOT,
    RUN,
    STATE,
    VENV,
    SandboxError,
    Settings,
    run_logged,
    tree_digest,
    wait_until,
)

READY_SECONDS = 30
APPROVAL = {"approve_who": "Sam Sandbox", "approve_reason": "it is the sandbox", "approve_until": ""}


def install_edge() -> None:
    stamp = RUN / "edge.installed"
    wanted = tree_digest(*(ROOT / "roles" / role for role in ("edge", "deadman", "levibot")), INVENTORY, HERE / "edge.yml")
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted and (EDGE / "caddy/slots.caddy").exists() and DEADMAN.exists():
        return
    print("==> Edge: split, slot listeners and expiry (role edge); dead man's switch (role deadman)", flush=True)
    run_logged([VENV / "bin/ansible-playbook", "-i", INVENTORY, HERE / "edge.yml"], "edge.log")
    stamp.write_text(wanted, encoding="ascii")


def wait_ready(services: Iterable[Service], settings: Settings) -> None:
    for service in services:
        if service.ready:
            port = settings.ports[service.ports[0]]
            message = f"{service.name} is not ready on port {port} after {READY_SECONDS} s; see build/logs/{service.name}.log"
            wait_until(lambda port=port, path=service.ready: answers(port, path), READY_SECONDS, message)


def start(services: list[Service], running: set[str], supervisor: Supervisor, settings: Settings) -> None:
    if missing := [service.name for service in services if service.name not in running]:
        print(f"==> Daemons: {', '.join(missing)}", flush=True)
    supervisor.configure([*foundation(settings), *edge(settings)])
    supervisor.start(services)
    wait_ready(services, settings)


def up() -> None:
    settings = Settings.load()
    supervisor = Supervisor()
    for directory in (ETC, RUN, DATA / "caddy", DATA / "registry", EDGE / "run", EDGE / "lib", EDGE / "caddy", LOGS):
        directory.mkdir(parents=True, exist_ok=True)
    running = supervisor.running()
    if not running:
        end_marked()  # what outlived a supervisord that was killed
    held = {port for service in [*foundation(settings), *edge(settings)] if service.name in running for port in service.ports}
    check(settings, held)
    if render(settings):
        run_logged([DEBIAN / "promtool", "check", "config", ETC / "prometheus.yml"], "promtool.log")
    start(foundation(settings), running, supervisor, settings)
    with ThreadPoolExecutor(max_workers=1) as beside:  # the edge needs no image
        installed = beside.submit(install_edge)
        images.ensure(settings)
        repository.ensure(settings)
        installed.result()
    start(edge(settings), running, supervisor, settings)
    watchdog = f"the watchdog alert has not reached Alertmanager after {READY_SECONDS} s; see build/logs/prometheus.log"
    wait_until(lambda: is_watched(settings.ports["alertmanager"]), READY_SECONDS, watchdog)


def prepare(settings: Settings) -> None:
    """All that the phases want and do not do themselves. The release comes first, for scans are of its images."""
    print("==> Evidence: reports, backups, a drill, approvals of the release and of live trading (the sandbox's own)", flush=True)
    evidence.make(settings)
    for log, playbook, *options in (
        ("idle", HERE / "idle.yml"),
        ("drill", ROOT / "playbooks/rollback.yml", "-e", "drill=true"),
        *(("approve", ROOT / "playbooks/approve.yml", "-e", json.dumps({**APPROVAL, "approve_what": what})) for what in ("go", "live")),
    ):
        run_logged([VENV / "bin/ansible-playbook", "-i", INVENTORY, playbook, *options], f"{log}.log")


def down() -> None:
    # supervisord ends its children in order; what it has lost is found by its mark.
    supervisor = Supervisor()
    if supervisor.states() is not None:
        supervisor.rpc.shutdown()
        deadline = time.monotonic() + 15
        while supervisor.states() is not None and time.monotonic() < deadline:
            time.sleep(0.05)
    end_marked()


def status() -> bool:
    settings = Settings.load()
    states = Supervisor().states() or {}
    fine = True
    for service in [*foundation(settings), *edge(settings)]:
        info = states.get(service.name, {})
        ready = info.get("statename") == "RUNNING" and (not service.ready or answers(settings.ports[service.ports[0]], service.ready))
        fine &= ready
        where = f"http://127.0.0.1:{settings.ports[service.ports[0]]}" if service.ports else ""
        print(f"{service.name:14}{info.get('statename', 'down').lower():10}{'ready' if ready else 'not ready':11}{where}")
    return fine


def control(verb: str, name: str, settings: Settings) -> None:
    """One daemon alone, for faults."""
    supervisor = Supervisor()
    services = {service.name: service for service in [*foundation(settings), *edge(settings)]}
    if name not in services or name not in (supervisor.states() or {}):
        raise SandboxError(f"there is no daemon {name!r}\n  fix: one of {', '.join(services)}, when the sandbox is up (sandbox.py up)")
    if verb == "start":
        supervisor.start([services[name]])
        wait_ready([services[name]], settings)
    elif name in supervisor.running():
        if verb == "stop":
            supervisor.rpc.stopProcess(name)
        else:
            supervisor.rpc.signalProcess(name, "KILL")


def fault(what: str, settings: Settings) -> NoReturn:
    """Hand over to the injector, which knows neither this inventory nor this checkout."""
    name, _, when = what.partition("@")
    command = [VENV / "bin/python", HERE / "faults.py", f"--pause-file={RUN / 'traffic.pause'}"]
    if name == "clear":
        command.append("--clear")
    else:
        command.append(f"--fault={name}")
    if when:
        command.append(f"--at-live={when.removeprefix('live')}" if when.startswith("live") else f"--at-weight={when}")
    command += [f"--canary-file={EDGE / 'run/canary'}", f"--stable-file={EDGE / 'lib/stable'}"]
    for slot in ("blue", "green"):
        command.append(f"--slot-url={slot}=http://127.0.0.1:{settings.ports[f'{slot}_api']}")
        if name == "clear":
            command.append(f"--slot-data={slot}={STATE / 'levibot/slots' / slot / 'data'}")
    os.execve(command[0], list(map(str, command)), {**os.environ, "ADMIN_TOKEN": settings.admin_token, "LEVIBOT_SANDBOX": str(ROOT)})


def main(arguments: list[str]) -> int:
    os.chdir(ROOT)
    try:
        match arguments:
            case ["up"]:
                up()
            case ["release"]:
                print("==> Release (role release)", flush=True)
                run_logged([VENV / "bin/ansible-playbook", "-i", INVENTORY, HERE / "release.yml"], "release.log")
            case ["evidence"]:
                prepare(Settings.load())
            case ["fault", what]:
                fault(what, Settings.load())
            case ["start" | "stop" | "kill" as verb, name]:
                control(verb, name, Settings.load())
            case ["down"]:
                down()
            case ["status"]:
                return 0 if status() else 1
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except SandboxError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
