# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site's variables: what can be known to be wrong without asking anybody."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.levibot.transition.plugins.module_utils.plan.fields import amount, integer, text, words
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report, did_you_mean
from ansible_collections.levibot.transition.plugins.module_utils.plan.quantities import MistakeError

COLOURS = ("blue", "green")
# Variables that name a slot, in whatever role: levibot_candidate, rollout_stable, environment_slot ...
_COLOUR_NAMES = re.compile(r"\w+_(candidate|stable|slot)")
HIGHEST_PORT = 65535
HIGHEST_FEE_RATIO = Decimal("0.1")
PREFIXES = (
    "levibot_",
    "edge_",
    "rollout_",
    "environment_",
    "gate_",
    "preflight_",
    "decommission_",
    "report_",
    "validate_plan_",
    "replay_",
    "status_",
    "rollback_",
    "notify_",
    "kill_",
    "approve_",
    "release_",
    "validation_",
    "proposals_",
    "deadman_",
    "engines_",
)


def read_site(site: Mapping[str, Any], report: Report) -> None:
    """Reports each mistake in the site's variables, by the variable's name."""
    for name, parse in _PLAIN.items():
        if name in site or name in _REQUIRED:
            report.read(name, site.get(name), parse)
    for name, read in _SECRETS.items():
        if name in site:
            read(site[name], report)
    if "levibot_registry_password" in site:
        _read_login(site.get("levibot_registry_username"), site["levibot_registry_password"], report)
    services = _read_services(site.get("levibot_services"), report)
    _read_slots(site.get("levibot_slots"), services, report)
    for name, value in site.items():
        if is_colour(name) and value not in COLOURS:
            report.add(name, value, "write blue or green: there are no other slots")
    # None also where it is made of slots that are wrong, and reported already.
    if site.get("levibot_api_urls") is not None:
        urls = report.mapping("levibot_api_urls", site["levibot_api_urls"])
        for slot, url in urls.items():
            report.read(f"levibot_api_urls.{slot}", url, _url)
        report.unknown(lambda slot: f"levibot_api_urls.{slot}", urls, COLOURS)
    for name in ("levibot_environment", "levibot_compose_environment"):
        _read_environment(name, site.get(name, {}), report)


def is_colour(name: str) -> bool:
    """Whether a variable of ours names a slot."""
    return name.startswith(PREFIXES) and _COLOUR_NAMES.fullmatch(name) is not None


def unknown_variables(names: Iterable[str], known: Iterable[str], report: Report, where: str = "") -> None:
    """Variables that carry one of the collection's prefixes, and which no role has: almost always a typing mistake."""
    known = set(known)
    for name in sorted(set(names)):
        if name.startswith(PREFIXES) and name not in known:
            near = did_you_mean(name, (other for other in known if not other.startswith("_")))
            report.add(
                name,
                f"a variable that no role has{where}",
                near if near.startswith("did") else "remove it, or name it without the collection's prefix",
            )


def _matching(pattern: str, fix: str):
    def parse(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise MistakeError(fix)
        return value

    return parse


def _url(value: Any) -> str:
    fix = "write a URL such as http://127.0.0.1:9090"
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and _host(parts.hostname or "") and parts.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"\s", value):
        raise MistakeError(fix)
    if parts.query or parts.fragment:
        raise MistakeError("write the URL without ? and #")
    return value


def _host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?", host) is not None
    return True


def _observe_from(value: Any) -> str:
    if value not in ("controller", "target"):
        raise MistakeError("write controller or target")
    return value


def _audit_logs(value: Any) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one.startswith("/") for one in value):
        raise MistakeError("write a list of absolute patterns, such as [/var/lib/levibot/slots/$slot/data/audit.jsonl*]")
    return value


def positive_seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if isinstance(value, bool) or not 0 < seconds < float("inf"):
        raise MistakeError("write a number of seconds greater than zero, such as 2")
    return seconds


def _fee_ratio(value: Any) -> Decimal:
    ratio = amount(value)
    if ratio > HIGHEST_FEE_RATIO:
        raise MistakeError("write a share of at most 0.1, such as 0.001 for 0.1 %")
    return ratio


