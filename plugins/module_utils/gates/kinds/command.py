# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""command: an operator's own script, judged by its exit code and by what its output must and must not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds._looks import fail_after
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import AGAINST, MET, Kind, Reading
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import REQUIRED, Field, duration, number_of, patterns, words
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import COUNT
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample


def read(_check: Mapping[str, Any], sample: Sample) -> Reading:
    if sample.problems:
        return Reading(
            AGAINST,
            value="not clean",
            evidence="; ".join(sample.problems),
            reason="the script complains",
            number=float(len(sample.problems)),
        )
    return Reading(MET, value="clean", number=0.0)


KIND = Kind(
    sources=("command",),
    fields={
        "argv": Field(words, REQUIRED),
        "must_match": Field(patterns, []),
        "must_not_match": Field(patterns, []),
        "rc": Field(number_of(0, 255), 0),
        "timeout": Field(duration, 30),
        "fail_after": Field(fail_after, 1),
    },
    read=read,
    unit=lambda _check: COUNT,
    ops=lambda _check: ("where set",),
    momentary=lambda _check: True,
)
