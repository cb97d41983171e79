# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to a running Caddy: which slot answers, and what its counters say. Standard library only, bounded in time."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .split import COOKIE, SLOT_HEADER, SLOTS

REQUESTS = "caddy_http_request_duration_seconds_count"
_SERIES = re.compile(r"^" + REQUESTS + r"\{(?P<labels>.*)\} (?P<value>\S+)$", re.MULTILINE)
_HEADERS = re.compile(r'(?:^|,)handler="headers"(?:,|$)')
_SERVER = re.compile(r'(?:^|,)server="slot-(?P<slot>[a-z]+)"(?:,|$)')
MAX_BODY = 32 * 1024 * 1024


class ProbeError(Exception):
    """Nobody answered, or not HTTP."""


@dataclass(frozen=True)
class Answer:
    """An answer, and the slot that it came from, by its header."""

    status: int
    slot: str
    body: str


class Probe:
    """A URL that is asked again and again over one kept connection.

    host: the name to ask for, in the Host header and in TLS, where the URL has an address instead.
    """

    def __init__(self, url: str, *, timeout: float, host: str = "", validate_certs: bool = True) -> None:
        self.url = url
        self._timeout = timeout
        self._parts = urlsplit(url)
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname:
            raise ProbeError(f"{url!r} is no http or https URL")
        self._host = host
        self._context: Any = None
        if self._parts.scheme == "https":
            self._context = ssl.create_default_context()
            if not validate_certs:
                self._context.check_hostname = False
                self._context.verify_mode = ssl.CERT_NONE
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, bucket: int | None = None, path: str = "") -> Answer:
        """GET the URL (or another path of the same site), as a visitor with this bucket or as one without a cookie."""
        headers = {"User-Agent": "levibot.transition", "Accept": "*/*"}
        if self._host:
            headers["Host"] = self._host
        if bucket is not None:
            headers["Cookie"] = f"{COOKIE}={bucket:04x}"
        target = path or self._parts.path or "/"
        if self._parts.query and not path:
            target += f"?{self._parts.query}"
        try:
            return self._once(target, headers)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # A kept connection that the other side had closed meanwhile says nothing about the edge.
            self.close()
            return self._retried(target, headers)
        except (OSError, http.client.HTTPException) as exc:
            self.close()
            raise ProbeError(f"{self.url} could not be asked: {exc or type(exc).__name__}") from exc

    def close(self) -> None:
        """Let the connection go."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _retried(self, target: str, headers: dict[str, str]) -> Answer:
        try:
            return self._once(target, headers)
        except (OSError, http.client.HTTPException) as exc:
            self.close()
            raise ProbeError(f"{self.url} could not be asked: {exc or type(exc).__name__}") from exc

    def _once(self, target: str, headers: dict[str, str]) -> Answer:
        connection = self._connection = self._connection or self._connect()
        connection.request("GET", target, headers=headers)
        reply = connection.getresponse()
        body = reply.read(MAX_BODY)
        return Answer(reply.status, (reply.getheader(SLOT_HEADER) or "").strip(), body.decode("utf-8", "replace"))

    def _connect(self) -> http.client.HTTPConnection:
        name = str(self._parts.hostname)
        port = self._parts.port or (443 if self._context else 80)
        connection = http.client.HTTPConnection(name, port, timeout=self._timeout)
        sock = socket.create_connection((name, port), timeout=self._timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sock = self._context.wrap_socket(sock, server_hostname=self._host.split(":")[0] or name) if self._context else sock
        return connection


def slot_requests(metrics: str) -> dict[str, int]:
    """The requests that each slot's listener has counted, from Caddy's metrics. A slot without a series has had none.

    Caddy counts a request once for each handler on its way. In a slot's listener that is one, but for the header that the
    listener's own probe path has on top.
    """
    counted = dict.fromkeys(SLOTS, 0)
    for series in _SERIES.finditer(metrics):
        server = _SERVER.search(series["labels"])
        if server and server["slot"] in counted and not _HEADERS.search(series["labels"]):
            counted[server["slot"]] += int(float(series["value"]))
    return counted
