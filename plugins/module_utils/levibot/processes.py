# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a container that serve a port, and which of them holds a connection, from this host's /proc.

Where a kill switch lives in the memory of one process, "eight readings agree" may be eight readings of the same process. Linux knows who
has accepted a connection. Where it cannot be asked (no right to, an engine on another machine), None is said, and the readings alone count.
"""

from __future__ import annotations

import re
from pathlib import Path

_LISTEN, _ESTABLISHED = "0A", "01"
_SOCKET = re.compile(r"socket:\[(\d+)\]")


class Processes:
    """Those of one container, by the pid of its first process as this host sees it."""

    def __init__(self, pid: int, container: str, port: int, proc: str = "/proc") -> None:
        self._proc = Path(proc)
        self._pid = pid
        self._container = container
        self._port = port

    def serving(self) -> set[int] | None:
        """The processes that accept on the port. One whose own child does so, too, only holds the socket for its children."""
        try:
            if not self._is_the_container():
                return None
            listening = {row[2] for row in self._rows() if row[0] == _LISTEN and row[1][0] == self._port}
            parents = self._tree()
            holders = {pid for pid in parents if self._sockets(pid) & listening}
        except OSError:
            return None
        return (holders - {parents[pid] for pid in holders}) or None

    def accepted(self, client_port: int) -> int | None:
        """The process that holds the connection from this client's port."""
        try:
            inodes = {row[2] for row in self._rows() if row[0] == _ESTABLISHED and row[1] == (self._port, client_port)}
            holders = [pid for pid in self._tree() if self._sockets(pid) & inodes]
        except OSError:
            return None
        return holders[0] if len(holders) == 1 else None

    def _is_the_container(self) -> bool:
        # With an engine elsewhere, the same number is some other process here.
        return self._container in (self._proc / str(self._pid) / "cgroup").read_text(encoding="ascii", errors="replace")

    def _tree(self) -> dict[int, int]:
        """pid -> its parent's, from the container's first process down."""
        parents = {self._pid: 0}
        todo = [self._pid]
        while todo:
            pid = todo.pop()
            for task in (self._proc / str(pid) / "task").iterdir():
                for child in (task / "children").read_text(encoding="ascii").split():
                    parents[int(child)] = pid
                    todo.append(int(child))
        return parents

    def _rows(self) -> list[tuple[str, tuple[int, int], str]]:
        """(state, (local port, remote port), inode) of each TCP socket in the container's network."""
        rows = []
        for name in ("tcp", "tcp6"):  # a server on :: has its IPv4 clients in the second
            table = self._proc / str(self._pid) / "net" / name
            if table.exists():
                for line in table.read_text(encoding="ascii").splitlines()[1:]:
                    words = line.split()
                    ports = int(words[1].rpartition(":")[2], 16), int(words[2].rpartition(":")[2], 16)
                    rows.append((words[3], ports, words[9]))
        return rows

    def _sockets(self, pid: int) -> set[str]:
        found = set()
        folder = self._proc / str(pid) / "fd"
        for descriptor in folder.iterdir():
            try:
                match = _SOCKET.match(str(descriptor.readlink()))
            except FileNotFoundError:
                continue  # closed meanwhile
            if match:
                found.add(match.group(1))
        return found
