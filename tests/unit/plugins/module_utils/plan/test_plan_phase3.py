# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phase 3 of the plan: what is wrong with live money is known before any moves, and none is ever made."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.plan.phase3 import LEAST_SILENCE_SECONDS
from ansible_collections.levibot.transition.plugins.module_utils.plan.validate import validate
from tests.evidence_bed import JSON

AT = "levibot_plan_overrides.phase3"
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT", "XRP/USDT", "ADA/USDT", "AVAX/USDT", "LINK/USDT", "DOT/USDT", "DOGE/USDT")
REST = SYMBOLS[3:]


@pytest.fixture
def check(shipped, site):
    def run(phase3=None, checks=None, **changed):
        plan = {"phase3": phase3} if phase3 is not None else None
        return validate(shipped["levibot_plan"], shipped["levibot_checks"], {**site, **changed}, plan, checks)

    return run


@pytest.fixture
def sound(check):
    def run(phase3=None, checks=None):
        plan, problems = check(phase3, checks)
        assert problems == []
        return plan["phase3"]

    return run


def step(name="step1", **keys):
    return {"steps": {name: keys}}


def only(engines=None, rest=None, **keys):
    """One step alone."""
    own = {"engines": {symbol: None for symbol in SYMBOLS[:1] if symbol not in (engines or {})} | (engines or {})}
    return {**keys, "steps": {"step1": own | ({"rest": rest} if rest else {}), "step2": None, "step3": None}}


def money(engines):
    return sum(map(Decimal, engines.values()), Decimal(0))


def test_the_shipped_phase_is_the_plan_as_written(sound):
    phase = sound()
    steps = phase.pop("steps")
    assert phase == {
        "name": "Live Trading Activation",
        "capital_usd": "1000.00",
        "approvers": [],
        "approvals": 1,
        "approval_max_age_seconds": 86400,
        "drill_max_age_seconds": 7 * 86400,
        "unwatched_after_seconds": 900,
        "sides": ["long", "short"],
        "limits": {
            "position_ratio": "1",
            "exposure_ratio": "1",
            "daily_loss_ratio": "0.05",
            "concurrent_positions": 10,
            "reported": {"max_concurrent_positions": "10", "max_daily_loss_pct": "5", "max_symbol_risk_pct": "20"},
        },
        "guardrails": ["position_loss_usd"],
        "on_fail": {"positions": "flatten", "earlier": "keep"},
        "on_blind": "kill",
    }
    assert [(step["id"], step["name"], step["window_seconds"]) for step in steps] == [
        ("phase3.step1", "Single Symbol", 4 * 3600),
        ("phase3.step2", "Scale to 3 Symbols", 12 * 3600),
        ("phase3.step3", "Full Portfolio", 28 * 3600),
    ]
    assert [step["engines"] for step in steps] == [
        {"BTC/USDT": "100.00"},
        {"ETH/USDT": "100.00", "SOL/USDT": "100.00"},
        dict.fromkeys(REST, "100.00"),
    ]
    assert [tuple(step["live"]) for step in steps] == [SYMBOLS[:1], SYMBOLS[:3], SYMBOLS]
    assert money(steps[-1]["live"]) == 1000
    for each in steps:
        conditions = [one["condition"]["text"] for one in each["gate"]["checks"]]
        four = ["position_errors == 0", "pnl_errors == 0", "limit_breaches == 0", "engine_faults == 0"]
        assert conditions == ["position_loss_usd < 50 USD", *four]


def test_live_engines_are_watched_from_their_first_second_and_wait_for_nobody(sound, shipped, site):
    for each in sound({"steps": {"step1": {"on_fail": "rollback", "settle": "0s"}}})["steps"]:
        assert (each["gate"]["settle_seconds"], each["gate"]["on_fail"]) == (0, "rollback")
    # What a site has chosen for Phase 2 is not meant for live money.
    plan, problems = validate(shipped["levibot_plan"], shipped["levibot_checks"], site, {"defaults": {"on_fail": "hold", "settle": "1m"}})
    assert problems == []
    assert {each["gate"]["on_fail"] for each in plan["phase3"]["steps"]} == {"rollback"}
    assert {each["gate"]["on_fail"] for each in plan["phase2"]["steps"]} == {"hold"}


