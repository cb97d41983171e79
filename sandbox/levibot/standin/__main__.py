# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""Runs the API: `python3 -m standin`. The server has a module of its own, since workers import it by name."""

from .server import main

if __name__ == "__main__":
    main()
