#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: proposals_info
short_description: Ask Prometheus what a past period proposes
version_added: 0.5.0
author:
  - levibot.transition contributors (@levibot)
description:
  - Reads the metrics of a period, and tells which thresholds of alerts they propose and which false alarms each would have made, which
    models exceed their budget of inference, what was used of the limits of risk, and which alerts fired.
  - Each expression is asked at the same evaluations that a rule's group would have made, in bounded answers. What could not be asked is
    told in RV(problems), and fails nothing. The same data gives the same answer.
options:
  prometheus:
    description: The Prometheus that scrapes the edge and the slots.
    type: dict
    required: true
    suboptions:
      url:
        description: Its address, such as V(http://127.0.0.1:9090). User and password in it are sent, and never shown.
        type: str
        required: true
      token:
        description: A bearer token.
        type: str
      ca_file:
        description: A PEM file with the CAs to trust instead of the system's, on the machine that asks.
        type: path
      validate_certs:
        description: Whether the server's certificate is checked.
        type: bool
        default: true
  timeout_seconds:
    description: How long one answer may take.
    type: float
    default: 30
  deadline_seconds:
    description: How long all answers together may take.
    type: float
    default: 300
  started_at:
    description: When the period began, in seconds since the epoch.
    type: float
    required: true
  ended_at:
    description: When it ended.
    type: float
    required: true
  slot:
    description: The slot that was observed, for C($slot).
    type: str
    required: true
  rule_slots:
    description: What C($slot) is in the rules that are proposed, as a part of a regular expression. O(slot) unless given.
    type: str
  rate_window:
    description: What C($window) is, for rates; at least four scrapes.
    type: str
    default: 5m
  interval:
    description: How often the rules are to be evaluated, and how often the expressions are therefore asked.
    type: str
    default: 30s
  max_points:
    description: The most evaluations; beyond it they are asked more rarely than O(interval), and the answer says so.
    type: int
    default: 20000
  alerts:
    description: The metrics to be alerted on, as role P(levibot.transition.proposals#role) has them in C(proposals_alerts).
    type: dict
    default: {}
  levels:
    description: The severities that are proposed.
    type: list
    elements: dict
    default:
      - {name: warning, quantile: 0.99, severity: warning, pages: false}
      - {name: critical, quantile: 0.999}
    suboptions:
      name:
        description: What it is called.
        type: str
        required: true
      quantile:
        description: The quantile of the samples, by nearest rank, that its first candidate is. V(1) is the worst sample.
        type: float
        required: true
      severity:
        description: The label C(severity) of its rules; the metric's own unless given.
        type: str
        default: ""
      pages:
        description: Whether somebody is called; such a threshold is never tighter than the SLO.
        type: bool
        default: true
  margin:
    description: What a threshold is above its quantile.
    type: str
    default: 20%
  false_alarms:
    description: The most false alarms that a proposed threshold may have made in the period.
    type: int
    default: 0
  min_coverage:
    description: The share of the period that must have samples.
    type: str
    default: 90%
  incidents:
    description: When things were truly bad. Such samples make no threshold, and alarms that touch them are not false.
    type: list
    elements: dict
    default: []
    suboptions:
      from:
        description: The beginning, as ISO 8601 with an offset from UTC or in seconds since the epoch.
        type: raw
        required: true
      to:
        description: The end.
        type: raw
        required: true
      why:
        description: What it was.
        type: str
        default: ""
  inference:
    description: The latency of inference. Not asked unless given.
    type: dict
    suboptions:
      buckets:
        description: The histogram's buckets, as a selector with C($slot).
        type: str
        required: true
      label:
        description: The label that tells models apart. Where no series has it, all count as one.
        type: str
        default: model
      budgets:
        description: The budget of the p95 in seconds by model, and C(default) for all others.
        type: dict
        required: true
  used:
    description:
      - An expression for what is used of each limit of risk, by the limit's name in C(phase3.limits) of a validated plan. C($step) is the
        time from one evaluation to the next. The greatest value counts.
    type: dict
    default: {}
  fired:
    description: An expression for the alerts that fire, with a series for each. Not asked unless given.
    type: str
    default: ""
  uptime:
    description: A selector of probes, 1 = good. Not asked unless given.
    type: str
    default: ""
attributes:
  check_mode:
    description: Only reads, so check mode makes no difference.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
"""

EXAMPLES = r"""
- name: See what the last two days propose
  levibot.transition.proposals_info:
    prometheus: {url: "http://127.0.0.1:9090"}
    started_at: 1763980800
    ended_at: 1764153600
    slot: green
    alerts:
      error_rate:
        alert: LeviErrorRate
        summary: Visitors' requests fail.
        expr: >-
          sum(rate(caddy_http_request_duration_seconds_count{server=~"slot-($slot)",handler="subroute",code=~"5.."}[$window]))
          / sum(rate(caddy_http_request_duration_seconds_count{server=~"slot-($slot)",handler="subroute"}[$window]))
        condition: ">"
        unit: ratio
        plan: 0.5%
        slo: 0.1%
        for: 2m
        severity: P1
    inference:
      buckets: levi_inference_latency_seconds_bucket{slot="$slot"}
      budgets: {default: 0.1}
  register: found
"""

RETURN = r"""
period:
  description: What was asked about. C(step_seconds) is the time between evaluations, C(thinned) whether that is more than the interval.
  returned: always
  type: dict
  sample: {started_at: 1763980800.0, ended_at: 1764153600.0, seconds: 172800.0, step_seconds: 30.0, evaluations: 5760, thinned: false,
    interval_seconds: 30.0, slot: green}
method:
  description: How quantiles are taken.
  returned: always
  type: str
  sample: nearest rank over all samples of all series
alerts:
  description:
    - For each metric what the plan's threshold and each candidate would have done (C(alarms), C(false_alarms), C(firing_seconds)), and in
      C(rules) what is proposed. C(expr) is the rule's expression without threshold, C(asked) what was asked.
    - C(lasting) says for how much of the time the plan's threshold would have fired, where that is too much to be a false alarm.
    - C(problem) says why nothing is proposed.
  returned: always
  type: list
  elements: dict
  sample:
    - id: error_rate
      alert: LeviErrorRate
      samples: 5760
      coverage_ratio: 1.0
      plan: {threshold: "0.005", text: 0.5%, alarms: 2, false_alarms: 2, firing_seconds: 240.0, hard: false}
      rules:
        - {level: critical, severity: P1, threshold: "0.0086", text: 0.86%, basis: p99.9 and the margin, alarms: 0, false_alarms: 0}
      lasting: ""
      problem: ""
inference:
  description: Each model against its budget, the slowest first.
  returned: always
  type: list
  elements: dict
  sample:
    - {model: tft, verdict: exceeds, events: 17280, budget: 100ms, slower: 7.1%, quantiles: {p50: 64ms, p95: 118ms, p99: 190ms}}
used:
  description: For each limit the greatest value seen, or the problem with it.
  returned: always
  type: list
  elements: dict
  sample:
    - {limit: concurrent_positions, value: "3", source: "Prometheus: max(levi_positions_open)"}
fired:
  description: The alerts that fired, each with how often and for how long. Null where it was not asked, or could not be.
  returned: always
  type: list
  elements: dict
  sample:
    - {alert: LeviHighLatency, severity: P1, times: 2, firing_seconds: 240.0, in_incidents: 0}
uptime:
  description: The share of good probes, by the worst series. Null where it was not asked, or could not be.
  returned: always
  type: dict
  sample: {ratio: 0.99987, text: 99.987%, probes: 172800}
problems:
  description: What could not be asked, and why.
  returned: always
  type: list
  elements: dict
  sample:
    - {what: alert latency_p95, query: "histogram_quantile(...)", problem: "http://127.0.0.1:9090/api/v1/query_range: answered 503"}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.http import Client
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report
from ansible_collections.levibot.transition.plugins.module_utils.proposals import period
from ansible_collections.levibot.transition.plugins.module_utils.proposals.ask import Asker
from ansible_collections.levibot.transition.plugins.module_utils.sources.prometheus import Prometheus

SERVER = {
    "url": {"type": "str", "required": True},
    "token": {"type": "str", "no_log": True},
    "ca_file": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
}
LEVEL = {
    "name": {"type": "str", "required": True},
    "quantile": {"type": "float", "required": True},
    "severity": {"type": "str", "default": ""},
    "pages": {"type": "bool", "default": True},
}
LEVELS = [{"name": "warning", "quantile": 0.99, "severity": "warning", "pages": False}, {"name": "critical", "quantile": 0.999}]
INCIDENT = {"from": {"type": "raw", "required": True}, "to": {"type": "raw", "required": True}, "why": {"type": "str", "default": ""}}
INFERENCE = {
    "buckets": {"type": "str", "required": True},
    "label": {"type": "str", "default": "model"},
    "budgets": {"type": "dict", "required": True},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "prometheus": {"type": "dict", "required": True, "options": SERVER},
            "timeout_seconds": {"type": "float", "default": 30},
            "deadline_seconds": {"type": "float", "default": 300},
            "started_at": {"type": "float", "required": True},
            "ended_at": {"type": "float", "required": True},
            "slot": {"type": "str", "required": True},
            "rule_slots": {"type": "str"},
            "rate_window": {"type": "str", "default": "5m"},
            "interval": {"type": "str", "default": "30s"},
            "max_points": {"type": "int", "default": 20000},
            "alerts": {"type": "dict", "default": {}},
            "levels": {"type": "list", "elements": "dict", "options": LEVEL, "default": LEVELS},
            "margin": {"type": "str", "default": "20%"},
            "false_alarms": {"type": "int", "default": 0},
            "min_coverage": {"type": "str", "default": "90%"},
            "incidents": {"type": "list", "elements": "dict", "options": INCIDENT, "default": []},
            "inference": {"type": "dict", "options": INFERENCE},
            "used": {"type": "dict", "default": {}},
            "fired": {"type": "str", "default": ""},
            "uptime": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    report = Report()
    wanted = period.read(params, report)
    if wanted is None or report.problems:
        module.fail_json(
            msg="Nothing was asked. " + " ".join(f"{problem}." for problem in report.problems),
            problems=[problem.to_dict() for problem in report.problems],
        )
    server = params["prometheus"]
    client = Client(
        timeout=params["timeout_seconds"], token=server["token"], ca_file=server["ca_file"], verify=bool(server["validate_certs"])
    )
    asker = Asker(Prometheus(server["url"], client), wanted.grid, params["deadline_seconds"])
    module.exit_json(changed=False, **period.look(wanted, asker))


if __name__ == "__main__":
    main()
