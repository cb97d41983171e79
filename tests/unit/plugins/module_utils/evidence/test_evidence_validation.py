# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Phase 4 looks at beside the books: audit logs beside the ledger, live engines, containers, the chain. Each fault by itself."""

from __future__ import annotations

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.evidence.judge import KINDS
from ansible_collections.levibot.transition.plugins.module_utils.evidence.pairs import NOBODY
from ansible_collections.levibot.transition.plugins.module_utils.levibot import survey
from tests.evidence_bed import JSON, NOW
from tests.validation_bed import CALLS, DIGESTS, ENGINES, HOUR, LINES, T0, call, line, log, observed, records, slot

IDS = {name: f"sha256:id-{name}" for name in DIGESTS}


@pytest.fixture
def judged(look):
    """Judges one kind on a sound site, after ``spoil`` has been at what was observed (and at the ledger's entries)."""

    def run(kind, spoil=None, **keys):
        seen, entries = observed(), records()
        if spoil:
            spoil(seen, entries)
        return look({"kind": kind, **keys}, observed=seen, records=tuple(entries), images=DIGESTS, image_ids=IDS)

    return run


def logs(seen, host="app1"):
    return seen["apps"][host]["audit"]["logs"]


def written(*lines, **changed):
    def spoil(seen, _entries):
        logs(seen)["green"] = log(list(lines), **changed)

    return spoil


def without(number):
    return written(*(one for index, one in enumerate(LINES) if index != number))


# The audit log


def test_each_call_has_its_line_and_each_line_its_call(judged):
    seen = judged("audit")
    assert seen["passed"], seen
    assert "4 of 4 calls of the ledger are in it" in seen["found"]
    assert seen["source"] == "audit logs on app1"


@pytest.mark.parametrize("number", range(len(LINES)))
def test_a_call_without_its_line_is_named(judged, number):
    seen = judged("audit", without(number))
    assert not seen["passed"]
    assert seen["problem"].count("of the ledger is not in the audit log") == 1
    assert CALLS[number]["path"] in seen["problem"]


def test_a_line_without_a_call_is_named(judged):
    stranger = line("engine_start", T0 + 9 * HOUR, "XRP/USDT", by="203.0.113.9")
    for kind in ("audit", "intrusions"):
        seen = judged(kind, written(*LINES, stranger))
        assert seen["problem"] == (
            "engine_start XRP/USDT by 203.0.113.9 on app1 at 2026-11-26T04:00:00Z is in the audit log, and no action of ours"
        )


def test_an_action_in_the_other_slot_is_an_action(judged):
    def spoil(seen, _entries):
        logs(seen)["blue"] = log([line("engine_start", T0 + 9 * HOUR, "BTC/USDT")])

    assert "no action of ours" in judged("intrusions", spoil)["problem"]


def test_a_line_is_given_to_one_call_only(judged):
    again = {**LINES[2], "at": LINES[2]["at"] + 1}
    assert "no action of ours" in judged("audit", written(*LINES, again))["problem"]


def test_what_is_nobodys_action_is_left_out(judged):
    def spoil(seen, _entries):
        logs(seen)["green"] = log(LINES, ignored=1)

    seen = judged("audit", spoil)
    assert seen["passed"], seen
    assert "1 actions were left out (levibot_audit_ignore)" in seen["found"]


def test_what_was_refused_may_be_in_it_and_need_not_be(judged):
    def refused(_seen, entries):
        entries[7]["data"]["calls"].insert(0, call("start_live", T0 + 4 * HOUR - 3, "BTC/USDT", status=422))

    assert judged("audit", refused)["passed"]

    def noted(seen, entries):
        refused(seen, entries)
        tried = line("", T0 + 4 * HOUR - 3, method="POST", path="/engines/start", status=422)
        logs(seen)["green"] = log([*LINES, tried])

    assert judged("audit", noted)["passed"]


def test_an_empty_or_missing_log_is_no_clean_record(judged):
    for changed, said in (({}, "is empty"), ({"files": []}, "is not there")):
        seen = judged("audit", written(**changed))
        assert f"the audit log {said}, which is missing evidence and no clean record" in seen["problem"]
        assert "levibot_audit_logs" in seen["fix"]
        assert f"the audit log {said}" in judged("intrusions", written(**changed))["problem"]


def test_a_host_that_was_not_read_is_missing_evidence(judged):
    def spoil(seen, _entries):
        seen["apps"]["app2"] = {"problem": "", "slots": {}, "audit": {"logs": {}, "problem": "it cannot be reached"}}

    assert "app2: the audit log of green could not be read: it cannot be reached" in judged("audit", spoil)["problem"]
    assert "app2: the audit log of green could not be read" in judged("intrusions", spoil)["problem"]


