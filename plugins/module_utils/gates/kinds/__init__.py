# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of checks. A new kind is one module here and one entry in this table."""

from __future__ import annotations

from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds import (
    alerts,
    api,
    baseline,
    command,
    proportion,
    quantile,
    reconcile,
    threshold,
)
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import Kind

KINDS: dict[str, Kind] = {
    "threshold": threshold.KIND,
    "proportion": proportion.KIND,
    "quantile": quantile.KIND,
    "baseline": baseline.KIND,
    "alerts": alerts.KIND,
    "api": api.KIND,
    "reconcile": reconcile.KIND,
    "command": command.KIND,
}
