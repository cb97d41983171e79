#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at an app host before a slot is deployed there, and names what stands in the way."""

from __future__ import annotations

DOCUMENTATION = r"""
module: environment_info
short_description: Look at an app host before a slot is deployed to it
version_added: 0.1.0
description:
  - Asks the Docker Engine and Compose for their versions, lets Compose read the site's file, and tries the slot's ports.
  - Changes nothing. What stands in the way of a deployment is returned as C(problems), all of it at once, and is no failure of the
    module, so that a preflight can put the mistakes of all hosts into one message.
options:
  compose_content:
    description: The site's Compose file, as text. Nothing is written to the host. Without it no file is looked at.
    type: str
  compose_path:
    description: Where O(compose_content) comes from, for the messages.
    type: str
    required: true
  services:
    description: The services that a slot takes from the file.
    type: list
    elements: str
    required: true
  home:
    description: The directory of releases and slots on this host.
    type: path
    required: true
  project:
    description: The Compose project of the slot that is to be deployed. Ports held by its own containers are no problem.
    type: str
    required: true
  ports:
    description: The loopback ports that the slot needs.
    type: list
    elements: int
    required: true
  compose_min_version:
    description: The oldest Compose that understands the slot's override (C(!override) and C(!reset)).
    type: str
    default: 2.24.4
  engine_min_version:
    description: The oldest Docker Engine that is tested.
    type: str
    default: "20.10"
attributes:
  check_mode:
    description: Runs the same in check mode, since it changes nothing.
    support: full
  diff_mode:
    description: Nothing changes, so there is no difference to show.
    support: none
author:
  - levibot.transition contributors (@levibot)
"""

EXAMPLES = r"""
- name: Look at the app host
  levibot.transition.environment_info:
    compose_content: "{{ lookup('ansible.builtin.file', levibot_compose_file) }}"
    compose_path: "{{ levibot_compose_file }}"
    services: [api, panel]
    home: /var/lib/levibot
    project: levibot-green
    ports: [18011, 18012]
  register: app

- name: Refuse to go on
  ansible.builtin.assert:
    that: app.problems | length == 0
"""

RETURN = r"""
engine_version:
  description: The Docker Engine's version; empty if it does not answer.
  type: str
  returned: always
  sample: 20.10.24
engine_root:
  description: The folder on the engine's host in which it keeps images; empty if the engine does not answer.
  type: str
  returned: always
  sample: /var/lib/docker
compose_version:
  description: The Compose plugin's version; empty if there is none.
  type: str
  returned: always
  sample: 5.6.1
compose_services:
  description: The services of the site's file.
  type: list
  elements: str
  returned: always
  sample: [api, panel, prometheus]
releases:
  description: The release that each slot holds, running or not; without the slots that never held one.
  type: dict
  returned: always
  sample: {blue: v1.7.0}
problems:
  description: What stands in the way, each with where it is, what was found and what to do.
  type: list
  elements: dict
  returned: always
  sample:
    - path: levibot_services
      found: "worker: not among the services of docker-compose.prod.yml (api, panel)"
      fix: name services that the Compose file has, or add them to it
"""

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

ASK_SECONDS = "20"


def parse_version(text: str) -> tuple[int, ...]:
    """``v2.24.4-desktop.1`` -> ``(2, 24, 4)``; empty for text without a version."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in match.group(1).split(".")) if match else ()


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Docker:
    """The docker command line on this host, with a time-out on every call."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module

    def ask(self, *arguments: str, stdin: str | None = None) -> tuple[bool, str]:
        """Returns (worked, what it printed)."""
        rc, out, err = self._module.run_command(["timeout", ASK_SECONDS, "docker", *arguments], data=stdin, handle_exceptions=False)
        return rc == 0, (out if rc == 0 else err or out).strip()


def problem(path: str, found: str, fix: str) -> dict[str, str]:
    return {"path": path, "found": found, "fix": fix}


