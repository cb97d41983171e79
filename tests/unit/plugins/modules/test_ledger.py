# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import sqlite3

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

from ansible_collections.levibot.transition.plugins.modules import ledger

WHO = {"user": "maria", "host": "ops-1"}


class EndedError(Exception):
    def __init__(self, result):
        self.result = result


@pytest.fixture
def run(tmp_path, monkeypatch):
    def end(_module, failed=False, **result):
        raise EndedError(json.loads(json.dumps({**result, "failed": failed})))

    monkeypatch.setattr(basic.AnsibleModule, "exit_json", end)
    monkeypatch.setattr(basic.AnsibleModule, "fail_json", lambda module, **result: end(module, failed=True, **result))

    def run_module(check=False, **arguments):
        arguments = {"path": str(tmp_path / "levibot" / "ledger.db"), **arguments}
        with patch_module_args({**arguments, "_ansible_check_mode": check, "_ansible_diff": True}), pytest.raises(EndedError) as ended:
            ledger.main()
        return ended.value.result

    return run_module


@pytest.fixture
def opened(run):
    return run(state="opened", version="v1.8.0-beta", plan_digest="sha256:1", who=WHO, data={"stable": {"slot": "blue"}})


def test_opening_makes_an_id_that_says_when_and_what(opened):
    assert opened["changed"]
    assert opened["rollout"].endswith("Z-v1.8.0-beta")
    assert opened["rollout"][8] == "T"
    assert [entry["kind"] for entry in opened["entries"]] == ["opened"]


def test_opening_twice_in_a_second_makes_two_rollouts(run, monkeypatch):
    monkeypatch.setattr(ledger.ledger_entries, "timestamp", lambda _at=None: "2026-11-24T11:22:00.000Z")
    ids = [run(state="opened", version="v1", plan_digest="x", who=WHO)["rollout"] for _ in range(3)]
    assert ids == ["20261124T112200Z-v1", "20261124T112200Z-v1-2", "20261124T112200Z-v1-3"]


def test_opening_what_is_open_changes_nothing(run, opened):
    again = run(state="opened", rollout=opened["rollout"], version="v1.8.0-beta", plan_digest="sha256:1", who=WHO)
    assert not again["changed"]
    assert again["rollout"] == opened["rollout"]


def test_recording_returns_the_links_and_keeps_the_data(run, opened):
    entries = [{"kind": "intent", "data": {"weight": 10}}, {"kind": "look", "at": "1764000000.250", "data": {"number": 0.001}}]
    recorded = run(rollout=opened["rollout"], entries=entries)
    assert recorded["changed"]
    assert [(entry["seq"], entry["kind"]) for entry in recorded["entries"]] == [(2, "intent"), (3, "look")]
    exported = run(state="exported")
    assert [entry["data"] for entry in exported["entries"][1:]] == [{"weight": 10}, {"number": 0.001}]
    assert exported["entries"][2]["at"] == "2025-11-24T16:00:00.250Z"
    assert exported["chain"]["intact"]


def test_recording_nothing_changes_nothing(run, opened):
    assert not run(rollout=opened["rollout"], entries=[])["changed"]


def test_one_wrong_entry_keeps_all_out_and_is_named(run, opened):
    result = run(rollout=opened["rollout"], entries=[{"kind": "note", "data": {}}, {"kind": "note", "at": "soon", "data": {}}])
    assert result["failed"]
    assert result["msg"].startswith("entries[1].at: 'soon' is no moment")
    assert len(run(state="exported")["entries"]) == 1


def test_secrets_are_in_neither_ledger_nor_difference(run, opened):
    recorded = run(rollout=opened["rollout"], entries=[{"kind": "note", "data": {"admin_token": "hunter2hunter2"}}])
    assert "hunter2" not in json.dumps([recorded, run(state="exported")])
    assert "(redacted)" in recorded["diff"]["after"]


def test_closing_again_changes_something_only_with_another_outcome(run, opened):
    assert run(state="closed", rollout=opened["rollout"], outcome="failed")["changed"]
    assert not run(state="closed", rollout=opened["rollout"], outcome="failed")["changed"]
    assert run(state="closed", rollout=opened["rollout"], outcome="rolled_back", who=WHO)["changed"]


