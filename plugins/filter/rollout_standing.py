# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.module_utils.ledger.standing import decide


def rollout_standing(record: Any, edges: Mapping[str, Mapping[str, Any]], version: str, plan_digest: str) -> dict[str, Any]:
    if not isinstance(record, list):
        raise AnsibleFilterError(f"rollout_standing: expected the entries of a rollout, found {type(record).__name__}")
    return decide(record, edges, version, plan_digest)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"rollout_standing": rollout_standing}
