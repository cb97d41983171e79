# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A past window, judged again by the judge of the live one: "would this gate have passed last Tuesday?" Pure.

A replay never says more than it saw. A check that cannot be judged again is an ``error`` and keeps the gate from passing, and a window
whose looks end before the gate is decided ends undecided.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.judge import Judge
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import (
    BLIND,
    ENFORCE,
    ERROR,
    HOLD,
    PASS,
    PENDING,
    CheckLook,
    Look,
    Verdict,
)
from ansible_collections.levibot.transition.plugins.module_utils.gates.record import Record, Recorded, tells_questions, unusable
from ansible_collections.levibot.transition.plugins.module_utils.gates.words import explain, rows
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import format_duration, format_span
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample

# Looks follow each other a little early or late; further apart or nearer than this, they had another interval.
SAME_PACE = 0.1


@dataclass(frozen=True)
class Outcome:
    """How a replay ended.

    ``decided`` is false where the looks ended first: the verdict then is ``pending``, or ``hold`` when the window was over.
    """

    verdict: Verdict
    decided: bool
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {**self.verdict.to_dict(), "decided": self.decided, "reason": self.reason, "notes": list(self.notes)}

    @property
    def reason(self) -> str:
        """One paragraph, as the gate itself ends with."""
        if self.decided:
            return explain(self.verdict)
        lasted = f"{format_span(self.verdict.at_seconds)} of {format_span(self.verdict.window_seconds)}"
        looks = f"{self.verdict.looks} look{'' if self.verdict.looks == 1 else 's'}"
        return f"Gate {self.verdict.gate} is not decided after {lasted}: {self.verdict.reason} ({looks})."


def judge_record(gate: Mapping[str, Any], record: Record) -> Outcome:
    """Judge what was recorded. Checks that ask something else now than then are errors."""
    lost = {check["id"]: why for check in gate["checks"] for why in [unusable(check, record.looks)] if why}
    kept = {**gate, "checks": [check for check in gate["checks"] if check["id"] not in lost]}
    paced, notes = at_pace(kept, pace_of(record.looks))
    outcome = judge_looks(paced, ((look.at_seconds, look.samples) for look in record.looks))
    if lost:
        outcome = _without(outcome, gate, {check: f"cannot be judged again: {why}" for check, why in lost.items()})
    if not tells_questions(record.looks):
        notes += ("the record does not say what was asked: selectors and queries are taken to be the same as then",)
    return replace(outcome, notes=notes)


def judge_looks(gate: Mapping[str, Any], looks: Iterable[tuple[float, Mapping[str, Sample]]]) -> Outcome:
    """Judge looks, at least one, one after the other, and take no more of them once the gate is decided."""
    judge, last = Judge(gate), None
    for at_seconds, samples in looks:
        last = judge.look(at_seconds, samples)
        if judge.verdict:
            return Outcome(judge.verdict, decided=True)
    if last is None:
        raise ValueError("there is nothing to judge")
    reason = last.reason or "the looks end before the window does"
    holding = [check.id for check in last.checks if check.state == HOLD]
    verdict = Verdict(gate["id"], last.verdict, reason, last.at_seconds, gate["window_seconds"], last.index, last.checks, tuple(holding))
    return Outcome(verdict, decided=False)


def schedule(gate: Mapping[str, Any], ended_at: float = math.inf) -> Iterator[float]:
    """When a gate looks, in seconds since its window began, up to the window's end (or to `ended_at`).

    Not beyond, although a gate may be held: what came then belongs to the next step, or to no candidate at all.
    """
    window, interval = gate["window_seconds"], gate["interval_seconds"]
    for at in (*(number * interval for number in range(math.ceil(window / interval))), window):
        if at > ended_at:
            return
        yield float(at)


def pace_of(looks: Iterable[Recorded]) -> float | None:
    """The usual seconds from one look to the next; None for a single look."""
    times = [look.at_seconds for look in looks]
    return statistics.median(after - before for before, after in zip(times, times[1:])) if len(times) > 1 else None


