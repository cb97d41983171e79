# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask Prometheus about a plan and tell what its gates detect. Documented in plugins/modules/plan_power.py."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.levibot.transition.plugins.module_utils.gates.power import COUNTED
from ansible_collections.levibot.transition.plugins.module_utils.gates.review import review, text
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Problem
from ansible_collections.levibot.transition.plugins.module_utils.plan.promql import empty, mistakes, questions
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError, parse_duration
from ansible_collections.levibot.transition.plugins.module_utils.plan.site import COLOURS
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample, from_dict
from ansible_collections.levibot.transition.plugins.module_utils.sources.options import SOURCES

display = Display()

ARGUMENTS: dict[str, Any] = {
    "plan": {"type": "dict", "required": True},
    "checks": {"type": "raw", "required": True},
    "checks_overrides": {"type": "raw", "default": {}},
    "sources": SOURCES,
    "requests_per_second": {"type": "float"},
    "traffic_over": {"type": "str", "default": "10m"},
}


class ActionModule(ActionBase):
    """Asks once about each slot, simulates, shows, and changes nothing."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(ARGUMENTS)
        args = json.loads(json.dumps(args))
        given, seconds = args["requests_per_second"], _seconds(args["traffic_over"])
        steps = [step for phase in args["plan"].values() for step in phase.get("steps", ())]
        asked = questions(args["checks"], args["checks_overrides"])
        counted = {check["id"]: check for step in steps for check in step["gate"]["checks"] if check["kind"] in COUNTED}
        answers, problems = self._ask(args["sources"], [*asked, *counted.values()], seconds, task_vars)
        problems += mistakes(asked, answers)
        traffic = {check_id: dict(zip(COLOURS, (samples[check_id] for samples in answers), strict=False)) for check_id in counted}
        gates = review(steps, traffic, seconds, given)
        unseen = empty(asked, answers) if answers else []
        lines = _told(gates, unseen)
        for line in lines:
            display.display(line)
        told = [problem.to_dict() for problem in problems]
        return {**result, "changed": False, "gates": gates, "empty": unseen, "problems": told, "text": lines}

    def _ask(
        self, sources: dict[str, Any], checks: list[dict[str, Any]], seconds: float, task_vars: dict[str, Any] | None
    ) -> tuple[list[dict[str, Sample]], list[Problem]]:
        """The samples of all checks with each slot in turn as the candidate; none where Prometheus cannot be asked."""
        at, found = time.time(), []
        for slot, stable in (COLOURS, COLOURS[::-1]):
            subject = {"slot": slot, "stable": stable}
            asked = {"checks": checks, "sources": sources, "subject": subject, "started_at": at - seconds, "at": at}
            try:
                answer = self._execute_module("levibot.transition.measure", asked, task_vars=task_vars)
            except AnsibleError as problem:
                answer = {"failed": True, "msg": str(problem)}
            if "samples" not in answer:
                fix = "make the host that asks answer, or ask from elsewhere"
                return [], [Problem("levibot_observe_from", f"nobody could ask: {answer.get('msg', 'no answer')}", fix)]
            found.append({check_id: from_dict(sample) for check_id, sample in answer["samples"].items()})
            if "clock_skew_seconds" not in answer:
                return [], [_unreachable(found[0])]
        return found, []


def _seconds(written: str) -> float:
    try:
        seconds = float(parse_duration(written))
    except MistakeError as mistake:
        raise AnsibleError(f"traffic_over: found {written}; {mistake}") from mistake
    if seconds < 1:
        raise AnsibleError(f"traffic_over: found {written}; write a duration of at least 1s")
    return seconds


def _unreachable(samples: dict[str, Sample]) -> Problem:
    why = next((sample.detail for sample in samples.values() if sample.detail), "no answer")
    found = f"Prometheus cannot be asked, so no expression was parsed: {why}"
    return Problem("levibot_prometheus_url", found, "set it to where Prometheus answers")


def _told(gates: list[dict[str, Any]], unseen: list[str]) -> list[str]:
    lines = text(gates) if gates else ["What the gates detect can be told once the plan has no mistakes."]
    if unseen:
        lines += ["", "These find nothing now. That is right for what has not happened yet, and a wrong name or label looks just the same:"]
        lines += [f"  {path}" for path in unseen]
    return lines