def test_a_log_that_was_cut_short(judged):
    seen = judged("audit", written(*LINES[2:]))
    assert "the log begins at 2026-11-25T23:00:00Z, after the period did" in seen["problem"]
    assert "after our first call at 2026-11-25T22:30:00Z" in seen["problem"]


def test_a_fresh_log_begins_with_the_first_action(judged):
    seen = judged("audit")
    assert seen["passed"]
    assert "4 lines from 2026-11-25T22:30:00Z" in seen["found"]


def test_a_rotated_log_must_reach_back_to_the_beginning(judged):
    assert "the oldest part of the log begins" in judged("audit", written(*LINES, rotated=True))["problem"]
    assert judged("audit", written(*LINES, rotated=True, first_at=T0 - 1))["passed"]


def test_a_missing_part_and_lines_that_are_none(judged):
    seen = judged("audit", written(*LINES, problems=["its part /a.2 is missing"], unreadable=2, examples=["/a:7: oops"]))
    assert "app1, green: its part /a.2 is missing" in seen["problem"]
    assert "2 lines are no entries of an audit log (/a:7: oops)" in seen["problem"]
    assert judged("audit", written(*LINES, unreadable=2), max_unreadable=2)["passed"]


@pytest.mark.parametrize("kind", ["audit", "intrusions"])
def test_the_other_slots_log_is_needed_where_it_has_containers(judged, kind):
    def spoil(blue, containers):
        def spoiled(seen, _entries):
            seen["apps"]["app1"]["slots"]["blue"]["containers"] = {"api": [{"name": "api", "state": state} for state in containers]}
            logs(seen).update(blue=blue)

        return spoiled

    for state in ("running", "exited"):
        assert "app1, blue: the audit log is not there" in judged(kind, spoil(log([], files=[]), [state]))["problem"]
        assert "app1, blue: the audit log is empty" in judged(kind, spoil(log([]), [state]))["problem"]
        assert "app1: the audit log of blue could not be read" in judged(kind, spoil(None, [state]))["problem"]
    assert judged(kind, spoil(log([], files=[]), []))["passed"]


@pytest.mark.parametrize("kind", ["audit", "intrusions"])
def test_a_log_that_is_not_whole_proves_neither(judged, kind):
    for changed, said in (
        ({"problems": ["/a.gz cannot be read"]}, "/a.gz cannot be read"),
        ({"unreadable": 2}, "2 lines are no entries"),
        ({"rotated": True}, "the oldest part of the log begins"),
    ):
        assert said in judged(kind, written(*LINES, **changed))["problem"]


DAYS = ["2026-11-25", "2026-11-26", "2026-11-27"]


def daily(*days, **changed):
    return written(*LINES, days=list(days), undated=False, **changed)


def test_a_day_without_its_file_is_named(judged):
    assert judged("audit", daily(*DAYS))["passed"]
    for lost in DAYS[:2]:
        seen = judged("audit", daily(*(day for day in DAYS if day != lost)))
        assert f"app1, green: the log has no file of {lost}" in seen["problem"]
        assert "*.jsonl*" in seen["fix"]
    assert "no file of 2026-11-25, 2026-11-26" in judged("audit", daily("2026-11-24", DAYS[2]))["problem"]


def test_today_may_have_no_file_yet(judged):
    assert judged("audit", daily(*DAYS[:2]))["passed"]

    def called(seen, entries):
        daily(*DAYS[:2])(seen, entries)
        late = call("release", NOW - 60)
        entries[-2]["data"]["calls"].append(late)
        logs(seen)["green"]["actions"].append(line("unkill", NOW - 60))

    assert "no file of 2026-11-27" in judged("audit", called)["problem"]


def test_days_of_the_other_slot_count_while_it_runs(judged):
    def spoil(state):
        def spoiled(seen, _entries):
            logs(seen)["blue"] = {**log([]), "lines": 7, "days": DAYS[:1], "undated": False}
            seen["apps"]["app1"]["slots"]["blue"]["containers"] = {"api": [{"name": "api", "state": state}]} if state else {}

        return spoiled

    assert "app1, blue: the log has no file of 2026-11-26" in judged("audit", spoil("running"))["problem"]
    assert judged("audit", spoil("exited"))["passed"], "it has written nothing since it was ended"
    assert judged("audit", spoil(""))["passed"]


