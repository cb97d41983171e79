#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: slot_info
short_description: Tell what runs in the slots of an app host
version_added: 0.3.0
author:
  - levibot.transition contributors (@levibot)
description:
  - For each slot tells the release that it holds, its containers with the digest that they really run and the Compose files that they were
    started from, and what its API says of engines, mode and models.
  - Changes nothing. What cannot be asked is told in C(problems), and is no failure, so that a status shows all that there is.
options:
  home:
    description: The directory of releases and slots on this host.
    type: path
    required: true
  project:
    description: The first part of the slots' Compose project names.
    type: str
    required: true
  apis:
    description: For each slot the URL at which its API answers on this host.
    type: dict
    required: true
  token:
    description: The admin token of the API.
    type: str
    default: ""
  headers:
    description: More headers to every call of the API.
    type: dict
    default: {}
  timeout_seconds:
    description: How long the engine and the API may take for one answer.
    type: float
    default: 3
attributes:
  check_mode:
    description: Changes nothing, and so does the same in check mode.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Look at the slots
  levibot.transition.slot_info:
    home: /var/lib/levibot
    project: levibot
    apis: {blue: "http://127.0.0.1:18001", green: "http://127.0.0.1:18011"}
    token: "{{ levibot_admin_token }}"
  register: slot_info
"""

RETURN = r"""
slots:
  description:
    - By slot its C(release), the C(images) that the release was deployed with, the C(containers) by service (C(state), C(health),
      C(digest), C(image_id) and C(compose_files)), and the C(api) (C(mode), C(kill_switch), C(engines) and C(models), each null where it
      was not told).
  returned: always
  type: dict
  sample:
    green:
      release: v1.8.0-beta
      images: {api: {digest: "levibot/api@sha256:0123", id: "sha256:4567"}}
      containers:
        api: [{state: running, health: healthy, digest: "levibot/api@sha256:0123", image_id: "sha256:4567", compose_files: [compose.yml]}]
      api:
        mode: paper
        kill_switch: false
        engines: [{symbol: BTC/USDT, status: running, mode: paper}]
        models: {lgbm: {version: "2026-10-14", found: true}}
problems:
  description: What could not be asked.
  returned: always
  type: list
  elements: str
  sample: []
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.http import Client, HttpError

LABEL = "com.docker.compose"
ENGINE_KEYS = ("symbol", "status", "mode", "capital", "position", "error_count")
MODEL_KEYS = ("version", "found")


def containers(module: AnsibleModule, project: str) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """By service, and what went wrong."""
    timeout = str(module.params["timeout_seconds"])
    try:
        rc, ids, err = _docker(module, timeout, "ps", "--all", "--quiet", "--filter", f"label={LABEL}.project={project}")
        if rc == 0 and not ids.split():
            return {}, ""
        if rc == 0:
            rc, told, err = _docker(module, timeout, "inspect", *ids.split())
    except OSError as exc:
        return {}, f"docker cannot be run: {exc}"
    if rc:
        return {}, f"Docker Engine: {err.strip() or 'no answer'}"
    found: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads(told):
        labels = one["Config"].get("Labels") or {}
        found.setdefault(labels.get(f"{LABEL}.service", "?"), []).append(
            {
                "name": one["Name"].lstrip("/"),
                "state": one["State"]["Status"],
                "health": (one["State"].get("Health") or {}).get("Status", ""),
                "digest": one["Config"]["Image"] if "@" in one["Config"]["Image"] else "",
                "image_id": one["Image"],
                "compose_files": [name for name in labels.get(f"{LABEL}.project.config_files", "").split(",") if name],
            }
        )
    return found, ""


def _docker(module: AnsibleModule, timeout: str, *arguments: str) -> tuple[int, str, str]:
    return module.run_command(["timeout", timeout, "docker", *arguments], handle_exceptions=False)


def api(url: str, client: Client) -> tuple[dict[str, Any], list[str]]:
    """What the API tells, defensively: releases differ in what they have and in what it looks like."""
    told: dict[str, Any] = {"mode": None, "kill_switch": None, "engines": None, "models": None}
    problems = []

    def ask(path: str) -> Any:
        try:
            return client.get_json(f"{url}{path}")
        except HttpError as exc:
            if exc.status != 404:  # noqa: PLR2004 - a release without the route is no problem
                problems.append(str(exc))
        return None

    status = ask("/live/status")
    if isinstance(status, Mapping):
        told["mode"], told["kill_switch"] = status.get("mode"), status.get("kill_switch_active")
    if problems:
        return told, problems  # nobody answers: not a time-out for each question
    engines = ask("/engines/status")
    if isinstance(engines, Mapping) and isinstance(engines.get("engines"), list):
        told["engines"] = [{key: one[key] for key in ENGINE_KEYS if key in one} for one in engines["engines"] if isinstance(one, Mapping)]
    models = ask("/ai/models")
    if isinstance(models, Mapping) and isinstance(models.get("meta"), Mapping):
        cards = {name: card for name, card in models["meta"].items() if isinstance(card, Mapping)}
        told["models"] = {name: {key: card.get(key) for key in MODEL_KEYS} for name, card in cards.items()}
    return told, problems


def look(module: AnsibleModule, slot: str, url: str) -> tuple[dict[str, Any], list[str]]:
    wanted = module.params
    home = Path(wanted["home"])
    there, problem = containers(module, f"{wanted['project']}-{slot}")
    told: dict[str, Any] = {"release": _text(home / "slots" / slot / "release"), "images": {}, "containers": there, "api": None}
    problems = [f"{slot}: {problem}"] if problem else []
    record = _text(home / "releases" / told["release"] / "release.json") if told["release"] else ""
    try:
        told["images"] = json.loads(record)["images"] if record else {}
    except (ValueError, KeyError, TypeError):
        problems.append(f"{slot}: the record of release {told['release']} cannot be read")
    if there or problem:
        headers = {str(name): str(value) for name, value in wanted["headers"].items()}
        client = Client(timeout=wanted["timeout_seconds"], retries=0, token=wanted["token"] or None, headers=headers)
        told["api"], unanswered = api(url, client)
        problems += [f"{slot}: {why}" for why in unanswered]
    return told, problems


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path", "required": True},
            "project": {"type": "str", "required": True},
            "apis": {"type": "dict", "required": True},
            "token": {"type": "str", "default": "", "no_log": True},
            "headers": {"type": "dict", "default": {}, "no_log": True},
            "timeout_seconds": {"type": "float", "default": 3},
        },
        supports_check_mode=True,
    )
    with ThreadPoolExecutor() as pool:
        looks = {slot: pool.submit(look, module, slot, url) for slot, url in module.params["apis"].items()}
        found = {slot: done.result() for slot, done in looks.items()}
    module.exit_json(
        changed=False,
        slots={slot: told for slot, (told, _problems) in found.items()},
        problems=[problem for _told, problems in found.values() for problem in problems],
    )


if __name__ == "__main__":
    main()
