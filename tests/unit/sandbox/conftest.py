# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in needs is pinned apart from the project's own packages, since it runs on older Pythons: fetched here, once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
REQUIREMENTS = ROOT / "sandbox/levibot/requirements.txt"
VENDOR = ROOT / "build/test/standin"


def pytest_configure() -> None:
    done = VENDOR / ".requirements"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if not done.exists() or done.read_text(encoding="utf-8") != wanted:
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", VENDOR, "-r", REQUIREMENTS]
        subprocess.run(list(map(str, install)), check=True, timeout=300)
        done.write_text(wanted, encoding="utf-8")
    sys.path.append(str(VENDOR))  # behind the environment's own packages
