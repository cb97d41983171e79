# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import RefusedError
from ansible_collections.levibot.transition.plugins.module_utils.evidence.scanners import read_pip_audit, read_trivy
from tests.evidence_bed import JSON, NOW


def vulnerability(name, severity, package="openssl"):
    return {
        "VulnerabilityID": name,
        "PkgName": package,
        "InstalledVersion": "3.0.11-1",
        "FixedVersion": "3.0.15-1",
        "Status": "fixed",
        "Severity": severity,
    }


def trivy(digest, *found, created="2026-11-27T10:00:00.123456789Z", **changed):
    """As ``trivy image --format json`` writes it."""
    return {
        "SchemaVersion": 2,
        "CreatedAt": created,
        "ArtifactName": "registry.example.com/levibot/api:v1.8.0-beta",
        "ArtifactType": "container_image",
        "Metadata": {
            "OS": {"Family": "debian", "Name": "12.8"},
            "ImageID": "sha256:1d",
            "DiffIDs": ["sha256:d1"],
            "RepoTags": ["registry.example.com/levibot/api:v1.8.0-beta"],
            "RepoDigests": [f"registry.example.com/levibot/api@{digest}"],
        },
        "Results": [
            {"Target": "api (debian 12.8)", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": list(found)},
            {"Target": "Python", "Class": "lang-pkgs", "Type": "python-pkg"},
        ],
        **changed,
    }


@pytest.fixture
def scanned(look, written):
    """Judges a report of each service; what is not given is a clean one."""

    def judged(api=None, panel=None, case=None, **keys):
        documents = {"api": api or trivy("sha256:aa"), "panel": panel or trivy("sha256:bb")}
        reports = {name: written(document, f"{name}.json") for name, document in documents.items()}
        return look({"kind": "trivy", "reports": reports, "max_age": "7d", **keys}, **(case or {}))

    return judged


def test_clean_scans_of_the_very_images_pass(scanned):
    seen = scanned()
    assert seen["passed"], seen["problem"]
    assert seen["found"] == "0 critical, 0 high, 0 medium, 0 low"
    assert seen["at"] == "2026-11-27T10:00:00Z"


def test_two_high_are_allowed_and_one_in_both_images_is_one(scanned):
    found = [vulnerability("CVE-1", "HIGH"), vulnerability("CVE-2", "HIGH"), vulnerability("CVE-3", "MEDIUM")]
    seen = scanned(trivy("sha256:aa", *found), trivy("sha256:bb", *found))
    assert seen["passed"], seen["problem"]
    assert seen["found"] == "0 critical, 2 high, 1 medium, 0 low"


@pytest.mark.parametrize(
    ("api", "problem"),
    [
        (trivy("sha256:aa", vulnerability("CVE-9", "CRITICAL")), "1 critical, at most 0 allowed: CVE-9 in openssl"),
        (
            trivy("sha256:aa", *(vulnerability(f"CVE-{number}", "HIGH") for number in range(7))),
            f"7 high, at most 2 allowed: {', '.join(f'CVE-{number} in openssl' for number in range(5))} and 2 more",
        ),
        (
            trivy("sha256:aa", *(vulnerability(f"CVE-{number}", "UNKNOWN") for number in range(3))),
            "3 high, at most 2 allowed: CVE-0 in openssl, CVE-1 in openssl, CVE-2 in openssl",
        ),
        (trivy("sha256:cc"), "api: is of sha256:cc, not of sha256:aa"),
        (trivy("sha256:aa", created="2026-11-01T10:00:00Z"), "api: is of 2026-11-01T10:00:00Z, and so older than 7d"),
        (trivy("sha256:aa", created="2026-12-01T10:00:00Z"), "api: is dated 2026-12-01T10:00:00Z, which is in the future"),
        (trivy("sha256:aa", created=None), "api: its CreatedAt is not there"),
        (trivy("sha256:aa", Metadata={"ImageID": "sha256:1d"}), "api: is of the image sha256:1d without a digest, not of sha256:aa"),
        (trivy("sha256:aa", Results=None), "api: looked at no packages"),
        (trivy("sha256:aa", Results=[{"Target": "x", "Class": "secret"}]), "api: looked at no packages"),
        (trivy("sha256:aa", SchemaVersion=1), "api: is no report of Trivy's (SchemaVersion 2)"),
        (
            trivy("sha256:aa", Results=[{"Target": "x", "Class": "os-pkgs", "Vulnerabilities": "none"}]),
            "api: its vulnerabilities of x cannot be read",
        ),
        (
            trivy("sha256:aa", Results=[{"Target": "x", "Class": "os-pkgs", "Vulnerabilities": [{"Severity": "HIGH"}] * 3}]),
            "api: its vulnerabilities of x cannot be read",
        ),
    ],
)
def test_each_failure_of_a_scan_alone(scanned, api, problem):
    seen = scanned(api)
    assert not seen["passed"]
    assert seen["problem"] == problem


def test_one_that_is_rated_twice_counts_as_the_worse(scanned):
    bad, good = (trivy(digest, vulnerability("CVE-1", rating)) for digest, rating in (("sha256:aa", "CRITICAL"), ("sha256:bb", "LOW")))
    assert scanned(bad, good)["problem"] == "1 critical, at most 0 allowed: CVE-1 in openssl"


def test_an_image_that_was_scanned_before_it_was_pushed_is_known_by_its_id(scanned):
    api = trivy("sha256:aa", Metadata={"ImageID": "sha256:1d", "RepoDigests": None})
    assert scanned(api, case={"image_ids": {"api": "sha256:1d"}})["passed"]
    assert not scanned(api, case={"image_ids": {"api": "sha256:2e"}})["passed"]
    assert not scanned(trivy("sha256:aa", Metadata={}), case={"images": {"api": "", "panel": "sha256:bb"}})["passed"]


def test_limits_and_severities_are_data(scanned):
    api = trivy("sha256:aa", vulnerability("CVE-9", "CRITICAL"))
    assert scanned(api, max_critical=1)["passed"]
    assert scanned(api, severities={"CVE-9": "low"})["passed"]


def test_every_image_that_is_deployed_has_a_report(look, written):
    given = {"kind": "trivy", "reports": {"api": written(trivy("sha256:aa"))}, "max_age": "7d"}
    assert look(given)["problem"] == "no report of panel is given"
    assert look(given, images={})["problem"].startswith("no image's digest is known yet")


AUDIT = {
    "dependencies": [
        {"name": "fastapi", "version": "0.115.0", "vulns": []},
        {"name": "levibot", "skip_reason": "Dependency not found on PyPI"},
        {"name": "jinja2", "version": "3.1.2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.1.4"], "aliases": ["CVE-5"]}]},
    ],
    "fixes": [],
}


