# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.module_utils.release.registry import standing


def release_standing(looked: Any, version: str, revision: str, records: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    if not isinstance(looked, Mapping):
        raise AnsibleFilterError(f"release_standing: expected the images of registry_info, found {type(looked).__name__}")
    return standing(looked, version, revision, records)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"release_standing": release_standing}
