# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the module's clock between two looks at the control node's. Documented in plugins/modules/host_info.py."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase

MODULE = "levibot.transition.host_info"


class ActionModule(ActionBase):
    """The host's clock was read at some instant between the two, so half of the time between them is how far this can be wrong."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        before = time.time()
        answer = self._execute_module(MODULE, self._task.args, task_vars=task_vars)
        after = time.time()
        if "epoch_seconds" in answer:
            answer["clock_ahead_seconds"] = round(answer["epoch_seconds"] - (before + after) / 2, 3)
            answer["clock_uncertainty_seconds"] = round((after - before) / 2, 3)
        return answer
