# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds of each verdict, whatever is seen: all kinds, on streams whose samples tell of the window so far as a source's do."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.gates.evidence import is_proof
from ansible_collections.levibot.transition.plugins.module_utils.gates.judge import Judge
from ansible_collections.levibot.transition.plugins.module_utils.gates.kinds import KINDS
from ansible_collections.levibot.transition.plugins.module_utils.gates.model import Look, Verdict
from ansible_collections.levibot.transition.plugins.module_utils.samples import OK, Sample, error, no_data

WINDOW, HOLD, BLIND_AFTER = 8, 4, 3
LOOKS = WINDOW + HOLD
fixed = settings(derandomize=True, max_examples=min(60, settings.default.max_examples), deadline=None)


def check(kind: str, op: str, limit: str, **keys: Any) -> dict[str, Any]:
    return {"id": kind, "kind": kind, "mode": "enforce", "condition": {"op": op, "limit": limit, "text": f"{kind} {op} {limit}"}, **keys}


CHECKS = {
    one["id"]: one
    for one in (
        check("proportion", "<", "0.01", of="bad", min_events=50, alpha="0.01", burst=2),
        check("quantile", "<", "0.2", quantile=0.95, min_events=50, alpha="0.01", burst=2),
        check("baseline", "<", "0.2", min_events=20, alpha="0.01"),
        check("threshold", "<", "5", query="load", fail_after=2),
        check("alerts", "==", "0", fail_after=2, accept_silenced=["Planned"]),
        check("api", ">", "0", events="trades", min_events=1, fail_after=5),
        check("reconcile", "==", "0", min_events=1, fail_after=2),
        check("command", "where set", "0", fail_after=2),
    )
}
COUNTED = ("proportion", "quantile", "baseline")
ALERT = {"name": "ApiDown", "labels": {"slot": "green"}, "silenced": False}


def test_all_kinds_are_here() -> None:
    assert set(CHECKS) == set(KINDS)


def gate(*checks: Mapping[str, Any], window: float = WINDOW) -> dict[str, Any]:
    timing = {
        "window_seconds": window,
        "interval_seconds": 1,
        "settle_seconds": 0,
        "hold_seconds": HOLD,
        "blind_after_seconds": BLIND_AFTER,
    }
    return {"id": "phase2.step2", "on_fail": "rollback", **timing, "checks": list(checks)}


@dataclass(frozen=True)
class Seen:
    """What one second brings to all checks: counts, and what the other kinds find; `missing` is in the place of a sample."""

    good: int = 10
    bad: int = 0
    base_good: int = 50
    base_bad: int = 1
    against: frozenset[str] = frozenset()
    missing: Mapping[str, Sample] | None = None


Stream = list[Seen]


