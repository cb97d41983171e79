# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.module_utils.gates.model import BLIND, FAIL, HOLD, PASS, PENDING
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import show

UNJUDGED = "unjudged"  # what a gate says in check mode
VERDICTS = (PASS, FAIL, HOLD, BLIND, PENDING, UNJUDGED)


def passing(result: Any) -> bool:
    return _verdict(result) == PASS


def failing(result: Any) -> bool:
    return _verdict(result) == FAIL


def blind(result: Any) -> bool:
    return _verdict(result) == BLIND


def held(result: Any) -> bool:
    return _verdict(result) == HOLD or _held_in_vain(result)


def _verdict(result: Any) -> str:
    """The word, of a gate's result or by itself. What was skipped or cut off has none, and is not silently "not failing"."""
    word = result.get("verdict") if isinstance(result, Mapping) else result
    if word not in VERDICTS:
        raise AnsibleFilterError(f"found {show(result)}; give the result of a gate, or its verdict: one of {', '.join(VERDICTS)}")
    return word


def _held_in_vain(result: Any) -> bool:
    """Failed since the gate's `hold` was used up, and no limit was broken."""
    return isinstance(result, Mapping) and _verdict(result) == FAIL and bool(result.get("deciding")) and not result.get("breach")


class TestModule:
    def tests(self) -> dict[str, Callable[..., Any]]:
        return {"passing": passing, "failing": failing, "blind": blind, "held": held}
