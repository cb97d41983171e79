# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.gates.judge import Judge, next_look_at
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds import KINDS
from ansible_collections.levibot.transition.plugins.module_utils.gates.words import explain, headline, rows
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample, error, no_data

WINDOW, INTERVAL, HOLD, BLIND_AFTER = 20, 1, 15, 10


def check(kind, condition, **keys):
    name, op, limit, unit = condition
    return {
        "id": name,
        "kind": kind,
        "mode": "enforce",
        "condition": {"op": op, "limit": limit, "unit": unit, "text": f"{name} {op} {limit}"},
        **keys,
    }


ERRORS = check("proportion", ("error_rate", "<", "0.001", "ratio"), of="bad", min_events=3000, alpha="0.01", counts="requests")
UPTIME = check("proportion", ("api_uptime", ">", "0.999", "ratio"), of="good", min_events=60, alpha="0.01", counts="probes")
LATENCY = check("quantile", ("latency_p95", "<", "0.22", "seconds"), quantile=0.95, min_events=200, alpha="0.01")
BASELINE = check("baseline", ("degradation", "<", "0.2", "ratio"), buckets="x", min_events=1000, alpha="0.01", counts="requests")
BOOKS = check("reconcile", ("positions", "==", "0", "count"), min_events=2, counts="trades", fail_after=2)
SLOWER = check("threshold", ("performance_degradation", "<", "0.2", "ratio"), query="x[$elapsed]", unit="ratio", fail_after=3)
LOAD = check("threshold", ("load", "<", "5", "count"), query="load", unit="count", fail_after=1)
ALERTS = check("alerts", ("p0_p1_alerts", "==", "0", "count"), fail_after=1, accept_silenced=["Planned"])
PNL = check("api", ("paper_pnl_usd", ">", "0", "usd"), unit="usd", events="total_trades", min_events=1, counts="trades")
SCRIPT = check("command", ("health_monitor", "==", "0", "count"), fail_after=1)
ALL = [ERRORS, UPTIME, LATENCY, SLOWER, LOAD, ALERTS, PNL, SCRIPT, BASELINE, BOOKS]


def pair(at, bad, total, base_bad, base_total):
    return {"at": at, "bad": bad, "total": total, "base_bad": base_bad, "base_total": base_total}


GOOD = {
    "error_rate": Sample("ok", bad=1, total=4000),
    "api_uptime": Sample("ok", bad=0, total=80),
    "latency_p95": Sample("ok", bad=10, total=400, value=0.12),
    "performance_degradation": Sample("ok", value=0.05),
    "load": Sample("ok", value=1),
    "p0_p1_alerts": Sample("ok"),
    "paper_pnl_usd": Sample("ok", value=12.5, events=3),
    "health_monitor": Sample("ok"),
    "degradation": Sample("ok", pairs=(pair("0.1", 20, 2000, 190, 18000), pair("1", 1, 2000, 9, 18000))),
    "positions": Sample("ok", events=3),
}
# Not met, but not proven within one look either.
AGAINST = {
    "error_rate": Sample("ok", bad=5, total=4000),
    "api_uptime": Sample("ok", bad=1, total=80),
    "latency_p95": Sample("ok", bad=24, total=400, value=0.23),
    "performance_degradation": Sample("ok", value=0.25),
    "paper_pnl_usd": Sample("ok", value=-1, events=3),
}
BROKEN = {
    "error_rate": Sample("ok", bad=97, total=309),
    "api_uptime": Sample("ok", bad=10, total=80),
    "degradation": Sample("ok", pairs=(pair("0.1", 20, 2000, 190, 18000), pair("1", 200, 2000, 9, 18000))),
    "load": Sample("ok", value=6),
    "p0_p1_alerts": Sample("ok", firing=({"name": "ApiDown", "labels": {}, "silenced": False},)),
    "health_monitor": Sample("ok", problems=("exit code 1",)),
}


def gate(*checks, **keys):
    times = {"window_seconds": WINDOW, "interval_seconds": INTERVAL, "hold_seconds": HOLD, "blind_after_seconds": BLIND_AFTER}
    return {"id": "phase2.step2", **times, "settle_seconds": 0, "on_fail": "rollback", "checks": list(checks), **keys}


