# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection's roles document: their options, and the facts that their tasks set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[2] / "roles"
_SET_FACT = ("ansible.builtin.set_fact", "set_fact")


def documented_variables(roles: Path = ROLES) -> set[str]:
    """The options of every entry point of every role, and the variables that the roles set themselves."""
    known: set[str] = set()
    for path in sorted(roles.glob("*/meta/argument_specs.yml")):
        specs = _load(path).get("argument_specs", {})
        for spec in specs.values():
            known.update(spec.get("options", {}))
    for path in sorted(roles.glob("*/tasks/**/*.yml")):
        for task in _mappings(_load(path)):
            known.update(name for action in _SET_FACT if isinstance(task.get(action), dict) for name in task[action])
            if isinstance(task.get("register"), str):
                known.add(task["register"])
    return known


def _load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader) or {}  # noqa: S506 - a safe loader, below


def _mappings(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _mappings(item)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # a tenth of the time, where there is libyaml
    """Only names matter here, so Ansible's own tags (!unsafe, !vault) are read as nothing."""


_Loader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)
