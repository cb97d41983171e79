# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import yaml

from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report
from ansible_collections.levibot.transition.plugins.module_utils.plan.site import PREFIXES, unknown_variables
from ansible_collections.levibot.transition.plugins.plugin_utils.roles import ROLES, documented_variables


@pytest.fixture
def roles(tmp_path):
    """A role with an option, and tasks that set a fact and register a result."""
    for part in ("meta", "tasks/deeper"):
        (tmp_path / "edge" / part).mkdir(parents=True)
    (tmp_path / "edge/meta/argument_specs.yml").write_text(
        "argument_specs: {main: {options: {edge_run_dir: {type: path}}}}", encoding="utf-8"
    )
    tasks = """
    - block:
        - ansible.builtin.set_fact: {edge_stable: blue}
        - ansible.builtin.command: {argv: !unsafe [x]}
          register: edge_said
    """
    (tmp_path / "edge/tasks/deeper/main.yml").write_text(tasks, encoding="utf-8")
    return tmp_path


def test_options_facts_and_results_are_known(roles):
    assert documented_variables(roles) == {"edge_run_dir", "edge_stable", "edge_said"}


def test_a_variable_that_no_role_has_is_reported(roles):
    report = Report()
    unknown_variables(["edge_rundir", "edge_run_dir", "ansible_host", "gate_zzzz"], documented_variables(roles), report)
    assert [(problem.path, problem.fix.split(",")[0]) for problem in report.problems] == [
        ("edge_rundir", "did you mean edge_run_dir?"),
        ("gate_zzzz", "remove it"),
    ]


@pytest.mark.parametrize("name", ["deadman_silence_second", "engines_hosts", "proposals_intervall", "validation_propos"])
def test_a_misspelt_variable_of_any_role_that_a_site_sets_is_a_mistake(name):
    report = Report()
    unknown_variables([name], documented_variables(), report)
    assert [problem.path for problem in report.problems] == [name]


def test_the_prefixes_are_documented():
    said = " ".join((ROLES.parent / "docs/plan.md").read_text(encoding="utf-8").split())
    assert f"Variables that begin with {', '.join(f'`{each}`' for each in PREFIXES[:-1])} or `{PREFIXES[-1]}` belong to" in said


def test_each_default_of_the_shared_variables_is_documented():
    defaults = {}
    for path in (ROLES / "levibot" / "defaults" / "main").glob("*.yml"):
        defaults.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    options = yaml.safe_load((ROLES / "levibot/meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["validate"][
        "options"
    ]
    assert set(options) == set(defaults)
    assert {name: options[name]["default"] for name in options if "default" in options[name]} == {
        name: defaults[name] for name in options if "default" in options[name]
    }
