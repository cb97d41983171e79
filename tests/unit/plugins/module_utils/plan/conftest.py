# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

DEFAULTS = Path(__file__).resolve().parents[5] / "roles" / "levibot" / "defaults" / "main"


@pytest.fixture(scope="session")
def _shipped():
    """The role's defaults, as a site gets them."""
    variables = {}
    for path in sorted(DEFAULTS.glob("*.yml")):
        variables.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    variables["levibot_plan"] = resolved(variables["levibot_plan"], variables)
    return variables


def resolved(value, variables):
    """With the variables in place of the templates that are nothing but one of them."""
    if isinstance(value, dict):
        return {key: resolved(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, variables) for item in value]
    return variables[value[3:-3]] if isinstance(value, str) and value.startswith("{{ ") else value


@pytest.fixture
def shipped(_shipped):
    return copy.deepcopy(_shipped)


@pytest.fixture
def site(shipped):
    """A sound site: the defaults, and what has to be set."""
    own = {"levibot_version": "v1.8.0-beta", "levibot_compose_file": "docker-compose.prod.yml", "levibot_admin_token": "s3cret-token"}
    apart = ("levibot_plan", "levibot_checks", "levibot_plan_overrides", "levibot_checks_overrides")
    plain = {name: value for name, value in shipped.items() if name not in apart and "{{" not in str(value)}
    return {**plain, **own}
