# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A replay says what the live gate would have said, and nothing that the record does not hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.gates.judge import Judge, next_look_at
from ansible_collections.levibot.transition.plugins.module_utils.gates.record import Record, find_gate, question, questions, read_record
from ansible_collections.levibot.transition.plugins.module_utils.gates.replay import at_pace, judge_looks, judge_record, schedule, tell
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report
from ansible_collections.levibot.transition.plugins.module_utils.samples import Sample, error, no_data

WINDOW, INTERVAL = 300, 15


def check(kind, name, op, limit, shown, **keys):
    condition = {"op": op, "limit": limit, "unit": "ratio", "text": f"{name} {op} {shown}"}
    return {"id": name, "kind": kind, "source": "prometheus", "mode": "enforce", "condition": condition, **keys}


def errors(limit="0.01", shown="1%", **keys):
    return check("proportion", "error_rate", "<", limit, shown, **{"of": "bad", "bad": "e", "total": "r", "min_events": 50, **keys})


def latency(limit="0.2", shown="200ms", **keys):
    return check("quantile", "latency_p95", "<", limit, shown, **{"quantile": 0.95, "buckets": "b", "min_events": 10, **keys})


def load(limit="5", **keys):
    return check("threshold", "load", "<", limit, limit, **{"query": "load", "unit": "count", "fail_after": 3, **keys})


def gate(*checks, **keys):
    times = {"window_seconds": WINDOW, "interval_seconds": INTERVAL, "hold_seconds": 60, "blind_after_seconds": 45}
    return {"id": "phase2.step1", "on_fail": "rollback", **times, **keys, "checks": list(checks)}


def samples_at(at, bad_share=0.0, load_then=1.0):
    total = 20 * at
    return {
        "error_rate": Sample("ok", bad=round(bad_share * total), total=total, value=bad_share),
        "latency_p95": Sample("ok", bad=0.01 * total, total=total, value=0.12),
        "load": Sample("ok", value=load_then),
    }


def live(its_gate, samples_of, with_questions=True, rollout="r1", started_at=1000.0):
    """The entries of a gate that was judged live, as the action records them, and its verdict."""
    judge, look, entries = Judge(its_gate), None, []
    asked = {"asked": questions(its_gate)} if with_questions else {}
    while not judge.verdict:
        at = next_look_at(its_gate, look) if look else 0.0
        samples = {name: sample for name, sample in samples_of(at).items() if name in questions(its_gate)}
        look = judge.look(at, samples)
        told = {name: sample.to_dict() for name, sample in samples.items()}
        data = {**look.to_dict(), "gate": its_gate["id"], "samples": told, "started_at": started_at, **asked}
        entries.append({"kind": "look", "rollout": rollout, "data": data})
    window = {"started_at": started_at}
    entries.append({"kind": "verdict", "rollout": rollout, "data": {**judge.verdict.to_dict(), "window": window}})
    return json.loads(json.dumps(entries)), judge.verdict


def read(entries, gate_id="phase2.step1", rollout=""):
    report = Report()
    record = read_record(entries, gate_id, report, rollout)
    assert report.problems == []
    return record


def mistakes(items, gate_id="phase2.step1", rollout=""):
    report = Report()
    read_record(items, gate_id, report, rollout)
    return [str(problem) for problem in report.problems]


