#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: measure
short_description: Ask the sources of checks once
version_added: 0.1.0
author:
  - levibot.transition contributors (@levibot)
description:
  - Asks Prometheus, Alertmanager, the LeviBot API, its books and commands from the host it runs on, all about one window, in parallel, and
    returns a sample for each check. It does not judge.
  - The action M(levibot.transition.gate) runs it at each look with O(levibot.transition.gate#module:observe_from=target).
    A preflight runs it to see whether each source can be asked.
  - A source that cannot be asked is no failure of this module but a sample with the status C(error), since every check is asked always.
requirements:
  - Python 3.9 or newer
  - jmespath, for checks with C(source=api) only
options:
  checks:
    description: Normalised checks, as a validated plan holds them.
    type: list
    elements: dict
    required: true
  started_at:
    description: When the window began, in seconds since the epoch. A minute before O(at) unless given.
    type: float
  at:
    description: The instant to ask about, in seconds since the epoch. Now unless given.
    type: float
  state:
    description: What RV(state) was at the look before, so that a change since the window began can be told.
    type: dict
    default: {}
extends_documentation_fragment:
  - levibot.transition.sources
attributes:
  check_mode:
    description: Only reads, so check mode makes no difference. Commands run in check mode, too.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
"""

EXAMPLES = r"""
- name: See whether the sources can be asked
  levibot.transition.measure:
    checks: "{{ levibot_validated.phase2.steps[0].gate.checks }}"
    subject: {slot: green, stable: blue}
    sources:
      prometheus: {url: "http://127.0.0.1:9090"}
      alertmanager: {url: "http://127.0.0.1:9093"}
  register: probe
  failed_when: probe.samples.values() | selectattr('status', '==', 'error') | length > 0
"""

RETURN = r"""
samples:
  description:
    - The sample of each check, by its id. What holds nothing is left out.
    - C(status) is V(ok), V(no_data) (the source answered, with nothing that counts) or V(error) (it could not be asked).
    - C(detail) says more.
  returned: always
  type: dict
  sample:
    error_rate: {status: ok, value: 0.0004, bad: 2, total: 5000, coverage_ratio: 1.0}
    p0_p1_alerts: {status: no_data, detail: "quiet is not proven: the watchdog alert Watchdog is not in Alertmanager"}
state:
  description: What to hand in as O(state) with the next look.
  returned: always
  type: dict
  sample: {}
started_at:
  description: When the window began.
  returned: always
  type: float
  sample: 1763980800.0
at:
  description: The instant that was asked about.
  returned: always
  type: float
  sample: 1763980860.0
clock_skew_seconds:
  description: By how many seconds Prometheus's clock is ahead of this host's. Missing where Prometheus could not be asked.
  returned: when O(sources.prometheus) is given and answers
  type: float
  sample: 0.004
prometheus_now:
  description: What Prometheus's clock showed, in epoch seconds. Missing where Prometheus could not be asked.
  returned: when O(sources.prometheus) is given and answers
  type: float
  sample: 1763980860.004
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.sources import Sources
from ansible_collections.levibot.transition.plugins.module_utils.sources.options import SOURCES, SUBJECT
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import Window

PROBED_SECONDS = 60.0


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "checks": {"type": "list", "elements": "dict", "required": True},
            "started_at": {"type": "float"},
            "at": {"type": "float"},
            "state": {"type": "dict", "default": {}},
            "sources": SOURCES,
            "subject": SUBJECT,
        },
        supports_check_mode=True,
    )
    params = module.params
    at = params["at"] or time.time()
    started_at = params["started_at"] or at - PROBED_SECONDS
    sources = Sources(params["sources"])
    found, state = sources.ask(params["checks"], Window(started_at, at, **params["subject"]), params["state"])
    samples = {check_id: sample.to_dict() for check_id, sample in found.items()}
    module.exit_json(changed=False, samples=samples, state=state, started_at=started_at, at=at, **clock(sources))


def clock(sources: Sources) -> dict[str, Any]:
    before = time.time()
    there = sources.now()
    if there is None:
        return {}
    return {"clock_skew_seconds": round(there - (before + time.time()) / 2, 3), "prometheus_now": there}


if __name__ == "__main__":
    main()
