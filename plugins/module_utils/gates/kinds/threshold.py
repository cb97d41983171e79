# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""threshold: one number against a limit at each look; `fail_after` consecutive looks over it are a fail.

The number is a query's, or, with the source ``trading``, what the books say of ``what``: ``loss`` is the worst loss of a symbol or of all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.compare import OPERATORS, holds
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds._counts import amount
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds._looks import fail_after
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import AGAINST, MET, SHORT, Kind, Reading
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import (
    Field,
    boolean,
    mentions,
    number_of,
    one_of,
    query,
    text,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import COUNT, UNITS, format_value
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample

WHAT = ("loss",)


def read(check: Mapping[str, Any], sample: Sample) -> Reading:
    """The number against the limit; with `events`, only once there are enough of them behind the number."""
    seen = _compare(check, sample)
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


def mistakes_by_source(check: Mapping[str, Any]) -> list[tuple[str, str]]:
    needed, others = ("what", ("query", "events", "min_events", "counts")) if check["source"] == "trading" else ("query", ("what",))
    found = [(key, f"remove it: the source {check['source']} is not asked for it") for key in others if key in check]
    if needed not in check:
        found.append((needed, f"write it: a check of kind threshold that asks {check['source']} needs {needed}"))
    return found or mistakes(check)


def _compare(check: Mapping[str, Any], sample: Sample) -> Reading:
    if sample.infinite:
        value = f"{sample.infinite}Inf"
        if check.get("allow_infinite"):
            return Reading(MET, value=value, reason="infinite, which the plan allows")
        return Reading(AGAINST, value=value, reason="infinite")
    if sample.value is None or not math.isfinite(sample.value):
        return Reading(SHORT, reason="no number")
    value = format_value(sample.value, check["condition"].get("unit", COUNT))
    condition = check["condition"]
    if holds(sample.value, condition["op"], condition["limit"]):
        return Reading(MET, value=value, number=sample.value)
    return Reading(
        AGAINST, value=value, reason="over the limit" if condition["op"] in ("<", "<=") else "not what is wanted", number=sample.value
    )


KIND = Kind(
    sources=("prometheus", "trading"),
    fields={
        "query": Field(query),
        "what": Field(one_of(*WHAT)),
        "events": Field(query),
        "min_events": Field(number_of(0)),
        "counts": Field(text),
        "unit": Field(one_of(*UNITS), COUNT),
        "fail_after": Field(fail_after, 1),
        "allow_infinite": Field(boolean, False),
    },
    read=read,
    unit=lambda check: check.get("unit", COUNT),
    ops=lambda _check: tuple(OPERATORS),
    mistakes=mistakes_by_source,
    # A query over $elapsed tells of the whole window each time; any other tells of its instant.
    momentary=lambda check: not mentions(check.get("query", ""), "elapsed"),
)
