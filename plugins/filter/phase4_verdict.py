# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.module_utils.ledger import phase1, phase4
from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import timestamp

Records = Sequence[Mapping[str, Any]]


def phase4_standing(entries: Records, version: str) -> dict[str, Any]:
    return phase4.standing(_entries("phase4_standing", entries), version)


def phase4_checks(
    observed: Mapping[str, Any],
    edges: Mapping[str, Mapping[str, Any]],
    apps: Mapping[str, Mapping[str, Any]],
    period_seconds: float,
    now: float | None = None,
) -> list[dict[str, Any]]:
    return phase4.checks(observed, edges, apps, float(period_seconds), time.time() if now is None else float(now))


def phase4_verdict(
    entries: Records, items: Records, observed: Mapping[str, Any], wanted: Mapping[str, str], now: float | None = None
) -> dict[str, Any]:
    entries, at = _entries("phase4_verdict", entries), timestamp(time.time() if now is None else float(now))
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


def _entries(name: str, entries: Any) -> list[Mapping[str, Any]]:
    if not isinstance(entries, list):
        raise AnsibleFilterError(f"{name}: expected entries of the ledger, found {type(entries).__name__}")
    return entries


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {each.__name__: each for each in (phase4_standing, phase4_checks, phase4_verdict)}
