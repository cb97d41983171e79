# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan, checked as a whole and turned into what gates and playbooks work with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.plan.library import read_library
from ansible_collections.levibot.transition.plugins.module_utils.plan.merge import Layered
from ansible_collections.levibot.transition.plugins.module_utils.plan.phase1 import PHASE as PHASE1
from ansible_collections.levibot.transition.plugins.module_utils.plan.phase1 import read_phase1
from ansible_collections.levibot.transition.plugins.module_utils.plan.phase2 import PHASE as PHASE2
from ansible_collections.levibot.transition.plugins.module_utils.plan.phase2 import read_phase2
from ansible_collections.levibot.transition.plugins.module_utils.plan.phase3 import PHASE as PHASE3
from ansible_collections.levibot.transition.plugins.module_utils.plan.phase3 import read_phase3
from ansible_collections.levibot.transition.plugins.module_utils.plan.phase4 import PHASE as PHASE4
from ansible_collections.levibot.transition.plugins.module_utils.plan.phase4 import read_phase4
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Problem, Report, text_keys
from ansible_collections.levibot.transition.plugins.module_utils.plan.site import read_site
from ansible_collections.levibot.transition.plugins.module_utils.plan.steps import Steps


def validate(
    plan: Any, checks: Any, site: Mapping[str, Any], plan_overrides: Any = None, checks_overrides: Any = None
) -> tuple[dict[str, Any], list[Problem]]:
    """The normalised plan, and every mistake in plan, checks and site variables. With a mistake, the plan is empty."""
    report = Report()
    site = {name: text_keys(name, value, report) for name, value in site.items()}
    plan, plan_overrides = text_keys("levibot_plan", plan, report), text_keys("levibot_plan_overrides", plan_overrides, report)
    checks, checks_overrides = text_keys("levibot_checks", checks, report), text_keys("levibot_checks_overrides", checks_overrides, report)
    read_site(site, report)
    for name, overrides in (("levibot_plan_overrides", plan_overrides), ("levibot_checks_overrides", checks_overrides)):
        report.mapping(name, overrides or {})
    layered_checks = Layered("levibot_checks", checks, _mapping(checks_overrides))
    layered_plan = Layered("levibot_plan", plan, _mapping(plan_overrides))
    library = read_library(layered_checks, report)
    normalised = _read(Steps(layered_plan, library, _mapping(layered_checks.value), site, report))
    return ({} if report.problems else normalised), report.problems


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _read(reader: Steps) -> dict[str, Any]:
    """Each phase by its own reader, from what all of them share."""
    plan, report = reader.plan, reader.report
    phases = (PHASE1, PHASE2, PHASE3, PHASE4)
    value = report.mapping(plan.path(), plan.value, f"write the plan: defaults, slos, {', '.join(phases)}")
    report.unknown(plan.path, value, ("defaults", "slos", *phases))
    reader.read_defaults()
    reader.read_slos(report.mapping(plan.path("slos"), value.get("slos", {})))
    return {
        PHASE1: read_phase1(plan, _mapping(value.get("slos")), report),
        PHASE2: read_phase2(reader),
        PHASE3: read_phase3(reader),
        PHASE4: read_phase4(plan, _mapping(value.get("slos")), report),
    }