def soak(checks, samples_at, until=WINDOW + HOLD + 5, state=None, start=1):
    """Look each second; `samples_at` gives the samples at a second. The judge, and the looks until it was decided."""
    judge = Judge(gate(*checks), state)
    looks = []
    for at in range(start, until + 1):
        looks.append(judge.look(at, samples_at(at)))
        if looks[-1].final:
            break
    return judge, looks


def always(**changed):
    return lambda _at: {**GOOD, **changed}


def test_a_good_release_passes_when_the_whole_window_is_over():
    judge, looks = soak(ALL, always())
    assert [look.verdict for look in looks] == ["pending"] * (WINDOW - 1) + ["pass"]
    assert judge.verdict.safe
    assert judge.verdict.looks == WINDOW


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_what_is_broken_fails_at_the_first_look(name):
    judge, looks = soak(ALL, always(**{name: BROKEN[name]}))
    assert len(looks) == 1
    assert (judge.verdict.verdict, judge.verdict.deciding) == ("fail", (name,))


def test_a_slow_candidate_fails_as_soon_as_it_is_no_burst():
    check = {**LATENCY, "burst": 2}
    judge, looks = soak([check], lambda at: {"latency_p95": Sample("ok", bad=200 * at, total=400 * at, value=1.0)})
    assert (judge.verdict.verdict, len(looks)) == ("fail", 3)


@pytest.mark.parametrize("name", sorted(GOOD))
@pytest.mark.parametrize("sample", [no_data("no series"), Sample("no_data", value=0.0, bad=0, total=10**6)])
def test_no_data_is_never_a_pass_and_fails_when_the_extension_is_over(name, sample):
    judge, looks = soak(ALL, always(**{name: sample}))
    assert [look.verdict for look in looks] == ["pending"] * (WINDOW - 1) + ["hold"] * HOLD + ["fail"]
    assert "held for 15s" in judge.verdict.reason
    assert judge.verdict.deciding == (name,)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_errors_in_a_row_make_blind(name):
    judge, looks = soak(ALL, always(**{name: error("connection refused")}))
    assert len(looks) == BLIND_AFTER + 1
    assert judge.verdict.verdict == "blind"
    assert not judge.verdict.safe
    assert "connection refused" in judge.verdict.reason


@pytest.mark.parametrize("name", sorted(GOOD))
def test_errors_now_and_then_use_no_failure_budget_and_are_no_pass(name):
    judge, looks = soak(ALL, lambda at: {**GOOD, name: error("timed out") if at % 8 in (0, 4) else GOOD[name]})
    assert looks[WINDOW - 1].verdict == "hold"
    # Momentary checks were unseen for a quarter of the window; the others are told the whole window by one good look.
    assert judge.verdict.verdict == ("fail" if name in ("load", "health_monitor") else "pass")
    if judge.verdict.safe:
        assert judge.verdict.at_seconds == WINDOW + 1


def requests(*per_second):
    """The samples of an error_rate whose seconds bring (bad, total) each; the last one repeats."""

    def at(second):
        counts = [per_second[min(number, len(per_second)) - 1] for number in range(1, second + 1)]
        return {"error_rate": Sample("ok", bad=sum(bad for bad, _total in counts), total=sum(total for _bad, total in counts))}

    return at