_PLAIN = {
    "levibot_home": _matching(r"/[^\s]*[^\s/]", "write an absolute path, such as /var/lib/levibot"),
    "levibot_ledger_path": _matching(r"/[^\s]*[^\s/]", "write an absolute path, such as /var/lib/levibot/ledger.db"),
    "levibot_project": _matching(
        r"[a-z0-9][a-z0-9_-]*", "write a Compose project name: lower-case letters, digits, - and _, a letter or digit first"
    ),
    "levibot_version": _matching(
        r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}",
        "write the candidate's tag as in the registry, such as v1.8.0-beta (letters, digits, _ . and -)",
    ),
    "levibot_compose_file": text,
    "levibot_api_prefix": _matching(r"(/[^\s?#]*[^\s?#/])?", "write a path without a slash at its end, such as /api, or nothing"),
    "levibot_prometheus_url": _url,
    "levibot_alertmanager_url": _url,
    "levibot_fee_ratio": _fee_ratio,
    "levibot_observe_from": _observe_from,
    "levibot_lock_stale_seconds": positive_seconds,
    "levibot_audit_logs": _audit_logs,
    "levibot_audit_ignore": words,
    "levibot_max_clock_skew_seconds": positive_seconds,
    "deadman_silence_at_least_seconds": positive_seconds,
}
_REQUIRED = ("levibot_version", "levibot_compose_file")


def _read_token(token: Any, report: Report) -> None:
    name = "levibot_admin_token"
    if token is None or token == "":
        report.add(name, None, "give the admin token of LeviBot's API, from a vault")
    elif not isinstance(token, str):
        report.add(name, "a value that is not a text", "quote it")
    elif not token.strip():
        report.add(name, "only white space", "give the admin token of LeviBot's API, from a vault")
    elif re.search(r"\s|[^\x21-\x7e]", token):
        report.add(
            name, "a token with white space or control characters in it (its value is not shown)", "give the bare token, without a line end"
        )


def _read_login(username: Any, password: Any, report: Report) -> None:
    """The password is never shown."""
    for name, value in (("levibot_registry_username", username), ("levibot_registry_password", password)):
        if value is not None and not isinstance(value, str):
            report.add(name, "a value that is not a text", "quote it")
    if bool(username) != bool(password):
        lacks = "levibot_registry_password" if username else "levibot_registry_username"
        report.add(lacks, None, "give both, or neither where the hosts' own Docker configuration has the login")


def _read_tokens(tokens: Any, report: Report) -> None:
    """Values are never shown."""
    name = "levibot_evidence_tokens"
    if not isinstance(tokens, Mapping):
        report.add(name, "no mapping", "write a mapping of names, such as {pagerduty: ...}, from a vault")
        return
    for key, value in tokens.items():
        if not isinstance(value, str) or re.search(r"\s|[^\x21-\x7e]", value):
            report.add(f"{name}.{key}", "a value that no token can have (it is not shown)", "give the bare token, without a line end")


def _read_headers(headers: Any, report: Report) -> None:
    """Values are never shown."""
    name = "levibot_api_headers"
    if not isinstance(headers, Mapping):
        report.add(name, "no mapping", "write a mapping of header names, such as {X-Admin-Key: ...}")
        return
    for key, value in headers.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", str(key)):
            report.add(f"{name}.{key}", "a name that no header can have", "write letters, digits and -")
        if isinstance(value, (Mapping, list)) or re.search(r"[\r\n]", str(value)):
            report.add(f"{name}.{key}", "a value that no header can have (it is not shown)", "write one line of text")


# What each kind of notification must have, and what it may.
NOTIFICATIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "slack": (("token",), ("channel",)),
    "mail": (("to",), ("from", "host", "port", "username", "password", "secure")),
    "webhook": (("url",), ("headers",)),
    "pagerduty": (("integration_key",), ()),
}


