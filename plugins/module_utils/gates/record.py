# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The looks that a gate left behind, read back so that they can be judged again. Pure.

A sample says what was counted, and what was counted follows from what was asked: the selector, the matchers, for a quantile also the
limit that "slower" refers to. So each look carries a digest of what each check asked (:func:`question`), and a sample is only judged
by a check that asks the same. What a check makes of the answer (its limit, ``min_events``, ``fail_after``) may be anything.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds import KINDS
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report, did_you_mean
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError
from ansible_collections.levibot.transition.plugins.module_utils.samples import STATUSES, Sample, from_dict

# Keys of a check that tell what to make of an answer; all others tell what is asked.
_JUDGED = frozenset(
    ("accept_silenced", "allow_infinite", "alpha", "burst", "condition", "counts", "fail_after", "min_events", "mode", "unit")
)
_GATE = ("id", "window_seconds", "interval_seconds", "hold_seconds", "blind_after_seconds", "checks")
_NUMBERS = ("value", "bad", "total", "events", "coverage_ratio")
_PAIR = ("bad", "total", "base_bad", "base_total")
# A continued gate computes its beginning anew, from another clock's reading.
_SAME_START_SECONDS = 1.0
_GATE_FIX = "give a gate of the validated plan, such as levibot_validated.phase2.steps[0].gate"


@dataclass(frozen=True)
class Recorded:
    """One look: seconds since the window began, the samples by their checks, and of then each check's kind and limit, and its question."""

    at_seconds: float
    samples: Mapping[str, Sample]
    shown: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    asked: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """One run of a gate: its looks in order, and its verdict of then as it was recorded (empty where it is not there)."""

    looks: tuple[Recorded, ...]
    rollout: str = ""
    started_at: float | None = None
    verdict: Mapping[str, Any] = field(default_factory=dict)


def question(check: Mapping[str, Any]) -> str:
    """A digest of what a check asks its source."""
    asked = {key: value for key, value in check.items() if key not in _JUDGED}
    if check["kind"] == "quantile":
        asked["limit"] = check["condition"]["limit"]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]


def questions(gate: Mapping[str, Any]) -> dict[str, str]:
    """The digests of all checks by their ids, as a look records them."""
    return {check["id"]: question(check) for check in gate["checks"]}


def unusable(check: Mapping[str, Any], looks: Iterable[Recorded]) -> str:
    """Why this check cannot judge what was recorded, or an empty text."""
    looks = [look for look in looks if check["id"] in look.samples]
    if not looks:
        return "it was not asked then"
    limit = _limit(check)
    for look in looks:
        kind, then = look.shown.get(check["id"], (check["kind"], limit))
        if kind != check["kind"]:
            return f"it was of kind {kind} then"
        if kind == "quantile" and _bare(then) != _bare(limit):
            return f"counted was what broke its limit of then ({then}), and not what breaks {limit}; replay it from Prometheus"
        if look.asked.get(check["id"], question(check)) != question(check):
            return "it asked something else then; replay it from Prometheus"
    return ""


def tells_questions(looks: Iterable[Recorded]) -> bool:
    """Whether the record says what was asked, so that a changed selector shows."""
    return all(look.asked for look in looks)


def find_gate(wanted: Any, plan: Any, report: Report, path: str = "gate") -> Mapping[str, Any] | None:
    """The gate itself, or the one of this id in a validated plan. None with the mistake reported."""
    if isinstance(wanted, str):
        gates = {step["id"]: step["gate"] for phase in (plan or {}).values() for step in phase.get("steps", ())}
        if wanted not in gates:
            report.add(path, wanted, did_you_mean(wanted, gates) if gates else "give the validated plan as well, to name a gate by its id")
        return gates.get(wanted)
    found = len(report.problems)
    gate = report.mapping(path, wanted, _GATE_FIX)
    missing = [key for key in _GATE if key not in gate]
    if gate and missing:
        report.add(path, f"a gate without {', '.join(missing)}", _GATE_FIX)
    for number, check in enumerate(gate.get("checks", ())):
        if not isinstance(check, Mapping) or check.get("kind") not in KINDS or not {"id", "condition"} <= set(check):
            report.add(f"{path}.checks[{number}]", check, _GATE_FIX)
    return gate if len(report.problems) == found else None


