#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the models of a slot: directories and links on the host, and what each instance of the API says it has loaded."""

from __future__ import annotations

DOCUMENTATION = r"""
module: models_info
short_description: Look which models a slot has, and whether the wanted ones are loaded
version_added: 0.3.0
description:
  - Reads the dated directories and the links of the models' directory, and asks every instance of the slot's API, each at its own
    container's address, for its health, its models, its engines and its count of inferences.
  - Changes nothing. What a rollback of the models would have to be refused for is returned as C(mistakes), and what is not as wanted as
    C(unverified), all of it at once; neither is a failure of the module.
  - An instance counts as verified only if it was started after the links were last changed, is healthy, lists each wanted model with its
    version and C(found) true, and makes an inference while it is watched.
options:
  project:
    description: The slot's Compose project.
    type: str
    required: true
  service:
    description: The service that loads the models.
    type: str
    default: api
  port:
    description: The port that it listens on inside its container.
    type: int
    required: true
  dir:
    description: The directory on this host with the dated directories and the links.
    type: path
    required: true
  date:
    description: The dated directory that is wanted.
    type: str
    required: true
  version:
    description: What the API calls the models of that directory. Like O(date) unless given.
    type: str
  names:
    description: The models that are wanted at that date. All that the API lists unless given.
    type: list
    elements: str
    default: []
  link:
    description: The link that a release loads its models through, below O(dir); with C({name}), one for each of O(names).
    type: str
    default: current
  target:
    description: Where the link leads, below O(dir). C({date}) and C({name}) are filled in.
    type: str
    default: "{date}"
  script:
    description:
      - The site's own script that changes the models. Which links it makes is its own business, so instead of O(link) every link below
        O(dir) must resolve, and if there are any, one of them must lead into the dated directory.
    type: path
  versions:
    description: The wanted version of each model, in place of O(version) and O(names), with O(links).
    type: dict
  links:
    description: The wanted target of each link below O(dir), in place of O(link) and O(target). To see that what was there before is back.
    type: dict
  health_path:
    description: The path that answers 200 when an instance is healthy.
    type: str
    default: /health
  models_path:
    description: The path that lists the models.
    type: str
    default: /ai/models
  engines_path:
    description: The path that lists the engines.
    type: str
    default: /engines/status
  live_path:
    description: The path that tells paper from live trading.
    type: str
    default: /live/status
  metrics_paths:
    description: The paths that may serve the metrics; the first that answers is taken.
    type: list
    elements: str
    default: [/metrics, /metrics/prom]
  inference_metric:
    description: The counter that moves with each inference. Empty where a release has none, and then no inference is waited for.
    type: str
    default: levi_inference_latency_seconds_count
  interrupt_live:
    description: Whether live engines may be interrupted, so that they are no mistake.
    type: bool
    default: false
  wait_seconds:
    description: How long to wait until all but the inference is as wanted. Looks once unless given.
    type: float
    default: 0
  loading_seconds:
    description:
      - How long a model may still be loading, counted from when every instance is healthy and lists its models. What is not found by then
        is not waited for any longer.
    type: float
    default: 15
  inference_seconds:
    description: How long to wait for an inference of each instance, after all else is as wanted.
    type: float
    default: 60
  call_timeout_seconds:
    description: The most that one call may take.
    type: float
    default: 5
extends_documentation_fragment:
  - levibot.transition.api
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
- name: Look at the models of the slot that serves
  levibot.transition.models_info:
    project: levibot-blue
    port: 8000
    dir: /var/lib/levibot/slots/blue/data/models
    date: "2025-10-14"
  register: models

- name: Say what is not as wanted
  ansible.builtin.debug:
    msg: "{{ models.unverified }}"
  when: not models.verified
"""

