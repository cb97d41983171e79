# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phase 1's release on a real Git remote, a real engine and a real registry that wants a login, with two build hosts."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.levibot.transition.plugins.module_utils.docker_engine import Engine
from ansible_collections.levibot.transition.plugins.module_utils.ledger.store import Ledger
from ansible_collections.levibot.transition.plugins.module_utils.release.registry import look
from tests.integration.daemons import CHECKOUT, RegistryDaemon, free_port, wait_for
from tests.integration.test_release_source import Repository

VERSION = "v1.8.0-beta"
USER, SECRET = "levi", "s3cret-pass"
# Of that password, with bcrypt, which is all that the registry takes.
HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuuV7fpPozvyqJfnY19y0802WTlXUm6Rjy\n"
MEMORY = Path("/dev/shm")  # noqa: S108  where the role keeps the login
# What a push of several seconds would be on a real line: a layer that does not compress.
LAYER_BYTES = 3_000_000


class Wire:
    """The registry's address: hands everything on to the registry, and tells what passes, so that faults come at a chosen moment."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.port = free_port()
        # What happens when the first layer's data comes, and when the first manifest does, without which there is no tag.
        self.on: dict[str, Callable[[], object]] = {}
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._server.accept()[0]
                try:
                    registry = socket.create_connection(("127.0.0.1", self._to), timeout=5)
                except OSError:
                    client.close()
                    continue
                registry.settimeout(None)
                for source, target, watched in ((client, registry, True), (registry, client, False)):
                    threading.Thread(target=self._copy, args=(source, target, watched), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, watched: bool) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                request = re.match(rb"(PATCH|PUT) /v2/\S+/(?:blobs|(manifests))/", chunk) if watched else None
                what = "" if not request else "manifest" if request[2] else "layer" if request[1] == b"PATCH" else ""
                self.on.pop(what, bool)()
                target.sendall(chunk)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@dataclass
class Watch:
    """Everybody's command line and environment, sampled for as long as a run lasts."""

    needles: list[bytes]
    found: list[str] = field(default_factory=list)
    samples: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        content = (process / name).read_bytes()
                        self.samples += 1
                        if any(needle in content for needle in self.needles):
                            self.found.append(f"{process.name}/{name}: {content[:300]!r}")


SYSTEM_PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
COSIGN_SECRET = "the-password-of-a-key"
STAND_INS = {
    "syft": """printf '{"spdxVersion": "SPDX-2.3", "name": "%s"}' "$2" > "${4#spdx-json=}\"""",
    # Long enough to be seen by those who watch the process list.
    "cosign": f'sleep 0.5; [ "$(cat)" = "$(printf %s {COSIGN_SECRET[:4]} {COSIGN_SECRET[4:]})" ]',
}


