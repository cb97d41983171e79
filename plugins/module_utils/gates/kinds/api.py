# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""api: a value from one of LeviBot's answers, absolute or as change since the window began; judged when the window is over."""

from __future__ import annotations

from ansible_collections.levibot.transition.plugins.module_utils.gates.compare import OPERATORS
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds import threshold
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds._looks import fail_after
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import Kind
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
    read=threshold.read,
    unit=lambda check: check.get("unit", COUNT),
    ops=lambda _check: tuple(OPERATORS),
    mistakes=threshold.mistakes,
    end_decides=True,
)
