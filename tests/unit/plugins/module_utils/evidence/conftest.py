# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.evidence.judge import judge, read_item
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report
from tests.evidence_bed import NOW, VERSION


@pytest.fixture
def case() -> Case:
    return Case(
        version=VERSION,
        now=NOW,
        revision="c0ffee",
        images={"api": "sha256:aa", "panel": "sha256:bb"},
        stable_version="v1.7.0",
        slos={"api_uptime": "> 99.9%", "error_rate": "< 0.1%", "latency_p95": "< 200ms"},
    )


@pytest.fixture
def look(case):
    """Judges one evidence as a plan writes it."""

    def judged(given: dict[str, Any], **changed: Any) -> dict[str, Any]:
        report = Report()
        item = read_item({"id": "item", "evidence": [given]}, lambda *keys: ".".join(keys), report)
        assert report.problems == []
        (answer,) = judge([item], Case(**{**vars(case), **changed}))
        (evidence,) = answer["evidence"]
        assert answer["passed"] == evidence["passed"] == (not evidence["problem"])
        return evidence

    return judged


@pytest.fixture
def written(tmp_path):
    """A file with that content: a text, or a document as JSON."""

    def write(content: Any, name: str = "report.json") -> str:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return str(path)

    return write
