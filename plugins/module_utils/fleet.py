# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a rollout stands, what the fleet really does, and where the two do not agree. Pure.

Whatever could not be asked is said to be unknown, and is a disagreement: a status that stays silent about a host is taken for a good one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger import phase3
from ansible_collections.levibot.transition.plugins.module_utils.ledger.standing import BACK, REFUSE, RESUME, Told, decide, read
from ansible_collections.levibot.transition.plugins.module_utils.ledger.story import go_of, span, tell_at

Edges = Mapping[str, Mapping[str, Any]]
Apps = Mapping[str, Mapping[str, Any]]


def status(ledger: Mapping[str, Any], edges: Edges, apps: Apps, now: float) -> dict[str, Any]:
    """The whole document. ``ledger``: what module ledger returned; edges and apps: by host what edge_info and slot_info did."""
    entries = ledger.get("entries") or []
    told = read(entries)
    seen = {name: _edge(edge) for name, edge in edges.items()}
    slots = {name: _app(app) for name, app in apps.items()}
    return {
        "rollout": _rollout(ledger, entries, told, now),
        "lock": ledger.get("lock"),
        "chain": ledger.get("chain"),
        "edges": seen,
        "apps": slots,
        "disagreements": [*_unknown(ledger, seen, slots), *_split(entries, told, edges, seen), *_slots(entries, told, seen, slots)],
    }


def _failed(result: Mapping[str, Any]) -> str:
    if result.get("unreachable"):
        return "cannot be reached"
    return str(result.get("msg") or "no answer") if result.get("failed") or not result else ""


def _edge(result: Mapping[str, Any]) -> dict[str, Any]:
    problem = _failed(result)
    names = ("stable", "candidate", "canary", "weight", "expires_at")
    told = {name: None if problem else result.get(name) for name in names}
    wrong = [f"{one['path']}: {one['found']}" for one in result.get("problems") or ()]
    return {**told, "text": str(result.get("text") or ""), "problem": problem, "problems": wrong}


def _app(result: Mapping[str, Any]) -> dict[str, Any]:
    problem = _failed(result)
    return {"slots": {} if problem else result.get("slots") or {}, "problems": [problem] if problem else list(result.get("problems") or [])}


def _rollout(ledger: Mapping[str, Any], entries: list[Mapping[str, Any]], told: Told, now: float) -> dict[str, Any] | None:
    about = told.opened
    if about is None:
        return None
    closed = next((entry["data"] for entry in reversed(entries) if entry["kind"] == "closed"), {})
    verdicts = {entry["data"]["gate"]: entry["data"].get("verdict") for entry in entries if entry["kind"] == "verdict"}
    steps = [
        {
            "id": step["gate"]["id"],
            "name": step.get("name", ""),
            "weight_percent": step.get("weight"),
            "engines": step.get("engines"),
            "verdict": verdicts.get(step["gate"]["id"], ""),
        }
        for step in about.get("steps") or ()
    ]
    trading = phase3.read(entries) if about.get("phase") == phase3.PHASE else None
    return {
        "id": ledger.get("rollout"),
        "phase": about.get("phase", "phase2"),
        "version": about.get("version"),
        "plan_digest": about.get("plan_digest"),
        "go": go_of(about),
        "stable": about.get("stable"),
        "candidate": about.get("candidate"),
        "open": not told.closed,
        "outcome": closed.get("outcome"),
        "opened_at": entries[0]["at"],
        "last_entry_at": entries[-1]["at"],
        "stage": _live_stage(trading) if trading else _stage(told),
        "step": None if told.closed or told.promoting else _step(entries, trading or told, now),
        "live": _trading(trading) if trading else None,
        "steps": steps,
    }


def _live_stage(trading: phase3.Told) -> str:
    return "closed" if trading.outcome else "its end" if trading.ending or trading.failed else trading.begun or "opened"


def _trading(trading: phase3.Told) -> dict[str, Any]:
    """What the record of Phase 3 says of live engines."""
    about = trading.opened or {}
    return {"slot": about.get("slot"), "host": about.get("host"), "engines": dict(trading.live), "meant": dict(trading.meant)}


