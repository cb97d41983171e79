# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phase 1 of the plan: what is wrong with a checklist is known before anything is looked at."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings

from ansible_collections.levibot.transition.plugins.module_utils.plan.validate import validate
from tests.evidence_bed import JSON


@pytest.fixture
def check(shipped, site):
    def run(phase1=None, **changed):
        plan = {"phase1": phase1} if phase1 is not None else None
        return validate(shipped["levibot_plan"], shipped["levibot_checks"], {**site, **changed}, plan)

    return run


def item(*evidence, **keys):
    return {"items": {"backup": {"name": "Backup", "evidence": list(evidence), **keys}}}


def test_the_shipped_checklist_is_the_plans(check):
    plan, problems = check()
    assert problems == []
    phase = plan["phase1"]
    assert [one["name"] for one in phase["items"]] == [
        "GO/NO-GO decision approved",
        "All SLOs met in soak test",
        "Security audit complete",
        "Backup strategy verified",
        "Rollback plan tested",
        "On-call rotation scheduled",
        "Stakeholders notified",
    ]
    assert {key: phase[key] for key in ("name", "go_max_age_seconds", "approvers", "approvals")} == {
        "name": "Pre-Deployment",
        "go_max_age_seconds": 86400,
        "approvers": [],
        "approvals": 1,
    }
    assert phase["slos"] == {"api_uptime": "> 99.9%", "error_rate": "< 0.1%", "latency_p95": "< 200ms"}
    assert json.loads(json.dumps(plan)) == plan


def test_a_site_changes_one_item_and_adds_another(check):
    plan, problems = check(
        {
            "approvers": ["maria", "ivo"],
            "approvals": 2,
            "items": {
                "security": None,
                "on_call": {"evidence": [{"kind": "attestation"}]},
                "legal": {"name": "Legal says yes", "evidence": [{"kind": "attestation"}]},
            },
        }
    )
    assert problems == []
    ids = [one["id"] for one in plan["phase1"]["items"]]
    assert "security" not in ids
    assert ids[-1] == "legal"


REPORT = {"kind": "report", "path": "/r.json", "max_age": "1d", "conditions": [{"value": "a", "must": "> 1"}]}
BACKUP = {"kind": "backup", "path": "/b", "files": ["a_YYYY-MM-DD.gz"], "max_age": "1d"}
AT = "levibot_plan_overrides.phase1.items.backup.evidence"


