# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gates over live books: each kind of sample, and what becomes of the gate."""

from __future__ import annotations

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.gates.judge import Judge
from ansible_collections.levibot.transition.plugins.module_utils.gates.record import questions, read_record
from ansible_collections.levibot.transition.plugins.module_utils.gates.replay import judge_record
from ansible_collections.levibot.transition.plugins.module_utils.gates.words import explain
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report
from ansible_collections.levibot.transition.plugins.module_utils.samples import OK, Sample, error, no_data

WINDOW, HOLD = 20, 10
COMMON = {"source": "trading", "mode": "enforce", "fail_after": 1}
KEYS = {"max_open": 86400, "tolerance_usd": "0.01", "tolerance_ratio": "0.005", "max_heartbeat_age": 60, "min_events": 1}


def check(name, what, counts="trades"):
    condition = {"op": "==", "limit": "0", "unit": "count", "text": f"{name} == 0"}
    return {"id": name, "kind": "reconcile", "what": what, "counts": counts, "condition": condition, **COMMON, **KEYS}


LOSS = {
    "id": "position_loss_usd",
    "kind": "threshold",
    "what": "loss",
    "unit": "usd",
    **COMMON,
    "condition": {"op": "<", "limit": "50", "unit": "usd", "text": "position_loss_usd < 50 USD"},
}
CHECKS = [
    LOSS,
    check("position_errors", "positions"),
    check("pnl_errors", "pnl"),
    check("limit_breaches", "limits"),
    check("engine_faults", "engines", "engines"),
]
GATE = {
    "id": "phase3.step1",
    "window_seconds": WINDOW,
    "interval_seconds": 1,
    "settle_seconds": 0,
    "hold_seconds": HOLD,
    "blind_after_seconds": 5,
    "on_fail": "rollback",
    "checks": CHECKS,
}
GOOD = {
    "position_loss_usd": Sample(OK, value=1.25, detail="BTC/USDT lost 1.25"),
    **{name: Sample(OK, value=0.0, events=3.0) for name in ("position_errors", "pnl_errors", "limit_breaches", "engine_faults")},
}
BOOKS = [name for name in GOOD if name != "position_loss_usd"]
NO_TRADE = {**GOOD, **{name: Sample(OK, value=0.0, events=0.0) for name in ("position_errors", "pnl_errors", "limit_breaches")}}
LOST = Sample(OK, value=51.2, detail="BTC/USDT lost 51.20: sold 0.001 at 8,800.00 that cost 60,000.00")


def soak(samples):
    """The judge and all its looks; samples by the second, or the same ones always."""
    judge, looks = Judge(GATE), []
    for at in range(WINDOW + HOLD + 1):
        looks.append(judge.look(at, samples(at) if callable(samples) else samples))
        if judge.verdict:
            break
    return judge, looks


def test_what_agrees_passes_when_the_window_is_over():
    judge, looks = soak(GOOD)
    assert (judge.verdict.verdict, looks[-1].at_seconds) == ("pass", WINDOW)
    assert judge.verdict.safe


def test_a_pass_tells_what_was_compared():
    detail = "2 fills, 1 closed, open: none; no trade closed in ETH/USDT"
    judge, looks = soak({**GOOD, "position_errors": Sample(OK, value=0.0, events=1.0, detail=detail)})
    assert judge.verdict.verdict == "pass"
    (seen,) = [one for one in looks[-1].checks if one.id == "position_errors"]
    assert seen.evidence == f"1 trades; {detail}"


@pytest.mark.parametrize("name", BOOKS)
def test_what_disagrees_fails_at_the_first_look(name):
    wrong = Sample(OK, value=2.0, events=4.0, problems=("fill 17 of BTC/USDT is listed twice", "ETH/USDT: 2 held, 1 by the fills"))
    judge, looks = soak(lambda at: {**GOOD, name: wrong} if at == 7 else GOOD)
    assert (judge.verdict.verdict, looks[-1].at_seconds) == ("fail", 7)
    assert judge.verdict.deciding == (name,)
    assert judge.verdict.breach
    told = explain(judge.verdict)
    assert "fill 17 of BTC/USDT is listed twice; ETH/USDT: 2 held, 1 by the fills" in told
    assert f"{name} was 2 disagree (4 " in told


def test_of_many_problems_the_first_are_shown_and_all_counted():
    wrong = Sample(OK, value=300.0, events=4.0, problems=tuple(f"problem {n}" for n in range(20)))
    judge, _looks = soak({**GOOD, "pnl_errors": wrong})
    told = explain(judge.verdict)
    assert "pnl_errors was 300 disagree" in told
    assert "problem 4; and 295 more" in told
    assert "problem 5" not in told


def test_the_guardrail_tells_what_was_lost_and_where():
    judge, looks = soak(lambda at: {**GOOD, "position_loss_usd": LOST} if at == 3 else GOOD)
    assert (judge.verdict.verdict, looks[-1].at_seconds, judge.verdict.deciding) == ("fail", 3, ("position_loss_usd",))
    told = explain(judge.verdict)
    assert told.startswith("Gate phase3.step1 failed after 3s of 20s: position_loss_usd was 51.20 USD, allowed < 50 USD - over the limit; ")
    assert "BTC/USDT lost 51.20: sold 0.001 at 8,800.00" in told


@pytest.mark.parametrize(("lost", "fails"), [(49.99, False), (50.0, True), (50.01, True)])
def test_the_limit_itself_is_a_loss_too_many(lost, fails):
    judge, _looks = soak({**GOOD, "position_loss_usd": Sample(OK, value=lost)})
    assert (judge.verdict.verdict == "fail") == fails


