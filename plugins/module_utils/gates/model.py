# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge's words: what a kind reads from a sample, what a look shows, what a verdict says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Callable

from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import Field
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample

PENDING, PASS, FAIL, HOLD, BLIND = "pending", "pass", "fail", "hold", "blind"
# States of a single check beside those of a gate.
BREACH, WAITING, ERROR = "breach", "waiting", "error"

ENFORCE, OBSERVE = "enforce", "observe"
# How the reason of a gate begins whose extension ran out.
HELD = "held"

# What a kind may read from one sample.
MET = "met"  # the condition holds, on enough evidence
AGAINST = "against"  # the condition does not hold now; whether that is proof, the judge decides by `fail_after`
PROVEN = "proven"  # the condition is broken, whatever the rest of the window brings
SHORT = "short"  # nothing to judge yet, or not enough of it


@dataclass(frozen=True)
class Counted:
    """Bad events of all events since the window began, of which p0 may be bad, judged at the error rate alpha."""

    bad: float
    total: float
    p0: float
    alpha: float
    burst_seconds: float


@dataclass(frozen=True)
class Reading:
    """What one sample says about one check. The texts are for people.

    ``answered``: there is too little to judge yet, but the source has answered, so this look vouches for its time all the same.
    ``counted``: what was counted, where a proof must not rest on one short burst; the judge then looks into that.
    """

    says: str
    value: str = ""
    evidence: str = ""
    reason: str = ""
    number: float | None = None
    answered: bool = False
    counted: Counted | None = None


@dataclass(frozen=True)
class Kind:
    """One kind of check: the keys the plan may give it, what may be asked of it, and how a sample of it is read.

    unit, ops, momentary and mistakes are asked with the check's own keys. ``momentary``: a sample tells of its instant only,
    so that looks must have covered the window. ``end_decides``: a condition that is not met when the window is over is a
    fail then and there, and no reason to wait longer. ``mistakes`` yields (key, fix) for keys that do not go together; it is asked
    with the keys that were written, and the source.
    """

    sources: tuple[str, ...]
    fields: Mapping[str, Field]
    read: Callable[[Mapping[str, Any], Sample], Reading]
    unit: Callable[[Mapping[str, Any]], str]
    ops: Callable[[Mapping[str, Any]], tuple[str, ...]]
    limit_mistake: Callable[[Mapping[str, Any], str, Decimal], str] = lambda _check, _op, _limit: ""
    momentary: Callable[[Mapping[str, Any]], bool] = lambda _check: False
    mistakes: Callable[[Mapping[str, Any]], list[tuple[str, str]]] = lambda _check: []
    end_decides: bool = False


@dataclass(frozen=True)
class CheckLook:
    """One check at one look, as shown to people and kept in the ledger."""

    id: str
    kind: str
    mode: str
    state: str
    value: str = ""
    limit: str = ""
    evidence: str = ""
    reason: str = ""
    number: float | None = None


@dataclass(frozen=True)
class Look:
    """One evaluation of a gate's checks: ``verdict`` is pending or hold while it goes on, else pass, fail or blind."""

    index: int
    at_seconds: float
    verdict: str
    reason: str = ""
    checks: tuple[CheckLook, ...] = field(default=())

    @property
    def final(self) -> bool:
        return self.verdict in (PASS, FAIL, BLIND)

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "checks": [dict(vars(check)) for check in self.checks], "final": self.final}


@dataclass(frozen=True)
class Verdict:
    """How a gate ended. ``deciding`` names the checks that made it so."""

    gate: str
    verdict: str
    reason: str
    at_seconds: float
    window_seconds: float
    looks: int
    checks: tuple[CheckLook, ...] = field(default=())
    deciding: tuple[str, ...] = field(default=())

    @property
    def safe(self) -> bool:
        return self.verdict == PASS

    @property
    def breach(self) -> bool:
        """Whether limits were broken. A gate that could not see, could not wait or was stopped fails without that."""
        deciding = [check for check in self.checks if check.id in self.deciding]
        return self.verdict == FAIL and bool(deciding) and all(check.state == FAIL for check in deciding)

    def to_dict(self) -> dict[str, Any]:
        told = {"deciding": list(self.deciding), "safe": self.safe, "breach": self.breach}
        return {**vars(self), "checks": [dict(vars(check)) for check in self.checks], **told}
