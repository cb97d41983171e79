# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger import phase3
from ansible_collections.levibot.transition.plugins.module_utils.ledger import phase3_end as phase3_ending
from ansible_collections.levibot.transition.plugins.plugin_utils.arguments import Records, entries_of, moment


def phase3_approval(entries: Records, given: Mapping[str, Any], wanted: Mapping[str, Any], now: float | None = None) -> dict[str, Any]:
    return phase3.approval(entries_of("phase3_approval", entries), given, _wanted(wanted), moment(now))


def phase3_approvals(entries: Records, wanted: Mapping[str, Any], now: float | None = None) -> dict[str, Any]:
    counting, others = phase3.approvals(entries_of("phase3_approvals", entries), _wanted(wanted), moment(now))
    return {"counting": counting, "others": others}


def phase3_standing(entries: Records, wanted: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    record = entries_of("phase3_standing", seen["record"])
    fleet = phase3.Fleet.of(seen["edges"], seen["apps"])
    answer = phase3.decide(record, entries_of("phase3_standing", entries), _wanted(wanted), fleet, seen.get("notes") or ())
    return {**answer, "slot": answer["slot"] or fleet.slot}


def phase3_problems(entries: Records, wanted: Mapping[str, Any], seen: Mapping[str, Any], now: float | None = None) -> list[dict[str, str]]:
    return phase3.problems(
        _wanted(wanted),
        phase3.Fleet.of(seen["edges"], seen["apps"]),
        entries_of("phase3_problems", entries),
        books=seen.get("books") or {},
        survey=seen.get("survey") or {},
        chain=seen.get("chain") or {},
        now=moment(now),
    )


def phase3_against_rollout(apps: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    return phase3.rollout_problems(apps)


def phase3_drill(entries: Records, version: str, now: float | None = None) -> dict[str, Any]:
    return phase3.drilled(entries_of("phase3_drill", entries), version, moment(now))


def phase3_rollout(entries: Records, version: str) -> dict[str, Any]:
    return phase3.promoted(entries_of("phase3_rollout", entries), version)


def phase3_response(entries: Records, failure: Mapping[str, Any]) -> dict[str, Any]:
    record = entries_of("phase3_response", entries)
    fleet = phase3.Fleet.of(failure.get("edges") or {}, failure["apps"]) if failure.get("apps") else None
    return phase3_ending.response(record, str(failure.get("cause") or ""), failure.get("gate"), fleet)


def phase3_end(entries: Records, done: Mapping[str, Any]) -> dict[str, Any]:
    record = entries_of("phase3_end", entries)
    what = phase3_ending.Ended(done["end"], str(done["why"]), done.get("kill") or {}, done.get("ended") or {}, done.get("books") or {})
    return phase3_ending.tell(record, what, phase3.Fleet.of(done["edges"], done["apps"]))


def _wanted(given: Mapping[str, Any]) -> phase3.Wanted:
    return phase3.Wanted(str(given["version"]), given["phase"], str(given["plan_digest"]), str(given.get("host") or ""))


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            each.__name__: each
            for each in (
                phase3_approval,
                phase3_approvals,
                phase3_standing,
                phase3_problems,
                phase3_against_rollout,
                phase3_drill,
                phase3_rollout,
                phase3_response,
                phase3_end,
            )
        }
