#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Throws, releases or reads the kill switch of every API instance of a slot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kill_switch
short_description: Throw the kill switch on every API instance of a slot, and see that it holds
version_added: 0.3.0
description:
  - Finds every container of the service in the Compose projects through the Docker Engine's socket, and addresses each by its own
    address, all at the same time.
  - V(thrown) throws the switch in the form that the instance takes, stops all engines, and reads both back on new connections until
    O(confirm_reads) readings in a row agree over O(quiet_seconds). The state may be per process, so each process that serves has to have
    been among those readings where this host can tell them apart. No order may have followed, where the instance has a book to read.
  - An instance that does not confirm within O(timeout_seconds) is paused, and then ended, as its engine verifies. What was answered with
    200 and not read back is never reported as confirmed.
  - V(released) is a separate act with a O(reason) and a name, O(who). It starts no engine.
  - An instance that is as it should be already is left alone.
options:
  state:
    description:
      - V(thrown) as above. V(released) takes the switch back, and fails where the readings do not agree on that.
      - V(read) only reads.
    type: str
    choices: [thrown, released, read]
    default: thrown
  projects:
    description: The Compose projects, which are the slots.
    type: list
    elements: str
    required: true
  live_projects:
    description:
      - More Compose projects, with O(state=thrown) only. Their instances are killed where a live engine runs, and left alone where all
        trade on paper. By project the path of a file on this host that is there while its engines may be live. Where the file is there
        all are killed, since a start may be on its way that no reading shows; without it those that cannot be read count as not live.
    type: dict
    default: {}
  service:
    description: The service whose containers are the instances.
    type: str
    default: api
  port:
    description: The port inside the container.
    type: int
    default: 8000
  published:
    description:
      - Where each project's API is published on this host, by project. With O(state=thrown) the switch is thrown there where the Engine
        does not answer, so that it is not the reason why nobody was told. The module fails all the same, since one process of one instance
        hears it and no container can be ended.
    type: dict
    default: {}
  reason:
    description: Why. Goes to the instance, and into its audit log. Required with O(state=released).
    type: str
  who:
    description: The name of the person who releases the switch. Required with O(state=released).
    type: str
  timeout_seconds:
    description: How long an instance has to confirm.
    type: float
    default: 5
  call_timeout_seconds:
    description: How long one call may take.
    type: float
    default: 1
  confirm_reads:
    description: How many readings in a row have to agree.
    type: int
    default: 8
  quiet_seconds:
    description: How long these readings have to span, at least.
    type: float
    default: 0.3
  unconfirmed:
    description:
      - What becomes of an instance that does not confirm. V(end) pauses and then ends its container, so that it cannot come alive
        again; V(pause) leaves it paused, for who wants to look into it.
      - V(leave) touches no container, and the module fails. For a rehearsal on a slot that serves, where nothing is live.
    type: str
    choices: [end, pause, leave]
    default: end
extends_documentation_fragment:
  - levibot.transition.api
  - levibot.transition.api.spelling
attributes:
  check_mode:
    description: Only reads then, and says what would be done.
    support: full
  diff_mode:
    description: Shows switch and engines of each instance before and after.
    support: full
