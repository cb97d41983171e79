#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes one host back to the safe state, in one process."""

from __future__ import annotations

DOCUMENTATION = r"""
module: safe_state
short_description: Take an edge back to stable and throw the kill switch, in one go
version_added: 0.6.0
description:
  - Takes the edge of this host back to its stable slot as M(levibot.transition.edge_split) does, and then, where this host runs the
    slots as well, throws the kill switch as M(levibot.transition.kill_switch) does. One process for both, since most of what either
    costs is its start.
  - The traffic is first. Where it has to stay, since the slot that would get it does not answer, or where the edge cannot be changed or
    cannot say who is stable, nothing is killed here; RV(kill) is null then, and the caller decides.
options:
  stable:
    description: Promotes this slot, where the lasting file is not to be believed. Without it the canary file is removed, and nothing else.
    type: str
    choices: [blue, green]
  kill:
    description:
      - What to kill, by the slot that is stable afterwards. Without it, or without an entry for that slot, nothing.
    type: dict
    suboptions:
      blue: &killed
        description: What to kill where this slot is stable.
        type: dict
        suboptions:
          projects:
            description: As in M(levibot.transition.kill_switch).
            type: list
            elements: str
            required: true
          live_projects:
            description:
              - As in M(levibot.transition.kill_switch). Not used where a canary was open, since the slot that serves is then the
                release before.
            type: dict
            default: {}
      green: *killed
extends_documentation_fragment:
  - levibot.transition.edge
  - levibot.transition.edge.healthy
  - levibot.transition.kill
  - levibot.transition.api
  - levibot.transition.api.spelling
  - levibot.transition.api.read_back
attributes:
  check_mode:
    description: Changes nothing, and says what would change.
    support: full
  diff_mode:
    description: Shows the split, and switch and engines of each instance, before and after.
    support: full
seealso:
  - module: levibot.transition.edge_split
  - module: levibot.transition.kill_switch
author:
  - levibot.transition contributors (@levibot)
"""

EXAMPLES = r"""
- name: Everybody back to stable, and no engine of the candidate left
  levibot.transition.safe_state:
    token: "{{ levibot_admin_token }}"
    reason: emergency rollback
    healthy:
      urls: {blue: "http://127.0.0.1:19111/health", green: "http://127.0.0.1:19112/health"}
    kill:
      blue: {projects: [levibot-green]}
      green: {projects: [levibot-blue]}
"""

RETURN = r"""
before:
  description: The split before, and all else that M(levibot.transition.edge_split) returns.
  returned: always
  type: dict
after:
  description: The split as read back. In check mode, as it would be.
  returned: always
  type: dict
stable:
  description: The stable slot afterwards, null where no lasting file says so.
  returned: always
  type: str
waits:
  description: Whether nothing was changed because the slot does not answer.
  returned: always
  type: bool
answered:
  description: What the slot that gets the traffic answered, in words.
  returned: always
  type: str
kill:
  description:
    - What M(levibot.transition.kill_switch) returns; C(failure) says in words what failed there, which does not fail this module. Null
      where nothing was to be killed yet.
  returned: always
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.edge import change
from ansible_collections.levibot.transition.plugins.module_utils.edge.files import DIRECTORIES
from ansible_collections.levibot.transition.plugins.module_utils.edge.split import SLOTS
from ansible_collections.levibot.transition.plugins.module_utils.levibot import switch

KILLED: dict[str, Any] = {
    "type": "dict",
    "options": {"projects": {"type": "list", "elements": "str", "required": True}, "live_projects": {"type": "dict", "default": {}}},
}
ARGUMENTS: dict[str, Any] = {
    **DIRECTORIES,
    **change.HEALTHY,
    "stable": {"type": "str", "choices": list(SLOTS)},
    "kill": {"type": "dict", "options": dict.fromkeys(SLOTS, KILLED)},
    **switch.THROWING,
}


def throw(params: dict[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """What came of the kill. That the traffic is back must be told whatever happens here."""
    try:
        result, failure = switch.operate(params, check_mode=check_mode)
    except Exception as problem:
        result, failure = (
            {"changed": True, "confirmed": False, "instances": [], "calls": [], "unanswered": []},
            f"unforeseen: {problem!r:.500}",
        )
    return {**result, "failure": failure}


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    result, failure = change.back(params, check_mode=module.check_mode)
    result["kill"] = None
    if failure:
        module.fail_json(msg=failure, **result)
    split = result["after"]
    killed = (params["kill"] or {}).get(split["stable"] or SLOTS[0])
    if killed and not result["waits"] and not split["stable_problem"]:
        live = {} if result["before"]["canary"] else killed["live_projects"]
        wanted = {"state": "thrown", "projects": killed["projects"], "live_projects": live, "unconfirmed": "end"}
        result["kill"] = throw({**params, **wanted}, check_mode=module.check_mode)
        result["changed"] = result["changed"] or result["kill"]["changed"]
        result["diff"] = [result["diff"], *filter(None, [result["kill"].pop("diff", None)])]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
