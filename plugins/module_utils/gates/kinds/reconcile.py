# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""reconcile: what was recomputed agrees with what is reported, on at least so many events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds._counts import amount, noun, too_few
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds._looks import fail_after
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import AGAINST, MET, SHORT, Kind, Reading
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import Field, number_of, text
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import COUNT
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample


def read(check: Mapping[str, Any], sample: Sample) -> Reading:
    """Any disagreement speaks against; agreement about nothing is no evidence."""
    counts = noun(check, "events")
    events = sample.events or 0
    behind = f"{amount(events)} {counts}"
    if sample.problems:
        found = float(len(sample.problems))
        return Reading(AGAINST, f"{found:.0f} disagree", f"{behind}; {'; '.join(sample.problems)}", "the books do not agree", found)
    short = too_few(check, events, counts)
    if short:
        return Reading(SHORT, evidence=behind, reason=short, answered=True)
    return Reading(MET, value="agrees", evidence=behind, number=0.0)


KIND = Kind(
    sources=("trading",),
    fields={"min_events": Field(number_of(0), 1), "counts": Field(text), "fail_after": Field(fail_after, 1)},
    read=read,
    unit=lambda _check: COUNT,
    ops=lambda _check: ("==",),
)
