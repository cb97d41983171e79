# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LeviBot's Git repository with its remote, as a release finds it: the stand-in, and the packages that it is built with."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import images
from shared import DATA, RUN, STATE, Settings, tree_digest

REPOSITORY = STATE / "repository"
REMOTE = STATE / "remote.git"
LEDGER = STATE / "levibot/ledger.db"
# The same source is the same commit.
DATES = {"GIT_AUTHOR_DATE": "2025-09-18T08:00:00+00:00", "GIT_COMMITTER_DATE": "2025-09-18T08:00:00+00:00"}


def ensure(settings: Settings) -> None:
    """Make it of the stand-in's files. Where these have changed, what was released of the old ones is forgotten with them."""
    stamp = RUN / "repository.made"
    wanted = tree_digest(images.SOURCE, Path(__file__))
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted and REPOSITORY.exists() and REMOTE.exists():
        return
    stamp.unlink(missing_ok=True)
    with images.told("LeviBot's repository, and its remote"):
        forget(settings.versions[1])
        shutil.copytree(images.SOURCE, REPOSITORY, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(images.VENDOR, REPOSITORY / "vendor", ignore=shutil.ignore_patterns("__pycache__"))
        git("init", "--quiet", "--initial-branch=main", ".")
        # A release commits here as whoever runs it.
        git("config", "user.name", "LeviBot")
        git("config", "user.email", "levibot@localhost")
        for signs in ("commit", "tag"):
            git("config", f"{signs}.gpgSign", "false")  # as the user may have it for his own work
        git("add", "--all", "--force")
        git("commit", "--quiet", "--message", f"LeviBot after {settings.versions[0]}")
        git("init", "--quiet", "--bare", "--initial-branch=main", str(REMOTE))
        git("remote", "add", "origin", str(REMOTE))
        git("push", "--quiet", "origin", "main")
    stamp.write_text(wanted, encoding="ascii")


def forget(version: str) -> None:
    """A site would release another version. The sandbox has just one, and makes it anew."""
    for place in (REPOSITORY, REMOTE):
        shutil.rmtree(place, ignore_errors=True)
    for service in images.SERVICES:
        shutil.rmtree(DATA / f"registry/docker/registry/v2/repositories/levibot/{service}/_manifests/tags/{version}", ignore_errors=True)
    for file in LEDGER.parent.glob(f"{LEDGER.name}*"):
        file.unlink()


def git(*arguments: str) -> None:
    subprocess.run(["git", "-C", REPOSITORY, *arguments], check=True, capture_output=True, text=True, env={**os.environ, **DATES})
