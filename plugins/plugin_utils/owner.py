# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The run of ansible-playbook that a task belongs to, as the ledger's lock knows it."""

from __future__ import annotations

import multiprocessing
import os
import pwd
from pathlib import Path

from ansible_collections.levibot.transition.plugins.module_utils.ledger.lock import Owner, boot_id, start_time

PID_NAMESPACE = Path("/proc/self/ns/pid")


class OrphanError(Exception):
    """The run is over: its process is gone, and only this worker is left."""


def owner() -> Owner:
    """Who acts. A worker whose ansible-playbook was killed goes on with its task, and must not act for it any more."""
    parent = multiprocessing.parent_process()
    pid = parent.pid if parent and parent.pid else os.getpid()
    started = start_time(pid)
    if not started or (parent and os.getppid() != pid):
        raise OrphanError(f"ansible-playbook (process {pid}), which this task belongs to, is gone; nothing was done")
    return Owner(_user(), os.uname().nodename, pid, started, boot_id(), _pid_namespace())


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _pid_namespace() -> str:
    try:
        return str(PID_NAMESPACE.readlink())
    except OSError:
        return ""