def read_record(items: Any, gate_id: str, report: Report, rollout: str = "") -> Record:
    """The last run of the gate in `items`: entries of a ledger, or the data of its looks. Empty with the mistakes reported.

    Of several rollouts it is the last one with looks of this gate, unless `rollout` names another.
    """
    if not isinstance(items, list):
        report.add("looks", items, "give a list of looks, each {at_seconds: 15, samples: {error_rate: {status: ok, bad: 0, total: 90}}}")
        return Record(())
    entries = [(f"looks[{number}]", *_entry(item)) for number, item in enumerate(items)]
    looks = [(path, rollout_of, data) for path, kind, rollout_of, data in entries if kind == "look" and _is_of(data, gate_id)]
    last = rollout or (looks[-1][1] if looks else "")
    looks = [(path, data) for path, rollout_of, data in looks if rollout_of == last]
    if not looks:
        report.add("looks", f"no look of {gate_id}" + (f" in rollout {last}" if last else ""), _others(entries, rollout))
        return Record(())
    started_at = _started(looks[-1][1])
    run = [(path, data) for path, data in looks if _same_start(_started(data), started_at)]
    verdicts = [data for _path, kind, rollout_of, data in entries if kind == "verdict" and rollout_of == last and _is_of(data, gate_id)]
    mine = [data for data in verdicts if _same_start((data.get("window") or {}).get("started_at"), started_at)]
    return Record(_read_looks(run, report), last, started_at, mine[-1] if mine else {})


def _entry(item: Any) -> tuple[str, str, Any]:
    """(kind, rollout, data) of an entry; bare data is a look's."""
    if isinstance(item, Mapping) and "kind" in item and "data" in item:
        return str(item["kind"]), str(item.get("rollout", "")), item["data"]
    return "look", "", item


def _is_of(data: Any, gate_id: str) -> bool:
    return not isinstance(data, Mapping) or data.get("gate", gate_id) == gate_id


def _others(entries: list[tuple[str, str, str, Any]], rollout: str) -> str:
    """What is there instead of what was asked for."""
    there = {(of, data.get("gate", "?")) for _path, kind, of, data in entries if kind == "look" and isinstance(data, Mapping)}
    rollouts = sorted({of for of, _gate in there if of})
    if rollout and rollout not in rollouts:
        return f"name one of the rollouts with looks: {', '.join(rollouts)}" if rollouts else "give a record with looks of a gate"
    gates = sorted({str(gate) for of, gate in there if not rollout or of == rollout})
    return f"name a gate that was judged: {', '.join(gates)}" if gates else "give a record with looks of a gate"


def _started(data: Any) -> Any:
    return data.get("started_at") if isinstance(data, Mapping) else None


def _same_start(one: Any, other: Any) -> bool:
    if not (_is_number(one) and _is_number(other)):
        return one is None and other is None
    return abs(one - other) <= _SAME_START_SECONDS


def _read_looks(run: list[tuple[str, Any]], report: Report) -> tuple[Recorded, ...]:
    looks: list[Recorded] = []
    for path, data in run:
        if not isinstance(data, Mapping):
            report.add(path, data, "write a look: at_seconds and samples")
            continue
        at = report.read(f"{path}.at_seconds", data.get("at_seconds"), _moment)
        samples = report.mapping(f"{path}.samples", data.get("samples"), "write a sample for each check, by its id")
        read = {check: report.read(f"{path}.samples.{check}", sample, _sample) for check, sample in samples.items()}
        if at is None or None in read.values():
            continue
        if looks and at < looks[-1].at_seconds:
            report.add(f"{path}.at_seconds", at, "give the looks in the order of time")
        checks = [check for check in data.get("checks") or () if isinstance(check, Mapping)]
        shown = {str(check.get("id")): (str(check.get("kind")), str(check.get("limit"))) for check in checks}
        looks.append(Recorded(at, read, shown, data.get("asked") or {}))
    return tuple(looks)


def _moment(value: Any) -> float:
    if not _is_number(value) or value < 0:
        raise MistakeError("write the seconds since the window began")
    return float(value)


def _sample(value: Any) -> Sample:
    fix = "write a sample, such as {status: ok, bad: 0, total: 90}"
    if not isinstance(value, Mapping) or value.get("status") not in STATUSES:
        raise MistakeError(f"{fix}, with one of the statuses {', '.join(STATUSES)}")
    pairs = value.get("pairs") or []
    for numbers in ([value.get(key) for key in _NUMBERS], *([pair.get(key) for key in _PAIR] for pair in pairs)):
        if not all(number is None or _is_number(number) for number in numbers):
            raise MistakeError(f"{fix}: {', '.join(_NUMBERS)} are finite numbers")
    try:
        return from_dict(dict(value))
    except TypeError as exc:
        raise MistakeError(f"{fix} ({exc})") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _limit(check: Mapping[str, Any]) -> str:
    """As a look shows it."""
    return check["condition"]["text"].removeprefix(check["id"]).strip()


def _bare(limit: str) -> str:
    """Without what it was made of: ``< 220ms (SLO + 10%)``."""
    return limit.partition(" (")[0]
