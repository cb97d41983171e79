#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads LeviBot's audit logs where they lie, and returns what somebody has changed, or has tried to."""

from __future__ import annotations

DOCUMENTATION = r"""
module: audit_info
short_description: Read the audit logs of a host's slots
version_added: 0.5.0
description:
  - Reads all files of each audit log, rotated and packed ones too, in either form that is met, and returns the actions of a period, with
    what tells whether the log is whole.
  - An action is an event, a request that is not C(GET), C(HEAD) or C(OPTIONS), or an attempt that was not let in.
  - Changes nothing. What cannot be read is told in C(problems), and is no failure; a log of which there is no file has no lines.
options:
  logs:
    description: For each log, such as a slot, the patterns of the shell that find its files.
    type: dict
    required: true
  since:
    description: When the period begins, in seconds since the epoch.
    type: float
    required: true
  until:
    description: When it ends. The present unless given.
    type: float
  ignore:
    description: Events and paths that are nobody's admin action. They are counted in C(ignored), and not returned.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Changes nothing, and so does the same in check mode.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author:
  - levibot.transition contributors (@levibot)
"""

EXAMPLES = r"""
- name: Read who has done what since the rollout began
  levibot.transition.audit_info:
    logs: {green: ["/var/lib/levibot/slots/green/data/audit.jsonl*"]}
    since: 1764450000.0
  register: audit
"""

RETURN = r"""
logs:
  description:
    - Each log with its C(files), how many C(lines) it has in all, how many are no entries (C(unreadable), with C(examples)), whether it was
      C(rotated), of which C(days) there is a file by the dates in their names, whether one is C(undated), the times
      of the first and the last line (C(first_at), C(last_at)), the longest time without a line in the period
      (C(silence)), the C(actions) of the period, how many were C(ignored), and C(problems).
    - An action has C(at), C(event), C(method), C(path), C(query), C(symbol), C(status), C(by), C(refused) and C(file).
  returned: always
  type: dict
  sample:
    green:
      files: [/var/lib/levibot/slots/green/data/audit.jsonl]
      lines: 12
      unreadable: 0
      examples: []
      rotated: false
      days: []
      undated: true
      first_at: 1764450000.123
      last_at: 1764456789.5
      silence: [1764450010, 1764456789]
      actions:
        - at: 1764450000.123
          event: engine_start
          method: POST
          path: /engines/start
          query: ""
          symbol: BTC/USDT
          status: null
          by: 10.0.0.7
          refused: false
          file: /var/lib/levibot/slots/green/data/audit.jsonl
      ignored: 0
      problems: []
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.evidence.audit_log import read_log

ARGUMENTS: dict[str, Any] = {
    "logs": {"type": "dict", "required": True},
    "since": {"type": "float", "required": True},
    "until": {"type": "float"},
    "ignore": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    wrong = [name for name, patterns in params["logs"].items() if not isinstance(patterns, list) or not all(map(_is_absolute, patterns))]
    if wrong:
        module.fail_json(msg=f"logs.{wrong[0]}: write a list of absolute patterns, such as [/var/lib/levibot/slots/blue/data/audit.jsonl*]")
    since, until = params["since"], params["until"] or time.time()
    found = {str(name): read_log(patterns, since, until, params["ignore"]).to_dict() for name, patterns in params["logs"].items()}
    module.exit_json(changed=False, logs=found)


def _is_absolute(pattern: Any) -> bool:
    return isinstance(pattern, str) and pattern.startswith("/")


if __name__ == "__main__":
    main()
