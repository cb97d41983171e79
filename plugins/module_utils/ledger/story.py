# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person wants to know of one rollout, told from its exported entries. Pure.

A record can end anywhere: whatever is missing is left out or said to be missing, and never guessed. In particular a rollout
that nobody closed is open, whatever its last verdict was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import Entry, broken_at

GOOD, BAD, WARN, OPEN = "good", "bad", "warn", "open"
TONES = {
    "promoted": GOOD, "live": GOOD, "pass": GOOD, "met": GOOD,
    "rolled_back": BAD, "failed": BAD, "aborted": BAD, "fail": BAD, "blind": BAD, "breach": WARN, "error": WARN,
    "held": WARN, "hold": WARN, "waiting": OPEN, "pending": OPEN,
}  # fmt: skip
OUTCOMES = {
    "promoted": "{version} is promoted",
    "live": "{version} trades live",
    "rolled_back": "{version} was rolled back",
    "failed": "{version} failed",
    "held": "{version} is held for a person",
    "aborted": "{version} was aborted",
}
# Of a record of live trading, where they differ.
LIVE_OUTCOMES = {
    "rolled_back": "Live trading of {version} was ended",
    "failed": "Live trading of {version} failed",
    "aborted": "Live trading of {version} was aborted",
}

CHART_WIDTH, CHART_HEIGHT, CHART_MARGIN = 220, 44, 5
MAX_POINTS = 200
GOOD_ENDS = ("promoted", "live")

_LIMIT = re.compile(r"(?:[<>]=?|==|!=)\s*(-?\d+(?:\.\d+)?)\s*(%|ms|[A-Za-z]*)")
_MINUTE = 60
_SCALE = {"%": 0.01, "ms": 0.001}


