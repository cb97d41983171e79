# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of plugins/module_utils/edge/files.py and change.py, documented once."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  run_dir:
    description: The directory of the canary file. It does not survive a reboot, on purpose.
    type: path
    default: /run/levibot
  lib_dir:
    description: The directory of the lasting file.
    type: path
    default: /var/lib/levibot/edge
"""

    HEALTHY = r"""
options:
  healthy:
    description:
      - Moves traffic back or to another stable slot only where the slot that would get it answers. One that does not is no failure;
        RV(waits) says so, and nothing is changed.
      - An edge whose Caddy does not run serves nobody, and is changed in any case.
    type: dict
    suboptions:
      urls:
        description: Where each slot answers on this edge, behind its own listener. Any answer with a status below 500 will do.
        type: dict
        required: true
      within_seconds:
        description: How long to ask until it answers. V(0) asks once.
        type: float
        default: 0
      timeout_seconds:
        description: How long one request may take.
        type: float
        default: 1
"""
