# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The soak test's report: the two forms met in the field and the one of docs/evidence.md, told apart by their shape.

The field's forms carry no version, and some of their numbers are constants of the script that writes them. So they are evidence only
beside the metrics store, and the finding says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.conditions import number, search, show
from ansible_collections.levibot.transition.plugins.module_utils.evidence.documents import AGE, absolute, judge_age, read_json, too_old
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case, Finding, Kind, RefusedError
from ansible_collections.levibot.transition.plugins.module_utils.evidence.moments import MomentError, parse_moment, zone_of
from ansible_collections.levibot.transition.plugins.module_utils.evidence.slos import judge_slo, parse_slo
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import (
    REQUIRED,
    Field,
    duration,
    jmespath_text,
    number_of,
    one_of,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import (
    RATIO,
    SECONDS,
    MistakeError,
    format_duration,
    format_span,
    parse_limit,
)

IN_PATH, UNPROVEN = "in_path", "unproven_ok"
ALL, WHERE_GIVEN = "all", "where_given"
DAY = 86400
# Engines start one after the other, so their mean uptime is a little less than the test's length.
LEAST_UPTIME = Decimal("0.99")
CONSTANTS = "some values of this form are constants of its script, so it is evidence only beside the metrics store"


@dataclass
class Soak:
    """A report in our own words. Numbers are canonical: shares, seconds. ``wrong`` is what speaks against the release in itself."""

    form: str
    version: Any = None
    revision: Any = None
    started: Any = None
    ended: Any = None
    seconds: Decimal | None = None
    crashes: int | None = None
    slos: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    document: Any = None


def read_soak(document: Any) -> Soak:
    """Raises RefusedError for a document that is no soak report."""
    if not isinstance(document, Mapping):
        raise RefusedError(f"the report is {show(document)} and no soak report", "see docs/evidence.md for the forms that are known")
    for shape, read in _FORMS.items():
        if all(key in document for key in shape):
            return read(document)
    raise RefusedError("the report has the shape of no soak report that is known", "see docs/evidence.md for the forms")


def _own(document: Mapping[str, Any]) -> Soak:
    soak = Soak("our form", *(document.get(key) for key in ("version", "revision", "started_at", "ended_at")))
    soak.crashes = _whole(document, "crashes", "")
    if isinstance(document["slos"], Mapping):
        soak.slos = dict(document["slos"])
    else:
        soak.wrong.append(f"slos is {show(document['slos'])} and no mapping")
    return soak


def _summary(document: Mapping[str, Any]) -> Soak:
    soak = Soak("soak_summary", started=document.get("started_at"), ended=document.get("ended_at"), notes=[CONSTANTS])
    soak.seconds = _number(document, "duration_hours", "") * 3600
    for name in ("api_uptime", "engine_uptime", "md_drop"):
        if document.get(f"{name}_pct") is not None:
            soak.slos[name] = _number(document, f"{name}_pct", "") / 100
    latencies = document.get("inference_p95_ms")
    if isinstance(latencies, Mapping) and latencies:
        soak.slos["inference_p95"] = max(_number(latencies, name, "inference_p95_ms.") for name in latencies) / 1000
    if document.get("decision_hint") != "GO":
        soak.wrong.append(f"its decision_hint is {show(document.get('decision_hint'))}, not GO")
    criteria = document.get("decision_criteria")
    for name, met in criteria.items() if isinstance(criteria, Mapping) else ():
        if met is False or (isinstance(met, Mapping) and False in [met.get(key) for key in ("passed", "met", "ok")]):
            soak.wrong.append(f"its criterion {show(name)} is not met")
    if document.get("snapshots_count") is not None and _number(document, "snapshots_count", "") < 1:
        soak.wrong.append("it is made of no snapshot at all")
    if document.get("global_stop_events"):
        soak.wrong.append(f"trading was stopped by its own risk limits: global_stop_events is {show(document['global_stop_events'])}")
    soak.notes.append("this form counts no crashes")
    return soak


def _statistics(document: Mapping[str, Any]) -> Soak:
    config, state, statistics = (document[key] if isinstance(document[key], Mapping) else {} for key in _STATISTICS)
    soak = Soak("test_config", notes=[CONSTANTS, "this form says when it was to end, and not when it did"])
    soak.seconds = _number(config, "duration_minutes", "test_config.") * 60
    soak.crashes = max(_whole(state, "crashed", "final_state."), _whole(statistics, "total_crashes", "statistics."))
    total, running = _whole(state, "total_engines", "final_state."), _whole(state, "running", "final_state.")
    if running < total or not total:
        soak.wrong.append(f"{running} of {total} engines ran at its end")
    if statistics.get("mean_uptime_seconds") is not None:
        uptime = _number(statistics, "mean_uptime_seconds", "statistics.")
        if uptime < soak.seconds * LEAST_UPTIME:
            soak.wrong.append(f"its engines ran for {format_span(float(uptime))} on average, and it was to take {_length(soak.seconds)}")
    return soak


_STATISTICS = ("test_config", "final_state", "statistics")
_FORMS: dict[tuple[str, ...], Callable[[Mapping[str, Any]], Soak]] = {
    _STATISTICS: _statistics,
    ("duration_hours", "decision_hint"): _summary,
    ("slos", "started_at", "ended_at"): _own,
}


def look(given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    path = case.expand(given["path"])
    finding.source = path
    document = read_json(path)
    soak = read_soak(document)
    soak.document = document
    finding.found.append(f"a soak report ({soak.form})")
    finding.found += soak.notes
    for problem in soak.wrong:
        finding.wrong(problem, "mend the cause, and soak again")
    _judge_version(given, soak, case, finding)
    _judge_time(given, soak, case, finding)
    _judge_crashes(given, soak, finding)
    _judge_slos(given, soak, case, finding)


def _judge_version(given: Mapping[str, Any], soak: Soak, case: Case, finding: Finding) -> None:
    finding.wanted.append(f"of {case.version}")
    how = given.get("version", "")
    version = search(how, soak.document) if how not in ("", IN_PATH, UNPROVEN) else soak.version
    if version is None and how == IN_PATH:
        version = case.version  # the file's name carries it, and that file was there
        finding.found.append(f"its name says {case.version}")
    if version is None and how == UNPROVEN:
        finding.found.append("its version is not proven")
    elif version is None:
        fix = "give version: the JMESPath of it, in_path where $version is in the path, or unproven_ok"
        finding.wrong("nothing in it says which version was soaked", fix)
    elif version != case.version:
        finding.wrong(f"is of {show(version)}, not of {case.version}", "soak the version that is to be released")
    if case.revision and soak.revision not in (None, case.revision):
        finding.wrong(f"is of commit {show(soak.revision)}, not of {case.revision}", "soak the commit that is to be released")


def _judge_time(given: Mapping[str, Any], soak: Soak, case: Case, finding: Finding) -> None:
    zone = zone_of(given["timezone"]) if given.get("timezone") else None
    seconds = soak.seconds
    if soak.ended is None:
        judge_age(given, soak.document, finding.source, case, finding)
    else:
        finding.wanted.append(f"at most {format_duration(given['max_age'])} old")
        times = {}
        for name, value in (("started_at", soak.started), ("ended_at", soak.ended)):
            try:
                times[name] = parse_moment(value, zone)
            except MomentError as exc:
                finding.wrong(f"its {name} {exc}", "write the times with their offset, or give timezone")
        finding.at = times.get("ended_at")
        too_old(finding, given["max_age"], case, "soak again")
        if len(times) > 1:
            case.seen["soak"] = (times["started_at"], times["ended_at"])
            between = Decimal(str(times["ended_at"])) - Decimal(str(times["started_at"]))
            seconds = between if seconds is None else min(seconds, between)
    finding.wanted.append(f"at least {format_duration(given['min_duration'])} long")
    if seconds is None:
        finding.wrong("nothing in it says how long it took")
    elif seconds < Decimal(str(given["min_duration"])):
        finding.wrong(f"took {_length(seconds)}, not {format_duration(given['min_duration'])}", "soak for the whole time")
    else:
        finding.found.append(f"took {_length(seconds)}")


def _judge_crashes(given: Mapping[str, Any], soak: Soak, finding: Finding) -> None:
    if soak.crashes is None:
        return
    finding.wanted.append(f"at most {given['max_crashes']} crashes")
    if soak.crashes > given["max_crashes"]:
        finding.wrong(f"{soak.crashes} crashes, at most {given['max_crashes']} allowed", "mend the cause, and soak again")
    else:
        finding.found.append(f"{soak.crashes} crashes")


def _judge_slos(given: Mapping[str, Any], soak: Soak, case: Case, finding: Finding) -> None:
    if not case.slos:
        finding.wrong("no SLOs are given to compare it with", "write them under levibot_plan.slos")
    missing = []
    for name, line in case.slos.items():
        slo = parse_slo(name, line)
        if soak.slos.get(name) is None:
            missing.append(name)
            continue
        try:
            judge_slo(slo, _value(soak.slos[name], slo.unit), finding)
        except ValueError as exc:
            finding.wrong(f"its {name} {exc}")
    if missing and given["slos"] == ALL:
        fix = "write a report that has it, or prove it by a Prometheus query over the soak and write slos: where_given"
        finding.wrong(f"has no value of {', '.join(missing)}", fix)
    elif missing:
        finding.found.append(f"has no value of {', '.join(missing)}")


def _value(value: Any, unit: str) -> Decimal:
    """A number in the unit (share, seconds), or a text such as ``99.97%`` or ``87ms``. Raises ValueError."""
    if isinstance(value, str):
        try:
            return parse_limit(value, unit)
        except MistakeError:
            pass
    found = number(value)
    if (found < 0 and unit in (RATIO, SECONDS)) or (found > 1 and unit == RATIO):
        raise ValueError(f"is {show(value)}, and a {'share is from 0 to 1' if unit == RATIO else 'time is not negative'}")
    return found


def _number(mapping: Mapping[str, Any], key: str, where: str) -> Decimal:
    try:
        found = number(mapping.get(key))
    except ValueError as exc:
        raise RefusedError(f"its {where}{key} {exc}", "write the report anew") from None
    if not 0 <= found < 10**12:
        raise RefusedError(f"its {where}{key} is {show(mapping.get(key))}", "write the report anew")
    return found


def _whole(mapping: Mapping[str, Any], key: str, where: str) -> int:
    found = _number(mapping, key, where)
    if found != found.to_integral_value():
        raise RefusedError(f"its {where}{key} is {show(mapping.get(key))} and no whole number", "write the report anew")
    return int(found)


def _length(seconds: Decimal) -> str:
    return format_span(float(seconds)) if seconds >= 0 else "less than nothing"


def _version_from(value: Any) -> str:
    return value if value in (IN_PATH, UNPROVEN) else jmespath_text(value)


def _mistakes(given: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if given.get("version") == IN_PATH and "$version" not in given["path"] and "${version}" not in given["path"]:
        yield "path", "write $version in it, since version: in_path takes it from there"


SOAK = Kind(
    look,
    fields={
        "path": Field(absolute, REQUIRED),
        "min_duration": Field(duration, DAY),
        "max_crashes": Field(number_of(0), 0),
        "version": Field(_version_from),
        "slos": Field(one_of(ALL, WHERE_GIVEN), ALL),
        **AGE,
    },
    sets=("path",),
    mistakes=_mistakes,
)
