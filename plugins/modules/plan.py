# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
DOCUMENTATION = r"""
module: plan
short_description: Checks the plan and the site's variables, and returns the plan as the gates take it
version_added: 0.1.0
description:
  - Merges the overrides, reads every duration, weight, gate line and limit, and checks the site's variables.
  - Every mistake is reported at once, each with the variable's path, what was found there, and what to write instead.
  - Variables of any host which start with a prefix of the collection, but which no role has, are reported with the name that was
    probably meant.
  - Runs on the control node, asks nobody and changes nothing.
author:
  - levibot.transition contributors (@levibot)
attributes:
  check_mode:
    description: Can run in check mode and return the same.
    support: full
  diff_mode:
    description: Returns what changed.
    support: none
    details: Nothing is changed.
  platform:
    description: Where it runs.
    support: full
    platforms: posix
    details: The control node only; no connection to the host is made.
options:
  plan:
    description: The plan, as in C(levibot_plan).
    type: raw
    required: true
  plan_overrides:
    description: Merged recursively over O(plan); null removes a key.
    type: raw
    default: {}
  checks:
    description: The check library, as in C(levibot_checks).
    type: raw
    required: true
  checks_overrides:
    description: Merged recursively over O(checks); null removes a key.
    type: raw
    default: {}
  site:
    description:
      - The site's variables by name, without those that hold secrets. C(levibot_version), C(levibot_compose_file), C(levibot_services) and
        C(levibot_slots) must be there.
    type: dict
    required: true
  secret_variables:
    description:
      - The names of the variables that hold secrets, such as C(levibot_admin_token). They are checked, too, but their values are never
        arguments, and never shown.
    type: list
    elements: str
    default: []
  fail:
    description: Whether a mistake fails the task. If not, the caller has to look at C(problems), as a preflight does, to report more.
    type: bool
    default: true
seealso:
  - module: levibot.transition.gate
"""

EXAMPLES = r"""
- name: Check plan and site
  levibot.transition.plan:
    plan: "{{ levibot_plan }}"
    plan_overrides:
      phase2: {steps: {step1: {window: 45m}}}
    checks: "{{ levibot_checks }}"
    site:
      levibot_version: v1.8.0-beta
      levibot_compose_file: docker-compose.prod.yml
      levibot_services: "{{ levibot_services }}"
      levibot_slots: "{{ levibot_slots }}"
    secret_variables: [levibot_admin_token]
  register: checked
"""

RETURN = r"""
plan:
  description:
    - The normalised plan. Windows are seconds, limits canonical decimal numbers as text, and steps a list, in order of weight in
      C(phase2) and as written in C(phase3).
    - There C(engines) are those that a step starts and C(live) all that are live by then, each with its capital in US dollars, to the cent.
  returned: success
  type: dict
  sample:
    phase2:
      name: Blue-Green Deployment
      steps:
        - id: step1
          name: 10% Traffic
          weight: 10
          window_seconds: 1800
          gate:
            id: phase2.step1
            window_seconds: 1800
            interval_seconds: 15
            settle_seconds: 15
            hold_seconds: 1800
            blind_after_seconds: 120
            on_fail: rollback
            checks:
              - id: error_rate
                kind: proportion
                source: prometheus
                mode: enforce
                condition: {op: "<", limit: "0.001", unit: ratio, text: error_rate < 0.1%}
    phase3:
      name: Live Trading Activation
      capital_usd: "1000.00"
      guardrails: [position_loss_usd]
      steps:
        - id: phase3.step1
          name: Single Symbol
          engines: {BTC/USDT: "100.00"}
          live: {BTC/USDT: "100.00"}
          window_seconds: 14400
problems:
  description: The mistakes that were found.
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description: The variable's path.
      type: str
    found:
      description: What was found there. Never a secret.
      type: str
    fix:
      description: What to write instead.
      type: str
"""