@pytest.fixture
def audited(look, written):
    def judged(document, **keys):
        path = written(document)
        os.utime(path, (NOW - 3600, NOW - 3600))
        return look({"kind": "pip_audit", "path": path, "max_age": "7d", "age_from": "mtime", **keys})

    return judged


def test_one_without_a_severity_counts_as_high(audited):
    seen = audited(AUDIT)
    assert seen["passed"], seen["problem"]
    assert "2 packages, 1 skipped" in seen["found"]
    assert "0 critical, 1 high" in seen["found"]
    assert "1 without a severity counted as high" in seen["found"]
    assert audited(AUDIT, max_high=0)["problem"] == "1 high, at most 0 allowed: PYSEC-1 in jinja2"
    assert audited(AUDIT, max_high=0, severities={"PYSEC-1": "low"})["passed"]
    assert audited(AUDIT, severities={"PYSEC-1": "critical"})["problem"] == "1 critical, at most 0 allowed: PYSEC-1 in jinja2"


def test_the_bare_list_of_older_releases_is_read_as_well(audited):
    assert audited(AUDIT["dependencies"])["passed"]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"dependencies": []}, "audited no package"),
        ({"dependencies": [{"name": "levibot", "skip_reason": "x"}]}, "audited no package"),
        ({"dependencies": None}, "is no report of pip-audit's"),
        ({"Results": []}, "is no report of pip-audit's"),
        ({"dependencies": [{"name": "x", "version": "1"}]}, "its vulnerabilities of x cannot be read"),
        ({"dependencies": [{"name": "x", "version": "1", "vulns": [{}]}]}, "its vulnerabilities of x cannot be read"),
    ],
)
def test_each_failure_of_an_audit_alone(audited, document, problem):
    assert audited(document)["problem"] == problem


DOCUMENT = st.fixed_dictionaries(
    {},
    optional={
        "SchemaVersion": st.just(2) | JSON,
        "Metadata": st.just({}) | JSON,
        "Results": st.lists(st.fixed_dictionaries({"Class": st.just("os-pkgs"), "Vulnerabilities": JSON})) | JSON,
        "dependencies": st.lists(st.fixed_dictionaries({"name": JSON, "vulns": JSON})) | JSON,
    },
)


@given(DOCUMENT | JSON)
def test_garbage_is_refused_and_nothing_else(document):
    for read in (read_trivy, read_pip_audit):
        try:
            read(json.loads(json.dumps(document)))
        except RefusedError as refused:
            assert refused.problem
