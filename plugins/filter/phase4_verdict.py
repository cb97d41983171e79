# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger import phase1, phase4
from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import timestamp
from ansible_collections.levibot.transition.plugins.plugin_utils.arguments import Records, entries_of, moment


def phase4_standing(entries: Records, version: str) -> dict[str, Any]:
    return phase4.standing(entries_of("phase4_standing", entries), version)


def phase4_checks(
    observed: Mapping[str, Any],
    edges: Mapping[str, Mapping[str, Any]],
    apps: Mapping[str, Mapping[str, Any]],
    period_seconds: float,
    now: float | None = None,
) -> list[dict[str, Any]]:
    return phase4.checks(observed, edges, apps, float(period_seconds), moment(now))


def phase4_verdict(
    entries: Records, items: Records, observed: Mapping[str, Any], wanted: Mapping[str, str], now: float | None = None
) -> dict[str, Any]:
    entries, at = entries_of("phase4_verdict", entries), timestamp(moment(now))
    version = wanted["version"]
    data = phase4.verdict(entries, items, observed, version=version, plan_digest=wanted["plan_digest"])
    before = phase4.last(entries, version)
    news = phase4.is_news(before, data)
    return {
        "data": data,
        "at": at if news else before["at"],
        "failed": [item for item in items if not item["passed"]],
        "entries": [{"kind": "verdict", "at": at, "data": data}] if news else [],
        "message": phase1.message(version, items, data["verdict"]),
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {each.__name__: each for each in (phase4_standing, phase4_checks, phase4_verdict)}
