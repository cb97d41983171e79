# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How live trading is ended when something fails, and what is told of it. Pure.

Whatever could not be seen to have ended may go on, and is said to. Nothing here is talked down: somebody reads it at night.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger import phase3
from ansible_collections.levibot.transition.plugins.module_utils.ledger.phase3 import (
    BLIND,
    CAPITAL,
    GATE,
    GUARDRAIL,
    KILL,
    KILLED,
    MOVED,
    ONE_WRITER,
    PAPER,
    STOP,
    UNCONFIRMED,
    Entry,
    Fleet,
    Told,
    money,
    read,
    spelt,
    still_open,
    unanswered,
)
from ansible_collections.levibot.transition.plugins.module_utils.trading.reconcile import BEYOND_LIMITS, KILL_SWITCH_ON

# Which of them may be anywhere.
ANYWHERE = (ONE_WRITER, MOVED, UNCONFIRMED)
NEXT = "Live trading begins again with a new approval: playbooks/approve.yml -e approve_what=live, then playbooks/phase3_live_trading.yml."
UNKNOWN = "unknown"
# By what was to become of the positions, and whether one is open still; None where that is not known.
CLOSINGS = {
    ("flatten", False): ", {position} closed",
    ("flatten", True): ", and {position} COULD NOT BE CLOSED",
    ("flatten", None): ", and whether {position} {was} closed is not known",
    ("leave", True): ", and {position} left open",
}


def cause_of(told: Told, verdict: Mapping[str, Any], fleet: Fleet | None = None, cause: str = "") -> str:
    """Why live trading is ended. verdict: what a gate has returned, or its entry. fleet: as it is now. cause: a soft one that is known."""
    if fleet and phase3.elsewhere(fleet, told):
        return ONE_WRITER
    policy = (told.opened or {}).get("policy") or {}
    # What could not be asked decides a blind gate: a guardrail among it is not one that was seen to be broken.
    blind = verdict.get("verdict") == "blind"
    deciding = set() if blind else {str(name) for name in verdict.get("deciding") or ()}
    if deciding & {str(name) for name in policy.get("guardrails") or ()}:
        return GUARDRAIL
    here = fleet.of_record(told) if fleet else None
    if (here and here.killed) or _found(told, verdict, deciding, "engines", (KILL_SWITCH_ON,)):
        return KILLED
    if (fleet and phase3.strangers(fleet, told)) or _found(told, verdict, deciding, "limits", BEYOND_LIMITS):
        return CAPITAL
    return cause or (BLIND if blind else GATE)


def _found(told: Told, verdict: Mapping[str, Any], deciding: set[str], what: str, words: Iterable[str]) -> bool:
    """Whether a deciding check of the engines, or of the limits, has found what is no matter of a plan."""
    gate = told.step(str(verdict.get("gate"))).get("gate") or {}
    asked = {str(check.get("id")) for check in gate.get("checks") or () if check.get("what") == what}
    said = [_said(check) for check in verdict.get("checks") or () if str(check.get("id")) in deciding & asked]
    return any(each in text for text in said for each in words)


def _said(check: Mapping[str, Any]) -> str:
    return f"{check.get('evidence') or ''} {check.get('reason') or ''}"


def response(
    record: Iterable[Entry], cause: str = "", verdict: Mapping[str, Any] | None = None, fleet: Fleet | None = None
) -> dict[str, Any]:
    """How it is ended, by its record and by why.

    ``do`` is ``kill``, ``paper`` or ``stop``; ``stop`` are the engines (by symbol their capital) that it is done to, ``keep`` those that
    go on live; ``positions`` is what becomes of the positions of those that are stopped; ``slots`` those in which a kill looks; ``step``
    the one that was begun last.
    """
    told = read(record)
    verdict = verdict or told.failed or {}
    about = told.opened or {}
    policy = about.get("policy") or {}
    # What a plan may decide is no matter of it any more where worse is seen.
    if not cause or cause in phase3.SOFT:
        cause = cause_of(told, verdict, fleet, cause)
    everything = {**told.live, **told.meant}
    slots = ["blue", "green"] if cause in ANYWHERE else [str(about.get("slot"))]
    answer = {"step": told.begun, "cause": cause, "do": KILL, "stop": everything, "keep": {}, "positions": "leave", "slots": slots}
    if cause not in phase3.SOFT:
        return answer
    on_fail = policy.get("on_fail") or {}
    positions = str(on_fail.get("positions") or "flatten")
    if cause == BLIND:
        return {**answer, "do": PAPER, "positions": positions} if policy.get("on_blind") == PAPER else answer
    mine = {str(symbol) for symbol in told.step(told.begun).get("engines") or {}}
    blamed = "" if on_fail.get("earlier") == STOP else " ".join(_said(check) for check in _deciding(verdict))
    keep = (
        {} if on_fail.get("earlier") == STOP else {name: usd for name, usd in told.live.items() if name not in mine and name not in blamed}
    )
    stop = {symbol: usd for symbol, usd in everything.items() if symbol not in keep}
    return {**answer, "do": STOP, "stop": stop, "keep": keep, "positions": positions}