RETURN = r"""
verified:
  description: Whether all is as wanted, on every instance.
  type: bool
  returned: always
unverified:
  description: What is not, in words.
  type: list
  elements: str
  returned: always
  sample: ["levibot-blue-api-1: tft 2025-10-14 is listed with found: false, which is a model that was not loaded"]
link_problems:
  description: Those of them that are about the links.
  type: list
  elements: str
  returned: always
  sample: ["the link current dangles: 2025-10-14 is not there"]
mistakes:
  description: What a rollback would have to be refused for, each with where it is, what was found and what to do.
  type: list
  elements: dict
  returned: always
  sample:
    - path: models_date
      found: "2025-10-13: not among the dated directories of /var/lib/levibot/slots/blue/data/models (2025-10-14, 2025-10-15)"
      fix: give one of them
directories:
  description: The dated directories, the oldest first.
  type: list
  elements: str
  returned: always
  sample: ["2025-10-14", "2025-10-15"]
links:
  description: The links below the directory, each with its target as it is written.
  type: dict
  returned: always
  sample: {current: 2025-10-15}
wanted_links:
  description: The links as they should be; empty with O(script).
  type: dict
  returned: always
  sample: {current: 2025-10-14}
loaded:
  description: The version of each model that was found, as the first instance that answers says.
  type: dict
  returned: always
  sample: {lgbm: "2025-10-15", tft: "2025-10-15"}
instances:
  description: The instances, each with what it answered.
  type: list
  elements: dict
  returned: always
  sample:
    - name: levibot-blue-api-1
      address: 172.18.0.2
      running: true
      models: {lgbm: {version: "2025-10-15", found: true}}
      inferences: 812
      live: ""
proof:
  description: What an answer as wanted proves, and what it does not.
  type: str
  returned: always
"""

import contextlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils import models
from ansible_collections.levibot.transition.plugins.module_utils.http import Client, HttpError
from ansible_collections.levibot.transition.plugins.module_utils.levibot import options

POLL_SECONDS = 0.5
DOCKER_SECONDS = "20"
LINK_DEPTH = 3

ARGUMENT_SPEC: dict[str, Any] = {
    "project": {"type": "str", "required": True},
    "service": {"type": "str", "default": "api"},
    "port": {"type": "int", "required": True},
    "dir": {"type": "path", "required": True},
    "date": {"type": "str", "required": True},
    "version": {"type": "str"},
    "names": {"type": "list", "elements": "str", "default": []},
    "link": {"type": "str", "default": "current"},
    "target": {"type": "str", "default": "{date}"},
    "script": {"type": "path"},
    "versions": {"type": "dict"},
    "links": {"type": "dict"},
    "health_path": {"type": "str", "default": "/health"},
    "models_path": {"type": "str", "default": "/ai/models"},
    "engines_path": {"type": "str", "default": "/engines/status"},
    "live_path": {"type": "str", "default": "/live/status"},
    "metrics_paths": {"type": "list", "elements": "str", "default": ["/metrics", "/metrics/prom"]},
    "inference_metric": {"type": "str", "default": "levi_inference_latency_seconds_count"},
    **options.CREDENTIALS,
    "interrupt_live": {"type": "bool", "default": False},
    "wait_seconds": {"type": "float", "default": 0},
    "loading_seconds": {"type": "float", "default": 15},
    "inference_seconds": {"type": "float", "default": 60},
    "call_timeout_seconds": {"type": "float", "default": 5},
}


