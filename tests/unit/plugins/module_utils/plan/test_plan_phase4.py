# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phase 4 of the plan: what is wrong with a validation's checklist is known before anything is looked at."""

from __future__ import annotations

import json

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.plan.validate import validate


@pytest.fixture
def check(shipped, site):
    def run(phase4=None, **changed):
        plan = {"phase4": phase4} if phase4 is not None else None
        return validate(shipped["levibot_plan"], shipped["levibot_checks"], {**site, **changed}, plan)

    return run


def test_the_shipped_checklist_is_the_plans(check):
    plan, problems = check()
    assert problems == []
    phase = plan["phase4"]
    assert [one["name"] for one in phase["items"]] == [
        "48h uptime > 99.9%",
        "Live trading active",
        "All trades executed correctly",
        "PnL matches expectations",
        "No security incidents",
        "Audit logs complete",
    ]
    assert (phase["name"], phase["period_seconds"]) == ("Post-Deployment", 48 * 3600)
    assert json.loads(json.dumps(plan)) == plan


AT = "levibot_plan_overrides.phase4.items.audit.evidence[0]"


def item(**evidence):
    return {"items": {"audit": {"evidence": [evidence]}}}


@pytest.mark.parametrize(
    ("phase4", "path", "fix"),
    [
        ({"period": 48}, "levibot_plan_overrides.phase4.period", "unit"),
        ({"period": "0s"}, "levibot_plan_overrides.phase4.period", "greater than zero"),
        ({"perod": "48h"}, "levibot_plan_overrides.phase4.perod", "did you mean period?"),
        ({"name": ""}, "levibot_plan_overrides.phase4.name", "not empty"),
        ({"items": None}, "levibot_plan_overrides.phase4.items", "by their id"),
        (item(kind="audit", tolerance=5), f"{AT}.tolerance", "unit"),
        (item(kind="audit", events={"panic": "stopp"}), f"{AT}.events", "the verbs are: kill"),
        (item(kind="intrusions", max_failed_logins=-1), f"{AT}.max_failed_logins", "from 0"),
        (item(kind="alerts", matchers={}), f"{AT}.matchers", "needs matchers"),
        (item(kind="alerts", matchers={"category": "("}), f"{AT}.matchers", "regular expression"),
        (item(kind="pnl", tolerance="a cent"), f"{AT}.tolerance", "such as 0.01"),
        (item(kind="pnl", tolerance_ratio="100%"), f"{AT}.tolerance_ratio", "less than 100%"),
        (item(kind="chain", where="set"), f"{AT}.where", "nothing that a site sets"),
        (item(kind="prometheus", samples="up", window="period"), f"{AT}.slo", "api_uptime"),
        (item(kind="prometheus", samples="rate(up[5m])", slo="api_uptime", window="period"), f"{AT}.samples", "selector"),
        (item(kind="prometheus", samples="up", slo="api_uptime", query="up", must="> 0", window="period"), f"{AT}.query", "either"),
    ],
)
def test_each_mistake_is_told_with_its_path(check, phase4, path, fix):
    plan, problems = check(phase4)
    assert plan == {}
    assert [problem.path for problem in problems] == [path], [str(problem) for problem in problems]
    assert fix in problems[0].fix


def test_a_plan_without_it(check, shipped, site):
    del shipped["levibot_plan"]["phase4"]
    _plan, problems = validate(shipped["levibot_plan"], shipped["levibot_checks"], site)
    assert [problem.path for problem in problems] == ["levibot_plan.phase4"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("levibot_audit_logs", []),
        ("levibot_audit_logs", "/var/log/audit"),
        ("levibot_audit_logs", ["audit.jsonl"]),
        ("levibot_audit_ignore", "x"),
    ],
)
def test_the_audit_logs_variables(check, variable, value):
    _plan, (problem,) = check(**{variable: value})
    assert problem.path == variable
