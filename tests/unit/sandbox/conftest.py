# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in's own packages, behind the environment's."""

from __future__ import annotations

import sys

from tests.standin import vendor


def pytest_configure() -> None:
    sys.path.append(str(vendor()))
