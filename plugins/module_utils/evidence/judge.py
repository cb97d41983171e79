# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The items of a checklist: read with every mistake at once, and judged by what their evidence shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.kinds import KINDS
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case, Finding, RefusedError
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import boolean, one_of, text
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report, did_you_mean, show

ITEM_KEYS = ("id", "name", "any", "evidence")
# Of each evidence, whatever its kind. ``hint``: what to do where it is not set.
COMMON = ("kind", "where", "hint")
SET = "set"
# What a site's variable holds before it is set.
UNSET = (None, "", [], {})

Path = Callable[..., str]


def read_item(item: Mapping[str, Any], path: Path, report: Report) -> dict[str, Any]:
    """The item as :func:`judge` takes it. Mistakes are reported with their path."""
    report.unknown(path, item, ITEM_KEYS)
    name = report.read(path("name"), item.get("name", item.get("id")), text)
    any_is_enough = report.read(path("any"), item.get("any", False), boolean)
    evidence = item.get("evidence")
    if not isinstance(evidence, list) or not evidence:
        report.add(path("evidence"), evidence, "write a list of at least one evidence, such as [{kind: attestation}]")
        evidence = []
    read = [_read_evidence(given, f"{path('evidence')}[{number}]", report) for number, given in enumerate(evidence)]
    return {"id": item.get("id"), "name": name, "any": any_is_enough, "evidence": [one for one in read if one]}


def _read_evidence(given: Any, path: str, report: Report) -> dict[str, Any]:
    """The keys as the kind reads them, with ``unset``: those that a site gives, and has not given yet."""
    given = report.mapping(path, given, "write a kind with its keys, such as {kind: attestation}")
    name = given.get("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        if given:
            report.add(f"{path}.kind", name, did_you_mean(name if isinstance(name, str) else show(name), KINDS))
        return {}
    report.unknown(lambda key: f"{path}.{key}", given, (*COMMON, *kind.fields))
    optional = "where" in given and report.read(f"{path}.where", given["where"], one_of(SET)) == SET
    if optional and not kind.sets:
        report.add(f"{path}.where", SET, f"remove it: {name} has nothing that a site sets")
    hint = report.read(f"{path}.hint", given["hint"], text) if "hint" in given else ""
    unset = [key for key in kind.sets if given.get(key) in UNSET and (key in given or kind.fields[key].required)]
    found = len(report.problems)
    read: dict[str, Any] = {"kind": name, "optional": optional, "hint": hint, "unset": unset}
    for key, field in kind.fields.items():
        if key in unset:
            continue
        if given.get(key) not in UNSET:
            read[key] = report.read(f"{path}.{key}", given[key], field.parse)
        elif field.required:
            report.add(f"{path}.{key}", given.get(key), f"write it: {name} needs {key}")
        elif field.default is not None:
            read[key] = field.default
    if len(report.problems) == found and not unset:
        for key, fix in kind.mistakes(read):
            report.add(f"{path}.{key}", given.get(key), fix)
    return read


def judge(items: Iterable[Mapping[str, Any]], case: Case) -> list[dict[str, Any]]:
    """The verdict on each item that :func:`read_item` has read, in order."""
    return [judge_item(item, replace(case, item=str(item["id"]), seen={})) for item in items]


def judge_item(item: Mapping[str, Any], case: Case) -> dict[str, Any]:
    evidence = [judge_evidence(given, case) for given in item["evidence"] if not (given["optional"] and given["unset"])]
    passed = [one for one in evidence if one["passed"]]
    enough = bool(passed) if item["any"] else bool(evidence) and len(passed) == len(evidence)
    return {"id": item["id"], "name": item["name"], "passed": enough, "text": _text(item, evidence, enough), "evidence": evidence}


def judge_evidence(given: Mapping[str, Any], case: Case) -> dict[str, Any]:
    finding = Finding(given["kind"])
    if given["unset"]:
        finding.wrong(f"it is missing: {' and '.join(given['unset'])} is not set", given["hint"])
        return finding.to_dict(case.now)
    try:
        KINDS[given["kind"]].look(given, case, finding)
    except RefusedError as refused:
        finding.wrong(refused.problem, refused.fix)
    except Exception as exc:  # a document of an unforeseen shape costs this evidence its pass, not the others their judgement
        finding.wrong(f"it could not be judged ({type(exc).__name__}: {str(exc)[:100]})", "look at what it was made from")
    return finding.to_dict(case.now)


def _text(item: Mapping[str, Any], evidence: list[dict[str, Any]], enough: bool) -> str:
    if not evidence:
        hints = [given["hint"] for given in item["evidence"] if given["hint"]]
        return "missing: no evidence is set" + (f"; {' or '.join(hints)}" if hints else "")
    if enough:
        passed = [one for one in evidence if one["passed"]]
        return "; ".join(f"{one['kind']}: {one['found']}" if one["found"] else one["kind"] for one in passed)
    return "; ".join(f"{one['kind']}: {one['problem']}" for one in evidence if not one["passed"])
