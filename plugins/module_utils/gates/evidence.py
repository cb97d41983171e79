# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How strongly counts speak against "at most p0 of the events are bad", however often one looks.

Under the hypothesis H0 (each event is bad with probability p0 or less, given all before it), the likelihood ratio
``(p/p0)^k ((1-p)/(1-p0))^(n-k)`` of any p > p0 is a supermartingale over the events, and so is a mixture of several with
fixed weights that add up to 1. By Ville's inequality the chance that it *ever* reaches 1/alpha is at most alpha. So the
mixture may be looked at after each event or every hour, and may stop as soon as it is reached (Wald 1945; Robbins 1970).

Two slots are compared by the same ratio. If the split sends each request to the candidate with a probability that does not depend
on how the request ends, a *bad* request was the candidate's with probability ``r n / (r n + m)`` or less, where n and m requests
went to candidate and stable and the candidate's bad ratio is at most r times stable's. So the bad requests are a stream of their
own, in which being the candidate's is what is counted. What troubles both slots at once (a slow exchange, a busy hour) cancels: it
brings more bad requests, but no larger share of them to the candidate. This is the conditional test of two Poisson rates
(Przyborowski and Wilenski 1940), taken sequentially (Kulldorff et al. 2011).

Errors come in bursts, and for a moment each event's chance then is far above what it is over the window. :class:`Bursts` therefore
tells the judge what the evidence is without the worst stretch; see there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

# Alternatives by their odds against p0: small excesses need many events to be seen, a catastrophe needs few. Odds and not
# probabilities, so that each stays below 1 whatever p0 is. The largest keeps one single bad first event at p0 = 0.1 % from
# being proof at alpha = 1 %.
ODDS = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0)
_LOG_WEIGHT = -math.log(len(ODDS))

# Half of alpha is for the whole window, the other half for its parts together, each judged by itself: Ville's inequality for each, and
# alpha for all of them. Of the whole and of a part so many bursts are taken out before it is said that something lasts.
PARTS = 5
WHOLE_SHARE, PART_SHARE = 0.5, 0.5 / PARTS
WHOLE_BURSTS = 2
PART_BURSTS = MOST_BURSTS = 3
BINS_A_BURST = 2
SAME_MOMENT = 1e-9


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


def candidates_share(total: float, base_total: float, increase: float) -> float:
    """The largest probability that a bad event is the candidate's if its bad ratio is at most 1 + `increase` times stable's."""
    weighed = (1 + increase) * total
    return weighed / (weighed + base_total) if weighed + base_total > 0 else 1.0


def mean_log_e_value(logs: Iterable[float]) -> float:
    """The mean of e-values, all as logarithms, is an e-value against "none of the hypotheses is broken"."""
    logs = list(logs)
    return _log_sum(logs) - math.log(len(logs))


class Bursts:
    """What of the counts came in a few short bursts: a reconnect or a fail-over is not what a gate of hours is to stop.

    Counts are put into bins of `burst_seconds`, so that a burst of that length lies in two at most. Taken out are, one after the other,
    the bins without which the least evidence is left. `memory`, which is plain JSON, keeps only bins that may be among them later, a
    few dozen however long the window is. Looks further apart than a bin, and a soak that was interrupted, put all between them into
    one bin: less is then taken for lasting.
    """

    def __init__(self, memory: dict[str, Any], burst_seconds: float) -> None:
        self._memory = {"bin": 0, "start": [0.0, 0.0], "seen": [0.0, 0.0], "bins": [], **memory}
        self._burst_seconds = burst_seconds

    @property
    def memory(self) -> dict[str, Any]:
        return dict(self._memory)

    def look(self, at_seconds: float, bad: float, total: float) -> None:
        """The counts so far, at a look."""
        kept = self._memory
        now = math.ceil(at_seconds / self._burst_seconds) - 1
        if now > kept["bin"]:
            kept["bins"] = _candidates([*kept["bins"], self._filling()])
            kept["start"] = kept["seen"]
            kept["bin"] = now
        kept["seen"] = [bad, total]

    def without_worst(self, p0: float, bursts: int) -> tuple[float, float]:
        """(bad, total) of what is left when the bins of so many bursts are taken out."""
        left, bins = list(self._memory["seen"]), [*self._memory["bins"], self._filling()]
        for _taken in range(min(bursts * BINS_A_BURST, len(bins))):
            worst = min(bins, key=lambda counts: log_e_value(*_sound(_less(left, counts)), p0))
            left = _less(left, worst)
            bins.remove(worst)
        return _sound(left)

    def _filling(self) -> list[float]:
        """The bin of the last look: [bad, total]."""
        return _less(self._memory["seen"], self._memory["start"])


def _candidates(bins: list[list[float]]) -> list[list[float]]:
    """Without those that enough others beat whatever else is counted: with more bad events, and no more good ones."""
    ordered = sorted((counts for counts in bins if counts[0] > 0), key=lambda counts: (counts[1] - counts[0], -counts[0]))
    enough = MOST_BURSTS * BINS_A_BURST
    return [counts for rank, counts in enumerate(ordered) if sum(better[0] >= counts[0] for better in ordered[:rank]) < enough]


class Parts:
    """The counts of the part of the window that is going on, since a long good time must not outweigh a bad end of it.

    The window is cut into :data:`PARTS` of equal length; the last one goes on while a gate is held.
    """

    def __init__(self, memory: dict[str, Any], window_seconds: float, burst_seconds: float) -> None:
        self._memory = {"part": 0, "began": [0.0, 0.0, 0.0], "seen": [0.0, 0.0, 0.0], "bursts": {}, **memory}
        self._seconds = window_seconds / PARTS
        self._burst_seconds = burst_seconds
        self.bursts = Bursts(self._memory["bursts"], burst_seconds)

    @property
    def memory(self) -> dict[str, Any]:
        return {**self._memory, "bursts": self.bursts.memory}

    def look(self, at_seconds: float, bad: float, total: float) -> tuple[float, float]:
        """The counts since the window began, at a look, to those of this part."""
        kept = self._memory
        part = min(math.ceil(at_seconds / self._seconds - SAME_MOMENT) - 1, PARTS - 1)
        if part > kept["part"]:
            kept["part"], kept["began"] = part, kept["seen"]
            self.bursts = Bursts({}, self._burst_seconds)
        kept["seen"] = [at_seconds, bad, total]
        began, *before = kept["began"]
        lately = _less([bad, total], before)
        self.bursts.look(at_seconds - began, *lately)
        return _sound(lately)


def _sound(counts: list[float]) -> tuple[float, float]:
    return counts[0], max(counts)


def _less(counts: list[float], taken: list[float]) -> list[float]:
    """Never below zero: a recount of the store may give a little less than an earlier one."""
    return [max(0.0, counts[0] - taken[0]), max(0.0, counts[1] - taken[1])]


def _log_sum(logs: Iterable[float]) -> float:
    logs = list(logs)
    top = max(logs)
    if math.isinf(top):
        return top
    return top + math.log(sum(math.exp(value - top) for value in logs))