class TestBursts:
    CHECK = check("proportion", ("error_rate", "<", "0.001", "ratio"), of="bad", min_events=3000, alpha="0.01", burst=2)

    def test_one_that_leaves_the_limit_within_reach_is_lived_through(self):
        judge, looks = soak([self.CHECK], requests((10, 1000), (0, 1000)))
        assert looks[0].checks[0].state == "breach"
        assert "in a burst or two" in looks[0].checks[0].reason
        assert (judge.verdict.verdict, judge.verdict.at_seconds) == ("pass", WINDOW)

    def test_one_that_uses_up_the_limit_of_the_window_fails_at_once(self):
        judge, looks = soak([self.CHECK], requests((21, 1000), (0, 1000)))
        assert (len(looks), judge.verdict.verdict) == (1, "fail")

    def test_what_lasts_fails_before_the_limit_is_used_up(self):
        judge, looks = soak([self.CHECK], requests((0, 100_000), (150, 100_000)))
        assert judge.verdict.verdict == "fail"
        assert 150 * (len(looks) - 1) < 0.001 * 100_000 * WINDOW

    def test_two_that_are_too_much_for_the_window_fail(self):
        judge, _looks = soak([self.CHECK], requests((15, 1000), *[(0, 1000)] * 3, (15, 1000), (0, 1000)))
        assert (judge.verdict.verdict, judge.verdict.at_seconds) == ("fail", 5)

    @pytest.mark.parametrize("at", range(1, 8))
    def test_it_may_lie_across_two_bins(self, at):
        judge, _looks = soak([self.CHECK], requests(*[(0, 1000)] * at, (6, 1000), (6, 1000), (0, 1000)))
        assert judge.verdict.verdict == "pass"

    def test_what_is_over_when_the_window_is_fails(self):
        judge, _looks = soak([self.CHECK], requests(*[(0, 1000)] * 19, (40, 1000)))
        assert (judge.verdict.verdict, judge.verdict.at_seconds) == ("fail", WINDOW)

    def test_a_continued_soak_remembers(self):
        stream = requests((15, 1000), *[(0, 1000)] * 3, (15, 1000), (0, 1000))
        first, _looks = soak([self.CHECK], stream, until=3)
        second, _looks = soak([self.CHECK], stream, state=json.loads(json.dumps(first.state)), start=4)
        assert (second.verdict.verdict, second.verdict.at_seconds) == ("fail", 5)


class TestParts:
    CHECK = check("proportion", ("error_rate", "<", "0.001", "ratio"), of="bad", min_events=3000, alpha="0.01", burst=2)
    GOOD_THEN_BAD = (*[(0, 10_000)] * 17, (40, 10_000))

    def test_no_pass_while_it_is_failing(self):
        judge, looks = soak([self.CHECK], requests(*self.GOOD_THEN_BAD), until=WINDOW)
        assert looks[-1].checks[0].number < 0.001
        assert looks[-1].verdict == "hold"
        assert "in the last part of the window" in looks[-1].reason
        assert judge.verdict is None

    def test_it_passes_once_the_trouble_is_over(self):
        judge, looks = soak([self.CHECK], requests(*self.GOOD_THEN_BAD[:-1], (40, 10_000), (40, 10_000), (0, 10_000)))
        assert looks[WINDOW - 1].verdict == "hold"
        assert judge.verdict.verdict == "pass"

    def test_it_fails_when_it_goes_on(self):
        assert soak([self.CHECK], requests(*self.GOOD_THEN_BAD))[0].verdict.verdict == "fail"

    def test_a_continued_soak_remembers(self):
        stream = requests(*self.GOOD_THEN_BAD)
        first, _looks = soak([self.CHECK], stream, until=12)
        _second, looks = soak([self.CHECK], stream, state=json.loads(json.dumps(first.state)), start=13, until=WINDOW)
        assert looks[-1].verdict == "hold"

    @pytest.mark.parametrize("begins", [40, 100, 165])
    def test_hours_of_good_requests_do_not_outweigh_a_failure_that_lasts(self, begins):
        judge = Judge(gate({**self.CHECK, "burst": 1}, window_seconds=200))
        stream = requests(*[(0, 10_000)] * begins, (40, 10_000))
        at = 0
        while not judge.verdict:
            at += 1
            last = judge.look(at, stream(at))
        assert (judge.verdict.verdict, last.checks[0].reason) == ("fail", "the limit is proven broken in this part of the window")
        assert last.checks[0].number < 0.001 or begins == 40
        assert at - begins <= 20

    def test_little_is_remembered(self):
        judge = Judge(gate({**self.CHECK, "min_events": 10**9, "burst": 1}, window_seconds=4000, hold_seconds=10**6))
        chance, bad = random.Random(5), 0  # noqa: S311 - a simulation
        for at in range(1, 4000):
            bad += chance.random() < 0.5
            judge.look(at, {"error_rate": Sample("ok", bad=bad, total=1000 * at + chance.randrange(500))})
        assert judge.verdict is None
        assert len(json.dumps(judge.state)) < 10_000