def _stage(told: Told) -> str:
    if told.closed:
        return "closed"
    if told.promoted:
        return "decommission"
    if told.promoting:
        return "promotion"
    return told.begun or ("deployed" if told.deployed else "deployment")


def _step(entries: list[Mapping[str, Any]], told: Told | phase3.Told, now: float) -> dict[str, Any] | None:
    steps = {step["gate"]["id"]: step["gate"] for step in (told.opened or {}).get("steps") or ()}
    if told.begun not in steps:
        return None
    since = next(entry["at"] for entry in reversed(entries) if entry["kind"] == "intent" and entry["data"].get("step") == told.begun)
    window = steps[told.begun]["window_seconds"]
    soaks = told.begun not in told.passed and not told.failed
    began = (told.look or {}).get("started_at")
    return {
        "id": told.begun,
        "since": since,
        "window_seconds": window,
        "remaining_seconds": round(max(0.0, began + window - now)) if soaks and isinstance(began, (int, float)) else None,
        "look": (told.look or {}).get("verdict"),
    }


def _unknown(ledger: Mapping[str, Any], edges: Edges, apps: Apps) -> list[str]:
    problem = _failed(ledger)
    found = [f"the ledger could not be read: {problem}"] if problem else []
    if not (ledger.get("chain") or {"intact": True}).get("intact"):
        found.append(f"the ledger's chain is broken at entry {ledger['chain'].get('broken_seq')}: {ledger['chain'].get('reason')}")
    found += [f"edge {name} could not be asked: {edge['problem']}" for name, edge in edges.items() if edge["problem"]]
    found += [f"edge {name}: {problem}" for name, edge in edges.items() for problem in edge["problems"]]
    return found + [f"app host {name}: {problem}" for name, app in apps.items() for problem in app["problems"]]


def _split(entries: list[Mapping[str, Any]], told: Told, raw: Edges, edges: Edges) -> list[str]:
    answering = {name: edge for name, edge in edges.items() if not edge["problem"]}
    about = told.opened
    found = []
    splits = {edge["text"].partition(" (")[0] for edge in answering.values()}
    if len(splits) > 1:
        found.append("the edges do not agree: " + "; ".join(f"{name}: {edge['text']}" for name, edge in answering.items()))
    if about is None or not about.get("steps"):
        return found
    if about.get("phase") == phase3.PHASE:
        slots = {edge["stable"] for edge in answering.values()} | {edge["candidate"] for edge in answering.values() if edge["canary"]}
        moved = not told.closed and slots - {about.get("slot")}
        return [*found, f"live trading is open in {about.get('slot')}, which does not have all the traffic"] if moved else found
    if told.closed:
        outcome = next(entry["data"].get("outcome") for entry in reversed(entries) if entry["kind"] == "closed")
        serves = about["candidate" if outcome == "promoted" else "stable"]["slot"]
        for name, edge in answering.items():
            if edge["stable"] != serves or (edge["canary"] and outcome != "held"):
                found.append(
                    f"edge {name} has {edge['text']}; the ledger says {outcome.replace('_', ' ')}, so {serves} has all the traffic"
                )
        return found
    answer = decide(entries, {name: raw[name] for name in answering}, about["version"], about["plan_digest"])
    if answer["do"] in (REFUSE, BACK) or answer.get("close"):
        found.append(f"{answer['why'] or answer['close']}")
    gone = [name for name in answering if raw[name].get("expired") or raw[name].get("expired_notes")]
    if gone and answer["do"] == RESUME:
        found.append(f"the canary has expired on {', '.join(gone)}: a run that is started again sets its step's weight anew")
    return found


