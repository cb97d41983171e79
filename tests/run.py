#!/usr/bin/env python3
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs stages of the tests, all of them whatever the others say, and closes with a summary: run.py lint unit molecule"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv/bin"
REPORTS = ROOT / "build/test"
# Side by side on two cores. More lanes would only wait for each other, and niceness tells none apart: Ansible's workers are sessions
# of their own, among which Linux shares out its processors alike.
LANES = (("e2e",), ("lint", "unit", "molecule", "integration"))
PLUGIN_KINDS = {
    "modules": "module",
    "filter": "filter",
    "test": "test",
    "callback": "callback",
    "inventory": "inventory",
    "lookup": "lookup",
}


@dataclass(frozen=True)
class Step:
    """One command of a stage. With a JUnit file, its cases are what is counted."""

    stage: str
    name: str
    command: list[str]
    junit: Path | None = None
    quiet: bool = False


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0

    def add(self, other: Count) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.seconds += other.seconds


def lint() -> Iterator[Step]:
    yield Step("lint", "ruff check", ["ruff", "check"])
    yield Step("lint", "ruff format", ["ruff", "format", "--check"])
    yield Step("lint", "yamllint", ["yamllint", "--strict", "."])
    yield Step("lint", "ansible-lint", ["ansible-lint", "--offline", "--strict"])
    for playbook in [*sorted(ROOT.glob("playbooks/*.yml")), *sorted(ROOT.glob("sandbox/*.yml"))]:
        name = str(playbook.relative_to(ROOT))
        yield Step("lint", f"syntax of {name}", ["ansible-playbook", "--syntax-check", name], quiet=True)
    for folder, kind in PLUGIN_KINDS.items():
        names = sorted(
            {path.stem for path in ROOT.glob(f"plugins/{folder}/*.*") if path.suffix in {".py", ".yml"} and path.stem != "__init__"}
        )
        documented = [f"levibot.transition.{name}" for name in names]
        if documented:
            yield Step("lint", f"ansible-doc of {folder}", ["ansible-doc", "--type", kind, *documented], quiet=True)
    if (ROOT / "changelogs/config.yaml").exists():
        yield Step("lint", "changelog fragments", ["antsibull-changelog", "lint"])


def molecule() -> Iterator[Step]:
    for scenario in sorted(ROOT.glob("molecule/*/molecule.yml")):
        name = scenario.parent.name
        yield Step("molecule", name, ["molecule", "test", "--scenario-name", name])


def with_pytest(stage: str) -> Iterator[Step]:
    if (ROOT / "tests" / stage).is_dir():
        junit = REPORTS / f"{stage}.xml"
        side_by_side = ["--numprocesses=2", "--dist=loadfile"] if stage == "integration" else []
        yield Step(stage, "pytest", ["pytest", f"tests/{stage}", *side_by_side, "--durations=8", f"--junitxml={junit}"], junit)


def steps(stage: str) -> list[Step]:
    match stage:
        case "lint":
            return list(lint())
        case "molecule":
            return list(molecule())
        case "unit" | "integration" | "e2e":
            return list(with_pytest(stage))
        case _:
            raise SystemExit(f"no stage {stage!r}: lint, unit, integration, molecule, e2e")


def run(step: Step, environment: dict[str, str]) -> Count:
    """Says what a step prints when it has ended, so that lanes do not mix."""
    if step.junit:
        step.junit.unlink(missing_ok=True)
    began = time.monotonic()
    done = subprocess.run(step.command, check=False, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = "" if step.quiet and not done.returncode else done.stdout
    print(f"\n--- {step.stage}: {step.name} ({time.monotonic() - began:.0f} s)\n{said}", end="", flush=True)
    count = cases(step.junit) if step.junit and step.junit.exists() else Count(passed=int(done.returncode == 0))
    if done.returncode and not count.failed:
        count.failed = 1  # a command that failed without a case that did, such as pytest that collected nothing
    count.seconds = time.monotonic() - began
    return count


def cases(junit: Path) -> Count:
    suites = list(ElementTree.parse(junit).iter("testsuite"))  # noqa: S314
    failed = sum(int(suite.get("failures", 0)) + int(suite.get("errors", 0)) for suite in suites)
    skipped = sum(int(suite.get("skipped", 0)) for suite in suites)
    total = sum(int(suite.get("tests", 0)) for suite in suites)
    return Count(total - failed - skipped, failed, skipped)


def main(stages: list[str]) -> int:
    REPORTS.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
        "DOCKER_CONFIG": str(ROOT / ".venv/docker"),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_HOME": str(ROOT / "build/ansible"),
        "ANSIBLE_REMOTE_TEMP": str(ROOT / "build/ansible/tmp"),
        "MOLECULE_COMMAND_BORDERS": "0",
        # Ansible leaves it to Python when a pipe or a file gets its lines, and tests wait for some.
        "PYTHONUNBUFFERED": "1",
    }
    counts = {stage: Count() for stage in stages}
    failures: list[str] = []

    def run_lane(lane: list[str]) -> None:
        for stage in lane:
            todo = steps(stage)
            if not todo:
                print(f"\n--- {stage}: nothing to run")
                counts[stage].skipped += 1
            for step in todo:
                count = run(step, environment)
                counts[stage].add(count)
                if count.failed:
                    failures.append(f"{stage}: {step.name}")

    lanes = [[stage for stage in lane if stage in stages] for lane in LANES]
    with ThreadPoolExecutor(len(lanes)) as pool:
        list(pool.map(run_lane, lanes))
    total = Count()
    print("\n--- summary")
    for stage, count in counts.items():
        print(f"{stage:14}{count.passed:5} passed {count.failed:4} failed {count.skipped:4} skipped {count.seconds:7.0f} s")
        total.add(count)
    for failure in failures:
        print(f"FAILED {failure}")
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
