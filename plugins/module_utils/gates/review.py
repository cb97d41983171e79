# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan's gates before they run, for people: what each check finds in its window, how soon, and what it cannot see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.gates import power
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds import KINDS
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import ENFORCE
from ansible_collections.levibot.transition.plugins.module_utils.gates.power import (
    ASSUMED,
    COUNTED,
    DETECTABLE,
    MEASURED,
    Answers,
    Expected,
)
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import (
    RATIO,
    SECONDS,
    format_duration,
    format_limit,
    format_span,
    format_value,
)

# From Phase 3 on the candidate has all the traffic.
ALL_TRAFFIC = 100
# A gate that finds only more than this multiple of its limit is worth a word.
GOOD_FACTOR = 5
_MINUTE = 60
_WHOLE_MINUTES_FROM = 600
_PER_MINUTE_BELOW = 20  # events a second
_WHOLE_FROM = 10
_WORTH_TELLING = 0.005


def review(
    steps: Iterable[Mapping[str, Any]], answers: Mapping[str, Answers], seconds: float, requests_per_second: float | None
) -> list[dict]:
    """One entry a gate, with one a check: numbers for programs (see :func:`power.assess`), ``lines`` and ``cautions`` for people.

    answers: for each counting check its samples with each slot as the candidate, over the last `seconds`.
    """
    return [
        {
            "id": step["gate"]["id"],
            "name": step["name"],
            "weight": _weight(step),
            **{key: step[key] for key in ("engines", "live") if key in step},
            "window_seconds": step["gate"]["window_seconds"],
            "hold_seconds": step["gate"]["hold_seconds"],
            "checks": [_check(step, check, answers.get(check["id"], {}), seconds, requests_per_second) for check in step["gate"]["checks"]],
        }
        for step in steps
    ]


def text(gates: Iterable[Mapping[str, Any]]) -> list[str]:
    """The whole review, line by line."""
    lines = []
    for gate in gates:
        hold = f", held for up to {format_duration(gate['hold_seconds'])} more" if gate["hold_seconds"] else ""
        lines += ["", f"{gate['id']} ({gate['name']}): {format_duration(gate['window_seconds'])}{hold}", *_money(gate)]
        for check in gate["checks"]:
            observed = "" if check["mode"] == ENFORCE else " [observed only]"
            lines.append(f"  {check['condition']}{observed}: {check['lines'][0]}")
            lines += [f"      {line}" for line in check["lines"][1:]]
            lines += [f"    ! {caution}" for caution in check["cautions"]]
    return lines


def _weight(step: Mapping[str, Any]) -> int:
    return step.get("weight", ALL_TRAFFIC)


def _money(gate: Mapping[str, Any]) -> list[str]:
    """What a step with engines puts at stake: starts BTC/USDT with 100.00 USD; live then are 1 engine with 100.00 USD"""
    if "engines" not in gate:
        return []
    started = ", ".join(f"{symbol} with {dollars} USD" for symbol, dollars in gate["engines"].items())
    live = gate["live"].values()
    number = f"{len(live)} engine{'' if len(live) == 1 else 's'}"
    return [f"  starts {started}; live then are {number} with {sum(map(Decimal, live), Decimal(0)):,} USD"]


def _check(step: Mapping[str, Any], check: Mapping[str, Any], answers: Answers, seconds: float, given: float | None) -> dict[str, Any]:
    gate = step["gate"]
    told = {"id": check["id"], "kind": check["kind"], "mode": check["mode"], "condition": check["condition"]["text"]}
    if check["kind"] not in COUNTED:
        soon, blind = _ACTS[check["kind"]](gate, check)
        return {**told, "lines": [soon, blind], "cautions": []}
    expected = power.expect(check, _weight(step), answers, seconds, given)
    if expected is None:
        why = next((f": {sample.detail}" for sample in answers.values() if sample.detail), "")
        unknown = f"what it detects cannot be told, since no {_noun(check)} were measured in the last {format_span(seconds)}{why}"
        return {**told, "lines": [unknown], "cautions": ["give the expected traffic: validate_plan_requests_per_second"]}
    found = power.assess(gate, check, expected)
    return {
        **told,
        "expected": {"per_second": expected.per_second, "all_per_second": expected.all_per_second, "origin": expected.origin},
        **found,
        "lines": [_traffic(gate, check, expected, found), *_detections(check, found), *_healthy(gate, check, found)],
        "cautions": list(_cautions(gate, check, expected, found, seconds)),
    }


