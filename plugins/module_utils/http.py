# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small HTTP client on the standard library, for many small calls to few servers.

A gate asks the same few servers thousands of times, from the control node or from a target that has nothing but Python. A kept
``http.client`` connection costs a hundredth of what ``open_url`` costs. Every call is bounded in time, in tries and in bytes,
and no error names a secret.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

LOOPBACK = re.compile(r"localhost|.*\.localhost|127(\.\d{1,3}){3}|::1", re.IGNORECASE)
SECRET_PARAMETER = re.compile(r"token|key|secret|passw|auth|sign|credential|session", re.IGNORECASE)
HIDDEN = "***"
RETRIED_STATUSES = (502, 503, 504)
IDEMPOTENT = ("GET", "HEAD")
CHUNK_BYTES = 64 * 1024
SHOWN_CHARACTERS = 200
FORM_ESCAPES = {**{code: f"%{code:02X}" for code in (*range(32), *map(ord, "%&+;#"), 127)}, ord(" "): "+"}


class HttpError(Exception):
    """A call that brought no usable answer: where it went, what happened, and what to try. Holds no secret."""

    def __init__(self, url: str, what: str, fix: str = "", *, status: int | None = None, body: bytes = b"") -> None:
        super().__init__(f"{url}: {what}" + (f"; {fix}" if fix else ""))
        self.url = url
        self.what = what
        self.fix = fix
        self.status = status
        self.body = body


@dataclass(frozen=True)
class Response:
    """An answer with a status below 300."""

    target: SplitResult
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def url(self) -> str:
        return redact(urlunsplit(self.target))

    def json(self) -> Any:
        """The body as JSON; raises HttpError where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            what = f"answered {self.status} with something that is not JSON: {excerpt(self.body)!r}"
            raise HttpError(self.url, what, "check that the URL is the API's") from None


def redact(url: str) -> str:
    """The URL without user info, without the values of parameters that look secret, and short."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        query = "&".join(f"{key}={HIDDEN if SECRET_PARAMETER.search(key) else value}" for key, value in pairs)
    except ValueError:
        return "(not a URL)"
    query = query if len(query) <= SHOWN_CHARACTERS else query[:SHOWN_CHARACTERS] + "..."
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def excerpt(body: bytes) -> str:
    """The beginning of a body on one line."""
    text = " ".join(body[: 4 * SHOWN_CHARACTERS].decode("utf-8", "replace").split())
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."