class TestBaseline:
    def judge_of(self, *pairs, **keys):
        return soak([{**BASELINE, **keys}], always(degradation=Sample("ok", pairs=pairs)))[0].verdict

    def test_trouble_of_both_slots_is_not_the_candidates(self):
        assert self.judge_of(pair("", 1000, 2000, 9000, 18000)).verdict == "pass"

    def test_the_tolerated_increase_is_no_fail(self):
        assert self.judge_of(pair("", 118, 2000, 900, 18000)).verdict == "pass"

    def test_a_single_bound_is_enough(self):
        verdict = self.judge_of(pair("0.1", 100, 2000, 900, 18000), pair("2.5", 40, 2000, 9, 18000))
        assert verdict.verdict == "fail"
        assert "slower than 2.5s; stable 9 of 18,000" in explain(verdict)
        assert "proven worse than stable" in explain(verdict)

    @pytest.mark.parametrize(
        ("counts", "who"),
        [((0, 10, 0, 18000), "candidate"), ((0, 2000, 0, 500), "stable"), ((0, 2000, 0, 0), "stable"), ((0, 0, 0, 9999), "candidate")],
    )
    def test_without_traffic_on_both_sides_it_holds(self, counts, who):
        verdict = self.judge_of(pair("", *counts))
        assert verdict.verdict == "fail"
        assert verdict.reason.startswith("held")
        assert f"{who} had" in verdict.reason

    def test_what_stable_never_has_is_proof_without_a_ratio(self):
        verdict = self.judge_of(pair("", 30, 2000, 0, 18000))
        assert (verdict.verdict, verdict.checks[0].number) == ("fail", None)

    @pytest.mark.parametrize("pairs", [(), (pair("", 3, 2, 0, 9),), (pair("", 0, 2, 10, 9),)])
    def test_what_cannot_be_counts_is_an_error(self, pairs):
        assert self.judge_of(*pairs).verdict == "blind"


class TestReconcile:
    def test_a_disagreement_fails_after_its_looks(self):
        judge, looks = soak([BOOKS], always(positions=Sample("ok", events=3, problems=("BTC/USDT: 0.1 open, fills say 0.2",))))
        assert (judge.verdict.verdict, len(looks)) == ("fail", 2)
        assert "fills say 0.2" in explain(judge.verdict)

    def test_agreement_about_nothing_holds(self):
        judge, _looks = soak([BOOKS], always(positions=Sample("ok", events=1)))
        assert "1 of at least 2 trades" in judge.verdict.reason


def test_a_check_that_was_not_asked_is_never_a_pass():
    judge, _looks = soak([ERRORS], lambda _at: {})
    assert judge.verdict.verdict == "blind"
    assert "not asked" in judge.verdict.reason


@pytest.mark.parametrize("name", ["error_rate", "api_uptime", "latency_p95", "performance_degradation", "paper_pnl_usd"])
def test_over_the_limit_without_proof_at_the_end(name):
    """Too little to convict, too much to pass: held, unless the end of the window is what the check is about."""
    checks = [{**other, "fail_after": 99} if other["id"] == "performance_degradation" else other for other in ALL]
    judge, looks = soak(checks, always(**{name: AGAINST[name]}))
    assert looks[0].verdict == "pending"
    assert judge.verdict.verdict == "fail"
    assert judge.verdict.at_seconds == (WINDOW if name == "paper_pnl_usd" else WINDOW + HOLD)


def test_an_extension_ends_with_a_pass_as_soon_as_the_evidence_is_there():
    judge, looks = soak([ERRORS], lambda at: {"error_rate": Sample("ok", bad=0, total=130 * at)})
    assert looks[WINDOW - 1].verdict == "hold"
    assert "2,600 of at least 3,000 requests" in looks[WINDOW - 1].reason
    assert (judge.verdict.verdict, judge.verdict.at_seconds) == ("pass", 24)


@pytest.mark.parametrize(("coverage", "verdict"), [(0.9, "pass"), (0.89, "hold")])
def test_data_for_nine_tenths_of_the_window(coverage, verdict):
    _judge, looks = soak([ERRORS], always(error_rate=Sample("ok", bad=0, total=4000, coverage_ratio=coverage)), until=WINDOW)
    assert looks[-1].verdict == verdict


