# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/awx.md names playbooks that exist, and the surveys ask for what these take."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
ANSWERED_OTHERWISE = {"approve_who"}  # by the login


def test_the_survey_asks_for_what_the_playbook_would_prompt_for() -> None:
    survey = json.loads((ROOT / "awx/surveys/approve.json").read_text(encoding="utf-8"))
    asked = {question["variable"]: question for question in survey["spec"]}
    (play, *_rest) = yaml.safe_load((ROOT / "playbooks/approve.yml").read_text(encoding="utf-8"))
    assert set(asked) - {"levibot_version"} == {prompt["name"] for prompt in play["vars_prompt"]} - ANSWERED_OTHERWISE
    assert [name for name, question in asked.items() if not question["required"]] == ["approve_until"]
    for question in asked.values():
        assert set(question) == {"question_name", "question_description", "variable", "type", "required", "min", "max", "default"}
        assert question["type"] in {"text", "textarea"}


def test_its_job_templates_are_playbooks_and_their_variables_exist() -> None:
    text = (ROOT / "docs/awx.md").read_text(encoding="utf-8")
    for name in re.findall(r"`(playbooks/\w+\.yml)\b", text):
        assert (ROOT / name).is_file(), name
    specs = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
    for name in ("approve_who", "approve_until", "approve_revoke", "kill_state", "kill_who", "rollback_kill", "validation_wait_seconds"):
        assert f"`{name}: " in text, name
        assert re.search(rf"^ +{name}:$", specs, re.MULTILINE), name


def test_what_the_survey_need_not_answer_has_its_default_in_the_template() -> None:
    survey = json.loads((ROOT / "awx/surveys/approve.json").read_text(encoding="utf-8"))
    text = (ROOT / "docs/awx.md").read_text(encoding="utf-8")
    for question in survey["spec"]:
        assert question["required"] or f'`{question["variable"]}: ""`' in text, question["variable"]
