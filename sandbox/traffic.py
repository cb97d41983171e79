# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""A steady source of traffic for the sandbox's edge: `python3 traffic.py --url http://127.0.0.1:19080 --stats-file stats.json`.

Requests leave at a fixed rate, however slow the answers are (an open loop), for otherwise a slot that hangs would be asked less
and look better than it is. Most are API clients without a cookie; the rest are visitors, who keep the edge's cookie and so
their slot. Nothing is tried twice: what fails is counted, by reason.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

API_PATHS = ("/health", "/ai/models", "/paper/portfolio", "/risk/summary")
VISITOR_PATHS = ("/", "/", "/paper/portfolio", "/risk/summary")
COOKIE = "levibot_bucket"
SLOT_HEADER = "x-levibot-slot"

_STATUS_LINE = re.compile(r"HTTP/1\.[01] ([1-5][0-9]{2})\b")
_VISITOR_SHARE = 0.25
_NEW_CONNECTION_SHARE = 0.05
_VISITORS = 60
_VISITS = 300  # requests until a visitor leaves and a new one without a cookie comes
_IN_FLIGHT = 600  # beyond it requests are not sent: a bound on memory, not a part of the load
_IDLE_SECONDS = 20.0  # below every proxy's own, so that no connection is closed while we ask on it


class BrokenAnswer(Exception):  # noqa: N818 - what was seen
    """Not HTTP, or cut short."""


