# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.module_utils.gates.record import find_gate, read_record
from ansible_collections.levibot.transition.plugins.module_utils.gates.replay import judge_record
from ansible_collections.levibot.transition.plugins.module_utils.ledger.story import parse
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Problem, Report

SHOWN = 10


def judge(looks: Any, gate: Any, plan: Any = None, rollout: str = "") -> dict[str, Any]:
    report = Report()
    found = find_gate(gate, plan, report)
    if isinstance(looks, str):
        looks = _entries(looks)
    record = read_record(looks, found["id"], report, rollout) if found else None
    if report.problems or found is None or record is None:
        raise AnsibleFilterError(_message(report.problems))
    return judge_record(found, record).to_dict()


def _entries(export: str) -> list[dict[str, Any]]:
    """Those of a ledger's export. A verdict on what somebody has changed would be worth nothing."""
    entries, broken = parse(export.splitlines())
    if broken:
        raise AnsibleFilterError(f"judge: the export is not as it was written ({broken}); export the ledger again")
    return [entry.to_dict() for entry in entries]


def _message(problems: list[Problem]) -> str:
    more = [f"- and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    return "\n".join(["judge: this cannot be judged.", *(f"- {problem}" for problem in problems[:SHOWN]), *more])


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"judge": judge}
