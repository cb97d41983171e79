# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live trading by the ledger: what it takes to begin, where it stands, and what is done when it fails. Pure.

Entries are plain dictionaries, as an export has them. What is seen of the fleet is a :class:`Fleet`, made of what ``edge_info`` and
``slot_info`` return. Whatever could not be asked counts as the worst that it can be, and is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger import phase1
from ansible_collections.levibot.transition.plugins.module_utils.trading.fills import symbol_of

PHASE = "phase3"
LIVE = phase1.LIVE  # the outcome and the mode, too
OPEN, RESUME, BACK, REFUSE, DONE = "open", "resume", "back", "refuse", "done"
KILL, PAPER, STOP = "kill", "paper", "stop"
ENDINGS = (KILL, PAPER, STOP, "rollback")
# Why Phase 3 ends early. What is not in SOFT throws the kill switch, whatever the plan says.
GATE, BLIND, GUARDRAIL, UNCONFIRMED, ONE_WRITER, CAPITAL, MOVED, KILLED, UNWATCHED = (
    "gate", "blind", "guardrail", "unconfirmed", "one_writer", "capital", "moved", "killed", "unwatched",
)  # fmt: skip
SOFT = (GATE, BLIND)
STANDING_STILL = ("stopped", "crashed")
NOT_RUNNING = ("exited", "created", "dead", "removing")
UNTOLD = "an untold amount"
KILL_ALL = "playbooks/rollback.yml -e rollback_kill=all stops all trading now"
ROLLBACK = f"{KILL_ALL}, and closes this record"
# With a stable that answers, a rollback starts nothing.
START_ANEW = "playbooks/rollback.yml starts it anew where an edge gets no answer from it"

Entry = Mapping[str, Any]
Problem = dict[str, str]


# What is seen, and what is wanted


@dataclass(frozen=True)
class Wanted:
    """What is to be begun: the version, the plan's Phase 3 as validated, its digest, and the host whose API runs the engines."""

    version: str
    phase: Mapping[str, Any]
    plan_digest: str
    host: str

    @property
    def symbols(self) -> dict[str, str]:
        """Each symbol's capital."""
        return {str(symbol): money(usd) for step in self.phase.get("steps") or () for symbol, usd in step["engines"].items()}


@dataclass(frozen=True)
class Place:
    """One API instance: a slot on a host. live: by symbol the capital of the engines that trade live, "" where it is not told."""

    host: str
    slot: str
    problem: str = ""
    runs: bool = False
    killed: bool | None = None
    live: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return f"{self.slot} on {self.host}"


@dataclass(frozen=True)
class Fleet:
    """All edges and API instances.

    slot: the one that has all the traffic of every edge, "" where there is none or it is not known. unknown: whether an edge did not say.
    """

    slot: str
    places: tuple[Place, ...]
    problems: tuple[Problem, ...]
    releases: Mapping[str, str]  # of the serving slot, by host
    unknown: bool = False

    @classmethod
    def of(cls, edges: Mapping[str, Mapping[str, Any]], apps: Mapping[str, Mapping[str, Any]]) -> Fleet:
        """edges and apps: by host what edge_info (or edge_split) and slot_info returned; empty for a host that was not asked."""
        slot, problems = _serving(edges)
        places = []
        for host, app in apps.items():
            if why := unanswered(app):
                places += [Place(host, each, f"cannot be asked: {why}", runs=True) for each in ("blue", "green")]
                continue
            told = [str(one) for one in app.get("problems") or ()]
            places += [_place(host, each, there, told) for each, there in (app.get("slots") or {}).items()]
        releases = {host: str(((app.get("slots") or {}).get(slot) or {}).get("release") or "") for host, app in apps.items()}
        return cls(slot, tuple(places), tuple(problems), releases, any(map(unanswered, edges.values())) or not edges)

    def at(self, host: str) -> Place | None:
        """The serving slot on a host."""
        return self.place(host, self.slot)

    def place(self, host: str, slot: str) -> Place | None:
        return next((place for place in self.places if (place.host, place.slot) == (host, slot)), None)

    def of_record(self, told: Told) -> Place | None:
        """Where the engines of a record run."""
        about = told.opened or {}
        return self.place(str(about.get("host")), str(about.get("slot")))


