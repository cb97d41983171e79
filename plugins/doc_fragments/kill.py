# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of plugins/module_utils/levibot/switch.py, documented once."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  service:
    description: The service whose containers are the instances.
    type: str
    default: api
  port:
    description: The port inside the container.
    type: int
    default: 8000
  published:
    description:
      - Where each project's API is published on this host, by project. A switch is thrown there where the Engine does not answer, so that
        it is not the reason why nobody was told. That is never reported as done, since one process of one instance hears it and no
        container can be ended.
    type: dict
    default: {}
  reason:
    description: Why. Goes to the instance, and into its audit log. Required for a release.
    type: str
  timeout_seconds:
    description: How long an instance has to confirm.
    type: float
    default: 5
  call_timeout_seconds:
    description: How long one call may take.
    type: float
    default: 1
"""