def tell(lines: Iterable[str], chain: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The story of the last rollout in the lines of an export. ``chain`` is what the verification on the ledger's host found."""
    entries, broken = parse(lines)
    rollout = _last_rollout(entries)
    mine = [entry for entry in entries if entry.rollout == rollout]
    opened = next((entry for entry in mine if entry.kind == "opened"), None)
    closed = next((entry for entry in reversed(mine) if entry.kind == "closed"), None)
    steps = _steps(mine, opened.data if opened else {})
    about = opened.data if opened else {}
    return {
        "rollout": rollout or "",
        "version": str(about.get("version") or ""),
        "plan_digest": str(about.get("plan_digest") or ""),
        "opened_by": _who(about),
        "go": go_of(about),
        "closed_by": _who(closed.data) if closed else "",
        "opened_at": tell_at(opened.at) if opened else "",
        "closed_at": tell_at(closed.at) if closed else "",
        "lasted": _lasted(mine[0].at, (closed or mine[-1]).at) if mine else "",
        "last_entry_at": tell_at(mine[-1].at) if mine else "",
        "outcome": _outcome(mine, closed, about, steps),
        "slots": [_slot(role, about[role]) for role in ("stable", "candidate") if isinstance(about.get(role), Mapping)],
        "steps": steps,
        "why": _why(closed, steps),
        "events": [_event(entry) for entry in mine if entry.kind != "look"],
        "counts": {"entries": len(mine), "looks": sum(entry.kind == "look" for entry in mine)},
        "chain": _chain(broken, chain, entries),
    }


def parse(lines: Iterable[str]) -> tuple[list[Entry], str]:
    """The entries that can be read, and what is wrong with the first line that is not as it was written (or nothing).

    An export of one rollout has gaps where other rollouts' entries are; a link is checked wherever both its ends are there.
    """
    entries: list[Entry] = []
    broken = ""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = Entry(**json.loads(line))
            before = entries[-1] if entries else None
            follows = before is not None and entry.seq == before.seq + 1
            reason = broken_at(entry, entry.seq, before.hash if before and follows else entry.previous)
            if before and entry.seq <= before.seq:
                reason = "it is out of order"
        except (TypeError, ValueError):
            broken = broken or f"line {number} of the export cannot be read"
            continue
        if reason:
            broken = broken or f"entry {entry.seq}: {reason}"
        if isinstance(entry.data, dict):
            entries.append(entry)
    return entries, broken


def chart(looks: Sequence[Mapping[str, Any]], span_seconds: float, limit: float | None) -> dict[str, Any] | None:
    """A check's values over the looks as coordinates of a small drawing; None where there is no number to draw.

    A look without a number is a gap in the line, and a tick under it, so that missing data does not look like a calm line.
    """
    numbers = [look["number"] for look in looks if look["number"] is not None]
    if not numbers:
        return None
    low, high = min([*numbers, *([] if limit is None else [limit])]), max([*numbers, *([] if limit is None else [limit])])
    if low == high:
        low, high = low - 0.5, high + 0.5
    span = max(span_seconds, looks[-1]["at_seconds"], 1e-9)

    def across(seconds: float) -> float:
        return round(CHART_MARGIN + (CHART_WIDTH - 2 * CHART_MARGIN) * min(max(seconds, 0) / span, 1), 1)

    def down(number: float) -> float:
        return round(CHART_HEIGHT - CHART_MARGIN - (CHART_HEIGHT - 2 * CHART_MARGIN) * (number - low) / (high - low), 1)

    runs: list[list[tuple[float, float]]] = [[]]
    gaps, marks = [], []
    for look in _thinned(looks):
        if look["number"] is None:
            gaps.append(across(look["at_seconds"]))
            runs.append([])
            continue
        point = (across(look["at_seconds"]), down(look["number"]))
        runs[-1].append(point)
        if TONES.get(look["state"]) in (BAD, WARN):
            marks.append({"x": point[0], "y": point[1], "tone": TONES[look["state"]]})
    last = next(look for look in reversed(looks) if look["number"] is not None)
    return {
        "width": CHART_WIDTH,
        "height": CHART_HEIGHT,
        "lines": [" ".join(f"{x},{y}" for x, y in run) for run in runs if len(run) > 1],
        "dots": [{"x": run[0][0], "y": run[0][1]} for run in runs if len(run) == 1],
        "marks": marks,
        "gaps": gaps,
        "limit": None if limit is None else down(limit),
        "end": {"x": across(last["at_seconds"]), "y": down(last["number"]), "tone": TONES.get(last["state"], OPEN)},
    }


def span(seconds: float) -> str:
    """5400 to ``1 h 30 min``; below a minute with a tenth."""
    if round(seconds, 1) < _MINUTE:
        return f"{round(seconds, 1):g} s"
    whole = round(seconds)
    parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def _last_rollout(entries: Sequence[Entry]) -> str | None:
    opened = [entry.rollout for entry in entries if entry.kind == "opened"]
    return opened[-1] if opened else entries[-1].rollout if entries else None


def _outcome(
    entries: Sequence[Entry], closed: Entry | None, about: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    version = str(about.get("version") or "The candidate")
    failed = next((step for step in reversed(steps) if step["tone"] == BAD), None)
    reached = next((step for step in reversed(steps) if step["verdict"] or step["looks"]), None)
    if not entries:
        return {"word": "no record", "tone": OPEN, "headline": "No rollout has been recorded", "more": ""}
    if closed:
        word = str(closed.data.get("outcome") or "closed")
        words = {**OUTCOMES, **LIVE_OUTCOMES} if _trades(about) else OUTCOMES
        headline = words.get(word, "{version}: closed").format(version=version)
        more = ""
        if failed and word not in GOOD_ENDS:
            more = f"Stopped at {failed['title']}: the gate {_SAID.get(failed['verdict'], 'did not pass')}."
        elif word in GOOD_ENDS:
            more = f"{sum(step['verdict'] == 'pass' for step in steps)} of {len(steps)} gates passed."
        return {"word": word.replace("_", " "), "tone": TONES.get(word, WARN), "headline": headline, "more": more}
    more = "Nobody has closed this rollout: see what the edges serve before you rely on this page."
    if _trades(about):
        more = "Nobody has closed this: engines may trade live. See playbooks/status.yml before you rely on this page."
    if failed:
        headline = f"{version} failed at {failed['title']}, and its end is not recorded"
        return {"word": "not closed", "tone": BAD, "headline": headline, "more": more}
    way = "is going live" if _trades(about) else "is on its way"
    where = f", last seen at {reached['title']}" if reached else ""
    return {"word": "open", "tone": OPEN, "headline": f"{version} {way}{where}", "more": more}


def _trades(about: Mapping[str, Any]) -> bool:
    """Whether it is a record of live trading."""
    return about.get("phase") == "phase3"


def _why(closed: Entry | None, steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """The paragraphs of the gates that failed, and what the closing says beyond them."""
    reason = str(closed.data.get("reason") or "").strip() if closed and closed.data.get("outcome") not in GOOD_ENDS else ""
    told = [step["paragraph"] for step in steps if step["tone"] == BAD and step["paragraph"] and step["paragraph"] not in reason]
    return [*told, *([reason] if reason else [])]


_SAID = {"fail": "failed", "blind": "went blind", "hold": "held", "pass": "passed"}


def _steps(entries: Sequence[Entry], about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The plan's steps in its order, and behind them those that only the entries know."""
    planned = {item["id"]: item for item in about.get("steps") or [] if isinstance(item, Mapping) and isinstance(item.get("id"), str)}
    found: dict[str, list[Entry]] = {name: [] for name in planned}
    for entry in entries:
        name = _step_of(entry)
        if name:
            found.setdefault(name, []).append(entry)
    return [_step(name, planned.get(name, {}), theirs) for name, theirs in found.items()]


def _step_of(entry: Entry) -> str:
    for key in ("step", "gate"):
        value = entry.data.get(key)
        value = value.get("id") if isinstance(value, Mapping) else value
        if isinstance(value, str) and value:
            return value
    return ""


def _step(name: str, plan: Mapping[str, Any], entries: Sequence[Entry]) -> dict[str, Any]:
    looks = [entry for entry in entries if entry.kind == "look"]
    verdict = next((entry for entry in reversed(entries) if entry.kind == "verdict"), None)
    said = verdict.data if verdict else {}
    last_look = looks[-1].data if looks else {}
    known = {**_first(entries, ("weight", "weight_percent", "name", "window_seconds")), **plan}
    window = _number(known.get("window_seconds"))
    word = str(said.get("verdict") or "")
    title = f"{name} ({known['name']})" if known.get("name") else name
    state = word or str(last_look.get("verdict") or "")
    return {
        "id": name,
        "title": title,
        "name": str(known.get("name") or name),
        "weight": _number(known.get("weight", known.get("weight_percent"))),
        "window": span(window) if window is not None else "",
        "verdict": word,
        "word": _SAID.get(word, word) or ("running" if looks else "begun" if entries else "not reached"),
        "tone": TONES.get(state, OPEN),
        "reached": bool(entries),
        "began_at": tell_at(entries[0].at) if entries else "",
        "ended_at": tell_at(verdict.at) if verdict else "",
        "soaked": span(_number(said.get("at_seconds", last_look.get("at_seconds"))) or 0) if looks or verdict else "",
        "looks": len(looks),
        "paragraph": next((str(said[key]) for key in ("paragraph", "explanation", "msg", "reason") if said.get(key)), ""),
        "checks": _checks(looks, said, window or 0),
    }


def _checks(looks: Sequence[Entry], said: Mapping[str, Any], window: float) -> list[dict[str, Any]]:
    """Each check as it stood at the end, with its values over all looks."""
    series: dict[str, list[dict[str, Any]]] = {}
    last: dict[str, Mapping[str, Any]] = {}
    for entry in looks:
        at = _number(entry.data.get("at_seconds", entry.data.get("elapsed_seconds"))) or 0
        for check in _mappings(entry.data.get("checks")):
            name = str(check.get("id"))
            last[name] = check
            point = {"at_seconds": at, "number": _number(check.get("number")), "state": str(check.get("state"))}
            series.setdefault(name, []).append(point)
    last.update({str(check.get("id")): check for check in _mappings(said.get("checks"))})
    deciding = said.get("deciding") or []
    return [
        {
            "id": name,
            "state": str(check.get("state") or ""),
            "tone": TONES.get(str(check.get("state")), OPEN),
            "observed": check.get("mode") == "observe",
            "deciding": name in deciding,
            "value": str(check.get("value") or ""),
            "limit": str(check.get("limit") or ""),
            "evidence": str(check.get("evidence") or ""),
            "reason": str(check.get("reason") or ""),
            "chart": chart(series[name], window, _limit(str(check.get("limit") or ""))) if series.get(name) else None,
        }
        for name, check in last.items()
    ]


_TELLING = ("action", "summary", "text", "outcome", "verdict", "version", "reason", "msg", "detail")


def _event(entry: Entry) -> dict[str, str]:
    data = entry.data
    tone = TONES.get(str(data.get("verdict") or data.get("outcome")), OPEN)
    if data.get("ok") is False or data.get("failed") is True:
        tone = BAD
    said = [str(data[key]) for key in _TELLING if data.get(key)]
    weight = data.get("weight_percent", data.get("weight"))
    if weight is not None:
        said.append(f"{weight} %")
    if isinstance(data.get("candidate"), str):
        said.append(f"candidate {data['candidate']}")
    if isinstance(data.get("engines"), Mapping):
        said.append(", ".join(f"{symbol} with {usd} USD" for symbol, usd in data["engines"].items()))
    if isinstance(data.get("symbols"), list) and data["symbols"]:
        said.append(f"of {', '.join(map(str, data['symbols']))}")
    if isinstance(data.get("still_open"), Mapping):
        left = ", ".join(f"{quantity} {symbol}" for symbol, quantity in data["still_open"].items())
        said.append(f"still open: {left}" if left else "no position is open")
    if isinstance(data.get("edges"), list):
        said.append(f"on {' '.join(map(str, data['edges']))}")
    if entry.kind == "approval":
        said.append(_who(data))
    return {
        "at": tell_at(entry.at),
        "kind": entry.kind,
        "step": _step_of(entry),
        "text": ", ".join(part for part in said if part),
        "tone": tone,
        "seq": str(entry.seq),
    }


def _chain(broken: str, found: Mapping[str, Any] | None, entries: Sequence[Entry]) -> dict[str, Any]:
    head = entries[-1].hash if entries else ""
    if broken:
        return {"intact": False, "text": f"The record is broken. {broken}", "head": head}
    if not found:
        return {"intact": True, "text": f"{len(entries)} exported entries verified; the ledger itself was not asked", "head": head}
    if not found.get("intact"):
        return {"intact": False, "text": f"The ledger is broken at entry {found.get('broken_seq')}: {found.get('reason')}", "head": head}
    return {
        "intact": True,
        "text": f"Verified: all {found.get('entries')} entries of the ledger and each line of this export",
        "head": head,
    }


def go_of(about: Mapping[str, Any]) -> dict[str, Any]:
    """On what decision the rollout began. A record from before there was a GO says nothing of it."""
    said = about.get("go")
    if not isinstance(said, Mapping):
        return {"text": "", "overridden": ""}
    override = said.get("overridden")
    if isinstance(override, Mapping):
        lacked = f" ({said['problem']})" if said.get("problem") else ""
        return {"text": "", "overridden": f"Begun without a GO{lacked}: {override.get('who')} decided so, since: {override.get('reason')}"}
    names = ", ".join(str(name) for name in said.get("approved_by") or ()) or "nobody"
    return {"text": f"{tell_at(str(said.get('at') or ''))} UTC, approved by {names}", "overridden": ""}


def _slot(role: str, about: Mapping[str, Any]) -> dict[str, Any]:
    images = about.get("images") if isinstance(about.get("images"), Mapping) else {}
    digests = [
        {"service": str(name), "digest": str(image.get("digest") if isinstance(image, Mapping) else image)}
        for name, image in images.items()
    ]
    return {"role": role, "slot": str(about.get("slot") or ""), "version": str(about.get("version") or ""), "images": digests}


def _who(data: Mapping[str, Any]) -> str:
    who = data.get("who") or data.get("by") or ""
    return "@".join(str(who[key]) for key in ("user", "host") if who.get(key)) if isinstance(who, Mapping) else str(who)


def _first(entries: Sequence[Entry], keys: Sequence[str]) -> dict[str, Any]:
    """For each key the first value that the entries have."""
    result: dict[str, Any] = {}
    for entry in entries:
        for key in keys:
            if entry.data.get(key) is not None:
                result.setdefault(key, entry.data[key])
    return result


def _thinned(looks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """At most some hundred looks, never without those that show trouble, the first and the last."""
    stride = -(-len(looks) // MAX_POINTS)
    ends = (0, len(looks) - 1)
    return [
        look
        for index, look in enumerate(looks)
        if index % stride == 0 or index in ends or TONES.get(look["state"]) in (BAD, WARN) or look["number"] is None
    ]


def _limit(text: str) -> float | None:
    match = _LIMIT.match(text.strip())
    return float(match[1]) * _SCALE.get(match[2], 1) if match else None


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, Sequence) else []


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def tell_at(at: str) -> str:
    return at.replace("T", " ")[:19]


def _lasted(begin: str, end: str) -> str:
    try:
        first, last = (datetime.fromisoformat(at.replace("Z", "+00:00")) for at in (begin, end))
        return span((last - first).total_seconds())
    except ValueError:
        return ""