def unanswered(result: Mapping[str, Any]) -> str:
    """Why a module's result tells nothing; empty where it does."""
    if not result:
        return "it was not asked"
    if result.get("unreachable"):
        return "the host cannot be reached"
    return str(result.get("msg") or "no answer") if result.get("failed") else ""


def _serving(edges: Mapping[str, Mapping[str, Any]]) -> tuple[str, list[Problem]]:
    found: list[Problem] = []
    if not edges:
        return "", [_problem("edge_hosts", "no edge", "live engines need a slot with all of the traffic: give the site's inventory")]
    serving: dict[str, str] = {}
    for host, edge in edges.items():
        if why := unanswered(edge):
            found.append(_problem(f"edge {host}", f"cannot be asked: {why}", "make it answer: nobody knows which slot has its traffic"))
            continue
        serving[host] = str(edge.get("stable") or "")
        if edge.get("canary"):
            fix = "end that rollout first: playbooks/status.yml shows where it stands"
            found.append(_problem(f"edge {host}", f"a canary is open: {edge.get('text') or _text(edge)}", fix))
        elif not serving[host]:
            found.append(_problem(f"edge {host}", "does not say which slot is stable", "bring it to one with playbooks/edge.yml"))
    slots = set(serving.values())
    if len(slots) > 1:
        told = ", ".join(f"{host}: {slot or 'unknown'}" for host, slot in serving.items())
        found.append(_problem("edge_hosts", f"the edges do not agree on who has the traffic: {told}", "bring every edge to the same slot"))
    return slots.pop() if len(slots) == 1 and not found else "", found


def _text(edge: Mapping[str, Any]) -> str:
    after = edge.get("after")
    return str(after.get("text") if isinstance(after, Mapping) else "")


def _place(host: str, slot: str, there: Mapping[str, Any], told: Sequence[str]) -> Place:
    containers = (there.get("containers") or {}).get("api") or ()
    mine = [one for one in told if one.startswith(f"{slot}: ")]
    if any("docker" in one.lower() for one in mine):
        return Place(host, slot, mine[0], runs=True)
    running = [one for one in containers if one.get("state") not in NOT_RUNNING]
    if not running:
        return Place(host, slot)
    api = there.get("api") or {}
    engines = api.get("engines")
    if engines is None:
        return Place(host, slot, mine[0] if mine else "its engines cannot be read", runs=True, killed=api.get("kill_switch"))
    return Place(host, slot, "", True, api.get("kill_switch"), trading_live(engines, api.get("mode")))


def trading_live(engines: Iterable[Mapping[str, Any]], mode: Any) -> dict[str, str]:
    """By symbol the capital of those that trade live, "" where it is not told.

    An engine whose mode is not said counts as live, unless the server says that it is in paper mode.
    """
    alive = [one for one in engines if _word(one.get("status")) not in STANDING_STILL and _word(one.get("mode") or mode) != PAPER]
    found: dict[str, str] = {}
    for one in alive:
        symbol, usd = spelt(one.get("symbol")), money(one.get("capital", one.get("capital_usd")))
        # BTC/USDT beside BTCUSDT are two writers: no capital of one engine is written like that.
        found[symbol] = f"{found[symbol] or UNTOLD} and {usd or UNTOLD}" if symbol in found else usd
    return found


def _word(value: Any) -> str:
    return str(value).strip().lower()


def spelt(name: Any) -> str:
    """As the plan spells it, however the release does."""
    try:
        return symbol_of(name)
    except ValueError:
        return str(name or "?")


def money(value: Any) -> str:
    """An amount as it is written in the record: "100.00". Empty for what is none."""
    if value is None or isinstance(value, bool) or value == "":
        return ""
    try:
        amount = Decimal(repr(value) if isinstance(value, float) else str(value))
        return str(amount.quantize(Decimal("0.01"))) if amount.is_finite() else ""
    except InvalidOperation:
        return ""


# What is recorded