@dataclass
class Answer:
    status: int
    headers: dict[str, str]

    @property
    def keeps_alive(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"

    def cookie(self, name: str) -> str | None:
        first = self.headers.get("set-cookie", "").split(";")[0]
        key, _, value = first.partition("=")
        return value if key.strip() == name else None


def parse_head(head: bytes) -> Answer:
    status_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    found = _STATUS_LINE.match(status_line)
    if not found:
        raise BrokenAnswer(status_line[:60])
    fields = (line.partition(":") for line in lines)
    return Answer(int(found[1]), {name.strip().lower(): value.strip() for name, _, value in fields})


@dataclass
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    idle_since: float = 0.0

    async def get(self, request: bytes) -> Answer:
        self.writer.write(request)
        answer = parse_head(await self.reader.readuntil(b"\r\n\r\n"))
        if answer.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                await self.reader.readexactly(size + 2)
            await self.reader.readuntil(b"\r\n")
        else:
            await self.reader.readexactly(int(answer.headers.get("content-length", 0)))
        return answer

    def close(self) -> None:
        self.writer.close()


@dataclass
class Stats:
    started: float = field(default_factory=time.time)
    sent: int = 0
    ok: int = 0
    not_sent: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    first_failed: float | None = None
    slots: Counter[str] = field(default_factory=Counter)
    visitor_moves: Counter[str] = field(default_factory=Counter)

    def fail(self, reason: str) -> None:
        self.failed[reason] += 1
        self.first_failed = self.first_failed or time.time()

    def to_dict(self, paused: bool, in_flight: int) -> dict[str, Any]:
        now = time.time()
        return {
            "time": round(now, 3),
            "elapsed_seconds": round(now - self.started, 3),
            "paused": paused,
            "in_flight": in_flight,
            "sent": self.sent,
            "ok": self.ok,
            "not_sent": self.not_sent,
            "failed": sum(self.failed.values()),
            "failed_by_reason": dict(self.failed),
            "first_failed": self.first_failed and round(self.first_failed, 3),
            "slots": dict(self.slots),
            "visitor_moves": dict(self.visitor_moves),
        }


@dataclass
class Visitor:
    cookie: str | None = None
    slot: str | None = None
    visits: int = 0


class Traffic:
    def __init__(self, url: str, rate: float, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise SystemExit(f"--url: http://HOST[:PORT], not {url!r}")
        self._host, self._port, self._authority = parts.hostname, parts.port or 80, parts.netloc
        self._rate, self._timeout = rate, timeout
        self._idle: list[Connection] = []
        self._visitors = [Visitor() for _ in range(_VISITORS)]
        self._tasks: set[asyncio.Task[None]] = set()
        self.stats = Stats()
        self.paused = False

    async def run(self, pause_file: Path | None, until: asyncio.Event) -> None:
        next_at = time.monotonic()
        while not until.is_set():
            self.paused = bool(pause_file and pause_file.exists())
            now = time.monotonic()
            if self.paused or now - next_at > 1.0:
                next_at = now  # what was missed is missed: no burst to catch up
            while not self.paused and next_at <= now:
                self._send_one()
                next_at += 1 / self._rate
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), max(0.01, next_at - now))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _send_one(self) -> None:
        if len(self._tasks) >= _IN_FLIGHT:
            self.stats.not_sent += 1
            return
        visitor = self._next_visitor() if random.random() < _VISITOR_SHARE else None  # noqa: S311
        task = asyncio.get_running_loop().create_task(self._visit(visitor))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _next_visitor(self) -> Visitor | None:
        """A visitor who is not waiting for an answer; each asks one thing at a time, so that slots are seen in their order."""
        if not self._visitors:
            return None
        visitor = self._visitors.pop(random.randrange(len(self._visitors)))  # noqa: S311
        return visitor if visitor.visits < _VISITS else Visitor()

    async def _visit(self, visitor: Visitor | None) -> None:
        self.stats.sent += 1
        try:
            answer = await asyncio.wait_for(self._get(visitor), self._timeout)
        except TimeoutError:
            self.stats.fail("timeout")
        except ConnectionRefusedError:
            self.stats.fail("refused")
        except (BrokenAnswer, ValueError, asyncio.LimitOverrunError):
            self.stats.fail("broken answer")
        except (OSError, asyncio.IncompleteReadError):
            self.stats.fail("connection lost")
        else:
            self._count(answer, visitor)
        finally:
            if visitor:
                self._visitors.append(visitor)

    def _count(self, answer: Answer, visitor: Visitor | None) -> None:
        slot = answer.headers.get(SLOT_HEADER, "none")
        self.stats.slots[slot] += 1
        if 200 <= answer.status < 300:
            self.stats.ok += 1
        else:
            self.stats.fail(f"status {answer.status}")
        if visitor:
            if visitor.slot not in (None, slot):
                self.stats.visitor_moves[f"{visitor.slot} to {slot}"] += 1
            visitor.slot = slot
            visitor.visits += 1
            visitor.cookie = answer.cookie(COOKIE) or visitor.cookie

    async def _get(self, visitor: Visitor | None) -> Answer:
        fresh = random.random() < _NEW_CONNECTION_SHARE  # noqa: S311
        path = random.choice(VISITOR_PATHS if visitor else API_PATHS)  # noqa: S311
        lines = [f"GET {path} HTTP/1.1", f"Host: {self._authority}", "User-Agent: levibot-sandbox-traffic"]
        if visitor and visitor.cookie:
            lines.append(f"Cookie: {COOKIE}={visitor.cookie}")
        if fresh:
            lines.append("Connection: close")
        connection = await self._connect() if fresh else await self._connection()
        keep = False
        try:
            answer = await connection.get("\r\n".join([*lines, "", ""]).encode())
            keep = answer.keeps_alive and not fresh
            return answer
        finally:
            if keep:
                connection.idle_since = time.monotonic()
                self._idle.append(connection)
            else:
                connection.close()

    async def _connection(self) -> Connection:
        """The connection used last, so that as few as needed stay busy and the others age."""
        oldest = time.monotonic() - _IDLE_SECONDS
        while self._idle and self._idle[0].idle_since < oldest:
            self._idle.pop(0).close()
        return self._idle.pop() if self._idle else await self._connect()

    async def _connect(self) -> Connection:
        return Connection(*await asyncio.open_connection(self._host, self._port))

    async def report(self, path: Path) -> None:
        while True:
            self.write(path)
            await asyncio.sleep(1)

    def write(self, path: Path) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(self.stats.to_dict(self.paused, len(self._tasks))) + "\n", encoding="utf-8")
        temporary.replace(path)


async def _main(options: argparse.Namespace) -> None:
    traffic, end = Traffic(options.url, options.rate, options.timeout), asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, end.set)
    reporting = asyncio.create_task(traffic.report(options.stats_file)) if options.stats_file else None
    try:
        await traffic.run(options.pause_file, end)
    finally:
        if reporting:
            reporting.cancel()
            traffic.write(options.stats_file)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--url", default="http://127.0.0.1:19080", help="the edge (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=150.0, help="requests a second (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds until a request has failed (default: %(default)s)")
    parser.add_argument("--pause-file", type=Path, help="nothing is sent while this file exists")
    parser.add_argument("--stats-file", type=Path, help="written once a second, as JSON")
    options = parser.parse_args()
    if not 0 < options.rate <= 1000 or options.timeout <= 0:
        parser.error("--rate: more than 0 and up to 1000; --timeout: more than 0")
    asyncio.run(_main(options))


if __name__ == "__main__":
    main()
