# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
DOCUMENTATION = r"""
module: plan_power
short_description: Tells what a plan's gates can and cannot detect, and has Prometheus parse all PromQL of its checks
version_added: 0.2.0
description:
  - Has Prometheus parse every query and selector of the check library, about both slots. What it refuses is returned with the
    variable's path.
  - Simulates candidates for each check that counts events, at the traffic that is expected, and has the judge of
    M(levibot.transition.gate) judge them. So it tells with what probability, and how soon, a candidate that is so much worse than its
    limit is found in the window, and with what probability one that is well within it passes.
  - Says of the other checks how soon they act and what they do not see.
  - Asks through M(levibot.transition.measure) on the task's host. Fails on no mistake that it finds, so that all of them can be reported.
  - Changes nothing. See docs/plan.md for how to read it, and for what is assumed.
author:
  - levibot.transition contributors (@levibot)
attributes:
  check_mode:
    description: Only reads, so check mode makes no difference.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
options:
  plan:
    description: The normalised plan, as M(levibot.transition.plan) returns it; empty where it has mistakes.
    type: dict
    required: true
  checks:
    description: The check library, as in C(levibot_checks).
    type: raw
    required: true
  checks_overrides:
    description: Merged recursively over O(checks); null removes a key.
    type: raw
    default: {}
  sources:
    description: Where Prometheus is. The other sources are not asked.
    type: dict
    required: true
    suboptions:
      prometheus:
        description: The Prometheus that scrapes the edge and the slots.
        type: dict
        suboptions:
          url:
            description: Its address, such as V(http://127.0.0.1:9090).
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
        description: The most that the asking may take for each slot.
        type: float
        default: 10.0
  requests_per_second:
    description: The requests a second of both slots together that are expected. Measured unless given.
    type: float
  traffic_over:
    description: The time up to now over which traffic, probes and stable's slow share are measured.
    type: str
    default: 10m
seealso:
  - module: levibot.transition.plan
  - module: levibot.transition.gate
"""

EXAMPLES = r"""
- name: See what the gates detect with 7 requests a second
  levibot.transition.plan_power:
    plan: "{{ levibot_validated }}"
    checks: "{{ levibot_checks }}"
    sources:
      prometheus: {url: "http://127.0.0.1:9090"}
    requests_per_second: 7
  register: power
"""

RETURN = r"""
gates:
  description: Each gate of the plan with its checks, in the plan's order.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: The gate's id.
      type: str
      sample: phase2.step1
    engines:
      description: The engines that the gate's step starts, each with its capital in US dollars. Only for steps with live engines.
      type: dict
      sample: {BTC/USDT: "100.00"}
    live:
      description: All engines that are live when the gate is judged, each with its capital in US dollars. Only for such steps.
      type: dict
      sample: {BTC/USDT: "100.00"}
    checks:
      description:
        - What each check detects. Only C(id), C(kind), C(mode), C(condition), C(lines) and C(cautions) for one that does not count
          events, or whose traffic nobody knows.
      type: list
      elements: dict
      contains:
        expected:
          description: The events a second of the candidate and of both slots together, and C(origin) (V(measured), V(given) or V(assumed)).
          type: dict
          sample: {per_second: 0.667, all_per_second: 6.67, origin: given}
        in_window:
          description: The events in the window.
          type: int
          sample: 1200
        min_events_after_seconds:
          description: When the events that a pass needs are there; null where they never are.
          type: float
          sample: 4500
        detects:
          description:
            - Candidates with a bad ratio of 2, 3, 5, 10 and 100 times what the limit allows (C(factor)), the mildest first. C(ratio) is
              that of bad events; for a baseline, in multiples of stable's.
            - C(probability) that such a one is found within the window, give or take C(error) (95 %), C(median_seconds) until then, and
              the probability that it C(passes) all the same. C(detectable) is a probability of at least 0.95.
          type: list
          elements: dict
          sample: [{factor: 5, ratio: 0.005, probability: 0.83, error: 0.06, detectable: false, median_seconds: 720, passes: 0.01}]
        healthy:
          description:
            - The probability that a candidate at half of the limit passes within window and hold, give or take C(error), and the
              C(window_seconds) in which it would with 0.99 without a hold; null for more than 30 days.
          type: dict
          sample: {probability: 0.97, error: 0.03, window_seconds: 7200}
        lines:
          description: The same in words.
          type: list
          elements: str
        cautions:
          description: What an operator should think about.
          type: list
          elements: str
empty:
  description: The paths of the expressions that find nothing in any slot now.
  returned: always
  type: list
  elements: str
  sample: [levibot_checks.error_rate.bad]
problems:
  description: The mistakes that were found, each with C(path), C(found) and C(fix).
  returned: always
  type: list
  elements: dict
  sample: [{path: levibot_prometheus_url, found: "Prometheus cannot be asked ...", fix: set it to where Prometheus answers}]
text:
  description: What was shown.
  returned: always
  type: list
  elements: str
"""
