# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.filter.duration import duration
from ansible_collections.levibot.transition.plugins.filter.judge import judge
from ansible_collections.levibot.transition.plugins.filter.quantile import p95, quantile
from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import GENESIS, draft, link

CONDITION = {"op": "<", "limit": "0.01", "unit": "ratio", "text": "error_rate < 1%"}
ERRORS = {"id": "error_rate", "kind": "proportion", "source": "prometheus", "mode": "enforce", "of": "bad", "condition": CONDITION}
GATE = {
    "id": "phase2.step1",
    "window_seconds": 30,
    "interval_seconds": 15,
    "hold_seconds": 0,
    "blind_after_seconds": 60,
    "checks": [ERRORS],
}
PLAN = {
    "phase1": {"name": "a checklist has no steps", "items": []},
    "phase2": {"name": "x", "steps": [{"id": "phase2.step1", "gate": GATE}]},
}


def looks(bad):
    return [{"at_seconds": at, "samples": {"error_rate": {"status": "ok", "bad": bad, "total": 100 + at}}} for at in (0, 15, 30)]


def export(bad):
    lines, previous = [], GENESIS
    for seq, data in enumerate(looks(bad), 1):
        entry = link(draft("r1", "look", {**data, "gate": "phase2.step1", "started_at": 5.0}, 100.0 + seq), seq, previous)
        lines.append(entry.to_line())
        previous = entry.hash
    return "\n".join(lines)


@pytest.mark.parametrize(("bad", "verdict"), [(0, "pass"), (60, "fail")])
def test_judge_takes_looks_entries_and_exports(bad, verdict):
    assert judge(looks(bad), GATE)["verdict"] == verdict
    assert judge(looks(bad), "phase2.step1", plan=PLAN)["verdict"] == verdict
    assert judge(export(bad), GATE)["verdict"] == verdict
    told = judge([json.loads(line) for line in export(bad).splitlines()], GATE, rollout="r1")
    assert (told["verdict"], told["decided"], told["safe"]) == (verdict, True, verdict == "pass")
    assert "error_rate was" in told["reason"]
    assert json.loads(json.dumps(told)) == told


def test_judge_says_that_too_few_looks_decide_nothing():
    told = judge(looks(0)[:2], GATE)
    assert (told["verdict"], told["decided"], told["safe"]) == ("pending", False, False)


def test_judge_refuses_an_export_that_somebody_has_changed():
    with pytest.raises(AnsibleFilterError, match="entry 2: its content does not match its hash"):
        judge(export(60).replace('"total":115', '"total":99999'), GATE)


@pytest.mark.parametrize(
    ("given", "gate", "options", "expected"),
    [
        (looks(0), "phase2.step2", {"plan": PLAN}, "gate: found phase2.step2; did you mean phase2.step1?"),
        (looks(0), "phase2.step1", {}, "give the validated plan as well"),
        (looks(0), {"id": "x"}, {}, "a gate without window_seconds, interval_seconds"),
        (looks(0), None, {}, "gate: found nothing; give a gate of the validated plan"),
        ({"at_seconds": 1}, GATE, {}, "looks: found .*give a list of looks"),
        ([], GATE, {}, "no look of phase2.step1"),
        ([{"at_seconds": "soon", "samples": {}}, 4], GATE, {}, r"looks\[0\].at_seconds: found soon(.|\n)*looks\[1\]: found 4"),
        ([4] * 15, GATE, {}, "and 5 more"),
    ],
)
def test_judge_says_what_is_wrong(given, gate, options, expected):
    with pytest.raises(AnsibleFilterError, match=expected):
        judge(given, gate, **options)


def test_durations_there_and_back():
    assert [duration(text) for text in ("30m", "1h30m", "250ms")] == [1800, 5400, 0.25]
    assert [duration(number, to="text") for number in (1800, 5400.0, 0.25, 0)] == ["30m", "1h30m", "250ms", "0s"]
    assert duration("90m", to="text") == "1h30m"


@pytest.mark.parametrize(
    ("value", "options", "expected"),
    [
        ("30 min", {}, "found 30 min; write 30m"),
        (30, {}, "found 30; write a number with its unit"),
        (True, {"to": "text"}, "found true"),
        (-1, {"to": "text"}, "found -1; give a number of seconds that is not negative"),
        (float("nan"), {"to": "text"}, "not negative"),
        (float("inf"), {"to": "text"}, "not negative"),
        ("30m", {"to": "minutes"}, "found to=minutes; write to='seconds' or to='text'"),
    ],
)
def test_what_is_no_duration(value, options, expected):
    with pytest.raises(AnsibleFilterError, match=expected):
        duration(value, **options)


def test_quantiles_of_numbers():
    assert quantile([3], 0.5) == 3
    assert quantile([4, 1, 3, 2], 0.5) == 2.5
    assert quantile(list(range(101)), 0.95) == p95(list(range(101))) == 95


def test_quantiles_of_a_histogram_are_prometheus_own():
    buckets = {"0.25": 995, "0.1": 900, "0.5": 1000, "+Inf": 1000}
    assert quantile(buckets, 0.9) == pytest.approx(0.1)
    assert quantile(buckets, 0.45) == pytest.approx(0.05)
    assert p95(buckets) == pytest.approx(0.1 + 0.15 * 50 / 95)


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [
        ([], 0.5, r"found \[\]; give at least one number"),
        ([1, "x"], 0.5, "x is no finite number"),
        ([1, float("nan")], 0.5, "no finite number"),
        ([1, True], 0.5, "true is no finite number"),
        ("123", 0.5, "give a list of numbers"),
        ([1], 95, "found q=95; write a number between 0 and 1"),
        ({"0.1": 4}, 0.5, "give the bucket \\+Inf"),
        ({"0.1": 4, "+Inf": 3}, 0.5, "cumulative"),
        ({"0.1": 0, "+Inf": 0}, 0.5, "at least one event"),
        ({"x": 1, "+Inf": 3}, 0.5, "write bounds as numbers"),
        ({"0.1": 1, "+Inf": 3}, 0.5, "more than 0.1; add buckets"),
    ],
)
def test_what_has_no_quantile(values, q, expected):
    with pytest.raises(AnsibleFilterError, match=expected):
        quantile(values, q)


def test_p95_names_itself():
    with pytest.raises(AnsibleFilterError, match="p95: found"):
        p95([])
