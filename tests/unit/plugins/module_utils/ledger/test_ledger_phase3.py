# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes to begin live trading, where it stands, and how it is ended: each case alone."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.ledger import phase3, phase3_end, standing
from ansible_collections.levibot.transition.plugins.module_utils.ledger.phase3 import Fleet, Wanted
from ansible_collections.levibot.transition.plugins.module_utils.trading import reconcile

VERSION = "v1.8.0-beta"
DIGEST = "sha256:" + "1" * 64
NOW = 1_800_000_000.0
HOUR = 3600.0


def at(seconds: float) -> str:
    return datetime.fromtimestamp(NOW + seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def gate(name: str) -> dict[str, Any]:
    checks = [
        {"id": "position_loss_usd", "what": "loss"},
        {"id": "limit_breaches", "what": "limits"},
        {"id": "engine_faults", "what": "engines"},
    ]
    return {"id": name, "window_seconds": 60, "checks": checks}


STEPS = [
    {"id": "phase3.step1", "name": "One", "engines": {"BTC/USDT": "100.00"}, "live": {"BTC/USDT": "100.00"}, "gate": gate("phase3.step1")},
    {
        "id": "phase3.step2",
        "name": "Three",
        "engines": {"ETH/USDT": "100.00", "SOL/USDT": "100.00"},
        "live": {"BTC/USDT": "100.00", "ETH/USDT": "100.00", "SOL/USDT": "100.00"},
        "gate": gate("phase3.step2"),
    },
]
PHASE = {
    "capital_usd": "300.00",
    "approvers": [],
    "approvals": 1,
    "approval_max_age_seconds": 24 * HOUR,
    "drill_max_age_seconds": 168 * HOUR,
    "guardrails": ["position_loss_usd"],
    "on_fail": {"positions": "flatten", "earlier": "keep"},
    "on_blind": "kill",
    "steps": STEPS,
}
WANTED = Wanted(VERSION, PHASE, DIGEST, "app1")


class Ledger:
    """Entries as an export has them."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def add(self, rollout: str, kind: str, seconds: float = -HOUR, **data: Any) -> Ledger:
        self.entries.append({"seq": len(self.entries) + 1, "rollout": rollout, "kind": kind, "at": at(seconds), "data": data})
        return self

    def ready(self) -> Ledger:
        """A version that may go live: promoted, drilled, approved."""
        candidate = {"slot": "green", "version": VERSION}
        self.add("r2", "opened", -8 * HOUR, version=VERSION, plan_digest=DIGEST, candidate=candidate, stable={"slot": "blue"}, steps=[])
        self.add("r2", "closed", -4 * HOUR, outcome="promoted")
        self.add("kill-drill-1", "result", -2 * HOUR, **DRILL)
        return self.approved()

    def approved(self, who: str = "maria", seconds: float = -HOUR, **data: Any) -> Ledger:
        said = {"action": "live", "version": VERSION, "who": who, "reason": "it looks well", "until": None, "plan_digest": DIGEST, **data}
        return self.add(f"phase1-{VERSION}", "approval", seconds, **said)

    def opened(self, rollout: str = "r3-live", **policy: Any) -> Ledger:
        data = {
            "phase": "phase3", "version": VERSION, "plan_digest": DIGEST, "slot": "green", "host": "app1", "steps": STEPS,
            "policy": {**{key: PHASE[key] for key in ("guardrails", "on_fail", "on_blind")}, **policy}, "baseline": {"at": NOW},
        }  # fmt: skip
        return self.add(rollout, "opened", **data)

    def step(self, number: int, verdict: str = "pass", rollout: str = "r3-live", **data: Any) -> Ledger:
        step = STEPS[number - 1]
        self.add(rollout, "intent", action="start", step=step["id"], engines=step["engines"], continues=False)
        for symbol, usd in step["engines"].items():
            self.add(rollout, "result", action="start", step=step["id"], engines={symbol: usd})
        return self.add(rollout, "verdict", gate=step["id"], verdict=verdict, **data) if verdict else self

    @property
    def record(self) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["rollout"] == self.entries[-1]["rollout"]]


DRILL = {"action": "kill_drill", "passed": True, "version": VERSION, "slot": "green", "hosts": ["app1"], "problem": ""}


def edge(stable: str = "green", canary: bool = False) -> dict[str, Any]:
    return {"stable": stable, "candidate": "blue", "canary": canary, "weight": 10.0 if canary else 0.0, "text": "green 90 %, blue 10 %"}


def engine(symbol: str, capital: float | None = 100.0, mode: str | None = "live", status: str = "running") -> dict[str, Any]:
    return {"symbol": symbol, "status": status, "mode": mode, "capital": capital}


def slot(
    *engines: dict[str, Any], release: str = VERSION, state: str = "running", mode: str = "paper", kill: Any = False
) -> dict[str, Any]:
    api = {"mode": mode, "kill_switch": kill, "engines": list(engines)}
    return {"release": release, "containers": {"api": [{"state": state}]} if state else {}, "api": api}


def app(*engines: dict[str, Any], blue: dict[str, Any] | None = None, **green: Any) -> dict[str, Any]:
    return {"slots": {"green": slot(*engines, **green), "blue": blue or slot(release="v1.7.0", state="")}, "problems": []}


def fleet(*engines: dict[str, Any], edges: dict[str, Any] | None = None, **green: Any) -> Fleet:
    return Fleet.of(edges or {"edge1": edge()}, {"app1": app(*engines, **green)})


SURVEY = {"missing": [], "forms": {"stop_closing": "POST /engines/stop/{symbol}?close=$close"}}


def missing(ledger: Ledger, seen: Fleet, wanted: Wanted = WANTED, **more: Any) -> dict[str, str]:
    about = {"books": {"baseline": {"positions": {}}}, "survey": SURVEY, "chain": {"intact": True}, "now": NOW, **more}
    found = phase3.problems(wanted, seen, ledger.entries, **about)
    assert all(problem["fix"] for problem in found)
    return {problem["path"]: problem["found"] for problem in found}


# What it takes to begin


def test_nothing_is_missing_where_all_is_there():
    seen = fleet(engine("BTC/USDT", 2500.0, "paper"), engine("ETH/USDT", mode=None), engine("SOL/USDT", status="crashed"))
    assert missing(Ledger().ready(), seen) == {}


@pytest.mark.parametrize(
    ("seen", "path", "word"),
    [
        (Fleet.of({"e": edge(canary=True)}, {"app1": app()}), "edge e", "a canary is open"),
        (Fleet.of({"e": edge(), "f": edge("blue")}, {"app1": app()}), "edge_hosts", "do not agree"),
        (Fleet.of({"e": {"unreachable": True}}, {"app1": app()}), "edge e", "cannot be reached"),
        (Fleet.of({"e": {}}, {"app1": app()}), "edge e", "was not asked"),
        (Fleet.of({}, {"app1": app()}), "edge_hosts", "no edge"),
        (fleet(release="v1.7.0"), "levibot_version", "holds v1.7.0"),
        (fleet(engine("BTC/USDT")), "engines of green on app1", "live already: BTC/USDT with 100.00"),
        (fleet(engine("BTC/USDT", None, None), mode=None), "engines of green on app1", "live already: BTC/USDT"),
        (fleet(blue=slot(engine("BTC/USDT"))), "engines of blue on app1", "live already"),
        (fleet(state=""), "engines of green on app1", "does not run"),
        (fleet(kill=True), "the kill switch of green on app1", "on"),
        (fleet(kill=None), "the kill switch of green on app1", "not told"),
        (Fleet.of({"e": edge()}, {"app1": app(), "app2": {"unreachable": True}}), "engines of blue on app2", "cannot be reached"),
        (Fleet.of({"e": edge()}, {"app1": app(), "app2": {"failed": True, "msg": "no"}}), "engines of green on app2", "no"),
        (Fleet.of({"e": edge()}, {"app1": app(), "app2": app(engine("BTC/USDT"))}), "engines of green on app2", "live already"),
        (Fleet.of({"e": edge()}, {"app2": app()}), "engines_host", "app1"),
    ],
)
def test_what_is_seen_can_be_in_the_way(seen, path, word):
    ledger = Ledger().ready()
    ledger.entries[2]["data"]["hosts"] = ["app1", "app2"]
    assert word in missing(ledger, seen)[path]


def test_an_instance_that_cannot_be_asked_is_in_the_way_unless_its_container_is_seen_not_to_run():
    unread = slot(release="v1.7.0")
    unread["api"]["engines"] = None
    silent = {**app(blue=unread), "problems": ["blue: http://127.0.0.1:1: timed out"]}
    assert missing(Ledger().ready(), Fleet.of({"e": edge()}, {"app1": silent}))["engines of blue on app1"].endswith("timed out")
    gone = deepcopy(silent)
    gone["slots"]["blue"]["containers"]["api"][0]["state"] = "exited"
    assert missing(Ledger().ready(), Fleet.of({"e": edge()}, {"app1": gone})) == {}
    dark = {**app(), "problems": ["blue: Docker Engine: no answer"]}
    assert "engines of blue on app1" in missing(Ledger().ready(), Fleet.of({"e": edge()}, {"app1": dark}))


@pytest.mark.parametrize(
    ("change", "path", "word"),
    [
        (lambda entries: entries.__delitem__(slice(0, 2)), "Phase 2", "no rollout"),
        (lambda entries: entries[1]["data"].update(outcome="rolled_back"), "Phase 2", "ended as rolled back"),
        (lambda entries: entries.__delitem__(1), "Phase 2", "is not closed"),
        (lambda entries: entries[0]["data"]["candidate"].update(slot="blue"), "Phase 2", "promoted in blue"),
        (lambda entries: entries.__delitem__(2), "the kill switch's drill", "never proved"),
        (lambda entries: entries[2]["data"].update(passed=False, problem="no answer"), "the kill switch's drill", "has failed: no answer"),
        (lambda entries: entries[2]["data"].update(version="v1.7.0"), "the kill switch's drill", "never proved"),
        (lambda entries: entries[2]["data"].update(slot="blue"), "the kill switch's drill", "was in blue"),
        (lambda entries: entries[2]["data"].update(hosts=[]), "the kill switch's drill", "left out app1"),
        (lambda entries: entries[2].update(at=at(-169 * HOUR)), "the kill switch's drill", "169.0 h old"),
        (lambda entries: entries.pop(), "the approval of live trading", "0 of 1 (nobody)"),
        (lambda entries: entries[3].update(at=at(-25 * HOUR)), "the approval of live trading", "25.0 h old"),
        (lambda entries: entries[3].update(at=at(HOUR)), "the approval of live trading", "nobody"),
        (lambda entries: entries[3]["data"].update(plan_digest="sha256:2"), "the approval of live trading", "another plan"),
        (lambda entries: entries[3]["data"].update(until=at(-1)), "the approval of live trading", "nobody"),
    ],
)
def test_what_is_recorded_can_be_in_the_way(change, path, word):
    ledger = Ledger().ready()
    change(ledger.entries)
    found = missing(ledger, fleet())
    assert list(found) == [path]
    assert word in found[path]


def test_a_later_drill_that_failed_counts_more_than_the_one_that_passed():
    ledger = Ledger().ready().add("kill-drill-2", "result", -60, **{**DRILL, "passed": False, "problem": "blue hung"})
    assert "blue hung" in missing(ledger, fleet())["the kill switch's drill"]


@pytest.mark.parametrize(
    ("more", "path", "word"),
    [
        ({"chain": {"intact": False, "broken_seq": 3, "reason": "changed"}}, "the ledger", "entry 3"),
        ({"chain": {}}, "the ledger", "not verified"),
        ({"books": {}}, "the live book of green", "was not asked"),
        ({"books": {"failed": True, "msg": "moved while being read"}}, "the live book of green", "moved while"),
        ({"books": {"baseline": {"positions": {"DOGE/USDT": {"quantity": "-3"}}}}}, "the live book of green", "-3 DOGE/USDT"),
        ({"survey": {**SURVEY, "missing": ["phase 3 needs start_live"]}}, "the API on app1", "phase 3 needs start_live"),
        ({"survey": {}}, "the API on app1", "was not asked"),
        ({"survey": {"missing": [], "problem": "no answer within 3 s"}}, "the API on app1", "no answer within 3 s"),
        ({"survey": {**SURVEY, "token": False, "how": "answers 401"}}, "levibot_admin_token", "answers 401"),
    ],
)
def test_what_was_asked_can_be_in_the_way(more, path, word):
    assert word in missing(Ledger().ready(), fleet(), **more)[path]


def test_positions_are_closed_only_by_a_release_that_can():
    without = {"missing": [], "forms": {"stop_engine": "POST /engines/stop/{symbol}"}}
    assert "the plan closes it (on_fail.positions: flatten)" in missing(Ledger().ready(), fleet(), survey=without)["the API on app1"]
    leaving = Wanted(VERSION, {**PHASE, "on_fail": {"positions": "leave", "earlier": "keep"}}, DIGEST, "app1")
    assert missing(Ledger().ready(), fleet(), leaving, survey=without) == {}


@pytest.mark.parametrize("state", ["", "exited", "paused"])
def test_what_does_not_run_or_answer_is_started_anew_by_a_rollback(state):
    there = {**app(state=state), "problems": ["green: timed out"]}
    there["slots"]["green"]["api"]["engines"] = None
    seen = Fleet.of({"e": edge()}, {"app1": there})
    found = phase3.problems(WANTED, seen, Ledger().ready().entries, books={}, survey={}, chain={}, now=NOW)
    fix = next(problem["fix"] for problem in found if problem["path"] == "engines of green on app1")
    assert "playbooks/rollback.yml starts it anew" in fix


def test_where_no_slot_serves_nobody_can_be_asked_for_calls_or_books():
    seen = Fleet.of({"e": edge(canary=True)}, {"app1": app()})
    assert seen.slot == ""
    found = phase3.problems(WANTED, seen, Ledger().ready().entries, books={}, survey={}, chain={"intact": True}, now=NOW)
    assert not [problem for problem in found if problem["path"].startswith(("the API", "the live book"))]


def test_a_kill_switch_is_released_by_a_command_that_is_whole():
    found = phase3.problems(WANTED, fleet(kill=True), Ledger().ready().entries, books={}, survey={}, chain={}, now=NOW)
    fix = next(problem["fix"] for problem in found if problem["path"] == "the kill switch of green on app1")
    assert fix.endswith("playbooks/kill_switch.yml -e kill_state=released -e kill_slots=green -e kill_reason='…' -e kill_who='…'")


def test_a_position_is_in_the_way_unless_an_engine_that_was_kept_holds_it():
    positions = {"BTC/USDT": {"quantity": "0.1"}, "DOGE/USDT": {"quantity": "0.000"}}
    books = {"baseline": {"positions": positions}}
    assert "0.1 BTC/USDT" in missing(Ledger().ready(), fleet(), books=books)["the live book of green"]
    ledger = Ledger().ready().opened().step(1).add("r3-live", "closed", outcome="rolled_back").approved(seconds=-30)
    assert missing(ledger, fleet(engine("BTC/USDT")), books=books) == {}
    spelt = {"baseline": {"positions": {"BTCUSDT": {"quantity": "0.1"}}}}
    assert missing(ledger, fleet(engine("BTC/USDT")), books=spelt) == {}


def test_everything_that_is_wrong_is_told_at_once():
    ledger = Ledger()
    found = missing(ledger, fleet(engine("BTC/USDT"), kill=True, release="v1.7.0"), chain={}, survey={}, books={})
    assert set(found) == {
        "the ledger", "Phase 2", "levibot_version", "the kill switch's drill", "engines of green on app1",
        "the kill switch of green on app1", "the API on app1", "the live book of green", "the approval of live trading",
    }  # fmt: skip


# Approvals


def test_two_names_are_two_people():
    two = Wanted(VERSION, {**PHASE, "approvals": 2}, DIGEST, "app1")
    ledger = Ledger().ready().approved("  Maria ")
    assert "1 of 2" in missing(ledger, fleet(), two)["the approval of live trading"]
    assert missing(ledger.approved("jan"), fleet(), two) == {}


def test_only_those_who_are_named_may_approve():
    named = Wanted(VERSION, {**PHASE, "approvers": ["Jan"]}, DIGEST, "app1")
    assert "does not name this person" in missing(Ledger().ready(), fleet(), named)["the approval of live trading"]
    assert missing(Ledger().ready().approved("jan"), fleet(), named) == {}


def test_a_revocation_takes_it_back_and_that_of_the_release_does_not():
    ledger = Ledger().ready().add(f"phase1-{VERSION}", "approval", -60, action="revoke", what="go", version=VERSION, who="jan", reason="x")
    assert missing(ledger, fleet()) == {}
    ledger.add(f"phase1-{VERSION}", "approval", -30, action="revoke", what="live", version=VERSION, who="jan", reason="x")
    assert "the approval of live trading" in missing(ledger, fleet())


@pytest.mark.parametrize("outcome", ["rolled_back", "failed", "aborted", "live"])
def test_an_approval_is_for_one_phase_3(outcome):
    ledger = Ledger().ready().opened().add("r3-live", "closed", -60, outcome=outcome)
    assert "before the last Phase 3" in missing(ledger, fleet())["the approval of live trading"]
    assert missing(ledger.approved(seconds=-30), fleet()) == {}


def test_a_plan_that_was_changed_since_phase_2_needs_only_its_own_approval():
    other = Wanted(VERSION, PHASE, "sha256:2", "app1")
    assert "not the one of this version's Phase 2" in missing(Ledger().ready(), fleet(), other)["the approval of live trading"]
    assert missing(Ledger().ready().approved(plan_digest="sha256:2"), fleet(), other) == {}


def test_an_approval_is_recorded_once_and_again_when_it_does_not_count_any_more():
    given_ = {"what": "live", "who": "maria", "reason": "it looks well", "until": ""}
    ledger = Ledger()
    first = phase3.approval(ledger.entries, given_, WANTED, NOW)
    assert first["entries"][0]["data"]["plan_digest"] == DIGEST
    ledger.approved()
    assert phase3.approval(ledger.entries, given_, WANTED, NOW)["entries"] == []
    assert phase3.approval(ledger.entries, given_, WANTED, NOW + 48 * HOUR)["entries"] != []
    ledger.opened().add("r3-live", "closed", outcome="rolled_back")
    assert phase3.approval(ledger.entries, given_, WANTED, NOW)["entries"] != []
    revoked = phase3.approval(ledger.entries, {**given_, "revoke": True}, WANTED, NOW)
    assert revoked["entries"][0]["data"]["what"] == "live"
    assert phase3.approval([], {**given_, "revoke": True}, WANTED, NOW)["entries"] == []
    assert [one["path"] for one in phase3.approval([], {"what": "live"}, WANTED, NOW)["problems"]] == ["approve_who", "approve_reason"]


# Where it stands


def decided(ledger: Ledger, seen: Fleet, wanted: Wanted = WANTED, notes: Any = ()) -> dict[str, Any]:
    record = ledger.record if ledger.entries and ledger.entries[-1]["rollout"].startswith("r") else []
    return phase3.decide(record, ledger.entries, wanted, seen, notes)


def test_it_begins_where_nothing_is_open():
    assert phase3.decide([], Ledger().ready().entries, WANTED, fleet())["do"] == "open"


def test_an_open_rollout_is_refused_and_the_other_way_round():
    ledger = Ledger().add(
        "r2", "opened", version=VERSION, plan_digest=DIGEST, candidate={"slot": "green"}, stable={"slot": "blue"}, steps=[]
    )
    answer = decided(ledger, fleet())
    assert answer["do"] == "refuse"
    assert "r2" in answer["why"]
    back = standing.decide(Ledger().opened().record, {"e": edge()}, VERSION, DIGEST)
    assert back["do"] == "refuse"
    assert "live trading" in back["why"]
    assert "rollback" in back["fix"]
    assert back["serves"], "a run of this version that finds nothing to roll out is not in its way"
    assert not standing.decide(Ledger().opened().record, {"e": edge()}, "v1.9.0", DIGEST)["serves"]


def test_it_goes_on_at_the_step_that_was_interrupted_with_its_look():
    ledger = Ledger().ready().opened().step(1).step(2, "")
    ledger.add("r3-live", "look", gate="phase3.step2", started_at=NOW - 10)
    answer = decided(ledger, fleet(*map(engine, STEPS[1]["live"])))
    assert (answer["do"], answer["step"], answer["passed"]) == ("resume", "phase3.step2", ["phase3.step1"])
    assert answer["look"]["started_at"] == NOW - 10
    assert answer["live"] == STEPS[1]["live"]


def test_a_start_that_nobody_has_recorded_is_no_difference_and_is_done_again():
    ledger = Ledger().ready().opened().step(1)
    ledger.add("r3-live", "intent", action="start", step="phase3.step2", engines=STEPS[1]["engines"], continues=False)
    for there in (["BTC/USDT"], ["BTC/USDT", "ETH/USDT"]):
        answer = decided(ledger, fleet(*map(engine, there)))
        assert (answer["do"], answer["step"], answer["look"]) == ("resume", "phase3.step2", None)


def test_a_capital_that_the_server_does_not_say_is_no_difference():
    assert decided(Ledger().ready().opened().step(1), fleet(engine("BTC/USDT", None)))["do"] == "resume"


@pytest.mark.parametrize(
    ("seen", "cause", "word"),
    [
        (fleet(), "unconfirmed", "BTC/USDT does not run live"),
        (fleet(engine("BTC/USDT"), engine("XRP/USDT")), "unconfirmed", "nothing here has started it"),
        (fleet(engine("BTC/USDT", 500.0)), "unconfirmed", "500.00, and not 100.00"),
        (fleet(engine("BTC/USDT", mode="paper")), "unconfirmed", "does not run live"),
        (fleet(engine("BTC/USDT"), kill=True), "killed", "kill switch"),
        (fleet(engine("BTC/USDT"), blue=slot(engine("BTC/USDT"))), "one_writer", "blue on app1: BTC/USDT"),
        (fleet(engine("BTC/USDT"), edges={"e": edge("blue")}), "moved", "all of the traffic"),
        (fleet(engine("BTC/USDT"), edges={"e": edge(canary=True)}), "moved", "all of the traffic"),
        (Fleet.of({"e": edge()}, {"app1": {"unreachable": True}}), "blind", "cannot be read"),
    ],
)
def test_what_is_not_as_recorded_ends_it(seen, cause, word):
    answer = decided(Ledger().ready().opened().step(1), seen)
    assert (answer["do"], answer["cause"]) == ("back", cause)
    assert word in answer["why"]


def test_an_edge_that_does_not_answer_is_no_reason_to_kill():
    answer = decided(Ledger().ready().opened().step(1), fleet(engine("BTC/USDT"), edges={"e": {"unreachable": True}}))
    assert answer["do"] == "refuse"
    assert "BTC/USDT" in answer["why"]


def silent(**blue: Any) -> dict[str, Any]:
    """An app host whose other slot has a container and does not answer."""
    there = slot(release="v1.7.0", **blue)
    there["api"]["engines"] = None
    return {**app(engine("BTC/USDT"), blue=there), "problems": ["blue: http://127.0.0.1:1: timed out"]}


@pytest.mark.parametrize(
    ("apps", "word"),
    [
        ({"app1": app(engine("BTC/USDT")), "app2": {"unreachable": True}}, "blue on app2: cannot be asked: the host cannot be reached"),
        ({"app1": app(engine("BTC/USDT")), "app2": {}}, "green on app2: cannot be asked: it was not asked"),
        ({"app1": silent()}, "blue on app1: blue: http://127.0.0.1:1: timed out"),
    ],
)
def test_nothing_more_is_started_while_another_place_does_not_answer(apps, word):
    answer = decided(Ledger().ready().opened().step(1), Fleet.of({"e": edge()}, apps))
    assert answer["do"] == "refuse"
    assert word in answer["why"]
    assert answer["why"].endswith("live are BTC/USDT")
    assert "make it answer" in answer["fix"]


@pytest.mark.parametrize("apps", [{"app1": silent(state="exited")}, {"app1": app(engine("BTC/USDT")), "app2": app(state="")}])
def test_a_place_that_is_seen_not_to_run_is_in_nobodys_way(apps):
    assert decided(Ledger().ready().opened().step(1), Fleet.of({"e": edge()}, apps))["do"] == "resume"


def test_what_is_seen_to_be_wrong_ends_it_though_another_place_does_not_answer():
    seen = Fleet.of({"e": edge()}, {"app1": app(engine("BTC/USDT"), kill=True), "app2": {"unreachable": True}})
    assert decided(Ledger().ready().opened().step(1), seen)["cause"] == "killed"


@pytest.mark.parametrize("wanted", [Wanted("v1.9.0", PHASE, DIGEST, "app1"), Wanted(VERSION, PHASE, "sha256:2", "app1")])
def test_another_version_or_plan_is_refused(wanted):
    assert decided(Ledger().ready().opened().step(1), fleet(engine("BTC/USDT")), wanted)["do"] == "refuse"


def test_an_end_that_was_begun_is_finished():
    ledger = Ledger().ready().opened().step(1, "fail", reason="It failed.")
    answer = decided(ledger, fleet(engine("BTC/USDT")))
    assert (answer["do"], answer["cause"]) == ("back", "")
    assert answer["why"].startswith("It failed.")
    ledger.add("r3-live", "intent", action="kill", cause="guardrail", reason="A loss.", symbols=[])
    assert decided(ledger, fleet())["cause"] == "guardrail"


def test_what_the_dead_mans_switch_did_ends_it():
    answer = decided(Ledger().ready().opened().step(1), fleet(engine("BTC/USDT")), notes=[{"why": "silent for 900 s"}])
    assert (answer["do"], answer["cause"]) == ("back", "unwatched")
    assert "silent for 900 s" in answer["why"]


def test_once_it_is_live_there_is_nothing_to_do_as_long_as_it_is():
    ledger = Ledger().ready().opened().step(1).step(2).add("r3-live", "closed", outcome="live")
    everything = [engine(symbol) for symbol in STEPS[1]["live"]]
    assert decided(ledger, fleet(*everything))["do"] == "done"
    assert decided(ledger, fleet(*everything[1:]))["do"] == "open"


def test_engines_that_were_kept_live_may_be_there_when_it_begins_again():
    ledger = Ledger().ready().opened().step(1).step(2, "fail", reason="x")
    ledger.add("r3-live", "result", action="stop", symbols=["ETH/USDT", "SOL/USDT"]).add("r3-live", "closed", outcome="rolled_back")
    ledger.approved(seconds=-30)
    assert missing(ledger, fleet(engine("BTC/USDT"))) == {}
    assert "ETH/USDT" in missing(ledger, fleet(engine("BTC/USDT"), engine("ETH/USDT")))["engines of green on app1"]
    assert "BTC/USDT with 200.00" in missing(ledger, fleet(engine("BTC/USDT", 200.0)))["engines of green on app1"]


def test_engines_that_were_kept_live_are_known_to_the_record_that_begins_with_them():
    ledger = Ledger().ready().opened().step(1).step(2, "fail", reason="x")
    ledger.add("r3-live", "result", action="stop", symbols=["ETH/USDT", "SOL/USDT"]).add("r3-live", "closed", outcome="rolled_back")
    ledger.approved(seconds=-30)
    before = decided(ledger, fleet(engine("BTC/USDT")))
    assert (before["do"], before["live"]) == ("open", {"BTC/USDT": "100.00"})
    assert decided(ledger, fleet())["live"] == {}, "stopped since, by somebody"
    ledger.opened("r4-live")
    ledger.entries[-1]["data"]["kept"] = before["live"]
    answer = decided(ledger, fleet(engine("BTC/USDT")))
    assert (answer["do"], answer["step"], answer["live"]) == ("resume", "phase3.step1", {"BTC/USDT": "100.00"})
    assert decided(ledger, fleet(engine("BTC/USDT"), engine("ETH/USDT")))["cause"] == "unconfirmed"


# How it is ended


def failing(*deciding: str, verdict: str = "fail", step: int = 2, **evidence: str) -> dict[str, Any]:
    checks = [{"id": name, "evidence": evidence.get(name, ""), "reason": ""} for name in deciding]
    return {"gate": f"phase3.step{step}", "verdict": verdict, "deciding": list(deciding), "checks": checks}


def ended(ledger: Ledger, *given_: Any, **more: Any) -> dict[str, Any]:
    return phase3_end.response(ledger.record, *given_, **more)


def test_a_failed_gate_stops_what_its_step_has_started():
    answer = ended(Ledger().opened().step(1).step(2, ""), verdict=failing("position_errors"))
    assert (answer["do"], answer["positions"]) == ("stop", "flatten")
    assert set(answer["stop"]) == {"ETH/USDT", "SOL/USDT"}
    assert answer["keep"] == {"BTC/USDT": "100.00"}


def test_earlier_engines_stop_as_well_where_the_plan_says_so_or_a_check_blames_them():
    stopping = Ledger().opened(on_fail={"positions": "leave", "earlier": "stop"}).step(1).step(2, "")
    answer = ended(stopping, verdict=failing("position_errors"))
    assert (set(answer["stop"]), answer["positions"]) == (set(STEPS[1]["live"]), "leave")
    blamed = ended(Ledger().opened().step(1).step(2, ""), verdict=failing("pnl_errors", pnl_errors="BTC/USDT: reported 5, found 4"))
    assert set(blamed["stop"]) == set(STEPS[1]["live"])


def test_a_broken_guardrail_kills_whatever_the_plan_says():
    answer = ended(Ledger().opened(on_blind="paper").step(1).step(2, ""), verdict=failing("position_errors", "position_loss_usd"))
    assert (answer["do"], answer["cause"], answer["slots"]) == ("kill", "guardrail", ["green"])
    assert set(answer["stop"]) == set(STEPS[1]["live"])


def books(paid: str = "60", pnl: str = "0", capital: int = 100, most: int = 5, killed: bool = False) -> reconcile.Books:
    """A position of BTC/USDT as a release tells it. pnl: what it has earned so far."""
    at = NOW - 10
    fill = {"fill_id": 1, "symbol": "BTC/USDT", "side": "buy", "qty": "0.001", "price": str(Decimal(paid) * 1000), "fee_usd": "0", "ts": at}
    held = {
        "symbol": "BTC/USDT", "side": "long", "qty": "0.001", "entry_price": fill["price"], "opened_at": at,
        "current_price": str((Decimal(paid) + Decimal(pnl)) * 1000),
    }  # fmt: skip
    engines = [{"symbol": "BTC/USDT", "status": "running", "mode": "live", "capital": capital, "last_heartbeat": NOW}]
    portfolio = {"starting_balance": "1000", "cash_balance": str(1000 - Decimal(paid)), "total_pnl": pnl}
    return reconcile.read_books(
        {
            "at": NOW, "history": "fills", "mode": "live", "killed": killed, "complete": True, "fills": [fill], "trades": [],
            "positions": [held], "positions_again": [held], "portfolio": portfolio, "engines": engines,
            "risk": {"policy": {"exposure": most}},
        }
    )  # fmt: skip


def said(check: str, found: reconcile.Books, **limits: str) -> dict[str, Any]:
    """The verdict of the first step on books, in the words of trading/reconcile.py."""
    start = {
        "at": NOW - 60,
        "positions": {},
        "cash_usd": "1000",
        "total_pnl_usd": "0",
        "starting_usd": "1000",
        "last_fill_id": None,
        "fills": 0,
    }
    allowed = {
        "position_ratio": "1",
        "exposure_ratio": "1",
        "daily_loss_ratio": "0.5",
        "concurrent_positions": 9,
        "reported": {"exposure": "5"},
    }
    expected = reconcile.Expected(start, {"BTC/USDT": "100.00"}, ["BTC/USDT"], ["long"], {**allowed, **limits}, NOW)
    finding = reconcile.engines(found, expected, 60) if check == "engine_faults" else reconcile.limits(found, expected)
    assert len(finding.problems) == 1, finding.problems
    return failing(check, step=1, **{check: f"0 trades; {finding.problems[0]}"})


@pytest.mark.parametrize(
    ("verdict", "cause"),
    [
        (said("limit_breaches", books("60"), position_ratio="0.5"), "capital"),
        (said("limit_breaches", books("60"), exposure_ratio="0.5"), "capital"),
        (said("limit_breaches", books("60", "-6"), daily_loss_ratio="0.05"), "capital"),
        (said("limit_breaches", books("60", capital=150)), "capital"),
        (said("engine_faults", books("60", killed=True)), "killed"),
    ],
)
def test_what_is_no_matter_of_a_plan_kills_whatever_it_says(verdict, cause):
    answer = ended(Ledger().opened(on_blind="paper").step(1), verdict=verdict)
    assert (answer["do"], answer["cause"], answer["slots"]) == ("kill", cause, ["green"])
    assert (answer["stop"], answer["keep"]) == ({"BTC/USDT": "100.00"}, {})


@pytest.mark.parametrize(
    "verdict",
    [
        said("limit_breaches", books("60", most=50)),
        said("limit_breaches", books("60"), concurrent_positions="0"),
        failing("pnl_errors", step=1, pnl_errors="daily loss: what another check says"),
    ],
)
def test_other_limits_end_it_as_the_plan_says(verdict):
    answer = ended(Ledger().opened().step(1), verdict=verdict)
    assert (answer["do"], answer["cause"]) == ("stop", "gate")


@pytest.mark.parametrize("cause", ["", "gate", "blind"])
@pytest.mark.parametrize("verdict", [failing("engine_faults"), failing("position_errors", verdict="blind")])
def test_a_kill_switch_that_somebody_has_thrown_leaves_nothing_live(verdict, cause):
    there = fleet(*(engine(symbol, status="stopped") for symbol in STEPS[1]["live"]), kill=True)
    answer = ended(Ledger().opened(on_blind="paper").step(1).step(2, ""), cause, verdict, there)
    assert (answer["do"], answer["cause"], answer["slots"]) == ("kill", "killed", ["green"])
    assert (set(answer["stop"]), answer["keep"]) == (set(STEPS[1]["live"]), {})


@pytest.mark.parametrize(
    ("seen", "cause", "slots"),
    [
        (fleet(engine("BTC/USDT"), blue=slot(engine("BTC/USDT"))), "one_writer", ["blue", "green"]),
        (fleet(engine("BTC/USDT", 101.0)), "capital", ["green"]),
        (fleet(engine("BTC/USDT"), engine("XRP/USDT")), "capital", ["green"]),
    ],
)
def test_what_is_seen_counts_more_than_what_the_gate_has_found(seen, cause, slots):
    answer = ended(Ledger().opened().step(1, ""), verdict=failing("engine_faults", step=1), fleet=seen)
    assert (answer["do"], answer["cause"], answer["slots"]) == ("kill", cause, slots)
    assert ended(Ledger().opened().step(1, ""), verdict=failing("engine_faults", step=1), fleet=fleet())["do"] == "stop"


@pytest.mark.parametrize("policy", ["kill", "paper"])
def test_blind_is_ended_as_the_plan_says(policy):
    answer = ended(
        Ledger().opened(on_blind=policy).step(1).step(2, ""), verdict=failing("position_errors", "position_loss_usd", verdict="blind")
    )
    assert (answer["do"], set(answer["stop"]), answer["keep"]) == (policy, set(STEPS[1]["live"]), {})
    assert answer["positions"] == ("flatten" if policy == "paper" else "leave")


@pytest.mark.parametrize("cause", ["unconfirmed", "one_writer", "moved", "killed", "unwatched", "guardrail", "capital"])
def test_every_hard_cause_kills(cause):
    assert ended(Ledger().opened().step(1), cause)["do"] == "kill"


def test_what_was_only_meant_to_be_started_is_stopped_as_well():
    ledger = Ledger().opened().step(1)
    ledger.add("r3-live", "intent", action="start", step="phase3.step2", engines=STEPS[1]["engines"])
    assert set(ended(ledger, "gate")["stop"]) == {"ETH/USDT", "SOL/USDT"}


def test_nothing_has_to_be_stopped_where_nothing_was_started():
    assert ended(Ledger().opened(), "gate")["stop"] == {}


# What is told


def told(ledger: Ledger, seen: Fleet, end: dict[str, Any], **more: Any) -> dict[str, Any]:
    done = {"kill": {}, "ended": {}, "books": {"baseline": {"positions": {}}}, **more}
    return phase3_end.tell(ledger.record, phase3_end.Ended(end, "The gate failed", **done), seen)


def kill(*outcomes: str, **result: Any) -> dict[str, Any]:
    asked = {"calls": [{"call": "kill"}], "unanswered": [{"call": "kill"}]}
    instances = [
        {"name": f"levibot-green-api-{number}", "project": "levibot-green", "outcome": outcome, **asked}
        for number, outcome in enumerate(outcomes, 1)
    ]
    return {"results": [{"item": "app1", "instances": instances, **result}]}


def test_what_was_stopped_kept_and_is_open_is_told():
    ledger = Ledger().opened().step(1).step(2, "")
    end = ended(ledger, verdict=failing("position_errors"))
    books = {
        "baseline": {
            "positions": {"BTC/USDT": {"quantity": "0.5", "price_usd": "100"}, "ETH/USDT": {"quantity": "-1.5", "price_usd": None}}
        }
    }
    lost = {"call": "stop_engine", "symbol": "SOL/USDT"}
    results = {"results": [{"calls": [{"call": "stop_engine", "symbol": "ETH/USDT"}]}, {"calls": [], "unanswered": [lost]}]}
    found = told(ledger, fleet(engine("BTC/USDT")), end, books=books, ended=results)
    assert found["safe"]
    assert found["critical"]
    assert (found["action"], found["stopped"], found["live"]) == (
        "stop",
        ["ETH/USDT", "SOL/USDT"],
        {"green on app1": {"BTC/USDT": "100.00"}},
    )
    assert found["still_open"] == {"BTC/USDT": "0.5", "ETH/USDT": "-1.5"}
    assert found["calls"] == [{"call": "stop_engine", "symbol": "ETH/USDT"}]
    assert found["unanswered"] == [lost], "the server may have done it, and its log says so then"
    for words in (
        "The gate failed. ETH/USDT was stopped, and its position COULD NOT BE CLOSED. SOL/USDT was stopped, its position closed.",
        "STILL OPEN, AND NOTHING TRADES IT: -1.5 ETH/USDT (worth unknown). HELD BY ENGINES THAT GO ON: 0.5 BTC/USDT (50.00 USD).",
        "BTC/USDT (100.00 USD) GOES ON LIVE, as the plan says, AND NO RUN WATCHES IT ANY MORE",
        "new approval",
    ):
        assert words in found["text"]
    assert "kill_switch.yml" not in found["text"], "nobody has thrown it"


@pytest.mark.parametrize(
    ("positions", "open_", "words"),
    [
        ("flatten", (), "ETH/USDT and SOL/USDT were stopped, their positions closed."),
        ("flatten", ("ETHUSDT", "SOL/USDT"), "ETH/USDT and SOL/USDT were stopped, and their positions COULD NOT BE CLOSED."),
        ("flatten", None, "ETH/USDT and SOL/USDT were stopped, and whether their positions were closed is not known."),
        ("leave", ("SOL/USDT",), "ETH/USDT was stopped. SOL/USDT was stopped, and its position left open."),
        ("leave", None, "ETH/USDT and SOL/USDT were stopped. WHAT IS STILL OPEN IS NOT KNOWN: no answer."),
    ],
)
def test_what_became_of_positions_is_told_by_the_book(positions, open_, words):
    ledger = Ledger().opened(on_fail={"positions": positions, "earlier": "keep"}).step(1).step(2, "")
    unread = {"failed": True, "msg": "no answer"}
    book = unread if open_ is None else {"baseline": {"positions": {symbol: {"quantity": "1", "price_usd": "5"} for symbol in open_}}}
    assert words in told(ledger, fleet(engine("BTC/USDT")), ended(ledger, "gate"), books=book)["text"]


def test_whether_something_trades_what_is_open_may_not_be_known():
    ledger = Ledger().opened().step(1, "")
    book = {"baseline": {"positions": {"BTC/USDT": {"quantity": "0.5", "price_usd": "100"}}}}
    found = told(ledger, fleet(), ended(ledger, "guardrail"), kill=kill(failed=True, msg="it hangs"), books=book)
    assert "STILL OPEN: 0.5 BTC/USDT (50.00 USD)." in found["text"]
    assert "Release the kill switch" not in found["text"], "not while an engine may go on"
    strange = told(ledger, fleet(engine("BTCUSDT")), ended(ledger, "guardrail"), kill=kill("confirmed"), books=book)
    assert "HELD BY ENGINES THAT GO ON: 0.5 BTC/USDT (50.00 USD)." in strange["text"]
    assert "STILL OPEN" not in strange["text"]


RELEASE = "Release the kill switch: playbooks/kill_switch.yml -e kill_state=released -e kill_slots={} -e kill_reason='…' -e kill_who='…'."
ANEW = "The API of green: playbooks/rollback.yml starts it anew where an edge gets no answer from it."


@pytest.mark.parametrize(
    ("cause", "outcome", "quantity", "words"),
    [
        ("guardrail", "confirmed", "0", f"No position is open. {RELEASE.format('green')} Live trading begins again with a new approval"),
        ("guardrail", "stopped", "0", f"No position is open. {ANEW} {RELEASE.format('green')} Live trading"),
        ("one_writer", "confirmed", "2", f"Close on the exchange what is open. {RELEASE.format('blue,green')} Live trading"),
    ],
)
def test_after_a_kill_all_steps_are_told_in_their_order(cause, outcome, quantity, words):
    ledger = Ledger().opened().step(1, "")
    book = {"baseline": {"positions": {"BTC/USDT": {"quantity": quantity, "price_usd": "100"}}}}
    assert words in told(ledger, fleet(kill=True), ended(ledger, cause), kill=kill(outcome), books=book)["text"]


def test_a_quiet_end_is_not_critical():
    ledger = Ledger().opened().step(1, "")
    found = told(ledger, fleet(), ended(ledger, verdict=failing("pnl_errors", step=1)))
    assert (found["safe"], found["critical"]) == (True, False)
    assert "BTC/USDT was stopped, its position closed. No position is open." in found["text"]


def test_a_kill_is_told_with_what_became_of_each_instance():
    ledger = Ledger().opened().step(1, "")
    found = told(ledger, fleet(kill=True), ended(ledger, "guardrail"), kill=kill("confirmed", "stopped"))
    assert (found["safe"], found["critical"], found["action"]) == (True, True, "kill")
    assert "(levibot-green-api-1 confirmed, levibot-green-api-2 stopped), and BTC/USDT stands still" in found["text"]
    assert [one["outcome"] for one in found["instances"]] == ["confirmed", "stopped"]
    assert found["calls"] == found["unanswered"] == [{"call": "kill"}, {"call": "kill"}]


def test_an_instance_that_was_paused_by_a_kill_is_not_asked_again():
    ledger = Ledger().opened().step(1, "")
    seen = Fleet.of({"e": edge()}, {"app1": {**app(state="paused"), "problems": ["green: timed out"]}})
    assert told(ledger, seen, ended(ledger, "guardrail"), kill=kill("paused"))["safe"]


@pytest.mark.parametrize(
    ("seen", "more", "word"),
    [
        (fleet(engine("BTC/USDT")), {"kill": kill("confirmed")}, "ENGINES MAY GO ON: BTC/USDT in green on app1"),
        (fleet(), {"kill": kill(failed=True, msg="it hangs")}, "all of app1 (it hangs)"),
        (fleet(), {"kill": {"results": [{"item": "app1", "unreachable": True}]}}, "all of app1 (the host cannot be reached)"),
        (Fleet.of({"e": edge()}, {"app1": {"unreachable": True}}), {}, "green on app1 (cannot be asked"),
        (fleet(blue=slot(engine("ETH/USDT"))), {"kill": kill("confirmed")}, "ETH/USDT in blue on app1"),
    ],
)
def test_whatever_cannot_be_seen_to_have_ended_may_go_on(seen, more, word):
    ledger = Ledger().opened().step(1, "")
    found = told(ledger, seen, ended(ledger, "guardrail"), **more)
    assert not found["safe"]
    assert found["critical"]
    assert word in found["text"]


def test_a_book_that_cannot_be_read_is_not_an_empty_one():
    ledger = Ledger().opened().step(1, "")
    found = told(ledger, fleet(), ended(ledger, "gate"), books={"failed": True, "msg": "no answer"})
    assert found["critical"]
    assert found["still_open"] == {"unknown": "unknown"}
    assert "WHAT IS STILL OPEN IS NOT KNOWN: no answer." in found["text"]


def test_nothing_started_is_told():
    ledger = Ledger().opened()
    assert "No engine was started" in told(ledger, fleet(), ended(ledger, "gate"))["text"]


# Money


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (100, "100.00"),
        (100.0, "100.00"),
        ("99.999", "100.00"),
        (Decimal("0.1"), "0.10"),
        (None, ""),
        (True, ""),
        ("x", ""),
        ("NaN", ""),
        ("", ""),
    ],
)
def test_an_amount_is_written_in_cents(value, text):
    assert phase3.money(value) == text


@given(st.decimals(min_value=0, max_value=10**9, places=2))
def test_an_amount_that_was_written_reads_the_same(amount):
    assert phase3.money(phase3.money(amount)) == phase3.money(float(amount)) == phase3.money(amount)


MUTE = {"release": "v1.7.0", "containers": {"api": [{"state": "running"}]}}


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        (app(*map(engine, STEPS[1]["live"]), blue=slot(engine("BTC/USDT"))), "a second writer, blue on app1: BTC/USDT"),
        (app(*map(engine, STEPS[1]["live"]), kill=True), "the kill switch of green on app1 is on"),
        (app(*map(engine, STEPS[1]["live"]), blue=MUTE), "blue on app1: its engines cannot be read"),
    ],
)
def test_live_with_something_wrong_beside_it_is_not_done(seen, word):
    ledger = Ledger().ready().opened().step(1).step(2).add("r3-live", "closed", outcome="live")
    answer = decided(ledger, Fleet.of({"e": edge()}, {"app1": seen}))
    assert answer["do"] == "refuse"
    assert word in answer["why"]
    assert answer["fix"]


def test_live_with_another_host_that_cannot_be_asked_is_not_done():
    ledger = Ledger().ready().opened().step(1).step(2).add("r3-live", "closed", outcome="live")
    answer = decided(ledger, Fleet.of({"e": edge()}, {"app1": app(*map(engine, STEPS[1]["live"])), "app2": {"unreachable": True}}))
    assert answer["do"] == "refuse"
    assert "cannot be reached" in answer["why"]


@pytest.mark.parametrize("name", ["BTCUSDT", "btc-usdt", "BTC_USDT"])
def test_engines_are_the_same_however_the_release_spells_them(name):
    ledger = Ledger().ready().opened().step(1)
    assert decided(ledger, fleet(engine(name)))["do"] == "resume"
    twice = decided(ledger, fleet(engine(name), engine("BTC/USDT")))
    assert (twice["do"], twice["cause"]) == ("back", "unconfirmed")
    assert "100.00 and 100.00" in twice["why"]


def test_an_engine_that_was_to_be_started_is_not_forgotten_with_the_first_of_them():
    ledger = Ledger().ready().opened().step(1)
    ledger.add("r3-live", "intent", action="start", step="phase3.step2", engines=STEPS[1]["engines"], continues=False)
    ledger.add("r3-live", "result", action="start", step="phase3.step2", engines={"ETH/USDT": "100.00"})
    there = fleet(*map(engine, STEPS[1]["live"]))
    assert decided(ledger, there)["do"] == "resume"
    assert "SOL/USDT" in phase3_end.response(ledger.record, "gate", {}, there)["stop"]


def test_words_are_read_however_they_are_written():
    assert (
        Fleet.of({"e": edge()}, {"app1": app(engine("BTC/USDT", mode="PAPER"), engine("ETH/USDT", status="Stopped"))}).places[0].live == {}
    )
    assert fleet(engine("BTC/USDT", mode="Live", status="RUNNING")).places[0].live == {"BTC/USDT": "100.00"}


def test_a_rollout_does_not_begin_over_live_engines():
    (found,) = phase3.rollout_problems({"app1": app(engine("BTC/USDT"), engine("ETH/USDT", mode="paper"))})
    assert (found["path"], found["found"]) == (
        "engines of green on app1",
        "live: BTC/USDT with 100.00; this rollout would retire them",
    )
    assert "rollback.yml" in found["fix"]
    paper = app(engine("BTC/USDT", mode="paper"), engine("ETH/USDT", mode=None), engine("SOL/USDT", status="stopped"))
    assert phase3.rollout_problems({"app1": paper, "app2": {"unreachable": True}, "app3": {}}) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Maria Weber", "  maria   WEBER "),
        ("Jos\u00e9", "Jose\u0301"),
        ("maria", "ma\u200bria"),
        ("maria weber", "maria\u00a0weber"),
        ("Strauß", "STRAUSS"),
    ],
)
def test_one_person_in_two_spellings_is_no_second_pair_of_eyes(one, other):
    two = Wanted(VERSION, {**PHASE, "approvals": 2}, DIGEST, "app1")
    ledger = Ledger().ready()
    ledger.entries = [entry for entry in ledger.entries if entry["kind"] != "approval"]
    ledger.approved(one).approved(other)
    assert missing(ledger, fleet(), two)["the approval of live trading"].startswith("1 of 2")
