# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report on a verdict, Phase 1's or Phase 4's, as data that a template prints: nothing in it depends on when it is printed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.moments import MomentError, iso, parse_moment
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import format_duration

GO, NO_GO = GOES = ("GO", "NO-GO")
VALIDATED = "VALIDATED"
NEEDED = ("verdict", "version", "at", "plan_digest", "images", "items")
EVIDENCE = ("kind", "source", "found", "wanted", "problem", "fix")
APPROVAL = ("who", "reason", "at", "until", "why_not")
# What a report is about. Ages are not: a report that differs in them alone says the same.
SUBSTANCE = ("verdict", "version", "revision", "at", "plan_digest", "images", "overridden", "approvers", "approvals", "slos")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class PageError(ValueError):
    """What was given is no verdict; the message says what is missing."""


def page(go: Any) -> dict[str, Any]:
    """Raises PageError for what is no verdict. Texts stay raw: to escape them is the template's."""
    if not isinstance(go, Mapping) or [key for key in NEEDED if go.get(key) is None]:
        missing = ", ".join(key for key in NEEDED if not isinstance(go, Mapping) or go.get(key) is None)
        raise PageError(f"a verdict has {', '.join(NEEDED)}; missing: {missing}")
    try:
        at = parse_moment(go["at"])
    except MomentError as exc:
        raise PageError(f"the verdict's at {exc}") from None
    approvers = [str(name) for name in go.get("approvers") or ()]
    approvals = int(go.get("approvals") or 1)
    overridden = go.get("overridden")
    return {
        "verdict": str(go["verdict"]),
        "passed": go["verdict"] in (GO, VALIDATED),
        "name": f"{'go' if go['verdict'] in GOES else 'validation'}-{go['version']}",
        "is_go": go["verdict"] in GOES,
        "facts": [{"name": str(name), "value": str(value)} for name, value in (go.get("facts") or {}).items() if value],
        "version": str(go["version"]),
        "revision": str(go.get("revision") or ""),
        "at": iso(at),
        "plan_digest": str(go["plan_digest"]),
        "images": [{"service": str(name), "digest": str(digest)} for name, digest in sorted(go["images"].items())],
        "slos": [{"name": str(name), "line": str(line)} for name, line in sorted((go.get("slos") or {}).items())],
        "overridden": {key: str(overridden.get(key) or "") for key in ("who", "reason")} if isinstance(overridden, Mapping) else None,
        "items": [_item(item, at) for item in go["items"]],
        "checks": [_item(item, at) for item in go.get("checks") or ()],
        "approved": [{key: str(one.get(key) or "") for key in APPROVAL} for one in go.get("approved") or ()],
        "approvers": approvers,
        "approvals": approvals,
        "signers": approvers or [""] * max(approvals, 2),
        "substance": substance(go),
    }


def substance(go: Mapping[str, Any]) -> str:
    """The digest of what a verdict says, whatever the ages, and the answers to questions that are asked anew each time."""
    at = parse_moment(go["at"])
    told = {
        **{key: go.get(key) for key in (*SUBSTANCE, *(("facts",) if go.get("facts") else ()))},
        "items": [_said(item, at) for group in ("items", "checks") for item in go.get(group) or ()],
        "approved": [{key: one.get(key) for key in APPROVAL} for one in go.get("approved") or ()],
    }
    return "sha256:" + hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def _said(item: Mapping[str, Any], verdict_at: float) -> list[Any]:
    evidence: Iterable[Mapping[str, Any]] = item.get("evidence") or ()
    return [item.get("id"), item.get("passed"), [[one.get(key) for key in _telling(one, verdict_at)] for one in evidence]]


def _telling(one: Mapping[str, Any], verdict_at: float) -> tuple[str, ...]:
    """What was there before the verdict stays as it is; what was asked for it differs a little each time."""
    try:
        is_document = verdict_at - parse_moment(one.get("at")) >= _MINUTE
    except MomentError:
        is_document = False
    return ("kind", "source", "passed", "problem", *(("at", "found") if is_document else ()))


def _item(item: Mapping[str, Any], verdict_at: float) -> dict[str, Any]:
    return {
        **{key: str(item.get(key) or "") for key in ("id", "name", "text")},
        "passed": item.get("passed") is True,
        "evidence": [_evidence(one, verdict_at) for one in item.get("evidence") or ()],
    }


def _evidence(one: Mapping[str, Any], verdict_at: float) -> dict[str, Any]:
    try:
        at = parse_moment(one.get("at"))
    except MomentError:
        at = None
    return {
        **{key: str(one.get(key) or "") for key in EVIDENCE},
        "passed": one.get("passed") is True,
        "at": "" if at is None else iso(at),
        "age": "" if at is None else age(verdict_at - at),
    }


def age(seconds: float) -> str:
    """For people: 3d4h, 4h10m, 12m, and nothing finer."""
    if seconds < _MINUTE:
        return "at the verdict" if seconds > -_MINUTE else "after it"
    unit = _HOUR if seconds >= _DAY else _MINUTE
    return format_duration(int(seconds) // unit * unit)