class Site:
    """A product's repository, a registry, two build hosts and a ledger."""

    def __init__(self, folder: Path, registry: RegistryDaemon, wire: Wire) -> None:
        self.folder, self.registry, self.wire = folder, registry, wire
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "git").mkdir()
        self.repository = Repository(folder / "git")
        self.images = {service: f"127.0.0.1:{wire.port}/levibot/{service}" for service in ("api", "panel")}
        for service in self.images:
            (self.repository.path / f"{service}.bin").write_bytes(secrets.token_bytes(LAYER_BYTES))
            self.repository.write(f"Dockerfile.{service}", f'FROM scratch\nARG VERSION\nCOPY {service}.bin /\nCMD ["/{service}"]\n')
        self.repository.commit("Dockerfiles")
        self.repository.git("push", "--quiet", "origin", "main")
        self.ledger = folder / "home/ledger.db"
        self.project = f"test-{folder.parent.name}-{os.getpid()}"
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        services = {name: {"image": image, "port": 8000, "health": "/health"} for name, image in self.images.items()}
        variables = {
            "levibot_home": str(folder / "home"),
            "levibot_project": self.project,
            "levibot_version": VERSION,
            "levibot_services": services,
            "levibot_environment": {"DOCKER_CONFIG": str(CHECKOUT / ".venv/docker")},
            "ansible_async_dir": str(folder / "async"),
            "levibot_registry_username": USER,
            "levibot_registry_password": SECRET,
            "release_source": str(self.repository.path),
            "release_cosign_key": "/etc/levibot/cosign.key",
            "release_cosign_password": COSIGN_SECRET,
            "release_poll_seconds": 1,
            "release_retries": 0,
            "release_push_timeout_seconds": 20,
        }
        hosts = {name: {"hosts": {f"{name}-1": local}} for name in ("app_hosts", "edge_hosts")}
        equipped = {"levibot_environment": {**variables["levibot_environment"], "PATH": f"{self.tools()}:{SYSTEM_PATH}"}}
        builders = {"build_hosts": {"hosts": {"builder-1": {**local, **equipped}, "builder-2": local}}}
        (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"vars": variables, "children": {**hosts, **builders}}}))
        (folder / "hosts.yml").chmod(0o600)

    def tools(self) -> Path:
        """Stand-ins for syft and cosign, which come from no source that a test could take them from: they say what they were asked."""
        tools = self.folder / "tools"
        tools.mkdir()
        for name, script in STAND_INS.items():
            (tools / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {self.folder}/asked\n{script}\n')
            (tools / name).chmod(0o755)
        return tools

    def start(self, *options: str, **variables: Any) -> subprocess.Popen[bytes]:
        extra = self.folder / "extra.json"
        extra.write_text(json.dumps(variables))
        command = [Path(sys.executable).with_name("ansible-playbook"), "playbooks/phase1_predeploy.yml", "--tags", "release", "-v"]
        command += ["-i", self.folder / "hosts.yml", "-e", f"@{extra}", *options]
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "GIT_"))},
            "PATH": SYSTEM_PATH,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            # Whatever is written is written below, and looked through afterwards.
            "HOME": str(self.folder / "user"),
            "TMPDIR": str(self.folder / "tmp"),
        }
        for name in ("HOME", "TMPDIR"):
            Path(environment[name]).mkdir(exist_ok=True)
        with (self.folder / "output").open("wb") as output:
            self.process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=output, stderr=output, start_new_session=True)
        return self.process

    def run(self, *options: str, **variables: Any) -> tuple[int, str]:
        process = self.start(*options, **variables)
        process.wait(300)
        output = (self.folder / "output").read_text()
        assert SECRET not in output
        return process.returncode, output

    def logins(self) -> list[Path]:
        return list(MEMORY.glob(f"levibot-release-{self.project}-*"))

    def left(self) -> list[str]:
        """Files with the password in them, as it is or as Docker writes it, but for the inventory, where the operator has put it."""
        places = [self.folder, *self.logins()]
        files = (file for place in places for file in place.rglob("*") if file.is_file() and file.name not in ("hosts.yml", "htpasswd"))
        return [str(file) for file in files if any(needle in file.read_bytes() for needle in NEEDLES)]

    def looked(self) -> dict[str, dict[str, Any]]:
        login = {"username": USER, "password": SECRET}
        return {name: look(Engine(timeout=20), image, VERSION, login) for name, image in self.images.items()}

    def recorded(self) -> list[dict[str, Any]]:
        with Ledger(self.ledger, writable=False) as ledger:
            return [entry.data for entry in ledger.read(f"phase1-{VERSION}", "result")]

    def state(self) -> Any:
        with contextlib.suppress(OSError):
            return [self.repository.state(), self.recorded(), {name: seen["digest"] for name, seen in self.looked().items()}]
        return None


NEEDLES = [SECRET.encode(), COSIGN_SECRET.encode(), base64.b64encode(f"{USER}:{SECRET}".encode())]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("release")
    registry = RegistryDaemon(folder / "registry", HTPASSWD)
    wire = Wire(registry.port)
    registry.start()
    made = Site(folder, registry, wire)
    try:
        yield made
    finally:
        if made.process and made.process.poll() is None:
            os.killpg(made.process.pid, signal.SIGKILL)
            made.process.wait(10)
        registry.stop()
        wire.close()
        for login in made.logins():
            shutil.rmtree(login)
        names = [f"{image}:{tag}" for image in made.images.values() for tag in (VERSION, "other")]
        subprocess.run(["docker", "rmi", "--force", *names], capture_output=True, check=False)


def recap(output: str, what: str = "changed") -> list[int]:
    return [int(number) for number in re.findall(rf"^\S+ +: .*\b{what}=(\d+)", output, re.MULTILINE)]


@pytest.mark.timeout(900)  # seven runs, on whatever else the machine does
def test_a_release_from_first_look_to_second_run(site: Site) -> None:
    """One story, since each part of it begins where the one before has ended."""
    with Watch(NEEDLES) as watch:
        check_mode_changes_nothing(site)
        all_mistakes_come_at_once(site)
        a_registry_that_dies_in_mid_push_leaves_no_release(site)
        a_run_that_is_killed_in_mid_push_leaves_its_login_until_the_next(site)
        the_next_run_finishes(site)
        the_run_after_that_changes_nothing(site)
    assert watch.samples > 1000
    assert watch.found == []
    a_tag_that_was_moved_is_refused(site)


def check_mode_changes_nothing(site: Site) -> None:
    before = site.repository.state()
    rc, output = site.run("--check", "--diff")
    assert rc == 0, output
    assert "+## v1.8.0-beta" in output
    assert f"{site.images['api']}:{VERSION} from Dockerfile.api" in output
    assert sum(recap(output)) > 0
    assert site.repository.state() == before
    assert not site.ledger.exists()
    assert [seen["digest"] for seen in site.looked().values()] == ["", ""]
    assert site.logins() == []


