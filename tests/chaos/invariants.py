# SPDX-License-Identifier: GPL-3.0-or-later
"""The promises of DESIGN.md that can be checked after any fault. Pure: what was seen comes in, what is broken goes out.

`broken()` returns one sentence for each promise that does not hold. Nothing here asks a host: see observe.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.edge.split import Split, other
from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import GENESIS, Entry, broken_at

TICK_SECONDS = 1.0  # how often the sandbox's edge looks for an expired canary
LATE_SECONDS = 1.0  # and how long that look may take on a busy machine
SAME_PERCENT = 0.001  # an edge tells its share of 65,536 buckets
RECORDED_CHANGES = ("deploy", "weight", "promote", "decommission")
RECORDED = (*RECORDED_CHANGES, "start")


@dataclass(frozen=True)
class Requests:
    """The traffic source's own counters over the time that is judged."""

    sent: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)  # by reason
    slots: Mapping[str, int] = field(default_factory=dict)  # who answered


@dataclass(frozen=True)
class Observation:
    """What was seen of the whole at one instant.

    ledger: every entry of every rollout, in order; None where it cannot be read, which is a finding only if `ledger_lost` is False.
    requests: what visitors saw since then, and `explained` which of their failures the fault itself explains, by reason.
    images: the ids of all images on the app hosts; releases: those of the release in each slot.
    texts: all that was printed or written, by name; `secrets` may be in none of it.
    """

    now: float
    edges: Mapping[str, Split]
    ledger: Sequence[Entry] | None = ()
    ledger_lost: bool = False
    requests: Requests = field(default_factory=Requests)
    explained: Callable[[str], bool] = lambda _reason: False
    images: frozenset[str] = frozenset()
    releases: Mapping[str, frozenset[str]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()


def broken(seen: Observation) -> list[str]:
    """Every promise that does not hold, as a sentence that says where."""
    found = [*_expiry(seen), *_secrets(seen), *_requests(seen), *_way_back(seen)]
    if seen.ledger is None:
        return found if seen.ledger_lost else [*found, "the ledger cannot be read, and no fault explains that"]
    chain = list(_chain(seen.ledger))
    found += chain
    if chain:
        return found  # what a broken chain tells is nothing to judge by
    rollouts = _by_rollout(seen.ledger)
    open_ones = [name for name, entries in rollouts.items() if _is_open(entries)]
    if len(open_ones) > 1:
        found.append(f"{len(open_ones)} rollouts are open at once: {', '.join(open_ones)}")
    for name, entries in rollouts.items():
        rules = (_approved, _live_steps, _capital) if _trades(entries) else (_decided, _gates)
        found += [f"rollout {name}: {text}" for rule in (*rules, _intents, _once) for text in rule(entries)]
    current = rollouts[open_ones[-1]] if open_ones and not _trades(rollouts[open_ones[-1]]) else []
    for host, split in seen.edges.items():
        found += [f"edge {host}: {text}" for text in _split(split, current, seen.now)]
    return found


def _by_rollout(ledger: Sequence[Entry]) -> dict[str, list[Entry]]:
    rollouts: dict[str, list[Entry]] = {}
    for entry in ledger:
        rollouts.setdefault(entry.rollout, []).append(entry)
    return rollouts


def _is_open(entries: Sequence[Entry]) -> bool:
    kinds = [entry.kind for entry in entries]
    return "opened" in kinds and "closed" not in kinds


def _trades(entries: Sequence[Entry]) -> bool:
    """Whether it is the record of live trading, and not of a rollout."""
    return any(entry.kind == "opened" and entry.data.get("phase") == "phase3" for entry in entries)


def _chain(ledger: Sequence[Entry]) -> Iterator[str]:
    previous = GENESIS
    for seq, entry in enumerate(ledger, start=1):
        if reason := broken_at(entry, seq, previous):
            yield f"the ledger's chain is broken at entry {seq}: {reason}"
            return
        previous = entry.hash


def _expiry(seen: Observation) -> Iterator[str]:
    for host, split in seen.edges.items():
        for problem in (split.broken_canary, split.broken_stable):
            if problem:
                yield f"edge {host}: {problem}"
        if split.canary is None:
            continue
        if split.canary.expires <= 0:
            yield f"edge {host}: a canary without expiry"
        elif (late := seen.now - split.canary.expires) > TICK_SECONDS + LATE_SECONDS:
            yield f"edge {host}: its canary expired {late:.1f} s ago and is still there"


def _weights(entries: Sequence[Entry]) -> dict[str, float]:
    """The steps of the plan as it was when the rollout was opened, in order."""
    steps = next((entry.data.get("steps") or [] for entry in entries if entry.kind == "opened"), [])
    return {step["gate"]["id"]: float(step["weight"]) for step in steps}


def _passes(entry: Entry) -> bool:
    data = entry.data
    return entry.kind == "verdict" and (data["verdict"] == "pass" or (data.get("on_fail") == "warn" and bool(data.get("breach"))))


def _split(split: Split, entries: Sequence[Entry], now: float) -> Iterator[str]:
    """Stable alone, or what the open rollout meant last, or the weight before that: a run can die between an intent and its change."""
    if split.canary is None:
        return
    if split.expired(now):
        return  # judged by _expiry
    if not entries:
        yield f"a canary without an open rollout ({split.text(now)})"
        return
    opened = next(entry.data for entry in entries if entry.kind == "opened")
    candidate = opened["candidate"]["slot"]
    meant = [float(entry.data["weight_percent"]) for entry in entries if entry.kind == "intent" and entry.data.get("action") == "weight"]
    promoting = any(entry.kind == "intent" and entry.data.get("action") == "promote" for entry in entries)
    share = split.share(candidate)
    allowed = {0.0, *meant[-2:]} | ({100.0} if promoting else set())
    if not any(abs(share - weight) < SAME_PERCENT for weight in allowed):
        yield f"{candidate} has {share:g} %, and the ledger meant {' then '.join(f'{weight:g} %' for weight in meant) or 'none'}"


def _decided(entries: Sequence[Entry]) -> Iterator[str]:
    """It began with a GO, or somebody has decided to begin without one."""
    for entry in entries:
        go = entry.data.get("go") or {}
        override = go.get("overridden") or {}
        if entry.kind == "opened" and go.get("verdict") != "GO" and not (override.get("who") and override.get("reason")):
            yield f"entry {entry.seq} opens it without a GO, and nobody has decided so"


def _approved(entries: Sequence[Entry]) -> Iterator[str]:
    """Live trading began with somebody's approval, and with a drill of the kill switch that had passed."""
    for entry in entries:
        if entry.kind == "opened" and not (entry.data.get("approval") or {}).get("approved_by"):
            yield f"entry {entry.seq} begins live trading, and nobody has approved it"
        if entry.kind == "opened" and not (entry.data.get("drill") or {}).get("passed"):
            yield f"entry {entry.seq} begins live trading without a kill switch that was proved to work"


def _live_steps(entries: Sequence[Entry]) -> Iterator[str]:
    """Engines are started when every step before theirs has passed, and never again once an end was begun; it is live with all passed."""
    order = [step["id"] for entry in entries if entry.kind == "opened" for step in entry.data.get("steps") or ()]
    passed: set[str] = set()
    ended = ""
    for entry in entries:
        action = entry.data.get("action")
        if _passes(entry):
            passed.add(entry.data["gate"])
        elif entry.kind == "verdict" or (entry.kind == "intent" and action in ("stop", "kill", "paper", "rollback")):
            ended = ended or f"entry {entry.seq}"
        elif entry.kind == "intent" and action == "start":
            step = entry.data["step"]
            missing = [name for name in order[: order.index(step)] if name not in passed] if step in order else [step]
            if missing:
                yield f"entry {entry.seq} starts engines of {step}, and {', '.join(missing)} had not passed"
            if ended:
                yield f"entry {entry.seq} starts engines, and {ended} had begun to end it"
        elif entry.kind == "closed" and entry.data.get("outcome") == "live" and (missing := [name for name in order if name not in passed]):
            yield f"entry {entry.seq} closes as live, and {', '.join(missing)} had not passed"


def _capital(entries: Sequence[Entry]) -> Iterator[str]:
    """Live capital never exceeds the plan's total, by what the ledger says was started."""
    most = Decimal(0)
    live: dict[str, Decimal] = {}
    for entry in entries:
        if entry.kind == "opened":
            most = Decimal(str((entry.data.get("policy") or {}).get("capital_usd") or 0))
        elif entry.data.get("action") == "start" and entry.kind in ("intent", "result"):
            live.update({symbol: Decimal(str(usd)) for symbol, usd in (entry.data.get("engines") or {}).items()})
            if sum(live.values()) > most:
                yield f"entry {entry.seq}: {sum(live.values())} USD are live, and the plan has {most}"


def _gates(entries: Sequence[Entry]) -> Iterator[str]:
    """Only passed gates move traffic forward."""
    weights = _weights(entries)
    order = list(weights)
    passed: set[str] = set()
    deployed = False
    for entry in entries:
        action = entry.data.get("action")
        if _passes(entry):
            passed.add(entry.data["gate"])
        elif entry.kind == "result" and action == "deploy":
            deployed = True
        elif entry.kind == "intent" and action == "weight" and order:
            step = entry.data["step"]
            missing = [gate for gate in order[: order.index(step)] if gate not in passed] if step in order else [step]
            if missing:
                yield f"entry {entry.seq} moves traffic for {step}, and {', '.join(missing)} had not passed"
            if not deployed:
                yield f"entry {entry.seq} moves traffic to a candidate that no deploy has proven"
        elif entry.kind in ("intent", "result") and action == "promote" and (missing := [gate for gate in order if gate not in passed]):
            yield f"entry {entry.seq} promotes, and {', '.join(missing)} had not passed"


def _intents(entries: Sequence[Entry]) -> Iterator[str]:
    """Each result follows an intent of the same action and step, and a rollout that is promoted has meant to be."""
    meant: set[tuple[Any, Any]] = set()
    for entry in entries:
        what = (entry.data.get("action"), entry.data.get("step"))
        if entry.kind == "intent":
            meant.add(what)
        elif entry.kind == "result" and what[0] in RECORDED and what not in meant:
            yield f"entry {entry.seq} is the result of a change ({what[0]}) that had no intent"
        elif entry.kind == "closed" and entry.data.get("outcome") == "promoted" and "opened" in {item.kind for item in entries}:
            missing = [action for action in RECORDED_CHANGES if action not in {action for action, _step in meant}]
            if missing:
                yield f"entry {entry.seq} closes as promoted, and no intent was recorded for {', '.join(missing)}"


def _once(entries: Sequence[Entry]) -> Iterator[str]:
    """A step that has passed is never begun, judged or looked at again, and a rollout is opened and closed once."""
    passed: set[str] = set()
    ended = False
    for entry in entries:
        if entry.kind == "opened" and entry is not entries[0]:
            yield f"entry {entry.seq} opens it again"
        if ended and entry.kind in ("intent", "look", "verdict", "opened"):
            yield f"entry {entry.seq} ({entry.kind}) comes after its end"
        gate = entry.data.get("gate") if entry.kind in ("look", "verdict") else None
        if entry.kind == "intent" and entry.data.get("action") in ("weight", "start"):
            gate = entry.data.get("step")
        if gate in passed:
            yield f"entry {entry.seq} ({entry.kind}) repeats {gate}, which had passed"
        if _passes(entry):
            passed.add(entry.data["gate"])
        ended = ended or entry.kind == "closed"


def _way_back(seen: Observation) -> Iterator[str]:
    """The images of the release in each slot are there: the one that serves, and the one that it replaced."""
    for slot, images in seen.releases.items():
        if lost := sorted(images - seen.images):
            yield f"the release in {slot} cannot be started again: no image {', '.join(lost)}"


def _secrets(seen: Observation) -> Iterator[str]:
    texts = dict(seen.texts)
    texts["the ledger"] = "\n".join(json.dumps(entry.data) for entry in seen.ledger or ())
    for name, text in texts.items():
        if any(secret and secret in text for secret in seen.secrets):
            yield f"a secret is in {name}"


def _requests(seen: Observation) -> Iterator[str]:
    lost = {reason: count for reason, count in seen.requests.failed.items() if count > 0 and not seen.explained(reason)}
    if lost:
        told = ", ".join(f"{count} x {reason}" for reason, count in sorted(lost.items()))
        yield f"of {seen.requests.sent} requests were lost without a fault that explains it: {told}"


def safe(seen: Observation, stable: str) -> list[str]:
    """What keeps this from being the safe state: no canary, and all traffic on the slot that was stable."""
    found = broken(seen)
    for host, split in seen.edges.items():
        if split.canary is not None:
            found.append(f"edge {host}: a canary is there ({split.text(seen.now)})")
        if split.stable != stable:
            found.append(f"edge {host}: {split.stable or other(stable)} is stable, and not {stable}")
    return found
