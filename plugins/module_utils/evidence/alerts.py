# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts that fired in the period, from Prometheus' own ALERTS series. That there were none is proven, or it is not believed."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.evidence.asked import share
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case, Finding, Kind, RefusedError
from ansible_collections.levibot.transition.plugins.module_utils.evidence.moments import iso
from ansible_collections.levibot.transition.plugins.module_utils.evidence.observed import period
from ansible_collections.levibot.transition.plugins.module_utils.http import Client, HttpError, redact
from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import REQUIRED, Field, some_labels, text
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import RATIO, format_limit
from ansible_collections.levibot.transition.plugins.module_utils.sources.alertmanager import WATCHDOG, rules_missing
from ansible_collections.levibot.transition.plugins.module_utils.sources.prometheus import Prometheus, coverage
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import UnusableError, Window

SHOWN = 5
HIDDEN = ("alertname", "alertstate", "__name__")


def look(given: Mapping[str, Any], case: Case, finding: Finding) -> None:
    url = given.get("url") or case.prometheus_url
    finding.source, finding.at = f"Prometheus ({redact(url)})", case.now
    if not url:
        raise RefusedError("no address of Prometheus is given", "set levibot_prometheus_url")
    begins, ends = period(case)
    window = Window(begins, ends, "", "", deadline=time.monotonic() + case.timeout_seconds)
    matchers = {label: re.compile(pattern) for label, pattern in given["matchers"].items()}
    words = " and ".join(f"{label} {pattern.pattern}" for label, pattern in matchers.items())
    finding.wanted.append(f"no alert with {words} since {iso(begins)}, and rules that could have fired")
    prometheus = Prometheus(url, Client(timeout=case.timeout_seconds))
    try:
        fired = prometheus.instant(f'count_over_time(ALERTS{{alertstate="firing"}}[{window.milliseconds}ms])', window.at, window.deadline)
        loaded = prometheus.rules(window.deadline)
        watched = coverage(prometheus, f'ALERTS{{alertname="{given["watchdog"]}",alertstate="firing"}}', window)
    except (HttpError, UnusableError) as exc:
        raise RefusedError(str(exc), "see that Prometheus answers") from None
    of_this_kind = [dict(labels) for labels in fired if all(p.fullmatch(dict(labels).get(name, "")) for name, p in matchers.items())]
    for alert in sorted(of_this_kind, key=str)[:SHOWN]:
        labels = ", ".join(f"{name}={value}" for name, value in sorted(alert.items()) if name not in HIDDEN)
        finding.wrong(f"{alert.get('alertname')} has fired ({labels})", "find out what happened; an alert that is over has happened, too")
    if len(of_this_kind) > SHOWN:
        finding.wrong(f"and {len(of_this_kind) - SHOWN} more")
    fix = f"load rules with {words}, such as those of docs/phase4.md, and the watchdog"
    for problem in rules_missing(dict(given["matchers"]), matchers, loaded, case.now):
        finding.wrong(f"quiet is not proven: {problem}", fix)
    # A watchdog without any series covers nothing at all.
    seen = any(dict(labels).get("alertname") == given["watchdog"] for labels in fired)
    covered = round(Decimal(str(watched)), 3) if seen else Decimal(0)
    least = Decimal(given["min_coverage"])
    finding.wanted.append(f"the watchdog {given['watchdog']} for {format_limit(least, RATIO)} of the period")
    if covered < least:
        share_of = format_limit(covered, RATIO)
        finding.wrong(f"quiet is not proven: the watchdog {given['watchdog']} fired for {share_of} of the period only", fix)
    if not finding.problems:
        finding.found.append("none of them fired, and their rules are loaded and well")


ALERTS = Kind(
    look,
    fields={
        "matchers": Field(some_labels, REQUIRED),
        "watchdog": Field(text, WATCHDOG),
        "min_coverage": Field(share, "0.9"),
        "url": Field(text),
    },
)