class TestThreshold:
    def values(self, *values):
        found = {None: no_data("nothing"), "error": error("refused")}
        sequence = [found[value] if value in found else Sample("ok", value=value) for value in values]
        return lambda at: {"performance_degradation": sequence[min(at, len(sequence)) - 1]}

    def test_bad_looks_in_a_row_fail(self):
        judge, looks = soak([SLOWER], self.values(0.3, 0.3, 0.3))
        assert [look.verdict for look in looks] == ["pending", "pending", "fail"]
        assert "at 3 looks in a row" in judge.verdict.reason

    @pytest.mark.parametrize("between", ["error", None])
    def test_an_error_and_missing_data_neither_count_nor_end_the_row(self, between):
        judge, looks = soak([SLOWER], self.values(0.3, between, 0.3, between, 0.3))
        assert judge.verdict.verdict == "fail"
        assert len(looks) == 5

    def test_a_good_look_ends_the_row(self):
        judge, _looks = soak([SLOWER], self.values(0.3, 0.3, 0.1, 0.3, 0.3, 0.1))
        assert judge.verdict.safe

    def test_one_at_the_very_limit_is_not_below_it(self):
        _judge, looks = soak([SLOWER], self.values(0.2), until=1)
        assert looks[0].checks[0].state == "breach"

    @pytest.mark.parametrize(("allowed", "verdict"), [(False, "fail"), (True, "pass")])
    @pytest.mark.parametrize("sign", ["+", "-"])
    def test_infinity_fails_unless_allowed(self, allowed, verdict, sign):
        judge, _looks = soak([{**SLOWER, "allow_infinite": allowed}], always(performance_degradation=Sample("ok", infinite=sign)))
        assert judge.verdict.verdict == verdict


class TestAlerts:
    def test_a_silenced_alert_counts(self):
        judge, _looks = soak([ALERTS], always(p0_p1_alerts=Sample("ok", firing=({"name": "ApiDown", "labels": {}, "silenced": True},))))
        assert judge.verdict.verdict == "fail"
        assert "ApiDown (silenced)" in explain(judge.verdict)

    @pytest.mark.parametrize(("silenced", "verdict"), [(True, "pass"), (False, "fail")])
    def test_unless_the_plan_names_it(self, silenced, verdict):
        judge, _looks = soak([ALERTS], always(p0_p1_alerts=Sample("ok", firing=({"name": "Planned", "labels": {}, "silenced": silenced},))))
        assert judge.verdict.verdict == verdict

    def test_quiet_that_is_not_proven_is_no_pass(self):
        judge, _looks = soak([ALERTS], always(p0_p1_alerts=Sample("ok", problems=("Watchdog is missing",))))
        assert judge.verdict.verdict == "fail"
        assert "quiet is not proven: Watchdog is missing" in judge.verdict.reason

    def test_what_fires_fails_also_where_quiet_is_not_proven(self):
        firing = ({"name": "ApiDown", "labels": {}, "silenced": False},)
        judge, looks = soak([ALERTS], always(p0_p1_alerts=Sample("ok", firing=firing, problems=("no rules",))))
        assert (judge.verdict.verdict, len(looks)) == ("fail", 1)


class TestApi:
    def test_a_loss_early_in_the_window_is_no_fail(self):
        judge, _looks = soak([PNL], lambda at: {"paper_pnl_usd": Sample("ok", value=at - 10.0, events=at)})
        assert judge.verdict.safe

    def test_a_profit_on_no_trades_is_no_evidence(self):
        judge, _looks = soak([PNL], always(paper_pnl_usd=Sample("ok", value=5.0, events=0)))
        assert judge.verdict.verdict == "fail"
        assert "0 of at least 1 trades" in judge.verdict.reason

    def test_it_can_fail_at_once_where_the_plan_says_so(self):
        stop = check("api", ("global_stop", "==", "0", "count"), fail_after=1)
        _judge, looks = soak([stop], lambda _at: {"global_stop": Sample("ok", value=1)})
        assert looks[0].verdict == "fail"


