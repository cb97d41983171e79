# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The best setting of a rule: the fewest bad requests served, at no more false rollbacks than the engine has on the same streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from benchmarks.decisions_model.rivals import Rule
from benchmarks.decisions_model.rollouts import Result

Results = Mapping[Rule, Result]


def best(
    settings: Iterable[Rule], healthy: Iterable[tuple[Result, Results]], broken: Iterable[tuple[Result, Results]]
) -> tuple[Rule, bool]:
    """The setting, and whether it keeps the engine's false rollbacks. Where none does, it is the one with the fewest.

    It is chosen in hindsight, on the very streams it is then compared on, and anew for each level of traffic: both favour the rule.
    """
    healthy, broken = list(healthy), list(broken)
    allowed = sum(int((~engine.promoted).sum()) for engine, _rules in healthy)
    false = {rule: sum(int((~rules[rule].promoted).sum()) for _engine, rules in healthy) for rule in settings}
    least = max(allowed, min(false.values()))
    costs = {rule: cost(rules[rule] for _engine, rules in broken) for rule, count in false.items() if count <= least}
    chosen = min(costs, key=costs.__getitem__)
    return chosen, false[chosen] <= allowed


def cost(results: Iterable[Result]) -> float:
    """The geometric mean over faults of the bad requests served on average, so that no single fault outweighs the others."""
    return float(np.mean([np.log1p(result.served.mean()) for result in results]))
