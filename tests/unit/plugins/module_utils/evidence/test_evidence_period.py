# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uptime and quiet over the period, by what Prometheus answers. tests/integration/test_validation.py asks a real one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.evidence import alerts, asked
from ansible_collections.levibot.transition.plugins.module_utils.http import HttpError
from ansible_collections.levibot.transition.plugins.module_utils.samples import OK, Sample
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import NothingThereError
from tests.evidence_bed import NOW
from tests.validation_bed import HOUR, T0, observed

URL = "http://127.0.0.1:9090"
UPTIME = {"kind": "prometheus", "samples": 'probe_success{slot="$slot"}', "slo": "api_uptime", "window": "period", "min_coverage": "99%"}
QUIET = {"kind": "alerts", "matchers": {"category": "security"}}


@pytest.fixture
def uptime(look, monkeypatch):
    """The finding where so many of the samples are bad, and the store has them for such a share of the period."""

    def run(bad, total=172_000, coverage=1.0, *, missing=None, seen=None, ends=T0 + 48 * HOUR, now=NOW, others=None, **keys):
        def measure(check, window, _prometheus):
            assert window.expand(check["samples"]) == 'probe_success{slot="green"}'
            assert (window.started_at, window.at) == (T0 + 60, min(now, ends)), "from the first visitors to the period's end"
            if total == 0:
                raise NothingThereError("no events in the window so far")
            return Sample(status=OK, value=1 - bad / total, bad=bad, total=total, coverage_ratio=coverage)

        def by_series(_prometheus, selector, window):
            assert selector == 'probe_success{slot="green"}'
            assert window.at == min(now, ends)
            return {(("instance", "a"),): (float(total - bad), float(total)), **(others or {})}

        monkeypatch.setattr(asked, "measure", measure)
        monkeypatch.setattr(asked, "samples_by_series", by_series)
        monkeypatch.setattr(asked, "missing_by_series", lambda *_arguments: missing or {})
        if seen is None:
            seen = observed()
            seen["period"]["ends"] = ends
        return look({**UPTIME, **keys}, observed=seen, prometheus_url=URL, now=now)

    return run


def test_uptime_over_the_whole_period(uptime):
    seen = uptime(100)
    assert seen["passed"], seen
    assert "api_uptime is 99.941%" in seen["found"]
    assert '100 of 172000 samples of probe_success{slot="green"} are bad' in seen["found"]
    assert "from 2026-11-25T19:01:00Z to 2026-11-27T19:00:00Z" in seen["found"]


def test_uptime_does_not_heal_by_waiting(uptime):
    late = uptime(172, now=NOW + 90 * HOUR)
    assert "from 2026-11-25T19:01:00Z to 2026-11-27T19:00:00Z" in late["found"]
    assert not late["passed"]


def test_before_its_end_the_period_is_up_to_now(uptime):
    assert "to 2026-11-27T20:00:00Z" in uptime(0, ends=NOW + HOUR)["found"]


def test_a_period_that_was_over_before_the_first_visitors_has_no_uptime(uptime):
    assert "was over before" in uptime(0, ends=T0 + 30)["problem"]


def test_the_worst_series_is_judged(uptime):
    """Of two edges, one that was down for long does not hide behind the other."""
    seen = uptime(0, others={(("instance", "b"),): (998.0, 1000.0)})
    assert "api_uptime is 99.8%, not > 99.9%" in seen["problem"]
    assert '2 of 1000 samples of probe_success{slot="green"} are bad, of the worst of 2 series (instance=b)' in seen["found"]


def test_too_little_of_it(uptime):
    assert "api_uptime is 99.9%, not > 99.9%" in uptime(172)["problem"]
    assert uptime(171)["passed"]
    assert not uptime(172_000)["passed"]


def test_no_data_is_no_uptime(uptime):
    assert "holds data for 98.9% of the window only" in uptime(0, coverage=0.989)["problem"]
    assert uptime(0, coverage=0.99)["passed"]
    assert "no events" in uptime(0, total=0)["problem"]
    assert not uptime(0, seen={})["passed"]
    assert "is not promoted" in uptime(0, seen={"period": {"problem": "v1 is not promoted", "fix": "go"}})["problem"]


