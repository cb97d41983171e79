# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""The traffic source against a server of a few lines: it counts what it sees, and keeps its rate and its cookies."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sandbox.traffic import API_PATHS, BrokenAnswer, Traffic, parse_head


def test_a_head_is_read():
    answer = parse_head(b"HTTP/1.1 200 OK\r\nX-LeviBot-Slot: blue\r\nSet-Cookie: levibot_bucket=00ab; Path=/\r\n\r\n")
    assert (answer.status, answer.headers["x-levibot-slot"], answer.cookie("levibot_bucket")) == (200, "blue", "00ab")
    assert answer.cookie("other") is None
    assert answer.keeps_alive


@pytest.mark.parametrize("head", [b"\r\n\r\n", b"hello\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/2 200\r\n\r\n"])
def test_what_is_not_http_is_said(head):
    with pytest.raises(BrokenAnswer):
        parse_head(head)


def drive(reply: bytes, seconds: float = 0.5, timeout: float = 10, pause_file: Path | None = None) -> tuple[Traffic, list[bytes]]:
    """Runs the source for a while against a server that gives every request the same reply, or none at all."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> Traffic:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        traffic, end = Traffic(f"http://127.0.0.1:{port}", 200, timeout), asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, end.set)
        await traffic.run(pause_file, end)
        server.close()
        return traffic

    return asyncio.run(run()), asked


def test_it_keeps_its_rate_and_counts_slots():
    reply = b"HTTP/1.1 200 OK\r\nX-LeviBot-Slot: green\r\nContent-Length: 2\r\nSet-Cookie: levibot_bucket=00ab; Path=/\r\n\r\nok"
    traffic, asked = drive(reply, seconds=1.0)
    assert 0 < traffic.stats.sent <= 205  # never more; how many fewer is the machine's affair
    assert not traffic.stats.failed
    assert traffic.stats.slots["green"] == traffic.stats.ok
    with_cookie = [request for request in asked if b"Cookie: levibot_bucket=00ab" in request]
    assert 0 < len(with_cookie) < len(asked) / 2
    paths = {request.split(b" ")[1].decode() for request in asked}
    assert paths == {*API_PATHS, "/"}


def test_chunked_answers_are_read_to_their_end():
    traffic, _ = drive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    assert traffic.stats.ok > 0
    assert not traffic.stats.failed


def test_failures_are_counted_by_reason():
    assert set(drive(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")[0].stats.failed) == {"status 503"}
    assert set(drive(b"nonsense\r\n\r\n")[0].stats.failed) == {"broken answer"}


def test_silence_is_a_timeout_and_does_not_slow_the_source():
    traffic, _ = drive(b"", seconds=0.8, timeout=0.1)
    assert set(traffic.stats.failed) == {"timeout"}
    assert traffic.stats.sent > 8  # one that waited for its answers would have come so far in 0.8 s


def test_nothing_is_sent_while_paused(tmp_path):
    pause = tmp_path / "pause"
    pause.touch()
    traffic, asked = drive(b"", seconds=0.3, pause_file=pause)
    assert traffic.paused
    assert (traffic.stats.sent, asked) == (0, [])


def test_a_refused_connection_is_counted():
    async def run() -> Traffic:
        traffic, end = Traffic("http://127.0.0.1:1", 100, 0.2), asyncio.Event()
        asyncio.get_running_loop().call_later(0.2, end.set)
        await traffic.run(None, end)
        return traffic

    assert set(asyncio.run(run()).stats.failed) == {"refused"}