def test_a_guardrail_acts_at_the_first_look_of_every_step(sound):
    for each in sound()["steps"]:
        guard = next(one for one in each["gate"]["checks"] if one["id"] == "position_loss_usd")
        assert (guard["fail_after"], guard["mode"], guard["what"]) == (1, "enforce", "loss")


def test_engines_are_not_unwatched_sooner_than_the_dead_mans_switch_can_be_armed(check):
    deadman = Path(__file__).parents[5] / "roles/deadman/defaults/main.yml"
    assert yaml.safe_load(deadman.read_text())["deadman_silence_at_least_seconds"] == LEAST_SILENCE_SECONDS
    for written, allowed in (("59s", False), ("60s", True)):
        assert (check({"unwatched_after": written})[1] == []) == allowed
    for written, allowed in (("4s", False), ("5s", True)):
        assert (check({"unwatched_after": written}, deadman_silence_at_least_seconds="5")[1] == []) == allowed


def test_a_gate_may_ask_other_sources_too(sound):
    phase = sound(step("step2", gate=["same as step1", "error_rate < 0.5%"]))
    assert [one["id"] for one in phase["steps"][1]["gate"]["checks"]][-1] == "error_rate"


def test_the_result_is_plain_and_the_same_each_time(check):
    plan, _problems = check(only({"ETH/USDT": 100}, {"A/USDT": "0.3", "B/USDT": 1, "C/USDT": 2.5}))
    assert json.loads(json.dumps(plan)) == plan
    assert json.dumps(check(only({"ETH/USDT": 100}, {"A/USDT": "0.3", "B/USDT": 1, "C/USDT": 2.5}))[0]) == json.dumps(plan)


@pytest.mark.parametrize("amount", [100, "100", "100.00", 100.0, "100 USD", " 100 "])
def test_money_is_a_number_or_a_text(sound, amount):
    assert sound(step(engines={"BTC/USDT": amount}))["steps"][0]["engines"] == {"BTC/USDT": "100.00"}


def test_the_rest_is_what_all_steps_leave(sound):
    phase = sound({"capital_usd": "1234.56", "steps": {"step3": {"engines": {"BNB2/USDT": "34.56"}}}})
    assert phase["steps"][2]["live"]["BNB2/USDT"] == "34.56"
    assert money(phase["steps"][2]["live"]) == Decimal("1234.56")
    assert money(phase["steps"][2]["engines"]) == Decimal("934.56")


def test_a_plan_need_not_use_all_its_capital(sound):
    phase = sound(only({"ETH/USDT": 100, "SOL/USDT": 50}))
    assert [money(each["live"]) for each in phase["steps"]] == [150]


