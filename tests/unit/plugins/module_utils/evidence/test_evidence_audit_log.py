# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LeviBot's audit log as files: both forms, rotated and packed parts, and lines that are none."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.evidence import audit_log
from ansible_collections.levibot.transition.plugins.module_utils.evidence.audit_log import (
    day_of,
    is_action,
    longest_silence,
    missing_days,
    missing_parts,
    read_line,
    read_log,
)
from tests.evidence_bed import JSON
from tests.validation_bed import T0

EVENT = {"ts": T0, "event": "kill", "ip": "10.0.0.7"}
REQUEST = {
    "timestamp": datetime.fromtimestamp(T0, UTC).isoformat(),
    "user": "maria",
    "role": "admin",
    "ip": "10.0.0.7",
    "method": "post",
    "path": "/engines/stop/BTC%2FUSDT?close=false",
    "status": 200,
    "duration_ms": 12,
}


def read(line):
    return read_line(json.dumps(line))


def test_a_log_of_events():
    seen = read({**EVENT, "symbol": "BTC/USDT"})
    assert (seen["at"], seen["event"], seen["symbol"], seen["by"], seen["refused"]) == (T0, "kill", "BTC/USDT", "10.0.0.7", False)
    assert is_action(seen)


def test_a_log_of_requests():
    seen = read(REQUEST)
    assert (seen["at"], seen["method"], seen["path"], seen["symbol"]) == (T0, "POST", "/engines/stop/BTC%2FUSDT", "BTC/USDT")
    assert (seen["query"], seen["status"], seen["by"]) == ({"close": "false"}, 200, "maria")
    assert is_action(seen)
    assert not is_action(read({**REQUEST, "method": "GET"}))


@pytest.mark.parametrize(
    "line",
    [
        {**EVENT, "event": "unauthorised"},
        {**EVENT, "event": "Login.Failed"},
        {**REQUEST, "status": 401},
        {**REQUEST, "method": "GET", "status": 403},
    ],
)
def test_who_was_not_let_in_has_tried(line):
    seen = read(line)
    assert seen["refused"]
    assert is_action(seen)


@pytest.mark.parametrize("at", [T0, T0 * 1000, datetime.fromtimestamp(T0, UTC).isoformat(), "2026-11-25T19:00:00Z", "2026-11-25T19:00:00"])
def test_times_in_all_their_forms(at):
    assert read({**EVENT, "ts": at})["at"] == T0


@pytest.mark.parametrize(
    "text",
    ["", "kill", "[1]", "7", "{}", '{"ts": 1764450000}', '{"event": "kill"}', '{"event": "kill", "ts": NaN}', '{"ts": true, "event": "x"}'],
)
def test_what_is_no_line(text):
    with pytest.raises(ValueError, match=r"."):
        read_line(text)


@given(JSON)
def test_garbage_is_a_line_or_a_value_error(document):
    with contextlib.suppress(ValueError):
        assert read_line(json.dumps(document))["at"] > 0


@pytest.fixture
def folder(tmp_path):
    def write(name, *lines, end="\n"):
        text = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines) + end
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return str(path)

    write.path = tmp_path
    return write


def at(seconds, event="kill"):
    return {"ts": T0 + seconds, "event": event, "ip": "10.0.0.7"}


def test_rotated_and_packed_parts_are_one_log(folder):
    folder("audit.jsonl", at(50), at(60))
    folder("audit.jsonl.1", at(30), at(40))
    folder("audit.jsonl.2.gz", at(-10), at(20))
    log = read_log([f"{folder.path}/audit.jsonl*"], T0, T0 + 55)
    assert [one["at"] - T0 for one in log.actions] == [20, 30, 40, 50]
    assert (log.lines, log.unreadable, log.problems, log.rotated) == (6, 0, [], True)
    assert (log.first_at, log.last_at) == (T0 - 10, T0 + 60)
    assert len(log.files) == 3


