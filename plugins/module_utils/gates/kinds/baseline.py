# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""baseline: the candidate against stable over the same minutes, with a tolerated increase of what is bad.

Bad is what a counter says, or "slower than a bound" for each bound of a histogram: a candidate must not have more slow requests
at any of them. The evidence is the mean over the bounds, which needs no choice of one before the data are seen (see ``evidence``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.evidence import candidates_share, log_e_value, mean_log_e_value
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds._counts import (
    FIELDS,
    alpha_of,
    amount,
    impossible,
    noun,
    too_few,
)
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import ERROR, MET, PROVEN, SHORT, Kind, Reading
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import Field, duration, selector
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import (
    RATIO,
    SECONDS,
    canonical,
    format_limit,
    format_value,
)
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample

Pair = Mapping[str, Any]


def read(check: Mapping[str, Any], sample: Sample) -> Reading:
    problem = _impossible(sample.pairs)
    if problem:
        return Reading(ERROR, reason=problem)
    increase = float(Decimal(check["condition"]["limit"]))
    logs = {pair["at"]: _log_e_value(pair, increase) for pair in sample.pairs}
    worst = max(sample.pairs, key=lambda pair: logs[pair["at"]])
    change = _change(worst)
    counts = noun(check, "requests")
    candidate, stable = _told(worst, counts), f"stable {amount(worst['base_bad'])} of {amount(worst['base_total'])}"
    seen = {"value": "" if change is None else format_value(change, RATIO), "number": change, "evidence": f"{candidate}; {stable}"}
    if mean_log_e_value(logs.values()) >= -math.log(alpha_of(check)):
        return Reading(PROVEN, reason="proven worse than stable", **seen)
    for slot, total in (("the candidate", worst["total"]), ("stable", worst["base_total"])):
        short = too_few(check, total, counts)
        if short:
            return Reading(SHORT, reason=f"{slot} had {short}", **seen)
    return Reading(MET, **seen)


def limit_mistake(_check: Mapping[str, Any], op: str, limit: Decimal) -> str:
    if limit < 0 or (op, limit) == ("<", Decimal(0)):
        return "write the increase that is tolerated, such as < 20%"
    return ""


def mistakes(check: Mapping[str, Any]) -> list[tuple[str, str]]:
    if "buckets" in check:
        return [(key, "remove it: the check counts slow requests by its buckets") for key in ("bad", "total") if key in check]
    if "ignore_below" in check:
        return [("ignore_below", "remove it: it is about the bounds of buckets")]
    if not ({"bad", "total"} & set(check)):
        return [("buckets", "write buckets (a histogram: slow requests), or bad and total (counters)")]
    return [(key, f"write {key} as well: bad and total go together") for key in ("bad", "total") if key not in check]


def _impossible(pairs: tuple[Pair, ...]) -> str:
    if not pairs:
        return "the sample carries no counts of both slots"
    problems = (impossible(pair[bad], pair[total]) for pair in pairs for bad, total in (("bad", "total"), ("base_bad", "base_total")))
    return next(filter(None, problems), "")


def _log_e_value(pair: Pair, increase: float) -> float:
    share = candidates_share(pair["total"], pair["base_total"], increase)
    return log_e_value(pair["bad"], pair["bad"] + pair["base_bad"], share)


def _change(pair: Pair) -> float | None:
    """By how much the candidate's bad ratio exceeds stable's, as a share of it; None where stable has none."""
    if not (pair["total"] and pair["base_total"] and pair["base_bad"]):
        return 0.0 if not pair["bad"] else None
    return (pair["bad"] / pair["total"]) / (pair["base_bad"] / pair["base_total"]) - 1


def _told(pair: Pair, counts: str) -> str:
    slower = f" slower than {format_limit(Decimal(canonical(Decimal(pair['at']))), SECONDS)}" if pair["at"] else " bad"
    return f"{amount(pair['bad'])} of {amount(pair['total'])} {counts}{slower}"


KIND = Kind(
    sources=("prometheus",),
    fields={
        "buckets": Field(selector),
        "ignore_below": Field(duration),
        "bad": Field(selector),
        "total": Field(selector),
        **FIELDS,
    },
    read=read,
    unit=lambda _check: RATIO,
    ops=lambda _check: ("<", "<="),
    limit_mistake=limit_mistake,
    mistakes=mistakes,
)
