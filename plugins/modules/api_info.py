#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: api_info
short_description: Tell whether a LeviBot API has the calls that the phases need
version_added: 0.4.0
author:
  - levibot.transition contributors (@levibot)
description:
  - Reads C(/openapi.json) once and matches every call that the phases need to the first known form that the server offers. Where it is
    closed, the plan's forms are taken for granted, see RV(documented).
  - Finds out whether the admin token is accepted, by what the server says to it and to one that is wrong. It asks reading calls first,
    then the stop of an engine with a name that no engine has, so that nothing is changed.
  - What is missing is no failure of the module, so that a preflight can put the mistakes of all hosts into one message.
options:
  url:
    description: Where the API answers.
    type: str
    required: true
  token:
    description: The admin token.
    type: str
    required: true
  paths:
    description: Paths that the plan's checks read.
    type: list
    elements: str
    default: []
  timeout_seconds:
    description: How long one call may take.
    type: float
    default: 5
extends_documentation_fragment:
  - levibot.transition.api
  - levibot.transition.api.spelling
attributes:
  check_mode:
    description: Changes nothing, and so does the same in check mode.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
seealso:
  - module: levibot.transition.kill_switch
"""

EXAMPLES = r"""
- name: Look at the API of the release that serves
  levibot.transition.api_info:
    url: http://127.0.0.1:18001
    token: "{{ levibot_admin_token }}"
    paths: [/paper/portfolio]
  register: api
"""

RETURN = r"""
documented:
  description: Whether the server has told what it offers.
  returned: always
  type: bool
forms:
  description: The form of each call that serves.
  returned: always
  type: dict
  sample: {kill: "POST /live/kill?on=true&reason=$reason"}
missing:
  description: A sentence for each call that no form satisfies.
  returned: always
  type: list
  elements: str
  sample: ["phase 3 needs start_live, such as POST /engines/start with a body of symbol, mode, capital: POST /engines/start takes symbol"]
token:
  description: Whether the token was accepted. Null where nothing that is safe to ask wants one.
  returned: always
  type: bool
how:
  description: What was asked to find that out.
  returned: always
  type: str
problem:
  description: Why nothing could be asked; empty where the server answers.
  returned: always
  type: str
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.http import Client
from ansible_collections.levibot.transition.plugins.module_utils.levibot import forms, options
from ansible_collections.levibot.transition.plugins.module_utils.levibot.survey import survey

WRONG = "not-the-admin-token"


def client(params: dict[str, Any], *, right: bool) -> Client:
    """A header may be a credential, too: with a wrong one the others stay out."""
    headers = options.texts(params["headers"]) if right else {}
    return Client(timeout=params["timeout_seconds"], retries=1, token=params["token"] if right else WRONG, headers=headers)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            **options.CREDENTIALS,
            **options.SPELLING,
            "token": {"type": "str", "required": True, "no_log": True},
            "paths": {"type": "list", "elements": "str", "default": []},
            "timeout_seconds": {"type": "float", "default": 5},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        overrides = options.overrides(params)
    except forms.FormError as exc:
        module.fail_json(msg=f"levibot_api_forms.{exc}")
    clients = (client(params, right=True), client(params, right=False))
    module.exit_json(changed=False, **asdict(survey(params["url"], params["paths"], clients, overrides, params["prefix"])))


if __name__ == "__main__":
    main()
