# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on the app hosts: the live engines that were started and no others, and the images of the release and no others."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case, Finding, Kind, RefusedError
from ansible_collections.levibot.transition.plugins.module_utils.evidence.observed import hosts, part, slot_of
from ansible_collections.levibot.transition.plugins.module_utils.trading.fills import symbol_of

RUNNING, PAPER = "running", "paper"
# As Phase 3 judges them (ledger/phase3.py): what is not known to stand still trades.
STANDING_STILL = ("stopped", "crashed")
NOT_RUNNING = ("exited", "created", "dead", "removing")


def look_at_engines(_given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    """Read from every app host and both of its slots, since an engine elsewhere trades with the same money."""
    live = part(case, "live")
    wanted = {str(symbol): str(capital) for symbol, capital in live["engines"].items()}
    home, slot = str(live["host"]), str(live["slot"])
    finding.source, finding.at = f"LeviBot's API on {', '.join(hosts(case))}", case.now
    finding.wanted.append(f"live in {slot} on {home}, and nowhere else: {', '.join(wanted) or 'no engine'}")
    running: set[str] = set()
    for host, seen in hosts(case).items():
        if seen.get("problem"):
            finding.wrong(f"{host} could not be asked: {seen['problem']}", "see that it answers, and start it again")
            continue
        for name, its in (seen.get("slots") or {}).items():
            if (host, name) == (home, slot):
                running = _look_at_home(f"{name} on {host}", its.get("api") or {}, wanted, finding)
            elif (its.get("api") or {}).get("engines") is not None or not _stands_still(its):
                _look_at_slot(f"{name} on {host}", its.get("api") or {}, (), finding)
    for symbol in sorted(set(wanted) - running):
        finding.wrong(f"{symbol} does not run live in {slot} on {home}", "see why it has stopped: playbooks/status.yml")
    if not wanted:
        finding.wrong("no live engine is recorded", "run playbooks/phase3_live_trading.yml")
    finding.found.append(f"{len(running & set(wanted))} of {len(wanted)} live engines run")


def _look_at_home(where: str, api: Mapping[str, Any], wanted: Mapping[str, str], finding: Finding) -> set[str]:
    """The slot in which the engines were started. Returns those that are seen to run live there."""
    there = _look_at_slot(where, api, wanted, finding)
    if there is None:
        return set()
    if api.get("kill_switch") is not False:
        finding.wrong(f"the kill switch in {where} is {'on' if api.get('kill_switch') else 'unknown'}", "see why")
    for symbol in sorted(set(there) & set(wanted)):
        for one in there[symbol]:
            _judge_capital(symbol, one, wanted[symbol], finding)
    return {symbol for symbol, rows in there.items() if any(_word(one.get("status")) == RUNNING for one in rows)}


def _look_at_slot(where: str, api: Mapping[str, Any], may: Container[str], finding: Finding) -> dict[str, list[Mapping[str, Any]]] | None:
    """Whatever trades live in a slot, of which only some engines may; None where that is not known."""
    engines = api.get("engines")
    if not isinstance(engines, list):
        finding.wrong(f"which engines run in {where} is not known", "see that its API answers")
        return None
    there = _live(engines, api)
    for symbol, rows in sorted(there.items()):
        if symbol not in may:
            finding.wrong(f"{symbol} runs live in {where}, where nobody has started it", "throw the kill switch there")
        if len(rows) > 1:
            found = f"{symbol} is listed {len(rows)} times as live in {where}; each symbol has one writer"
            finding.wrong(found, "throw the kill switch there")
    return there


def _stands_still(its: Mapping[str, Any]) -> bool:
    """Whether the API of a slot is seen not to run: all its containers have ended, or there was none, so that nobody was asked."""
    containers = its.get("containers") or {}
    running = [one for one in containers.get("api") or () if _word(one.get("state")) not in NOT_RUNNING]
    return not running and (bool(containers) or its.get("api") is None)


def _live(engines: Iterable[Mapping[str, Any]], api: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """By symbol, as the plan spells it, the engines that trade live.

    One whose mode is not said counts as live, unless the server says that it is in paper mode.
    """
    found: dict[str, list[Mapping[str, Any]]] = {}
    for one in engines:
        if _word(one.get("status")) not in STANDING_STILL and _word(one.get("mode") or api.get("mode")) != PAPER:
            found.setdefault(_symbol(one.get("symbol")), []).append(one)
    return found


def _word(value: Any) -> str:
    return str(value).strip().lower()


def _symbol(name: Any) -> str:
    try:
        return symbol_of(name)
    except ValueError:
        return str(name or "?")


def _judge_capital(symbol: str, engine: Mapping[str, Any], capital: str, finding: Finding) -> None:
    told = [engine[key] for key in ("capital", "capital_usd") if engine.get(key) not in (None, "")]
    if not told:
        finding.wrong(f"{symbol} does not say its capital, and was started with {capital}", "see that the API tells capital or capital_usd")
    for usd in told:
        if not _same(usd, capital):
            finding.wrong(f"{symbol} has {usd} USD of capital, and was started with {capital}", "see who has changed it")


def _same(one: Any, other: Any) -> bool:
    try:
        return float(one) == float(other)
    except (TypeError, ValueError):
        return False


def look_at_containers(_given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    """The digest that a container was made from, and the id of what it really runs."""
    slot = slot_of(case)
    finding.source, finding.at = f"Docker Engine on {', '.join(hosts(case))}", case.now
    if not case.images:
        raise RefusedError(f"no images of {case.version} are recorded", "the release's record is in the ledger, phase1-<version>")
    finding.wanted.append("; ".join(f"{service} is {_short(digest)}" for service, digest in sorted(case.images.items())))
    good = 0
    for host, seen in hosts(case).items():
        its = (seen.get("slots") or {}).get(slot)
        if not its:
            why = seen.get("problem") or f"nothing is known of {slot}"
            finding.wrong(f"{host}: the containers could not be looked at: {why}", "see that host and engine answer, and start it again")
            continue
        for service, digest in sorted(case.images.items()):
            running = [one for one in (its.get("containers") or {}).get(service, ()) if one.get("state") == RUNNING]
            if not running:
                finding.wrong(f"{host}: {service} does not run in {slot}", "see why: playbooks/status.yml")
            deployed = (its.get("images") or {}).get(service) or {}
            for one in running:
                problem = _differs(one, digest, deployed, case.image_ids.get(service, ""))
                if problem:
                    finding.wrong(f"{host}: {service} ({one.get('name') or '?'}) {problem}", "find out who has changed it")
                else:
                    good += 1
    finding.found.append(f"{good} containers run the released images")


def _differs(container: Mapping[str, Any], digest: str, deployed: Mapping[str, Any], image_id: str) -> str:
    """Why the container is not of the released image. Which id an engine has for a digest is in that host's own record of the release."""
    made_of = str(container.get("digest") or "").rpartition("@")[2]
    if not made_of:
        return "was not made from a digest"
    if not digest or made_of != digest:
        return f"was made from {_short(made_of)}, not from {_short(digest)}"
    is_deployed = str(deployed.get("digest") or "").rpartition("@")[2] == digest
    known = {image_id, str(deployed.get("id") or "") if is_deployed else ""} - {""}
    runs = _short(container.get("image_id"))
    if not known:
        return f"runs {runs}, and no record says which image that is"
    return "" if container.get("image_id") in known else f"runs {runs}, which is not the image of {_short(digest)}"


def _short(digest: Any) -> str:
    return str(digest or "nothing")[:19]


def look_at_chain(_given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    chain = part(case, "chain")
    finding.source, finding.at = "the ledger", case.now
    finding.wanted.append("the chain of hashes is whole")
    if chain.get("intact") is not True:
        found = f"the chain is broken at entry {chain.get('broken_seq')}: {chain.get('reason')}"
        finding.wrong(found, "keep the file, and find out who has changed it")
    elif not chain.get("entries"):
        finding.wrong("the ledger is empty", "see levibot_ledger_path")
    else:
        finding.found.append(f"{chain['entries']} entries, head {_short(chain.get('head'))}")


ENGINES = Kind(look_at_engines)
CONTAINERS = Kind(look_at_containers)
CHAIN = Kind(look_at_chain)