def test_a_broken_guardrail_is_told_from_another_failure_at_the_same_look():
    wrong = Sample(OK, value=1.0, events=1.0, problems=("a limit",))
    judge, _looks = soak({**GOOD, "limit_breaches": wrong, "position_loss_usd": LOST})
    assert set(judge.verdict.deciding) == {"position_loss_usd", "limit_breaches"}
    judge, _looks = soak({**GOOD, "limit_breaches": wrong})
    assert judge.verdict.deciding == ("limit_breaches",)


def test_no_trade_in_a_whole_window_holds_and_then_fails():
    judge, looks = soak(NO_TRADE)
    assert looks[WINDOW].verdict == "hold"
    assert (judge.verdict.verdict, judge.verdict.at_seconds) == ("fail", WINDOW + HOLD)
    assert not judge.verdict.breach
    assert "0 of at least 1 trades" in explain(judge.verdict)


def test_a_trade_in_the_extension_is_enough():
    judge, looks = soak(lambda at: GOOD if at >= WINDOW + 4 else NO_TRADE)
    assert (judge.verdict.verdict, looks[-1].at_seconds) == ("pass", WINDOW + 4)


def test_a_gate_that_holds_still_fails_on_the_guardrail_at_once():
    judge, looks = soak(lambda at: {**NO_TRADE, "position_loss_usd": LOST} if at == WINDOW + 3 else NO_TRADE)
    assert looks[WINDOW + 2].verdict == "hold"
    assert (judge.verdict.verdict, looks[-1].at_seconds) == ("fail", WINDOW + 3)
    assert judge.verdict.deciding == ("position_loss_usd",)
    assert judge.verdict.breach


def test_books_that_cannot_be_read_are_blind_after_a_while_and_never_a_pass():
    down = dict.fromkeys(GOOD, error("http://127.0.0.1:18011/live/fills: connection refused"))
    judge, looks = soak(lambda at: down if at >= 6 else GOOD)
    assert (judge.verdict.verdict, looks[-1].at_seconds) == ("blind", 11)
    assert "connection refused" in explain(judge.verdict)


def test_books_that_cannot_be_read_in_the_extension_are_blind_too():
    down = dict.fromkeys(GOOD, error("timed out"))
    judge, _looks = soak(lambda at: down if at >= WINDOW + 1 else NO_TRADE)
    assert (judge.verdict.verdict, judge.verdict.at_seconds) == ("blind", WINDOW + 6)


def test_one_look_that_failed_is_made_up_for():
    judge, _looks = soak(lambda at: {**GOOD, **dict.fromkeys(BOOKS, error("moved while being read"))} if at == 9 else GOOD)
    assert judge.verdict.verdict == "pass"


def test_what_was_seen_too_seldom_does_not_pass():
    """Limits and PnL are of the moment: unseen for half of the window they are not vouched for."""
    down = dict.fromkeys(GOOD, error("timed out"))
    judge, _looks = soak(lambda at: down if at % 5 in (1, 2, 3) else GOOD)
    assert judge.verdict.verdict == "fail"
    assert "data for only" in explain(judge.verdict)


@pytest.mark.parametrize("name", GOOD)
def test_no_data_is_never_a_pass(name):
    judge, _looks = soak({**GOOD, name: no_data("nothing there")})
    assert judge.verdict.verdict == "fail"
    assert not judge.verdict.breach


def recorded(samples, gate=GATE):
    judge, looks = Judge(gate), []
    for at in range(WINDOW + 1):
        look = judge.look(at, samples)
        told = {name: sample.to_dict() for name, sample in samples.items()}
        looks.append({**look.to_dict(), "gate": gate["id"], "samples": told, "asked": questions(gate), "started_at": 100.0})
    return read_record(looks, gate["id"], Report())


def test_recorded_looks_are_judged_again():
    outcome = judge_record(GATE, recorded(GOOD))
    assert outcome.decided
    assert outcome.verdict.verdict == "pass"
    stricter = {
        **GATE,
        "checks": [{**LOSS, "condition": {**LOSS["condition"], "limit": "1", "text": "position_loss_usd < 1 USD"}}, *CHECKS[1:]],
    }
    outcome = judge_record(stricter, recorded(GOOD))
    assert outcome.verdict.verdict == "fail"
    assert "BTC/USDT lost 1.25" in outcome.reason


def test_looks_that_were_compared_with_other_limits_are_not_judged_again():
    def of(digest):
        return {**GATE, "checks": [{**one, "compared_with": digest} for one in CHECKS]}

    outcome = judge_record(of("b"), recorded(GOOD, of("a")))
    assert not outcome.decided
    assert "it asked something else then" in outcome.reason


@pytest.mark.parametrize(
    ("sample", "verdicts"),
    [(GOOD["position_loss_usd"], ["pass"]), (LOST, ["fail"]), (error("nobody answers"), ["hold", "hold", "hold", "blind"])],
)
def test_one_look_at_the_guardrails_alone(sample, verdicts):
    """As it is taken before an engine is started: no window, and a hold as long as it may be blind."""
    judge = Judge({**GATE, "window_seconds": 0, "hold_seconds": GATE["blind_after_seconds"], "checks": [LOSS]})
    assert [judge.look(at, {LOSS["id"]: sample}).verdict for at in (0.1, 2, 4, 6)[: len(verdicts)]] == verdicts
