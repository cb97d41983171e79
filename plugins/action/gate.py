# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Soak a gate and judge it. Documented in plugins/modules/gate.py, since ansible-doc looks for actions there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.levibot.transition.plugins.module_utils import samples as seen
from ansible_collections.levibot.transition.plugins.module_utils.gates.judge import Judge
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import Look, Verdict
from ansible_collections.levibot.transition.plugins.module_utils.gates.record import questions
from ansible_collections.levibot.transition.plugins.module_utils.gates.words import explain
from ansible_collections.levibot.transition.plugins.module_utils.sources import Sources
from ansible_collections.levibot.transition.plugins.module_utils.sources.options import SOURCES, SUBJECT
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import Window
from ansible_collections.levibot.transition.plugins.plugin_utils import screen
from ansible_collections.levibot.transition.plugins.plugin_utils.owner import OrphanError, owner
from ansible_collections.levibot.transition.plugins.plugin_utils.recorder import Recorder, RecordError
from ansible_collections.levibot.transition.plugins.plugin_utils.soak import Hands, Samples, Soak, StoppedError

display = Display()

# Who stores or tells when something was, by a clock of its own.
TIMED = ("prometheus", "alertmanager")

ARGUMENTS: dict[str, Any] = {
    "gate": {"type": "dict", "required": True},
    "sources": SOURCES,
    "subject": SUBJECT,
    "observe_from": {"type": "str", "choices": ["controller", "target"], "default": "controller"},
    "started_at": {"type": "float"},
    "state": {"type": "dict"},
    "ledger": {"type": "dict", "options": {"path": {"type": "path", "required": True}, "rollout": {"type": "str", "required": True}}},
    "expires_at": {"type": "str", "default": ""},
    "unwatched_after": {"type": "float", "default": 0.0},
    "record_every": {"type": "float", "default": 15.0},
    "max_clock_skew_seconds": {"type": "float", "default": 2.0},
    "screen": {"type": "str", "choices": ["auto", "live", "plain", "quiet"], "default": "auto"},
}


