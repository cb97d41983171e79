# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.filter.go_page import go_page
from ansible_collections.levibot.transition.plugins.filter.html_page import html_page
from ansible_collections.levibot.transition.plugins.filter.markdown_page import markdown_page

TEMPLATES = Path(__file__).parents[4] / "roles/report/templates"
UNSEEN = "\x1b\x00\u202e\u2066"
EVIL = f"<script>alert(1)</script> | *bold* [x](http://y) `code` _u_{UNSEEN}\n# head"
EVIDENCE = {
    "kind": "report",
    "source": "/srv/soak.json",
    "passed": True,
    "found": "hours is 25",
    "wanted": "hours >= 24",
    "at": "2026-11-26T19:00:00Z",
    "age_seconds": 90000,
    "problem": "",
    "fix": "",
}
GO = {
    "verdict": "GO",
    "version": "v1.8.0-beta",
    "revision": "c0ffee",
    "at": "2026-11-27T20:00:00Z",
    "plan_digest": "sha256:5f70",
    "images": {"panel": "sha256:bb", "api": "sha256:aa"},
    "slos": {"error_rate": "< 0.1%"},
    "items": [{"id": "slos", "name": "All SLOs met", "passed": True, "text": "", "evidence": [EVIDENCE]}],
    "checks": [
        {"id": "disk", "name": "Free disk", "passed": True, "text": "", "evidence": [{**EVIDENCE, "kind": "host", "at": None}]},
    ],
    "approvers": ["maria", "ivo"],
    "approvals": 2,
    "approved": [{"who": "maria", "reason": "clean", "at": "2026-11-27T19:00:00.000Z", "until": "", "why_not": ""}],
    "overridden": None,
}
RENDER = {"go.md.j2": markdown_page, "go.html.j2": html_page}


def rendered(name, **changed):
    return RENDER[name]((TEMPLATES / name).read_text(encoding="utf-8"), {"go": go_page({**GO, **changed})})


@pytest.mark.parametrize("name", RENDER)
def test_a_person_finds_what_to_sign(name):
    text = rendered(name)
    for words in ("GO for v1.8.0-beta", "c0ffee", "sha256:5f70", "sha256:aa", "sha256:bb", "0.1%", "/srv/soak.json", "hours is 25"):
        assert words in text
    for words in ("2026-11-26T19:00:00Z", "1d1h", "Free disk", "maria", "clean", "Signature", go_page(GO)["substance"]):
        assert words in text
    assert "OVERRIDDEN" not in text
    assert "NO-GO" not in text


@pytest.mark.parametrize("name", RENDER)
def test_a_no_go_says_what_is_wrong_and_what_to_do(name):
    failed = {**EVIDENCE, "passed": False, "problem": "took 3h, not 1d", "fix": "soak for the whole time"}
    items = [
        {"id": "slos", "name": "All SLOs met", "passed": False, "text": "", "evidence": [failed]},
        {"id": "backup", "name": "Backup", "passed": False, "text": "missing: no evidence is set", "evidence": []},
    ]
    text = rendered(name, verdict="NO-GO", items=items)
    for words in ("NO-GO for v1.8.0-beta", "took 3h, not 1d", "soak for the whole time", "missing: no evidence is set"):
        assert words in text


@pytest.mark.parametrize(
    ("name", "mark"), [("go.md.j2", "**OVERRIDDEN by cto: late**"), ("go.html.j2", "<strong>OVERRIDDEN by cto: late</strong>")]
)
def test_an_override_is_bold(name, mark):
    assert mark in rendered(name, overridden={"who": "cto", "reason": "late"})


@pytest.mark.parametrize("name", RENDER)
def test_without_approvers_the_report_says_that_anybody_may(name):
    text = rendered(name, approvers=[], approved=[])
    assert "anybody may approve" in text
    assert "Nobody has approved this version" in text


