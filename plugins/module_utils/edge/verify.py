# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the running Caddy does what the files say.

With stickiness the boundary is seen exactly: the last bucket of green's share and the first of blue's are asked for. Without it
there is no telling a request where to go, so a few hundred are sent and their spread is compared. In both, each slot's own
counter has to have moved by as many as its header claimed, or the answers came from somewhere else.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any, Callable

from .probe import Probe, ProbeError, slot_requests
from .split import BLUE, BUCKETS, GREEN, SLOTS, Split

SAMPLES = 300
# One false alarm in 3.5 million verifications.
DEVIATIONS = 5
PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Seen:
    """What the running Caddy did.

    answers: requests by the slot that answered. counted: by how many each slot's own counter grew meanwhile.
    """

    ok: bool
    text: str
    answers: dict[str, int] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"ok": self.ok, "text": self.text, "answers": dict(self.answers), "counted": dict(self.counted)}


def verify(
    buckets: int,
    site: Probe,
    metrics: Probe,
    *,
    sticky: bool,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Seen:
    """Look until the running Caddy gives green these buckets, or the time is up."""
    deadline = clock() + timeout
    while True:
        try:
            seen = _look(buckets, site, metrics, sticky=sticky)
        except ProbeError as exc:
            seen = Seen(False, str(exc))
        if seen.ok or clock() + PAUSE_SECONDS >= deadline:
            return seen
        sleep(PAUSE_SECONDS)


def see(options: dict[str, Any], split: Split) -> Seen:
    """The same, with edge_split's `verify` for where to ask."""
    common = {"timeout": options["timeout_seconds"], "validate_certs": options["validate_certs"]}
    try:
        site = Probe(options["url"], host=options["host"], **common)
        metrics = Probe(options["metrics_url"], **common)
    except ProbeError as exc:
        return Seen(False, str(exc))
    try:
        return verify(split.buckets, site, metrics, sticky=options["sticky"], timeout=options["timeout_seconds"])
    finally:
        site.close()
        metrics.close()


def _look(buckets: int, site: Probe, metrics: Probe, *, sticky: bool) -> Seen:
    before = slot_requests(metrics.ask().body)
    answers, wrong = (_ask_boundary if sticky else _ask_sample)(buckets, site)
    after = _settled(metrics, before, answers)
    counted = {slot: after[slot] - before[slot] for slot in SLOTS}
    wrong += [
        f"{answers[slot]} answers came from {slot} by their header, and its own counter moved by {counted[slot]}"
        for slot in SLOTS
        if counted[slot] < answers[slot]
    ]
    if wrong:
        return Seen(False, "; ".join(wrong), answers, counted)
    told = " and ".join(f"{answers[slot]} by {slot}" for slot in SLOTS if answers[slot])
    return Seen(True, f"{sum(answers.values())} probes answered, {told}, and counted there", answers, counted)


def _ask_boundary(buckets: int, site: Probe) -> tuple[dict[str, int], list[str]]:
    answers = dict.fromkeys(SLOTS, 0)
    wrong = []
    for bucket in sorted({0, max(buckets - 1, 0), min(buckets, BUCKETS - 1), BUCKETS - 1}):
        expected = GREEN if bucket < buckets else BLUE
        answer = site.ask(bucket)
        if answer.slot in answers:
            answers[answer.slot] += 1
        if answer.slot != expected:
            by = answer.slot or f"no slot (status {answer.status}, without the slot's header)"
            wrong.append(f"bucket {bucket:04x} belongs to {expected} and was answered by {by}")
    return answers, wrong


def _ask_sample(buckets: int, site: Probe) -> tuple[dict[str, int], list[str]]:
    answers = dict.fromkeys(SLOTS, 0)
    for _unused in range(SAMPLES):
        answer = site.ask()
        if answer.slot not in answers:
            return answers, [f"{site.url} answered {answer.status} without the slot's header"]
        answers[answer.slot] += 1
    share = buckets / BUCKETS
    tolerated = DEVIATIONS * math.sqrt(SAMPLES * share * (1 - share))
    if abs(answers[GREEN] - SAMPLES * share) > tolerated:
        return answers, [f"green answered {answers[GREEN]} of {SAMPLES} probes, where {SAMPLES * share:.0f} ± {tolerated:.0f} were due"]
    return answers, []


def _settled(metrics: Probe, before: dict[str, int], answers: dict[str, int]) -> dict[str, int]:
    # Caddy counts a request when it has sent the answer: the counter may be a moment behind what a client has read.
    for _unused in range(20):
        after = slot_requests(metrics.ask().body)
        if all(after[slot] - before[slot] >= answers[slot] for slot in SLOTS):
            break
        time.sleep(PAUSE_SECONDS / 2)
    return after
