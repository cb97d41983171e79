# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the module which run acts, and whether a holder of the lock still lives. Documented in plugins/modules/ledger.py."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.levibot.transition.plugins.module_utils.ledger.lock import Owner, is_gone
from ansible_collections.levibot.transition.plugins.plugin_utils.owner import OrphanError, owner

MODULE = "levibot.transition.ledger"


class ActionModule(ActionBase):
    """The module runs on the ledger's host; only the control node knows its processes."""

    _supports_async = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        try:
            here = owner()
        except OrphanError as problem:
            raise AnsibleActionFail(str(problem), result={"lost": "orphan"}) from problem
        arguments = {"owner": here.to_dict(), **self._task.args}
        answer = self._execute_module(MODULE, arguments, task_vars=task_vars)
        holder = answer.get("holder")
        if answer.get("failed") and holder and is_gone(Owner.of(holder["owner"]), here):
            answer = self._execute_module(MODULE, {**arguments, "gone": holder["owner"]["token"]}, task_vars=task_vars)
        return answer
