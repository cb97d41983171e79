# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts: what fires now (Alertmanager), what fired in the window (Prometheus), and whether quiet means anything.

No alert is only good news where an alert could have been there. So quiet is proven: the always-firing watchdog reaches Alertmanager,
the rules that the check names are loaded, and they are evaluated without an error.

A silenced or inhibited alert still fires; it is reported with ``silenced`` set, and the gate decides. An alert that carries the slot
label of the stable slot is not the candidate's; one without that label is everybody's.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.http import Client, HttpError
from ansible_collections.levibot.transition.plugins.module_utils.samples import NO_DATA, OK, Sample
from ansible_collections.levibot.transition.plugins.module_utils.sources.prometheus import Prometheus, coverage
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import UnusableError, Window

WATCHDOG = "Watchdog"
SHOWN_ALERTS = 50
OLD_INTERVALS = 3
OLD_SECONDS = 60.0
OWN_LABELS = ("alertname", "alertstate")


class Alertmanager:
    """The HTTP API (v2) of one Alertmanager."""

    def __init__(self, url: str, client: Client) -> None:
        self._url = url.rstrip("/")
        self._client = client

    def alerts(self, deadline: float | None = None) -> list[dict[str, Any]]:
        """All alerts that it holds for firing, whatever silences or inhibits them."""
        asked = {"active": "true", "silenced": "true", "inhibited": "true", "unprocessed": "true"}
        return self._list("alerts", asked, deadline)

    def silences(self, deadline: float | None = None) -> list[dict[str, Any]]:
        return [silence for silence in self._list("silences", {}, deadline) if silence["status"]["state"] == "active"]

    def _list(self, what: str, asked: dict[str, str], deadline: float | None) -> list[dict[str, Any]]:
        answer = self._client.get_json(f"{self._url}/api/v2/{what}", asked, deadline=deadline)
        if not isinstance(answer, list):
            raise UnusableError(f"{self._url}/api/v2/{what} does not answer like Alertmanager; check the URL")
        return answer


def measure(check: dict[str, Any], window: Window, alertmanager: Alertmanager, prometheus: Prometheus | None) -> Sample:
    """One check's sample. What fires counts even where a part of the proof of quiet cannot be had."""
    matchers = {label: re.compile(str(pattern)) for label, pattern in window.expand(check.get("matchers") or {}).items()}
    slot_label = check.get("slot_label", "slot")
    watchdog = check.get("watchdog", WATCHDOG)

    def concerns(labels: dict[str, str]) -> bool:
        other = labels.get(slot_label) == window.stable != window.slot
        return (
            not other and labels.get("alertname") != watchdog and all(p.fullmatch(labels.get(label, "")) for label, p in matchers.items())
        )

    firing: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    problems: list[str] = []
    failures: list[Exception] = []
    covered = 1.0
    try:
        held = window.once("alerts", lambda: alertmanager.alerts(window.deadline))
        _add(firing, ((alert["labels"], _is_silenced(alert)) for alert in held if concerns(alert["labels"])))
        if watchdog and not any(alert["labels"].get("alertname") == watchdog for alert in held):
            problems.append(f"the watchdog alert {watchdog} is not in Alertmanager, so alerts do not reach it")
    except (HttpError, UnusableError) as problem:
        failures.append(problem)
    try:
        if prometheus is None:
            problems.append("no Prometheus is named that could tell which rules are loaded")
        else:
            _add(firing, _fired(window, alertmanager, prometheus, concerns))
            problems += rules_missing(window.expand(check.get("rules")), matchers, _rules(window, prometheus), window.at)
            covered = coverage(prometheus, f'ALERTS{{alertname="{watchdog}",alertstate="firing"}}', window) if watchdog else 1.0
    except (HttpError, UnusableError) as problem:
        failures.append(problem)
    if not firing and failures:
        raise failures[0]
    shown = tuple(sorted(firing.values(), key=lambda alert: str(alert["labels"]))[:SHOWN_ALERTS])
    problems += [str(problem) for problem in failures]
    if not firing and problems:
        return Sample(
            status=NO_DATA, detail="quiet is not proven: " + "; ".join(problems), coverage_ratio=covered, problems=tuple(problems)
        )
    return Sample(status=OK, value=float(len(firing)), coverage_ratio=covered, firing=shown, problems=tuple(problems))