def samples(stream: Stream, second: int) -> dict[str, Sample]:
    """All samples of a look, told of the seconds up to it."""
    so_far, now = stream[:second], stream[second - 1]
    bad, base_bad = sum(one.bad for one in so_far), sum(one.base_bad for one in so_far)
    total = bad + sum(one.good for one in so_far)
    base_total = base_bad + sum(one.base_good for one in so_far)

    def pair(at: str, share: int) -> dict[str, Any]:
        return {"at": at, "bad": bad // share, "total": total, "base_bad": base_bad // share, "base_total": base_total}

    speaks = now.against
    found = {
        "proportion": Sample(OK, bad=bad, total=total),
        "quantile": Sample(OK, bad=bad, total=total, value=0.1),
        "baseline": Sample(OK, pairs=(pair("0.1", 1), pair("2.5", 2)), total=total),
        "threshold": Sample(OK, value=9.0 if "threshold" in speaks else 1.0),
        "alerts": Sample(OK, firing=(ALERT,) if "alerts" in speaks else ()),
        "api": Sample(OK, value=-1.0 if "api" in speaks else 1.0, events=second),
        "reconcile": Sample(OK, events=second, problems=("0.1 BTC",) if "reconcile" in speaks else ()),
        "command": Sample(OK, problems=("exit code 1",) if "command" in speaks else ()),
    }
    return {**found, **(now.missing or {})}


def soak(
    checks: list[Mapping[str, Any]],
    stream: Stream,
    at: Callable[[Stream, int], Mapping[str, Sample]] = samples,
    seconds: range = range(1, LOOKS + 1),
) -> tuple[list[Look], Verdict | None]:
    judge, looks = Judge(gate(*checks)), []
    for second in seconds:
        looks.append(judge.look(second, at(stream, second)))
        if looks[-1].final:
            break
    return looks, judge.verdict


def told(looks: list[Look]) -> list[tuple[str, dict[str, str]]]:
    return [(look.verdict, {one.id: one.state for one in look.checks}) for look in looks]


KINDS_OTHER = sorted(set(CHECKS) - set(COUNTED))
# The last is a candidate that is scraped all the time and gets no traffic.
NOTHING = st.sampled_from([error("refused"), no_data("no series"), no_data("no events", coverage_ratio=1.0)])
MISSING = st.dictionaries(st.sampled_from(sorted(CHECKS)), NOTHING, max_size=2)
COUNTS = {
    "good": st.sampled_from([0, 5, 20, 100, 1000]),
    "bad": st.sampled_from([0, 0, 0, 0, 1, 2, 10]),
    "base_good": st.sampled_from([0, 20, 100, 1000]),
    "base_bad": st.sampled_from([0, 1, 5]),
}
# Most streams are fine most of the time, or nothing but early fails would be tried.
SECONDS = st.builds(Seen, **COUNTS, against=st.just(frozenset()) | st.frozensets(st.sampled_from(KINDS_OTHER), max_size=1))
SECONDS_WITH_GAPS = st.builds(replace, SECONDS, missing=st.just({}) | MISSING)


def streams(seconds: st.SearchStrategy[Seen]) -> st.SearchStrategy[Stream]:
    return st.lists(seconds, min_size=LOOKS, max_size=LOOKS)


SOME_CHECKS = st.lists(st.sampled_from(sorted(CHECKS)), min_size=1, unique=True).map(lambda names: [CHECKS[name] for name in names])


@fixed
@given(SOME_CHECKS, streams(SECONDS_WITH_GAPS), st.randoms(use_true_random=False))
def test_the_order_of_checks_changes_nothing(checks: list[dict[str, Any]], stream: Stream, chance: random.Random) -> None:
    looks, verdict = soak(checks, stream)
    again, other = soak(chance.sample(checks, len(checks)), stream)
    assert told(looks) == told(again)
    assert verdict is None or (verdict.verdict, set(verdict.deciding)) == (other.verdict, set(other.deciding))


@fixed
@given(streams(SECONDS_WITH_GAPS), st.randoms(use_true_random=False))
def test_the_order_within_a_look_changes_nothing(stream: Stream, chance: random.Random) -> None:
    """Of the samples, and of what is in them: pairs, alerts, problems."""
    more = (ALERT, {**ALERT, "name": "Planned", "silenced": True}, {**ALERT, "name": "Slow"})

    def shuffled(stream: Stream, second: int) -> dict[str, Sample]:
        found = samples(stream, second)
        if found["alerts"].firing:
            found["alerts"] = replace(found["alerts"], firing=tuple(chance.sample(more, len(more))))
        found["baseline"] = replace(found["baseline"], pairs=tuple(reversed(found["baseline"].pairs)))
        return dict(chance.sample(list(found.items()), len(found)))

    assert told(soak(list(CHECKS.values()), stream)[0]) == told(soak(list(CHECKS.values()), stream, shuffled)[0])


@fixed
@given(SOME_CHECKS, streams(SECONDS_WITH_GAPS))
def test_a_pass_is_the_whole_window_kept_and_seen(checks: list[dict[str, Any]], stream: Stream) -> None:
    looks, verdict = soak(checks, stream)
    last = len(looks)
    if verdict and verdict.safe:
        assert last >= WINDOW
        assert {samples(stream, last)[one["id"]].status for one in checks} == {OK}
        assert not {one["id"] for one in checks} & stream[last - 1].against
    else:
        assert any(one.state != "pass" for one in looks[-1].checks)


@fixed
@given(SOME_CHECKS, streams(SECONDS_WITH_GAPS), st.lists(st.sampled_from(sorted(CHECKS)), unique=True))
def test_what_only_observes_decides_nothing(checks: list[dict[str, Any]], stream: Stream, observed: list[str]) -> None:
    watching = [{**CHECKS[name], "id": f"seen {name}", "mode": "observe"} for name in observed]

    def at(stream: Stream, second: int) -> dict[str, Sample]:
        found = samples(stream, second)
        return {**found, **{f"seen {name}": sample for name, sample in found.items()}}

    looks, verdict = soak(checks, stream)
    again, other = soak([*checks, *watching], stream, at)
    assert [look.verdict for look in looks] == [look.verdict for look in again]
    assert verdict is None or (verdict.verdict, verdict.deciding, verdict.breach) == (other.verdict, other.deciding, other.breach)


@fixed
@given(SOME_CHECKS, streams(SECONDS), st.integers(1, LOOKS - 1))
def test_a_soak_that_goes_on_elsewhere_ends_as_if_it_had_not(checks: list[dict[str, Any]], stream: Stream, until: int) -> None:
    whole, _verdict = soak(checks, stream)
    assume(len(whole) > until)
    first = Judge(gate(*checks))
    looks = [first.look(second, samples(stream, second)) for second in range(1, until + 1)]
    second = Judge(gate(*checks), json.loads(json.dumps(first.state, allow_nan=False)))
    looks += [second.look(at, samples(stream, at)) for at in range(until + 1, len(whole) + 1)]
    assert told(looks) == told(whole)


class TestMoreAgainst:
    """More evidence against never turns a fail into a pass."""

    @staticmethod
    def ends(checks: list[dict[str, Any]], stream: Stream) -> bool:
        return bool((verdict := soak(checks, stream)[1]) and verdict.safe)

    @settings(fixed, max_examples=150)
    @given(SOME_CHECKS, streams(SECONDS_WITH_GAPS), st.integers(0, LOOKS - 1), st.integers(1, 100))
    def test_events_that_turn_bad(self, checks: list[dict[str, Any]], stream: Stream, second: int, number: int) -> None:
        turned = min(number, stream[second].good)
        worse = [*stream]
        worse[second] = replace(stream[second], good=stream[second].good - turned, bad=stream[second].bad + turned)
        assert self.ends(checks, stream) or not self.ends(checks, worse)

    @settings(fixed, max_examples=150)
    @given(SOME_CHECKS, streams(SECONDS_WITH_GAPS), st.integers(0, LOOKS - 1), st.sampled_from(KINDS_OTHER))
    def test_looks_that_turn_bad(self, checks: list[dict[str, Any]], stream: Stream, second: int, kind: str) -> None:
        worse = [*stream]
        worse[second] = replace(stream[second], against=stream[second].against | {kind})
        assert self.ends(checks, stream) or not self.ends(checks, worse)

    @fixed
    @given(streams(SECONDS), st.sampled_from(["proportion", "quantile"]), st.integers(0, LOOKS - 1), st.integers(1, 100))
    def test_bad_events_on_top(self, stream: Stream, kind: str, second: int, number: int) -> None:
        """Where it failed for what was seen: a starved gate may have enough events with them, and then keep its limit."""
        _looks, verdict = soak([CHECKS[kind]], stream)
        assume(verdict and verdict.breach)
        worse = [*stream]
        worse[second] = replace(stream[second], bad=stream[second].bad + number)
        assert not self.ends([CHECKS[kind]], worse)

    @pytest.mark.parametrize("bad", range(10, 17))
    def test_one_burst_never_hides_another(self, bad: int) -> None:
        """Two bursts, each too little alone: whichever is the worse, one more bad event in it must not be what lets the gate pass."""
        one = {**CHECKS["proportion"], "condition": {"op": "<", "limit": "0.001", "text": "proportion < 0.1%"}, "burst": 1}

        def passes(bad: int) -> bool:
            counts = {1: (22, 10_000), 2: (0, 10), 3: (0, 10), 4: (bad, 100)}
            judge, seen = Judge(gate(one, window=100)), [0, 0]
            for second in range(1, 101):
                more = counts.get(second, (0, 10_000))
                seen = [seen[0] + more[0], seen[1] + more[1]]
                if judge.look(second, {"proportion": Sample(OK, bad=seen[0], total=seen[1])}).final:
                    break
            return bool(judge.verdict and judge.verdict.safe)

        assert passes(bad) or not passes(bad + 1)


class TestExtraLooks:
    """How often somebody looks decides nothing but how early a fail is found, and, at a rate of alpha at most, that it is."""

    @fixed
    @given(st.sampled_from(COUNTED), streams(SECONDS), st.sets(st.integers(1, WINDOW - 1)))
    def test_looks_before_the_end_never_rescue(self, kind: str, stream: Stream, chosen: set[int]) -> None:
        """What the window as a whole does not allow fails or holds, whatever was looked at on the way."""
        judge = Judge(gate(CHECKS[kind]))
        alone = judge.look(WINDOW, samples(stream, WINDOW))
        judge = Judge(gate(CHECKS[kind]))
        for second in sorted({*chosen, WINDOW}):
            look = judge.look(second, samples(stream, second))
            if look.final:
                break
        order = ("fail", "hold", "pass")
        assert order.index(look.verdict) <= order.index(alone.verdict)

    @fixed
    @given(SOME_CHECKS, streams(SECONDS_WITH_GAPS), st.integers(1, LOOKS), st.integers(2, 5))
    def test_the_same_look_again_and_again(self, checks: list[dict[str, Any]], stream: Stream, repeated: int, times: int) -> None:
        """Where no looks are counted; a plan that counts looks with `fail_after` asks for just that."""
        uncounted = [{**one, "fail_after": 1} if one.get("fail_after") else one for one in checks]
        once, _verdict = soak(uncounted, stream)
        judge, looks = Judge(gate(*uncounted)), []
        for second in range(1, len(once) + 1):
            for _time in range(times if second == repeated else 1):
                looks.append(judge.look(second, samples(stream, second)))
                if looks[-1].final:
                    break
        assert looks[-1].verdict == once[-1].verdict
        assert looks[-1].at_seconds == once[-1].at_seconds

    @pytest.mark.parametrize("alpha", [0.2, 0.05, 0.01])
    @pytest.mark.parametrize(("p0", "events"), [(0.01, 300), (0.05, 300), (0.5, 200)])
    def test_a_look_after_each_event_alarms_at_a_rate_of_alpha_at_most(self, p0: float, events: int, alpha: float) -> None:
        """Exactly, by following the chance of each count of bad events that was never called proof; at the very limit."""
        quiet, alarmed = {0: 1.0}, 0.0
        for total in range(1, events + 1):
            after: dict[int, float] = {}
            for bad, chance in quiet.items():
                after[bad] = after.get(bad, 0.0) + chance * (1 - p0)
                after[bad + 1] = after.get(bad + 1, 0.0) + chance * p0
            proofs = {bad for bad in after if is_proof(bad, total, p0, alpha)}
            alarmed += sum(after[bad] for bad in proofs)
            quiet = {bad: chance for bad, chance in after.items() if bad not in proofs and chance > 1e-12}
        assert 0 < alarmed <= alpha