class Client:
    """Calls with one set of credentials, on connections that are kept per server and thread.

    timeout: the most seconds that one try may take as a whole; a call's own deadline (of ``clock``) clips it further.
    retries: further tries of an idempotent call after a connection error or a 502, 503 or 504.
    token: sent as a bearer token. headers: sent with each call; a function is asked at each call, for tokens that are renewed.
    ca_file: PEM file of the CAs to trust instead of the system's.
    proxies: whether the environment's proxies are used; never where an address is a container's on this very host.
    """

    def __init__(
        self,
        *,
        timeout: float = 10.0,
        retries: int = 2,
        token: str | None = None,
        headers: Mapping[str, str] | Callable[[], Mapping[str, str]] | None = None,
        ca_file: str | None = None,
        verify: bool = True,
        proxies: bool = True,
        max_bytes: int = 64 * 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._timeout = timeout
        self._retries = retries
        self._token = token
        self._headers = headers
        self._ca_file = ca_file
        self._verify = verify
        self._proxies = proxies
        self._max_bytes = max_bytes
        self._clock = clock
        self._sleep = sleep
        self._local = threading.local()
        self._tls: ssl.SSLContext | None = None

    def get(self, url: str, params: Mapping[str, Any] | None = None, *, deadline: float | None = None) -> Response:
        return self.request("GET", url, params=params, deadline=deadline)

    def get_json(self, url: str, params: Mapping[str, Any] | None = None, *, deadline: float | None = None) -> Any:
        return self.get(url, params, deadline=deadline).json()

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        form: Mapping[str, Any] | None = None,
        json_body: Any = None,
        headers: Mapping[str, str] | None = None,
        deadline: float | None = None,
        retry: bool | None = None,
    ) -> Response:
        """One call, with retries where it is idempotent (``retry`` says so for a POST that only reads)."""
        target = _target(url)
        if params:
            added = urlencode(params, doseq=True)
            target = target._replace(query="&".join(part for part in (target.query, added) if part))
        body, content_type = _body(form, json_body)
        sent = {"Accept": "application/json", **content_type, **self._credentials(target), **(headers or {})}
        call = _Call(method, target, body, sent)
        tries = 1 + (self._retries if (method in IDEMPOTENT if retry is None else retry) else 0)
        for attempt in range(tries):
            try:
                return self._once(call, deadline, may_resend=tries > 1)
            except HttpError as problem:
                transient = problem.status in RETRIED_STATUSES or isinstance(problem.__cause__, ConnectionError)
                pause = 0.1 * 2**attempt
                if attempt == tries - 1 or not transient or (deadline is not None and self._clock() + pause >= deadline):
                    raise
                self._sleep(pause)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close this thread's connections. Those of other threads close with their threads."""
        for connection in self._kept().values():
            connection.close()
        self._kept().clear()

    def local_port(self) -> int | None:
        """This side's port of this thread's only kept connection; None where there is none, or more than one."""
        sockets = [connection.sock for connection in self._kept().values()]
        return sockets[0].getsockname()[1] if len(sockets) == 1 and sockets[0] is not None else None

    def _kept(self) -> dict[tuple[str, str, int], http.client.HTTPConnection]:
        if not hasattr(self._local, "connections"):
            self._local.connections = {}
        return self._local.connections

    def _credentials(self, target: SplitResult) -> dict[str, str]:
        sent = dict(self._headers() if callable(self._headers) else self._headers or {})
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        elif target.username is not None:
            pair = f"{unquote(target.username)}:{unquote(target.password or '')}"
            sent["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        return sent

    def _once(self, call: _Call, deadline: float | None, *, may_resend: bool) -> Response:
        until = self._clock() + self._timeout
        until = until if deadline is None else min(until, deadline)
        reused = call.key in self._kept()
        try:
            self._left(until)
            if not reused:
                self._kept()[call.key] = self._connect(call.target, until)
            return self._exchange(self._kept()[call.key], call, until)
        except HttpError:
            self._drop(call.key)
            raise
        except (ConnectionError, http.client.BadStatusLine) as problem:
            self._drop(call.key)
            if reused and may_resend:
                # The server closed a connection that idled since the last look; that says nothing about its health.
                return self._once(call, deadline, may_resend=may_resend)
            raise HttpError(call.shown, _words(problem), "check that the server runs and that this machine can reach it") from problem
        except (TimeoutError, socket.timeout) as problem:  # two classes before Python 3.10
            self._drop(call.key)
            raise HttpError(call.shown, "did not answer in the time that it was given", "check that the server is healthy") from problem
        except ssl.SSLError as problem:
            self._drop(call.key)
            raise HttpError(
                call.shown, f"TLS failed: {problem.reason or problem}", "check the certificate, or name its CA in ca_file"
            ) from problem
        except (OSError, http.client.HTTPException) as problem:
            self._drop(call.key)
            raise HttpError(call.shown, _words(problem), "check the address and the network") from problem

    def _connect(self, target: SplitResult, until: float) -> http.client.HTTPConnection:
        host, port = target.hostname or "", target.port or (443 if target.scheme == "https" else 80)
        proxy = None if LOOPBACK.fullmatch(host) or not self._proxies else _proxy(target.scheme, host)
        via, via_port = (proxy.hostname or "", proxy.port or 3128) if proxy else (host, port)
        connection: http.client.HTTPConnection
        if target.scheme == "https":
            connection = http.client.HTTPSConnection(via, via_port, timeout=self._left(until), context=self._context())
        else:
            connection = http.client.HTTPConnection(via, via_port, timeout=self._left(until))
        if proxy:
            # A tunnel for plain HTTP as well: the request line is then the same with and without a proxy.
            connection.set_tunnel(host, port)
        connection.connect()
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            try:
                self._tls = ssl.create_default_context(cafile=self._ca_file)
            except (OSError, ssl.SSLError) as problem:
                raise HttpError(str(self._ca_file), f"cannot be read as a CA file: {problem}", "name a PEM file") from problem
            if not self._verify:
                self._tls.check_hostname = False
                self._tls.verify_mode = ssl.CERT_NONE
        return self._tls

    def _exchange(self, connection: http.client.HTTPConnection, call: _Call, until: float) -> Response:
        self._limit(connection, until)
        connection.request(call.method, call.path, body=call.body, headers=call.headers)
        self._limit(connection, until)
        _acknowledge_at_once(connection)
        answer = connection.getresponse()
        content = bytearray()
        while chunk := answer.read1(CHUNK_BYTES):
            content += chunk
            if len(content) > self._max_bytes:
                raise HttpError(call.shown, f"answered more than {self._max_bytes // 1024} KiB", "ask for less at once")
            self._limit(connection, until)
        # read1() leaves an answer of known length open, and the connection cannot be used again before it is closed.
        answer.close()
        if answer.will_close:
            self._drop(call.key)
        if answer.status >= http.HTTPStatus.MULTIPLE_CHOICES:
            what = f"answered {answer.status} {answer.reason}: {_harmless(content, call.headers)!r}"
            raise HttpError(call.shown, what, _fix(answer.status), status=answer.status, body=bytes(content))
        return Response(call.target, answer.status, dict(answer.getheaders()), bytes(content))

    def _limit(self, connection: http.client.HTTPConnection, until: float) -> None:
        if connection.sock is not None:
            connection.sock.settimeout(self._left(until))

    def _left(self, until: float) -> float:
        left = until - self._clock()
        if left <= 0:
            raise TimeoutError
        return left

    def _drop(self, key: tuple[str, str, int]) -> None:
        connection = self._kept().pop(key, None)
        if connection is not None:
            connection.close()


@dataclass(frozen=True)
class _Call:
    """One request, the same for each try."""

    method: str
    target: SplitResult
    body: bytes | None
    headers: Mapping[str, str]

    @cached_property
    def key(self) -> tuple[str, str, int]:
        return self.target.scheme, self.target.hostname or "", self.target.port or 0

    @property
    def path(self) -> str:
        return urlunsplit(("", "", self.target.path or "/", self.target.query, ""))

    @property
    def shown(self) -> str:
        return redact(urlunsplit(self.target))


def _acknowledge_at_once(connection: http.client.HTTPConnection) -> None:
    """Some servers send head and body apart and wait for the first to be acknowledged, which Linux delays by 40 ms on a kept connection."""
    if connection.sock is not None and hasattr(socket, "TCP_QUICKACK"):
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


@lru_cache(maxsize=256)
def _target(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        port_is_valid = False
    if not port_is_valid or parts.scheme not in ("http", "https") or not parts.hostname:
        raise HttpError(redact(url), "is not a URL that can be asked", "write http://host:port or https://host:port")
    return parts


def _harmless(content: bytearray, headers: Mapping[str, str]) -> str:
    """The answer's beginning, without the credentials that some servers echo."""
    text = bytes(content[: 4 * SHOWN_CHARACTERS])
    for name, value in headers.items():
        if name not in ("Accept", "Content-Type") and value:
            text = text.replace(value.rpartition(" ")[2].encode(), HIDDEN.encode())
    return excerpt(text)


def _body(form: Mapping[str, Any] | None, json_body: Any) -> tuple[bytes | None, dict[str, str]]:
    if form is not None:
        return _form(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    if json_body is not None:
        return json.dumps(json_body).encode(), {"Content-Type": "application/json"}
    return None, {}


def _form(fields: Mapping[str, Any]) -> str:
    """Only what would be misread is escaped: quoting each character of long queries takes longer than to send them."""
    return "&".join(f"{key}={str(value).translate(FORM_ESCAPES)}" for key, value in fields.items())


def _proxy(scheme: str, host: str) -> SplitResult | None:
    url = None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(scheme)
    return urlsplit(url if "//" in url else f"//{url}") if url else None


def _words(problem: Exception) -> str:
    if isinstance(problem, ConnectionRefusedError):
        return "nothing listens there (connection refused)"
    if isinstance(problem, (http.client.BadStatusLine, ConnectionResetError, BrokenPipeError)):
        return "closed the connection without an answer"
    return f"cannot be reached ({getattr(problem, 'strerror', None) or type(problem).__name__})"


def _fix(status: int) -> str:
    if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return "check the token"
    if status == http.HTTPStatus.NOT_FOUND:
        return "check the path, and the prefix that the server listens under"
    if status < http.HTTPStatus.BAD_REQUEST:
        return "redirects are not followed, since they could carry a token elsewhere: give the final URL"
    return "" if status < http.HTTPStatus.INTERNAL_SERVER_ERROR else "check the server's log"
