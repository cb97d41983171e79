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
        "api": {
            "type": "dict",
            "options": {
                "urls": {"type": "dict", "required": True},
                "headers": {"type": "dict", "default": {}, "no_log": True},
                "forms": {"type": "dict", "default": {}},
                "prefix": {"type": "str"},
                **_SERVER,
            },
        },
        "trading": {
            "type": "dict",
            "options": {
                "baseline": {"type": "dict", "required": True},
                "live": {"type": "dict", "required": True},
                "step": {"type": "list", "elements": "str", "required": True},
                "sides": {"type": "list", "elements": "str", "choices": ["long", "short"], "required": True},
                "limits": {"type": "dict", "required": True},
                "fee_ratio": {"type": "str", "default": "0.001"},
                "other_urls": {"type": "dict", "default": {}},
                "timeout_seconds": {"type": "float", "default": 20.0},
            },
        },
        "timeout_seconds": {"type": "float", "default": 10.0},
    },
}

SUBJECT: dict[str, Any] = {
    "type": "dict",
    "required": True,
    "options": {"slot": {"type": "str", "required": True}, "stable": {"type": "str", "required": True}},
}
