# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from jinja2 import Environment, StrictUndefined, TemplateError

from ansible_collections.levibot.transition.plugins.plugin_utils.pages import seen

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]<>|#~&])")


def markdown_page(template: Any, variables: Mapping[str, Any]) -> str:
    environment = Environment(  # noqa: S701  Markdown has escapes of its own, see finalize
        finalize=escape, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    try:
        return environment.from_string(template).render(variables)
    except TemplateError as exc:
        raise AnsibleFilterError(f"markdown_page: {exc}") from exc


def escape(value: Any) -> Any:
    """A text on one line in which nothing is markup."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(seen(str(value)).split())) if isinstance(value, str) else value


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"markdown_page": markdown_page}
