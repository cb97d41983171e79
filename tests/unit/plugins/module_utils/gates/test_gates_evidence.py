# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.gates.evidence import is_proof, log_e_value

ALPHA = 0.01
RATIOS = st.floats(1e-5, 0.5)


def false_alarms(p: float, p0: float, streams: int, events: int, seed: int) -> float:
    """The share of streams with bad ratio p that are ever called proof against p0, looked at after *each* event."""
    chance = random.Random(seed)  # noqa: S311 - a simulation
    alarms = 0
    for _stream in range(streams):
        # Between two bad events the evidence only falls, so looking at the bad ones is looking at all.
        bad, at = 0, 0
        while True:
            at += 1 + int(math.log(1 - chance.random()) / math.log1p(-p))
            if at > events:
                break
            bad += 1
            if is_proof(bad, at, p0, ALPHA):
                alarms += 1
                break
    return alarms / streams


@pytest.mark.parametrize(("p0", "events"), [(0.001, 20_000), (0.05, 2_000)])
def test_looking_after_each_event_raises_no_more_false_alarms_than_alpha(p0, events):
    streams = 3000
    # Three standard deviations above alpha is what chance may add to a rate that is alpha at most.
    most = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / streams)
    assert false_alarms(p0, p0, streams, events, seed=1) <= most
    assert false_alarms(p0 / 2, p0, streams, events, seed=2) <= most / 2


@pytest.mark.parametrize(("p", "p0", "events"), [(0.005, 0.001, 20_000), (0.1, 0.05, 2_000), (0.3, 0.001, 40)])
def test_what_is_broken_is_found(p, p0, events):
    assert false_alarms(p, p0, streams=300, events=events, seed=3) > 0.99


def test_a_catastrophe_is_proof_at_once_and_a_single_bad_event_is_not():
    assert is_proof(97, 309, 0.001, ALPHA)
    assert is_proof(3, 3, 0.001, ALPHA)
    assert not is_proof(1, 1, 0.001, ALPHA)
    assert not is_proof(3, 3000, 0.001, ALPHA)


def test_a_limit_of_zero_allows_nothing():
    assert is_proof(1, 10**9, 0.0, ALPHA)
    assert not is_proof(0, 10**9, 0.0, ALPHA)


@pytest.mark.parametrize("p0", [1.0, 1.5])
def test_a_limit_of_all_allows_everything(p0):
    assert not is_proof(10, 10, p0, ALPHA)


@given(st.floats(0, 1e7), st.floats(0, 1), RATIOS)
def test_counts_of_any_size_give_a_finite_number(total, share, p0):
    assert math.isfinite(log_e_value(total * share, total, p0))


@given(st.integers(0, 10**6), st.integers(0, 1000), RATIOS)
def test_one_more_bad_event_speaks_more_against_and_one_more_good_event_less(good, bad, p0):
    now = log_e_value(bad, good + bad, p0)
    assert log_e_value(bad + 1, good + bad + 1, p0) > now
    assert log_e_value(bad, good + bad + 1, p0) < now


@given(st.integers(1, 10**5), RATIOS)
def test_the_mixture_is_a_fair_bet_at_the_limit(total, p0):
    """One more event at exactly p0 leaves the expected e-value where it is: the martingale that Ville's inequality wants."""
    bad = round(total * p0)
    now = log_e_value(bad, total, p0)
    after = p0 * math.exp(log_e_value(bad + 1, total + 1, p0) - now) + (1 - p0) * math.exp(log_e_value(bad, total + 1, p0) - now)
    assert after == pytest.approx(1)
