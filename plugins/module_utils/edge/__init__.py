# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge: what the split is, the two files that hold it, and what the running Caddy makes of them.

``split`` is pure, ``files`` touches the disk, ``probe`` asks a running Caddy, ``verify`` compares the two, ``inspect`` finds
what is wrong with an edge. Nothing here knows Ansible, and everything runs on the edge host's own Python, 3.9 or later.
"""
