# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check library: each check's keys read by its kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds import KINDS
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import ENFORCE, OBSERVE
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import one_of
from ansible_collections.levibot.transition.plugins.module_utils.plan.merge import Layered
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report, did_you_mean, show

COMMON = ("kind", "source", "mode")
MODES = (ENFORCE, OBSERVE)


def read_library(checks: Layered, report: Report) -> dict[str, dict[str, Any]]:
    """All checks that can be used, by id, with defaults filled in. A check with a mistake is left out, and reported."""
    library = {}
    for name, keys in report.mapping(checks.path(), checks.value).items():
        if not re.fullmatch(r"[a-z][a-z0-9_]*", str(name)):
            report.add(checks.path(name), name, "name a check with lower-case letters, digits and _")
            continue
        found = len(report.problems)
        check = _read_check(checks, name, report.mapping(checks.path(name), keys), report)
        if len(report.problems) == found:
            library[name] = check
    return library


def _read_check(checks: Layered, name: str, keys: Mapping[str, Any], report: Report) -> dict[str, Any]:
    written = keys.get("kind")
    kind = KINDS.get(written) if isinstance(written, str) else None
    if kind is None:
        report.add(checks.path(name, "kind"), written, did_you_mean(written if isinstance(written, str) else show(written), KINDS))
        return {}
    source = keys.get("source", kind.sources[0])
    if source not in kind.sources:
        report.add(checks.path(name, "source"), source, f"a check of kind {keys['kind']} asks {' or '.join(kind.sources)}")
    mode = report.read(checks.path(name, "mode"), keys.get("mode", ENFORCE), one_of(*MODES))
    report.unknown(lambda key: checks.path(name, key), keys, (*COMMON, *kind.fields))
    given = {}
    for key, field in kind.fields.items():
        if keys.get(key) is not None:
            given[key] = report.read(checks.path(name, key), keys[key], field.parse)
        elif field.required:
            report.add(checks.path(name, key), None, f"write it: a check of kind {keys['kind']} needs {key}")
    for key, fix in kind.mistakes({**given, "source": source}):
        report.add(checks.path(name, key), keys.get(key), fix)
    defaults = {key: field.default for key, field in kind.fields.items() if not field.required and field.default is not None}
    return {"id": name, "kind": keys["kind"], "source": source, "mode": mode, **defaults, **given}