class TestCounts:
    @pytest.mark.parametrize(
        "sample", [Sample("ok"), Sample("ok", bad=5, total=4), Sample("ok", bad=-1, total=4), Sample("ok", bad=0, total=float("inf"))]
    )
    @pytest.mark.parametrize("of", [ERRORS, LATENCY])
    def test_what_cannot_be_counts_is_an_error(self, sample, of):
        _judge, looks = soak([of], lambda _at: {of["id"]: sample}, until=1)
        assert looks[0].checks[0].state == "error"

    def test_no_events_wait(self):
        _judge, looks = soak([ERRORS], always(error_rate=Sample("ok", bad=0, total=0)), until=1)
        assert looks[0].checks[0].state == "waiting"

    def test_a_limit_of_zero(self):
        none = {**ERRORS, "condition": {**ERRORS["condition"], "op": "<=", "limit": "0"}}
        assert soak([none], always(error_rate=Sample("ok", bad=1, total=10**6)))[0].verdict.verdict == "fail"
        assert soak([none], always(error_rate=Sample("ok", bad=0, total=10**6)))[0].verdict.verdict == "pass"

    def test_exactly_the_limit_is_not_below_it(self):
        _judge, looks = soak([ERRORS], always(error_rate=Sample("ok", bad=4, total=4000)), until=WINDOW)
        assert looks[-1].verdict == "hold"


class TestObserve:
    def test_it_reports_and_never_decides(self):
        observed = {**UPTIME, "mode": "observe"}
        judge, _looks = soak([ERRORS, observed], lambda at: {**GOOD, "api_uptime": (BROKEN if at == 3 else GOOD)["api_uptime"]})
        assert judge.verdict.safe
        assert judge.verdict.checks[1].state == "fail"
        assert "[observed only]" in explain(judge.verdict)

    def test_a_gate_that_only_observes_is_never_a_pass(self):
        judge, _looks = soak([{**ERRORS, "mode": "observe"}], always())
        assert judge.verdict.verdict == "fail"


class TestResume:
    def test_a_judge_goes_on_from_a_state_as_if_it_had_never_stopped(self):
        values = TestThreshold().values(0.3, 0.3, 0.3)
        first, _looks = soak([SLOWER], values, until=2)
        state = json.loads(json.dumps(first.state))
        second, looks = soak([SLOWER], values, state=state, start=3)
        assert second.verdict.verdict == "fail"
        assert looks[0].index == 3

    def test_time_in_which_nobody_looked_is_not_vouched_for(self):
        first, _looks = soak([LOAD], always(), until=5)
        _second, looks = soak([LOAD], always(), state=first.state, start=WINDOW)
        assert looks[0].verdict == "hold"
        assert "data for only 35%" in looks[0].reason

    def test_whole_window_samples_keep_it(self):
        first, _looks = soak([ERRORS], always(), until=5)
        second, _looks = soak([ERRORS], always(), state=first.state, start=WINDOW)
        assert second.verdict.safe

    def test_nobody_was_blind_while_nobody_looked(self):
        first, _looks = soak([ERRORS], lambda _at: {}, until=2)
        _second, looks = soak([ERRORS], lambda _at: {}, state=first.state, start=WINDOW - 1, until=WINDOW - 1)
        assert looks[0].verdict == "pending"


def test_what_was_cut_short_is_never_a_pass():
    judge, _looks = soak(ALL, always(), until=WINDOW - 1)
    verdict = judge.cut_short(19.5, "SIGTERM received")
    assert (verdict.verdict, verdict.safe) == ("fail", False)
    assert explain(verdict) == "Gate phase2.step2 failed after 19.5s of 20s: cut short: SIGTERM received (19 looks)."
    assert Judge(gate(*ALL)).cut_short(0, "no look was possible").verdict == "fail"


def test_a_decided_gate_stays_decided():
    judge, _looks = soak([LOAD], always(load=BROKEN["load"]))
    assert judge.cut_short(5, "too late").reason == judge.verdict.reason
    with pytest.raises(ValueError, match="decided"):
        judge.look(30, GOOD)


def test_time_goes_forward():
    judge = Judge(gate(*ALL))
    judge.look(5, GOOD)
    with pytest.raises(ValueError, match="forward"):
        judge.look(4, GOOD)


