# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say where the sources are: shared by the action ``gate`` and the module ``measure``."""

from __future__ import annotations

from typing import Any

_SERVER: dict[str, Any] = {
    "token": {"type": "str", "no_log": True},
    "ca_file": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
}

SOURCES: dict[str, Any] = {
    "type": "dict",
    "required": True,
    "options": {
        "prometheus": {"type": "dict", "options": {"url": {"type": "str", "required": True}, **_SERVER}},
        "alertmanager": {"type": "dict", "options": {"url": {"type": "str", "required": True}, **_SERVER}},
        "api": {"type": "dict", "options": {"urls": {"type": "dict", "required": True}, **_SERVER}},
        "timeout_seconds": {"type": "float", "default": 10.0},
    },
}

SUBJECT: dict[str, Any] = {
    "type": "dict",
    "required": True,
    "options": {"slot": {"type": "str", "required": True}, "stable": {"type": "str", "required": True}},
}
