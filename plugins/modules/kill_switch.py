#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Throws, releases or reads the kill switch of every API instance of a slot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kill_switch
short_description: Throw the kill switch on every API instance of a slot, and see that it holds
version_added: 0.3.0
description:
  - Finds every container of the service in the Compose projects through the Docker Engine's socket, and addresses each by its own
    address, all at the same time.
  - V(thrown) throws the switch in the form that the instance takes, stops all engines, and reads both back on new connections until
    O(confirm_reads) readings in a row agree over O(quiet_seconds). The state may be per process, so each process that serves has to have
    been among those readings where this host can tell them apart. No order may have followed, where the instance has a book to read.
  - An instance that does not confirm within O(timeout_seconds) is paused, and then ended, as its engine verifies. What was answered with
    200 and not read back is never reported as confirmed.
  - V(released) is a separate act with a O(reason) and a name, O(who). It starts no engine.
  - An instance that is as it should be already is left alone.
options:
  state:
    description:
      - V(thrown) as above. V(released) takes the switch back, and fails where the readings do not agree on that.
      - V(read) only reads.
    type: str
    choices: [thrown, released, read]
    default: thrown
  projects:
    description: The Compose projects, which are the slots.
    type: list
    elements: str
    required: true
  live_projects:
    description:
      - More Compose projects, with O(state=thrown) only. Their instances are killed where a live engine runs, and left alone where all
        trade on paper. By project the path of a file on this host that is there while its engines may be live. Where the file is there
        all are killed, since a start may be on its way that no reading shows; without it those that cannot be read count as not live.
    type: dict
    default: {}
  who:
    description: The name of the person who releases the switch. Required with O(state=released).
    type: str
  unconfirmed:
    description:
      - What becomes of an instance that does not confirm. V(end) pauses and then ends its container, so that it cannot come alive
        again; V(pause) leaves it paused, for who wants to look into it.
      - V(leave) touches no container, and the module fails. For a rehearsal on a slot that serves, where nothing is live.
    type: str
    choices: [end, pause, leave]
    default: end
extends_documentation_fragment:
  - levibot.transition.kill
  - levibot.transition.api
  - levibot.transition.api.spelling
  - levibot.transition.api.read_back
attributes:
  check_mode:
    description: Only reads then, and says what would be done.
    support: full
  diff_mode:
    description: Shows switch and engines of each instance before and after.
    support: full
notes:
  - The engine is the one that C(DOCKER_HOST) names, by C(unix://) or C(tcp://).
author:
  - levibot.transition contributors (@levibot)
"""

EXAMPLES = r"""
- name: Kill the candidate
  levibot.transition.kill_switch:
    projects: [levibot-green]
    token: "{{ levibot_admin_token }}"
    reason: emergency rollback

- name: Release it again
  levibot.transition.kill_switch:
    state: released
    projects: [levibot-green]
    token: "{{ levibot_admin_token }}"
    reason: the wrong PnL was a wrong dashboard
    who: Maria Weber
"""

RETURN = r"""
confirmed:
  description:
    - Whether each instance is as it was asked for, or cannot act. With O(state=thrown) those that are confirmed, paused, stopped or not
      running.
    - False in check mode where something would be done.
  returned: always
  type: bool
instances:
  description: Each instance.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The container's name.
      type: str
    project:
      description: Its Compose project.
      type: str
    outcome:
      description:
        - V(confirmed), V(paused), V(stopped), V(not_running) or V(failed) with O(state=thrown); V(left) is one of O(live_projects) that
          trades on paper.
        - V(released), V(not_running) or V(failed) with O(state=released); V(read), V(not_running) or V(failed) with O(state=read).
        - V(planned) in check mode where something would be done.
      type: str
    detail:
      description: Why, in words; what the switch and the engines were like where nothing is to be explained.
      type: str
    changed:
      description: Whether anything had to be done.
      type: bool
    killed:
      description: Whether the switch was on before. Null where it could not be read.
      type: bool
    running:
      description: The engines that ran before. Null where they could not be read.
      type: list
      elements: str
    processes:
      description: How many processes serve the instance. Null where this host cannot tell.
      type: int
    timeline:
      description: What happened, and when, in seconds since the module began.
      type: list
      elements: dict
  sample:
    - name: levibot-green-api-1
      project: levibot-green
      outcome: confirmed
      detail: read back as wanted
      changed: true
      killed: false
      running: [BTC/USDT, ETH/USDT]
      processes: 2
      timeline:
        - {at_seconds: 0.021, event: "switch off, engines running BTC/USDT, ETH/USDT"}
        - {at_seconds: 0.034, event: "kill: POST /live/kill?on=true&reason=$reason; stop_engines: POST /engines/stop_all"}
        - {at_seconds: 0.361, event: read back as wanted}
calls:
  description:
    - Every request that was to change something and was answered, as it has to be in LeviBot's audit log, without its reason; with the
      C(instance) that it went to.
  returned: always
  type: list
  elements: dict
  sample:
    - at: 1764450000.123
      method: POST
      path: /live/kill
      query: {"on": "true"}
      status: 200
      call: kill
      symbol: ""
      instance: levibot-green-api-1
unanswered:
  description: The same of those that got no answer, which may be in that log.
  returned: always
  type: list
  elements: dict
  sample: []
seconds:
  description: How long all of it took.
  returned: always
  type: float
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.levibot import switch

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["thrown", "released", "read"], "default": "thrown"},
    "projects": {"type": "list", "elements": "str", "required": True},
    "live_projects": {"type": "dict", "default": {}},
    "who": {"type": "str"},
    "unconfirmed": {"type": "str", "choices": ["end", "pause", "leave"], "default": "end"},
    **switch.THROWING,
}


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=[("state", "released", ("reason", "who"))], supports_check_mode=True)
    params = module.params
    if params["state"] == "released" and not (params["reason"].strip() and params["who"].strip()):
        module.fail_json(msg="A release needs a reason and a name: set reason and who. Nothing was released.")
    result, failure = switch.operate(params, check_mode=module.check_mode)
    if failure:
        module.fail_json(msg=failure, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