notes:
  - The engine is the one that C(DOCKER_HOST) names, by C(unix://) or C(tcp://).
author:
  - levibot.transition contributors (@levibot)
"""

EXAMPLES = r"""
- name: Kill the candidate
  levibot.transition.kill_switch:
    projects: [levibot-green]
    token: "{{ levibot_admin_token }}"
    reason: emergency rollback

- name: Release it again
  levibot.transition.kill_switch:
    state: released
    projects: [levibot-green]
    token: "{{ levibot_admin_token }}"
    reason: the wrong PnL was a wrong dashboard
    who: Maria Weber
"""

RETURN = r"""
confirmed:
  description:
    - Whether each instance is as it was asked for, or cannot act. With O(state=thrown) those that are confirmed, paused, stopped or not
      running.
    - False in check mode where something would be done.
  returned: always
  type: bool
instances:
  description: Each instance.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The container's name.
      type: str
    project:
      description: Its Compose project.
      type: str
    outcome:
      description:
        - V(confirmed), V(paused), V(stopped), V(not_running) or V(failed) with O(state=thrown); V(left) is one of O(live_projects) that
          trades on paper.
        - V(released), V(not_running) or V(failed) with O(state=released); V(read), V(not_running) or V(failed) with O(state=read).
        - V(planned) in check mode where something would be done.
      type: str
    detail:
      description: Why, in words; what the switch and the engines were like where nothing is to be explained.
      type: str
    killed:
      description: Whether the switch was on before. Null where it could not be read.
      type: bool
    running:
      description: The engines that ran before. Null where they could not be read.
      type: list
      elements: str
    processes:
      description: How many processes serve the instance. Null where this host cannot tell.
      type: int
    timeline:
      description: What happened, and when, in seconds since the module began.
      type: list
      elements: dict
  sample:
    - name: levibot-green-api-1
      project: levibot-green
      outcome: confirmed
      detail: read back as wanted
      killed: false
      running: [BTC/USDT, ETH/USDT]
      processes: 2
      timeline:
        - {at_seconds: 0.021, event: "switch off, engines running BTC/USDT, ETH/USDT"}
        - {at_seconds: 0.034, event: "kill: POST /live/kill?on=true&reason=$reason; stop_engines: POST /engines/stop_all"}
        - {at_seconds: 0.361, event: read back as wanted}
calls:
  description:
    - Every request that was to change something and was answered, as it has to be in LeviBot's audit log, without its reason; with the
      C(instance) that it went to.
  returned: always
  type: list
  elements: dict
  sample:
    - at: 1764450000.123
      method: POST
      path: /live/kill
      query: {"on": "true"}
      status: 200
      call: kill
      symbol: ""
      instance: levibot-green-api-1
unanswered:
  description: The same of those that got no answer, which may be in that log.
  returned: always
  type: list
  elements: dict
  sample: []
seconds:
  description: How long all of it took.
  returned: always
  type: float
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils import docker_engine
from ansible_collections.levibot.transition.plugins.module_utils.docker_engine import Container, Engine, EngineError
from ansible_collections.levibot.transition.plugins.module_utils.http import Client
from ansible_collections.levibot.transition.plugins.module_utils.levibot import forms, options
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import Api, LiveInstance
from ansible_collections.levibot.transition.plugins.module_utils.levibot.kill import Procedure, Reading, Result, Timeline
from ansible_collections.levibot.transition.plugins.module_utils.levibot.live import signs_of_live
from ansible_collections.levibot.transition.plugins.module_utils.levibot.processes import Processes

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["thrown", "released", "read"], "default": "thrown"},
    "projects": {"type": "list", "elements": "str", "required": True},
    "live_projects": {"type": "dict", "default": {}},
    "service": {"type": "str", "default": "api"},
    "port": {"type": "int", "default": 8000},
    "published": {"type": "dict", "default": {}},
    "reason": {"type": "str"},
    "who": {"type": "str"},
    **options.CREDENTIALS,
    **options.SPELLING,
    "timeout_seconds": {"type": "float", "default": 5.0},
    "call_timeout_seconds": {"type": "float", "default": 1.0},
    "confirm_reads": {"type": "int", "default": 8},
    "quiet_seconds": {"type": "float", "default": 0.3},
    "unconfirmed": {"type": "str", "choices": ["end", "pause", "leave"], "default": "end"},
}
DEFAULT_REASON = "emergency rollback"
WORST_ATTEMPTS = 3
ENGINE_SECONDS = 5.0


@dataclass
class Instance:
    """One container, and what became of it."""

    container: Container
    timeline: Timeline
    outcome: str = "failed"
    detail: str = ""
    changed: bool = False
    first: Reading = field(default_factory=Reading)
    processes: int | None = None

    def ends(self, outcome: str, detail: str, changed: bool) -> Instance:
        self.outcome, self.detail, self.changed = outcome, detail, changed
        return self

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.container.name,
            "project": self.container.project,
            "outcome": self.outcome,
            "detail": self.detail,
            "killed": self.first.killed,
            "running": None if self.first.running is None else list(self.first.running),
            "processes": self.processes,
            "timeline": self.timeline.events,
        }