def test_a_log_that_is_silent_for_too_long(judged):
    silence = [T0 + HOUR, T0 + 3 * HOUR]
    assert judged("audit", written(*LINES, silence=silence))["passed"]
    assert "there is no line from 2026-11-25T20:00:00Z" in judged("audit", written(*LINES, silence=silence), max_silence="1h")["problem"]


def test_a_ledger_without_calls_proves_nothing(judged):
    def spoil(_seen, entries):
        for entry in entries:
            entry["data"].pop("calls", None)

    assert "the ledger has no admin action in this period" in judged("audit", spoil)["problem"]


def test_calls_on_two_hosts_are_told_apart(judged):
    def spoil(seen, entries):
        logs(seen)["green"] = log(LINES[:3])
        seen["apps"]["app2"] = {**copy.deepcopy(seen["apps"]["app1"]), "audit": {"problem": "", "logs": {"green": log(LINES[3:])}}}

    seen = judged("audit", spoil)
    assert "POST /engines/start ETH/USDT on app1" in seen["problem"]
    assert "engine_start ETH/USDT by 10.0.0.7 on app2" in seen["problem"]


# Security


def test_nobody_has_tried(judged):
    seen = judged("intrusions")
    assert seen["passed"], seen
    assert seen["found"].endswith("0 failed logins, 0 unknown actions")


def test_failed_logins_are_counted(judged):
    tries = [line("unauthorised", T0 + number, refused=True, by="203.0.113.9") for number in range(7)]
    seen = judged("intrusions", written(*LINES, *tries))
    assert "7 attempts were not let in" in seen["problem"]
    assert "unauthorised by 203.0.113.9 on app1 at 2026-11-25T19:00:00Z was not let in" in seen["problem"]
    assert "and 2 more" in seen["problem"]
    assert judged("intrusions", written(*LINES, *tries), max_failed_logins=7)["passed"]
    # They say nothing against the log being whole.
    assert judged("audit", written(*tries, *LINES))["passed"]


def test_our_own_preflight_is_no_intruder(judged):
    """It asks with a wrong token for the stop of an engine that does not exist."""
    asked = {"method": "POST", "path": f"/engines/stop/{NOBODY}", "symbol": NOBODY}
    probes = [line("unauthorised", T0 + 60, refused=True, **asked), line("", T0 + 61, status=404, **asked)]
    seen = judged("intrusions", written(*LINES, *probes))
    assert seen["passed"], seen
    assert "2 questions of our own preflight" in seen["found"]
    assert judged("audit", written(*probes, *LINES))["passed"]
    assert "30 attempts were not let in" in judged("intrusions", written(*LINES, *probes[:1] * 30))["problem"]
    assert NOBODY == survey.NOBODY


def test_what_was_before_the_period_is_not_of_it(judged):
    early = [line("unauthorised", T0 - 60, refused=True), line("engine_start", T0 - 60, "XRP/USDT")]
    assert judged("intrusions", written(*early, *LINES))["passed"]


# Containers


def test_the_containers_run_what_was_released(judged):
    seen = judged("containers")
    assert seen["passed"], seen
    assert seen["found"] == "2 containers run the released images"


def container(seen, service="api"):
    return seen["apps"]["app1"]["slots"]["green"]["containers"][service]


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (
            lambda seen, _e: container(seen)[0].update(digest="registry/levibot/api@sha256:cc"),
            "was made from sha256:cc, not from sha256:aa",
        ),
        (lambda seen, _e: container(seen)[0].update(digest=""), "was not made from a digest"),
        (lambda seen, _e: container(seen)[0].update(image_id="sha256:other"), "runs sha256:other, which is not the image of sha256:aa"),
        (lambda seen, _e: container(seen)[0].update(state="exited"), "api does not run in green"),
        (lambda seen, _e: container(seen).clear(), "api does not run in green"),
        (
            lambda seen, _e: seen["apps"]["app1"].update(slots={}, problem="it cannot be reached"),
            "could not be looked at: it cannot be reached",
        ),
        (lambda seen, _e: seen["apps"].update(app2={"slots": {}, "problem": ""}), "app2: the containers could not be looked at"),
    ],
)
def test_a_container_of_something_else(judged, spoil, problem):
    assert problem in judged("containers", spoil)["problem"]


def test_a_release_that_nobody_recorded(look):
    assert "no images" in look({"kind": "containers"}, observed=observed(), images={})["problem"]


