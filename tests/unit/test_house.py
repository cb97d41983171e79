# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CONTRIBUTING.md says of the house, kept true."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LINKS = ROOT / "collections/ansible_collections/levibot/transition"
COLLECTION = "levibot.transition"
PREFIX = "ansible_collections.levibot.transition.plugins"

ROLES = sorted(path.parent.name for path in ROOT.glob("roles/*/meta"))
PLAYBOOKS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("playbooks/*.yml"))
SOURCES = sorted(path.relative_to(ROOT / "plugins").as_posix() for path in ROOT.glob("plugins/**/*.py"))
DOCUMENTED = sorted(
    (kind, name)
    for folder, kind in (("modules", "module"), ("filter", "filter"), ("test", "test"), ("lookup", "lookup"), ("callback", "callback"))
    for name in {path.stem for path in ROOT.glob(f"plugins/{folder}/*.*") if path.suffix in {".py", ".yml"} and path.stem != "__init__"}
)


def ansible(program, *arguments):
    tool = Path(sys.executable).parent / program
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run([tool, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@cache
def documentation(kind):
    names = [f"{COLLECTION}.{name}" for other, name in DOCUMENTED if other == kind]
    done = ansible("ansible-doc", "--type", kind, "--json", *names)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def read(path):
    return yaml.safe_load(path.read_text()) or {}


def defaults_of(role):
    files = sorted([*ROOT.glob(f"roles/{role}/defaults/main.yml"), *ROOT.glob(f"roles/{role}/defaults/main/*.yml")])
    return {name: value for path in files for name, value in read(path).items()}


# The links


def test_links_go_to_leaves():
    links = list(LINKS.iterdir())
    assert {"galaxy.yml", "meta", "playbooks", "plugins", "roles"} <= {link.name for link in links}
    for link in links:
        assert link.is_symlink(), f"{link.name} is a copy"
        assert not link.readlink().is_absolute(), f"{link.name} works on this machine only"
        assert link.resolve() == ROOT / link.name
        assert link.resolve() not in link.parents, f"{link.name} would contain itself"


# Roles


@pytest.mark.parametrize("role", ROLES)
def test_argument_specs_say_what_the_defaults_are(role):
    specs = read(ROOT / f"roles/{role}/meta/argument_specs.yml")["argument_specs"]
    options = {name: option for spec in specs.values() for name, option in spec.get("options", {}).items()}
    defaults = defaults_of(role)
    assert {name for name in defaults if not name.startswith("__")} <= set(options), "defaults that the specification does not know"
    for name, option in options.items():
        if option.get("required"):
            assert name not in defaults, f"{name} is required and has a default"
        elif name not in defaults:
            assert "default" not in option, f"{name}: the specification's default is in no file"
        elif "default" not in option:
            assert "defaults/main" in str(option["description"]), f"{name}: say the default, or in which file it is"
        else:
            assert option["default"] == defaults[name], name


@pytest.mark.parametrize("role", ROLES)
def test_variables_carry_their_roles_prefix(role):
    files = [*ROOT.glob(f"roles/{role}/defaults/**/*.yml"), *ROOT.glob(f"roles/{role}/vars/**/*.yml")]
    for path in files:
        for name in read(path):
            assert name.startswith((f"{role}_", f"__{role}_")), f"{path.relative_to(ROOT)}: {name}"


@pytest.mark.parametrize("role", [role for role in ROLES if role != "levibot"])
def test_roles_share_the_sites_variables(role):
    assert {"role": f"{COLLECTION}.levibot"} in read(ROOT / f"roles/{role}/meta/main.yml")["dependencies"]


# Plugins


@pytest.mark.parametrize(("kind", "name"), DOCUMENTED)
def test_plugins_are_documented(kind, name):
    found = documentation(kind)[f"{COLLECTION}.{name}"]
    doc = found["doc"]
    assert doc["short_description"]
    assert doc["description"]
    assert doc["version_added"]
    tasks = yaml.safe_load(found["examples"])
    assert isinstance(tasks, list), "EXAMPLES is a list of tasks"
    assert all(isinstance(task, dict) and task.get("name") for task in tasks)
    assert found["return"], "RETURN is missing"
    if kind == "module":
        assert any(f"{COLLECTION}.{name}" in task for task in tasks), "no example calls it by its full name"
        assert {"check_mode", "diff_mode"} <= set(doc["attributes"])


def test_actions_have_their_documentation_in_modules():
    actions = {path.stem for path in ROOT.glob("plugins/action/*.py")}
    assert actions <= {name for kind, name in DOCUMENTED if kind == "module"}


@pytest.mark.parametrize("path", SOURCES)
def test_sources_carry_their_licence(path):
    text = (ROOT / "plugins" / path).read_text()
    if text:
        assert "# SPDX-License-Identifier: GPL-3.0-or-later" in text
        assert "GNU General Public License v3.0+" in text
        body = [node for node in ast.parse(text).body if not isinstance(node, (ast.Expr, ast.Assign))]
        assert not body or "from __future__ import annotations" in text


def imports_of(path):
    """The absolute names that a file imports."""
    here = f"{PREFIX}.{path.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}"
    package = here if path.endswith("__init__.py") else here.rpartition(".")[0]
    for node in ast.walk(ast.parse((ROOT / "plugins" / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def forbidden(path):
    """Dependencies point one way: actions and modules to module_utils, and there neither gates to sources nor back."""
    if path.startswith(("module_utils/", "modules/")):
        yield from (f"{PREFIX}.plugin_utils", f"{PREFIX}.action", "ansible.plugins", "ansible.utils", "ansible.errors")
    if path.startswith("module_utils/"):
        yield f"{PREFIX}.modules"
    for one, others in (
        ("gates", ("sources", "http", "edge", "ledger")),
        ("sources", ("gates", "edge", "ledger")),
        ("ledger", ("gates", "sources", "http", "edge")),
        ("edge", ("gates", "sources", "ledger")),
        ("evidence", ("gates", "ledger", "edge", "levibot")),
        ("proposals", ("gates", "edge", "levibot")),
        ("levibot", ("gates", "sources", "ledger", "edge")),
        ("trading", ("gates", "sources", "http", "ledger", "edge", "levibot", "plan", "evidence")),
    ):
        if path.startswith(f"module_utils/{one}/"):
            yield from (f"{PREFIX}.module_utils.{other}" for other in others)


@pytest.mark.parametrize("path", SOURCES)
def test_dependencies_point_one_way(path):
    wrong = [name for name in imports_of(path) for prefix in forbidden(path) if f"{name}.".startswith(f"{prefix}.")]
    assert not wrong


# Playbooks


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_playbooks_are_playbooks(playbook):
    done = ansible("ansible-playbook", "--syntax-check", playbook)
    assert done.returncode == 0, done.stderr
