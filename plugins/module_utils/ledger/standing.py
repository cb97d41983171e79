# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a rollout stands, and how a run that is started goes on with it: from what is recorded and what the edges say. Pure.

A run can end at any instant: before a change, behind it, or in the middle of it on some edges. The record says what was meant to be
and what was done; the edges say what is. Where the two cannot be brought together the answer is a refusal and never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

OPEN, RESUME, BACK, REFUSE = "open", "resume", "back", "refuse"
DEPLOY, STEPS, PROMOTE, DECOMMISSION = "deploy", "steps", "promote", "decommission"
# An edge tells its share of 65,536 buckets, which is a plan's percentage to within this.
SAME_PERCENT = 0.001
TAKE_BACK = "take the traffic back with playbooks/rollback.yml, which also closes this rollout, and start again"
# Its engines trade in the slot that serves, and a rollout would take the traffic from it.
END_LIVE = (
    "continue it to its end with playbooks/phase3_live_trading.yml, or end it with playbooks/rollback.yml -e rollback_kill=all; "
    "then start again"
)


@dataclass
class Told:
    """What a record tells, read to its end."""

    opened: Mapping[str, Any] | None = None
    closed: bool = False
    deployed: bool = False
    passed: list[str] = field(default_factory=list)
    begun: str = ""  # the step whose weight was last meant to be set
    weighed: bool = False  # and was
    look: Mapping[str, Any] | None = None
    failed: Mapping[str, Any] | None = None  # the verdict that ended it
    promoting: bool = False
    promoted: bool = False
    rolling_back: bool = False
    expired: set[str] = field(default_factory=set)

    @property
    def steps(self) -> list[Mapping[str, Any]]:
        """The plan's steps as they were when the rollout was opened; a record of live trading has none of these."""
        gates = [(step["gate"], step["weight"]) for step in (self.opened or {}).get("steps") or () if "weight" in step]
        return [{"id": gate["id"], "weight": float(weight), "on_fail": gate.get("on_fail", "rollback")} for gate, weight in gates]


