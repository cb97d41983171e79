# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import plain
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import show
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError, format_duration, parse_duration

SECONDS = "seconds"
TEXT = "text"


def duration(value: Any, to: str = SECONDS) -> float | int | str:
    if to not in (SECONDS, TEXT):
        raise AnsibleFilterError(f"duration: found to={show(to)}; write to='{SECONDS}' or to='{TEXT}'")
    if to == SECONDS:
        return plain(_seconds(value))
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        return format_duration(Decimal(repr(value)) if is_number else _seconds(value))
    except (ValueError, ArithmeticError) as exc:
        raise AnsibleFilterError(f"duration: found {show(value)}; give a number of seconds that is not negative") from exc


def _seconds(value: Any) -> Decimal:
    try:
        return parse_duration(value)
    except MistakeError as mistake:
        raise AnsibleFilterError(f"duration: found {show(value)}; {mistake}") from mistake


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"duration": duration}
