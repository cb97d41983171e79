# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox's images: a base made of Debian's packages, or one that the user names, and the stable release of the stand-in on top.

The candidate is made by Phase 1, as a site's is.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared import HERE, RUN, STATE, VENV, SandboxError, Settings, run_logged, tree_digest

SOURCE = HERE / "levibot"
VENDOR = STATE / "image/vendor"
# For the builds of a release.
BASE = RUN / "base-image"
SERVICES = ("api", "panel")
MANIFESTS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
# Where merged-usr Debian has links. Packages of Debian 12 still ship files under these names.
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
LEFT_OUT = ("usr/share/doc/", "usr/share/man/", "usr/share/info/", "usr/share/locale/", "usr/share/lintian/")


def ensure(settings: Settings) -> None:
    """Build and push what the registry does not hold in just this form."""
    stamp = RUN / "images.pushed"
    wanted = digest(settings)
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted and VENDOR.exists() and held(settings):
        return
    stamp.unlink(missing_ok=True)
    client = engine()
    with told(f"Base image: {settings.base_image or 'Debian packages'}"):
        base = settings.base_image or base_image(client, settings.project)
    BASE.write_text(base, encoding="ascii")
    with told(f"Images of LeviBot {settings.versions[0]}"):
        vendor()
        for service in SERVICES:
            publish(client, service, settings.versions[0], base, settings)
        # What a rebuilt tag has left behind; other products' images carry other labels.
        client.images.prune(filters={"dangling": True, "label": f"io.levibot.sandbox={settings.project}"})
    stamp.write_text(wanted, encoding="ascii")


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    print(f"==> {what}", flush=True)
    try:
        yield
    except SandboxError:
        raise
    except Exception as exc:  # the SDK's, requests' and tarfile's errors have no common ancestor
        raise SandboxError(f"{what} failed: {exc}") from exc


def digest(settings: Settings) -> str:
    base = settings.base_image or " ".join(path.name for path in packages())
    return hashlib.sha256(f"{settings}{base}{tree_digest(SOURCE, Path(__file__))}".encode()).hexdigest()


def held(settings: Settings) -> bool:
    """The registry's storage may have been removed under a stamp."""
    connection = http.client.HTTPConnection("127.0.0.1", settings.ports["registry"], timeout=5)
    for service in SERVICES:
        connection.request("HEAD", f"/v2/levibot/{service}/manifests/{settings.versions[0]}", headers={"Accept": MANIFESTS})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            return False
    return True


def engine() -> Any:
    import docker  # noqa: PLC0415 - 0.2 s that only a build has to spend

    return docker.from_env(timeout=120)


def packages() -> list[Path]:
    return sorted((VENV / "base").glob("*.deb"))


def base_image(client: Any, project: str) -> str:
    """Import a root file system of unpacked packages: the engine needs no registry, and nobody needs root."""
    tag = hashlib.sha256("".join(path.name for path in packages()).encode() + Path(__file__).read_bytes()).hexdigest()[:12]
    repository = f"{project}/base"
    if not client.images.list(name=f"{repository}:{tag}"):
        archive = STATE / "image/base.tar"
        archive.parent.mkdir(parents=True, exist_ok=True)
        with archive.open("wb") as output:
            root_file_system(output)
        client.api.import_image_from_file(str(archive), repository=repository, tag=tag)
        archive.unlink()
    return f"{repository}:{tag}"


def root_file_system(output: Any) -> None:
    """Merge the packages' archives into one, with what their maintainer scripts would have made."""
    seen: set[str] = set()
    accounts: dict[str, bytes] = {}
    with tarfile.open(fileobj=output, mode="w|") as root:
        for name in MERGED:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            root.addfile(link)
        seen.update(MERGED)
        for package in packages():
            # apt's choice of compression is dpkg's business.
            with (
                subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as unpacked,
                tarfile.open(fileobj=unpacked.stdout, mode="r|") as members,
            ):
                for member in members:
                    add(root, members, member, seen, accounts)
            if unpacked.returncode:
                raise SandboxError(f"dpkg-deb cannot read {package.name}\n  fix: remove .venv/.done/debian and try again")
        for name in ("passwd", "group"):
            add_bytes(root, f"etc/{name}", accounts[name])


def add(root: tarfile.TarFile, members: tarfile.TarFile, member: tarfile.TarInfo, seen: set[str], accounts: dict[str, bytes]) -> None:
    member.name = merged(member.name)
    if not member.name or (member.isdir() and member.name in seen) or member.name.startswith(LEFT_OUT) or member.name in MERGED:
        return
    seen.add(member.name)
    if member.islnk():
        member.linkname = merged(member.linkname)
    content = members.extractfile(member) if member.isreg() else None
    if member.name.startswith("usr/share/base-passwd/") and content:
        data = content.read()
        accounts[Path(member.name).stem] = data
        content = io.BytesIO(data)
    root.addfile(member, content)


def merged(name: str) -> str:
    name = name.removeprefix("./").rstrip("/")
    return f"usr/{name}" if name.partition("/")[0] in MERGED and "/" in name else name


def add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def vendor() -> None:
    """The stand-in's pure-Python packages, as a folder for the build context: no package index is asked from inside a build."""
    shutil.rmtree(VENDOR, ignore_errors=True)
    VENDOR.mkdir(parents=True)
    listed = SOURCE / "requirements.txt"
    if listed.exists():
        command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--no-compile"]
        run_logged([*command, "--only-binary=:all:", "--target", VENDOR, "-r", listed], "vendor.log")


def context() -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for place, name in ((SOURCE, "."), (VENDOR, "vendor")):
            archive.add(place, name, filter=reproducible)
    buffer.seek(0)
    return buffer


def reproducible(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """The same files are the same layer, whoever checked them out and when."""
    if "__pycache__" in member.name:
        return None
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def publish(client: Any, service: str, version: str, base: str, settings: Settings) -> None:
    repository = f"127.0.0.1:{settings.ports['registry']}/levibot/{service}"
    arguments = {"BASE_IMAGE": base, "VERSION": version}
    client.images.build(
        fileobj=context(),
        custom_context=True,
        dockerfile=f"Dockerfile.{service}",
        buildargs=arguments,
        labels={"io.levibot.sandbox": settings.project},
        tag=f"{repository}:{version}",
        network_mode="none",  # no step may need one
        rm=True,
    )
    for line in client.images.push(repository, tag=version, stream=True, decode=True):
        if "error" in line:
            raise SandboxError(f"cannot push {repository}:{version}: {line['error']}")


if __name__ == "__main__":
    os.chdir(HERE.parent)
    ensure(Settings.load())
