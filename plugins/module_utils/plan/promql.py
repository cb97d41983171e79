# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The PromQL of the check library: what Prometheus is to parse before a rollout, each with the variable's path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds import KINDS
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import query, selector
from ansible_collections.levibot.transition.plugins.module_utils.plan.library import read_library
from ansible_collections.levibot.transition.plugins.module_utils.plan.merge import Layered
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Problem, Report, text_keys
from ansible_collections.levibot.transition.plugins.module_utils.samples import ERROR, OK, Sample

# How sources say that it is the expression, and not the network.
_REFUSED = ("refuses the query", "series where one is expected", "and no number")


def questions(checks: Any, overrides: Any) -> list[dict[str, Any]]:
    """A threshold check for each expression of the sound checks, as sources take it; its id is the variable's path.

    Selectors are counted, so that each question has one number as its answer. Unsound checks are the validation's to report.
    """
    ignored = Report()
    names = ("levibot_checks", "levibot_checks_overrides")
    checks, overrides = (text_keys(name, value, ignored) for name, value in zip(names, (checks, overrides)))
    layered = Layered("levibot_checks", checks, overrides if isinstance(overrides, Mapping) else {})
    return [
        {"id": layered.path(name, key), "kind": "threshold", "source": "prometheus", "query": expression}
        for name, check in read_library(layered, ignored).items()
        for key, expression in _expressions(check)
    ]


def mistakes(asked: Iterable[Mapping[str, Any]], answers: Iterable[Mapping[str, Sample]]) -> list[Problem]:
    """The expressions that could not be asked, whichever slot they were asked about."""
    found: dict[str, Problem] = {}
    for question in asked:
        for samples in answers:
            sample = samples[question["id"]]
            if sample.status == ERROR:
                refused = any(words in sample.detail for words in _REFUSED)
                fix = "correct the expression" if refused else "see that Prometheus answers it in time"
                found.setdefault(question["id"], Problem(question["id"], sample.detail, fix))
    return list(found.values())


def empty(asked: Iterable[Mapping[str, Any]], answers: Iterable[Mapping[str, Sample]]) -> list[str]:
    """The paths of the expressions that find nothing in any slot now."""
    return [question["id"] for question in asked if not any(samples[question["id"]].status in (OK, ERROR) for samples in answers)]


def _expressions(check: Mapping[str, Any]) -> list[tuple[str, str]]:
    written = [(key, check.get(key), field.parse) for key, field in KINDS[check["kind"]].fields.items()]
    kept = [(key, value, parse) for key, value, parse in written if value and parse in (query, selector)]
    return [(key, value if parse is query else f"count({value})") for key, value, parse in kept]
