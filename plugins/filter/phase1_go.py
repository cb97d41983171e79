# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger import phase1
from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import timestamp
from ansible_collections.levibot.transition.plugins.plugin_utils.arguments import Records, entries_of, moment


def phase1_release(entries: Records) -> dict[str, Any]:
    return phase1.release_record(entries_of("phase1_release", entries))


def phase1_subject(entries: Records, version: str, stable_version: str = "", idle_version: str = "") -> dict[str, Any]:
    record = phase1.release_record(entries_of("phase1_subject", entries))
    return {
        "version": version,
        "revision": str(record.get("revision") or ""),
        "images": phase1.digests(record),
        "image_ids": {name: str(image.get("id") or "") for name, image in (record.get("images") or {}).items()},
        "stable_version": stable_version,
        "idle_version": idle_version,
    }


def phase1_notice(entries: Records) -> dict[str, Any]:
    return phase1.notice(entries_of("phase1_notice", entries))


def phase1_override(entries: Records, version: str) -> dict[str, Any] | None:
    return phase1.last_override(entries_of("phase1_override", entries), version)


def phase1_approvals(entries: Records, now: float | None = None) -> dict[str, list[dict[str, Any]]]:
    return phase1.approvals(entries_of("phase1_approvals", entries), moment(now))


def phase1_approval(
    entries: Records, wanted: Mapping[str, Any], version: str, phase: Mapping[str, Any], now: float | None = None
) -> dict[str, Any]:
    entries, now = entries_of("phase1_approval", entries), moment(now)
    # Others have evidence of their own, which an attestation changes nothing about.
    items = [item["id"] for item in phase["items"] if any(one["kind"] == "attestation" for one in item["evidence"])]
    problems = phase1.mistakes(wanted, version=version, approvers=phase["approvers"], items=items, now=now)
    if problems:
        return {"problems": problems, "entries": []}
    data = phase1.approval(wanted, version)
    return {"problems": [], "entries": [] if phase1.is_said(entries, data, now) else [{"kind": "approval", "data": data}]}


def phase1_go(
    entries: Records, version: str, phase: Mapping[str, Any], plan_digest: str | None = None, now: float | None = None
) -> dict[str, Any]:
    return phase1.standing_go(
        entries_of("phase1_go", entries),
        version,
        moment(now),
        float(phase["go_max_age_seconds"]),
        plan_digest=plan_digest,
        needed=phase["approvals"] if _asks_for_approval(phase) else 0,
    )


def phase1_verdict(entries: Records, items: Records, version: str, phase: Mapping[str, Any], plan_digest: str) -> dict[str, Any]:
    entries, now = entries_of("phase1_verdict", entries), time.time()
    failed = [item for item in items if not item["passed"]]
    data = {
        "action": "go",
        "verdict": phase1.NO_GO if failed or not items else phase1.GO,
        "version": version,
        "plan_digest": plan_digest,
        "images": phase1.digests(phase1.release_record(entries)),
        "items": phase1.shortened(items),
        "overridden": None,
    }
    news = phase1.is_news(entries, data, now, float(phase["go_max_age_seconds"]))
    at = timestamp(now) if news else next(entry["at"] for entry in reversed(entries) if entry["kind"] == "verdict")
    return {
        "data": data,
        "at": at,
        "failed": failed,
        "entries": [{"kind": "verdict", "at": at, "data": data}] if news else [],
        "message": phase1.message(version, items),
    }


def _asks_for_approval(phase: Mapping[str, Any]) -> bool:
    """A site may have taken the item out of its plan."""
    return any(one.get("kind") == "approval" for item in phase["items"] for one in item["evidence"])


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            each.__name__: each
            for each in (
                phase1_release,
                phase1_subject,
                phase1_notice,
                phase1_override,
                phase1_approvals,
                phase1_approval,
                phase1_go,
                phase1_verdict,
            )
        }
