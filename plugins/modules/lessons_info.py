#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: lessons_info
short_description: Tell what the ledger says of a release's way
version_added: 0.5.0
author:
  - levibot.transition contributors (@levibot)
description:
  - Reads all records of a version on the ledger's host, and returns the facts only, since the looks of two days are many.
  - Facts are what is recorded. A ledger that is not there has none.
options:
  path:
    description: The ledger's file.
    type: path
    required: true
  version:
    description: The version.
    type: str
    required: true
attributes:
  check_mode:
    description: Only reads, so check mode makes no difference.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
"""

EXAMPLES = r"""
- name: Read what happened on the way
  levibot.transition.lessons_info:
    path: /var/lib/levibot/ledger.db
    version: v1.8.0-beta
  register: lessons
"""

RETURN = r"""
version:
  description: The version.
  returned: always
  type: str
  sample: v1.8.0-beta
entries:
  description: How many entries are about it.
  returned: always
  type: int
  sample: 412
records:
  description:
    - Each record, with its phase, how it ended and how long it took.
    - C(decision) is the last verdict on the release itself (V(GO), V(VALIDATED) or their contraries), C(lacked) the items that had not
      passed then, C(tries) how many before it were not good.
  returned: always
  type: list
  elements: dict
  sample:
    - rollout: 20261124T112200Z-v1.8.0-beta
      phase: phase2
      began_at: "2026-11-24T11:22:00.000Z"
      lasted: 3 h 41 min
      outcome: promoted
      reason: ""
      override: ""
      decision: ""
      lacked: []
      tries: 0
      entries: 380
gates:
  description:
    - Each gate that was judged. C(extended) is how long it took beyond its window, C(blind) how long a source could not be asked, and
      C(against) the looks at which a check was against its limit. All are empty where there was none.
  returned: always
  type: list
  elements: dict
  sample:
    - rollout: 20261124T112200Z-v1.8.0-beta
      gate: phase2.step1
      verdict: pass
      said: passed
      took: 42 min
      extended: 12 min
      looks: 168
      held_looks: 48
      blind: ""
      against: [{check: error_rate, looks: 2}]
      deciding: []
      reason: ""
events:
  description: What interrupted it, and the drills. C(what) is V(kill), V(rollback), V(expired), V(taken over) or V(drill).
  returned: always
  type: list
  elements: dict
  sample:
    - at: "2026-11-24T10:00:00.000Z"
      rollout: drill-20261124T100000Z
      what: drill
      passed: "yes"
      told: The rollback's drill passed after 41 s
went_well:
  description: What went well, a sentence each.
  returned: always
  type: list
  elements: str
  sample: [Gate phase2.step2 passed in its window after 1 h and 240 looks]
to_improve:
  description: What could be improved.
  returned: always
  type: list
  elements: str
  sample: [Gate phase2.step1 passed only 12 min after its window; 48 looks held]
actions:
  description: What to do about it; who and when is for people to say.
  returned: always
  type: list
  elements: str
  sample: ["See why gate phase2.step1 had to be extended: more traffic, a longer window, or fewer min_events"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.ledger import store
from ansible_collections.levibot.transition.plugins.module_utils.proposals.lessons import learn


def main() -> None:
    module = AnsibleModule(
        argument_spec={"path": {"type": "path", "required": True}, "version": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    try:
        with store.Ledger(module.params["path"], writable=False) as ledger:
            learned = learn(ledger.read(), module.params["version"])
    except store.LedgerError as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=False, **learned)


if __name__ == "__main__":
    main()
