# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles of Hypothesis: this one, and another for --hypothesis-profile."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes says nothing on a busy machine.
settings.register_profile("any_time", deadline=None)
settings.load_profile("any_time")
settings.register_profile("few", max_examples=10, deadline=None)
