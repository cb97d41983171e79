#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: gate
short_description: Soak a gate, judge it, and fail unless it passed
version_added: 0.1.0
author:
  - levibot.transition contributors (@levibot)
description:
  - Waits until the traffic has settled, then asks all checks of a gate at every interval of its window, judges each look, shows it, records
    it in the ledger, and ends with the verdict.
  - A window is judged on what the metrics store recorded. The looks are there to fail early, and how often they happen does not change
    what passes.
  - Fails with the verdict V(fail) or V(blind) in its result, so that a rescue can tell. Only V(pass) is a success.
    With V(warn) as the gate's C(on_fail) a limit that was broken (RV(breach)) is a warning instead. A gate that is blind, that was
    cut short, that was held in vain, or that cannot be recorded fails all the same.
  - Run it on one host, since a task that waits holds a fork, with C(when) as in the example. C(run_once) would not do, since where such
    a task fails only one host goes into a rescue.
requirements:
  - jmespath on the machine that asks, for checks with C(source=api) only
options:
  gate:
    description: A normalised gate, as a validated plan holds it.
    type: dict
    required: true
  observe_from:
    description:
      - Where the sources are asked from.
      - V(controller) asks from the control node, over connections that are kept.
      - V(target) asks from the task's host through M(levibot.transition.measure), for sources that listen on its loopback only.
    type: str
    choices: [controller, target]
    default: controller
  started_at:
    description:
      - When the window began, in seconds since the epoch, to continue one that was interrupted. The settle time is not waited for again.
      - The time in between counts as far as the store has data for it.
    type: float
  state:
    description: RV(state) of the interrupted run, to be found with each look in the ledger.
    type: dict
  ledger:
    description: Where each look and the verdict are recorded, on the task's host. Nothing is recorded unless given.
    type: dict
    suboptions:
      path:
        description: The ledger's file.
        type: path
        required: true
      rollout:
        description: The rollout's id.
        type: str
        required: true
  max_clock_skew_seconds:
    description:
      - By how much Prometheus's clock may differ from the control node's. The window is told by the latter, so beyond this Prometheus would
        tell of other minutes; what it says then is an error, and the gate is blind if that lasts.
    type: float
    default: 2.0
  expires_at:
    description: When the edges take the canary back by themselves. Named in the message of a gate that is interrupted.
    type: str
    default: ""
  unwatched_after:
    description:
      - After how many seconds without a heartbeat the live engines' host stops them. Named in the message of a gate with C(sources.trading)
        that is interrupted.
    type: float
    default: 0.0
  record_every:
    description:
      - Looks are written together, at least every so many seconds and at the verdict. Each writing is a heartbeat of the ledger's lock, and
        happens for that alone where there was no look.
    type: float
    default: 15.0
  screen:
    description:
      - How the soak is shown. V(auto) and V(live) draw one block in place on a terminal that somebody watches, and plain lines elsewhere,
        which includes AWX and CI.
      - V(plain) writes a line for each change of state and one at least every minute. V(quiet) shows nothing.
      - C(NO_COLOR) and C(ANSIBLE_NOCOLOR) are honoured.
    type: str
    choices: [auto, live, plain, quiet]
    default: auto
extends_documentation_fragment:
  - levibot.transition.sources
attributes:
  action:
    description: Is an action, which runs on the control node and keeps one fork busy for the whole window.
    support: full
  async:
    description: Cannot run with C(async).
    support: none
  check_mode:
    description: Asks nothing and waits for nothing. Says what would be judged, with the verdict V(unjudged).
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
seealso:
  - module: levibot.transition.measure
  - module: levibot.transition.ledger
"""

EXAMPLES = r"""
- name: Soak the first step
  levibot.transition.gate:
    gate: "{{ levibot_validated.phase2.steps[0].gate }}"
    subject: {slot: green, stable: blue}
    sources:
      prometheus: {url: "http://127.0.0.1:9090"}
      alertmanager: {url: "http://127.0.0.1:9093"}
      api:
        urls: {blue: "http://127.0.0.1:19111", green: "http://127.0.0.1:19112"}
        token: "{{ levibot_admin_token }}"
    observe_from: target
    ledger: {path: /var/lib/levibot/ledger.db, rollout: 20261124T112200Z-v1.8.0-beta}
  when: inventory_hostname == ansible_play_hosts_all | first

