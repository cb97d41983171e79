# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Phase 1's checklist rests on where there is no soak test, no scanner and no on-call rotation: files in the field's forms.

The backups are real ones, of the sandbox's own data. The reports are made up, and say so.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import shutil
import subprocess
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import images
from repository import REPOSITORY
from shared import STATE, SandboxError, Settings

EVIDENCE = STATE / "evidence"
MADE_UP = "made up by the sandbox, which soaks and scans nothing"
HOUR = timedelta(hours=1)


def make(settings: Settings) -> None:
    """Young enough for a GO, at each call anew."""
    now = datetime.now(UTC)
    version = settings.versions[1]
    revision = subprocess.run(["git", "-C", REPOSITORY, "rev-parse", f"{version}^{{commit}}"], check=False, capture_output=True, text=True)
    if revision.returncode:
        raise SandboxError(f"{version} is not released yet\n  fix: sandbox/sandbox.py release")
    shutil.rmtree(EVIDENCE, ignore_errors=True)
    (EVIDENCE / "backups").mkdir(parents=True)
    save("soak.json", soak(version, revision.stdout.strip(), now))
    for service in images.SERVICES:
        save(f"trivy-{service}.json", trivy(service, version, settings, now))
    save("pip-audit.json", pip_audit())
    (EVIDENCE / "on-call.ics").write_text(on_call(now), encoding="ascii")
    for name, content in backups(now).items():
        (EVIDENCE / "backups" / name).write_bytes(content)
        (EVIDENCE / "backups" / f"{name}.sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  {name}\n", encoding="ascii")


def save(name: str, document: dict[str, Any]) -> None:
    (EVIDENCE / name).write_text(json.dumps({"note": MADE_UP, **document}, indent=2) + "\n", encoding="utf-8")


def soak(version: str, revision: str, now: datetime) -> dict[str, Any]:
    return {
        "version": version,
        "revision": revision,
        "started_at": (now - 26 * HOUR).isoformat(),
        "ended_at": (now - HOUR).isoformat(),
        "crashes": 0,
        "slos": {"api_uptime": "99.97%", "error_rate": "0.02%", "latency_p95": "87ms"},
    }


def trivy(service: str, version: str, settings: Settings, now: datetime) -> dict[str, Any]:
    """As of the image that the registry has."""
    repository = f"127.0.0.1:{settings.ports['registry']}/levibot/{service}"
    connection = http.client.HTTPConnection("127.0.0.1", settings.ports["registry"], timeout=5)
    connection.request("HEAD", f"/v2/levibot/{service}/manifests/{version}", headers={"Accept": images.MANIFESTS})
    digest = connection.getresponse().headers["Docker-Content-Digest"]
    return {
        "SchemaVersion": 2,
        "CreatedAt": now.isoformat(),
        "ArtifactName": f"{repository}:{version}",
        "Metadata": {"RepoDigests": [f"{repository}@{digest}"]},
        "Results": [{"Target": f"{repository}:{version} (debian)", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": []}],
    }


def pip_audit() -> dict[str, Any]:
    listed = [line.split("==") for line in (images.SOURCE / "requirements.txt").read_text(encoding="utf-8").split() if "==" in line]
    return {"dependencies": [{"name": name, "version": version, "vulns": []} for name, version in listed], "fixes": []}


def on_call(now: datetime) -> str:
    begin, end = ((now + timedelta(days=days)).strftime("%Y%m%dT%H%M%SZ") for days in (-1, 7))
    event = ["BEGIN:VEVENT", "UID:on-call@levibot-sandbox", f"DTSTAMP:{begin}", f"DTSTART:{begin}", f"DTEND:{end}", "SUMMARY:Sam Sandbox"]
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//levibot.transition//sandbox//EN", *event, "END:VEVENT", "END:VCALENDAR", ""]
    return "\r\n".join(lines)


def backups(now: datetime) -> dict[str, bytes]:
    """The stable slot's data, as far as it can be read, and the product's files."""
    day = now.strftime("%Y-%m-%d")
    data = b"".join(path.read_bytes() for path in sorted(STATE.glob("levibot/slots/*/data/*")) if readable(path))
    configs = io.BytesIO()
    with tarfile.open(fileobj=configs, mode="w:gz") as archive:
        archive.add(images.SOURCE, "levibot")
    return {f"analytics_{day}.duckdb.gz": gzip.compress(data), f"configs_{day}.tar.gz": configs.getvalue()}


def readable(path: Path) -> bool:
    try:
        return path.is_file() and path.open("rb").close() is None
    except OSError:
        return False
