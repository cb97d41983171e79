# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge: looks in, a verdict out.

Samples tell of the whole window so far, so a look is judged on itself, and what must be remembered between looks is little
(:attr:`Judge.state`): a soak that was interrupted continues from it. Time is what the looks say it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils import samples as seen
from ansible_collections.levibot.transition.plugins.module_utils.gates.evidence import (
    PART_BURSTS,
    PART_SHARE,
    WHOLE_BURSTS,
    WHOLE_SHARE,
    Bursts,
    Parts,
    is_proof,
)
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds import KINDS
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import (
    AGAINST,
    BLIND,
    BREACH,
    ENFORCE,
    ERROR,
    FAIL,
    HELD,
    HOLD,
    MET,
    PASS,
    PENDING,
    PROVEN,
    SHORT,
    WAITING,
    CheckLook,
    Counted,
    Look,
    Reading,
    Verdict,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import format_span
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample

MIN_COVERAGE = 0.9
# A look vouches for the time since the one before it, but not for long silences: those were not observed.
VOUCHES_FOR_INTERVALS = 2
# In intervals: how soon an error is tried again, and how near a look may be to the one before it without only repeating it.
SOON = 0.2
NO_SOONER = 0.01
NOT_ASKED = seen.error("it was not asked")


class Judge:
    """Judges one gate. ``gate`` is the normalised gate, ``state`` an earlier judge's :attr:`state`."""

    def __init__(self, gate: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> None:
        self._gate = gate
        self._state: dict[str, Any] = {"at": 0.0, "looks": 0, **(state or {})}
        memories = self._state.pop("checks", {})
        # Errors count without a break only as long as somebody looks: a resumed gate starts that count anew.
        self._memory = {check["id"]: {**_FRESH, **memories.get(check["id"], {}), "error_since": None} for check in gate["checks"]}
        self._last: Look | None = None
        self._verdict: Verdict | None = None

    @property
    def state(self) -> dict[str, Any]:
        """What a judge that continues this gate must know: small, plain JSON."""
        return {**self._state, "checks": {name: dict(memory) for name, memory in self._memory.items()}}

    @property
    def verdict(self) -> Verdict | None:
        return self._verdict

    def look(self, at_seconds: float, samples: Mapping[str, Sample]) -> Look:
        """Judge all checks at one instant. A check without a sample was not asked, which is an error and never a pass."""
        if self._verdict:
            raise ValueError("this gate is decided")
        since_last = at_seconds - self._state["at"]
        if since_last < 0:
            raise ValueError("looks go forward in time")
        now = _Now(at_seconds, since_last, over=at_seconds >= self._gate["window_seconds"])
        checks = tuple(self._judge(check, samples.get(check["id"], NOT_ASKED), now) for check in self._gate["checks"])
        self._state["at"] = at_seconds
        self._state["looks"] += 1
        verdict, deciding, reason = self._weigh(checks, now)
        self._last = Look(self._state["looks"], at_seconds, verdict, reason, checks)
        if self._last.final:
            self._verdict = self._conclude(verdict, reason, at_seconds, deciding)
        return self._last

    def cut_short(self, at_seconds: float, reason: str) -> Verdict:
        """The gate had to stop before it was decided. What was cut short is never a pass."""
        if not self._verdict:
            self._verdict = self._conclude(FAIL, f"cut short: {reason}", at_seconds, [])
        return self._verdict

    def _conclude(self, verdict: str, reason: str, at_seconds: float, deciding: list[CheckLook]) -> Verdict:
        return Verdict(
            gate=self._gate["id"],
            verdict=verdict,
            reason=reason,
            at_seconds=at_seconds,
            window_seconds=self._gate["window_seconds"],
            looks=self._state["looks"],
            checks=self._last.checks if self._last else (),
            deciding=tuple(check.id for check in deciding),
        )

    def _judge(self, check: Mapping[str, Any], sample: Sample, now: _Now) -> CheckLook:
        memory = self._memory[check["id"]]
        reading = _in_time(_read(check, sample), memory, now, self._gate["window_seconds"])
        self._remember(memory, reading, now)
        state, reason = self._STATES[reading.says](self, check, reading, sample, now)
        if state == FAIL:
            # Once proven, a broken limit stays broken: a check that only observes says so to the end, too.
            memory["failed"] = memory["failed"] or reason
        elif memory["failed"]:
            state, reason = FAIL, memory["failed"]
        return CheckLook(
            id=check["id"],
            kind=check["kind"],
            mode=check.get("mode", ENFORCE),
            state=state,
            value=reading.value,
            limit=check["condition"]["text"].removeprefix(check["id"]).strip(),
            evidence=reading.evidence,
            reason=reason,
            number=reading.number,
        )

    def _remember(self, memory: dict[str, Any], reading: Reading, now: _Now) -> None:
        if reading.says != ERROR:
            memory["error_since"] = None
        elif memory["error_since"] is None:
            memory["error_since"] = now.at
        if reading.says in (MET, AGAINST, PROVEN) or reading.answered:
            memory["covered"] += min(now.since_last, VOUCHES_FOR_INTERVALS * self._gate["interval_seconds"])
        # Neither an error nor missing data ends a row of bad looks, and neither makes it longer.
        if reading.says == MET:
            memory["against"] = 0
        elif reading.says == AGAINST:
            memory["against"] += 1

    def _proven(self, _check: Mapping[str, Any], reading: Reading, _sample: Sample, _now: _Now) -> tuple[str, str]:
        return FAIL, reading.reason

    def _unasked(self, check: Mapping[str, Any], reading: Reading, _sample: Sample, now: _Now) -> tuple[str, str]:
        blind_for = now.at - self._memory[check["id"]]["error_since"]
        if blind_for >= self._gate["blind_after_seconds"]:
            return BLIND, f"its source could not be asked for {format_span(blind_for)}: {reading.reason}"
        return ERROR, reading.reason

    def _short(self, _check: Mapping[str, Any], reading: Reading, _sample: Sample, now: _Now) -> tuple[str, str]:
        return (HOLD if now.over else WAITING), reading.reason

    def _against(self, check: Mapping[str, Any], reading: Reading, _sample: Sample, now: _Now) -> tuple[str, str]:
        allowed = check.get("fail_after")
        if allowed and self._memory[check["id"]]["against"] >= allowed:
            return FAIL, f"{reading.reason} at {allowed} looks in a row" if allowed > 1 else reading.reason
        if now.over and KINDS[check["kind"]].end_decides:
            return FAIL, f"{reading.reason} at the end of the window"
        return (HOLD if now.over else BREACH), reading.reason

    def _met(self, check: Mapping[str, Any], _reading: Reading, sample: Sample, now: _Now) -> tuple[str, str]:
        if not now.over:
            return PENDING, ""
        coverage = sample.coverage_ratio
        if KINDS[check["kind"]].momentary(check):
            coverage = min(coverage, self._memory[check["id"]]["covered"] / now.at)
        if coverage < MIN_COVERAGE:
            return HOLD, f"data for only {coverage:.0%} of the window, at least {MIN_COVERAGE:.0%} are needed"
        return PASS, ""

    _STATES = {PROVEN: _proven, ERROR: _unasked, SHORT: _short, AGAINST: _against, MET: _met}  # noqa: RUF012 - a constant table

    def _weigh(self, checks: tuple[CheckLook, ...], now: _Now) -> tuple[str, list[CheckLook], str]:
        """The worst of the enforced checks, which checks made it so, and why."""
        enforced = [check for check in checks if check.mode == ENFORCE]
        for state in (FAIL, BLIND):
            worst = [check for check in enforced if check.state == state]
            if worst:
                return state, worst, _because(worst)
        if not now.over:
            return PENDING, [], ""
        if not enforced:
            return FAIL, [], "no check decides"
        holding = [check for check in enforced if check.state != PASS]
        if not holding:
            return PASS, [], "every check kept its limit for the whole window"
        held = now.at - self._gate["window_seconds"]
        if held < self._gate["hold_seconds"]:
            return HOLD, holding, _because(holding)
        return FAIL, holding, f"{HELD} for {format_span(held)} and still cannot pass: {_because(holding)}"


@dataclass(frozen=True)
class _Now:
    """The moment of a look: seconds since the window began and since the look before it, and whether the window is over."""

    at: float
    since_last: float
    over: bool


# What is remembered of a check: bad looks in a row, since when its source cannot be asked, for how many seconds looks vouch, why
# it failed, and how its events were spread.
_FRESH: dict[str, Any] = {"against": 0, "error_since": None, "covered": 0.0, "failed": "", "bursts": {}, "parts": {}}


def next_look_at(gate: Mapping[str, Any], look: Look | None) -> float:
    """When to look next, in seconds since the window began: at multiples of the interval, exactly at the window's and the
    hold's end, and sooner after an error, since it may be gone in a moment."""
    interval = gate["interval_seconds"]
    at = look.at_seconds if look else 0.0
    due = (at // interval + 1) * interval
    if due - at < interval * NO_SOONER:
        due += interval
    if look and any(check.state == ERROR for check in look.checks):
        due = min(due, at + interval * SOON)
    for end in (gate["window_seconds"], gate["window_seconds"] + gate["hold_seconds"]):
        if at < end:
            return min(due, end)
    return due


def _read(check: Mapping[str, Any], sample: Sample) -> Reading:
    if sample.status == seen.ERROR:
        return Reading(ERROR, reason=sample.detail or "its source could not be asked")
    if sample.status == seen.NO_DATA:
        return Reading(SHORT, reason=sample.detail or "no data")
    reading = KINDS[check["kind"]].read(check, sample)
    return replace(reading, reason=f"{reading.reason}; {sample.detail}" if reading.reason and sample.detail else reading.reason)


def _in_time(reading: Reading, memory: dict[str, Any], now: _Now, window_seconds: float) -> Reading:
    """The reading, seen by when things were counted: a few bursts are no proof, a bad part is one, and a bad end is no pass."""
    counted = reading.counted
    if not counted:
        return reading
    bursts = Bursts(memory["bursts"], counted.burst_seconds)
    bursts.look(now.at, counted.bad, counted.total)
    parts = Parts(memory["parts"], window_seconds, counted.burst_seconds)
    lately = parts.look(now.at, counted.bad, counted.total)
    memory["bursts"], memory["parts"] = bursts.memory, parts.memory
    if _part_is_broken(counted, parts.bursts, lately):
        return replace(reading, says=PROVEN, reason="the limit is proven broken in this part of the window")
    if reading.says == PROVEN and not _lasts(counted, bursts, now, window_seconds):
        return replace(reading, says=AGAINST, reason="over the limit, so far in a burst or two")
    if reading.says == MET and now.over and is_proof(*lately, counted.p0, counted.alpha):
        return replace(reading, says=AGAINST, reason="over the limit in the last part of the window")
    return reading


def _part_is_broken(counted: Counted, bursts: Bursts, lately: tuple[float, float]) -> bool:
    alpha = counted.alpha * PART_SHARE
    return is_proof(*lately, counted.p0, alpha) and is_proof(*bursts.without_worst(counted.p0, PART_BURSTS), counted.p0, alpha)


def _lasts(counted: Counted, bursts: Bursts, now: _Now, window_seconds: float) -> bool:
    """Whether a proof stands without the worst bursts, or leaves nothing of what the limit allows for the whole window."""
    if is_proof(*bursts.without_worst(counted.p0, WHOLE_BURSTS), counted.p0, counted.alpha * WHOLE_SHARE):
        return True
    expected = counted.total * max(1.0, window_seconds / (now.at or window_seconds))
    return counted.bad > counted.p0 * expected


def _because(checks: list[CheckLook]) -> str:
    return "; ".join(f"{check.id}: {check.reason or check.state}" for check in checks)
