# SPDX-License-Identifier: GPL-3.0-or-later
"""The other end of the supported ansible-core range, in an environment of its own: unit tests and every playbook's syntax."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from ansible.release import __version__ as running

ROOT = Path(__file__).resolve().parents[2]
OLDEST, NEWEST = "2.19.*", "2.21.*"
NEWEST_NEEDS = (3, 12)
TESTS_WITH = ("pytest", "pytest-timeout", "hypothesis")


def control_node_packages() -> list[str]:
    """What a control node needs, without the core itself, whose version is what is tested here."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    return [package for package in groups["control"] if not package.startswith("ansible-core")]


def interpreters() -> list[str]:
    """Pythons on the PATH, and those that a version manager keeps beside each other."""
    beside = [Path(sys.base_prefix).parent, *(Path(root) / "versions" for root in [os.environ.get("PYENV_ROOT")] if root)]
    kept = sorted({python for folder in beside for python in folder.glob("3.1*/bin/python3")}, reverse=True)
    return [*(f"python3.{minor}" for minor in (13, 12)), *map(str, kept)]


def usable(python: str) -> bool:
    ask = f"import sys, venv, ensurepip; sys.exit(sys.version_info < {NEWEST_NEEDS})"
    try:
        return subprocess.run([python, "-c", ask], capture_output=True, timeout=20, check=False).returncode == 0
    except OSError:
        return False


def other_end() -> tuple[str, str]:
    """Which core to test, and with which Python. Skips, with the reason, where the machine has no Python for it."""
    if not running.startswith("2.19."):
        return OLDEST, sys.executable
    found = next((python for python in interpreters() if usable(python)), None)
    if found is None:
        pytest.skip(f"ansible-core {NEWEST} is NOT tested: it needs Python 3.12 or newer with venv, and this machine has none")
    return NEWEST, found


@pytest.mark.timeout(600)
def test_the_other_end_of_the_range(tmp_path: Path):
    core, python = other_end()
    subprocess.run([python, "-m", "venv", tmp_path / "venv"], check=True, timeout=120)
    pinned = tmp_path / "constraints.txt"
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned.write_text("\n".join(line for line in lines if not line.startswith("ansible-core")), encoding="utf-8")
    own = tmp_path / "venv/bin"
    install = [own / "pip", "install", "--quiet", "--constraint", pinned, f"ansible-core=={core}", *control_node_packages(), *TESTS_WITH]
    subprocess.run(install, check=True, timeout=300)

    third_party = next((ROOT / ".venv/lib").glob("python3.*/site-packages"))
    environment = {
        **os.environ,
        "PATH": f"{own}:{os.environ['PATH']}",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": f"{ROOT / 'collections'}:{third_party}",
        "ANSIBLE_INVENTORY": str(ROOT / "inventories/sandbox"),
    }
    for playbook in sorted(ROOT.glob("playbooks/*.yml")):
        checked = subprocess.run(
            ["ansible-playbook", "--syntax-check", playbook],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = subprocess.run(
        # A few examples of each property: what is looked for is what Python or Ansible do otherwise.
        [own / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=few", "tests/unit/plugins"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout[-3000:]
    assert " passed" in tested.stdout