- name: Watch the first live engine
  levibot.transition.gate:
    gate: "{{ levibot_validated.phase3.steps[0].gate }}"
    subject: {slot: green, stable: blue}
    sources:
      api:
        urls: {green: "http://127.0.0.1:18011"}
        token: "{{ levibot_admin_token }}"
      trading:
        baseline: "{{ began.baseline }}"
        live: "{{ levibot_validated.phase3.steps[0].live }}"
        step: "{{ levibot_validated.phase3.steps[0].engines.keys() | list }}"
        sides: "{{ levibot_validated.phase3.sides }}"
        limits: "{{ levibot_validated.phase3.limits }}"
        other_urls: {blue: "http://127.0.0.1:18001"}
    ledger: {path: /var/lib/levibot/ledger.db, rollout: 20261124T112200Z-v1.8.0-beta}
  when: inventory_hostname == ansible_play_hosts_all | first
"""

RETURN = r"""
gate:
  description: The gate's id.
  returned: always
  type: str
  sample: phase2.step1
verdict:
  description: V(pass), V(fail) or V(blind) (the sources could not be asked); V(unjudged) in check mode.
  returned: always
  type: str
  sample: pass
safe:
  description: Whether the gate allows to go on. True with V(pass) only.
  returned: always
  type: bool
  sample: true
breach:
  description:
    - Whether the verdict is V(fail) because each check that decided broke its limit.
    - False for V(pass) and V(blind), and for a gate that was cut short, that was held in vain for want of data, or that cannot be recorded.
      What C(on_fail) allows beside a rollback, V(warn) and V(hold), is meant for a breach only.
  returned: when judged
  type: bool
  sample: false
reason:
  description: One paragraph with the checks that decided, what was measured, what was allowed, and where the samples are.
  returned: always
  type: str
  sample: "Gate phase2.step1 failed after 42s of 30m: error_rate was 4.1% (82 of 2,000 requests), allowed < 0.1% (3 looks)."
on_fail:
  description: What the plan wants done about a gate that did not pass.
  returned: when judged
  type: str
  sample: rollback
deciding:
  description:
    - The checks that made the verdict. Where one of C(levibot_validated.phase3.guardrails) is among those of a V(fail), a guardrail was
      broken.
  returned: when judged
  type: list
  elements: str
  sample: [error_rate]
checks:
  description: Each check as the last look saw it.
  returned: when judged
  type: list
  elements: dict
  sample: [{id: error_rate, kind: proportion, mode: enforce, state: fail, value: "4.1%", limit: "< 0.1%", number: 0.041}]
looks:
  description: How many looks there were.
  returned: when judged
  type: int
  sample: 3
window:
  description: When the window began and when it was decided (seconds since the epoch), and how long it was to be.
  returned: when judged
  type: dict
  sample: {started_at: 1763980800.0, ended_at: 1763980842.0, seconds: 1800}
samples_at:
  description: Where all samples are. Empty without O(ledger).
  returned: when judged
  type: str
  sample: /var/lib/levibot/ledger.db, rollout 20261124T112200Z-v1.8.0-beta
interrupted:
  description:
    - Whether the gate was interrupted by a signal, by the end of ansible-playbook or by another run that took the rollout over. There is no
      verdict in the ledger then, so that a run that is started again continues the soak.
  returned: when it was
  type: bool
  sample: true
lost:
  description: How the run has lost its rollout, see M(levibot.transition.ledger).
  returned: when it has
  type: str
  sample: taken_over
state:
  description: What continues this gate as O(state), together with RV(window.started_at) as O(started_at).
  returned: when judged
  type: dict
  sample: {}
conditions:
  description: What would be judged.
  returned: in check mode
  type: list
  elements: str
  sample: ["api_uptime > 99.9%", "error_rate < 0.1%"]
"""
