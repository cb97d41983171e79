# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in needs is pinned apart from the project's own packages, since it runs on older Pythons: fetched here, once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "sandbox/levibot/requirements.txt"
VENDOR = ROOT / "build/test/standin"


def vendor() -> Path:
    """The directory that holds the packages."""
    done = VENDOR / ".requirements"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if not done.exists() or done.read_text(encoding="utf-8") != wanted:
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", VENDOR, "-r", REQUIREMENTS]
        subprocess.run(list(map(str, install)), check=True, timeout=300)
        done.write_text(wanted, encoding="utf-8")
    return VENDOR
