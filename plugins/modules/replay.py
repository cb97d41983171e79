#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: replay
short_description: Judge a past window again
version_added: 0.2.0
author:
  - levibot.transition contributors (@levibot)
description:
  - Judges a gate of the plan on a window that is over, by the judge of M(levibot.transition.gate), so that a new threshold can be tried on
    old data before it is trusted. It waits for nothing and changes nothing.
  - From Prometheus it asks at each look's instant what the gate would have asked. Checks of other sources cannot be asked about the past;
    they are left out of the verdict, and listed in RV(left_out). The window ends when it ends, since what came after it belongs to another
    step, so a gate that would have been held ends with the verdict V(hold).
  - From a ledger it judges the samples that the gate recorded. Limits, C(min_events), C(fail_after), C(alpha), C(mode) and the times may be
    others than then. A check that asks something else now, that was not asked then, or whose limit decides what was counted (of a
    quantile) is in the state C(error), and keeps the gate from passing.
  - A verdict is no failure of the task, whichever it is. Options that cannot be used are, and all of them are named at once, as the
    variables of role P(levibot.transition.replay#role).
options:
  plan:
    description: The validated plan.
    type: dict
    required: true
  gate:
    description: The gate's id, such as V(phase2.step1).
    type: str
    required: true
  source:
    description: Where the window's measurements come from.
    type: str
    choices: [prometheus, ledger]
    default: prometheus
  from:
    description: When the window began (after the settle time), as ISO 8601 with an offset. Required with O(source=prometheus).
    type: str
  slot:
    description: The candidate's slot then. Required with O(source=prometheus).
    type: str
    choices: [blue, green]
  every:
    description: A duration between looks at Prometheus, for a long window. The gate's own interval unless given.
    type: str
  time_limit:
    description: How long asking Prometheus may take before the task fails.
    type: str
    default: 10m
  sources:
    description: Where the sources are, as M(levibot.transition.gate) takes them. Only Prometheus is asked.
    type: dict
  observe_from:
    description: Where Prometheus is asked from. With V(target) each look is one run of M(levibot.transition.measure).
    type: str
    choices: [controller, target]
    default: controller
  export:
    description: A ledger's export on the control node, as JSON lines. With O(source=ledger) and without it, O(ledger) is read.
    type: path
  ledger:
    description: The ledger's file on the task's host.
    type: path
  rollout:
    description:
      - The rollout whose looks are judged; V(latest) is the last one with looks of this gate.
      - Of several runs of the gate in it, the last one is judged.
    type: str
    default: latest
attributes:
  action:
    description: Is an action, which runs on the control node.
    support: full
  async:
    description: Cannot run with C(async).
    support: none
  check_mode:
    description: Only reads, so check mode makes no difference.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
seealso:
  - module: levibot.transition.gate
  - plugin: levibot.transition.judge
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Judge last Tuesday's canary by the plan of today
  levibot.transition.replay:
    plan: "{{ levibot_validated }}"
    gate: phase2.step1
    from: "2026-11-17T10:00:00Z"
    slot: green
    sources:
      prometheus: {url: "http://127.0.0.1:9090"}

- name: Judge what the last rollout recorded
  levibot.transition.replay:
    plan: "{{ levibot_validated }}"
    gate: phase2.step1
    source: ledger
    ledger: /var/lib/levibot/ledger.db
"""

RETURN = r"""
gate:
  description: The gate's id.
  returned: success
  type: str
  sample: phase2.step1
verdict:
  description: V(pass), V(fail), V(blind), V(hold) (the window was over, and it could not have passed) or V(pending) (the looks end before).
  returned: success
  type: str
  sample: fail
decided:
  description: Whether the gate was decided. Not with V(hold) and V(pending).
  returned: success
  type: bool
  sample: true
safe:
  description: Whether the gate would have allowed to go on.
  returned: success
  type: bool
  sample: false
breach:
  description: Whether each check that decided broke its limit.
  returned: success
  type: bool
  sample: true
reason:
  description: One paragraph with the checks that decided, what was measured and what is allowed.
  returned: success
  type: str
  sample: "Gate phase2.step1 failed after 4m30s of 30m: error_rate was 0.4% (12 of 3,000 requests), allowed < 0.1% (19 looks)."
at_seconds:
  description: When it was decided, in seconds since the window began.
  returned: success
  type: float
  sample: 270.0
window_seconds:
  description: The length of the window.
  returned: success
  type: float
  sample: 1800
looks:
  description: How many looks were judged.
  returned: success
  type: int
  sample: 19
deciding:
  description: The checks that made the verdict.
  returned: success
  type: list
  elements: str
  sample: [error_rate]
checks:
  description: Each check as the last look saw it.
  returned: success
  type: list
  elements: dict
  sample: [{id: error_rate, kind: proportion, mode: enforce, state: fail, value: "0.4%", limit: "< 0.1%", number: 0.004}]
started_at:
  description: When the window began, in seconds since the epoch, where that is known.
  returned: success
  type: float
  sample: 1763980800.0
then:
  description: The verdict that the record holds, with C(verdict), C(reason), C(at_seconds) and C(deciding). Empty where there is none.
  returned: success
  type: dict
  sample: {verdict: pass, at_seconds: 1800.0, deciding: []}
left_out:
  description: The checks that the verdict says nothing of, each with C(id) and C(reason).
  returned: success
  type: list
  elements: dict
  sample: [{id: p0_p1_alerts, reason: "it asks alertmanager, which keeps no past; a ledger does"}]
notes:
  description: What to know of how it was judged, such as looks that are further apart than the gate's.
  returned: success
  type: list
  elements: str
  sample: []
text:
  description: What was shown, line by line.
  returned: success
  type: list
  elements: str
problems:
  description: The mistakes in the options, each with C(path), C(found) and C(fix).
  returned: when there are mistakes
  type: list
  elements: dict
"""