def test_the_same_gate_says_the_same_again():
    its_gate = gate(errors(), latency(), load())
    for bad_share in (0.0, 0.02, 0.5):
        entries, verdict = live(its_gate, lambda at, bad_share=bad_share: samples_at(at, bad_share))
        outcome = judge_record(its_gate, read(entries))
        assert (outcome.decided, outcome.notes) == (True, ())
        assert outcome.verdict == verdict
        assert outcome.to_dict()["verdict"] == read(entries).verdict["verdict"]


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 0.1), st.floats(0, 10)), min_size=25, max_size=25))
def test_whatever_happened_is_told_the_same(history):
    def samples_of(at):
        seen, bad_share, load_then = history[int(at // INTERVAL)]
        return samples_at(at, bad_share, load_then) if seen else dict.fromkeys(samples_at(at), no_data("a gap"))

    its_gate = gate(errors(), latency(), load())
    entries, verdict = live(its_gate, samples_of)
    assert judge_record(its_gate, read(entries)).verdict == verdict


def test_a_gate_that_was_blind_is_blind_again():
    its_gate = gate(errors(), load())
    entries, verdict = live(its_gate, lambda at: samples_at(at) if at < 90 else dict.fromkeys(samples_at(at), error("refused")))
    assert verdict.verdict == "blind"
    assert judge_record(its_gate, read(entries)).verdict.verdict == "blind"


def test_a_new_limit_is_judged_on_old_counts():
    entries, verdict = live(gate(errors("0.01", "1%")), lambda at: samples_at(at, 0.005))
    assert verdict.verdict == "pass"
    outcome = judge_record(gate(errors("0.001", "0.1%")), read(entries))
    assert (outcome.verdict.verdict, outcome.verdict.deciding) == ("fail", ("error_rate",))
    assert outcome.verdict.at_seconds < WINDOW
    assert judge_record(gate(errors("0.5", "50%")), read(entries)).verdict.safe


def test_a_new_threshold_and_its_patience_are_judged_on_old_values():
    entries, _verdict = live(gate(load("5")), lambda at: samples_at(at, load_then=4.0 if 60 <= at < 90 else 1.0))
    assert judge_record(gate(load("3", fail_after=2)), read(entries)).verdict.verdict == "fail"
    assert judge_record(gate(load("3", fail_after=3)), read(entries)).verdict.verdict == "pass"


def test_the_limit_of_a_quantile_decides_what_was_counted():
    for with_questions in (True, False):
        entries, _verdict = live(gate(errors(), latency()), samples_at, with_questions)
        outcome = judge_record(gate(errors(), latency("0.15", "150ms")), read(entries))
        assert not outcome.verdict.safe
        assert (outcome.decided, outcome.verdict.verdict, outcome.verdict.deciding) == (False, "hold", ("latency_p95",))
        state = {found.id: (found.state, found.reason) for found in outcome.verdict.checks}
        assert state["error_rate"][0] == "pass"
        assert state["latency_p95"][0] == "error"
        assert "limit of then (< 200ms)" in state["latency_p95"][1]


def test_the_same_limit_in_other_words_is_the_same():
    entries, _verdict = live(gate(latency("0.2", "200ms (SLO + 0%)")), samples_at)
    assert judge_record(gate(latency()), read(entries)).verdict.safe


def test_a_check_that_was_not_asked_then_keeps_it_from_passing_and_others_still_fail_it():
    entries, _verdict = live(gate(errors()), lambda at: samples_at(at, 0.005))
    outcome = judge_record(gate(errors(), load()), read(entries))
    assert (outcome.verdict.verdict, outcome.verdict.deciding) == ("hold", ("load",))
    assert "not asked then" in outcome.reason
    strict = judge_record(gate(load(), errors("0.001", "0.1%")), read(entries))
    assert (strict.verdict.verdict, strict.decided) == ("fail", True)
    assert [found.id for found in strict.verdict.checks] == ["load", "error_rate"]


def test_where_nothing_that_decides_was_asked_then_it_is_not_called_failed():
    entries, _verdict = live(gate(errors()), samples_at)
    outcome = judge_record(gate(load(), errors(mode="observe")), read(entries))
    assert (outcome.verdict.verdict, outcome.verdict.deciding) == ("hold", ("load",))


def test_a_check_that_only_observes_and_was_not_asked_then_keeps_nothing_from_passing():
    entries, _verdict = live(gate(errors()), samples_at)
    outcome = judge_record(gate(errors(), load(mode="observe")), read(entries))
    assert outcome.verdict.safe
    assert outcome.verdict.checks[1].state == "error"


def test_another_selector_is_another_question():
    entries, _verdict = live(gate(errors()), samples_at)
    outcome = judge_record(gate(errors(bad="others")), read(entries))
    assert (outcome.verdict.verdict, outcome.verdict.checks[0].state) == ("hold", "error")


def test_a_record_that_does_not_say_what_was_asked_says_so():
    entries, _verdict = live(gate(errors()), samples_at, with_questions=False)
    outcome = judge_record(gate(errors(bad="others")), read(entries))
    assert outcome.verdict.safe
    assert "does not say what was asked" in outcome.notes[0]


def test_what_a_check_makes_of_the_answer_is_no_part_of_its_question():
    judged = {"mode": "observe", "min_events": 1, "alpha": "0.05", "counts": "x", "burst": 30}
    assert question(errors(**judged)) == question(errors("0.5", "50%"))
    assert question(latency("0.3", "300ms")) != question(latency())
    assert question(errors(of="good")) != question(errors())


def test_a_longer_window_than_was_recorded_is_not_decided():
    entries, _verdict = live(gate(errors()), samples_at)
    outcome = judge_record(gate(errors(), window_seconds=2 * WINDOW), read(entries))
    assert (outcome.decided, outcome.verdict.verdict, outcome.verdict.safe) == (False, "pending", False)
    assert "not decided after 5m of 10m" in outcome.reason


def test_a_longer_window_can_fail_within_what_was_recorded():
    entries, _verdict = live(gate(errors("0.9", "90%")), lambda at: samples_at(at, 0.5))
    assert judge_record(gate(errors(), window_seconds=2 * WINDOW), read(entries)).verdict.verdict == "fail"


def test_a_shorter_window_passes_at_its_end():
    entries, _verdict = live(gate(errors()), samples_at)
    outcome = judge_record(gate(errors(), window_seconds=100), read(entries))
    assert (outcome.verdict.safe, outcome.verdict.at_seconds) == (True, 105)


def test_looks_at_another_pace_leave_a_row_as_long_as_it_was():
    slower, notes = at_pace(gate(load(fail_after=9), errors()), 60)
    assert (slower["interval_seconds"], slower["checks"][0]["fail_after"]) == (60, 3)
    assert "1m apart instead of 15s" in notes[0]
    faster, _notes = at_pace(gate(load(fail_after=3)), 5)
    assert faster["checks"][0]["fail_after"] == 7
    assert at_pace(gate(load(fail_after=1)), 5)[0]["checks"][0]["fail_after"] == 1
    assert at_pace(gate(load()), 15.4) == (gate(load()), ())
    assert at_pace(gate(load()), None)[1] == ()


def test_the_last_run_is_judged_and_another_rollout_on_request():
    first, _verdict = live(gate(errors()), lambda at: samples_at(at, 0.5), rollout="r1", started_at=1000)
    again, _verdict = live(gate(errors()), samples_at, rollout="r1", started_at=5000)
    other, _verdict = live(gate(errors()), lambda at: samples_at(at, 0.5), rollout="r2", started_at=9000)
    entries = first + again + other
    assert (read(entries).rollout, read(entries).started_at, read(entries).verdict["verdict"]) == ("r2", 9000, "fail")
    mine = read(entries, rollout="r1")
    assert (mine.started_at, mine.verdict["verdict"]) == (5000, "pass")
    assert judge_record(gate(errors()), mine).verdict.safe


def test_a_run_that_was_interrupted_is_one_run():
    entries, verdict = live(gate(errors()), samples_at)
    for entry in entries[8:-1]:
        entry["data"]["started_at"] += 0.01
    assert judge_record(gate(errors()), read(entries)).verdict == verdict


def test_a_run_that_ended_without_a_verdict_has_none():
    entries, _verdict = live(gate(errors()), samples_at)
    record = read(entries[:5])
    assert record.verdict == {}
    assert judge_record(gate(errors()), record).verdict.verdict == "pending"


def test_plain_looks_are_enough():
    looks = [{"at_seconds": at, "samples": {"error_rate": {"status": "ok", "bad": at, "total": 2 * at}}} for at in (0, 15, 30)]
    assert judge_record(gate(errors()), read(looks)).verdict.verdict == "fail"


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ("{}", "looks: found {}; give a list of looks"),
        ([], "looks: found no look of phase2.step1; give a record with looks"),
        ([7], "looks[0]: found 7; write a look"),
        ([{"samples": {}}], "looks[0].at_seconds: found nothing; write the seconds"),
        ([{"at_seconds": True, "samples": {}}], "looks[0].at_seconds: found true"),
        ([{"at_seconds": 1, "samples": {"x": {"status": "good"}}}], "looks[0].samples.x: found"),
        ([{"at_seconds": 1, "samples": {"x": {"status": "ok", "bad": "many"}}}], "are finite numbers"),
        ([{"at_seconds": 1, "samples": {"x": {"status": "ok", "bda": 1}}}], "bda"),
        (
            [{"at_seconds": 2, "samples": {}}, {"at_seconds": 1, "samples": {}}],
            "looks[1].at_seconds: found 1.0; give the looks",
        ),
        ([{"kind": "look", "rollout": "r", "data": {"gate": "phase2.step9"}}], "name a gate that was judged: phase2.step9"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(items, expected):
    found = mistakes(items)
    assert any(expected in problem for problem in found), found


def test_an_unknown_rollout_is_answered_with_those_that_are_there():
    entries, _verdict = live(gate(errors()), samples_at)
    assert mistakes(entries, rollout="r9") == [
        "looks: found no look of phase2.step1 in rollout r9; name one of the rollouts with looks: r1"
    ]


def test_every_mistake_comes_at_once():
    assert len(mistakes([{"at_seconds": -1, "samples": {"x": 3, "y": {"status": "?"}}}, "look"])) == 4


def test_a_gate_is_found_by_its_id():
    plan = {"phase2": {"steps": [{"id": "phase2.step1", "gate": gate(errors())}]}}
    assert find_gate("phase2.step1", plan, Report()) == gate(errors())
    for wanted, expected in (
        ("phase2.step2", "did you mean phase2.step1?"),
        ("", "found nothing"),
        ({"id": "x"}, "a gate without window_seconds"),
    ):
        report = Report()
        assert find_gate(wanted, plan, report) is None
        assert expected in str(report.problems[0])
    report = Report()
    assert find_gate(gate({"id": "x", "kind": "guess"}), None, report) is None
    assert report.problems[0].path == "gate.checks[0]"


def test_the_schedule_is_the_gates_and_ends_with_its_window():
    assert list(schedule(gate(window_seconds=40))) == [0, 15, 30, 40]
    assert list(schedule(gate(window_seconds=45))) == [0, 15, 30, 45]
    assert list(schedule(gate(), ended_at=31)) == [0, 15, 30]


def test_a_gate_that_would_have_been_held_is_not_decided_at_the_windows_end():
    its_gate = gate(errors(min_events=10**6))
    outcome = judge_looks(its_gate, ((at, samples_at(at)) for at in schedule(its_gate)))
    assert (outcome.decided, outcome.verdict.verdict, outcome.verdict.deciding) == (False, "hold", ("error_rate",))


def test_no_more_is_asked_once_it_is_decided():
    its_gate, asked = gate(errors()), []

    def looks():
        for at in schedule(its_gate):
            asked.append(at)
            yield at, samples_at(at, 0.5)

    assert judge_looks(its_gate, looks()).verdict.verdict == "fail"
    assert len(asked) < 4


def test_nothing_is_no_verdict():
    with pytest.raises(ValueError, match="nothing to judge"):
        judge_looks(gate(errors()), [])
    assert read_record([], "x", Report()) == Record(())


def test_people_read_then_against_now():
    entries, _verdict = live(gate(errors()), lambda at: samples_at(at, 0.005))
    record = read(entries)
    lines = tell(judge_record(gate(errors("0.001", "0.1%")), record), "judged again", record.verdict, {"p0_p1_alerts": "no past"})
    assert lines[1].startswith("  then  pass after 5m")
    assert lines[2].startswith("  now   fail after ")
    assert lines[2].endswith(": error_rate")
    row = next(line for line in lines if line.startswith("  error_rate"))
    assert "< 0.1%" in row
    assert "pass 0.5%" in row
    assert any("NOT JUDGED" in line for line in lines)
    assert "    p0_p1_alerts: no past" in lines