# A sample of any class, for properties that hold whatever is seen.
NUMBERS = st.floats(-1e6, 1e6)
SAMPLES = st.one_of(
    st.just(error("refused")),
    st.just(no_data("none")),
    st.builds(
        lambda total, share: Sample("ok", value=0.1, bad=total * share, total=total, events=total), st.integers(0, 10**5), st.floats(0, 1)
    ),
    st.builds(lambda value: Sample("ok", value=value), NUMBERS),
    st.builds(lambda sign: Sample("ok", infinite=sign), st.sampled_from("+-")),
    st.builds(lambda problem: Sample("ok", problems=(problem,)), st.text(min_size=1)),
)
LOOKS = st.lists(st.fixed_dictionaries({check["id"]: SAMPLES for check in ALL}), min_size=1, max_size=8)


def run(checks, looks, step=5):
    judge = Judge(gate(*checks))
    for number, samples in enumerate(looks, 1):
        if judge.look(number * step, samples).final:
            break
    return judge


@given(LOOKS, st.permutations(ALL))
def test_the_order_of_checks_does_not_matter(looks, shuffled):
    one, other = run(ALL, looks).verdict, run(shuffled, looks).verdict
    assert (one and one.verdict) == (other and other.verdict)
    if one:
        assert set(one.deciding) == set(other.deciding)


@given(LOOKS)
def test_a_pass_is_never_early_and_never_without_data(looks):
    verdict = run(ALL, looks).verdict
    if verdict and verdict.safe:
        assert verdict.at_seconds >= WINDOW
        assert all(check.state == "pass" for check in verdict.checks)


@given(LOOKS)
def test_all_that_is_handed_out_is_plain_json(looks):
    judge = Judge(gate(*ALL))
    for number, samples in enumerate(looks, 1):
        look = judge.look(number * 5, samples)
        json.dumps(look.to_dict(), allow_nan=False)
        assert all(isinstance(cell, str) for row in rows(look) for cell in row)
        if look.final:
            json.dumps(judge.verdict.to_dict(), allow_nan=False)
            assert explain(judge.verdict, "ledger").startswith("Gate phase2.step2 ")
            break
    json.dumps(judge.state, allow_nan=False)


@given(bad=st.integers(0, 300), more=st.integers(0, 300), good=st.integers(0, 5000), limit=st.sampled_from(["0", "0.001", "0.01", "0.05"]))
def test_more_evidence_against_never_turns_a_fail_into_a_pass(bad, more, good, limit):
    rank = {"fail": 0, "hold": 1, "pass": 2}
    errors = {**ERRORS, "min_events": 100, "condition": {**ERRORS["condition"], "op": "<=", "limit": limit}}

    def end(bad):
        judge = Judge(gate(errors))
        return rank[judge.look(WINDOW, {"error_rate": Sample("ok", bad=bad, total=good + 300)}).verdict]

    assert end(min(bad + more, 300)) <= end(bad)


@given(st.decimals(0, 60, places=2), st.booleans())
def test_the_next_look_is_ahead_and_never_past_the_windows_end(at, failing):
    judge = Judge(gate(ERRORS))
    look = judge.look(float(at), {"error_rate": error("refused") if failing else no_data("none")})
    due = next_look_at(gate(ERRORS), look)
    assert 0 < due - float(at) <= INTERVAL * 1.01 + 1e-9
    if at < WINDOW:
        assert due <= WINDOW
    if failing:
        assert due - float(at) <= INTERVAL * 0.2 + 1e-9


def test_looks_keep_to_the_schedule():
    judge = Judge(gate(ERRORS, window_seconds=3.5))
    at, seen = 0.0, []
    for _look in range(5):
        at = next_look_at(gate(ERRORS, window_seconds=3.5), judge.look(at, {"error_rate": no_data("none")}))
        seen.append(at)
        at += 0.004
    assert seen == [1, 2, 3, 3.5, 4]


def test_the_paragraph_says_what_was_measured_and_what_was_allowed():
    judge, _looks = soak(ALL, lambda at: {**GOOD, "error_rate": BROKEN["error_rate"]} if at == 12 else GOOD)
    assert explain(judge.verdict, "build/ledger.jsonl") == (
        "Gate phase2.step2 failed after 12s of 20s: error_rate was 31.4% (97 of 309 requests), allowed < 0.001"
        " - the limit is proven broken (12 looks; samples: build/ledger.jsonl)."
    )