def test_a_sample_that_is_missing_is_a_bad_one(uptime):
    mine = (("instance", "a"),)
    seen = uptime(0, missing={mine: 1680})
    assert "api_uptime is 99.032%, not > 99.9%" in seen["problem"]
    assert '0 of 172000 samples of probe_success{slot="green"} are bad, and 1680 are missing' in seen["found"]
    assert uptime(0, missing={mine: 100})["passed"]
    other = (("instance", "b"),)
    seen = uptime(100, others={other: (1000.0, 1000.0)}, missing={other: 2})
    assert "0 of 1000 samples" in seen["found"], "the worst is the one of which most is missing"
    assert "and 2 are missing, of the worst of 2 series (instance=b)" in seen["found"]


def test_an_slo_that_the_plan_does_not_have(uptime):
    assert "the SLO of uptime" in uptime(0, slo="uptime")["problem"]


WATCHDOG = {"alertname": "Watchdog", "alertstate": "firing"}
EVALUATED = datetime.fromtimestamp(NOW - 10, UTC).isoformat().replace("+00:00", "Z")
RULE = {"name": "Intruder", "labels": {"category": "security"}, "health": "ok", "lastEvaluation": EVALUATED, "interval": 15}


@pytest.fixture
def quiet(look, monkeypatch):
    """The finding where these alerts have fired, these rules are loaded, and the watchdog was there for such a share of the period."""

    def run(fired=(WATCHDOG,), rules=(RULE,), watched=1.0, error=None, **keys):
        class Server:
            def __init__(self, *_arguments):
                pass

            def instant(self, query, _at, _deadline):
                if error:
                    raise HttpError(URL, "nothing listens there (connection refused)")
                assert query == f'count_over_time(ALERTS{{alertstate="firing"}}[{round((NOW - T0) * 1000)}ms])'
                return {tuple(sorted(labels.items())): 1.0 for labels in fired}

            def rules(self, _deadline):
                return list(rules)

        monkeypatch.setattr(alerts, "Prometheus", Server)
        monkeypatch.setattr(alerts, "coverage", lambda *_arguments: watched)
        return look({**QUIET, **keys}, observed=observed(), prometheus_url=URL)

    return run


def fired(**labels):
    return {"alertname": "Intruder", "alertstate": "firing", "category": "security", **labels}


def test_quiet_that_is_proven(quiet):
    seen = quiet()
    assert seen["passed"], seen
    assert "their rules are loaded and well" in seen["found"]


def test_an_alert_that_has_fired_counts_also_when_it_is_over(quiet):
    seen = quiet((WATCHDOG, fired(slot="blue"), fired(slot="green")))
    assert "Intruder has fired (category=security, slot=blue); Intruder has fired" in seen["problem"]


def test_another_alert_does_not(quiet):
    assert quiet((WATCHDOG, fired(category="latency"), {"alertname": "Other", "alertstate": "firing"}))["passed"]


def test_many_alerts_are_not_all_told(quiet):
    assert "and 4 more" in quiet((WATCHDOG, *(fired(instance=str(number)) for number in range(9))))["problem"]


@pytest.mark.parametrize(
    ("seen", "problem"),
    [
        ({"rules": ()}, 'Prometheus has loaded no alerting rule with category=~"security"'),
        ({"rules": ({**RULE, "labels": {}},)}, "has loaded no alerting rule"),
        ({"rules": ({**RULE, "health": "err", "lastError": "oops"},)}, "cannot be evaluated: oops"),
        ({"rules": ({**RULE, "lastEvaluation": "0001-01-01T00:00:00Z"},)}, "was not evaluated yet"),
        ({"fired": ()}, "the watchdog Watchdog fired for 0% of the period only"),
        ({"watched": 0.5}, "the watchdog Watchdog fired for 50% of the period only"),
        ({"error": True}, "nothing listens there"),
    ],
)
def test_quiet_that_is_not_proven(quiet, seen, problem):
    judged = quiet(**seen)
    assert not judged["passed"]
    assert problem in judged["problem"]
    assert judged["fix"]


@pytest.mark.parametrize("kind", [UPTIME, QUIET])
def test_nobody_can_be_asked_without_an_address(look, kind):
    assert "no address of Prometheus" in look(kind, observed=observed())["problem"]
