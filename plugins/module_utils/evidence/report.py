# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A JSON report, judged by conditions on its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.conditions import conditions, judge
from ansible_collections.levibot.transition.plugins.module_utils.evidence.documents import AGE, absolute, judge_age, read_json
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case, Finding, Kind
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import REQUIRED, Field


def look(given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    path = case.expand(given["path"])
    finding.source = path
    document = read_json(path)
    judge_age(given, document, path, case, finding)
    judge(given["conditions"], document, case, finding)


REPORT = Kind(look, fields={"path": Field(absolute, REQUIRED), "conditions": Field(conditions, REQUIRED), **AGE}, sets=("path",))
