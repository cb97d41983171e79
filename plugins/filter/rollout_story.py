# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.module_utils.ledger.story import tell


def rollout_story(export: Any, chain: Mapping[str, Any] | None = None) -> dict[str, Any]:
    if not isinstance(export, str):
        raise AnsibleFilterError(f"rollout_story: expected the text of a ledger's export, found {type(export).__name__}")
    return tell(export.splitlines(), chain)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"rollout_story": rollout_story}
