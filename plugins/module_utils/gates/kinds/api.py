# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""api: a value from one of LeviBot's answers, absolute or as change since the window began; judged when the window is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.compare import OPERATORS
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds import threshold
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds._looks import fail_after
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import SHORT, Kind, Reading
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import (
    REQUIRED,
    Field,
    boolean,
    jmespath_text,
    number_of,
    one_of,
    path,
    text,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import COUNT, UNITS
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample


def read(check: Mapping[str, Any], sample: Sample) -> Reading:
    """As a threshold. Events of a change add up over the window: that there are few so far does not mean that the API was silent."""
    seen = threshold.read(check, sample)
    return replace(seen, answered=True) if seen.says == SHORT and check.get("change") and sample.value is not None else seen


KIND = Kind(
    sources=("api",),
    fields={
        "path": Field(path, REQUIRED),
        "value": Field(jmespath_text, REQUIRED),
        "change": Field(boolean, False),
        "events": Field(jmespath_text),
        "min_events": Field(number_of(0)),
        "counts": Field(text),
        "unit": Field(one_of(*UNITS), COUNT),
        "fail_after": Field(fail_after),
        "allow_infinite": Field(boolean, False),
    },
    read=read,
    unit=lambda check: check.get("unit", COUNT),
    ops=lambda _check: tuple(OPERATORS),
    mistakes=threshold.mistakes,
    # A change is made of what the looks saw: where the API was silent, nobody knows whether its book began again.
    momentary=lambda check: bool(check.get("change")),
    end_decides=True,
)
