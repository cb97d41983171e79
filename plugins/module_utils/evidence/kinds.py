# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of evidence by their names."""

from __future__ import annotations

from ansible_collections.levibot.transition.plugins.module_utils.evidence.alerts import ALERTS
from ansible_collections.levibot.transition.plugins.module_utils.evidence.asked import COMMAND, HTTP, PROMETHEUS
from ansible_collections.levibot.transition.plugins.module_utils.evidence.audit import AUDIT, INTRUSIONS
from ansible_collections.levibot.transition.plugins.module_utils.evidence.backup import BACKUP
from ansible_collections.levibot.transition.plugins.module_utils.evidence.books import LIMITS, PNL, TRADES
from ansible_collections.levibot.transition.plugins.module_utils.evidence.live import CHAIN, CONTAINERS, ENGINES
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Kind
from ansible_collections.levibot.transition.plugins.module_utils.evidence.records import APPROVAL, ATTESTATION, RESULT
from ansible_collections.levibot.transition.plugins.module_utils.evidence.report import REPORT
from ansible_collections.levibot.transition.plugins.module_utils.evidence.scanners import PIP_AUDIT, TRIVY
from ansible_collections.levibot.transition.plugins.module_utils.evidence.schedule import SCHEDULE
from ansible_collections.levibot.transition.plugins.module_utils.evidence.soak import SOAK

KINDS: dict[str, Kind] = {
    "report": REPORT,
    "approval": APPROVAL,
    "attestation": ATTESTATION,
    "ledger": RESULT,
    "soak_report": SOAK,
    "prometheus": PROMETHEUS,
    "http": HTTP,
    "command": COMMAND,
    "trivy": TRIVY,
    "pip_audit": PIP_AUDIT,
    "backup": BACKUP,
    "schedule": SCHEDULE,
    "alerts": ALERTS,
    "live_engines": ENGINES,
    "trades": TRADES,
    "risk_limits": LIMITS,
    "pnl": PNL,
    "containers": CONTAINERS,
    "audit": AUDIT,
    "intrusions": INTRUSIONS,
    "chain": CHAIN,
}