def _read_notifications(notifications: Any, report: Report) -> None:
    """Values are never shown, since most of them are secrets."""
    name = "levibot_notifications"
    if not isinstance(notifications, list):
        report.add(name, "no list", "write a list, such as [{kind: mail, to: oncall@example.com}]")
        return
    for index, entry in enumerate(notifications):
        path = f"{name}[{index}]"
        kind = entry.get("kind") if isinstance(entry, Mapping) else None
        if kind not in NOTIFICATIONS:
            report.add(f"{path}.kind", kind, f"write one of {', '.join(NOTIFICATIONS)}")
            continue
        needed, more = NOTIFICATIONS[kind]
        for key in needed:
            if not entry.get(key):
                report.add(f"{path}.{key}", None, f"{kind} needs it")
        report.unknown(lambda key, path=path: f"{path}.{key}", entry, ("kind", *needed, *more))


_SECRETS = {
    "levibot_admin_token": _read_token,
    "levibot_api_headers": _read_headers,
    "levibot_notifications": _read_notifications,
    "levibot_evidence_tokens": _read_tokens,
}


def _read_environment(name: str, environment: Any, report: Report) -> None:
    """Values are never shown: proxies carry passwords, and Compose files want tokens."""
    if not isinstance(environment, Mapping):
        report.add(name, "no mapping", "write a mapping of environment variables, such as {NAME: value}")
        return
    for key, value in environment.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(key)):
            report.add(f"{name}.{key}", "a name that no environment variable can have", "write letters, digits and _")
        if isinstance(value, (Mapping, list)):
            report.add(f"{name}.{key}", "a list or mapping", "write a text or a number")


def _read_services(services: Any, report: Report) -> list[str]:
    if not isinstance(services, Mapping) or not services:
        report.add(
            "levibot_services", services, "name at least one service, such as api: {image: levibot/api, port: 8000, health: /health}"
        )
        return []
    for name, written in services.items():
        path = f"levibot_services.{name}"
        if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._-]*", str(name)):
            report.add(path, name, "name a service as the Compose file does: letters, digits, . _ and -")
        service = report.mapping(path, written, "write {image: levibot/api, port: 8000, health: /health}")
        if not isinstance(written, Mapping):
            continue
        report.unknown(lambda key, path=path: f"{path}.{key}", service, ("image", "port", "health", "data"))
        report.read(f"{path}.image", service.get("image"), _image)
        report.read(f"{path}.port", service.get("port"), _port)
        for key, example in (("health", "/health"), ("data", "/app/data")):
            if key in service:
                report.read(f"{path}.{key}", service[key], _matching(r"/\S*", f"write a path that starts with /, such as {example}"))
    return [str(name) for name in services]


def _image(value: Any) -> str:
    fix = "write an image repository, such as levibot/api or registry.example.com:5000/levibot/api"
    if not isinstance(value, str) or not value:
        raise MistakeError(fix)
    if "@" in value or ":" in value.rsplit("/", 1)[-1]:
        raise MistakeError("write the image without a tag or digest: the tag is levibot_version")
    if not re.fullmatch(r"([A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*", value):
        raise MistakeError(fix)
    return value


def _port(value: Any) -> int:
    return integer(value, 1, HIGHEST_PORT, f"write a port from 1 to {HIGHEST_PORT}")


def _read_slots(slots: Any, services: list[str], report: Report) -> None:
    if not isinstance(slots, Mapping):
        report.add("levibot_slots", slots, "write the slots blue and green, each with listen and ports")
        return
    for colour in slots:
        if colour not in COLOURS:
            report.add(f"levibot_slots.{colour}", "a colour that does not exist", "the slots are blue and green")
    taken: dict[int, str] = {}
    for colour in COLOURS:
        path = f"levibot_slots.{colour}"
        if colour not in slots:
            report.add(path, None, "write listen and ports of this slot, too")
            continue
        slot = report.mapping(path, slots[colour], "write {listen: 19111, ports: {api: 18001}}")
        report.unknown(lambda key, path=path: f"{path}.{key}", slot, ("listen", "ports"))
        ports = report.mapping(f"{path}.ports", slot.get("ports"), "write a loopback port for each service, such as {api: 18001}")
        if services:
            report.unknown(lambda key, path=path: f"{path}.ports.{key}", ports, services)
        wanted = [(f"{path}.listen", slot.get("listen")), *((f"{path}.ports.{name}", ports.get(name)) for name in services)]
        for where, value in wanted:
            port = report.read(where, value, _port)
            if port is not None and port in taken:
                report.add(where, value, f"write another port: {taken[port]} has it")
            elif port is not None:
                taken[port] = where
