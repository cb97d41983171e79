# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import quantile as read_quantile
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import show
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError
from ansible_collections.levibot.transition.plugins.module_utils.sources.prometheus import Bounds, quantile_of

P95 = 0.95


def quantile(values: Any, q: Any) -> float:
    return _quantile("quantile", values, q)


def p95(values: Any) -> float:
    return _quantile("p95", values, P95)


def _quantile(name: str, values: Any, q: Any) -> float:
    try:
        share = read_quantile(q)
    except MistakeError as mistake:
        raise AnsibleFilterError(f"{name}: found q={show(q)}; {mistake}") from mistake
    try:
        return _of_buckets(values, share) if isinstance(values, Mapping) else _of_numbers(values, share)
    except MistakeError as mistake:
        raise AnsibleFilterError(f"{name}: found {show(values)}; {mistake}") from mistake


def _of_numbers(values: Any, share: float) -> float:
    """Linear between the two nearest ranks."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise MistakeError("give a list of numbers, or a histogram's cumulative counts by their bounds, such as {'0.1': 90, '+Inf': 100}")
    numbers = sorted(_number(value) for value in values)
    if not numbers:
        raise MistakeError("give at least one number: nothing has no quantile")
    rank = share * (len(numbers) - 1)
    below = int(rank)
    above = min(below + 1, len(numbers) - 1)
    return numbers[below] + (numbers[above] - numbers[below]) * (rank - below)


def _of_buckets(values: Mapping[Any, Any], share: float) -> float:
    bounds: Bounds = sorted((_bound(bound), _number(count)) for bound, count in values.items())
    if not bounds or not math.isinf(bounds[-1][0]):
        raise MistakeError("give the bucket +Inf as well: it has all events")
    if any(after[1] < before[1] for before, after in pairwise(bounds)) or bounds[0][1] < 0:
        raise MistakeError("give cumulative counts, which grow from bound to bound")
    if not bounds[-1][1]:
        raise MistakeError("give at least one event: nothing has no quantile")
    value, beyond = quantile_of(bounds, share)
    if beyond:
        # Prometheus would give the last bound, which is less than what it is: a limit above it would look kept.
        raise MistakeError(f"it lies beyond the last finite bucket, so all that is known is that it is more than {value:g}; add buckets")
    return value


def _bound(value: Any) -> float:
    try:
        bound = float(value)
    except (TypeError, ValueError):
        bound = math.nan
    if math.isnan(bound):
        raise MistakeError("write bounds as numbers, the last one +Inf")
    return bound


def _number(value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise MistakeError(f"{show(value)} is no finite number")
    return number


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"quantile": quantile, "p95": p95}
