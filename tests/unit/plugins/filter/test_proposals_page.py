# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.filter.markdown_page import markdown_page
from ansible_collections.levibot.transition.plugins.filter.proposals_page import proposals_page

TEMPLATES = Path(__file__).parents[4] / "roles/proposals/templates"
PLAN = {"threshold": "0.005", "text": "0.5%", "alarms": 3, "false_alarms": 2, "firing_seconds": 240.0, "hard": False}
RULE = {"threshold": "0.009", "text": "0.9%", "alarms": 1, "false_alarms": 0, "firing_seconds": 60.0}
ALERT = {
    "id": "error_rate",
    "alert": "LeviErrorRate",
    "summary": "Requests fail.",
    "unit": "ratio",
    "condition": ">",
    "for_seconds": 120.0,
    "shown": "humanizePercentage",
    "samples": 5760,
    "series": 1,
    "coverage_ratio": 0.998,
    "observed": {"p99": "0.4%"},
    "plan": PLAN,
    "candidates": [{"basis": "p99.9", **RULE}],
    "rules": [{"level": "critical", "severity": "P1", "basis": "p99.9 and the margin", **RULE}],
    "notes": [],
    "lasting": "",
    "problem": "",
    "expr": 'errors{slot=~"blue|green"}',
    "asked": 'errors{slot=~"green"}',
}
PERIOD = {
    "started_at": 1763980800.0,
    "ended_at": 1764153600.0,
    "seconds": 172800.0,
    "step_seconds": 30.0,
    "interval_seconds": 30.0,
    "evaluations": 5760,
    "thinned": False,
    "slot": "green",
}
GIVEN: dict[str, Any] = {
    "found": {
        "period": PERIOD,
        "method": "nearest rank",
        "alerts": [ALERT],
        "inference": [],
        "used": [{"limit": "concurrent_positions", "value": "3", "source": "Prometheus: max(x)", "problem": ""}],
        "fired": [],
        "uptime": None,
        "problems": [],
    },
    "lessons": {"entries": 0, "records": [], "gates": [], "went_well": [], "to_improve": [], "actions": []},
    "limits": {"concurrent_positions": 10},
    "used": [{"limit": "concurrent_positions", "value": "4", "source": "recomputed from 12 fills", "problem": ""}],
    "known": {},
    "risk_margin": "50%",
    "version": "v1.8.0-beta",
}


def test_a_rule_says_what_it_rests_on() -> None:
    (rule,) = proposals_page(GIVEN)["rules"]
    assert rule["expr"] == '(errors{slot=~"blue|green"}) > 0.009'
    assert rule["for"] == "2m"
    assert rule["description"] == "Now {{ $value | humanizePercentage }}; the limit is > 0.9%."
    assert rule["proposal"] == (
        "Basis: p99.9 and the margin. "
        "From 2025-11-24T10:40:00Z to 2025-11-26T10:40:00Z it would have made 0 false alarms and 1 in incidents; "
        "the plan's 0.5% 2 false alarms and 1 in incidents. 99.8% of that time is covered."
    )


def test_what_prometheus_and_the_fills_say_is_put_together() -> None:
    page = proposals_page(GIVEN)
    assert page["risk"]["overrides"] == {"phase3": {"limits": {"concurrent_positions": "6"}}}
    assert proposals_page({**GIVEN, "limits": {}, "used": None})["risk"]["overrides"] == {}


@pytest.mark.parametrize(
    ("changes", "proposed"), [({}, {"phase3": {"limits": {"concurrent_positions": 6}}}), ({"limits": {}, "used": None}, {})]
)
def test_limits_are_proposed_under_a_name_that_no_plan_is_read_from(changes: dict[str, Any], proposed: dict[str, Any]) -> None:
    template = (TEMPLATES / "risk.yml.j2").read_text(encoding="utf-8")
    text = jinja2.Environment(trim_blocks=True).from_string(template).render(page=proposals_page({**GIVEN, **changes}))  # noqa: S701 - YAML
    assert yaml.safe_load(text) == {"levibot_proposed_plan_overrides": proposed}


def test_a_long_period_says_that_it_was_looked_at_rarely() -> None:
    given = copy.deepcopy(GIVEN)
    given["found"]["period"].update(thinned=True, step_seconds=90.0)
    assert "every 1m30s and not every 30s" in proposals_page(given)["period"]["thinned"]


@pytest.mark.parametrize("name", ["proposals.md", "lessons-learned.md"])
def test_pages_escape_what_others_wrote(name: str) -> None:
    given = copy.deepcopy(GIVEN)
    evil = "](http://evil) | <b>\n\n# NOTHING IS WRONG"
    given["found"]["problems"] = [{"what": evil, "query": evil, "problem": evil}]
    given["found"]["fired"] = [{"alert": evil, "severity": evil, "times": 1, "firing_seconds": 1.0, "in_incidents": 0}]
    given["lessons"].update(went_well=[evil], to_improve=[evil], actions=[evil])
    text = markdown_page((TEMPLATES / f"{name}.j2").read_text(encoding="utf-8"), {"page": proposals_page(given)})
    assert "NOTHING IS WRONG" in text
    assert "\n# NOTHING" not in text
    assert "](http" not in text.replace("\\](http", "")
    assert "<b>" not in text


@pytest.mark.parametrize("name", ["proposals.md", "lessons-learned.md"])
def test_pages_are_the_same_for_the_same_data(name: str) -> None:
    template = (TEMPLATES / f"{name}.j2").read_text(encoding="utf-8")
    assert markdown_page(template, {"page": proposals_page(GIVEN)}) == markdown_page(
        template, {"page": proposals_page(copy.deepcopy(GIVEN))}
    )


@pytest.mark.parametrize(
    ("given", "problem"), [({}, "found, lessons"), (None, "must be given"), ({**GIVEN, "risk_margin": "half"}, "risk_margin")]
)
def test_what_is_missing_is_told(given: Any, problem: str) -> None:
    with pytest.raises(AnsibleFilterError, match=problem):
        proposals_page(given)