class Host:
    """This host's directory and engine, and the instances' answers."""

    def __init__(self, module: AnsibleModule) -> None:
        self.wanted = module.params
        self._module = module
        self._client = Client(
            timeout=self.wanted["call_timeout_seconds"],
            retries=0,
            token=self.wanted["token"],
            headers=options.texts(self.wanted["headers"]),
        )

    def directories(self) -> list[str]:
        try:
            with os.scandir(self.wanted["dir"]) as found:
                return models.dated(entry.name for entry in found if entry.is_dir(follow_symlinks=False))
        except OSError:
            return []

    def links(self) -> dict[str, tuple[str, bool, float]]:
        """Each link's target, whether that is there, and when the link was made."""
        root, found = self.wanted["dir"], {}
        for folder, folders, files in os.walk(root):
            below = os.path.relpath(folder, root)
            if below.count(os.sep) >= LINK_DEPTH - 1:
                folders.clear()
            for name in folders + files:
                path = Path(folder, name)
                if path.is_symlink():
                    found[str(Path(below, name))] = (str(path.readlink()), resolves(path), path.lstat().st_mtime)
        return found

    def containers(self) -> list[models.Container]:
        labels = {"project": self.wanted["project"], "service": self.wanted["service"], "oneoff": "False"}
        filters = [word for name, value in labels.items() for word in ("--filter", f"label=com.docker.compose.{name}={value}")]
        ids = self._docker("ps", "--all", "--quiet", "--no-trunc", *filters).split()
        return models.containers(json.loads(self._docker("inspect", *ids))) if ids else []

    def _docker(self, *arguments: str) -> str:
        _rc, out, _err = self._module.run_command(["timeout", DOCKER_SECONDS, "docker", *arguments], check_rc=True)
        return str(out)

    def ask(self, container: models.Container) -> dict[str, Any]:
        """What an instance answers; what it does not answer is None, with the reason under ``problems``."""
        seen: dict[str, Any] = {"problems": [], "cards": None, "engines": None, "status": None, "inferences": None}
        if not container.running or not container.address:
            seen["problems"].append("it does not run" if not container.running else "its container has no address of its own")
            return seen
        if container.health not in ("", "healthy"):
            seen["problems"].append(f"its container is {container.health}")
        try:
            self._get(container, "health_path")
            seen["cards"] = models.cards(self._get(container, "models_path").json())
        except (HttpError, models.AnswerError) as problem:
            shown = str(problem) if isinstance(problem, HttpError) else f"{self.wanted['models_path']}: {problem}"
            seen["problems"].append(shown)
        for name, path in (("engines", "engines_path"), ("status", "live_path")):
            with contextlib.suppress(HttpError):  # None counts as live
                seen[name] = self._get(container, path).json()
        seen["inferences"] = self.inferences(container)
        return seen

    def inferences(self, container: models.Container) -> float | None:
        for path in self.wanted["metrics_paths"] if self.wanted["inference_metric"] else []:
            with contextlib.suppress(HttpError):
                text = self._client.get(f"http://{container.address}:{self.wanted['port']}{path}").body.decode("utf-8", "replace")
                return models.counted(text, self.wanted["inference_metric"])
        return None

    def _get(self, container: models.Container, path: str) -> Any:
        return self._client.get(f"http://{container.address}:{self.wanted['port']}{self.wanted[path]}")


def resolves(link: Path) -> bool:
    try:
        return link.exists()
    except OSError:  # a link to itself
        return False


def look(host: Host, clock: Any = time.monotonic, sleep: Any = time.sleep) -> dict[str, Any]:
    """Looks until all but the inference is as wanted or the time is over, then waits for an inference."""
    until = clock() + host.wanted["wait_seconds"]
    answered = False
    while True:
        containers = host.containers()
        with ThreadPoolExecutor(max(1, len(containers))) as pool:
            answers = list(pool.map(host.ask, containers))
        seen = judge(host.wanted, host.directories(), host.links(), containers, answers)
        if not answered and answers and all(answer["cards"] and not answer["problems"] for answer in answers):
            answered, until = True, min(until, clock() + host.wanted["loading_seconds"])
        if not seen["unverified"] or clock() >= until:
            break
        sleep(POLL_SECONDS)
    if not seen["unverified"] and host.wanted["inference_metric"]:
        seen["unverified"] = silent(host, containers, answers, clock, sleep)
    return finished(host.wanted, seen)