# Checks that count


def _traffic(gate: Mapping[str, Any], check: Mapping[str, Any], expected: Expected, found: Mapping[str, Any]) -> str:
    """with 40 requests a minute (10% of 400) and 30m: 1,200 requests"""
    scale, unit = (_MINUTE, "minute") if expected.all_per_second < _PER_MINUTE_BELOW else (1, "second")
    part, whole = (_number(rate * scale) for rate in (expected.per_second, expected.all_per_second))
    share = f" ({expected.per_second / expected.all_per_second:.0%} of {whole})" if part != whole else ""
    assumed = " (assumed)" if expected.origin == ASSUMED else ""
    counts = _noun(check)
    return f"with {part} {counts} a {unit}{share}{assumed} and {format_duration(gate['window_seconds'])}, {found['in_window']:,} {counts}"


def _detections(check: Mapping[str, Any], found: Mapping[str, Any]) -> Iterable[str]:
    """Up to the mildest fault that is found reliably, and the worst, which tells how soon a catastrophe is stopped."""
    detects = found["detects"]
    reliable = next((number for number, bad in enumerate(detects) if bad["detectable"]), len(detects))
    for bad in [*detects[: reliable + 1], *detects[reliable + 1 :][-1:]]:
        middle = bad["median_seconds"]
        after = f", in the median after {_about(middle)}" if middle is not None else ""
        passes = f"; it passes all the same with {bad['passes']:.2f}" if bad["passes"] >= _WORTH_TELLING else ""
        yield f"{_shown(check, bad['ratio'])} is found with probability {_likely(bad)}{after}{passes}"


def _healthy(gate: Mapping[str, Any], check: Mapping[str, Any], found: Mapping[str, Any]) -> Iterable[str]:
    healthy = found["healthy"]
    of = "half of the tolerated increase" if check["kind"] == "baseline" else "half of the limit"
    window = healthy["window_seconds"]
    longer = ""
    if window is not None and window > gate["window_seconds"]:
        longer = f"; at the end of a window of {_about(window)} it would with {power.WANTED}"
    yield f"a candidate at {of} passes with probability {_likely(healthy)}{longer}"


def _cautions(
    gate: Mapping[str, Any], check: Mapping[str, Any], expected: Expected, found: Mapping[str, Any], seconds: float
) -> Iterable[str]:
    window, after = gate["window_seconds"], found["min_events_after_seconds"]
    counts = _noun(check)
    if after is None:
        yield "it cannot pass: stable gets no traffic at this step that the candidate could be compared with"
        return
    if after > window:
        slow = min(expected.per_second, expected.base_per_second) if check["kind"] == "baseline" else expected.per_second
        late = after > window + gate["hold_seconds"]
        then = "more than window and hold: the gate cannot pass" if late else "and the gate holds until then"
        there = f"{int(slow * window):,} {counts} are expected"
        missed = f"min_events ({check['min_events']:,}) will not be reached in {format_duration(window)}"
        yield f"{missed}: {there}; it takes {_about(after)}, {then}"
    elif found["healthy"]["probability"] < DETECTABLE:
        yield "a candidate that is well within the limit may be turned away: lengthen window or hold"
    sure = [bad for bad in found["detects"] if bad["detectable"]]
    if found["detects"] and not sure:
        yield "nothing is found reliably within the window"
    elif sure and (sure[0]["factor"] or 0) > GOOD_FACTOR:
        mildest = f"{_shown(check, sure[0]['ratio'])}, {sure[0]['factor']} times what is allowed"
        yield f"what is milder than {mildest}, is not found reliably within the window"
    if expected.bad_ratio is not None and found["detects"] and expected.bad_ratio > power.allowed_ratio(check):
        now = f"{_shown(check, expected.bad_ratio)} in both slots together"
        yield f"over the last {format_span(seconds)} it was {now}: the limit is broken already"
    if check["kind"] == "baseline" and expected.share_origin != MEASURED:
        yield f"stable's own share of bad {counts} is not known, and assumed to be {format_value(power.ASSUMED_SHARE, RATIO)}"


