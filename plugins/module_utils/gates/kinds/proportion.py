# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""proportion: bad out of total, judged by a test that may be looked at any time (see ``evidence``)."""

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
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import Field, one_of, selector
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import RATIO, format_value
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample


def read(check: Mapping[str, Any], sample: Sample) -> Reading:
    problem = impossible(sample.bad, sample.total)
    if problem:
        return Reading(ERROR, reason=problem)
    bad, total = sample.bad, sample.total
    counts = noun(check, "events")
    if total == 0:
        return Reading(SHORT, evidence=f"0 {counts}", reason=f"no {counts} seen")
    good_wanted = check["of"] == "good"
    limit = Decimal(check["condition"]["limit"])
    p0 = float(1 - limit if good_wanted else limit)
    shown = ratio(total - bad if good_wanted else bad, total)
    evidence = f"{amount(bad)} of {amount(total)} {counts}" + (" bad" if good_wanted else "")
    seen = {"value": format_value(float(shown), RATIO), "evidence": evidence, "number": float(shown)}
    seen["counted"] = counted(check, bad, total, p0)
    if proven(seen["counted"]):
        return Reading(PROVEN, reason="the limit is proven broken", **seen)
    short = too_few(check, total, counts)
    if short:
        return Reading(SHORT, reason=short, **seen)
    if not holds(shown, check["condition"]["op"], check["condition"]["limit"]):
        return Reading(AGAINST, reason="over the limit, not proven", **seen)
    return Reading(MET, **seen)


def limit_mistake(_check: Mapping[str, Any], op: str, limit: Decimal) -> str:
    if not 0 <= limit <= 1:
        return "write a limit from 0% to 100%"
    if (op, limit) in (("<", Decimal(0)), (">", Decimal(1))):
        return f"no ratio is {op} {limit * 100:f}%; write {op}= {limit * 100:f}%"
    return ""


def mistakes(check: Mapping[str, Any]) -> list[tuple[str, str]]:
    if "samples" in check:
        return [(key, "remove it: the check counts its samples") for key in ("bad", "total") if key in check]
    if not ({"bad", "total"} & set(check)):
        return [("samples", "write samples (each stored sample is an event, 1 = what `of` says), or bad and total (counters)")]
    return [(key, f"write {key} as well: bad and total go together") for key in ("bad", "total") if key not in check]


KIND = Kind(
    sources=("prometheus",),
    fields={
        "of": Field(one_of("bad", "good"), "bad"),
        "samples": Field(selector),
        "bad": Field(selector),
        "total": Field(selector),
        **FIELDS,
        **BURST,
    },
    read=read,
    unit=lambda _check: RATIO,
    ops=lambda check: (">", ">=") if check.get("of") == "good" else ("<", "<="),
    limit_mistake=limit_mistake,
    mistakes=mistakes,
)
