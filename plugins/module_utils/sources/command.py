# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator's own script, judged by its exit code and by what it prints: some of them always exit 0."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.samples import OK, Sample
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import UnusableError, Window

OUTPUT_BYTES = 64 * 1024
LONGEST_LINE = 200
DEFAULT_TIMEOUT = 30.0
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def measure(check: dict[str, Any], window: Window, urls: dict[str, str], environment: dict[str, str] | None = None) -> Sample:
    """Run the argv (no shell) with the slots' addresses in its environment. What it prints is never kept, only what it was searched for."""
    argv = [str(window.expand(item)) for item in check["argv"]]
    told = {
        "SLOT": window.slot,
        "STABLE": window.stable,
        "SLOT_URL": urls.get(window.slot, ""),
        "STABLE_URL": urls.get(window.stable, ""),
        "ELAPSED_SECONDS": str(window.milliseconds // 1000),
    }
    code, output = run(argv, {**os.environ, **(environment or {}), **told}, timeout_of(check))
    problems = [f"exit code {code}"] if code != int(check.get("rc", 0)) else []
    problems += [
        f"does not print /{pattern}/" for pattern in _patterns(check, "must_match") if not re.search(pattern, output, re.MULTILINE)
    ]
    for pattern in _patterns(check, "must_not_match"):
        found = re.search(f"^.*(?:{pattern}).*$", output, re.MULTILINE)
        if found:
            problems.append(f"prints {found.group(0).strip()[:LONGEST_LINE]!r} (must not match /{pattern}/)")
    return Sample(status=OK, value=float(code), problems=tuple(problems))


def run(argv: list[str], environment: dict[str, str], timeout: float) -> tuple[int, str]:
    """The exit code and the end of what was printed. The whole process group is killed at the time-out."""
    # A file and no pipe: a grandchild that keeps a pipe open would hold the look, and no reader thread is needed.
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                argv, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        except (OSError, ValueError) as problem:
            raise UnusableError(f"{argv[0]} cannot be started: {getattr(problem, 'strerror', None) or problem}") from problem
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise UnusableError(f"{argv[0]} did not end within {timeout:g} s and was killed") from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - OUTPUT_BYTES))
        return code, output.read(OUTPUT_BYTES).decode("utf-8", "replace")


def timeout_of(check: dict[str, Any]) -> float:
    """Seconds; a text such as ``30s`` or ``1m`` is understood as well."""
    given = check.get("timeout_seconds", check.get("timeout", DEFAULT_TIMEOUT))
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", str(given))
    if not match:
        raise UnusableError(f"the time-out {given!r} is no duration; write 30s")
    return float(match.group(1)) * _SECONDS[match.group(2) or "s"]


def _patterns(check: dict[str, Any], key: str) -> list[str]:
    given = check.get(key) or []
    return [given] if isinstance(given, str) else list(given)