@pytest.mark.parametrize(
    ("phase1", "path", "found", "fix"),
    [
        ({"go_max_age": "1 day"}, "levibot_plan_overrides.phase1.go_max_age", "1 day", "write 1d"),
        ({"go_max_age": 24}, "levibot_plan_overrides.phase1.go_max_age", "24", "unit"),
        ({"approvals": 0}, "levibot_plan_overrides.phase1.approvals", "0", "from 1"),
        ({"approvals": 2, "approvers": ["maria"]}, "levibot_plan_overrides.phase1.approvals", "2", "at most 1"),
        ({"approvers": ["maria", "Maria"]}, "levibot_plan_overrides.phase1.approvers", "Maria", "once"),
        ({"approvers": "maria"}, "levibot_plan_overrides.phase1.approvers", "maria", "list"),
        ({"itens": {}}, "levibot_plan_overrides.phase1.itens", "unknown", "did you mean items?"),
        (item(), AT, "[]", "at least one evidence"),
        (item({"kind": "raport"}), f"{AT}[0].kind", "raport", "did you mean report?"),
        (item({"path": "/x"}), f"{AT}[0].kind", "nothing", "use one of"),
        (item("report"), f"{AT}[0]", "report", "write a kind"),
        (item({"kind": "attestation", "where": "set"}), f"{AT}[0].where", "set", "nothing that a site sets"),
        (item({**REPORT, "where": "given"}), f"{AT}[0].where", "given", "write set"),
        (item({**REPORT, "max_age": None}), f"{AT}[0].max_age", "nothing", "report needs max_age"),
        (item({**REPORT, "max_age": "7"}), f"{AT}[0].max_age", "7", "unit"),
        (item({**REPORT, "path": "r.json"}), f"{AT}[0].path", "r.json", "absolute path"),
        (item({**REPORT, "path": "/$vresion"}), f"{AT}[0].path", "$vresion", "$version"),
        (item({**REPORT, "pth": "/x"}), f"{AT}[0].pth", "unknown", "did you mean path?"),
        (item({**REPORT, "conditions": []}), f"{AT}[0].conditions", "[]", "report needs conditions"),
        (item({**REPORT, "conditions": [{"value": "a"}]}), f"{AT}[0].conditions", "a", "value and must"),
        (item({**REPORT, "conditions": [{"value": "a", "must": ">="}]}), f"{AT}[0].conditions", ">=", "operator and a limit"),
        (item({**REPORT, "conditions": [{"value": "a[", "must": "> 1"}]}), f"{AT}[0].conditions", "a[", "JMESPath"),
        (item({**REPORT, "timezone": "Mars"}), f"{AT}[0].timezone", "Mars", "time zone"),
        (item({**BACKUP, "files": ["a.gz"]}), f"{AT}[0].files", "a.gz", "YYYY-MM-DD"),
        (item({**BACKUP, "restore_command": {"b": ["x"]}}), f"{AT}[0].restore_command", "b", "one of files"),
        (item({"kind": "prometheus", "window": "1d"}), f"{AT}[0].query", "nothing", "either slos"),
        (item({"kind": "prometheus", "window": "1d", "query": "a"}), f"{AT}[0].must", "nothing", "condition"),
        (item({"kind": "prometheus", "window": "1d", "query": "a[5m]", "must": "< 1"}), f"{AT}[0].query", "a[5m]", "$elapsed"),
        (item({"kind": "prometheus", "window": "1d", "query": "a", "must": "== $version"}), f"{AT}[0].must", "version", "number"),
        (item({"kind": "command", "argv": ["x"], "must_match": ["("]}), f"{AT}[0].must_match", "(", "regular expression"),
        (item({"kind": "http", "url": "http://x", "status": 42}), f"{AT}[0].status", "42", "status"),
        (item({"kind": "schedule", "provider": "pager", "schedule": "x", "covers": "1d"}), f"{AT}[0].provider", "pager", "pagerduty"),
        (item({"kind": "schedule", "provider": "ics", "schedule": "x.ics", "covers": "1d"}), f"{AT}[0].schedule", "x.ics", "absolute"),
        (
            item({"kind": "soak_report", "path": "/s.json", "max_age": "7d", "version": "in_path"}),
            f"{AT}[0].path",
            "/s.json",
            "write $version in it",
        ),
        (item({"kind": "pip_audit", "path": "/p.json", "max_age": "7d"}), f"{AT}[0].age_from", "nothing", "mtime"),
        (item({"kind": "trivy", "reports": ["/t"], "max_age": "7d"}), f"{AT}[0].reports", "/t", "for each service"),
    ],
)
def test_each_mistake_is_told_with_its_path(check, phase1, path, found, fix):
    plan, problems = check(phase1)
    assert plan == {}
    assert [problem.path for problem in problems] == [path], [str(problem) for problem in problems]
    assert found in problems[0].found
    assert fix in problems[0].fix


def test_all_mistakes_come_at_once(check):
    _plan, problems = check({**item({**REPORT, "max_age": "7", "path": "x"}, {"kind": "nothing"}), "approvals": -1, "go_max_age": "soon"})
    assert {problem.path for problem in problems} == {
        "levibot_plan_overrides.phase1.approvals",
        "levibot_plan_overrides.phase1.go_max_age",
        f"{AT}[0].max_age",
        f"{AT}[0].path",
        f"{AT}[1].kind",
    }


def test_what_a_site_has_not_set_yet_is_no_mistake(check):
    assert check(item({**REPORT, "path": "", "hint": "set it"}, {**REPORT, "path": "", "where": "set"}))[1] == []


@given(JSON)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_garbage_is_reported_and_never_raised(check, value):
    for phase1 in (value, {"items": {"backup": value}}, item(value), item({**REPORT, "conditions": value})):
        if phase1 is not None:
            check(phase1)


@pytest.mark.parametrize(
    ("tokens", "path"),
    [
        ("t0ken", "levibot_evidence_tokens"),
        ({"pagerduty": "t0ken\n"}, "levibot_evidence_tokens.pagerduty"),
        ({"pagerduty": 5}, "levibot_evidence_tokens.pagerduty"),
    ],
)
def test_a_token_that_is_none_is_told_and_not_shown(check, tokens, path):
    _plan, (problem,) = check(levibot_evidence_tokens=tokens)
    assert problem.path == path
    assert "t0ken" not in str(problem)
    assert check(levibot_evidence_tokens={"pagerduty": "t0ken", "opsgenie": ""})[1] == []