def _add(firing: dict[tuple[tuple[str, str], ...], dict[str, Any]], found: Any) -> None:
    for labels, silenced in found:
        own = {key: value for key, value in labels.items() if key != "alertname"}
        firing.setdefault(tuple(sorted(labels.items())), {"name": labels.get("alertname", ""), "labels": own, "silenced": silenced})


def _is_silenced(alert: dict[str, Any]) -> bool:
    return bool(alert.get("status", {}).get("silencedBy"))


def _fired(window: Window, alertmanager: Alertmanager, prometheus: Prometheus, concerns: Any) -> list[tuple[dict[str, str], bool]]:
    """Alerts that fired in the window, also those that are over."""
    query = f'count_over_time(ALERTS{{alertstate="firing"}}[{window.milliseconds}ms])'
    found = [dict(labels) for labels in window.once(query, lambda: prometheus.instant(query, window.at, window.deadline))]
    alerts = [{key: value for key, value in labels.items() if key != "alertstate"} for labels in found]
    alerts = [labels for labels in alerts if concerns(labels)]
    silences = alertmanager.silences(window.deadline) if alerts else []
    return [(labels, any(silence_matches(silence, labels) for silence in silences)) for labels in alerts]


def _rules(window: Window, prometheus: Prometheus) -> list[dict[str, Any]]:
    return window.once("rules", lambda: prometheus.rules(window.deadline))


def silence_matches(silence: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether all of a silence's matchers hold for an alert's labels."""
    for matcher in silence["matchers"]:
        value = labels.get(matcher["name"], "")
        same = bool(re.fullmatch(matcher["value"], value)) if matcher["isRegex"] else value == matcher["value"]
        if same != matcher.get("isEqual", True):
            return False
    return True


def rules_missing(wanted: Any, matchers: dict[str, re.Pattern[str]], loaded: list[dict[str, Any]], at: float) -> list[str]:
    """Why the wanted rules cannot be relied on: names that are not loaded, no rule with the wanted labels, or rules that are not evaluated.

    wanted: a list of names, or labels (as anchored regular expressions) that at least one rule must have along with those of the matchers.
    """
    if not wanted:
        return []
    if isinstance(wanted, dict):
        patterns = {**{label: re.compile(str(value)) for label, value in wanted.items()}, **matchers}
        chosen = [rule for rule in loaded if all(p.fullmatch(_rule_label(rule, label)) for label, p in patterns.items())]
        if not chosen:
            shown = ", ".join(f'{label}=~"{pattern.pattern}"' for label, pattern in patterns.items())
            return [f"Prometheus has loaded no alerting rule with {shown}"]
        missing = []
    else:
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        chosen = [rule for rule in loaded if rule["name"] in names]
        missing = [f"Prometheus has not loaded the alerting rule {name}" for name in names if name not in {rule["name"] for rule in chosen}]
    return missing + [text for rule in chosen for text in _unwell(rule, at)]


def _rule_label(rule: dict[str, Any], label: str) -> str:
    return rule["name"] if label == "alertname" else rule.get("labels", {}).get(label, "")


def _unwell(rule: dict[str, Any], at: float) -> list[str]:
    if rule.get("health") == "err":
        return [f"the rule {rule['name']} cannot be evaluated: {rule.get('lastError', '')}"]
    evaluated = _epoch(rule.get("lastEvaluation", ""))
    if evaluated is None:
        return [f"the rule {rule['name']} was not evaluated yet"]
    oldest = max(OLD_SECONDS, OLD_INTERVALS * float(rule.get("interval") or 0))
    return [f"the rule {rule['name']} was last evaluated {at - evaluated:.0f} s ago"] if at - evaluated > oldest else []


def _epoch(text: str) -> float | None:
    """RFC 3339 with up to nine decimals, which Python before 3.11 does not read. Go's zero time means never."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)", text)
    if not match or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(match.group(1) + match.group(2).replace("Z", "+00:00")).timestamp()
