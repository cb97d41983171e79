# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few calls of the Docker Engine's API that an emergency or a look at a registry needs, over its socket.

The docker command line takes a third of a second a call, and the SDK may not be there. Every call is bounded in time.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

DEFAULT_HOST = "unix:///var/run/docker.sock"
RUNNING, PAUSED, RESTARTING = "running", "paused", "restarting"


class EngineError(Exception):
    """The engine did not do it; the message says what it said."""


@dataclass(frozen=True)
class Container:
    """One container of a Compose service."""

    id: str
    name: str
    project: str
    state: str
    address: str  # empty where it has none of its own, as with the host's network or when it is not running


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """The engine at a DOCKER_HOST: unix:// or tcp:// (without TLS)."""

    def __init__(self, host: str = "", timeout: float = 5.0) -> None:
        self._where = host or DEFAULT_HOST
        self._timeout = timeout
        parts = urlsplit(self._where)
        if parts.scheme not in ("unix", "tcp") or not (parts.path if parts.scheme == "unix" else parts.hostname):
            raise EngineError(f"DOCKER_HOST={self._where}: write unix:///path/to/docker.sock, or tcp://host:port, in levibot_environment")
        self._parts = parts

    @property
    def is_here(self) -> bool:
        """Whether its processes may be this host's."""
        return self._parts.scheme == "unix"

    def containers(self, project: str, service: str) -> list[Container]:
        """All containers of one service of a project, running or not."""
        labels = [f"com.docker.compose.project={project}", f"com.docker.compose.service={service}"]
        found = self._call("GET", "/containers/json", {"all": "true", "filters": json.dumps({"label": labels})})
        return sorted((_container(item, project) for item in found), key=lambda container: container.name)

    def inspect(self, container: str) -> Mapping[str, Any]:
        """The container's state: Status, Running, Paused, Pid. Empty where it is gone."""
        try:
            return self._call("GET", f"/containers/{quote(container)}/json")["State"]
        except _GoneError:
            return {}

    def pause(self, container: str) -> None:
        self._call("POST", f"/containers/{quote(container)}/pause")

    def end(self, container: str) -> None:
        """SIGKILL, after which it stays down, whatever its restart policy: a SIGTERM would let it act once more."""
        self._call("POST", f"/containers/{quote(container)}/kill", {"signal": "KILL"})

    def stop(self, container: str) -> None:
        """For what is between two restarts, where there is no process to be killed."""
        self._call("POST", f"/containers/{quote(container)}/stop", {"t": "0"})

    def registry_digest(self, image: str, login: Mapping[str, str] | None = None) -> str:
        """The digest that the registry has for ``repository:tag`` now; empty where it has no such tag. Nothing is fetched."""
        headers = {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(dict(login or {})).encode()).decode("ascii")}
        try:
            return self._call("GET", f"/distribution/{quote(image)}/json", headers=headers)["Descriptor"]["digest"]
        except _GoneError:
            return ""

    def image(self, name: str) -> Mapping[str, Any]:
        """An image that the engine has, by any of its names. Empty where it has none."""
        try:
            return self._call("GET", f"/images/{quote(name)}/json")
        except _GoneError:
            return {}

    def _call(self, method: str, path: str, query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Any:
        target = path + (f"?{urlencode(query)}" if query else "")
        connection = self._connection()
        try:
            connection.request(method, target, headers={"Host": "localhost", **(headers or {})})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            raise EngineError(f"the Docker Engine at {self._where} does not answer to {method} {path}: {problem}") from problem
        finally:
            connection.close()
        if answer.status == http.HTTPStatus.NOT_FOUND:
            raise _GoneError(f"{path} is gone")
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise EngineError(f"{method} {path} answered {answer.status}: {_message(body)}")
        return json.loads(body) if body else None

    def _connection(self) -> http.client.HTTPConnection:
        if self._parts.scheme == "unix":
            return _UnixConnection(self._parts.path, self._timeout)
        return http.client.HTTPConnection(self._parts.hostname or "", self._parts.port or 2375, timeout=self._timeout)


class _GoneError(EngineError):
    pass


def _container(item: Mapping[str, Any], project: str) -> Container:
    networks = (item.get("NetworkSettings") or {}).get("Networks") or {}
    addresses = [network.get("IPAddress") or network.get("GlobalIPv6Address") or "" for network in networks.values()]
    name = (item.get("Names") or [item["Id"][:12]])[0].lstrip("/")
    on_host = (item.get("HostConfig") or {}).get("NetworkMode") == "host"
    return Container(item["Id"], name, project, item["State"], next(filter(None, addresses), "127.0.0.1" if on_host else ""))


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
