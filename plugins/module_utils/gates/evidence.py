# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How strongly counts speak against "at most p0 of the events are bad", however often one looks.

Under the hypothesis H0 (each event is bad with probability p0 or less, given all before it), the likelihood ratio
``(p/p0)^k ((1-p)/(1-p0))^(n-k)`` of any p > p0 is a supermartingale over the events, and so is a mixture of several with
fixed weights that add up to 1. By Ville's inequality the chance that it *ever* reaches 1/alpha is at most alpha. So the
mixture may be looked at after each event or every hour, and may stop as soon as it is reached (Wald 1945; Robbins 1970).
"""

from __future__ import annotations

import math

# Alternatives by their odds against p0: small excesses need many events to be seen, a catastrophe needs few. Odds and not
# probabilities, so that each stays below 1 whatever p0 is. The largest keeps one single bad first event at p0 = 0.1 % from
# being proof at alpha = 1 %.
ODDS = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0)
_LOG_WEIGHT = -math.log(len(ODDS))


def log_e_value(bad: float, total: float, p0: float) -> float:
    """The natural logarithm of the mixture likelihood ratio against H0: bad ratio <= p0.

    Counts may be fractional. With p0 = 0 one bad event is proof (infinity); with p0 = 1 nothing is.
    """
    if total <= 0 or p0 >= 1:
        return 0.0
    if p0 <= 0:
        return math.inf if bad > 0 else 0.0
    good = max(total - bad, 0.0)
    return _log_sum(
        _LOG_WEIGHT + bad * (math.log(odds) - math.log1p(p0 * (odds - 1))) - good * math.log1p(p0 * (odds - 1)) for odds in ODDS
    )


def is_proof(bad: float, total: float, p0: float, alpha: float) -> bool:
    """Whether the counts prove, at the error rate alpha over all looks together, that more than p0 is bad."""
    return log_e_value(bad, total, p0) >= -math.log(alpha)


def _log_sum(logs) -> float:
    logs = list(logs)
    top = max(logs)
    return top + math.log(sum(math.exp(value - top) for value in logs))
