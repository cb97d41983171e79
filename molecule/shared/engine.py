#!/usr/bin/env python3
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scenario's images, made of one static program, and the removal of all that a scenario leaves in the engine.

engine.py publish 127.0.0.1:28100 v1.7.0 v1.8.0-beta:unhealthy
engine.py share 127.0.0.1:28100 v1.7.0
engine.py clean 127.0.0.1:28100 levibot-molecule-environment
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import docker
import docker.errors

DEBIAN = Path(__file__).parents[2] / ".venv/debian"
PORTS = {"api": 8000, "panel": 80}
APPLETS = ("sh", "httpd", "wget")


def busybox() -> bytes:
    for path in (DEBIAN / "usr/bin/busybox", DEBIAN / "bin/busybox"):
        if path.exists():
            return path.read_bytes()
    raise SystemExit(f"no busybox in {DEBIAN}: make setup")


def root_file_system(service: str, version: str, *, healthy: bool) -> bytes:
    """A shell, a web server and what it serves: 2 MB, and no registry was asked."""
    files = {"bin/busybox": busybox(), "www/index.html": f"{service} {version}\n".encode()}
    if healthy:
        files["www/health"] = b"ok\n"
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
        for applet in APPLETS:
            member = tarfile.TarInfo(f"bin/{applet}")
            member.type, member.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(member)
    return output.getvalue()


def commands(service: str, version: str) -> list[str]:
    # The first process of a container ignores SIGTERM unless it says otherwise.
    run = f"echo {service} {version} starts; trap exit TERM; httpd -f -p {PORTS[service]} -h /www & wait"
    return ["ENV PATH=/bin", f"CMD {json.dumps(['sh', '-c', run])}"]


def publish(client: Any, registry: str, release: str) -> None:
    version, _, how = release.partition(":")
    for service in PORTS:
        repository = f"{registry}/levibot/{service}"
        content = root_file_system(service, version, healthy=how != "unhealthy")
        client.api.import_image_from_data(content, repository=repository, tag=version, changes=commands(service, version))
        for line in client.images.push(repository, tag=version, stream=True, decode=True):
            if "error" in line:
                raise SystemExit(f"cannot push {repository}:{version}: {line['error']}")
        # As on a site: the release is in the registry, and the app host has to fetch it.
        client.images.remove(f"{repository}:{version}")


def share(client: Any, registry: str, version: str) -> None:
    """Another product has the very image of a release, and one more an image with the same layers."""
    client.images.get(f"{registry}/levibot/api:{version}").tag(f"{registry}/other/same-image", "1")
    content = root_file_system("api", version, healthy=True)
    client.api.import_image_from_data(content, repository=f"{registry}/other/same-layers", tag="1", changes=["ENV PATH=/bin"])


def clean(client: Any, registry: str, project: str) -> None:
    for slot in ("blue", "green"):
        ours = {"label": f"com.docker.compose.project={project}-{slot}"}
        for container in client.containers.list(all=True, filters=ours):
            container.remove(force=True, v=True)
        for network in client.networks.list(filters=ours):
            network.remove()
    for image in client.api.images():
        for name in [*(image["RepoTags"] or []), *(image["RepoDigests"] or [])]:
            if name.startswith(f"{registry}/"):
                with contextlib.suppress(docker.errors.ImageNotFound):  # a repository's last tag takes its digests along
                    client.images.remove(name, force=True)


def main(command: str, registry: str, *arguments: str) -> None:
    client = docker.from_env(timeout=30)
    for argument in arguments:
        {"publish": publish, "share": share, "clean": clean}[command](client, registry, argument)


if __name__ == "__main__":
    main(*sys.argv[1:])