def test_an_engine_that_numbers_images_its_own_way(look):
    """The release was built elsewhere: then the host's record of the release says which id it is, if that is of the same digest."""
    seen = observed()
    assert look({"kind": "containers"}, observed=seen, images=DIGESTS, image_ids={})["passed"]
    seen["apps"]["app1"]["slots"]["green"]["images"]["api"]["digest"] = "registry/levibot/api@sha256:cc"
    assert "no record says which image that is" in look({"kind": "containers"}, observed=seen, images=DIGESTS, image_ids={})["problem"]


# Live engines


def test_the_engines_that_were_started_run_and_no_others(judged):
    seen = judged("live_engines")
    assert seen["passed"], seen
    assert seen["found"] == "2 of 2 live engines run"


def api(seen, host="app1", name="green"):
    return seen["apps"][host]["slots"][name]["api"]


def add_blue(seen, _entries):
    seen["apps"]["app1"]["slots"]["blue"] = slot("v1.7.0")


def another(seen, **engine):
    api(seen)["engines"].append(engine)


def add_silent(seen, *states):
    """A slot whose API says nothing: with its container in this state, or with nobody to say whether there is one."""
    silent = {"mode": None, "kill_switch": None, "engines": None, "models": None}
    containers = {"api": [{"name": "levibot-blue-api-1", "state": state} for state in states]} if states else {}
    seen["apps"]["app1"]["slots"]["blue"] = {"release": "v1.7.0", "images": {}, "containers": containers, "api": silent}


def ended(seen, name):
    for one in seen["apps"]["app1"]["slots"][name]["containers"]["api"]:
        one["state"] = "exited"


def add_host(seen, _entries):
    seen["apps"]["app2"] = {"problem": "", "slots": {"green": slot()}}


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda seen, _e: api(seen)["engines"].pop(), "ETH/USDT does not run live in green on app1"),
        (lambda seen, _e: api(seen)["engines"][0].update(status="crashed"), "BTC/USDT does not run live"),
        (lambda seen, _e: api(seen)["engines"][0].update(mode="paper"), "BTC/USDT does not run live"),
        (lambda seen, _e: api(seen)["engines"][0].update(capital=500), "BTC/USDT has 500 USD of capital, and was started with 100.00"),
        (
            lambda seen, _e: api(seen)["engines"].append({"symbol": "XRP/USDT", "status": "running", "mode": "live"}),
            "XRP/USDT runs live in green on app1, where nobody has started it",
        ),
        (lambda seen, _e: api(seen)["engines"].append({"symbol": "XRP/USDT", "status": "running"}), "XRP/USDT runs live in green"),
        (lambda seen, _e: api(seen).update(kill_switch=True), "the kill switch in green on app1 is on"),
        (lambda seen, _e: api(seen).update(kill_switch=None), "the kill switch in green on app1 is unknown"),
        (lambda seen, _e: api(seen).update(engines=None), "which engines run in green on app1 is not known"),
        # Spelt as releases may: what is not known to stand still is a second writer.
        (lambda seen, _e: another(seen, symbol="XRP/USDT", status="starting", mode="live"), "XRP/USDT runs live in green"),
        (lambda seen, _e: another(seen, symbol="XRP/USDT", mode="live"), "XRP/USDT runs live in green"),
        (lambda seen, _e: another(seen, symbol="XRPUSDT", status="RUNNING ", mode="LIVE"), "XRP/USDT runs live in green"),
        (lambda seen, _e: another(seen, symbol="XRP/USDT", status="running", mode="?"), "XRP/USDT runs live in green"),
        (
            lambda seen, _e: another(seen, symbol="BTCUSDT", status="running", mode="live", capital=100),
            "BTC/USDT is listed 2 times as live in green on app1; each symbol has one writer",
        ),
        (
            lambda seen, _e: another(seen, symbol="btc-usdt", status="starting", mode="live", capital=100),
            "BTC/USDT is listed 2 times as live in green on app1",
        ),
        (
            lambda seen, _e: api(seen)["engines"][0].update(capital_usd=500),
            "BTC/USDT has 500 USD of capital, and was started with 100.00",
        ),
        (lambda seen, _e: api(seen)["engines"][0].pop("capital"), "BTC/USDT does not say its capital, and was started with 100.00"),
        (lambda seen, _e: api(seen)["engines"][0].update(capital=True), "BTC/USDT has True USD of capital"),
        (lambda seen, _e: api(seen)["engines"][0].update(status="starting"), "BTC/USDT does not run live in green on app1"),
        (lambda seen, _e: add_silent(seen, "running"), "which engines run in blue on app1 is not known"),
        (lambda seen, _e: add_silent(seen, "paused"), "which engines run in blue on app1 is not known"),
        (lambda seen, _e: add_silent(seen), "which engines run in blue on app1 is not known"),
        (lambda seen, _e: add_blue(seen, _e) or ended(seen, "blue"), "BTC/USDT runs live in blue on app1"),
        (lambda seen, _e: api(seen).update(engines=None) or ended(seen, "green"), "which engines run in green on app1 is not known"),
        (add_blue, "BTC/USDT runs live in blue on app1"),
        (add_host, "BTC/USDT runs live in green on app2"),
        (lambda seen, _e: seen["apps"].update(app2={"problem": "it cannot be reached"}), "app2 could not be asked: it cannot be reached"),
        (lambda seen, _e: seen["live"].update(engines={}), "no live engine is recorded"),
        (lambda seen, _e: seen.update(live={"problem": "not activated", "fix": "do it"}), "not activated"),
    ],
)
def test_engines_that_are_not_as_they_were_started(judged, spoil, problem):
    seen = judged("live_engines", spoil)
    assert not seen["passed"]
    assert problem in seen["problem"]