@dataclass
class Told:
    """What the record of one Phase 3 tells, read to its end. live: by symbol the capital of the engines that it has started."""

    id: str = ""
    opened: Mapping[str, Any] | None = None
    outcome: str = ""
    closed_seq: int = 0
    passed: list[str] = field(default_factory=list)
    begun: str = ""
    meant: dict[str, str] = field(default_factory=dict)  # to be started, and nobody has recorded whether it came about
    live: dict[str, str] = field(default_factory=dict)
    look: Mapping[str, Any] | None = None
    failed: Mapping[str, Any] | None = None
    ending: Mapping[str, Any] | None = None

    @property
    def steps(self) -> list[Mapping[str, Any]]:
        return list((self.opened or {}).get("steps") or ())

    @property
    def open(self) -> bool:
        return self.opened is not None and not self.outcome

    def step(self, name: str) -> Mapping[str, Any]:
        return next((step for step in self.steps if step.get("id") == name), {})


def is_live_record(record: Iterable[Entry]) -> bool:
    """Whether a record is one of Phase 3, and not of a rollout."""
    return any(entry["kind"] == "opened" and entry["data"].get("phase") == PHASE for entry in record)


def read(record: Iterable[Entry]) -> Told:
    """The record of one Phase 3, as it stands at its end."""
    told = Told()
    for entry in record:
        kind, data = entry["kind"], entry["data"]
        if kind == "opened":
            told.opened, told.id = data, str(entry.get("rollout") or "")
            told.live = {str(symbol): money(usd) for symbol, usd in (data.get("kept") or {}).items()}
        elif kind == "closed":
            told.outcome, told.closed_seq = str(data.get("outcome") or "closed"), int(entry.get("seq") or 0)
        elif kind == "look" and data.get("gate") == told.begun:
            told.look = data
        elif kind == "verdict":
            _judged(told, data)
        elif kind == "intent":
            _meant(told, data)
        elif kind == "result":
            _done(told, data)
    return told


def _judged(told: Told, data: Mapping[str, Any]) -> None:
    told.look = None
    if data.get("verdict") == "pass":
        told.passed.append(str(data.get("gate")))
    else:
        told.failed = data


def _meant(told: Told, data: Mapping[str, Any]) -> None:
    if data.get("action") == "start":
        if not (data.get("continues") and data.get("step") == told.begun):
            told.look = None
        told.begun, told.meant = str(data.get("step")), dict(data.get("engines") or {})
    elif data.get("action") in ENDINGS:
        told.ending = data


def _done(told: Told, data: Mapping[str, Any]) -> None:
    if data.get("action") == "start":
        for symbol, capital in (data.get("engines") or {}).items():
            told.live[str(symbol)] = money(capital)
            told.meant.pop(str(symbol), None)
    elif data.get("action") in ENDINGS:
        told.ending = told.ending or data
        for symbol in data.get("symbols") or ():
            told.live.pop(str(symbol), None)
            told.meant.pop(str(symbol), None)


def records(entries: Iterable[Entry], version: str) -> list[Told]:
    """Every Phase 3 of a version, in order."""
    by_rollout: dict[str, list[Entry]] = {}
    for entry in entries:
        by_rollout.setdefault(str(entry.get("rollout")), []).append(entry)
    found = [read(record) for record in by_rollout.values() if is_live_record(record)]
    return [told for told in found if (told.opened or {}).get("version") == version]


def promoted(entries: Iterable[Entry], version: str) -> dict[str, Any]:
    """The rollout of this version that was opened last: ``{id, outcome, slot, plan_digest}``. Empty where there is none."""
    found: dict[str, Any] = {}
    for entry in entries:
        data = entry["data"]
        if entry["kind"] == "opened" and data.get("version") == version and data.get("phase", "phase2") != PHASE:
            slot = str((data.get("candidate") or {}).get("slot") or "")
            found = {"id": entry.get("rollout"), "outcome": "", "slot": slot, "plan_digest": str(data.get("plan_digest") or "")}
        elif entry["kind"] == "closed" and found and entry.get("rollout") == found["id"]:
            found["outcome"] = str(data.get("outcome") or "")
    return found


