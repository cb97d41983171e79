# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of vulnerability scanners: Trivy, which knows the image that it scanned, and pip-audit, which knows no severities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.conditions import show
from ansible_collections.levibot.transition.plugins.module_utils.evidence.documents import (
    AGE,
    MTIME,
    absolute,
    judge_age,
    read_json,
    too_old,
)
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case, Finding, Kind, RefusedError
from ansible_collections.levibot.transition.plugins.module_utils.evidence.moments import MomentError, parse_moment
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import REQUIRED, Field, number_of, text
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError, format_duration

CRITICAL, HIGH, UNKNOWN = "critical", "high", "unknown"
SEVERITIES = (CRITICAL, HIGH, "medium", "low")
SCHEMA = 2
PACKAGES = ("os-pkgs", "lang-pkgs")
SHOWN = 5
UPDATE = "update what has them, build and scan again"

# (id, package) -> severity: one that is in two layers, or in two images, is one.
Vulnerabilities = dict[tuple[str, str], str]


def look_at_trivy(given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    paths = {service: case.expand(path) for service, path in given["reports"].items()}
    finding.source = ", ".join(paths.values())
    finding.wanted.append(f"a scan of each image that is to be deployed, at most {format_duration(given['max_age'])} old")
    if not case.images:
        finding.wrong("no image's digest is known yet", "release first: the digests are in its record")
    for service in [name for name in case.images if name not in paths]:
        finding.wrong(f"no report of {service} is given", f"scan its image, and add {service} to reports")
    found: Vulnerabilities = {}
    times = []
    for service, path in paths.items():
        one = Finding(finding.kind)
        try:
            document = read_json(path)
            _add(found, read_trivy(document))
            _judge_trivy(service, document, given["max_age"], case, one)
        except RefusedError as refused:
            one.wrong(refused.problem, refused.fix)
        finding.problems += [f"{service}: {problem}" for problem in one.problems]
        finding.fixes += [fix for fix in one.fixes if fix not in finding.fixes]
        times += [one.at] if one.at is not None else []
    finding.at = min(times, default=None)
    _judge_severities(found, given, finding)


def read_trivy(document: Any) -> Vulnerabilities:
    """What a report of an image found. Raises RefusedError for what is none, and for one that looked at no packages."""
    if not isinstance(document, Mapping) or document.get("SchemaVersion") != SCHEMA or not isinstance(document.get("Metadata"), Mapping):
        raise RefusedError("is no report of Trivy's (SchemaVersion 2)", "scan with trivy image --format json")
    results = document.get("Results")
    looked_at = (
        [result for result in results if isinstance(result, Mapping) and result.get("Class") in PACKAGES] if _is_list(results) else []
    )
    if not looked_at:
        raise RefusedError("looked at no packages", "scan with --scanners vuln, and see what Trivy says of the image")
    found: Vulnerabilities = {}
    for result in looked_at:
        vulnerabilities = result.get("Vulnerabilities")
        if vulnerabilities is None:
            continue
        if not _is_list(vulnerabilities) or not all(_is_named(one, "VulnerabilityID", "PkgName") for one in vulnerabilities):
            raise RefusedError(f"its vulnerabilities of {show(result.get('Target'))} cannot be read", "scan again")
        for one in vulnerabilities:
            _add(found, {(str(one.get("VulnerabilityID")), str(one.get("PkgName"))): str(one.get("Severity")).lower()})
    return found


def _is_named(one: Any, *keys: str) -> bool:
    """Those without a name would all count as one."""
    return isinstance(one, Mapping) and all(isinstance(one.get(key), str) and one[key] for key in keys)


def _add(found: Vulnerabilities, more: Vulnerabilities) -> None:
    """Of one that was rated twice, the worse."""
    for key, severity in more.items():
        found[key] = min(severity, found.get(key, severity), key=_rank)


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity if severity in SEVERITIES else HIGH)