def silent(host: Host, containers: list[models.Container], answers: list[dict[str, Any]], clock: Any, sleep: Any) -> list[str]:
    """The instances that make no inference in their time."""
    waiting = {container: answer["inferences"] for container, answer in zip(containers, answers)}
    metric, seconds = host.wanted["inference_metric"], host.wanted["inference_seconds"]
    until = clock() + seconds
    while True:
        for container, before in list(waiting.items()):
            now = host.inferences(container)
            if now is not None and before is not None and now > before:
                del waiting[container]
            else:
                waiting[container] = before if before is not None else now
        if not waiting or clock() >= until:
            break
        sleep(POLL_SECONDS)
    return [
        f"{container.name}: "
        + (f"{metric} stood still for {seconds:g} s: no inference was made" if before is not None else f"it exports no {metric}")
        for container, before in waiting.items()
    ]


def judge(
    wanted: dict[str, Any],
    directories: list[str],
    links: dict[str, tuple[str, bool, float]],
    containers: list[models.Container],
    answers: list[dict[str, Any]],
) -> dict[str, Any]:
    """Everything that was seen against everything that is wanted."""
    listed = [answer["cards"] for answer in answers if answer["cards"]]
    known = sorted({name for cards in listed for name in cards})
    names = wanted["names"] or known
    aims, mistakes = planned(wanted, directories, known)
    versions = wanted["versions"] if wanted["versions"] is not None else dict.fromkeys(names, wanted["version"] or wanted["date"])
    wrong_links = link_problems(wanted, links, aims)
    unverified = list(wrong_links)
    changed_at = max((made for path, (_target, _there, made) in links.items() if path in aims or not aims), default=0.0)
    if not containers:
        mistakes.append(
            mistake(
                "levibot_services",
                f"there is no container of {wanted['service']} in {wanted['project']}",
                "name the slot that serves (models_slot), or deploy a release into it",
            )
        )
        unverified.append(f"there is no container of {wanted['service']}")
    instances = []
    for container, answer in zip(containers, answers):
        reasons = list(answer["problems"])
        if container.running and container.started_at < changed_at:
            reasons.append("it was started before the links were last changed, and has not loaded what they lead to")
        if answer["cards"] is not None:
            reasons += models.differences(answer["cards"], versions)
        unverified += [f"{container.name}: {reason}" for reason in reasons]
        cards = {name: {"version": card.version, "found": card.found} for name, card in (answer["cards"] or {}).items()}
        instances.append(
            {
                "name": container.name,
                "address": container.address,
                "running": container.running,
                "models": cards,
                "inferences": answer["inferences"],
                "live": models.live_reason(answer["engines"], answer["status"]) if container.running else "",
            }
        )
    return {
        "mistakes": mistakes,
        "unverified": unverified,
        "link_problems": wrong_links,
        "directories": directories,
        "links": {path: target for path, (target, _there, _made) in links.items()},
        "wanted_links": {} if wanted["script"] else aims,
        "loaded": {name: card.version for name, card in (listed[0] if listed else {}).items() if card.found},
        "instances": instances,
    }