def drilled(entries: Iterable[Entry], version: str, now: float) -> dict[str, Any]:
    """The last drill of the kill switch on this version, with ``at`` and ``age_seconds``. Empty where there is none."""
    told: dict[str, Any] = {}
    for entry in entries:
        data = entry["data"]
        if entry["kind"] == "result" and data.get("action") == "kill_drill" and data.get("version") == version:
            told = {**data, "at": entry["at"], "age_seconds": now - phase1.seconds(entry["at"])}
    return told


# Approvals


def approvals(entries: Iterable[Entry], wanted: Wanted, now: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(those that count, those that do not with ``why_not``) of the approvals for live money that nobody has revoked.

    One approval is for one Phase 3: it does not count once another one of this version has ended since.
    """
    entries, max_age_seconds = list(entries), float(wanted.phase["approval_max_age_seconds"])
    ended = max((told.closed_seq for told in records(entries, wanted.version)), default=0)
    mine = [entry for entry in entries if entry.get("rollout") == phase1.record_id(wanted.version)]
    names = [phase1.person(name) for name in wanted.phase.get("approvers") or ()]
    counting, others = [], []
    for one in phase1.approvals(mine, now).get(LIVE, []):
        age = now - phase1.seconds(one["at"])
        reasons = (
            (int(one.get("seq") or 0) < ended, "it was given before the last Phase 3 of this version ended"),
            (age > max_age_seconds, f"it is {phase1.hours(age)} old, and counts for {phase1.hours(max_age_seconds)}"),
            (one.get("plan_digest") != wanted.plan_digest, "it was given for another plan (its digest differs)"),
            (bool(names) and phase1.person(one["who"]) not in names, "the plan does not name this person among the approvers"),
        )
        why = next((text for wrong, text in reasons if wrong), "")
        (others if why else counting).append({**one, "why_not": why})
    return counting, others


def approval(entries: Iterable[Entry], given: Mapping[str, Any], wanted: Wanted, now: float) -> dict[str, Any]:
    """What is to be recorded of an approval of live trading, or of its revocation: ``{problems, entries}``.

    given: ``{what, who, reason, until, revoke}`` as a person gave it. What counts already is not recorded again.
    """
    entries = list(entries)
    found = phase1.mistakes(given, version=wanted.version, approvers=wanted.phase.get("approvers") or (), items=(), now=now)
    if found:
        return {"problems": found, "entries": []}
    data = phase1.approval(given, wanted.version, wanted.plan_digest)
    counting, others = approvals(entries, wanted, now)
    if data["action"] == "revoke":
        said = not counting and not others
    else:
        said = any(all(one.get(key) == data.get(key) for key in ("who", "reason", "until")) for one in counting)
    return {"problems": [], "entries": [] if said else [{"kind": "approval", "data": data}]}


def _approval_problems(wanted: Wanted, entries: Sequence[Entry], rollout: Mapping[str, Any], now: float) -> list[Problem]:
    counting, others = approvals(entries, wanted, now)
    needed = int(wanted.phase.get("approvals") or 1)
    if len(counting) >= needed:
        return []
    changed = bool(rollout) and rollout["plan_digest"] != wanted.plan_digest
    slipped = "; the plan is not the one of this version's Phase 2, so that it has to be approved as it is now" if changed else ""
    told = ", ".join(str(one["who"]) for one in counting) or "nobody"
    why = "".join(f"; that of {one['who']} does not count: {one['why_not']}" for one in others)
    found = f"{len(counting)} of {needed} ({told}){why}{slipped}"
    return [_problem("the approval of live trading", found, "have it approved with playbooks/approve.yml -e approve_what=live")]


# What it takes to begin


def problems(
    wanted: Wanted,
    fleet: Fleet,
    entries: Sequence[Entry],
    *,
    books: Mapping[str, Any],
    survey: Mapping[str, Any],
    chain: Mapping[str, Any],
    now: float,
) -> list[Problem]:
    """Everything that keeps live trading from being begun, each as ``{path, found, fix}``: nothing that is found keeps the rest from it."""
    rollout = promoted(entries, wanted.version)
    kept = kept_live(entries, wanted)
    return [
        *_chain_problems(chain),
        *fleet.problems,
        *_release_problems(wanted, fleet, rollout),
        *_drill_problems(wanted, fleet, entries, now),
        *_engine_problems(wanted, fleet, kept),
        *_switch_problems(fleet),
        *_call_problems(wanted, fleet, survey),
        *_book_problems(fleet, books, kept),
        *_approval_problems(wanted, entries, rollout, now),
    ]


def kept_live(entries: Sequence[Entry], wanted: Wanted) -> dict[str, str]:
    """Engines that the last Phase 3 of this version has left live, by its plan, with the capital that they have by this one."""
    last = next(reversed(records(entries, wanted.version)), Told())
    return {symbol: usd for symbol, usd in last.live.items() if wanted.symbols.get(symbol) == usd}


def _chain_problems(chain: Mapping[str, Any]) -> list[Problem]:
    if chain.get("intact"):
        return []
    found = f"broken at entry {chain.get('broken_seq')}: {chain.get('reason')}" if chain else "its chain was not verified"
    return [_problem("the ledger", found, "nothing that it says can be relied on: find out who has changed it, and keep the file")]


def rollout_problems(apps: Mapping[str, Mapping[str, Any]]) -> list[Problem]:
    """What keeps a rollout from being begun: engines that say they are live. It takes the traffic from them, and in the end stops them.

    apps: by host what slot_info returned. One that does not answer, or says no mode, is up to the rest of the preflight.
    """
    found = []
    for host, app in apps.items():
        for slot, there in (app.get("slots") or {}).items():
            api = there.get("api") or {}
            said = [one for one in api.get("engines") or () if one.get("mode") or api.get("mode")]
            if live := trading_live(said, api.get("mode")):
                fix = f"end live trading first: {KILL_ALL}, and leaves positions as they are"
                found.append(_problem(f"engines of {slot} on {host}", f"live: {_told(live)}; this rollout would retire them", fix))
    return found


def _release_problems(wanted: Wanted, fleet: Fleet, rollout: Mapping[str, Any]) -> list[Problem]:
    found = []
    if not rollout:
        found.append(_problem("Phase 2", f"no rollout of {wanted.version} is in the ledger", "run playbooks/phase2_bluegreen.yml"))
    elif rollout["outcome"] != "promoted":
        told = f"ended as {rollout['outcome'].replace('_', ' ')}" if rollout["outcome"] else "is not closed"
        found.append(
            _problem("Phase 2", f"the last rollout of {wanted.version} ({rollout['id']}) {told}", "run playbooks/phase2_bluegreen.yml")
        )
    elif fleet.slot and rollout["slot"] != fleet.slot:
        fix = "a rollback has taken the traffic elsewhere since: run playbooks/phase2_bluegreen.yml again"
        found.append(_problem("Phase 2", f"{wanted.version} was promoted in {rollout['slot']}, and {fleet.slot} has the traffic", fix))
    for host, release in fleet.releases.items() if fleet.slot else ():
        if release != wanted.version:
            told = f"{fleet.slot} on {host} holds {release or 'no release that is known'}"
            found.append(_problem("levibot_version", f"{wanted.version}, and {told}", "deploy it with playbooks/phase2_bluegreen.yml"))
    return found


def _drill_problems(wanted: Wanted, fleet: Fleet, entries: Sequence[Entry], now: float) -> list[Problem]:
    drill, limit = drilled(entries, wanted.version, now), float(wanted.phase["drill_max_age_seconds"])
    age = drill.get("age_seconds", 0.0)
    missing = sorted({place.host for place in fleet.places} - {str(host) for host in drill.get("hosts") or ()})
    reasons = (
        (not drill, f"the kill switch was never proved to work on {wanted.version}"),
        (bool(drill) and not drill.get("passed"), f"the last drill on {wanted.version} has failed: {drill.get('problem')}"),
        (age > limit, f"the last drill on {wanted.version} is {phase1.hours(age)} old, and counts for {phase1.hours(limit)}"),
        (bool(fleet.slot) and drill.get("slot") != fleet.slot, f"the last drill was in {drill.get('slot')}, and {fleet.slot} serves"),
        (bool(missing), f"the last drill left out {', '.join(missing)}"),
    )
    why = next((text for wrong, text in reasons if wrong), "")
    return [_problem("the kill switch's drill", why, "rehearse it in paper mode with playbooks/kill_drill.yml")] if why else []


def _engine_problems(wanted: Wanted, fleet: Fleet, kept: Mapping[str, str]) -> list[Problem]:
    found = []
    for place in fleet.places:
        here = place.slot == fleet.slot and place.host == wanted.host
        if place.problem:
            fix = "make it answer, or see that its container does not run: a live engine there would be a second writer"
            found.append(_problem(f"engines of {place.text}", place.problem, f"make it answer; {START_ANEW}" if here else fix))
        strange = [symbol for symbol, usd in place.live.items() if not here or symbol not in kept or usd not in ("", kept[symbol])]
        if strange:
            fix = f"stop them with playbooks/kill_switch.yml -e kill_state=thrown -e kill_slots={place.slot}, and find out who started them"
            found.append(_problem(f"engines of {place.text}", f"live already: {_told(place.live, strange)}", fix))
        if here and not place.runs:
            found.append(_problem(f"engines of {place.text}", "the API does not run there", START_ANEW))
    if fleet.slot and fleet.at(wanted.host) is None:
        found.append(_problem("engines_host", f"{wanted.host}, where {fleet.slot} is not known", "name one of app_hosts"))
    return found


def _switch_problems(fleet: Fleet) -> list[Problem]:
    found = []
    for place in fleet.places:
        if place.slot != fleet.slot or not place.runs or place.problem or place.killed is False:
            continue
        what = "on" if place.killed else "not told"
        fix = (
            f"whoever has thrown it releases it: {release_switch([place.slot])}"
            if place.killed
            else "without a kill switch that can be read nothing trades live: set its form in levibot_api_forms"
        )
        found.append(_problem(f"the kill switch of {place.text}", what, fix))
    return found


def release_switch(slots: Iterable[str]) -> str:
    """The command, as a person has to give it."""
    return f"playbooks/kill_switch.yml -e kill_state=released -e kill_slots={','.join(slots)} -e kill_reason='…' -e kill_who='…'"


def _call_problems(wanted: Wanted, fleet: Fleet, survey: Mapping[str, Any]) -> list[Problem]:
    if not fleet.slot:  # nobody knows whom to ask, which is told already
        return []
    where = f"the API on {wanted.host}"
    if why := unanswered(survey):
        return [_problem(where, f"could not be asked for its calls: {why}", "make it answer")]
    if survey.get("problem"):
        return [_problem(where, f"could not be asked for its calls: {survey['problem']}", "make it answer")]
    fix = "set its form in levibot_api_forms, or take a release that has it"
    found = [_problem(where, str(text), fix) for text in survey.get("missing") or ()]
    if (wanted.phase.get("on_fail") or {}).get("positions") == "flatten" and "stop_closing" not in (survey.get("forms") or {}):
        text = "phase 3 needs stop_closing, a stop that says what becomes of the position: the plan closes it (on_fail.positions: flatten)"
        found.append(_problem(where, text, f"{fix}, or write on_fail: {{positions: leave}} in the plan's phase3"))
    if survey.get("token") is False:
        found.append(_problem("levibot_admin_token", f"it is refused: {survey.get('how')}", "give the token that this release takes"))
    return found


def _book_problems(fleet: Fleet, books: Mapping[str, Any], kept: Mapping[str, str]) -> list[Problem]:
    if not fleet.slot:
        return []
    if why := unanswered(books):
        return [_problem(f"the live book of {fleet.slot}", f"cannot be read: {why}", "a book that cannot be read cannot be reconciled")]
    orphans = {symbol: quantity for symbol, quantity in still_open(books.get("baseline") or {}).items() if spelt(symbol) not in kept}
    if not orphans:
        return []
    told = ", ".join(f"{quantity} {symbol}" for symbol, quantity in orphans.items())
    fix = "close them on the exchange first, or have LeviBot do it (POST /engines/stop/{symbol}?close=true)"
    return [_problem(f"the live book of {fleet.slot}", f"open positions that no live engine of the plan holds: {told}", fix)]


def still_open(baseline: Mapping[str, Any]) -> dict[str, str]:
    """By symbol the signed quantity of each position that is open in a baseline."""
    quantities = {str(symbol): str((one or {}).get("quantity") or "0") for symbol, one in (baseline.get("positions") or {}).items()}
    return {symbol: quantity for symbol, quantity in quantities.items() if not _is_zero(quantity)}


def _is_zero(quantity: str) -> bool:
    try:
        return Decimal(quantity) == 0
    except InvalidOperation:
        return False


# Where it stands


def decide(
    record: Sequence[Entry], entries: Sequence[Entry], wanted: Wanted, fleet: Fleet, notes: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """What a run does that is started now.

    record: the one that is open, empty where none is. entries: all. notes: what the hosts' dead man's switches have left.
    ``do`` is ``open``, ``resume`` (at ``step``; ``look`` where its soak may go on), ``back`` (end it, and fail with ``why``; ``cause``
    says how, and is empty where that is up to the recorded verdict), ``refuse`` (``why`` and ``fix``) or ``done``.
    ``live``: the engines that the record knows; where it is to be opened, those that the last Phase 3 has kept and that are there.
    """
    if record and not is_live_record(record):
        opened = next((entry["data"] for entry in record if entry["kind"] == "opened"), {})
        return _answer(
            REFUSE,
            Told(),
            why=f"the rollout of {opened.get('version')} ({record[0].get('rollout')}) is open",
            fix="end it first with playbooks/phase2_bluegreen.yml, or with playbooks/rollback.yml",
        )
    told = read(record)
    if told.open:
        return _standing(told, wanted, fleet, notes)
    last = next(reversed(records(entries, wanted.version)), Told())
    if last.outcome == LIVE and last.live and not differences(last, fleet):
        told_live = ", ".join(f"{symbol} with {usd}" for symbol, usd in last.live.items())
        if wrong := _in_the_way(last, fleet):
            why = f"{wanted.version} trades live already ({last.id}: {told_live}), and not all is well: {'; '.join(wrong)}"
            return _answer(REFUSE, last, why=why, fix=f"see playbooks/status.yml, and end what is wrong; {KILL_ALL}")
        return _answer(DONE, last, why=f"{wanted.version} trades live already, as recorded in {last.id}: {told_live}")
    there = fleet.at(wanted.host)
    kept = {symbol: usd for symbol, usd in kept_live(entries, wanted).items() if there is not None and symbol in there.live}
    return _answer(OPEN, Told(live=kept))


def _in_the_way(told: Told, fleet: Fleet) -> list[str]:
    """What keeps engines that are as recorded from being called live for certain."""
    here = fleet.at(str((told.opened or {}).get("host")))
    return [
        *([f"the kill switch of {here.text} is on, and its engines run"] if here is not None and here.killed else ()),
        *(f"a second writer, {text}" for text in elsewhere(fleet, told)),
        *(f"{place.text}: {place.problem}" for place in fleet.places if place.problem),
    ]


def _standing(told: Told, wanted: Wanted, fleet: Fleet, notes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    about = told.opened or {}
    live = ", ".join(told.live or told.meant) or "none"
    if (about.get("version"), about.get("plan_digest")) != (wanted.version, wanted.plan_digest):
        what = "another version" if about.get("version") != wanted.version else "another plan (its digest differs)"
        return _answer(
            REFUSE,
            told,
            why=f"live trading of {about.get('version')} is open ({told.id}; engines: {live}), and this run has {what}",
            fix=f"start again with that version and the plan of then to continue it; {ROLLBACK}",
        )
    if notes:
        texts = "; ".join(str(note.get("why") or "the engines were stopped") for note in notes)
        why = f"The dead man's switch has acted, since nobody watched: {texts}"
        return _answer(BACK, told, cause=UNWATCHED, why=why)
    if told.failed or told.ending:
        why = str((told.failed or {}).get("reason") or (told.ending or {}).get("reason") or "An end was begun.")
        cause = str((told.ending or {}).get("cause") or "") or ("" if told.failed else KILLED)
        return _answer(BACK, told, cause=cause, why=f"{why} The run that found this was interrupted; what it began is finished now.")
    return _going_on(told, fleet, live)


def _going_on(told: Told, fleet: Fleet, live: str) -> dict[str, Any]:
    slot, host = str((told.opened or {}).get("slot")), str((told.opened or {}).get("host"))
    if fleet.unknown:
        texts = "; ".join(f"{problem['path']}: {problem['found']}" for problem in fleet.problems)
        return _answer(REFUSE, told, why=f"{texts}; live are {live}", fix=f"make it answer and start again; {ROLLBACK}")
    here = fleet.at(host) if fleet.slot == slot else None
    others, different = elsewhere(fleet, told), differences(told, fleet)
    reasons = (
        (fleet.slot != slot, MOVED, f"{slot} does not have all of the traffic any more, and was to have live engines"),
        (here is not None and bool(here.killed), KILLED, f"Somebody has thrown the kill switch of {slot} on {host}"),
        (here is None or bool(here.problem), BLIND, f"The engines of {slot} on {host} cannot be read"),
        (bool(others), ONE_WRITER, f"There is a second writer: {'; '.join(others)}"),
        (bool(different), UNCONFIRMED, f"The engines are not as recorded: {'; '.join(different)}"),
    )
    wrong = next(((cause, why) for is_so, cause, why in reasons if is_so), None)
    if wrong:
        return _answer(BACK, told, cause=wrong[0], why=f"{wrong[1]}.")
    if silent := [f"{place.text}: {place.problem}" for place in fleet.places if place.problem]:
        fix = f"make it answer, or see that its container does not run, and start again; {ROLLBACK}"
        return _answer(REFUSE, told, why=f"{'; '.join(silent)}; live are {live}", fix=fix)
    step = next((step["id"] for step in told.steps if step["id"] not in told.passed), "")
    return _answer(RESUME, told, step=step, look=told.look if step and step == told.begun and not told.meant else None)


def elsewhere(fleet: Fleet, told: Told) -> list[str]:
    """Live engines in any other place than that of the record, in words."""
    about = told.opened or {}
    mine = (about.get("host"), about.get("slot"))
    return [f"{place.text}: {_told(place.live)}" for place in fleet.places if place.live and (place.host, place.slot) != mine]


def strangers(fleet: Fleet, told: Told) -> list[str]:
    """Live engines that the record does not know, or that have another capital than it says, in words."""
    place = fleet.of_record(told)
    found = []
    for symbol, usd in place.live.items() if place else ():
        wanted = told.live.get(symbol) or money(told.meant.get(symbol))
        if not wanted:
            found.append(f"{symbol} runs live, and nothing here has started it")
        elif usd not in ("", wanted):
            found.append(f"{symbol} has a capital of {usd}, and not {wanted}")
    return found


def differences(told: Told, fleet: Fleet) -> list[str]:
    """What the engines are that the record does not say, in words."""
    about = told.opened or {}
    place = fleet.at(str(about.get("host"))) if fleet.slot == about.get("slot") else None
    if place is None or place.problem:
        return [place.problem if place else f"{about.get('slot')} on {about.get('host')} does not serve"]
    return [*(f"{symbol} does not run live" for symbol in told.live if symbol not in place.live), *strangers(fleet, told)]


def _answer(do: str, told: Told, **more: Any) -> dict[str, Any]:
    empty = {"step": "", "look": None, "why": "", "fix": "", "cause": ""}
    about = told.opened or {}
    known = {
        "rollout": told.id,
        "slot": about.get("slot", ""),
        "host": about.get("host", ""),
        "baseline": about.get("baseline") or {},
        "live": dict(told.live),
    }
    return {"do": do, "passed": list(told.passed), **known, **empty, **more}


# Words


def _problem(path: str, found: str, fix: str) -> Problem:
    return {"path": path, "found": found, "fix": fix}


def _told(live: Mapping[str, str], symbols: Iterable[str] | None = None) -> str:
    return ", ".join(f"{symbol}{f' with {live[symbol]}' if live[symbol] else ''}" for symbol in (symbols if symbols is not None else live))
