#!/usr/bin/env python3
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dependency groups of pyproject.toml: print one for pip, or pin all of them in constraints.txt.

lock.py requirements sandbox            # lines for `pip install -r`, for a pip without --group
lock.py constraints python3.11 python3.13   # resolve with each interpreter (3.11 or newer, with pip) and write constraints.txt
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# Every package of every dependency group in pyproject.toml, pinned. Written by `make constraints`; do not edit.
# A line without a marker was resolved alike on: {versions}
"""


def requirements(group: str, groups: dict[str, list[Any]]) -> list[str]:
    lines: list[str] = []
    for entry in groups[group]:
        lines += requirements(entry["include-group"], groups) if isinstance(entry, dict) else [entry]
    return lines


def resolve(python: str, wanted: list[str]) -> tuple[str, dict[str, str]]:
    """What pip would install on this interpreter, from nothing."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as report:
        command = [python, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", report.name, *wanted]
        subprocess.run(command, check=True)
        answer = json.load(report)
    environment = answer["environment"]["python_version"]
    names = {re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower(): item["metadata"]["version"] for item in answer["install"]}
    return environment, names


def constraints(resolved: dict[str, dict[str, str]]) -> str:
    """One line a package where all interpreters agree, else one a version with the interpreters it is for."""
    versions = sorted(resolved, key=lambda text: tuple(map(int, text.split("."))))
    lines = []
    for name in sorted(set().union(*resolved.values())):
        pins: dict[str, list[str]] = {}
        for version in versions:
            if name in resolved[version]:
                pins.setdefault(resolved[version][name], []).append(version)
        for pin, pythons in pins.items():
            lines.append(f"{name}=={pin}" + ("" if pythons == versions else marker(pythons, versions)))
    return HEADER.format(versions=", ".join(versions)) + "\n".join(lines) + "\n"


def marker(pythons: list[str], versions: list[str]) -> str:
    """The resolved interpreters are the ends of a range: what holds for the newest holds for later ones, too."""
    if len(pythons) == 1 and pythons[0] not in (versions[0], versions[-1]):
        return f'; python_version == "{pythons[0]}"'
    lower = [] if pythons[0] == versions[0] else [f'python_version >= "{pythons[0]}"']
    upper = [] if pythons[-1] == versions[-1] else [f'python_version <= "{pythons[-1]}"']
    return "; " + " and ".join(lower + upper)


def main(arguments: list[str]) -> int:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    match arguments:
        case ["requirements", group]:
            print("\n".join(requirements(group, groups)))
        case ["constraints", *pythons] if pythons:
            wanted = sorted({line for group in groups for line in requirements(group, groups)})
            resolved = dict(resolve(python, wanted) for python in pythons)
            (ROOT / "constraints.txt").write_text(constraints(resolved), encoding="utf-8")
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