def _shown(check: Mapping[str, Any], ratio: float) -> str:
    """A bad ratio in the words of the check's condition."""
    if check["kind"] == "baseline":
        return f"{ratio:.3g} times stable's share of {'slow' if check.get('buckets') else 'bad'} {_noun(check)}"
    if check["kind"] == "quantile":
        return f"{format_value(ratio, RATIO)} slower than {format_limit(Decimal(check['condition']['limit']), SECONDS)}"
    return format_value(1 - ratio if check.get("of") == "good" else ratio, RATIO)


def _likely(estimate: Mapping[str, Any]) -> str:
    share, error = estimate["probability"], estimate["error"]
    if share == 1:
        return f"1 (at least {1 - error:.2f})"
    return f"0 (at most {error:.2f})" if share == 0 else f"{share:.2f} (±{error:.2f})"


def _noun(check: Mapping[str, Any]) -> str:
    return check.get("counts") or ("events" if check["kind"] == "proportion" else "requests")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _WHOLE_FROM else f"{value:.2g}"


def _about(seconds: float) -> str:
    """A time to expect: whole minutes where seconds do not matter."""
    return format_span(seconds if seconds < _WHOLE_MINUTES_FROM else round(seconds / _MINUTE) * _MINUTE)


# The other kinds: how soon they act, and what they cannot see


def _within(gate: Mapping[str, Any], check: Mapping[str, Any]) -> str:
    looks = check["fail_after"]
    row = f"{looks} looks in a row" if looks > 1 else "one look"
    return f"acts after {row}, which is within {format_span(looks * gate['interval_seconds'])}"


def _threshold(gate: Mapping[str, Any], check: Mapping[str, Any]) -> tuple[str, str]:
    if check.get("what"):
        return _within(gate, check), "what is lost between two looks is seen at the later one; an order that is on its way is not seen"
    if not KINDS["threshold"].momentary(check):
        return _within(gate, check), "it tells of the whole window so far, so the longer it lasts, the less a short fault shows"
    between = f"what comes and goes within {format_span(gate['interval_seconds'])}, between two looks, is not seen"
    return _within(gate, check), between


def _alerts(gate: Mapping[str, Any], check: Mapping[str, Any]) -> tuple[str, str]:
    soon = f"{_within(gate, check)} of an alert's arrival in Alertmanager, and counts those that fired between two looks"
    return soon, "a fault that no loaded rule describes, or whose rule waits (`for`) longer than is left of the window, is not seen"


def _api(gate: Mapping[str, Any], check: Mapping[str, Any]) -> tuple[str, str]:
    at_end = f"is judged when the window of {format_duration(gate['window_seconds'])} is over"
    soon = f"{_within(gate, check)}; else it {at_end}" if check.get("fail_after") else f"{at_end}; it stops nothing earlier"
    events = check.get("min_events") if check.get("events") else None
    few = f"with fewer than {events:,} {check.get('counts') or 'events'} it holds; " if events else ""
    return soon, f"{few}one value says nothing about what made it"


def _reconcile(gate: Mapping[str, Any], check: Mapping[str, Any]) -> tuple[str, str]:
    few = f"with fewer than {check['min_events']:,} {check.get('counts') or 'events'} it holds"
    unseen = {
        "pnl": "what is wrong with the reported PnL only between two looks is not seen",
        "limits": "what was beyond a limit only between two looks is not seen, unless the fills tell of it",
        "engines": "an engine that crashed and was restarted between two looks is not seen",
    }.get(check.get("what", ""), "what did not happen in the window (a limit that was never reached, say) is not seen")
    return _within(gate, check), f"{few}; {unseen}"


def _command(gate: Mapping[str, Any], check: Mapping[str, Any]) -> tuple[str, str]:
    unseen = "what the script does not look at while it runs is not seen"
    if check["must_match"] or check["must_not_match"]:
        return _within(gate, check), unseen
    return _within(gate, check), f"{unseen}, and nothing at all if it always exits with {check['rc']}: give must_match or must_not_match"


_ACTS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[str, str]]] = {
    "threshold": _threshold,
    "alerts": _alerts,
    "api": _api,
    "reconcile": _reconcile,
    "command": _command,
}