@given(
    total=st.integers(30000, 10**7),
    weights=st.dictionaries(st.sampled_from([f"S{n}/USDT" for n in range(50)]), st.integers(1, 10**6), min_size=1, max_size=10),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_the_rest_is_split_to_the_cent(check, total, weights):
    plan, problems = check(only({"BTC/USDT": 40}, weights, capital_usd=f"{total / 100:.2f}"))
    assert problems == []
    assert money(plan["phase3"]["steps"][0]["live"]) == Decimal(total) / 100
    assert all(Decimal(dollars) >= 25 for dollars in plan["phase3"]["steps"][0]["live"].values())


def test_sides_come_in_one_order(sound):
    assert sound({"sides": ["short", "long"]})["sides"] == ["long", "short"]
    assert sound({"sides": ["long"]})["sides"] == ["long"]


@pytest.mark.parametrize(
    ("phase3", "path", "found", "fix"),
    [
        ({"capital": 5}, f"{AT}.capital", "unknown", "did you mean capital_usd?"),
        ({"capital_usd": "a lot"}, f"{AT}.capital_usd", "a lot", "write a number"),
        ({"capital_usd": 1000.001}, f"{AT}.capital_usd", "1000.001", "whole cents"),
        ({"capital_usd": 0}, f"{AT}.capital_usd", "0", "greater than zero"),
        ({"capital_usd": True}, f"{AT}.capital_usd", "true", "write a number"),
        ({"capital_usd": -1000}, f"{AT}.capital_usd", "-1000", "write a number"),
        ({"capital_usd": 299.99}, f"{AT}.capital_usd", "299.99", "at least 300"),
        ({"capital_usd": 300}, "levibot_plan.phase3.steps.step3.rest", "nothing left of 300", "more for capital_usd"),
        ({"capital_usd": "300.01"}, "levibot_plan.phase3.steps.step3.rest", "0.01 USD", "174.99 less than what the symbols have to have"),
        ({"approvals": 2, "approvers": ["maria"]}, f"{AT}.approvals", "2", "at most 1"),
        ({"approvers": ["maria", "Maria"]}, f"{AT}.approvers", "Maria", "once"),
        ({"approval_max_age": 24}, f"{AT}.approval_max_age", "24", "unit"),
        ({"drill_max_age": "a week"}, f"{AT}.drill_max_age", "a week", "unit"),
        ({"unwatched_after": "15s"}, f"{AT}.unwatched_after", "15s", "at least 60s (deadman_silence_at_least_seconds)"),
        ({"sides": []}, f"{AT}.sides", "[]", "long"),
        ({"sides": ["long", "long"]}, f"{AT}.sides", "long", "[long, short]"),
        ({"sides": "both"}, f"{AT}.sides", "both", "[long, short]"),
        ({"limits": {"position": "120%"}}, f"{AT}.limits.position", "120%", "at most 100%"),
        ({"limits": {"position": 1}}, f"{AT}.limits.position", "1", "percentage"),
        ({"limits": {"exposure": "0%"}}, f"{AT}.limits.exposure", "0%", "greater than 0%"),
        ({"limits": {"daily_loss": "$50"}}, f"{AT}.limits.daily_loss", "$50", "unit"),
        ({"limits": {"daily_loss": None}}, f"{AT}.limits.daily_loss", "nothing", "never without a limit"),
        ({"limits": {"concurrent_positions": 0}}, f"{AT}.limits.concurrent_positions", "0", "from 1"),
        ({"limits": {"concurent": 1}}, f"{AT}.limits.concurent", "unknown", "did you mean concurrent_positions?"),
        ({"limits": {"reported": {"max_daily_loss_pct": "five"}}}, f"{AT}.limits.reported.max_daily_loss_pct", "five", "number"),
        ({"limits": {"reported": [5]}}, f"{AT}.limits.reported", "[5]", "mapping"),
        ({"guardrails": []}, f"{AT}.guardrails", "[]", "never without"),
        ({"guardrails": ["position_loss < 50"]}, f"{AT}.guardrails[0]", "position_loss", "did you mean position_loss_usd?"),
        ({"guardrails": ["position_loss_usd < 50%"]}, f"{AT}.guardrails[0]", "50%", "US dollars"),
        ({"guardrails": ["error_rate < 1%"]}, f"{AT}.guardrails", "error_rate", "at the first look"),
        ({"guardrails": ["same as step1"]}, f"{AT}.guardrails[0]", "step1", "no earlier step"),
        ({"on_fail": {"positions": "sell"}}, f"{AT}.on_fail.positions", "sell", "flatten or leave"),
        ({"on_fail": {"earlier": "pause"}}, f"{AT}.on_fail.earlier", "pause", "keep or stop"),
        ({"on_fail": "hold"}, f"{AT}.on_fail", "hold", "{positions: flatten, earlier: keep}"),
        ({"on_blind": "wait"}, f"{AT}.on_blind", "wait", "kill or paper"),
        ({"order_ratio": "150%"}, f"{AT}.order_ratio", "150%", "at most 100%"),
        ({"instruments": {"default": {"min_notional": 5}}}, f"{AT}.instruments.default.min_notional", "unknown", "min_notional_usd"),
        ({"instruments": {"default": {"price_usd": 5}}}, f"{AT}.instruments.default.price_usd", "unknown", "use one of"),
        ({"instruments": {"BTC/USD": {}}}, f"{AT}.instruments.BTC/USD", "unknown", "did you mean BTC/USDT?"),
        (
            {"instruments": {"BTC/USDT": {"quantity_step": "0.001"}}},
            "levibot_plan.phase3.instruments.BTC/USDT.price_usd",
            "nothing",
            "quantity_step says nothing without it",
        ),
        (
            # 0.001 BTC are 60 USD, which takes 300 USD at a fifth of the capital an order.
            {"instruments": {"BTC/USDT": {"quantity_step": "0.001", "price_usd": 60000}}},
            "levibot_plan.phase3.steps.step1.engines.BTC/USDT",
            "100",
            "write at least 300:",
        ),
        ({"instruments": {"default": {"min_notional_usd": 20.01}}}, "levibot_plan.phase3.steps.step1.engines.BTC/USDT", "100", "100.05"),
        (
            {"instruments": {"default": {"min_notional_usd": 21}}},
            "levibot_plan.phase3.steps.step3.rest",
            "700 USD",
            "35 less than what the symbols have to have",
        ),
        (
            {"instruments": {"BTC/USDT": {"capital_step_usd": 30}}},
            "levibot_plan.phase3.steps.step1.engines.BTC/USDT",
            "100",
            "multiple of its capital_step_usd of 30",
        ),
        (step(engines={"BTC/USDT": 24.99}), f"{AT}.steps.step1.engines.BTC/USDT", "24.99", "write at least 25:"),
        (step(engines={"BTC/USDT": "1e2"}), f"{AT}.steps.step1.engines.BTC/USDT", "1e2", "write a number"),
        (step(engines={"ETH/USDT": 100}), "levibot_plan.phase3.steps.step2.engines.ETH/USDT", "ETH/USDT", "step1 starts ETH/USDT"),
        (step(engines={"SOLUSDT": 100}), f"{AT}.steps.step1.engines.SOLUSDT", "SOLUSDT", "BASE/QUOTE in capitals, such as BTC/USDT"),
        (step(engines={"sol/usdt": 100}), f"{AT}.steps.step1.engines.sol/usdt", "sol/usdt", "BASE/QUOTE in capitals, such as BTC/USDT"),
        (step(engines={"BTC USDT": 100}), f"{AT}.steps.step1.engines.BTC USDT", "BTC USDT", "such as BTC/USDT"),
        (step(engines={"BTC/USDT": None}), "levibot_plan_overrides.phase3.steps.step1.engines", "{}", "write the engines"),
        (step(engines=["BTC/USDT"]), f"{AT}.steps.step1.engines", "BTC/USDT", "write symbols"),
        (step("step2", rest={"TRX/USDT": 1}), "levibot_plan.phase3.steps.step3.rest", "BNB/USDT", "step2 has it"),
        (step("step3", rest={"BNB/USDT": 0}), f"{AT}.steps.step3.rest.BNB/USDT", "0", "greater than zero"),
        (step("step3", rest={"BNB/USDT": "heavy"}), f"{AT}.steps.step3.rest.BNB/USDT", "heavy", "write a number"),
        (step("step3", rest={"BTC/USDT": 1}), f"{AT}.steps.step3.rest.BTC/USDT", "BTC/USDT", "step1 starts BTC/USDT"),
        (step(on_fail="hold"), f"{AT}.steps.step1.on_fail", "hold", "always rollback"),
        (step(on_fail="warn"), f"{AT}.steps.step1.on_fail", "warn", "always rollback"),
        (step(settle="1m"), f"{AT}.steps.step1.settle", "1m", "always 0s"),
        (
            step(weight=10),
            f"{AT}.steps.step1.weight",
            "unknown",
            "use one of: blind_after, engines, gate, hold, interval, name, rest, window",
        ),
        (step(window="5s"), f"{AT}.steps.step1.window", "5s", "at least as long"),
        (step(gate=["pnl_errors <= 1"]), f"{AT}.steps.step1.gate[0]", "<= 1", "takes =="),
        (step(gate=["pnl_errors == 1"]), f"{AT}.steps.step1.gate[0]", "== 1", "write == 0"),
        (
            step(gate=["pnl_errors == 0", "position_loss_usd < 90"]),
            f"{AT}.steps.step1.gate[1]",
            "90",
            "a guardrail, which holds in every step",
        ),
        (step(gate=["pnl_erors == 0"]), f"{AT}.steps.step1.gate[0]", "pnl_erors", "did you mean pnl_errors?"),
        (step(gate=["engine_faults == 0"]), f"{AT}.steps.step1.gate", "engine_faults == 0", "a check that counts trades and decides"),
        (step("step3", gate=["error_rate < 1%"]), f"{AT}.steps.step3.gate", "error_rate < 1%", "such as position_errors == 0"),
        ({"steps": {"step1": None, "step2": None, "step3": None}}, f"{AT}.steps", "{}", "at least one step"),
    ],
)
def test_each_mistake_is_told_with_its_path(check, phase3, path, found, fix):
    plan, problems = check(phase3)
    assert plan == {}
    told = next((problem for problem in problems if problem.path == path), None)
    assert told, [str(problem) for problem in problems]
    assert found in told.found
    assert fix in told.fix


@pytest.mark.parametrize(
    ("checks", "path", "fix"),
    [
        ({"position_loss_usd": {"mode": "observe"}}, "levibot_plan.phase3.guardrails", "check that decides"),
        ({"position_loss_usd": {"fail_after": 2}}, "levibot_plan.phase3.guardrails", "at the first look"),
        ({"position_loss_usd": {"what": None}}, "levibot_checks_overrides.position_loss_usd.what", "needs what"),
        ({"position_loss_usd": {"what": "win"}}, "levibot_checks_overrides.position_loss_usd.what", "write loss"),
        ({"position_loss_usd": {"query": "up"}}, "levibot_checks_overrides.position_loss_usd.query", "remove it"),
        ({"position_loss_usd": {"source": "prometheus"}}, "levibot_checks.position_loss_usd.what", "remove it"),
        ({"pnl_errors": {"what": None}}, "levibot_checks_overrides.pnl_errors.what", "needs what"),
        ({"pnl_errors": {"what": "profit"}}, "levibot_checks_overrides.pnl_errors.what", "positions or pnl or limits or engines"),
        ({"pnl_errors": {"max_open": "1h"}}, "levibot_checks_overrides.pnl_errors.max_open", "positions only"),
        ({"pnl_errors": {"tolerance_ratio": "120%"}}, "levibot_checks_overrides.pnl_errors.tolerance_ratio", "at most 100%"),
        ({"pnl_errors": {"tolerance_usd": "cheap"}}, "levibot_checks_overrides.pnl_errors.tolerance_usd", "write a number"),
        ({"engine_faults": {"max_heartbeat_age": 60}}, "levibot_checks_overrides.engine_faults.max_heartbeat_age", "unit"),
        ({"pnl_errors": {"min_events": 0}}, "levibot_checks_overrides.pnl_errors.min_events", "a whole number from 1 upwards"),
        ({"engine_faults": {"min_events": 0}}, "levibot_checks_overrides.engine_faults.min_events", "a whole number from 1 upwards"),
        (
            {name: {"mode": "observe"} for name in ("position_errors", "pnl_errors", "limit_breaches")},
            "levibot_plan.phase3.steps.step2.gate",
            "counts trades and decides",
        ),
        ({"limit_breaches": {"source": "api"}}, "levibot_checks_overrides.limit_breaches.source", "trading"),
        ({"load": {"kind": "threshold"}}, "levibot_checks.load.query", "needs query"),
    ],
)
def test_a_mistake_in_the_checks(check, checks, path, fix):
    plan, problems = check(checks=checks)
    assert plan == {}
    told = next((problem for problem in problems if problem.path == path), None)
    assert told, [str(problem) for problem in problems]
    assert fix in told.fix


@pytest.mark.parametrize("line", ["position_errors == 0", "pnl_errors == 0", "limit_breaches == 0", "same as step1"])
def test_one_check_that_counts_trades_is_enough(sound, line):
    assert sound(step("step2", gate=[line]))


def test_a_gate_that_cannot_be_read_is_one_mistake(check):
    _plan, problems = check(step(gate=["engine_fault == 0"]))
    assert [one.path for one in problems if "step1" in one.path] == [f"{AT}.steps.step1.gate[0]"]


def test_a_tolerance_may_be_nothing(sound):
    checks = {"pnl_errors": {"tolerance_usd": 0, "tolerance_ratio": "0%"}}
    pnl = next(one for one in sound(checks=checks)["steps"][0]["gate"]["checks"] if one["id"] == "pnl_errors")
    assert (pnl["tolerance_usd"], pnl["tolerance_ratio"]) == ("0", "0")


def test_live_books_are_not_asked_for_before_there_are_some(shipped, site):
    plan = {"phase2": {"steps": {"step1": {"gate": ["error_rate < 1%", "pnl_errors == 0"]}}}}
    _plan, (problem,) = validate(shipped["levibot_plan"], shipped["levibot_checks"], site, plan)
    assert problem.path == "levibot_plan_overrides.phase2.steps.step1.gate[1]"
    assert "in phase 3" in problem.fix


def test_all_mistakes_come_at_once(check):
    _plan, problems = check(
        {
            "capital_usd": "x",
            "sides": ["up"],
            "on_blind": "wait",
            "guardrails": ["nothing < 1"],
            "limits": {"position": "200%", "daily_loss": None},
            "steps": {
                "step1": {"window": "4", "engines": {"BTC/USDT": 0}},
                "step2": {"engines": {"BTC/USDT": 5}, "gate": ["x"]},
                "step3": {"on_fail": "warn"},
            },
        }
    )
    paths = {problem.path.removeprefix(f"{AT}.") for problem in problems}
    assert paths == {
        *("capital_usd", "sides", "on_blind", "guardrails[0]", "limits.position", "limits.daily_loss"),
        *(
            "steps.step1.window",
            "steps.step1.engines.BTC/USDT",
            "steps.step2.engines.BTC/USDT",
            "steps.step2.gate[0]",
            "steps.step3.on_fail",
        ),
    }


def test_a_phase_that_is_taken_out_is_one_mistake(shipped, site):
    _plan, problems = validate(shipped["levibot_plan"], shipped["levibot_checks"], site, {"phase3": None})
    assert [problem.path for problem in problems] == ["levibot_plan_overrides.phase3"]


def test_limits_of_another_plan_are_another_question(sound):
    """So a recorded sample is not judged again by a plan whose limits it was not compared with."""
    asked = [one["compared_with"] for one in sound()["steps"][0]["gate"]["checks"]]
    assert len(set(asked)) == 1
    assert {one["compared_with"] for one in sound()["steps"][1]["gate"]["checks"]} != set(asked)
    assert [one["compared_with"] for one in sound({"on_blind": "paper"})["steps"][0]["gate"]["checks"]] == asked
    for other in ({"limits": {"daily_loss": "4%"}}, {"sides": ["long"]}, step(engines={"BTC/USDT": 99})):
        assert [one["compared_with"] for one in sound(other)["steps"][0]["gate"]["checks"]] != asked


@given(JSON)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_garbage_is_reported_and_never_raised(check, value):
    keys = ("capital_usd", "approvers", "sides", "limits", "guardrails", "on_fail", "on_blind", "order_ratio", "instruments", "steps")
    for phase3 in (value, *({key: value} for key in keys), *(step(**{key: value}) for key in ("engines", "rest", "gate", "window"))):
        if phase3 is not None:
            check(copy.deepcopy(phase3))
    for own in (
        step(engines={"BTC/USDT": value}),
        step("step3", rest={"BNB/USDT": value}),
        {"instruments": {"BTC/USDT": {"price_usd": value}}},
    ):
        check(copy.deepcopy(own))


HUGE = ["9" * 5000, 10**5000, 10**30, 1e300, float("nan"), float("inf"), "NaN", "Infinity"]


@pytest.mark.parametrize("huge", HUGE, ids=range(len(HUGE)))
def test_amounts_that_nobody_has_are_one_message(check, huge):
    for phase3, path in (
        ({"capital_usd": huge}, f"{AT}.capital_usd"),
        (step(engines={"BTC/USDT": huge}), f"{AT}.steps.step1.engines.BTC/USDT"),
        (step("step3", rest={"BNB/USDT": huge}), f"{AT}.steps.step3.rest.BNB/USDT"),
    ):
        _plan, (problem,) = check(phase3)
        assert problem.path == path
        assert len(str(problem)) < 400


def test_no_share_is_nothing(sound):
    free = {"default": {"min_notional_usd": 0}}
    phase = sound(only({"BTC/USDT": 100}, {"BNB/USDT": 1000000000, "XRP/USDT": 1}, instruments=free, capital_usd=1000))
    assert phase["steps"][0]["engines"] == {"BTC/USDT": "100.00", "BNB/USDT": "899.99", "XRP/USDT": "0.01"}