def test_check_mode_says_what_it_would_record_and_makes_nothing(run, tmp_path):
    opened = run(check=True, state="opened", version="v1", plan_digest="x", who=WHO)
    recorded = run(check=True, rollout=opened["rollout"], entries=[{"kind": "note", "data": {"text": "hello"}}])
    closed = run(check=True, state="closed", rollout=opened["rollout"], outcome="promoted")
    exported = run(check=True, state="exported", dest=str(tmp_path / "out.jsonl"))
    assert [result["changed"] for result in (opened, recorded, closed, exported)] == [True] * 4
    assert [entry["kind"] for entry in recorded["entries"]] == ["note"]
    assert "hello" in recorded["diff"]["after"]
    assert list(tmp_path.iterdir()) == []


def test_the_latest_rollout_is_exported_and_the_file_written_once(run, opened, tmp_path):
    run(rollout="another", entries=[{"kind": "note", "data": {}}])
    dest = tmp_path / "out" / "ledger.jsonl"
    first = run(state="exported", rollout="latest", dest=str(dest))
    assert (first["changed"], first["rollout"]) == (True, opened["rollout"])
    assert "entries" not in first
    assert [json.loads(line)["kind"] for line in dest.read_text().splitlines()] == ["opened"]
    assert not run(state="exported", rollout="latest", dest=str(dest))["changed"]


def test_a_broken_chain_fails_the_verification_and_warns_at_the_export(run, opened, tmp_path):
    assert not run(state="verified")["failed"]
    with sqlite3.connect(tmp_path / "levibot" / "ledger.db") as connection:
        connection.execute("DROP TRIGGER entries_never_change")
        connection.execute("UPDATE entries SET kind = 'note'")
    connection.close()
    verified = run(state="verified")
    assert verified["failed"]
    assert "broken at entry 1: its content does not match its hash" in verified["msg"]
    exported = run(state="exported")
    assert not exported["failed"]
    assert exported["chain"] == {"intact": False, **verified["chain"]}


@pytest.mark.parametrize(("state", "missing"), [("opened", "version"), ("recorded", "rollout"), ("closed", "rollout")])
def test_what_is_required_is_named(run, state, missing):
    result = run(state=state)
    assert result["failed"]
    assert missing in result["msg"]


def test_a_path_that_cannot_be_used_is_one_clear_error(run, tmp_path):
    (tmp_path / "file").write_text("")
    result = run(path=str(tmp_path / "file" / "ledger.db"), rollout="r", entries=[])
    assert result["failed"]
    assert "file/ledger.db" in result["msg"]


MARIA = {"user": "maria", "host": "ops-1", "pid": 4711, "start": "815", "boot_id": "b", "pid_namespace": "n"}
JOHN = {**MARIA, "user": "john", "pid": 4712}


def test_acquiring_tells_what_is_open(run, opened):
    looks = [{"kind": "look", "data": {"gate": "a", "at_seconds": at, "samples": {}}} for at in (1, 2)]
    run(rollout=opened["rollout"], entries=looks)
    before = run(state="acquired", owner=MARIA, check=True)
    assert before["changed"]
    assert before["lock"] is None
    taken = run(state="acquired", owner=MARIA)
    assert taken["rollout"] == opened["rollout"]
    assert [entry["kind"] for entry in taken["record"]] == ["opened", "look"]
    assert taken["record"] == before["record"]
    assert taken["lock"]["owner"]["user"] == "maria"
    assert not run(state="acquired", owner=MARIA)["changed"]


def test_a_second_owner_is_refused_also_in_check_mode(run, opened):
    run(state="acquired", owner=MARIA)
    for check in (True, False):
        refused = run(state="acquired", owner=JOHN, check=check)
        assert refused["failed"]
        assert refused["holder"]["owner"]["user"] == "maria"
    assert run(state="acquired", owner=JOHN, take_over=True, check=True)["lock"]["owner"]["user"] == "maria"
    run(state="acquired", owner=JOHN, take_over=True)
    lost = run(rollout=opened["rollout"], entries=[{"kind": "note", "data": {}}], owner=MARIA)
    assert lost["lost"] == "taken_over"


def test_closing_and_releasing_free_the_lock(run, opened):
    run(state="acquired", owner=MARIA)
    assert not run(state="released", owner=JOHN)["changed"]
    assert run(state="released", owner=MARIA)["changed"]
    run(state="acquired", owner=MARIA)
    run(state="closed", rollout=opened["rollout"], outcome="promoted", owner=MARIA)
    taken = run(state="acquired", owner=JOHN)
    assert (taken["rollout"], taken["record"], taken["latest"]) == ("", [], opened["rollout"])


def test_a_heartbeat_is_no_change(run, opened):
    assert not run(rollout=opened["rollout"], entries=[], owner=MARIA)["changed"]
