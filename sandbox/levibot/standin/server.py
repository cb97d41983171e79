# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""The process: its workers, its end, and the faults that have to do with either."""

from __future__ import annotations

import os
import threading
import time
from types import FrameType

import uvicorn
from uvicorn.supervisors import Multiprocess

from .faults import FaultFile
from .settings import Settings
from .store import Store

_CRASH_STATUS = 70
_CRASH_POLL_SECONDS = 0.1


class Server(uvicorn.Server):
    """Deaf to SIGTERM for as long as the instance is made to hang."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not FaultFile(Settings.from_env(os.environ).data / "faults.json").current.hang:
            super().handle_exit(sig, frame)


def _crash_when_told(faults: FaultFile) -> None:
    """In the first process, whose end is the container's, with any number of workers; at once where the fault was there before."""
    if faults.current.crash:
        os._exit(_CRASH_STATUS)

    def watch() -> None:
        while not faults.current.crash:
            time.sleep(_CRASH_POLL_SECONDS)
        time.sleep(_CRASH_POLL_SECONDS)  # for the answer to whoever switched it on
        os._exit(_CRASH_STATUS)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    settings = Settings.from_env(os.environ)
    settings.data.mkdir(parents=True, exist_ok=True)
    _crash_when_told(FaultFile(settings.data / "faults.json"))
    with Store(settings.data).change() as desk:
        desk.recover(time.time())
    config = uvicorn.Config(
        "standin.app:create",
        factory=True,
        host="0.0.0.0",
        port=settings.port,
        workers=settings.workers,
        http="h11",
        loop="asyncio",
        ws="none",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    server = Server(config)
    if settings.workers == 1:
        server.run()
    else:
        Multiprocess(config, target=server.run, sockets=[config.bind_socket()]).run()
