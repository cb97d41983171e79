# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kill switch of all API instances of a slot on this host, found through the Docker Engine."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils import docker_engine
from ansible_collections.levibot.transition.plugins.module_utils.docker_engine import Container, Engine, EngineError
from ansible_collections.levibot.transition.plugins.module_utils.http import Client
from ansible_collections.levibot.transition.plugins.module_utils.levibot import forms, options
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import Api, LiveInstance
from ansible_collections.levibot.transition.plugins.module_utils.levibot.kill import Procedure, Reading, Result, Timeline
from ansible_collections.levibot.transition.plugins.module_utils.levibot.live import signs_of_live
from ansible_collections.levibot.transition.plugins.module_utils.levibot.processes import Processes

# The options that everything which throws the switch has. Documented in doc_fragments/kill.py.
THROWING: dict[str, Any] = {
    "service": {"type": "str", "default": "api"},
    "port": {"type": "int", "default": 8000},
    "published": {"type": "dict", "default": {}},
    "reason": {"type": "str"},
    **options.CREDENTIALS,
    **options.SPELLING,
    "timeout_seconds": {"type": "float", "default": 5.0},
    "call_timeout_seconds": {"type": "float", "default": 1.0},
    **options.READ_BACK,
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
            "changed": self.changed,
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


def _show(instances: list[Instance], *, after: bool, state: str) -> str:
    """For the difference."""
    lines = []
    for one in instances:
        text = one.first.text if one.first != Reading() else one.detail
        if after and one.changed:
            wanted = "switch on, engines none running" if state == "thrown" else "switch off"
            text = wanted if one.outcome in ("confirmed", "released", "planned") else f"container {one.outcome}"
        lines.append(f"{one.container.name}: {text}\n")
    return "".join(lines)


def operate(params: dict[str, Any], *, check_mode: bool) -> tuple[dict[str, Any], str]:
    """What the switch was brought to, as kill_switch returns it, and what failed in words; empty where nothing did."""
    began = time.monotonic()
    switch: Switch | None = None
    try:
        switch = Switch(params, Engine(os.environ.get("DOCKER_HOST", ""), ENGINE_SECONDS), check_mode=check_mode)
        instances = switch.run()
    except forms.FormError as problem:
        return _unknown(began, None), f"forms.{problem}. Nothing was done."
    except EngineError as problem:
        thrown = switch.throw_blindly() if switch and params["state"] == "thrown" and not check_mode else []
        also = f" The switch was thrown all the same where one process hears it ({'; '.join(thrown)})." if thrown else ""
        return {**_unknown(began, switch), "changed": bool(thrown)}, (
            f"{problem}. Which instances there are is not known, so none of them is confirmed.{also} Make the engine answer and "
            "run this again, or end the slot's processes on this host by hand."
        )
    failed = [one for one in instances if one.outcome == "failed"]
    what = "; ".join(f"{one.container.name}: {one.detail}" for one in failed)
    return {
        "changed": any(one.changed for one in instances),
        "confirmed": not failed and all(one.outcome != "planned" for one in instances),
        "instances": [one.to_dict() for one in instances],
        **switch.calls(),
        "seconds": round(time.monotonic() - began, 3),
        "diff": {
            "before": _show(instances, after=False, state=params["state"]),
            "after": _show(instances, after=True, state=params["state"]),
        },
    }, f"The kill switch is not known to be {params['state']} everywhere: {what}" if failed else ""


def _unknown(began: float, switch: Switch | None) -> dict[str, Any]:
    return {
        "changed": False,
        "confirmed": False,
        "instances": [],
        **(switch.calls() if switch else {"calls": [], "unanswered": []}),
        "seconds": round(time.monotonic() - began, 3),
    }
