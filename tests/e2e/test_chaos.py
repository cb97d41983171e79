# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded part of `make chaos`: the faults that need no other state than a rollout's own, and a few kills."""

from __future__ import annotations

import random

import pytest

from tests.chaos import faults
from tests.chaos.bed import Bed
from tests.chaos.kills import run_kills

from .conftest import Sandbox

SEED = 20261124


@pytest.mark.parametrize("fault", [faults.power_cut, faults.control_node_dies])
def test_promises_outlive(sandbox: Sandbox, fault):
    fault(Bed(), random.Random(SEED))  # noqa: S311 - to be repeated


def test_a_rollout_that_is_killed_at_random_instants_is_promoted_all_the_same(sandbox: Sandbox):
    lines = list(run_kills(Bed(), runs=2, seed=SEED))
    assert lines[-1].startswith("2 kills in ")
    assert lines[-1].endswith(" 0 findings")
