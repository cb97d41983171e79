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
  - Engines and kill switch are read on several connections, since other processes may answer these. An engine that one of them shows is
    told, running before standing still and live before on paper; a switch that is on in one of them is on.
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
  timeout_seconds:
    description: How long the engine and the API may take for one answer.
    type: float
    default: 3
extends_documentation_fragment:
  - levibot.transition.api
  - levibot.transition.api.spelling
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
from ansible_collections.levibot.transition.plugins.module_utils.levibot import forms, options
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import Api, engine_rows
from ansible_collections.levibot.transition.plugins.module_utils.levibot.live import READS, worst

LABEL = "com.docker.compose"
ENGINE_KEYS = ("symbol", "status", "mode", "capital", "capital_usd", "position", "error_count")
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


def tell(api: Api) -> tuple[dict[str, Any], list[str]]:
    """What the API tells, defensively: releases differ in what they have and in what it looks like."""
    told: dict[str, Any] = {"mode": None, "kill_switch": None, "engines": None, "models": None}
    problems = []

    def ask(call: str) -> Any:
        try:
            return api.optional(call)  # a release without the call is no problem
        except HttpError as exc:
            problems.append(str(exc))
        return None

    switches: list[Any] = []
    engines: list[Any] = []
    for read in range(READS):  # each may be answered by another process, with a switch and engines of its own
        if read:
            api.new_connection()
        switches.append(ask("kill_state"))
        engines.append(None if problems else engine_rows(ask("engines")))
        if problems:
            break  # not a time-out for each question
    if any(state is True for state in switches):
        told["kill_switch"] = True
    if problems:
        return told, problems
    if all(state is False for state in switches):
        told["kill_switch"] = False
    if None not in engines:
        told["engines"] = [{key: one[key] for key in ENGINE_KEYS if key in one} for one in worst(engines)]
    told["mode"] = ask("mode")
    models = ask("models")
    if isinstance(models, Mapping):
        cards = {name: card for name, card in models.items() if isinstance(card, Mapping)}
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
        headers = options.texts(wanted["headers"])
        client = Client(timeout=wanted["timeout_seconds"], retries=0, token=wanted["token"] or None, headers=headers)
        told["api"], unanswered = tell(Api(url, client, overrides=options.overrides(wanted), prefix=wanted["prefix"]))
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
            **options.CREDENTIALS,
            **options.SPELLING,
            "timeout_seconds": {"type": "float", "default": 3},
        },
        supports_check_mode=True,
    )
    try:
        options.overrides(module.params)
    except forms.FormError as problem:
        module.fail_json(msg=f"forms: {problem}")
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