class ActionModule(ActionBase):
    """Asks, judges, shows and records until the gate is decided."""

    _supports_async = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        args = self._arguments()
        if self._task.check_mode:
            return _unjudged(args["gate"])
        guard = Guard()
        run = _Run(args, self._asker(args, task_vars), self._recorder(args, task_vars), self._screen(args), screen.last_words(os.getppid()))
        with guard.watching():
            verdict = run.soak(guard)
        return self._conclude(args["gate"], verdict, run.result(verdict))

    def _arguments(self) -> dict[str, Any]:
        _checked, args = self.validate_argument_spec(ARGUMENTS)
        # Tagged values and containers of the templating engine end here: what is kept and returned are plain JSON types.
        return json.loads(json.dumps(args))

    def _conclude(self, gate: dict[str, Any], verdict: Verdict, result: dict[str, Any]) -> dict[str, Any]:
        if verdict.safe:
            return {**result, "failed": False}
        # A warning is for a limit that was seen to be broken. Nobody has agreed to go on unseen.
        if gate.get("on_fail") == "warn" and verdict.breach:
            display.warning(result["reason"])
            return {**result, "failed": False}
        raise AnsibleActionFail(result["reason"], result={**result, "failed": True})

    def _asker(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> Asker:
        if args["observe_from"] == "target":
            return _TargetAsker(args, lambda asked: self._execute_module("levibot.transition.measure", asked, task_vars=task_vars))
        return _ControllerAsker(args, self._task_environment())

    def _task_environment(self) -> dict[str, str]:
        """The task's ``environment:``, which ansible-core applies to modules only."""
        environment: dict[str, Any] = {}
        self._compute_environment_string(environment)
        return {str(name): str(value) for name, value in environment.items()}

    def _recorder(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> Recorder:
        ledger = args.get("ledger")
        try:
            here = owner().to_dict() if ledger else None
        except OrphanError as problem:
            raise AnsibleActionFail(str(problem), result={"lost": "orphan"}) from problem

        def write(entries: list[dict[str, Any]]) -> None:
            if not ledger:
                return
            asked = {"path": ledger["path"], "rollout": ledger["rollout"], "state": "recorded", "entries": entries, "owner": here}
            try:
                answer = self._execute_module("levibot.transition.ledger", asked, task_vars=task_vars)
            except AnsibleError as problem:
                raise RecordError(f"the ledger cannot be written: {problem}") from problem
            if answer.get("failed"):
                raise RecordError(f"the ledger cannot be written: {answer.get('msg', 'no reason given')}", answer.get("lost", ""))

        return Recorder(write, args["record_every"])

    def _screen(self, args: dict[str, Any]) -> screen.Screen:
        style, terminal = args["screen"], screen.terminal_of(os.getppid(), os.environ)
        if style == "quiet":
            return screen.Quiet()
        if style == "plain" or terminal is None:
            return screen.Plain(display.display, args["gate"])
        colored = screen.wants_color(os.environ, bool(constants.ANSIBLE_NOCOLOR))
        # Only on the screen: the redrawn block would fill a log file with control characters.
        return screen.Live(lambda text: display.display(text, screen_only=True), args["gate"], lambda: screen.columns_of(terminal), colored)


class Guard:
    """Says when to go: the one place for it. A signal interrupts whatever is being waited for, but never a writing into the ledger."""

    def __init__(self) -> None:
        self.reason = ""
        self._parent = os.getppid()
        self._shields = 0

    def __call__(self) -> None:
        # A controlling process that is killed leaves its workers alive, and nobody then acts on a verdict.
        if os.getppid() != self._parent:
            self.reason = self.reason or "the controlling process is gone"
        if self.reason:
            raise StoppedError(self.reason)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Handles the signals by which ansible-playbook ends its workers. An action runs in its worker's main thread."""
        before = {number: signal.signal(number, self._signalled) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def shielded(self) -> Iterator[None]:
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1

    def _signalled(self, number: int, _frame: Any) -> None:
        first = not self.reason
        self.reason = self.reason or f"{signal.Signals(number).name} was received"
        if first and not self._shields:
            raise StoppedError(self.reason)


class Asker:
    """Asks all checks about one window. ``state`` is what a continued soak needs to hand in."""

    def __init__(self, args: dict[str, Any]) -> None:
        self._args = args
        self.state: dict[str, Any] = (args.get("state") or {}).get("sources") or {}

    def __call__(self, started_at: float, at: float) -> Samples:
        """The samples of a look; errors where the store's clock shows that it would tell of other minutes than those of the window."""
        began = time.monotonic()
        found, there = self._ask(started_at, at)
        ahead = 0.0 if there is None else clock_skew(there, at, at + time.monotonic() - began)
        if abs(ahead) <= self._args["max_clock_skew_seconds"]:
            return found
        way = "ahead of" if ahead > 0 else "behind"
        why = f"Prometheus's clock is {abs(ahead):.1f} s {way} the control node's: bring both into step"
        timed = {check["id"] for check in self._args["gate"]["checks"] if check["source"] in TIMED}
        return {check_id: seen.error(why) if check_id in timed else sample for check_id, sample in found.items()}

    def _ask(self, started_at: float, at: float) -> tuple[Samples, float | None]:
        """The samples, and what Prometheus's clock showed meanwhile."""
        raise NotImplementedError  # whoever asks: the controller or the target, below


def clock_skew(there: float, earliest: float, latest: float) -> float:
    """By how many seconds at least a clock is ahead (below 0: behind) that showed `there` at some moment from `earliest` to `latest`."""
    return max(there - latest, 0.0) or min(there - earliest, 0.0)


class _ControllerAsker(Asker):
    def __init__(self, args: dict[str, Any], environment: dict[str, str]) -> None:
        super().__init__(args)
        self._sources = Sources(args["sources"], environment=environment)

    def _ask(self, started_at: float, at: float) -> tuple[Samples, float | None]:
        subject = self._args["subject"]
        window = Window(started_at, at, subject["slot"], subject["stable"])
        found, self.state = self._sources.ask(self._args["gate"]["checks"], window, self.state)
        return found, self._sources.now()


class _TargetAsker(Asker):
    def __init__(self, args: dict[str, Any], execute: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        super().__init__(args)
        self._execute = execute

    def _ask(self, started_at: float, at: float) -> tuple[Samples, float | None]:
        asked = {name: self._args[name] for name in ("sources", "subject")}
        asked |= {"checks": self._args["gate"]["checks"], "started_at": started_at, "at": at, "state": self.state}
        try:
            answer = self._execute(asked)
        except AnsibleError as problem:
            answer = {"failed": True, "msg": str(problem)}
        if answer.get("failed") or "samples" not in answer:
            why = f"the target could not be asked: {answer.get('msg', 'no answer')}"
            return {check["id"]: seen.error(why) for check in self._args["gate"]["checks"]}, None
        self.state = answer["state"]
        return {check_id: seen.from_dict(sample) for check_id, sample in answer["samples"].items()}, answer.get("prometheus_now")


class _Run:
    """One gate on its way: puts judge, sources, ledger and screen together."""

    def __init__(
        self, args: dict[str, Any], ask: Asker, recorder: Recorder, view: screen.Screen, last_words: Callable[[str], None] = display.display
    ) -> None:
        self._args = args
        self._gate = args["gate"]
        self._ask = ask
        self._recorder = recorder
        self._screen = view
        self._last_words = last_words
        self._guard: Any = None
        self._lost = ""
        self._judge = Judge(self._gate, (args.get("state") or {}).get("judge"))
        self._last: Look | None = None
        self._started_at = 0.0

    def soak(self, guard: Guard) -> Verdict:
        """The verdict, which is in the ledger when this returns. What cannot be recorded did not pass."""
        self._guard = guard
        hands = Hands(self._ask, self._seen, self._tick, guard)
        soak = Soak(self._gate, self._judge, hands, started_at=self._args.get("started_at"))
        self._started_at = soak.started_at
        try:
            verdict = soak.run()
        except StoppedError as stop:
            with guard.shielded():
                self._stopped(soak, str(stop))
        except BaseException:
            # A task's timeout, say. What was seen until then is kept, if it can be, and the task fails as it was going to.
            with guard.shielded(), contextlib.suppress(RecordError):
                self._recorder.flush()
            raise
        self._screen.end(self._last)
        self._recorder.add("verdict", soak.now, verdict.to_dict() | {"window": self._window(verdict), "reason": self._explained(verdict)})
        try:
            with guard.shielded():
                self._recorder.flush()
        except RecordError as problem:
            raise AnsibleActionFail(
                f"Gate {self._gate['id']}: {verdict.verdict}, but {problem}. What is not recorded does not count.",
                result={**self.result(verdict), **self._unfinished(problem.lost)},
            ) from problem
        return verdict

    def _stopped(self, soak: Soak, why: str) -> NoReturn:
        """Ends without a verdict, so that a run that continues finds the gate undecided, and says what holds now."""
        verdict = self._judge.cut_short(max(0.0, soak.elapsed), why)
        self._screen.end(self._last)
        told = f"{self._explained(verdict)} There is no verdict. {self._what_holds()}"
        self._last_words(told)
        note = {"action": "interrupted", "gate": self._gate["id"], "text": f"{self._gate['id']} was interrupted: {why}", "reason": why}
        self._recorder.add("note", soak.now, note)
        try:
            self._recorder.flush()
        except RecordError as problem:
            self._lost = self._lost or problem.lost
        raise AnsibleActionFail(told, result={**self.result(verdict), **self._unfinished(self._lost), "interrupted": True})

    def _what_holds(self) -> str:
        trading = (self._args.get("sources") or {}).get("trading")
        if trading:
            return self._what_trades(trading)
        until = self._args.get("expires_at")
        weight = f"The candidate keeps its weight until {until}: then each edge takes its canary back by itself. " if until else ""
        return f"{weight}Start the same playbook again to continue; playbooks/withdraw.yml takes the traffic back now."

    def _what_trades(self, trading: dict[str, Any]) -> str:
        """Live engines have nothing that expires by itself but the dead man's switch of their host."""
        engines = ", ".join(f"{symbol} with {usd} USD" for symbol, usd in trading["live"].items())
        silence = self._args.get("unwatched_after") or 0
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + silence))
        until = f" until the dead man's switch of their host stops them, at about {at}" if silence else ""
        return (
            f"LIVE ENGINES GO ON, AND NOBODY WATCHES THEM: {engines}{until}. Start the same playbook again to continue; "
            "playbooks/rollback.yml -e rollback_kill=all stops all trading now."
        )

    def _unfinished(self, lost: str) -> dict[str, Any]:
        return {"verdict": "fail", "safe": False, "breach": False, "failed": True, **({"lost": lost} if lost else {})}

    def result(self, verdict: Verdict) -> dict[str, Any]:
        """Small and plain: the whole history is in the ledger."""
        return {
            "changed": False,
            "gate": self._gate["id"],
            "verdict": verdict.verdict,
            "safe": verdict.safe,
            "breach": verdict.breach,
            "on_fail": self._gate.get("on_fail", "rollback"),
            "reason": self._explained(verdict),
            "deciding": list(verdict.deciding),
            "checks": verdict.to_dict()["checks"],
            "looks": verdict.looks,
            "window": self._window(verdict),
            "samples_at": self._samples_at(),
            "state": self._state(),
        }

    def _seen(self, look: Look, found: Samples, at: float) -> None:
        self._last = look
        told = {check_id: sample.to_dict() for check_id, sample in found.items()}
        self._recorder.add(
            "look",
            at,
            {
                **look.to_dict(),
                "gate": self._gate["id"],
                "samples": told,
                "asked": questions(self._gate),
                "started_at": self._started_at,
                "state": self._state(),
            },
        )
        self._screen.look(look)
        self._record(self._recorder.flush_if_due)

    def _tick(self, elapsed: float) -> None:
        self._screen.tick(elapsed)
        self._record(self._recorder.beat_if_due)

    def _record(self, write: Callable[[], None]) -> None:
        try:
            with self._guard.shielded():
                write()
        except RecordError as problem:
            if problem.lost:
                self._lost = problem.lost
                raise StoppedError(str(problem)) from problem
            display.display(f"{self._gate['id']}: {problem}; it will be tried again")

    def _state(self) -> dict[str, Any]:
        return {"judge": self._judge.state, "sources": self._ask.state}

    def _window(self, verdict: Verdict) -> dict[str, Any]:
        return {"started_at": self._started_at, "ended_at": self._started_at + verdict.at_seconds, "seconds": self._gate["window_seconds"]}

    def _samples_at(self) -> str:
        ledger = self._args.get("ledger")
        return f"{ledger['path']}, rollout {ledger['rollout']}" if ledger else ""

    def _explained(self, verdict: Verdict) -> str:
        return explain(verdict, self._samples_at())


def _unjudged(gate: dict[str, Any]) -> dict[str, Any]:
    """What check mode says: it asks nothing and waits for nothing, so it does not judge."""
    conditions = [check["condition"]["text"] for check in gate["checks"]]
    pace = f"over {gate['window_seconds']} s, with a look every {gate['interval_seconds']} s"
    reason = f"Gate {gate['id']} would be judged {pace}: {'; '.join(conditions)}."
    return {
        "changed": False,
        "failed": False,
        "gate": gate["id"],
        "verdict": "unjudged",
        "safe": False,
        "reason": reason,
        "conditions": conditions,
    }
