# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a registry and an engine have of a release, and what follows from it. The Engine asks the registry, so that its proxies, mirrors and
certificates hold; what it said when it pushed is not believed."""

from __future__ import annotations

import base64
import binascii
import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.docker_engine import Engine, EngineError

HUB = "https://index.docker.io/v1/"
REVISION = "org.opencontainers.image.revision"
_HELPER_SECONDS = 20


def registry_of(repository: str) -> str:
    """The registry of an image, by the name under which its login is kept."""
    first, slash, _ = repository.partition("/")
    return first if slash and (re.search(r"[.:]", first) or first == "localhost") else HUB


def login_of(folder: Path, registry: str) -> dict[str, str]:
    """The login that the Docker configuration in the folder has for the registry; empty where it has none."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    helper = (config.get("credHelpers") or {}).get(registry) or config.get("credsStore")
    if helper:
        return _from_helper(helper, registry)
    kept = config.get("auths") or {}
    entry = kept.get(registry) or kept.get(f"https://{registry}") or {}
    try:
        user, colon, password = base64.b64decode(entry.get("auth") or "").decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return {}
    if entry.get("identitytoken"):
        return {"identitytoken": entry["identitytoken"], "serveraddress": registry}
    return {"username": user, "password": password, "serveraddress": registry} if colon else {}


def _from_helper(helper: str, registry: str) -> dict[str, str]:
    try:
        done = subprocess.run(
            [f"docker-credential-{helper}", "get"], input=registry, capture_output=True, text=True, check=False, timeout=_HELPER_SECONDS
        )
        answer = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}
    if answer.get("Username") == "<token>":
        return {"identitytoken": answer.get("Secret", ""), "serveraddress": registry}
    return {"username": answer["Username"], "password": answer["Secret"], "serveraddress": registry} if answer.get("Username") else {}


def look(engine: Engine, repository: str, tag: str, login: Mapping[str, str]) -> dict[str, Any]:
    """What the registry has under the tag, and what the engine knows of it. Labels and id are empty where it was never fetched."""
    found: dict[str, Any] = {"image": repository, "tag": tag, "digest": "", "id": "", "fetched": False, "labels": {}, "problem": ""}
    try:
        found["digest"] = engine.registry_digest(f"{repository}:{tag}", login)
        image = engine.image(f"{repository}@{found['digest']}") if found["digest"] else {}
    except EngineError as problem:
        found["problem"] = str(problem)
        return found
    if image:
        found.update(id=image["Id"], fetched=True, labels=(image.get("Config") or {}).get("Labels") or {})
    return found


def standing(looked: Mapping[str, Mapping[str, Any]], version: str, revision: str, recorded: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Which services are still to be built, and what forbids it. ``recorded`` are the images of the release's records, by service."""
    records = [record for record in recorded if record]
    build, problems = [], []
    for service, seen in looked.items():
        name = f"{seen['image']}:{version}"
        wanted = {record[service]["digest"] for record in records if service in record}
        if seen["problem"]:
            found, fix = seen["problem"], "let the registry answer, and give the build hosts its login (levibot_registry_username)"
        elif len(wanted) > 1:
            found, fix = f"records of {version} that name different digests: {', '.join(sorted(wanted))}", "find out who wrote which"
        elif wanted and seen["digest"] not in wanted:
            found = f"{name} is {seen['digest'] or 'gone'} in the registry, and was released as {wanted.pop()}"
            fix = "find out who moved the tag and push the released image again, or release another version"
        elif wanted or (seen["digest"] and revision and seen["labels"].get(REVISION) == revision):
            continue
        elif seen["digest"] and revision and not seen["fetched"]:
            continue  # only in check mode, where nothing is fetched: it cannot be told yet
        elif seen["digest"]:
            theirs = seen["labels"].get(REVISION)
            found = f"{name} is in the registry already, built from {theirs or 'a revision that it does not name'}"
            found += f" and not from {revision}" if revision else ", and Git has no such release"
            fix = "a tag is never replaced: release another version"
        else:
            build.append(service)
            continue
        problems.append({"path": f"levibot_services.{service}.image", "found": found, "fix": fix})
    return {"build": build, "problems": problems}