def test_nothing_that_others_wrote_is_markup():
    evil = {key: EVIL if isinstance(value, str) and key != "at" else value for key, value in EVIDENCE.items()}
    changed = {
        "items": [{"id": "x", "name": EVIL, "passed": False, "text": EVIL, "evidence": [evil]}],
        "approved": [{"who": EVIL, "reason": EVIL, "at": EVIL, "until": EVIL, "why_not": EVIL}],
        "overridden": {"who": EVIL, "reason": EVIL},
    }
    assert "<script>" not in rendered("go.html.j2", **changed)
    text = rendered("go.md.j2", **changed)
    for line in text.splitlines():
        assert "<script>" not in line
        assert not line.startswith("# head")
        assert " | \\*bold" not in line
    table = [line for line in text.splitlines() if line.startswith("|") and "alert" in line]
    assert all(line.replace("\\|", "").count("|") in (6, 9) for line in table)
    for page in (text, rendered("go.html.j2", **changed)):
        assert not {character for character in page if character in UNSEEN}


def test_what_changes_by_itself_is_not_substance():
    later = copy.deepcopy(GO)
    later["checks"][0]["evidence"][0].update(at="2026-11-27T20:00:01Z", age_seconds=7, found="now 5 GiB")
    assert go_page(later)["substance"] == go_page(GO)["substance"]


@pytest.mark.parametrize(
    "changed",
    [
        {"verdict": "NO-GO"},
        {"at": "2026-11-27T20:00:01Z"},
        {"images": {"api": "sha256:cc"}},
        {"overridden": {"who": "cto", "reason": "late"}},
        {"approved": []},
        {"items": [{**GO["items"][0], "evidence": [{**EVIDENCE, "problem": "x"}]}]},
        {"items": [{**GO["items"][0], "evidence": [{**EVIDENCE, "found": "hours is 26"}]}]},
        {"items": [{**GO["items"][0], "evidence": [{**EVIDENCE, "at": "2026-11-27T19:00:00Z"}]}]},
    ],
)
def test_what_a_person_would_sign_is_substance(changed):
    assert go_page({**GO, **changed})["substance"] != go_page(GO)["substance"]


@pytest.mark.parametrize("broken", [None, {}, {**GO, "at": "then"}, {**GO, "images": None}])
def test_what_is_no_verdict_is_refused(broken):
    with pytest.raises(AnsibleFilterError, match="go_page: "):
        go_page(broken)


def test_an_unknown_name_in_a_template_is_an_error():
    with pytest.raises(AnsibleFilterError, match="markdown_page"):
        markdown_page("{{ nothing }}", {})


VALIDATION = {"verdict": "VALIDATED", "approvals": None, "approved": [], "facts": {"T+0": "2026-11-25T19:00:00Z", "Rollout": ""}}


@pytest.mark.parametrize("name", RENDER)
def test_a_validation_is_reported_alike(name):
    text = rendered(name, **VALIDATION)
    for words in ("VALIDATED for v1.8.0-beta", "T+0", "2026-11-25T19:00:00Z", "hours is 25", "Signature"):
        assert words in text
    assert "Approvals" not in text
    assert "Rollout" not in text, "a fact that is not there"
    assert "NOT VALIDATED for v1.8.0-beta" in rendered(name, **{**VALIDATION, "verdict": "NOT VALIDATED"})


def test_each_phase_has_its_page():
    assert go_page(GO)["name"] == "go-v1.8.0-beta"
    page = go_page({**GO, **VALIDATION})
    assert (page["name"], page["passed"], page["is_go"]) == ("validation-v1.8.0-beta", True, False)
    assert not go_page({**GO, **VALIDATION, "verdict": "NOT VALIDATED"})["passed"]
    assert (
        go_page({**GO, **VALIDATION})["substance"] != go_page({**GO, **VALIDATION, "facts": {"T+0": "2026-11-26T19:00:00Z"}})["substance"]
    )
