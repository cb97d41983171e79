# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""Exit 0 when a GET is answered 200: `python3 -I -S healthcheck.py PORT PATH`.

The image has neither curl nor a shell, and an import of urllib costs more than the rest of a check that runs every few seconds.
"""

import socket
import sys

with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2) as connection:
    connection.sendall(f"GET {sys.argv[2]} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    status_line = connection.recv(64).split(b"\r\n")[0]
sys.exit(0 if status_line.split(b" ")[1:2] == [b"200"] else 1)
