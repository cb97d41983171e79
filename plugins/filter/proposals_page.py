# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.module_utils.proposals.page import PageError, page


def proposals_page(given: Any) -> dict[str, Any]:
    try:
        return page(given)
    except PageError as exc:
        raise AnsibleFilterError(f"proposals_page: {exc}") from exc


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"proposals_page": proposals_page}
