#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the state of one edge host, and what is wrong with it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: edge_info
short_description: Tell the state of an edge and what is wrong with it
description:
  - Reads the split, asks for Caddy's version, adapts the Caddyfile, asks the running Caddy (the split, both slots' listeners, the
    metrics, and its admin API where that is on), and looks whether anybody removes expired canaries.
  - A problem is reported and never fails the module, so that a caller gets all of them at once.
version_added: 0.1.0
author: levibot.transition contributors (@levibot)
options:
  caddy_binary:
    description: Caddy, as found through PATH, or its path. Empty where it is in a container; it is then only asked from outside.
    type: str
    default: caddy
  caddyfile:
    description: The site's Caddyfile.
    type: path
    default: /etc/caddy/Caddyfile
  snippet_dir:
    description: Where the snippets are, for the advice.
    type: path
    default: /etc/caddy/levibot
  slots:
    description: For each slot a URL of its own listener.
    type: dict
    required: true
  site_url:
    description: A URL behind the split.
    type: str
    required: true
  metrics_url:
    description: Caddy's metrics.
    type: str
    required: true
  admin_url:
    description: Caddy's admin API. Empty where it is off.
    type: str
    default: ""
  host:
    description: The site's name, where the URL has an address instead.
    type: str
    default: ""
  validate_certs:
    description: Whether the site's certificate has to be good.
    type: bool
    default: true
  sticky:
    description: Whether the split goes by cookie.
    type: bool
    default: true
  expiry_mechanism:
    description: Who removes expired canaries.
    type: str
    choices: [auto, systemd, cron, loop, external]
    default: auto
  heartbeat_max_age_seconds:
    description: How long ago the last look for an expired canary may be.
    type: float
    default: 15
  timeout_seconds:
    description: How long one question may take.
    type: float
    default: 3
extends_documentation_fragment:
  - levibot.transition.edge
attributes:
  check_mode:
    description: Changes nothing, and so does the same in check mode.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
seealso:
  - module: levibot.transition.edge_split
"""

EXAMPLES = r"""
- name: Look at the edge
  levibot.transition.edge_info:
    slots:
      blue: http://127.0.0.1:19111/.levibot/slot
      green: http://127.0.0.1:19112/.levibot/slot
    site_url: http://127.0.0.1:19080/.levibot/slot
    metrics_url: http://127.0.0.1:19180/metrics
  register: edge_info
"""

RETURN = r"""
problems:
  description: What is wrong, each with the variable's path, what was found and what to do.
  returned: always
  type: list
  elements: dict
  sample:
    - path: edge_caddy_binary
      found: Caddy 2.6.2, which the split is not tested with
      fix: install Caddy >=2.10,<2.12
stable:
  description: The stable slot, null where no readable lasting file says so.
  returned: always
  type: str
candidate:
  description: The slot that is not stable.
  returned: always
  type: str
weight:
  description: The candidate's percentage.
  returned: always
  type: float
canary:
  description: Whether a canary is open, that is, whether there is a canary file that counts and whose time is not up.
  returned: always
  type: bool
expires_at:
  description: When the canary file is removed.
  returned: always
  type: str
expires_epoch:
  description: The same as seconds since 1970.
  returned: always
  type: int
expired:
  description: Whether that has passed already.
  returned: always
  type: bool
text:
  description: The split in one line.
  returned: always
  type: str
caddy_version:
  description: Caddy's version, null where it does not run.
  returned: always
  type: str
caddyfile_adapts:
  description: Whether Caddy can read the Caddyfile.
  returned: always
  type: bool
split_answers:
  description: Whether each slot's own listener answers as that slot.
  returned: always
  type: dict
expired_notes:
  description: The canaries that this edge took away by itself, oldest first.
  returned: always
  type: list
  elements: dict
"""

import time
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.edge.files import DIRECTORIES
from ansible_collections.levibot.transition.plugins.module_utils.edge.inspect import Edge, inspect
from ansible_collections.levibot.transition.plugins.module_utils.edge.split import Split

ARGUMENTS: dict[str, Any] = {
    **DIRECTORIES,
    "caddy_binary": {"type": "str", "default": "caddy"},
    "caddyfile": {"type": "path", "default": "/etc/caddy/Caddyfile"},
    "snippet_dir": {"type": "path", "default": "/etc/caddy/levibot"},
    "slots": {"type": "dict", "required": True},
    "site_url": {"type": "str", "required": True},
    "metrics_url": {"type": "str", "required": True},
    "admin_url": {"type": "str", "default": ""},
    "host": {"type": "str", "default": ""},
    "validate_certs": {"type": "bool", "default": True},
    "sticky": {"type": "bool", "default": True},
    "expiry_mechanism": {"type": "str", "choices": ["auto", "systemd", "cron", "loop", "external"], "default": "auto"},
    "heartbeat_max_age_seconds": {"type": "float", "default": 15},
    "timeout_seconds": {"type": "float", "default": 3},
}


def split_facts(split: Split, now: float) -> dict[str, Any]:
    """The split, where a canary that the edge is about to remove is no open one."""
    return {**split.to_dict(now), "canary": split.canary is not None and not split.expired(now)}


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    report = inspect(Edge(**module.params))
    module.exit_json(
        changed=False,
        problems=[asdict(problem) for problem in report.problems],
        caddy_version=report.caddy_version,
        caddyfile_adapts=report.caddyfile_adapts,
        split_answers=report.split_answers,
        expired_notes=report.expired_notes,
        **split_facts(report.split, time.time()),
    )


if __name__ == "__main__":
    main()
