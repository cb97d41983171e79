# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""quantile: "p95 under L" is "at most 5 % slower than L", so it is judged as a proportion, and the p95 itself is reported."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.compare import holds, ratio
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds._counts import (
    BURST,
    FIELDS,
    amount,
    counted,
    impossible,
    noun,
    proven,
    too_few,
)
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import AGAINST, ERROR, MET, PROVEN, SHORT, Kind, Reading
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import REQUIRED, Field, quantile, selector
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import RATIO, SECONDS, format_limit, format_value
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample


def read(check: Mapping[str, Any], sample: Sample) -> Reading:
    problem = impossible(sample.bad, sample.total)
    if problem:
        return Reading(ERROR, reason=problem)
    bad, total = sample.bad, sample.total
    counts = noun(check, "requests")
    if total == 0:
        return Reading(SHORT, evidence=f"0 {counts}", reason=f"no {counts} seen")
    allowed = 1 - Decimal(repr(float(check["quantile"])))
    slower = ratio(bad, total)
    limit = format_limit(Decimal(check["condition"]["limit"]), SECONDS)
    value = "" if sample.value is None else format_value(sample.value, SECONDS)
    shares = f"{format_value(float(slower), RATIO)}, at most {format_limit(allowed, RATIO)} may be"
    evidence = f"{amount(bad)} of {amount(total)} {counts} slower than {limit} ({shares})"
    seen = {"value": value, "evidence": evidence, "number": sample.value}
    seen["counted"] = counted(check, bad, total, float(allowed))
    if proven(seen["counted"]):
        return Reading(PROVEN, reason="the limit is proven broken", **seen)
    short = too_few(check, total, counts)
    if short:
        return Reading(SHORT, reason=short, **seen)
    if not holds(slower, "<=", str(allowed)):
        return Reading(AGAINST, reason="over the limit, not proven", **seen)
    return Reading(MET, **seen)


KIND = Kind(
    sources=("prometheus",),
    fields={"quantile": Field(quantile, 0.95), "buckets": Field(selector, REQUIRED), **FIELDS, **BURST},
    read=read,
    unit=lambda _check: SECONDS,
    ops=lambda _check: ("<", "<="),
    limit_mistake=lambda _check, _op, limit: "" if limit > 0 else "write a limit above zero, such as 200ms",
)