def _slots(entries: list[Mapping[str, Any]], told: Told, edges: Edges, apps: Apps) -> list[str]:
    found = []
    trading = phase3.read(entries) if phase3.is_live_record(entries) else None
    with_traffic = {slot for edge in edges.values() if not edge["problem"] for slot in _served(edge)}
    for host, app in apps.items():
        for slot, there in app["slots"].items():
            where = f"{slot} on {host}"
            found += _containers(where, there, serves=slot in with_traffic)
            live = _live(there.get("api") or {})
            if live and with_traffic != {slot}:
                found.append(f"{where} has live engines ({', '.join(map(str, live))}) without having all the traffic")
            found += _recorded_live(trading, host, slot, there) if trading else []
            if told.opened and told.deployed and not told.closed and slot == told.opened["candidate"]["slot"]:
                wanted = told.opened["version"]
                if there["release"] != wanted:
                    found.append(f"{where} holds release {there['release'] or 'none'}; the ledger says {wanted}")
    return found


def _recorded_live(trading: phase3.Told, host: str, slot: str, there: Mapping[str, Any]) -> list[str]:
    """Where the record of live trading and the engines of one place do not agree."""
    about = trading.opened or {}
    here = (slot, host) == (about.get("slot"), about.get("host"))
    api = there.get("api") or {}
    live = _live(api)
    if not here:
        return [f"{', '.join(live)} live in {slot} on {host}, and nothing in the ledger has started them there"] if live else []
    found = [f"{symbol} is recorded as live, and does not run in {slot} on {host}" for symbol in trading.live if symbol not in live]
    for symbol, usd in live.items():
        recorded = trading.live.get(symbol) or phase3.money(trading.meant.get(symbol))
        if not recorded:
            found.append(f"{symbol} runs live in {slot} on {host}, and the ledger does not say so")
        elif usd and usd != recorded:
            found.append(f"{symbol} has a capital of {usd} in {slot} on {host}; the ledger says {recorded}")
    return found


def _served(edge: Mapping[str, Any]) -> set[str]:
    both = {edge["stable"], edge["candidate"]}
    if not edge["canary"] or not edge["weight"]:
        return {edge["stable"]}
    return {edge["candidate"]} if edge["weight"] >= 100 else both  # noqa: PLR2004 - a percentage


def _live(api: Mapping[str, Any]) -> dict[str, str]:
    """By symbol the capital; what is not known to be on paper, or to stand still, counts as Phase 3 counts it."""
    return phase3.trading_live(api.get("engines") or (), api.get("mode"))


def _containers(where: str, there: Mapping[str, Any], *, serves: bool) -> list[str]:
    found = []
    for service, image in (there.get("images") or {}).items():
        running = [one for one in there["containers"].get(service, []) if one["state"] == "running"]
        if serves and not running:
            found.append(f"{service} in {where} has traffic and does not run")
        for one in running:
            if one["image_id"] != image.get("id"):
                found.append(
                    f"{service} in {where} runs {one['digest'] or one['image_id']}; its release {there['release']} is {image.get('digest')}"
                )
            if one["health"] not in ("", "healthy"):
                found.append(f"{service} in {where} is {one['health']}")
    if serves and not there.get("images"):
        found.append(f"{where} has traffic, and no record of a release")
    return found


def screen(document: Mapping[str, Any]) -> str:
    """The document for people, on one screen."""
    if document["chain"] is None:
        lines = ["Whether a rollout is open, and who holds the lock, is not known: the ledger could not be read.", ""]
    else:
        lines = [*_said_of_rollout(document["rollout"]), _said_of_lock(document["lock"], document["rollout"]), ""]
    for name, edge in document["edges"].items():
        lines.append(f"edge {name}: {edge['problem'] or edge['text']}")
    for host, app in document["apps"].items():
        for slot, there in app["slots"].items():
            lines += _said_of_slot(host, slot, there)
        lines += [f"app {host}: {problem}" for problem in app["problems"]]
    lines.append("")
    found = document["disagreements"]
    lines.append(f"{len(found)} {'disagreement' if len(found) == 1 else 'disagreements'}:" if found else "Ledger and fleet agree.")
    return "\n".join([*lines, *(f"  - {one}" for one in found)])