class Switch:
    """The switch of all instances on this host."""

    def __init__(self, params: dict[str, Any], engine: Engine, *, check_mode: bool) -> None:
        self._params = params
        self._engine = engine
        self._check = check_mode
        self._overrides = options.overrides(params)
        self._asked: list[tuple[str, Api]] = []
        self._began = time.monotonic()
        self._reason = params["reason"] or DEFAULT_REASON
        if params["state"] == "released":
            self._reason = f"{self._reason} (released by {params['who']})"

    def run(self) -> list[Instance]:
        """All instances. Containers that are started meanwhile are looked for again, a few times."""
        done: dict[str, Instance] = {}
        for _attempt in range(WORST_ATTEMPTS):
            new = [container for container in self._containers() if container.id not in done]
            if not new:
                break
            with ThreadPoolExecutor(len(new)) as pool:
                done.update((instance.container.id, instance) for instance in pool.map(self._one, new))
            if self._params["state"] != "thrown" or self._check:
                break
        return sorted(done.values(), key=lambda instance: instance.container.name)

    def _containers(self) -> list[Container]:
        wanted = [*self._params["projects"], *(self._params["live_projects"] if self._params["state"] == "thrown" else ())]
        return [one for project in dict.fromkeys(wanted) for one in self._engine.containers(project, self._params["service"])]

    def _one(self, container: Container) -> Instance:
        instance = Instance(container, Timeline(time.monotonic, self._began))
        try:
            return getattr(self, f"_{self._params['state']}")(instance)
        except EngineError as problem:
            return instance.ends("failed", str(problem), changed=False)

    def _thrown(self, instance: Instance) -> Instance:
        state = instance.container.state
        if state == docker_engine.PAUSED:
            return self._frozen(instance)
        if state not in (docker_engine.RUNNING, docker_engine.RESTARTING):
            return instance.ends("not_running", f"its container is {state}", changed=False)
        if self._is_spared(instance):
            return instance
        if self._check:
            return self._planned(instance)
        why = "its container is between two restarts"
        if state == docker_engine.RUNNING:
            try:
                result = self._ask(instance).run(on=True)
            except EngineError:
                raise
            except Exception as problem:  # whatever it answers, one that does not confirm must not be able to act
                why = f"what it answers cannot be read ({problem!r:.200})"
            else:
                instance.first, why = result.first, result.reason
                if result.confirmed:
                    return instance.ends("confirmed", "read back as wanted", changed=result.acted)
        return self._silence(instance, why)

    def _frozen(self, instance: Instance) -> Instance:
        """One that is paused has heard of no kill: once somebody unpauses it, its engines go on where they stood."""
        why = "its container is paused"
        if self._params["unconfirmed"] != "end":
            return instance.ends("paused", why, changed=False)
        if self._check:
            return instance.ends("planned", f"it would be ended: {why}, and its engines would go on once it is not", changed=True)
        ended, told = self._attempt(instance, "ended", self._engine.end, lambda state: not state.get("Running"))
        if ended:
            return instance.ends("stopped", f"{why}, and its engines would go on once it is not", changed=True)
        return instance.ends("paused", f"{why}; it could not be ended: {told}", changed=True)

    def _is_spared(self, instance: Instance) -> bool:
        """Whether it is one that is killed only where it trades live, and does not."""
        project, also = instance.container.project, self._params["live_projects"]
        if project in self._params["projects"] or project not in also:
            return False
        if Path(str(also[project])).exists():
            instance.timeline.add(f"{also[project]} says that its engines may be live")
            return False
        live, doubt = [], f"its container is {instance.container.state}"
        if instance.container.state == docker_engine.RUNNING:
            api = self._api(instance.container.name, self._url(instance.container), time.monotonic() + self._params["timeout_seconds"])
            live, doubt = signs_of_live(api, self._params["confirm_reads"])
        if live:
            instance.timeline.add(f"live: {', '.join(live)}")
            return False
        instance.ends("left", f"no live engine was seen{f' ({doubt})' if doubt else ''}", changed=False)
        return True

    def _planned(self, instance: Instance) -> Instance:
        if instance.container.state == docker_engine.RESTARTING:
            return instance.ends("planned", "it would be stopped: it is between two restarts", changed=True)
        result = self._read_one(instance)
        if result.confirmed and result.first.killed and result.first.running == ():
            return instance.ends("confirmed", result.first.text, changed=False)
        return instance.ends("planned", f"it would be killed: {result.reason or result.first.text}", changed=True)

    def _released(self, instance: Instance) -> Instance:
        state = instance.container.state
        if state in (docker_engine.PAUSED, docker_engine.RESTARTING):
            what = "unpause or remove it first" if state == docker_engine.PAUSED else "it has to run first"
            return instance.ends("failed", f"its container is {state}: {what}", changed=False)
        if state != docker_engine.RUNNING:
            return instance.ends("not_running", f"its container is {state}", changed=False)
        if self._check:
            result = self._read_one(instance)
            if result.confirmed and result.first.killed is False:
                return instance.ends("released", result.first.text, changed=False)
            return instance.ends("planned", f"it would be released: {result.reason or result.first.text}", changed=True)
        result = self._ask(instance).run(on=False)
        instance.first = result.first
        if result.confirmed:
            return instance.ends("released", "read back as wanted", changed=result.acted)
        return instance.ends("failed", f"not released for certain: {result.reason}", changed=result.acted)

    def _read(self, instance: Instance) -> Instance:
        if instance.container.state != docker_engine.RUNNING:
            return instance.ends("not_running", f"its container is {instance.container.state}", changed=False)
        result = self._read_one(instance)
        return instance.ends("read" if result.confirmed else "failed", result.reason or result.first.text, changed=False)

    def _read_one(self, instance: Instance) -> Result:
        result = self._ask(instance).read()
        instance.first = result.first
        return result

    def _ask(self, instance: Instance) -> Procedure:
        """The procedure on the instance's own address."""
        params, until = self._params, time.monotonic() + self._params["timeout_seconds"]
        processes = None
        if self._engine.is_here:
            pid = self._engine.inspect(instance.container.id).get("Pid") or 0
            processes = Processes(pid, instance.container.id, params["port"]) if pid else None
        live = self._live(instance.container.name, self._url(instance.container), until, processes)
        serving = live.workers()
        instance.processes = len(serving) if serving else None
        return self._procedure(live, instance.timeline, until)

    def _url(self, container: Container) -> str:
        host = container.address
        return f"http://{f'[{host}]' if ':' in host else host}:{self._params['port']}"

    def _api(self, name: str, url: str, until: float) -> Api:
        params = self._params
        client = Client(
            timeout=params["call_timeout_seconds"],
            retries=0,
            token=params["token"],
            headers=options.texts(params["headers"]),
            proxies=False,
        )
        api = Api(url, client, overrides=self._overrides, prefix=params["prefix"], deadline=until)
        self._asked.append((name, api))
        return api

    def _live(self, name: str, url: str, until: float, processes: Processes | None = None) -> LiveInstance:
        return LiveInstance(self._api(name, url, until), self._reason, processes)

    def calls(self) -> dict[str, list[dict[str, Any]]]:
        """{calls, unanswered}: what was sent to change something, each with the instance that it went to, in the order of time."""
        found = {
            "calls": [{**call, "instance": name} for name, api in self._asked for call in api.calls],
            "unanswered": [{**call, "instance": name} for name, api in self._asked for call in api.unanswered],
        }
        return {name: sorted(calls, key=lambda call: call["at"]) for name, calls in found.items()}

    def _procedure(self, live: LiveInstance, timeline: Timeline, until: float) -> Procedure:
        reads, quiet_seconds = self._params["confirm_reads"], self._params["quiet_seconds"]
        return Procedure(live, timeline, until, reads, quiet_seconds, time.monotonic, time.sleep)

    def throw_blindly(self) -> list[str]:
        """What can be done without the Engine: throws the switch at the slots' published addresses, and says what came of each.

        One process of one instance hears it, and the container cannot be ended, so this is better than nothing and never a confirmation.
        """
        maybe_live = [project for project, path in self._params["live_projects"].items() if Path(str(path)).exists()]
        wanted = (*self._params["projects"], *maybe_live)
        published = {project: url for project, url in self._params["published"].items() if project in wanted}
        until = time.monotonic() + self._params["timeout_seconds"]

        def throw(project: str) -> str:
            live = self._live(project, published[project], until)
            result = self._procedure(live, Timeline(time.monotonic, self._began), until).run(on=True)
            return f"{project} at {published[project]}: {'switch on, engines none running' if result.confirmed else result.reason}"

        with ThreadPoolExecutor(max(1, len(published))) as pool:
            return list(pool.map(throw, sorted(published)))

    def _silence(self, instance: Instance, why: str) -> Instance:
        """Pause, then end: an instance that does not confirm must not be able to act."""
        if self._params["unconfirmed"] == "leave":
            return instance.ends("failed", f"{why}; its container was left alone, as asked", changed=True)
        paused, told = self._attempt(instance, "paused", self._engine.pause, lambda state: bool(state.get("Paused")))
        if paused and self._params["unconfirmed"] == "pause":
            return instance.ends("paused", why, changed=True)
        # A paused process never runs again when it is killed; one between two restarts cannot be paused, and is stopped.
        how = self._engine.end if paused else self._engine.stop
        ended, also = self._attempt(
            instance, "ended", how, lambda state: not state.get("Running") and state.get("Status") != docker_engine.RESTARTING
        )
        if ended:
            return instance.ends("stopped", why, changed=True)
        if paused:
            return instance.ends("paused", f"{why}; it could not be ended: {also}", changed=True)
        return instance.ends("failed", f"{why}; it could be neither paused ({told}) nor ended ({also}): end it by hand", changed=True)

    def _attempt(self, instance: Instance, word: str, act: Any, achieved: Any) -> tuple[bool, str]:
        """Have the engine do it, and see it done: what it answers is not what counts."""
        refusal = ""
        try:
            act(instance.container.id)
        except EngineError as problem:
            refusal = str(problem)
        until = time.monotonic() + (0.0 if refusal else ENGINE_SECONDS)
        while True:
            try:
                state = self._engine.inspect(instance.container.id)
                done, told = achieved(state), refusal or f"its state is {state.get('Status', 'unknown')}"
            except EngineError as problem:
                done, told = False, str(problem)
            if done or time.monotonic() >= until:
                instance.timeline.add(f"container {word}" if done else f"container not {word}: {told}")
                return done, told
            time.sleep(0.05)


