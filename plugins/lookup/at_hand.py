# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: at_hand
short_description: Tell whether variables can be had without looking anything up
version_added: 0.6.0
author: levibot.transition contributors (@levibot)
description:
  - True where each variable is a plain value, or nothing but the name of another one that is, over a few steps. A value from an encrypted
    file is plain. A lookup, and any other expression, is not, since it may wait for somebody. None of them is evaluated.
  - A variable that is not there counts as plain.
notes:
  - A lookup and no filter, since the first filter of a collection makes Ansible load all of them, for which a rollback has no time.
options:
  _terms:
    description: The names of the variables.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Say that the token has to be looked up
  ansible.builtin.debug:
    msg: What needs it waits for the lookup.
  when: not lookup('levibot.transition.at_hand', 'levibot_admin_token')
"""

RETURN = r"""
_raw:
  description: Whether all of them are, as the only element.
  type: list
  elements: bool
"""

from typing import Any

from ansible.plugins.lookup import LookupBase

from ansible_collections.levibot.transition.plugins.plugin_utils.variables import at_hand


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **_options: Any) -> list[bool]:
        return [at_hand(variables or {}, terms)]
