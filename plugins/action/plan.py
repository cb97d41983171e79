# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError, AnsibleUndefinedVariable
from ansible.plugins.action import ActionBase

from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Problem, Report
from ansible_collections.levibot.transition.plugins.module_utils.plan.site import is_colour, unknown_variables
from ansible_collections.levibot.transition.plugins.module_utils.plan.validate import validate
from ansible_collections.levibot.transition.plugins.plugin_utils.roles import documented_variables

ARGUMENT_SPEC = {
    # raw, since a wrong type is one mistake among others, to be reported with all of them.
    "plan": {"type": "raw", "required": True},
    "plan_overrides": {"type": "raw", "default": {}},
    "checks": {"type": "raw", "required": True},
    "checks_overrides": {"type": "raw", "default": {}},
    "site": {"type": "dict", "required": True},
    # The names, which are no secrets.
    "secret_variables": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "fail": {"type": "bool", "default": True},
}


class ActionModule(ActionBase):
    """Runs on the control node, asks nobody, changes nothing."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = task_vars or {}
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(ARGUMENT_SPEC)
        secrets, unresolved = self._secrets(args["secret_variables"], task_vars)
        site = {**args["site"], **self._colours(task_vars), **secrets}
        plan, problems = validate(args["plan"], args["checks"], site, args["plan_overrides"], args["checks_overrides"])
        problems = problems + _unknown(task_vars)
        if not _about_slots(problems):  # addresses are made of slots, so what is wrong there is reported already
            problems += unresolved
        told = [problem.to_dict() for problem in problems]
        if problems and args["fail"]:
            raise AnsibleActionFail(_message(problems), result={"problems": told})
        return {**result, "changed": False, "plan": None if problems else plan, "problems": told}

    def _secrets(self, names: list[str], task_vars: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
        """Read here and not given as arguments: arguments can end up on a screen, whatever no_log says."""
        found: dict[str, Any] = {}
        unresolved = []
        for name in names:
            try:
                found[name] = self._templar.template(task_vars.get(name))
            except AnsibleUndefinedVariable as exc:  # it names variables and shows no value
                unresolved.append(Problem(name, f"a template that cannot be resolved ({exc.message})", "define what it refers to"))
            except AnsibleError:
                unresolved.append(Problem(name, "a template that fails", "correct it"))
        return found, unresolved

    def _colours(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for name in filter(is_colour, task_vars):
            with contextlib.suppress(AnsibleError):  # not defined yet: for those who use it to report
                found[name] = self._templar.template(task_vars[name])
        return found


def _about_slots(problems: list[Problem]) -> bool:
    return any(problem.path.startswith("levibot_slots") for problem in problems)


def _unknown(task_vars: dict[str, Any]) -> list[Problem]:
    """Variables of all hosts and of the command line which carry a prefix of ours, but which no role has."""
    report = Report()
    hostvars = task_vars.get("hostvars", {})
    names = set(task_vars).union(*(set(hostvars[host]) for host in hostvars))
    unknown_variables(names, documented_variables(), report)
    return report.problems


def _message(problems: list[Problem]) -> str:
    count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
    return "\n".join([f"{count} in the plan and the site's variables; nothing was changed.", *(f"- {problem}" for problem in problems)])