def at_pace(gate: Mapping[str, Any], pace: float | None) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The gate for looks `pace` seconds apart, and a note. ``fail_after`` looks span the time that they do at the gate's own interval."""
    interval = gate["interval_seconds"]
    if not pace or abs(pace - interval) <= interval * SAME_PACE:
        return gate, ()
    checks = [
        {**check, "fail_after": _in_a_row(check["fail_after"], interval / pace)} if "fail_after" in check else check
        for check in gate["checks"]
    ]
    note = f"looks are {format_span(pace)} apart instead of {format_span(interval)}; fail_after is made to span the same time"
    return {**gate, "interval_seconds": pace, "checks": checks}, (note,)


def _in_a_row(looks: int, factor: float) -> int:
    return math.ceil((looks - 1) * factor - SAME_PACE) + 1


def _without(outcome: Outcome, gate: Mapping[str, Any], lost: Mapping[str, str]) -> Outcome:
    """Put the checks that could not be judged in their places. Where they decide, the gate may still fail, but not pass."""
    verdict = outcome.verdict
    seen = {check.id: check for check in verdict.checks}
    checks = tuple(seen.get(check["id"]) or _lost(check, lost[check["id"]]) for check in gate["checks"])
    decides = tuple(check.id for check in checks if check.id in lost and check.mode == ENFORCE)
    others = any(check["mode"] == ENFORCE for check in gate["checks"] if check["id"] not in lost)
    if not decides or (others and verdict.verdict != PASS):
        return replace(outcome, verdict=replace(verdict, checks=checks))
    reason = "; ".join(f"{check}: {lost[check]}" for check in decides)
    return replace(outcome, decided=False, verdict=replace(verdict, verdict=HOLD, reason=reason, checks=checks, deciding=decides))


def _lost(check: Mapping[str, Any], why: str) -> CheckLook:
    limit = check["condition"]["text"].removeprefix(check["id"]).strip()
    return CheckLook(check["id"], check["kind"], check.get("mode", ENFORCE), ERROR, limit=limit, reason=why)


def tell(outcome: Outcome, about: str, then: Mapping[str, Any], left_out: Mapping[str, str]) -> list[str]:
    """What people read: then against now, each check's value against its limit, what was not judged, and notes.

    about: what was replayed, in words. then: the verdict as it was recorded, or nothing. left_out: why each check was not even tried.
    """
    verdict = outcome.verdict
    lines = [f"{verdict.gate}  {about}"]
    lines += [f"  then  {_short(then)}"] if then else []
    lines += [f"  now   {_short({**verdict.to_dict(), 'decided': outcome.decided})}", ""]
    was = {check.get("id"): check for check in then.get("checks", ())}
    table = [("check", "state", "value", "limit", "then", "")]
    for row in rows(Look(verdict.looks, verdict.at_seconds, verdict.verdict, "", verdict.checks)):
        before = was.get(row[0])
        table.append((*row[:4], " ".join(filter(None, (before.get("state"), before.get("value")))) if before else "-", row[4]))
    if not then:
        table = [(*row[:4], row[5]) for row in table]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]) - 1)]
    lines += ["  " + "  ".join([*(text.ljust(width) for text, width in zip(row, widths)), row[-1]]).rstrip() for row in table]
    if left_out:
        lines += ["", "  NOT JUDGED, so this verdict says nothing of them:", *(f"    {check}: {why}" for check, why in left_out.items())]
    return [*lines, *([""] if outcome.notes else []), *(f"  note: {note}" for note in outcome.notes)]


_SAID = {PASS: "pass", HOLD: "hold: it could not have passed", BLIND: "blind", PENDING: "not decided"}


def _short(verdict: Mapping[str, Any]) -> str:
    """fail after 4m30s of 30m: error_rate"""
    said = _SAID.get(verdict["verdict"], verdict["verdict"])
    at, window = verdict["at_seconds"], verdict["window_seconds"]
    lasted = f"{format_span(at)} of {format_duration(window)}" if at < window else format_span(at)
    deciding = f": {', '.join(verdict.get('deciding') or ())}" if verdict.get("deciding") else ""
    return f"{said} after {lasted}{deciding}"
