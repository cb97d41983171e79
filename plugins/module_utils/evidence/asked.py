# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked at the time of the verdict: Prometheus over a past window, an HTTP server, a command."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.conditions import (
    NUMBER,
    OPERATORS,
    check_placeholders,
    conditions,
    judge,
    number,
    parse_must,
    show,
)
from ansible_collections.levibot.transition.plugins.module_utils.evidence.documents import parse_json
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case, Finding, Kind, RefusedError
from ansible_collections.levibot.transition.plugins.module_utils.evidence.moments import iso
from ansible_collections.levibot.transition.plugins.module_utils.evidence.observed import part
from ansible_collections.levibot.transition.plugins.module_utils.evidence.slos import judge_slo, parse_slo
from ansible_collections.levibot.transition.plugins.module_utils.http import Client, HttpError, redact
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import (
    REQUIRED,
    Field,
    duration,
    integer,
    mentions,
    number_of,
    patterns,
    query,
    selector,
    text,
    words,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import (
    RATIO,
    MistakeError,
    canonical,
    format_duration,
    format_limit,
    parse_limit,
)
from ansible_collections.levibot.transition.plugins.module_utils.sources import command
from ansible_collections.levibot.transition.plugins.module_utils.sources.prometheus import (
    Prometheus,
    coverage_of_the_store,
    measure,
    missing_by_series,
    samples_by_series,
)
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import NothingThereError, UnusableError, Window

SOAK, PERIOD = "soak", "period"
LOWEST_STATUS, HIGHEST_STATUS = 100, 599
LONGEST = 3600.0


@dataclass(frozen=True)
class Asked:
    """One query and how its number is judged: by a limit, or by the SLO of that name."""

    query: str
    slo: str = ""
    op: str = ""
    limit: str = ""


def look_at_prometheus(given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    url = given.get("url") or case.prometheus_url
    finding.source = f"Prometheus ({redact(url)})"
    if not url:
        raise RefusedError("no address of Prometheus is given", "set levibot_prometheus_url")
    window = _window(given["window"], case, finding)
    prometheus = Prometheus(url, Client(timeout=case.timeout_seconds))
    try:
        if given.get("samples"):
            covered = _judge_samples(given, prometheus, window, case, finding)
        else:
            covered = Decimal(str(coverage_of_the_store(prometheus, window)))
        for asked in _asked(given):
            found = prometheus.instant(window.expand(asked.query), window.at, window.deadline)
            _judge_answer(asked, found, case, finding)
    except (HttpError, UnusableError, NothingThereError) as exc:
        raise RefusedError(str(exc), "see that Prometheus answers, and that it knows the query") from None
    least = Decimal(given["min_coverage"])
    finding.wanted.append(f"data for {format_limit(least, RATIO)} of {format_duration(window.milliseconds // 1000)}")
    if covered < least:
        finding.wrong(
            f"holds data for {format_limit(round(covered, 3), RATIO)} of the window only", "judge while Prometheus still has the window"
        )


def _judge_samples(given: Mapping[str, Any], prometheus: Prometheus, window: Window, case: Case, finding: Finding) -> Decimal:
    """Each stored sample is an event, 1 = good, and each one that is missing is bad: nobody knows what was then.

    The worst series is judged: one edge that was down must not hide behind others.
    Returns for how much of the window there are any, of the worst series.
    """
    slo = parse_slo(given["slo"], case.slos.get(given["slo"]))
    sample = measure({"kind": "proportion", "of": "good", "samples": given["samples"]}, window, prometheus)
    by_series = samples_by_series(prometheus, window.expand(given["samples"]), window)
    if not by_series:
        raise NothingThereError("no events in the window so far")
    counts = {labels: total for labels, (_good, total) in by_series.items()}
    gone = missing_by_series(prometheus, window.expand(given["samples"]), window, counts)
    worst, (good, total, missing) = min(
        ((labels, (Decimal(str(good)), Decimal(str(total)), Decimal(gone.get(labels, 0)))) for labels, (good, total) in by_series.items()),
        key=lambda one: one[1][0] / (one[1][1] + one[1][2]),
    )
    bad = total - good
    named = ", ".join(f"{name}={value}" for name, value in worst)
    of = f", of the worst of {len(by_series)} series ({named})" if len(by_series) > 1 else ""
    judge_slo(slo, good / (total + missing), finding)
    lost = f", and {canonical(missing)} are missing" if missing else ""
    finding.found.append(f"{canonical(bad)} of {canonical(total)} samples of {window.expand(given['samples'])} are bad{lost}{of}")
    return Decimal(str(sample.coverage_ratio))


def _window(written: str | float, case: Case, finding: Finding) -> Window:
    if written == PERIOD:
        seen = part(case, PERIOD)
        # Not to now: what was too little would be enough after a while of waiting.
        served, ends = float(seen["served"]), min(case.now, float(seen["ends"]))
        if ends <= served:
            raise RefusedError(
                f"the period was over before the first visitors came at {iso(served)}", "give levibot_plan.phase4 a longer period"
            )
        finding.at = ends
        finding.found.append(f"from {iso(served)} to {iso(ends)}")
        deadline = time.monotonic() + case.timeout_seconds
        return Window(served, ends, str(seen["slot"]), str(seen.get("stable") or ""), deadline=deadline)
    if written == SOAK and SOAK not in case.seen:
        raise RefusedError(
            "no soak report of this item says when the soak was", "put the soak_report before it, or give a window such as 24h"
        )
    started, ended = case.seen[SOAK] if written == SOAK else (case.now - float(written), case.now)
    if ended <= started or ended > case.now + 1:
        raise RefusedError("the soak did not end after it had begun, and before now")
    finding.at = ended
    finding.found.append(f"from {iso(started)} to {iso(ended)}")
    return Window(started, ended, "", "", deadline=time.monotonic() + case.timeout_seconds)


def _asked(given: Mapping[str, Any]) -> list[Asked]:
    if given.get("slos"):
        return [Asked(expression, slo=name) for name, expression in given["slos"].items()]
    if given.get("samples"):
        return []
    op, limit = given["must"]
    return [Asked(given["query"], op=op, limit=limit)]


def _judge_answer(asked: Asked, found: Mapping[Any, float], case: Case, finding: Finding) -> None:
    name = asked.slo or "the query"
    if len(found) > 1:
        finding.wrong(f"{name} gives {len(found)} series where one is expected", "aggregate it")
        return
    value = next(iter(found.values()), None)
    try:
        measured = number(value)
    except ValueError as exc:
        finding.wrong(f"{name} {'has no data' if value is None else exc}", "ask for what Prometheus stored in that window")
        return
    if asked.slo:
        if asked.slo not in case.slos:
            raise RefusedError(f"{asked.slo} is no SLO of the plan", f"write one of: {', '.join(case.slos)}")
        judge_slo(parse_slo(asked.slo, case.slos[asked.slo]), measured, finding)
        return
    finding.wanted.append(f"{name} {asked.op} {asked.limit}")
    if OPERATORS[asked.op](measured, Decimal(asked.limit)):
        finding.found.append(f"{name} is {show(value)}")
    else:
        finding.wrong(f"{name} is {show(value)}, not {asked.op} {asked.limit}")


def look_over_http(given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    url = case.expand(given["url"])
    finding.source, finding.at = redact(url), case.now
    client = Client(timeout=given.get("timeout") or case.timeout_seconds, token=_token(given.get("token"), case))
    finding.wanted.append(f"status {given['status']}")
    try:
        answer = client.get(url)
        status, body = answer.status, answer.body
    except HttpError as exc:
        if exc.status is None:
            raise RefusedError(exc.what, exc.fix) from None
        status, body = exc.status, exc.body
    if status != given["status"]:
        finding.wrong(f"answered {status}, not {given['status']}", "see what that server says")
        return
    finding.found.append(f"answered {status}")
    if given.get("conditions"):
        judge(given["conditions"], parse_json(body), case, finding)


def _token(name: str | None, case: Case) -> str | None:
    if not name:
        return None
    if not isinstance(case.tokens.get(name), str) or not case.tokens[name]:
        raise RefusedError(f"there is no token {name}", f"give levibot_evidence_tokens.{name}, from a vault")
    return case.tokens[name]


def look_at_command(given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    argv = [case.expand(argument) for argument in given["argv"]]
    finding.source, finding.at = argv[0], case.now
    finding.wanted.append(f"exit code {given['rc']}")
    finding.wanted += [f"prints /{pattern}/" for pattern in given.get("must_match", ())]
    finding.wanted += [f"does not print /{pattern}/" for pattern in given.get("must_not_match", ())]
    check = {
        "argv": [argument.replace("$", "$$") for argument in argv],
        "rc": given["rc"],
        "must_match": given.get("must_match"),
        "must_not_match": given.get("must_not_match"),
        "timeout_seconds": given["timeout"],
    }
    try:
        sample = command.measure(check, Window(case.now, case.now, "", ""), {}, {"VERSION": case.version})
    except UnusableError as exc:
        raise RefusedError(str(exc), "run it by hand on the machine that judges") from None
    for problem in sample.problems:
        finding.wrong(problem, "run it by hand to see the rest of what it prints")
    if not sample.problems:
        finding.found.append(f"exit code {given['rc']}, and the patterns are as wanted")


def _query(value: Any) -> str:
    expression = query(value)
    if any(mentions(expression, name) for name in ("slot", "stable")):
        raise MistakeError("write it without $slot and $stable: a past window knows no slots. $elapsed is its length")
    return expression


def _queries(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise MistakeError("write a query for each SLO, such as {error_rate: 'sum(increase(errors_total[$elapsed])) / ...'}")
    return {text(name): _query(expression) for name, expression in value.items()}


def _past(value: Any) -> str | float:
    return value if value in (SOAK, PERIOD) else duration(value)


def share(value: Any) -> str:
    found = parse_limit(value if isinstance(value, str) else "", RATIO)
    if not 0 < found <= 1:
        raise MistakeError("write a share above 0% and up to 100%")
    return canonical(found)


def _numeric(value: Any) -> tuple[str, str]:
    op, limit = parse_must(value)
    if not NUMBER.fullmatch(limit):
        raise MistakeError(f"write a number after {op}, such as {op} 24")
    return op, limit


def _prometheus_mistakes(given: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if sum(bool(given.get(key)) for key in ("slos", "query", "samples")) != 1:
        yield "query", "write either slos, a query for each SLO, or query and must, or samples and slo"
    elif given.get("query") and not given.get("must"):
        yield "must", 'write the condition, such as "< 0.001"'
    elif given.get("samples") and not given.get("slo"):
        yield "slo", "write the SLO that the share of good samples is compared with, such as api_uptime"


PROMETHEUS = Kind(
    look_at_prometheus,
    fields={
        "slos": Field(_queries),
        "query": Field(_query),
        "must": Field(_numeric),
        "samples": Field(selector),
        "slo": Field(text),
        "window": Field(_past, REQUIRED),
        "min_coverage": Field(share, "0.9"),
        "url": Field(text),
    },
    sets=("slos", "query", "samples"),
    mistakes=_prometheus_mistakes,
)
HTTP = Kind(
    look_over_http,
    fields={
        "url": Field(lambda value: check_placeholders(text(value)), REQUIRED),
        "status": Field(lambda value: integer(value, LOWEST_STATUS, HIGHEST_STATUS, "write a status such as 200"), 200),
        "conditions": Field(conditions),
        "token": Field(text),
        "timeout": Field(duration),
    },
    sets=("url",),
)
COMMAND = Kind(
    look_at_command,
    fields={
        "argv": Field(words, REQUIRED),
        "rc": Field(number_of(0, 255), 0),
        "must_match": Field(patterns),
        "must_not_match": Field(patterns),
        "timeout": Field(duration, 30),
    },
    sets=("argv",),
)
