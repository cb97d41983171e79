# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""api: a value from one of LeviBot's answers, absolute or as change since the window began; judged when the window is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.compare import OPERATORS
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds import threshold
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds._counts import amount
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds._looks import fail_after
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import SHORT, Kind, Reading
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import (
    REQUIRED,
    Field,
    boolean,
    jmespath_text,
    number_of,
    one_of,
    path,
    text,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import COUNT, UNITS
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample


def read(check: Mapping[str, Any], sample: Sample) -> Reading:
    seen = threshold.read(check, sample)
    if not check.get("events"):
        return seen
    counts = check.get("counts") or "events"
    events = sample.events or 0
    seen = replace(seen, evidence=f"{amount(events)} {counts}")
    if events < check.get("min_events", 1):
        return replace(seen, says=SHORT, reason=f"{amount(events)} of at least {check.get('min_events', 1):,} {counts}")
    return seen


def mistakes(check: Mapping[str, Any]) -> list[tuple[str, str]]:
    if "min_events" in check and "events" not in check:
        return [("events", "write events as well: the expression that tells how many there were")]
    return []


KIND = Kind(
    sources=("api",),
    fields={
        "path": Field(path, REQUIRED),
        "value": Field(jmespath_text, REQUIRED),
        "change": Field(boolean, False),
        "events": Field(jmespath_text),
        "min_events": Field(number_of(0)),
        "counts": Field(text),
        "unit": Field(one_of(*UNITS), COUNT),
        "fail_after": Field(fail_after),
        "allow_infinite": Field(boolean, False),
    },
    read=read,
    unit=lambda check: check.get("unit", COUNT),
    ops=lambda _check: tuple(OPERATORS),
    mistakes=mistakes,
    end_decides=True,
)
