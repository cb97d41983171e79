# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import show
from ansible_collections.levibot.transition.plugins.module_utils.plan.validate import validate

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def check(shipped, site):
    """Validate the shipped plan with a site's overrides."""

    def run(plan=None, checks=None, **changed):
        return validate(shipped["levibot_plan"], shipped["levibot_checks"], {**site, **changed}, plan, checks)

    return run


def step(**keys):
    return {"phase2": {"steps": {"step1": keys}}}


def the_one(answer):
    normalised, problems = answer
    assert normalised == {}
    assert len(problems) == 1, [str(problem) for problem in problems]
    return problems[0]


def test_the_shipped_plan_is_the_plan_as_written(check):
    plan, problems = check()
    assert problems == []
    steps = plan["phase2"]["steps"]
    assert [(step["id"], step["name"], step["weight"], step["window_seconds"]) for step in steps] == [
        ("phase2.step1", "10% Traffic", 10, 1800),
        ("phase2.step2", "50% Traffic", 50, 3600),
        ("phase2.step3", "100% Traffic", 100, 7200),
    ]
    gates = [[check["condition"]["text"] for check in step["gate"]["checks"]] for step in steps]
    same = ["api_uptime > 99.9%", "error_rate < 0.1%", "p0_p1_alerts == 0"]
    assert gates == [
        same,
        [*same, "latency_p95 < 220ms (SLO + 10%)", "performance_degradation < 20%"],
        ["api_uptime > 99.9%", "error_rate < 0.1%", "latency_p95 < 200ms", "paper_pnl_usd > 0 USD", "critical_alerts == 0"],
    ]
    assert json.loads(json.dumps(plan)) == plan


def test_limits_travel_as_exact_text(check):
    plan, _problems = check()
    conditions = {check["id"]: check["condition"] for check in plan["phase2"]["steps"][1]["gate"]["checks"]}
    assert conditions["api_uptime"]["limit"] == "0.999"
    assert conditions["error_rate"] == {"op": "<", "limit": "0.001", "unit": "ratio", "text": "error_rate < 0.1%"}
    assert conditions["latency_p95"]["limit"] == "0.22"


def test_a_script_is_part_of_the_gates_where_it_is_set(check):
    plan, problems = check(checks={"health_monitor": {"argv": ["scripts/health_monitor.sh"], "must_not_match": ["CRITICAL"]}})
    assert problems == []
    assert all("health_monitor" in [check["id"] for check in step["gate"]["checks"]] for step in plan["phase2"]["steps"])


@pytest.mark.parametrize("weight", ["10", "10%", 10, 10.0, " 10 % "])
def test_a_weight_may_come_from_a_template(check, weight):
    plan, problems = check(step(weight=weight))
    assert problems == []
    assert plan["phase2"]["steps"][0]["weight"] == 10


