# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from jinja2 import Environment, StrictUndefined, TemplateError

from ansible_collections.levibot.transition.plugins.plugin_utils.pages import seen


def html_page(template: Any, variables: Mapping[str, Any]) -> str:
    # Ansible's own templating has no autoescape, and ignores the block of that name.
    environment = Environment(
        autoescape=True, finalize=seen, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    try:
        return str(environment.from_string(template).render(variables))
    except TemplateError as exc:
        raise AnsibleFilterError(f"html_page: {exc}") from exc


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"html_page": html_page}
