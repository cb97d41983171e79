# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people read: the screen's rows at a look, and the paragraph at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.model import (
    BLIND,
    ENFORCE,
    FAIL,
    HELD,
    PASS,
    CheckLook,
    Look,
    Verdict,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import format_span


def headline(look: Look, gate: Mapping[str, Any]) -> str:
    """How far the window is."""
    window, at = gate["window_seconds"], look.at_seconds
    if at <= window:
        return f"{gate['id']}  {clock(at)} of {clock(window)}, {clock(window - at)} left"
    return f"{gate['id']}  held {clock(at - window)} of {clock(gate['hold_seconds'])}"


def rows(look: Look) -> list[tuple[str, str, str, str, str]]:
    """One row a check: id, state, value, limit, and what stands behind it or is missing."""
    return [(check.id, _state(check), check.value or "-", check.limit, _behind(check)) for check in look.checks]


def explain(verdict: Verdict, samples_at: str = "") -> str:
    """One paragraph: what was decided and when, which checks made it so, what was measured and allowed, where the samples are."""
    at = min(verdict.at_seconds, verdict.window_seconds)
    lasted = f"{format_span(at)} of {format_span(verdict.window_seconds)}"
    if verdict.at_seconds > verdict.window_seconds:
        lasted = f"{format_span(verdict.window_seconds)} and an extension of {format_span(verdict.at_seconds - verdict.window_seconds)}"
    said = {PASS: "passed after", FAIL: "failed after", BLIND: "went blind after"}[verdict.verdict]
    told = [check for check in verdict.checks if verdict.safe or check.id in verdict.deciding]
    parts = [_tell(check) for check in told] or [verdict.reason]
    if told and verdict.reason.startswith(HELD):
        parts.insert(0, verdict.reason.split(": ")[0])
    looks = f"{verdict.looks} look{'' if verdict.looks == 1 else 's'}"
    where = f"; samples: {samples_at}" if samples_at else ""
    return f"Gate {verdict.gate} {said} {lasted}: {'; '.join(parts)} ({looks}{where})."


def clock(seconds: float) -> str:
    """05:09, or 1:05:09 from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def _tell(check: CheckLook) -> str:
    said = f"{check.id} was {check.value}" if check.value else f"{check.id} could not be measured"
    behind = f" ({check.evidence})" if check.evidence else ""
    allowed = f", allowed {check.limit}" if check.limit else ""
    why = f" - {check.reason}" if check.reason else ""
    only = " [observed only]" if check.mode != ENFORCE else ""
    return f"{said}{behind}{allowed}{why}{only}"


def _state(check: CheckLook) -> str:
    return check.state if check.mode == ENFORCE else f"{check.state} (observed)"


def _behind(check: CheckLook) -> str:
    return "; ".join(part for part in (check.evidence, check.reason) if part)