def look(module: AnsibleModule, docker: Docker) -> dict[str, object]:
    wanted = module.params
    problems: list[dict[str, str]] = []

    # Each call of the docker command line takes a third of a second, most of it waiting.
    with ThreadPoolExecutor() as pool:
        asked_engine = pool.submit(docker.ask, "version", "--format", "{{.Server.Version}}")
        asked_root = pool.submit(docker.ask, "info", "--format", "{{.DockerRootDir}}")
        asked_compose = pool.submit(docker.ask, "compose", "version", "--short")
        asked_ours = pool.submit(
            docker.ask, "ps", "--filter", f"label=com.docker.compose.project={wanted['project']}", "--format", "{{.Ports}}"
        )

    engine_up, engine = asked_engine.result()
    if not engine_up:
        problems.append(problem("Docker Engine", engine, "start the engine, and let the login user reach it"))

    elif parse_version(engine) < parse_version(wanted["engine_min_version"]):
        problems.append(problem("Docker Engine", engine, f"upgrade to {wanted['engine_min_version']} or newer"))
    compose_there, compose = asked_compose.result()
    if not compose_there:
        problems.append(problem("Docker Compose", compose, f"install the Compose plugin, {wanted['compose_min_version']} or newer"))
    elif parse_version(compose) < parse_version(wanted["compose_min_version"]):
        problems.append(problem("Docker Compose", compose, f"upgrade to {wanted['compose_min_version']} or newer"))

    services: list[str] = []
    if compose_there and wanted["compose_content"]:
        readable, answer = docker.ask(
            "compose", "--project-name", "preflight", "--file", "-", "config", "--services", "--no-interpolate", "--no-env-resolution",
            stdin=wanted["compose_content"],
        )  # fmt: skip
        if readable:
            services = sorted(answer.splitlines())
            problems.extend(missing_services(wanted["services"], services, wanted["compose_path"]))
        else:
            problems.append(
                problem("levibot_compose_file", f"{wanted['compose_path']}: {answer}", "mend the file until `docker compose config` passes")
            )

    if engine_up:
        _worked, ours = asked_ours.result()
        problems.extend(taken_ports(wanted["ports"], ours))

    return {
        "engine_version": engine if engine_up else "",
        "engine_root": asked_root.result()[1] if engine_up else "",
        "compose_version": compose if compose_there else "",
        "compose_services": services,
        "releases": releases(Path(wanted["home"])),
        "problems": problems,
    }


def releases(home: Path) -> dict[str, str]:
    """The environment role's notes, by slot."""
    return {note.parent.name: note.read_text(encoding="utf-8").strip() for note in sorted(home.glob("slots/*/release"))}


def missing_services(wanted: list[str], there: list[str], path: str) -> list[dict[str, str]]:
    missing = [name for name in wanted if name not in there]
    if not missing:
        return []
    found = f"{', '.join(missing)}: not among the services of {path} ({', '.join(there) or 'it has none'})"
    return [problem("levibot_services", found, "name services that the Compose file has, or add them to it")]


def taken_ports(ports: list[int], ours: str) -> list[dict[str, str]]:
    return [
        problem(
            "levibot_slots", f"port {port} on the host's loopback is taken by another program", "free it, or give the slot another port"
        )
        for port in ports
        if f":{port}->" not in ours and not is_free(port)
    ]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "compose_content": {"type": "str"},
            "compose_path": {"type": "str", "required": True},
            "services": {"type": "list", "elements": "str", "required": True},
            "home": {"type": "path", "required": True},
            "project": {"type": "str", "required": True},
            "ports": {"type": "list", "elements": "int", "required": True},
            "compose_min_version": {"type": "str", "default": "2.24.4"},
            "engine_min_version": {"type": "str", "default": "20.10"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=False, **look(module, Docker(module)))
    except OSError as exc:
        module.fail_json(
            msg=f"docker cannot be run on this host: {exc}. Install the Docker command line and put it on the PATH (levibot_environment)."
        )


if __name__ == "__main__":
    main()