def _said_of_rollout(rollout: Mapping[str, Any] | None) -> list[str]:
    if rollout is None:
        return ["No rollout is recorded."]
    state = f"open, at {rollout['stage']}" if rollout["open"] else f"closed: {str(rollout['outcome']).replace('_', ' ')}"
    lines = [
        f"{rollout['version']} ({rollout['id']}): {state}",
        f"opened {tell_at(rollout['opened_at'])}, last entry {tell_at(rollout['last_entry_at'])} UTC",
        *([f"GO: {rollout['go']['text']}"] if rollout["go"]["text"] else []),
        *([rollout["go"]["overridden"]] if rollout["go"]["overridden"] else []),
    ]
    step = rollout["step"]
    if step:
        left = step["remaining_seconds"]
        soak = f", {span(left)} left" if left else ", its window is over" if left == 0 else ""
        lines.append(f"{step['id']} since {tell_at(step['since'])}, window {span(step['window_seconds'])}{soak}")
    verdicts = [f"{one['id']} ({_what(one)}) {one['verdict'] or 'not judged'}" for one in rollout["steps"]]
    trading = rollout.get("live")
    if trading:
        engines = ", ".join(f"{symbol} with {usd} USD" for symbol, usd in trading["engines"].items()) or "none"
        lines.append(f"live by the record, in {trading['slot']} on {trading['host']}: {engines}")
    return [*lines, "gates: " + ", ".join(verdicts)]


def _what(step: Mapping[str, Any]) -> str:
    return f"{step['weight_percent']} %" if step["weight_percent"] is not None else " ".join(step["engines"] or ())


def _said_of_lock(lock: Mapping[str, Any] | None, rollout: Mapping[str, Any] | None) -> str:
    if lock is None:
        interrupted = rollout is not None and rollout["open"]
        return "Nobody works on it: start the same playbook again to continue." if interrupted else "Nobody holds the lock."
    owner = lock["owner"]
    who = f"{owner['user']}@{owner['host']} (process {owner['pid']})"
    gone = "; that process is gone, so start the same playbook again to continue" if lock.get("gone") else ""
    return f"lock: {who} since {tell_at(lock['since'])}, last heartbeat {span(lock['heartbeat_age_seconds'])} ago{gone}"


def _said_of_slot(host: str, slot: str, there: Mapping[str, Any]) -> list[str]:
    lines = [f"app {host}, {slot}: release {there['release'] or 'none'}" + ("" if there["containers"] else ", nothing runs")]
    for service, ones in sorted(there["containers"].items()):
        for one in ones:
            state = " ".join(filter(None, (one["state"], one["health"])))
            image, _at, digest = (one["digest"] or one["image_id"]).rpartition("sha256:")
            lines.append(f"    {service} {state}: {image}sha256:{digest[:12]}{_from(one['compose_files'])}")
    api = there["api"]
    if api:
        engines = [_said_of_engine(one, api) for one in api["engines"] or ()]
        models = [
            f"{name} {card.get('version')}{'' if card.get('found') else ' (not loaded)'}" for name, card in (api["models"] or {}).items()
        ]
        kill = {True: "ON", False: "off", None: "unknown"}.get(api["kill_switch"], "unknown")
        lines.append(f"    mode {api['mode'] or 'unknown'}, kill switch {kill}; engines: {', '.join(engines) or 'unknown'}")
        lines.append(f"    models: {', '.join(models) or 'unknown'}")
    return lines


def _said_of_engine(engine: Mapping[str, Any], api: Mapping[str, Any]) -> str:
    told = f"{engine.get('symbol', '?')} {engine.get('status', '?')}"
    if not phase3.trading_live([engine], api.get("mode")):
        return told
    capital, position = phase3.money(engine.get("capital")), engine.get("position")
    return f"{told} LIVE{f' with {capital} USD' if capital else ''}{f', position {position}' if position else ''}"


def _from(files: list[str]) -> str:
    """Compose files lie together in their release's folder."""
    folders = sorted({name.rpartition("/")[0] for name in files})
    return f", from {', '.join(folders)}: {', '.join(name.rpartition('/')[2] for name in files)}" if files else ""