@pytest.mark.parametrize("state", ["exited", "created", "dead"])
def test_a_slot_that_is_seen_not_to_run_is_no_obstacle(judged, state):
    seen = judged("live_engines", lambda seen, _entries: add_silent(seen, state))
    assert seen["passed"], seen


def test_engines_may_be_spelt_in_other_ways(judged):
    def spoil(seen, _entries):
        for engine in api(seen)["engines"]:
            symbol = engine["symbol"].replace("/", "")
            engine.update(symbol=symbol, status=" Running", mode="LIVE", capital_usd=engine.pop("capital"))

    seen = judged("live_engines", spoil)
    assert seen["passed"], seen
    assert seen["found"] == "2 of 2 live engines run"


def test_what_stands_still_or_trades_on_paper_is_no_second_writer(judged):
    def spoil(seen, _entries):
        another(seen, symbol="XRP/USDT", status="Stopped", mode="live")
        another(seen, symbol="SOL/USDT", status="crashed ", mode="live")
        another(seen, symbol="ADA/USDT", status="running", mode=" Paper")

    seen = judged("live_engines", spoil)
    assert seen["passed"], seen


def test_engines_that_say_no_mode_are_the_servers(judged):
    def spoil(seen, _entries):
        for engine in api(seen)["engines"]:
            del engine["mode"]

    assert judged("live_engines", spoil)["passed"]


# The chain


@pytest.mark.parametrize(
    ("chain", "problem"),
    [
        (
            {"intact": False, "entries": 7, "broken_seq": 8, "reason": "its content does not match its hash"},
            "broken at entry 8: its content",
        ),
        ({"intact": True, "entries": 0}, "the ledger is empty"),
        ({"problem": "the ledger could not be read", "fix": "mend it"}, "could not be read"),
        ({}, "nothing is known of chain"),
    ],
)
def test_a_broken_chain(judged, chain, problem):
    assert judged("chain")["passed"]
    assert problem in judged("chain", lambda seen, _e: seen.update(chain=chain))["problem"]


# All of them

NEW = ("audit", "intrusions", "containers", "live_engines", "chain", "trades", "risk_limits", "pnl")


@pytest.mark.parametrize("kind", NEW)
def test_without_anything_observed_nothing_passes(look, kind):
    assert not look({"kind": kind}, images=DIGESTS)["passed"]
    assert kind in KINDS


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_garbage_never_passes_and_never_raises(look, data):
    kind = data.draw(st.sampled_from(NEW))
    seen = observed()
    name = data.draw(st.sampled_from(sorted(set(seen))))
    seen[name] = data.draw(JSON)
    needs = {"chain": "chain", "live_engines": "apps", "containers": "apps", "audit": "apps", "intrusions": "apps"}
    judged = look({"kind": kind}, observed=seen, records=tuple(records()), images=DIGESTS, image_ids=IDS)
    if needs.get(kind) == name:
        assert not judged["passed"]


def test_the_words_do_not_change_with_the_time(judged, look):
    """A second run says the same, so that nothing is recorded anew."""
    one = judged("audit")
    other = look({"kind": "audit"}, observed=observed(), records=tuple(records()), images=DIGESTS, now=NOW + 60)
    assert {key: one[key] for key in ("source", "passed", "problem")} == {key: other[key] for key in ("source", "passed", "problem")}
    assert set(ENGINES) == {"BTC/USDT", "ETH/USDT"}
