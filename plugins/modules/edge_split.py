#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets the split of one edge host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: edge_split
short_description: Set the candidate's share of the traffic on an edge
description:
  - Writes, extends or removes the canary file that the edge's Caddy reads at each request, or promotes a slot by the lasting file.
    The change is one atomic rename. Caddy is neither reloaded nor asked, so no request fails and no counter is lost.
  - A canary file's modification time is its expiry. The edge removes the file by itself when that has passed, and is back on stable.
  - With O(verify) the effect is seen in the running Caddy, and a change whose effect cannot be seen is undone.
  - With none of O(candidate), O(stable) and O(canary) it only reads the split, and sees it where O(verify) says so.
version_added: 0.1.0
author: levibot.transition contributors (@levibot)
options:
  candidate:
    description: The slot to give O(weight) percent of the traffic to. It cannot be the stable one.
    type: str
    choices: [blue, green]
  weight:
    description: The candidate's percentage, 0 to 100. The rest goes to the stable slot.
    type: float
  expires_in_seconds:
    description:
      - How long the split holds if nobody sets it again. Longer than the step's soak window, shorter than anyone wants an
        abandoned canary to live.
    type: float
  stable:
    description:
      - Promotes this slot, or says for the first time who is stable. Writes the lasting file, then removes the canary file.
    type: str
    choices: [blue, green]
  canary:
    description:
      - V(absent) sends everybody back to the stable slot. It is never refused because of what the files hold or because a directory
        is missing, and never undone.
    type: str
    choices: [absent]
  expect_weight:
    description:
      - The candidate's percentage that the edge must have now, before the change. If it has another one, the module fails and changes
        nothing. A rollout says here what its previous step set, so that it never puts back or promotes a canary that an operator,
        the expiry or a reboot has taken back.
      - V(0) is no open canary. One that has expired counts as none, even where the edge has not removed it yet.
      - Two percentages are the same if they make the same share of the 65,536 buckets. V(10) is what O(weight=10) has set, and so is
        the RV(weight) that this has returned.
      - Not used in check mode, where the previous step has not happened, with O(canary=absent), and where O(stable) is the
        stable slot already and no canary is open.
    type: float
  tolerance_seconds:
    description: An expiry that would move by less than this is left as it is. Extending it by more is a change.
    type: float
    default: 1
  verify:
    description: Where to see the effect. Without it only the files are read back. Not used in check mode.
    type: dict
    suboptions:
      url:
        description: A URL behind the split. The edge's own probe path needs no application to answer.
        type: str
        required: true
      metrics_url:
        description: Caddy's metrics.
        type: str
        required: true
      sticky:
        description: Whether the split goes by cookie. If not, a few hundred requests are sent and their spread is compared.
        type: bool
        default: true
      host:
        description: The site's name, where the URL has an address instead.
        type: str
        default: ""
      validate_certs:
        description: Whether the site's certificate has to be good.
        type: bool
        default: true
      timeout_seconds:
        description: How long to look, and how long one request may take.
        type: float
        default: 5
extends_documentation_fragment:
  - levibot.transition.edge
  - levibot.transition.edge.healthy
attributes:
  check_mode:
    description: Can run in check mode and say what would change.
    support: full
  diff_mode:
    description: Shows the split before and after, in words.
    support: full
notes:
  - One edge host is one call. The C(edge) role's entry point C(weight) moves several together.
seealso:
  - module: levibot.transition.edge_info
"""

EXAMPLES = r"""
- name: Give the candidate a tenth of the traffic, for at most 40 minutes
  levibot.transition.edge_split:
    candidate: green
    weight: 10
    expires_in_seconds: 2400
    verify:
      url: http://127.0.0.1:19080/.levibot/slot
      metrics_url: http://127.0.0.1:19180/metrics

- name: Give it half, if it still has the tenth
  levibot.transition.edge_split:
    candidate: green
    weight: 50
    expires_in_seconds: 2400
    expect_weight: 10

- name: Send everybody back to stable
  levibot.transition.edge_split:
    canary: absent

- name: Promote green, if it still has all the traffic
  levibot.transition.edge_split:
    stable: green
    expect_weight: 100
"""

RETURN = r"""
before:
  description: The split before.
  returned: always
  type: dict
  contains: &split
    canary:
      description: Whether there is a canary file that counts.
      type: bool
    stable:
      description: The stable slot, null where no readable lasting file says so.
      type: str
    stable_problem:
      description: What is wrong with the lasting file's content, in words. Empty where nothing is.
      type: str
    candidate:
      description: The slot that is not stable.
      type: str
    weight:
      description: The candidate's percentage.
      type: float
    expires_epoch:
      description: When the canary file is removed, as seconds since 1970. Null without one.
      type: int
    expires_at:
      description: The same for people.
      type: str
    expired:
      description: Whether that has passed already.
      type: bool
    text:
      description: The split in one line.
      type: str
      sample: green 10.0 %, blue 90.0 % (canary, expires 2026-11-24T12:00:00Z)
after:
  description: The split as read back. In check mode, as it would be.
  returned: always
  type: dict
  contains: *split
stable:
  description: As in RV(after).
  returned: always
  type: str
candidate:
  description: As in RV(after).
  returned: always
  type: str
weight:
  description: As in RV(after).
  returned: always
  type: float
expires_at:
  description: As in RV(after).
  returned: always
  type: str
canary:
  description: As in RV(after).
  returned: always
  type: bool
waits:
  description: Whether nothing was changed because the slot does not answer, see O(healthy).
  returned: always
  type: bool
answered:
  description: What the slot that gets the traffic answered, in words. Empty without O(healthy).
  returned: always
  type: str
seen:
  description: What the running Caddy did. Null without O(verify), and in check mode.
  returned: always
  type: dict
  contains:
    text:
      description: In one line.
      type: str
    answers:
      description: Probes by the slot that answered.
      type: dict
    counted:
      description: By how many requests each slot's own counter moved meanwhile, other traffic included.
      type: dict
"""

from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.edge import change
from ansible_collections.levibot.transition.plugins.module_utils.edge.files import DIRECTORIES
from ansible_collections.levibot.transition.plugins.module_utils.edge.split import SLOTS
from ansible_collections.levibot.transition.plugins.module_utils.edge.verify import see

ARGUMENTS: dict[str, Any] = {
    **DIRECTORIES,
    **change.HEALTHY,
    "candidate": {"type": "str", "choices": list(SLOTS)},
    "weight": {"type": "float"},
    "expires_in_seconds": {"type": "float"},
    "stable": {"type": "str", "choices": list(SLOTS)},
    "canary": {"type": "str", "choices": ["absent"]},
    "expect_weight": {"type": "float"},
    "tolerance_seconds": {"type": "float", "default": 1},
    "verify": {
        "type": "dict",
        "options": {
            "url": {"type": "str", "required": True},
            "metrics_url": {"type": "str", "required": True},
            "sticky": {"type": "bool", "default": True},
            "host": {"type": "str", "default": ""},
            "validate_certs": {"type": "bool", "default": True},
            "timeout_seconds": {"type": "float", "default": 5},
        },
    },
}


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        mutually_exclusive=[("candidate", "stable", "canary")],
        required_together=[("candidate", "weight", "expires_in_seconds")],
        supports_check_mode=True,
    )
    verify = module.params["verify"]
    result, failure = change.change(module.params, check_mode=module.check_mode, see=partial(see, verify) if verify else None)
    if failure:
        module.fail_json(msg=failure, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