def planned(wanted: dict[str, Any], directories: list[str], known: list[str]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The links as they should be, and what stands in the way."""
    mistakes = []
    if wanted["links"] is not None:
        return wanted["links"], []
    if wanted["date"] not in directories:
        there = ", ".join(directories) or "there is none"
        found = f"{wanted['date'] or 'nothing'}: not among the dated directories of {wanted['dir']} ({there})"
        mistakes.append(mistake("models_date", found, "give one of them, such as -e models_date=2025-10-14, or set models_dir"))
    unknown = [name for name in wanted["names"] if not models.is_name(name) or (known and name not in known)]
    if unknown:
        found = f"{', '.join(unknown)}: not among the models that the API lists ({', '.join(known) or 'it lists none'})"
        mistakes.append(mistake("models_names", found, "name models that it lists, or leave models_names out for all"))
    if wanted["script"]:
        if not os.access(wanted["script"], os.X_OK) or Path(wanted["script"]).is_dir():
            found = f"{wanted['script']} is not there, or cannot be executed"
            mistakes.append(mistake("models_script", found, "give the script's path on this host, or none to have the links swapped"))
        return {}, mistakes
    if wanted["names"] and "{name}" not in wanted["link"] and set(known) - set(wanted["names"]):
        found = f"{', '.join(wanted['names'])}, and the link {wanted['link']} moves all models ({', '.join(known)}) together"
        mistakes.append(mistake("models_names", found, "leave models_names out, or give a link for each model (models_link with {name})"))
    try:
        aims = models.wanted_links(wanted["link"], wanted["target"], wanted["date"], wanted["names"] or known)
    except ValueError as problem:
        return {}, [*mistakes, mistake("models_link", str(problem), "write paths below models_dir")]
    for path, aim in aims.items():
        place = Path(wanted["dir"], path)
        if place.exists() and not place.is_symlink():
            mistakes.append(mistake("models_link", f"{place} is there and no link", "set models_link to the link that the release loads"))
        if wanted["date"] in directories and not (place.parent / aim).exists():
            mistakes.append(mistake("models_target", f"{path} would lead to {aim}, which is not there", "give a date that is whole"))
    return aims, mistakes


def link_problems(wanted: dict[str, Any], links: dict[str, tuple[str, bool, float]], aims: dict[str, str]) -> list[str]:
    wrong = []
    for path, aim in aims.items():
        target, there, _made = links.get(path, ("", False, 0.0))
        if target != aim:
            wrong.append(f"the link {path} leads to {target or 'nothing'}, wanted {aim}")
        elif not there and wanted["links"] is None:
            wrong.append(f"the link {path} dangles: {aim} is not there")
    if wanted["script"] and wanted["links"] is None:
        wrong += [f"the link {path} dangles: {target} is not there" for path, (target, there, _made) in links.items() if not there]
        place = Path(wanted["dir"], wanted["date"]).resolve()
        resolved = [Path(wanted["dir"], path).resolve() for path, (_target, there, _made) in links.items() if there]
        if links and not any(place in (path, *path.parents) for path in resolved):
            wrong.append(f"no link leads into {wanted['date']}")
    return wrong


def finished(wanted: dict[str, Any], seen: dict[str, Any]) -> dict[str, Any]:
    verified = not seen["unverified"]
    live = [f"{item['name']}: {item['live']}" for item in seen["instances"] if item["live"]]
    if live and not verified and not wanted["interrupt_live"]:
        fix = "stop the live engines first, or accept that a restart interrupts them: -e models_interrupt_live=true"
        seen["mistakes"].append(mistake("models_interrupt_live", "; ".join(live), fix))
    return {**seen, "verified": verified, "proof": proof(wanted, seen)}


def proof(wanted: dict[str, Any], seen: dict[str, Any]) -> str:
    newest = seen["directories"][-1:] == [wanted["date"]]
    said = (
        "every instance was started after the links were changed, says that it found each model at its version"
        + (", and made an inference after that" if wanted["inference_metric"] else "")
        + "."
    )
    left = (
        f"that the answer tells of what is loaded: {wanted['date']} is the newest directory, whose card a release may show in any case"
        if newest
        else "which file an inference was made with"
    )
    if not wanted["inference_metric"]:
        left += ", and that an inference works (models_inference_metric is empty)"
    return f"Proven: {said} Not proven: {left}."


def mistake(path: str, found: str, fix: str) -> dict[str, str]:
    return {"path": path, "found": found, "fix": fix}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, required_together=[("versions", "links")])
    try:
        module.exit_json(changed=False, **look(Host(module)))
    except models.AnswerError as problem:
        module.fail_json(msg=str(problem))


if __name__ == "__main__":
    main()
