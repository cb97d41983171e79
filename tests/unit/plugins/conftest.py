# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles of Hypothesis, for --hypothesis-profile."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("few", max_examples=10)