@given(
    weight=st.one_of(
        st.integers().filter(lambda number: not 1 <= number <= 100),
        st.floats(allow_nan=False).filter(lambda n: not n.is_integer()),
        st.booleans(),
        st.sampled_from(["", "ten", "10.5", "130%"]),
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_weights_that_are_none(check, weight):
    assert the_one(check(step(weight=weight))).path == "levibot_plan_overrides.phase2.steps.step1.weight"


@given(weights=st.lists(st.integers(1, 100), min_size=3, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_only_growing_weights_up_to_100_are_a_plan(check, weights):
    plan, problems = check({"phase2": {"steps": {f"step{n}": {"weight": weight} for n, weight in enumerate(weights, 1)}}})
    good = weights[0] < weights[1] < weights[2] == 100
    assert bool(plan) == good
    assert bool(problems) != good


def test_a_step_that_a_site_adds_takes_its_place_by_weight(check):
    plan, problems = check({"phase2": {"steps": {"canary": {"weight": 1, "window": "5m", "gate": ["error_rate < 0.1%"]}}}})
    assert problems == []
    assert [step["weight"] for step in plan["phase2"]["steps"]] == [1, 10, 50, 100]


def test_a_null_removes_a_step(check):
    plan, problems = check({"phase2": {"steps": {"step2": None}}})
    assert problems == []
    assert [step["id"] for step in plan["phase2"]["steps"]] == ["phase2.step1", "phase2.step3"]


@pytest.mark.parametrize(
    ("overrides", "path", "found", "fix"),
    [
        ({"fase2": {}}, "levibot_plan_overrides.fase2", "unknown", "did you mean phase2?"),
        ({"defaults": {"intervall": "5s"}}, "levibot_plan_overrides.defaults.intervall", "unknown", "did you mean interval?"),
        (step(windov="5m"), "levibot_plan_overrides.phase2.steps.step1.windov", "unknown", "did you mean window?"),
        (step(window="30 min"), "levibot_plan_overrides.phase2.steps.step1.window", "30 min", "write 30m"),
        (step(window=90), "levibot_plan_overrides.phase2.steps.step1.window", "90", "unit"),
        (step(window="0s"), "levibot_plan_overrides.phase2.steps.step1.window", "0s", "greater than zero"),
        (step(interval="45m"), "levibot_plan_overrides.phase2.steps.step1.interval", "45m", "at least as long"),
        (step(on_fail="panic"), "levibot_plan_overrides.phase2.steps.step1.on_fail", "panic", "rollback"),
        (step(gate=[]), "levibot_plan_overrides.phase2.steps.step1.gate", "[]", "at least one"),
        (step(gate=["health_monitor where set"]), "levibot_plan_overrides.phase2.steps.step1.gate", "where set", "decides"),
        (step(gate=["error_rate"]), "levibot_plan_overrides.phase2.steps.step1.gate[0]", "error_rate", "<operator>"),
        (step(gate=["eror_rate < 0.1%"]), "levibot_plan_overrides.phase2.steps.step1.gate[0]", "eror_rate", "did you mean error_rate?"),
        (step(gate=["error_rate > 0.1%"]), "levibot_plan_overrides.phase2.steps.step1.gate[0]", "> 0.1%", "takes < or <="),
        (step(gate=["error_rate =< 0.1%"]), "levibot_plan_overrides.phase2.steps.step1.gate[0]", "=<", "takes < or <="),
        (step(gate=["error_rate < 200ms"]), "levibot_plan_overrides.phase2.steps.step1.gate[0]", "200ms", "per cent"),
        (step(gate=["error_rate < 0%"]), "levibot_plan_overrides.phase2.steps.step1.gate[0]", "0%", "<="),
        (step(gate=["p0_p1_alerts == 1%"]), "levibot_plan_overrides.phase2.steps.step1.gate[0]", "1%", "plain numbers"),
        (
            step(gate=["p0_p1_alerts < SLO + 10%"]),
            "levibot_plan_overrides.phase2.steps.step1.gate[0]",
            "SLO",
            "write an SLO for p0_p1_alerts",
        ),
        (step(gate=["error_rate < 1%", "same as step3"]), "levibot_plan_overrides.phase2.steps.step1.gate[1]", "step3", "no earlier step"),
        (step(gate=["error_rate < 1%", "error_rate < 2%"]), "levibot_plan_overrides.phase2.steps.step1.gate[1]", "2%", "there are two"),
        (step(gate=["error_rate where set"]), "levibot_plan_overrides.phase2.steps.step1.gate[0]", "where set", "no command"),
        ({"slos": {"latency": "< 1s"}}, "levibot_plan_overrides.slos.latency", "unknown check", "did you mean latency_p95?"),
        ({"phase2": None}, "levibot_plan_overrides.phase2", "nothing", "write the phase"),
    ],
)
def test_a_mistake_in_the_plan(check, overrides, path, found, fix):
    _normalised, problems = check(overrides)
    problem = next(problem for problem in problems if problem.path == path)
    assert found in problem.found
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("overrides", "path", "fix"),
    [
        ({"error_rate": {"min_events": -1}}, "levibot_checks_overrides.error_rate.min_events", "from 0 upwards"),
        ({"error_rate": {"kind": "proportoin"}}, "levibot_checks_overrides.error_rate.kind", "did you mean proportion?"),
        ({"error_rate": {"kind": ["proportion"]}}, "levibot_checks_overrides.error_rate.kind", "proportion"),
        ({"error_rate": {"source": "graphite"}}, "levibot_checks_overrides.error_rate.source", "prometheus"),
        ({"error_rate": {"mode": "watch"}}, "levibot_checks_overrides.error_rate.mode", "enforce or observe"),
        ({"error_rate": {"minevents": 5}}, "levibot_checks_overrides.error_rate.minevents", "did you mean min_events?"),
        ({"error_rate": {"total": None}}, "levibot_checks_overrides.error_rate.total", "total"),
        ({"error_rate": {"bad": 'errors{colour="$color"}'}}, "levibot_checks_overrides.error_rate.bad", "$slot $stable"),
        ({"error_rate": {"bad": "rate(errors[5m])"}}, "levibot_checks_overrides.error_rate.bad", "plain series selector"),
        ({"load": {"kind": "threshold", "query": "rate(x[5m])"}}, "levibot_checks_overrides.load.query", "[$elapsed]"),
        (
            {"load": {"kind": "threshold", "query": "increase(x[$elapsed] offset 1d)"}},
            "levibot_checks_overrides.load.query",
            "[$elapsed]",
        ),
        ({"load": {"kind": "threshold", "query": ""}}, "levibot_checks_overrides.load.query", "not empty"),
        ({"performance_degradation": {"bad": "x"}}, "levibot_checks_overrides.performance_degradation.bad", "slow requests"),
        (
            {"performance_degradation": {"buckets": None, "ignore_below": None}},
            "levibot_checks_overrides.performance_degradation.buckets",
            "histogram",
        ),
        ({"performance_degradation": {"ignore_below": "0.1"}}, "levibot_checks_overrides.performance_degradation.ignore_below", "unit"),
        ({"error_rate": {"burst": "soon"}}, "levibot_checks_overrides.error_rate.burst", "30m"),
        ({"p0_p1_alerts": {"matchers": {"severity": None}}}, "levibot_checks_overrides.p0_p1_alerts.matchers", "every alert counts"),
        ({"p0_p1_alerts": {"matchers": {"severity": "P("}}}, "levibot_checks_overrides.p0_p1_alerts.matchers", "regular expression"),
        ({"paper_pnl_usd": {"path": "paper"}}, "levibot_checks_overrides.paper_pnl_usd.path", "starts with /"),
        ({"health_monitor": {"timeout": 30}}, "levibot_checks_overrides.health_monitor.timeout", "unit"),
        ({"latency_p95": {"quantile": 95}}, "levibot_checks_overrides.latency_p95.quantile", "between 0 and 1"),
        ({"latency_p95": {"alpha": "80%"}}, "levibot_checks_overrides.latency_p95.alpha", "at most 50%"),
        ({"Latency": {"kind": "quantile"}}, "levibot_checks_overrides.Latency", "lower-case"),
    ],
)
def test_a_mistake_in_the_checks(check, overrides, path, fix):
    problem = the_one(check(checks=overrides))
    assert problem.path == path
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("changed", "path", "fix"),
    [
        ({"levibot_version": ""}, "levibot_version", "tag"),
        ({"levibot_version": "v1 beta"}, "levibot_version", "tag"),
        ({"levibot_version": 1.8}, "levibot_version", "tag"),
        ({"levibot_compose_file": ""}, "levibot_compose_file", "not empty"),
        ({"levibot_home": "levibot"}, "levibot_home", "absolute"),
        ({"levibot_project": "LeviBot"}, "levibot_project", "lower-case"),
        ({"levibot_prometheus_url": "localhost:9090"}, "levibot_prometheus_url", "http://"),
        ({"levibot_alertmanager_url": "http://h:99999"}, "levibot_alertmanager_url", "http://"),
        ({"levibot_observe_from": "edge"}, "levibot_observe_from", "controller or target"),
        ({"levibot_max_clock_skew_seconds": 0}, "levibot_max_clock_skew_seconds", "greater than zero"),
        ({"deadman_silence_at_least_seconds": "a minute"}, "deadman_silence_at_least_seconds", "greater than zero"),
        ({"rollout_candidate": "greeen"}, "rollout_candidate", "blue or green"),
        ({"levibot_environment": ["A=b"]}, "levibot_environment", "mapping"),
        ({"levibot_services": {}}, "levibot_services", "at least one"),
        ({"levibot_slo_error_rate": "< 0.1%", "levibot_slots": {}}, "levibot_slots.blue", "this slot"),
    ],
)
def test_a_mistake_in_the_site(check, changed, path, fix):
    _normalised, problems = check(**changed)
    problem = next(problem for problem in problems if problem.path == path)
    assert fix in problem.fix


def test_slots(check, site):
    slots = site["levibot_slots"]
    slots["red"] = slots.pop("green")
    slots["blue"]["ports"] = {"api": 19111, "panel": "x", "web": 1}
    _normalised, problems = check(levibot_slots=slots)
    assert {problem.path: problem.fix for problem in problems} == {
        "levibot_slots.red": "the slots are blue and green",
        "levibot_slots.green": "write listen and ports of this slot, too",
        "levibot_slots.blue.ports.web": "use one of: api, panel",
        "levibot_slots.blue.ports.api": "write another port: levibot_slots.blue.listen has it",
        "levibot_slots.blue.ports.panel": "write a port from 1 to 65535",
    }


def test_services(check):
    _normalised, problems = check(levibot_services={"a/b": {"image": "levibot/api:v1", "port": 0, "health": "health", "prot": 1}})
    paths = [problem.path for problem in problems]
    for path in ("a/b", "a/b.image", "a/b.port", "a/b.health", "a/b.prot"):
        assert f"levibot_services.{path}" in paths


def test_all_mistakes_come_at_once(check):
    _normalised, problems = check(
        {"fase2": {}, **step(weight=130, window="30 min", gate=["eror_rate < 1%", "latency_p95 < 5%"])},
        {"error_rate": {"min_events": -5}},
        levibot_version="",
        levibot_admin_token="",
        levibot_prometheus_url="nowhere",
    )
    assert len(problems) == 9


def test_a_slo_is_reported_by_the_variable_that_holds_it(check, shipped):
    shipped["levibot_plan"]["slos"]["error_rate"] = "0.1"
    assert the_one(check(levibot_slo_error_rate="0.1")).path == "levibot_slo_error_rate"


@pytest.mark.parametrize("token", ["", None, "  ", "s3cret-token\n", "s3cret token", 5])
def test_a_token_is_checked_and_never_shown(check, token):
    problem = the_one(check(levibot_admin_token=token))
    assert problem.path == "levibot_admin_token"
    assert "s3cret" not in str(problem)


def test_what_a_url_carries_is_not_shown(check):
    problem = the_one(check(levibot_prometheus_url="http://me:hunter2@host:9090/?token=hunter2"))
    assert "hunter2" not in str(problem)


@given(written=st.tuples(JSON, JSON, JSON), value=JSON)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_is_written_is_reported_and_never_raises(shipped, site, written, value):
    plan, checks, overrides = written
    for name in (
        "levibot_services",
        "levibot_slots",
        "levibot_version",
        "levibot_environment",
        "levibot_admin_token",
        "levibot_prometheus_url",
    ):
        validate(shipped["levibot_plan"], shipped["levibot_checks"], {**site, name: value})
    assert validate(plan, checks, site, overrides, overrides)[1]
    validate(
        shipped["levibot_plan"],
        shipped["levibot_checks"],
        site,
        {"phase2": {"steps": {"step1": value}}, "slos": overrides},
        {"error_rate": value},
    )


@pytest.mark.parametrize("steps", [{"step1": None, "step2": None, "step3": None}, None])
def test_a_plan_without_steps_is_none(check, steps):
    problem = the_one(check({"phase2": {"steps": steps}}))
    assert problem.path == "levibot_plan_overrides.phase2.steps"
    assert "step" in problem.fix


def test_the_shipped_plan_without_its_steps_is_none(check, shipped):
    shipped["levibot_plan"]["phase2"]["steps"] = {}
    assert the_one(check()).path == "levibot_plan.phase2.steps"


def test_the_last_step_carries_everything_also_after_overrides(check):
    problem = the_one(check({"phase2": {"steps": {"step3": None}}}))
    assert (problem.path, problem.found) == ("levibot_plan.phase2.steps.step2.weight", "50")
    assert "write 100" in problem.fix
    assert the_one(check({"phase2": {"steps": {"step3": {"weight": 99}}}})).path == "levibot_plan_overrides.phase2.steps.step3.weight"


@pytest.mark.parametrize("lines", [["error_rate < 0.01%", "all SLOs"], ["all SLOs", "error_rate < 0.01%"]])
def test_all_slos_never_change_the_steps_own_line(check, lines):
    plan, problems = check(step(gate=lines))
    assert problems == []
    texts = {check["id"]: check["condition"]["text"] for check in plan["phase2"]["steps"][0]["gate"]["checks"]}
    assert texts["error_rate"] == "error_rate < 0.01%"
    assert "latency_p95" in texts


@pytest.mark.parametrize("lines", [["error_rate < 0.01%", "same as step1"], ["same as step1", "error_rate < 0.01%"]])
def test_same_as_never_changes_the_steps_own_line(check, lines):
    plan, problems = check({"phase2": {"steps": {"step2": {"gate": lines}}}})
    assert problems == []
    texts = [check["condition"]["text"] for check in plan["phase2"]["steps"][1]["gate"]["checks"]]
    assert sorted(texts) == ["api_uptime > 99.9%", "error_rate < 0.01%", "p0_p1_alerts == 0"]


@pytest.mark.parametrize(
    "key", [True, 1, None, 1.5, datetime.date(2026, 1, 1), ("a",), 10**5000], ids=["true", "1", "null", "1.5", "date", "tuple", "huge"]
)
def test_a_key_that_is_no_text_is_a_mistake(check, site, key):
    odd = {key: {"x": 1}}
    services = {**site["levibot_services"], **odd}
    slots = {**site["levibot_slots"], **odd}
    slots["blue"] = {**slots["blue"], "ports": {**slots["blue"]["ports"], key: 1}}
    steps = {"steps": {key: {}, "step1": odd}}
    _plan, problems = check(
        {"slos": odd, "defaults": odd, "phase2": steps, **odd},
        {"error_rate": odd, "p0_p1_alerts": {"matchers": odd}, **odd},
        levibot_services=services,
        levibot_slots=slots,
        levibot_environment=odd,
    )
    about = {problem.path.removesuffix(f".{show(key)}") for problem in problems if "in quotes" in problem.fix}
    plan, checks = "levibot_plan_overrides", "levibot_checks_overrides"
    assert about == {
        *(plan, f"{plan}.slos", f"{plan}.defaults", f"{plan}.phase2.steps", f"{plan}.phase2.steps.step1"),
        *(checks, f"{checks}.error_rate", f"{checks}.p0_p1_alerts.matchers"),
        *("levibot_services", "levibot_slots", "levibot_slots.blue.ports", "levibot_environment"),
    }


HUGE = "9" * 5000


@pytest.mark.parametrize(
    ("plan", "checks", "changed"),
    [
        (step(weight=HUGE), {}, {}),
        (step(weight=10**5000), {}, {}),
        (step(window=f"{HUGE}s"), {}, {}),
        (step(gate=[f"error_rate < {HUGE}%"]), {}, {}),
        (step(gate=[f"latency_p95 < SLO + {HUGE}%"]), {}, {}),
        ({}, {"error_rate": {"min_events": HUGE}}, {}),
        ({}, {"error_rate": {"alpha": f"0.{HUGE}%"}}, {}),
        ({}, {"error_rate": {"alpha": "0.00000009%"}}, {}),
        ({}, {"error_rate": {"alpha": "0%"}}, {}),
        ({}, {"error_rate": {"kind": 10**5000}}, {}),
        ({}, {"latency_p95": {"quantile": 10**400}}, {}),
        ({}, {"latency_p95": {"quantile": HUGE}}, {}),
        ({}, {"p0_p1_alerts": {"matchers": {"severity": "(" * 3000}}}, {}),
        ({}, {"health_monitor": {"must_match": ["(" * 3000]}}, {}),
        ({}, {"health_monitor": {"must_match": ["a{99999999999999}"]}}, {}),
        ({}, {"health_monitor": {"argv": [10**5000]}}, {}),
        ({}, {"paper_pnl_usd": {"value": "(" * 3000}}, {}),
        ({}, {}, {"levibot_slots": [1]}),
        ({}, {}, {"levibot_services": [1]}),
        ({}, {}, {"levibot_project": 10**5000}),
        ({}, {}, {"levibot_version": "v1.8.0-b\u00eata"}),
        ({}, {}, {"levibot_version": "v\u0661"}),
    ],
)
def test_what_nobody_would_write_is_one_message(check, plan, checks, changed):
    problem = the_one(check(plan, checks, **changed))
    assert len(str(problem)) < 400


def test_the_smallest_alpha(check):
    assert check(checks={"error_rate": {"alpha": "0.0000001%"}})[1] == []


def test_thousands_of_levels_are_one_message(check):
    deep = []
    for _level in range(5000):
        deep = [deep]
    assert "levels" in check({"slos": deep})[1][0].found


@pytest.mark.parametrize(
    ("query", "good"),
    [
        ("increase(x[$elapsed]) @ 1609746000", False),
        ("increase(x[$elapsed] @ start())", False),
        ("increase(x[$elapsed] OFFSET 1d)", False),
        ('x{a="\\""} @ 5 + x{b="\\""}', False),
        ('x # "\n @ 5 # "', False),
        ("x{mail=\"a@b\", other='c@d', raw=`e@f`}", True),
        ('x{mail="a\\"@"}', True),
        ("x # as seen @ home", True),
    ],
)
def test_a_query_at_another_time_is_refused(check, query, good):
    problems = check(checks={"load": {"kind": "threshold", "query": query}})[1]
    assert [problem.path for problem in problems] == [] if good else ["levibot_checks_overrides.load.query"]
    assert good or "@ reaches back" in problems[0].fix


# Who is told


def test_notifications_and_headers_that_are_sound(check):
    _plan, problems = check(
        levibot_notifications=[
            {"kind": "slack", "token": "T/B/x", "channel": "#ops"},
            {"kind": "mail", "to": "oncall@example.com", "host": "mail.example.com", "port": 587},
            {"kind": "webhook", "url": "https://example.com/hook", "headers": {"X-Key": "k"}},
            {"kind": "pagerduty", "integration_key": "k"},
        ],
        levibot_api_headers={"X-Admin-Key": "k"},
        levibot_api_prefix="/api",
    )
    assert problems == []


@pytest.mark.parametrize(("variables", "path"), [
    ({"levibot_notifications": {"kind": "mail"}}, "levibot_notifications"),
    ({"levibot_notifications": [{"kind": "pigeon"}]}, "levibot_notifications[0].kind"),
    ({"levibot_notifications": [{"kind": "mail", "to": "a@b"}, {"kind": "slack", "token": ""}]}, "levibot_notifications[1].token"),
    ({"levibot_notifications": [{"kind": "webhook", "url": "https://x", "colour": "red"}]}, "levibot_notifications[0].colour"),
    ({"levibot_api_headers": ["X-Key"]}, "levibot_api_headers"),
    ({"levibot_api_headers": {"X Key": "sesame"}}, "levibot_api_headers.X Key"),
    ({"levibot_api_headers": {"X-Key": "sesame\n"}}, "levibot_api_headers.X-Key"),
    ({"levibot_api_prefix": "/api/"}, "levibot_api_prefix"),
])  # fmt: skip
def test_notifications_and_headers_that_are_not(check, variables, path):
    problem = the_one(check(**variables))
    assert problem.path == path
    assert "sesame" not in str(problem)
