# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON documents that others left: read whole or not at all, and with an age that somebody stands for."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.conditions import check_placeholders, search
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case, Finding, RefusedError
from ansible_collections.levibot.transition.plugins.module_utils.evidence.moments import (
    CLOCK_SKEW_SECONDS,
    MomentError,
    iso,
    parse_moment,
    zone_of,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import (
    REQUIRED,
    Field,
    duration,
    jmespath_text,
    one_of,
    text,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError, format_duration

MOST_BYTES = 64 * 1024 * 1024
MTIME = "mtime"


def absolute(value: Any) -> str:
    """The field's parser: an absolute path, in which ``$version`` may stand."""
    if not text(value).startswith("/"):
        raise MistakeError("write an absolute path: it is read on the machine that judges, in whatever folder that runs")
    return check_placeholders(text(value))


AGE: dict[str, Field] = {
    "max_age": Field(duration, REQUIRED),
    "at": Field(jmespath_text),
    "age_from": Field(one_of(MTIME)),
    "timezone": Field(lambda value: zone_of(value) and value),
}


def status_of(path: str) -> os.stat_result:
    """Of a plain file. Raises RefusedError."""
    try:
        status = os.stat(path)  # noqa: PTH116  a Path of a text with a NUL raises elsewhere
    except (OSError, ValueError) as exc:
        raise RefusedError(
            f"{path} cannot be read: {getattr(exc, 'strerror', None) or exc}", "give the path of the file on the machine that judges"
        ) from None
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError(f"{path} is no plain file", "give the path of the file itself")
    return status


def read_json(path: str) -> Any:
    """Raises RefusedError for all that is no JSON."""
    size = status_of(path).st_size
    if size > MOST_BYTES:
        raise RefusedError(f"{path} has {size} bytes, and no report has more than {MOST_BYTES}")
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return parse_json(file.read(MOST_BYTES))
    except OSError as exc:
        raise RefusedError(f"{path} cannot be read: {exc.strerror}", "let the user who judges read it") from None


def parse_json(content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as exc:
        where = f" (line {exc.lineno}: {exc.msg})" if isinstance(exc, json.JSONDecodeError) else ""
        what = "is empty" if not content.strip() else f"is no JSON{where}"
        raise RefusedError(f"the report {what}", "write it anew; it may have been cut short") from None


def judge_age(given: Mapping[str, Any], document: Any, path: str, case: Case, finding: Finding) -> None:
    """By the document's own time, or by the file's where the plan says that this is enough."""
    max_age = given["max_age"]
    finding.wanted.append(f"at most {format_duration(max_age)} old")
    if given.get("at"):
        value = search(given["at"], document)
        zone = zone_of(given["timezone"]) if given.get("timezone") else None
        try:
            finding.at = parse_moment(value, zone)
        except MomentError as exc:
            fix = "write the time with its offset, or give timezone" if "offset" in str(exc) else "write the report anew"
            finding.wrong(f"its time {given['at']} {exc}", fix)
            return
    elif given.get("age_from") == MTIME:
        finding.at = status_of(path).st_mtime
        finding.found.append("its age is that of the file")
    else:
        finding.wrong("nothing says how old it is", "give at, the JMESPath of a time in the report, or age_from: mtime")
        return
    too_old(finding, max_age, case)


def too_old(finding: Finding, max_age: float, case: Case, fix: str = "make a new one") -> None:
    """Says so where the finding's time is too long ago, or in the future. The words hold no age, so that they stay the same."""
    if finding.at is None:
        return
    if finding.at > case.now + CLOCK_SKEW_SECONDS:
        finding.wrong(f"is dated {iso(finding.at)}, which is in the future", "look at the clock of the machine that made it")
    elif case.now - finding.at > max_age:
        finding.wrong(f"is of {iso(finding.at)}, and so older than {format_duration(max_age)}", fix)