def _deciding(verdict: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    deciding = {str(name) for name in verdict.get("deciding") or ()}
    return [check for check in verdict.get("checks") or () if str(check.get("id")) in deciding]


def exposure(baseline: Mapping[str, Any]) -> list[dict[str, str]]:
    """Each open position as ``{symbol, quantity, value_usd}``; the value is "" where its price is not known."""
    return [
        {"symbol": symbol, "quantity": quantity, "value_usd": _value(quantity, (baseline["positions"][symbol] or {}).get("price_usd"))}
        for symbol, quantity in still_open(baseline).items()
    ]


def _value(quantity: str, price: Any) -> str:
    try:
        return money(str(abs(Decimal(quantity) * Decimal(str(price)))))
    except InvalidOperation:
        return ""


# What is told


@dataclass(frozen=True)
class Ended:
    """What was done, as the modules have returned it. end: :func:`response`. kill, ended: a loop's results, by host and by engine."""

    end: Mapping[str, Any]
    why: str
    kill: Mapping[str, Any]
    ended: Mapping[str, Any]
    books: Mapping[str, Any]


def tell(record: Iterable[Entry], done: Ended, fleet: Fleet) -> dict[str, Any]:
    """How it went.

    ``action`` (``kill``, ``paper`` or ``stop``), ``stopped`` (symbols), ``live`` (what still trades, by place), ``still_open`` (signed
    quantities), ``safe`` (whether nothing goes on that was to end), ``critical`` (whether somebody has to get up), ``text``, and what
    Phase 4 needs, ``instances``, ``calls`` and ``unanswered``.
    """
    told = read(record)
    kills = list(done.kill.get("results") or ())
    sent = [*kills, *(done.ended.get("results") or ())]
    failed_kills = [f"{one.get('item')} ({unanswered(one)})" for one in kills if unanswered(one)]
    killed = {str(one.get("item")) for one in kills} - {str(one.get("item")) for one in kills if unanswered(one)}
    live, unknown = _alive(told, done.end, fleet, killed)
    going_on = [*live["strange"], *unknown, *(f"all of {text}" for text in failed_kills)]
    sure = not (unknown or failed_kills)
    books_problem = unanswered(done.books)
    left = exposure(done.books.get("baseline") or {}) if not books_problem else []
    held = {spelt(one["symbol"]) for one in left} if not books_problem else None
    stopped = [symbol for symbol in done.end["stop"] if symbol not in live["symbols"] and not (unknown and not killed)]
    action = KILL if kills else str(done.end["do"])
    sentences = [
        _sentence(done.why),
        _what_was_done(action, done.end, stopped, kills, held),
        f"ENGINES MAY GO ON: {'; '.join(going_on)}. End the containers of the API there, now." if going_on else "",
        f"WHAT IS STILL OPEN IS NOT KNOWN: {books_problem}." if books_problem else _left(left, live["symbols"], sure=sure),
        _kept(live["kept"]),
        _after_a_kill(told, done.end, kills, is_open=bool(left or books_problem)) if kills and not going_on else "",
        NEXT,
    ]
    return {
        "action": action,
        "stopped": stopped,
        "live": live["all"],
        "still_open": {one["symbol"]: one["quantity"] for one in left} if not books_problem else {UNKNOWN: UNKNOWN},
        "safe": not going_on,
        "critical": bool(going_on or left or books_problem or kills or live["kept"]),
        "text": " ".join(filter(None, sentences)),
        "instances": [
            {key: one.get(key) for key in ("name", "project", "outcome", "detail")}
            for result in kills
            for one in result.get("instances") or ()
        ],
        "calls": _requests("calls", sent),
        "unanswered": _requests("unanswered", sent),
    }


def _alive(told: Told, end: Mapping[str, Any], fleet: Fleet, killed: set[str]) -> tuple[dict[str, Any], list[str]]:
    """(what trades live, what may and cannot be asked)."""
    about = told.opened or {}
    host, slot = str(about.get("host")), str(about.get("slot"))
    found: dict[str, Any] = {"all": {}, "kept": {}, "symbols": set(), "strange": []}
    unknown = []
    for place in fleet.places:
        mine = (place.host, place.slot) == (host, slot)
        if place.problem and not (place.host in killed and place.slot in end["slots"]):
            # Nothing here was meant to run in other places, and whether something does is what the next run asks first.
            if mine and (end["stop"] or end["keep"]):
                unknown.append(f"{place.text} ({place.problem})")
            continue
        for symbol, usd in place.live.items():
            found["all"].setdefault(place.text, {})[symbol] = usd
            found["symbols"].add(symbol)
            if mine and symbol in end["keep"]:
                found["kept"][symbol] = usd or end["keep"][symbol]
            else:
                found["strange"].append(f"{symbol} in {place.text}")
    return found, unknown


def _what_was_done(
    action: str, end: Mapping[str, Any], stopped: Sequence[str], kills: Sequence[Mapping[str, Any]], held: set[str] | None
) -> str:
    """held: the symbols of the positions that are open, None where the book cannot be read."""
    names = _listed(stopped)
    if action == KILL:
        stand = "stands" if len(stopped) == 1 else "stand"
        told = [f"{one.get('name')} {one.get('outcome')}" for result in kills for one in result.get("instances") or ()]
        return f"The kill switch was thrown ({', '.join(told) or 'nothing runs there'}){f', and {names} {stand} still' if stopped else ''}."
    if not end["stop"]:
        return "No engine was started, so that none had to be stopped."
    if not stopped:
        return ""
    if action == PAPER:
        return f"{names} trade{'s' if len(stopped) == 1 else ''} on paper."
    alike: dict[str, list[str]] = {}
    for symbol in stopped:
        alike.setdefault(CLOSINGS.get((end["positions"], None if held is None else symbol in held), ""), []).append(symbol)
    return " ".join(_stopped(names, ending) for ending, names in alike.items())


def _stopped(symbols: Sequence[str], ending: str) -> str:
    was, position = ("was", "its position") if len(symbols) == 1 else ("were", "their positions")
    return f"{_listed(symbols)} {was} stopped{ending.format(position=position, was=was)}."


def _left(left: Sequence[Mapping[str, str]], trading: set[str], *, sure: bool) -> str:
    """trading: the symbols of the engines that were seen to be live. sure: whether there is no other one that may be."""
    if not left:
        return "No position is open."
    alone = [one for one in left if spelt(one["symbol"]) not in trading]
    nobody = f", AND NOTHING TRADES {'IT' if len(alone) == 1 else 'THEM'}" if sure else ""
    kinds = {f"STILL OPEN{nobody}": alone, "HELD BY ENGINES THAT GO ON": [one for one in left if one not in alone]}
    return " ".join(f"{what}: {', '.join(map(_position, those))}." for what, those in kinds.items() if those)


def _position(one: Mapping[str, str]) -> str:
    return f"{one['quantity']} {one['symbol']} ({one['value_usd'] + ' USD' if one['value_usd'] else 'worth unknown'})"


def _after_a_kill(told: Told, end: Mapping[str, Any], kills: Sequence[Mapping[str, Any]], *, is_open: bool) -> str:
    """What comes before live trading can begin again. A kill that was not confirmed has ended the container, or paused it."""
    slot = str((told.opened or {}).get("slot"))
    there = [one for result in kills for one in result.get("instances") or () if str(one.get("project")).endswith(f"-{slot}")]
    steps = (
        "Close on the exchange what is open." if is_open else "",
        "" if there and all(one.get("outcome") == "confirmed" for one in there) else f"The API of {slot}: {phase3.START_ANEW}.",
        f"Release the kill switch: {phase3.release_switch(end['slots'])}.",
    )
    return " ".join(filter(None, steps))


def _kept(kept: Mapping[str, str]) -> str:
    if not kept:
        return ""
    told = _listed([f"{symbol} ({usd} USD)" for symbol, usd in kept.items()])
    it, go = ("it", "GOES") if len(kept) == 1 else ("them", "GO")
    stop = "playbooks/rollback.yml -e rollback_kill=all"
    return f"{told} {go} ON LIVE, as the plan says, AND NO RUN WATCHES {it.upper()} ANY MORE: {stop} stops {it}."


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text[-1] in ".!" else f"{text}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _requests(which: str, results: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Every changing request that was answered, or that was not, whether a module has listed them together or by instance."""
    found: list[Mapping[str, Any]] = []
    for result in results:
        found += result.get(which) or [call for one in result.get("instances") or () for call in one.get(which) or ()]
    return found
