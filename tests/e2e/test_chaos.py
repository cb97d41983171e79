# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded part of `make chaos`: its kills and most of its faults take minutes. test_resume.py has kills, too."""

from __future__ import annotations

import random

import pytest

from tests.chaos import faults
from tests.chaos.bed import Bed

from .conftest import Sandbox

SEED = 20261124


@pytest.mark.parametrize("fault", [faults.power_cut])
def test_promises_outlive(sandbox: Sandbox, fault):
    fault(Bed(), random.Random(SEED))  # noqa: S311 - to be repeated