def essence(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The entries of one rollout that tell where it stands: of a gate's looks the last one only, and that without its samples."""
    kept: list[dict[str, Any]] = []
    last: dict[str, int] = {}
    for entry in entries:
        if entry["kind"] != "look":
            kept.append(dict(entry))
            continue
        data = {key: value for key, value in entry["data"].items() if key not in ("samples", "asked", "checks")}
        slim = {**entry, "data": data}
        gate = str(data.get("gate"))
        if gate in last:
            kept[last[gate]] = {}
        last[gate] = len(kept)
        kept.append(slim)
    return [entry for entry in kept if entry]


def read(record: Iterable[Mapping[str, Any]]) -> Told:
    """The record as it stands at its end."""
    told = Told()
    for entry in record:
        kind, data = entry["kind"], entry["data"]
        action = data.get("action")
        if kind == "opened":
            told.opened = data
        elif kind == "closed":
            told.closed = True
        elif kind == "look":
            if data.get("gate") == told.begun:
                told.look = data
        elif kind == "verdict":
            _verdict(told, data)
        elif kind == "note" and action == "expired":
            told.expired.add(str(data.get("edge")))
        elif kind == "intent":
            _intent(told, action, data)
        elif kind == "result":
            told.deployed = told.deployed or action == "deploy"
            told.weighed = told.weighed or (action == "weight" and data.get("step") == told.begun)
            told.promoted = told.promoted or action == "promote"
            told.rolling_back = told.rolling_back or action == "rollback"
    return told


def _intent(told: Told, action: Any, data: Mapping[str, Any]) -> None:
    if action == "weight":
        step = str(data.get("step"))
        told.expired.clear()
        told.promoting = False
        if data.get("continues") and step == told.begun:
            return
        told.begun, told.weighed, told.look = step, False, None
        # A step that is begun anew has not passed, whatever it did before.
        told.passed = told.passed[: told.passed.index(step)] if step in told.passed else told.passed
    elif action == "promote":
        told.promoting = True
    elif action == "rollback":
        told.rolling_back = True


def _verdict(told: Told, data: Mapping[str, Any]) -> None:
    gate = str(data.get("gate"))
    on_fail = next((step["on_fail"] for step in told.steps if step["id"] == gate), "rollback")
    if data.get("verdict") == "pass" or (on_fail == "warn" and data.get("breach")):
        told.passed.append(gate)
    else:
        told.failed = data
    told.look = None


@dataclass(frozen=True)
class Edges:
    """The edges, seen from one rollout: who has which weight of its candidate, who is promoted, and whose canary has expired."""

    weights: Mapping[str, float]
    promoted: frozenset[str]
    strange: Mapping[str, str]
    expired: frozenset[str]
    open: frozenset[str]

    @classmethod
    def of(cls, edges: Mapping[str, Mapping[str, Any]], told: Told, stable: str, candidate: str) -> Edges:
        there = {name: edge for name, edge in edges.items() if edge.get("canary")}
        promoted = {name for name, edge in edges.items() if edge.get("stable") == candidate and name not in there}
        strange = {name: str(edge.get("text")) for name, edge in edges.items() if name not in promoted and edge.get("stable") != stable}
        notes = {name for name, edge in edges.items() if edge.get("expired_notes") or edge.get("expired")}
        return cls(
            {name: float(edge["weight"]) if name in there else 0.0 for name, edge in edges.items()},
            frozenset(promoted),
            strange,
            frozenset(notes | told.expired),
            frozenset(there),
        )

    def without(self, *weights: float) -> list[str]:
        """The edges that have none of these weights and are not promoted."""
        return [
            name
            for name, has in self.weights.items()
            if name not in self.promoted and not any(abs(has - weight) <= SAME_PERCENT for weight in weights)
        ]


def decide(record: Iterable[Mapping[str, Any]], edges: Mapping[str, Mapping[str, Any]], version: str, plan_digest: str) -> dict[str, Any]:
    """What a run of this version and plan does.

    ``do`` is ``open`` (begin a rollout; ``close`` names why the one before is over), ``resume`` (at ``stage``), ``back`` (finish the way
    back that was begun, and fail with ``why``) or ``refuse`` (``why`` and ``fix``; ``serves`` where that is Phase 3 of this very version,
    which is no obstacle to a run that finds nothing to roll out).
    """
    told = read(record)
    about = told.opened
    if about is not None and about.get("phase") == "phase3" and not told.closed:
        why = f"live trading of {about['version']} is open, from {about.get('slot')}"
        return {**_answer(REFUSE, told, why=why, fix=END_LIVE), "serves": about["version"] == version}
    if about is None or told.closed or not told.steps or not edges:
        return _answer(OPEN, told)
    stable, candidate = about["stable"]["slot"], about["candidate"]["slot"]
    seen = Edges.of(edges, told, stable, candidate)
    answer = _decide(told, seen)
    if answer["do"] in (RESUME, REFUSE) and (about["version"], about["plan_digest"]) != (version, plan_digest):
        what = "another version" if about["version"] != version else "another plan (its digest differs)"
        answer = _answer(
            REFUSE,
            told,
            why=f"a rollout of {about['version']} is open, and this run has {what}",
            fix=f"start again with levibot_version={about['version']} and the plan of then to continue it; or {TAKE_BACK}",
        )
    return {**answer, "stable": stable, "candidate": candidate, "weights": dict(seen.weights), "promoting": bool(seen.promoted)}


def _decide(told: Told, seen: Edges) -> dict[str, Any]:
    if told.failed or told.rolling_back:
        why = str((told.failed or {}).get("reason") or "A rollback was begun.")
        return _answer(BACK, told, why=f"{why} The run that found this was interrupted; its way back is finished now.")
    if seen.strange:
        return _moved(told, [f"{name} ({text})" for name, text in seen.strange.items()])
    if told.promoting or told.promoted or seen.promoted:
        return _at_the_end(told, seen)
    if told.passed == [step["id"] for step in told.steps]:
        return _ready(told, seen)
    return _at_a_step(told, seen, len(told.passed))


def _at_the_end(told: Told, seen: Edges) -> dict[str, Any]:
    """Promotion was begun, or is done."""
    left = [name for name in seen.weights if name not in seen.promoted]
    if not left and (told.promoted or told.promoting):
        # What is not recorded is recorded again, which is what a repeated promotion does; it changes nothing.
        return _answer(RESUME, told, stage=DECOMMISSION if told.promoted else PROMOTE)
    if told.promoted or not told.promoting:
        return _moved(told, left if told.promoted else sorted(seen.promoted))
    if not seen.promoted:
        return _ready(told, seen)
    lost = [name for name in seen.without(told.steps[-1]["weight"]) if name not in seen.expired]
    return _moved(told, lost) if lost else _answer(RESUME, told, stage=PROMOTE)


def _ready(told: Told, seen: Edges) -> dict[str, Any]:
    """All gates have passed, and no edge is promoted."""
    without = seen.without(told.steps[-1]["weight"])
    if not without:
        return _answer(RESUME, told, stage=PROMOTE)
    if all(name in seen.expired and name not in seen.open for name in without):
        told.passed.pop()
        return _step(told, len(told.steps) - 1, anew=True)
    return _lost(told, seen, without)


def _at_a_step(told: Told, seen: Edges, index: int) -> dict[str, Any]:
    step = told.steps[index]
    before = told.steps[index - 1]["weight"] if index else 0.0
    begun = told.begun == step["id"]
    # With the result recorded, the weight before is no weight to find any more; with the intent alone, either is.
    expected = [step["weight"]] if begun and told.weighed else [before, step["weight"]] if begun else [before]
    without = seen.without(*expected)
    if not without:
        return _step(told, index, anew=bool(seen.without(step["weight"])))
    if all(name in seen.expired and name not in seen.open for name in without):
        return _step(told, index, anew=True)
    return _lost(told, seen, without)


def _step(told: Told, index: int, *, anew: bool) -> dict[str, Any]:
    step = told.steps[index]
    deployed = told.deployed or bool(told.begun)
    look = None if anew or not told.weighed or told.begun != step["id"] else told.look
    return _answer(RESUME, told, stage=STEPS if deployed else DEPLOY, step=step["id"], look=look)


def _lost(told: Told, seen: Edges, without: list[str]) -> dict[str, Any]:
    """Canaries are gone without a note, or have another weight."""
    moved = [name for name in without if name in seen.open]
    if moved:
        return _moved(told, moved)
    taken = f"the canary was taken back on {', '.join(without)} by somebody, or by a reboot, and not by its expiry"
    if seen.open:
        return _answer(BACK, told, why=f"{taken}; so it is taken back everywhere. Start again for a new rollout.")
    return _answer(OPEN, told, close=f"{taken[0].upper()}{taken[1:]}.")


def _moved(told: Told, names: Iterable[str]) -> dict[str, Any]:
    version = (told.opened or {}).get("version")
    why = f"somebody has moved the split on {', '.join(names)}: it is not what the open rollout of {version} has set"
    return _answer(REFUSE, told, why=why, fix=TAKE_BACK)


def _answer(do: str, told: Told, **more: Any) -> dict[str, Any]:
    empty = {"stage": "", "step": "", "look": None, "why": "", "fix": "", "close": ""}
    return {"do": do, "passed": list(told.passed), **empty, **more}
