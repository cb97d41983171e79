# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that modules which call LeviBot's API share, and what is made of them. Documented in doc_fragments/api.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.http import Client
from ansible_collections.levibot.transition.plugins.module_utils.levibot import forms
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import Api

CREDENTIALS: dict[str, Any] = {
    "token": {"type": "str", "no_log": True},
    "headers": {"type": "dict", "default": {}, "no_log": True},
}
SPELLING: dict[str, Any] = {
    "forms": {"type": "dict", "default": {}},
    "prefix": {"type": "str"},
}
TLS: dict[str, Any] = {
    "validate_certs": {"type": "bool", "default": True},
    "ca_file": {"type": "path"},
}
READ_BACK: dict[str, Any] = {
    "confirm_reads": {"type": "int", "default": 8},
    "quiet_seconds": {"type": "float", "default": 0.3},
}


def overrides(params: Mapping[str, Any]) -> dict[str, forms.Form]:
    """The site's own forms. Raises FormError."""
    return {call: forms.own(call, given) for call, given in params["forms"].items()}


def texts(headers: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in headers.items()}


def client(params: Mapping[str, Any], *, retries: int = 1) -> Client:
    """retries: of what only reads, and never of a POST."""
    return Client(
        timeout=params["call_timeout_seconds"],
        retries=retries,
        token=params["token"],
        headers=texts(params["headers"]),
        ca_file=params["ca_file"],
        verify=params["validate_certs"],
    )


def api(params: Mapping[str, Any], url: str, deadline: float | None = None) -> Api:
    """One server, as a module's options say. Raises FormError."""
    return Api(url, client(params), overrides=overrides(params), prefix=params["prefix"], deadline=deadline)