def test_dated_files_are_one_log(folder):
    folder("2026-11-25.jsonl", at(0))
    folder("2026-11-26.jsonl", at(60))
    (folder.path / "current.jsonl").symlink_to(folder.path / "2026-11-26.jsonl")
    log = read_log([f"{folder.path}/*.jsonl"], T0, T0 + 100)
    assert len(log.actions) == 2, "a link to a part is no part of its own"
    assert not log.rotated
    assert (log.days, log.undated) == (["2026-11-25", "2026-11-26"], False)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("2026-11-27.jsonl", "2026-11-27"),
        ("audit-2026-11-27.jsonl.gz", "2026-11-27"),
        ("20261127", "2026-11-27"),
        ("audit.jsonl-20261127.gz", "2026-11-27"),
        ("2026-11-27.jsonl.1", "2026-11-27"),
        ("audit.jsonl.3", ""),
        ("20261399.jsonl", ""),
        ("120261127.jsonl", ""),
        ("2026-1127.jsonl", ""),
    ],
)
def test_the_day_in_a_name(name, day):
    assert day_of(f"/logs/2020-01-01/{name}") == day


def test_days_without_a_file():
    assert missing_days(["2026-11-25", "2026-11-27"], T0, T0 + 2 * 86400) == ["2026-11-26"]
    assert missing_days([], T0, T0) == ["2026-11-25"]


def test_a_missing_part_is_named(folder):
    folder("audit.jsonl", at(50))
    folder("audit.jsonl.1", at(30))
    folder("audit.jsonl.3.gz", at(0))
    (problem,) = read_log([f"{folder.path}/audit.jsonl*"], T0, T0 + 55).problems
    assert problem == f"its part {folder.path}/audit.jsonl.2 is missing"
    assert missing_parts(["/log.1", "/other"]) == []


def test_lines_that_are_none_are_counted_and_named(folder):
    path = folder("audit.jsonl", at(0), "Traceback (most recent call last):", {"ts": T0}, at(1))
    log = read_log([path], T0, T0 + 55)
    assert (log.lines, log.unreadable) == (2, 2)
    assert log.examples == [f"{path}:2: Traceback (most recent call last):", f'{path}:3: {{"ts": {T0}}}']


def test_a_line_that_is_being_written_is_no_mistake(folder):
    assert read_log([folder("audit.jsonl", at(0), '{"ts": 17644', end="")], T0, T0 + 55).unreadable == 0
    assert read_log([folder("audit.jsonl", at(0), '{"ts": 17644')], T0, T0 + 55).unreadable == 1


def test_what_is_nobodys_action_takes_no_place(folder, monkeypatch):
    monkeypatch.setattr(audit_log, "MOST_ACTIONS", 1)
    path = folder("audit.jsonl", at(0, "telemetry"), at(1, "telemetry"), at(2))
    log = read_log([path], T0, T0 + 55, ["telemetry"])
    assert ([one["event"] for one in log.actions], log.ignored, log.problems) == (["kill"], 2, [])


def test_what_is_not_there_has_no_lines(folder):
    log = read_log([f"{folder.path}/audit.jsonl*"], T0, T0 + 55)
    assert (log.files, log.lines, log.first_at) == ([], 0, None)


def test_a_part_that_cannot_be_read_is_a_problem(folder):
    folder("audit.jsonl", at(0))
    (folder.path / "audit.jsonl.1").write_bytes(gzip.compress(b'{"ts": 1}' * 1000)[:50])
    (problem,) = read_log([f"{folder.path}/audit.jsonl*"], T0, T0 + 55).problems
    assert "audit.jsonl.1 cannot be read" in problem


@given(st.lists(st.integers(0, 100)))
def test_the_longest_silence(times):
    left, right = longest_silence(times, 0, 100)
    inside = [0, *sorted(times), 100]
    assert right - left == max(b - a for a, b in itertools.pairwise(inside))
    assert not any(left < time < right for time in times)