def show(instances: list[Instance], *, after: bool, state: str) -> str:
    """For the difference."""
    lines = []
    for one in instances:
        text = one.first.text if one.first != Reading() else one.detail
        if after and one.changed:
            wanted = "switch on, engines none running" if state == "thrown" else "switch off"
            text = wanted if one.outcome in ("confirmed", "released", "planned") else f"container {one.outcome}"
        lines.append(f"{one.container.name}: {text}\n")
    return "".join(lines)


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=[("state", "released", ("reason", "who"))], supports_check_mode=True)
    params = module.params
    if params["state"] == "released" and not (params["reason"].strip() and params["who"].strip()):
        module.fail_json(msg="A release needs a reason and a name: set reason and who. Nothing was released.")
    began = time.monotonic()
    switch: Switch | None = None
    try:
        switch = Switch(params, Engine(os.environ.get("DOCKER_HOST", ""), ENGINE_SECONDS), check_mode=module.check_mode)
        instances = switch.run()
    except forms.FormError as problem:
        module.fail_json(msg=f"forms.{problem}. Nothing was done.")
    except EngineError as problem:
        thrown = switch.throw_blindly() if switch and params["state"] == "thrown" and not module.check_mode else []
        also = f" The switch was thrown all the same where one process hears it ({'; '.join(thrown)})." if thrown else ""
        module.fail_json(
            msg=f"{problem}. Which instances there are is not known, so none of them is confirmed.{also} Make the engine answer and "
            "run this again, or end the slot's processes on this host by hand.",
            changed=bool(thrown),
            confirmed=False,
            instances=[],
            **(switch.calls() if switch else {"calls": [], "unanswered": []}),
        )
    failed = [one for one in instances if one.outcome == "failed"]
    result: dict[str, Any] = {
        "changed": any(one.changed for one in instances),
        "confirmed": not failed and all(one.outcome != "planned" for one in instances),
        "instances": [one.to_dict() for one in instances],
        **switch.calls(),
        "seconds": round(time.monotonic() - began, 3),
        "diff": {
            "before": show(instances, after=False, state=params["state"]),
            "after": show(instances, after=True, state=params["state"]),
        },
    }
    if failed:
        what = "; ".join(f"{one.container.name}: {one.detail}" for one in failed)
        module.fail_json(msg=f"The kill switch is not known to be {params['state']} everywhere: {what}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