def test_the_paragraph_of_a_starved_gate():
    judge, _looks = soak([ERRORS], always(error_rate=no_data("no events in the window so far")))
    assert explain(judge.verdict) == (
        "Gate phase2.step2 failed after 20s and an extension of 15s: held for 15s and still cannot pass;"
        " error_rate could not be measured, allowed < 0.001 - no events in the window so far (35 looks)."
    )


def test_the_screen():
    judge = Judge(gate(ERRORS))
    look = judge.look(5, {"error_rate": Sample("ok", bad=1, total=1500)})
    assert headline(look, gate(ERRORS)) == "phase2.step2  00:05 of 00:20, 00:15 left"
    assert rows(look) == [("error_rate", "waiting", "0.0667%", "< 0.001", "1 of 1,500 requests; 1,500 of at least 3,000 requests")]
    assert headline(judge.look(25, GOOD), gate(ERRORS)) == "phase2.step2  held 00:05 of 00:15"


@pytest.mark.parametrize("name", sorted(KINDS))
def test_each_kind_tells_the_plan_what_it_takes(name):
    kind = KINDS[name]
    keys = {key: field.default for key, field in kind.fields.items() if not field.required and field.default is not None}
    assert kind.sources
    assert kind.ops(keys)
    assert isinstance(kind.limit_mistake(keys, kind.ops(keys)[0], Decimal("0.5")), str)


@pytest.mark.parametrize(
    ("query", "momentary"),
    [
        ("increase(x[$elapsed])", False),
        ("increase(x[${elapsed}])", False),
        ("seconds_elapsed_total", True),
        ("x[$elapsed_time]", True),
        ("$$elapsed", True),
    ],
)
def test_only_the_placeholder_makes_a_query_one_of_the_whole_window(query, momentary):
    assert KINDS["threshold"].momentary({"query": query}) is momentary


def test_only_a_limit_that_was_broken_is_a_breach():
    broken, _looks = soak(ALL, always(error_rate=BROKEN["error_rate"]))
    assert broken.verdict.breach
    assert broken.verdict.to_dict()["breach"] is True
    lost, _looks = soak([PNL], always(paper_pnl_usd=AGAINST["paper_pnl_usd"]))
    assert (lost.verdict.verdict, lost.verdict.breach) == ("fail", True)


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [
        ({"error_rate": error("refused")}, "blind"),
        ({"error_rate": no_data("nothing")}, "fail"),
        ({"error_rate": AGAINST["error_rate"]}, "fail"),
        ({}, "pass"),
    ],
)
def test_what_was_not_proven_is_no_breach(samples, verdict):
    judge, _looks = soak(ALL, always(**samples))
    assert (judge.verdict.verdict, judge.verdict.breach) == (verdict, False)


def test_what_was_cut_short_is_no_breach():
    judge = Judge(gate(*ALL))
    judge.look(1, {**GOOD, "error_rate": AGAINST["error_rate"]})
    assert not judge.cut_short(1.5, "a signal").breach


class TestChangeOfAnApi:
    CHANGE = {**PNL, "change": True}  # noqa: RUF012 - a constant
    FEW = Sample("ok", value=0.0, events=0)

    def verdict(self, sample_at):
        return soak([self.CHANGE], lambda at: {"paper_pnl_usd": sample_at(at)})[1]

    def test_silence_for_most_of_the_window_does_not_pass(self):
        looks = self.verdict(
            lambda at: GOOD["paper_pnl_usd"] if at < 3 or at >= WINDOW else error("refused") if at % 5 else no_data("empty")
        )
        assert looks[WINDOW - 1].verdict == "hold"
        assert "data for only" in looks[WINDOW - 1].reason

    def test_no_trades_for_most_of_the_window_is_not_silence(self):
        looks = self.verdict(lambda at: GOOD["paper_pnl_usd"] if at > WINDOW - 3 else self.FEW)
        assert looks[-1].verdict == "pass"

    def test_a_late_first_answer_does_not_pass(self):
        looks = self.verdict(lambda _at: Sample("ok", value=12.5, events=3, coverage_ratio=0.89))
        assert looks[WINDOW - 1].verdict == "hold"