def _judge_trivy(service: str, document: Mapping[str, Any], max_age: float, case: Case, finding: Finding) -> None:
    try:
        finding.at = parse_moment(document.get("CreatedAt"))
        too_old(finding, max_age, case, "scan again")
    except MomentError as exc:
        finding.wrong(f"its CreatedAt {exc}", "scan with a newer Trivy, which says when it scanned")
    if service not in case.images:
        finding.wrong(f"is of a service that is not released ({service})", f"take {service} out of reports")
        return
    about = document["Metadata"]
    digests = about.get("RepoDigests")
    scanned = {str(name).rpartition("@")[2] for name in digests} if _is_list(digests) else set()
    wanted = {case.images[service]} - {""}
    by_id = {case.image_ids.get(service, "")} - {""}
    if not (scanned & wanted or {about.get("ImageID")} & by_id):
        what = ", ".join(sorted(scanned)) or f"the image {show(about.get('ImageID'))} without a digest"
        finding.wrong(f"is of {what}, not of {case.images[service] or 'any digest'}", "scan the image by its digest, after it was pushed")


def look_at_pip_audit(given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    path = case.expand(given["path"])
    finding.source = path
    document = read_json(path)
    audited, skipped, found = read_pip_audit(document)
    judge_age(given, document, path, case, finding)
    finding.found.append(f"{audited} packages, {skipped} skipped (not tied to an image)")
    if not audited:
        finding.wrong("audited no package", "run pip-audit where the product's packages are installed, or with its requirements")
    _judge_severities(found, given, finding)


def read_pip_audit(document: Any) -> tuple[int, int, Vulnerabilities]:
    """How many packages were audited and skipped, and what was found. Older releases write the bare list of dependencies."""
    dependencies = document.get("dependencies") if isinstance(document, Mapping) else document
    if not _is_list(dependencies) or not all(isinstance(one, Mapping) and "name" in one for one in dependencies):
        raise RefusedError("is no report of pip-audit's", "run pip-audit --format json")
    audited = [one for one in dependencies if "skip_reason" not in one]
    found: Vulnerabilities = {}
    for one in audited:
        vulnerabilities = one.get("vulns")
        if not _is_list(vulnerabilities) or not all(isinstance(entry, Mapping) and entry.get("id") for entry in vulnerabilities):
            raise RefusedError(f"its vulnerabilities of {show(one['name'])} cannot be read", "run pip-audit --format json again")
        for entry in vulnerabilities:
            found[str(entry["id"]), str(one["name"])] = UNKNOWN
    return len(audited), len(dependencies) - len(audited), found


def _judge_severities(found: Vulnerabilities, given: Mapping[str, Any], finding: Finding) -> None:
    """One without a severity counts as high, unless the plan gives it another."""
    named = given.get("severities") or {}
    rated = {key: named.get(key[0], severity) for key, severity in found.items()}
    rated = {key: severity if severity in SEVERITIES else HIGH for key, severity in rated.items()}
    count = Counter(rated.values())
    finding.found.append(", ".join(f"{count[severity]} {severity}" for severity in SEVERITIES))
    assumed = sum(1 for key, severity in found.items() if severity not in SEVERITIES and key[0] not in named)
    if assumed:
        finding.found.append(f"{assumed} without a severity counted as high")
    for severity, most in ((CRITICAL, given["max_critical"]), (HIGH, given["max_high"])):
        finding.wanted.append(f"at most {most} {severity}")
        if count[severity] > most:
            names = sorted(f"{name} in {package}" for (name, package), rating in rated.items() if rating == severity)
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            finding.wrong(f"{count[severity]} {severity}, at most {most} allowed: {', '.join(names[:SHOWN])}{more}", UPDATE)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _reports(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise MistakeError("write the report's path for each service, such as {api: /srv/scans/$version-api.json}")
    return {text(service): absolute(path) for service, path in value.items()}


def _severities(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and rating in SEVERITIES for name, rating in value.items()):
        raise MistakeError(f"write for the id of a vulnerability one of {', '.join(SEVERITIES)}")
    return dict(value)


def _age_mistakes(given: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if not given.get("at") and given.get("age_from") != MTIME:
        yield "age_from", "write mtime, since pip-audit's report holds no time, or at, the JMESPath of one that you add"


_LIMITS = {
    "max_critical": Field(number_of(0), 0),
    "max_high": Field(number_of(0), 2),
    "severities": Field(_severities),
}
TRIVY = Kind(
    look_at_trivy,
    fields={"reports": Field(_reports, REQUIRED), "max_age": AGE["max_age"], **_LIMITS},
    sets=("reports",),
)
PIP_AUDIT = Kind(look_at_pip_audit, fields={"path": Field(absolute, REQUIRED), **AGE, **_LIMITS}, sets=("path",), mistakes=_age_mistakes)