def all_mistakes_come_at_once(site: Site) -> None:
    site.repository.write("forgotten.py", "x")
    before = site.repository.state()
    rc, output = site.run(levibot_registry_password="wrong-one", levibot_ledger_path="/proc/no/ledger.db")
    assert rc != 0
    message = output[output.rindex("found; v1.8.0-beta was not released, and nothing was changed") :]
    assert "not clean: forgotten.py" in message
    assert "levibot_services.api.image" in message
    assert "levibot_services.panel.image" in message
    assert "unauthorized" in message
    assert "levibot_registry_username on builder-1" in message
    assert "wrong-one" not in output
    assert site.repository.state() == before
    assert site.logins() == []
    (site.repository.path / "forgotten.py").unlink()


def a_registry_that_dies_in_mid_push_leaves_no_release(site: Site) -> None:
    site.wire.on["layer"] = site.registry.kill
    rc, output = site.run(release_push_timeout_seconds=10)
    assert rc != 0
    assert not site.wire.on, output
    assert "Push" in output
    assert site.recorded() == []
    assert site.logins() == []
    assert site.left() == []
    site.registry.start()


def a_run_that_is_killed_in_mid_push_leaves_its_login_until_the_next(site: Site) -> None:
    begun, killed = threading.Event(), threading.Event()
    process = site.start()
    # The engine may still be busy with what the run before has begun.
    wait_for(lambda: site.logins() or process.poll() is not None, "a login", seconds=100)
    assert process.poll() is None, (site.folder / "output").read_text()
    site.wire.on["manifest"] = lambda: (begun.set(), killed.wait(30))
    assert begun.wait(100), "no push was seen"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
    killed.set()
    assert site.recorded() == []
    assert site.logins(), "this is what the next run has to remove"
    for login in site.logins():
        assert login.stat().st_mode & 0o777 == 0o700


def the_next_run_finishes(site: Site) -> None:
    rc, output = site.run()
    assert rc == 0, output
    assert site.logins() == []
    assert site.left() == []

    head = site.repository.git("rev-parse", f"{VERSION}^{{commit}}", where=site.repository.remote)
    [record] = site.recorded()
    note = json.loads(site.repository.git("notes", "--ref=levibot-release", "show", VERSION, where=site.repository.remote))
    looked = site.looked()
    for service, image in site.images.items():
        digest = looked[service]["digest"]
        assert digest.startswith("sha256:")
        assert record["images"][service] == note["images"][service] == {"image": image, "digest": digest, "id": looked[service]["id"]}
        labels = looked[service]["labels"]
        assert labels["org.opencontainers.image.revision"] == head == record["revision"]
        assert labels["org.opencontainers.image.version"] == VERSION
        committed = int(site.repository.git("show", "--no-patch", "--format=%ct", head))
        assert labels["org.opencontainers.image.created"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(committed))
    assert record["tag"] == {"name": VERSION, "object": site.repository.git("rev-parse", VERSION), "signed": False}
    assert record["sbom"]["panel"] == {"reason": "neither syft nor trivy is installed on builder-2"}
    assert record["provenance"]["panel"] == {"reason": "cosign is not installed on builder-2"}
    subject = f"{site.images['api']}@{looked['api']['digest']}"
    asked = (site.folder / "asked").read_text()
    assert f"syft scan docker:{subject} --output spdx-json=" in asked
    assert "cosign attest --yes --key /etc/levibot/cosign.key --type slsaprovenance1 --predicate" in asked and f"{subject}\n" in asked
    assert COSIGN_SECRET not in asked + output
    for kind, tool in {"sbom": "syft", "provenance": "cosign"}.items():
        kept = (site.folder / "home" / f"{kind}-{VERSION}-api.json").read_bytes()
        assert record[kind]["api"] == {"file": f"{kind}-{VERSION}-api.json", "sha256": hashlib.sha256(kept).hexdigest(), "tool": tool}
    [source] = json.loads(kept)["buildDefinition"]["resolvedDependencies"]
    assert source["digest"] == {"gitCommit": head}


def the_run_after_that_changes_nothing(site: Site) -> None:
    before = site.state()
    rc, output = site.run()
    assert rc == 0, output
    assert sum(recap(output)) == 0, output
    assert site.state() == before


def a_tag_that_was_moved_is_refused(site: Site) -> None:
    config = site.folder / "docker"
    config.mkdir()
    login = {"auths": {f"127.0.0.1:{site.wire.port}": {"auth": base64.b64encode(f"{USER}:{SECRET}".encode()).decode()}}}
    (config / "config.json").write_text(json.dumps(login))
    image = f"{site.images['api']}:{VERSION}"
    released = site.looked()["api"]["digest"]
    # Somebody pushes the panel's image under the API's tag.
    for command in (["tag", f"{site.images['panel']}:{VERSION}", image], ["push", "--quiet", image]):
        subprocess.run(["docker", "--config", config, *command], check=True, capture_output=True)
    (config / "config.json").unlink()
    before = site.state()
    rc, output = site.run()
    assert rc != 0
    assert f"was released as {released}" in output
    assert recap(output) == [0, 0, 0]
    assert site.state() == before
