# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.levibot.transition.plugins.module_utils.plan.promql import empty, mistakes, questions
from ansible_collections.levibot.transition.plugins.module_utils.samples import OK, Sample, error, no_data

UPTIME = {"kind": "proportion", "of": "good", "samples": 'probe_success{slot="$slot"}'}
QUEUE = {"kind": "threshold", "query": "sum(queue)", "events": "sum(increase(jobs[$elapsed]))"}


def asked(checks, overrides=None):
    return {question["id"]: question["query"] for question in questions(checks, overrides)}


def test_every_expression_of_the_shipped_checks_is_asked(shipped):
    assert set(asked(shipped["levibot_checks"])) == {
        "levibot_checks.api_uptime.samples",
        "levibot_checks.error_rate.bad",
        "levibot_checks.error_rate.total",
        "levibot_checks.latency_p95.buckets",
        "levibot_checks.performance_degradation.buckets",
    }


def test_selectors_are_counted_and_queries_asked_as_they_are():
    assert asked({"up": UPTIME, "queue": QUEUE}) == {
        "levibot_checks.up.samples": 'count(probe_success{slot="$slot"})',
        "levibot_checks.queue.query": "sum(queue)",
        "levibot_checks.queue.events": "sum(increase(jobs[$elapsed]))",
    }


def test_an_expression_is_named_where_it_was_written():
    assert list(asked({"queue": QUEUE}, {"queue": {"events": "sum(jobs)"}})) == [
        "levibot_checks.queue.query",
        "levibot_checks_overrides.queue.events",
    ]


def test_what_the_validation_reports_is_not_asked():
    assert asked({"queue": {"kind": "threshold", "query": "sum(rate(jobs[5m]))"}, "odd": {"kind": "odd"}, "up": UPTIME}) == {
        "levibot_checks.up.samples": 'count(probe_success{slot="$slot"})'
    }
    assert questions(None, "nonsense") == []


def test_what_is_refused_for_either_slot_is_one_mistake():
    (question,) = questions({"up": UPTIME}, {})
    refused = error("http://x/api/v1/query refuses the query 'count(up{)': 1:9: parse error")
    (found,) = mistakes([question], [{question["id"]: refused}, {question["id"]: refused}])
    assert (found.path, found.found, found.fix) == ("levibot_checks.up.samples", refused.detail, "correct the expression")
    (late,) = mistakes([question], [{question["id"]: no_data("none")}, {question["id"]: error("http://x: no answer in time")}])
    assert late.fix == "see that Prometheus answers it in time"


def test_what_is_found_for_one_slot_is_not_empty():
    (question,) = questions({"up": UPTIME}, {})
    name, there = question["id"], Sample(status=OK, value=1.0)
    assert empty([question], [{name: no_data("none")}, {name: there}]) == []
    assert empty([question], [{name: no_data("none")}, {name: no_data("none")}]) == [name]
    assert mistakes([question], [{name: no_data("none")}, {name: there}]) == []
