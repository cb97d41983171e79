# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a server has every call that the phases need, and whether it takes the admin token: asked without changing anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.http import Client, HttpError
from ansible_collections.levibot.transition.plugins.module_utils.levibot import forms

# Of a group one call is enough.
NEEDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "rollback": (("kill",), ("kill_state",), ("release",), ("engines",), ("stop_engines", "stop_engine"), ("health",)),
    "model rollback": (("models",),),
    "phase 3": (
        ("start_live",),
        ("start_paper",),
        ("engines",),
        ("live_fills", "live_closed"),
        ("live_positions",),
        ("live_portfolio",),
        ("risk",),
    ),
}
# What a plan may need, by what it says: told where it is offered, and missing only for whoever knows the plan.
BY_PLAN = ("stop_closing",)
REFUSED = (401, 403)
NOBODY = "levibot-preflight"  # no engine has this name, so that stopping it changes nothing


@dataclass
class Survey:
    """forms: the form of each call that is offered, in words. missing: a sentence for each call that no form satisfies.

    token: whether it was accepted; None where nothing that is safe to ask wants one. how: what was asked.
    """

    documented: bool = False
    forms: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    token: bool | None = None
    how: str = ""
    problem: str = ""


def missing(document: Any, overrides: Mapping[str, forms.Form], prefix: str | None) -> tuple[dict[str, str], list[str]]:
    """The forms that serve by the server's document, and what no form satisfies. Pure."""
    serving: dict[str, str] = {}
    lacking = []
    for call in (*(call for groups in NEEDS.values() for group in groups for call in group), *BY_PLAN):
        for form, at in forms.choices(call, document, overrides, prefix)[:1]:
            serving[call] = form.text.replace(form.path, at + form.path, 1)
    for phase, groups in NEEDS.items():
        for group in groups:
            # A server that hides what it offers may have a book all the same; Phase 3 reads it before it begins.
            hidden = document is None and set(group) <= set(forms.ONLY_OFFERED)
            if not hidden and not any(call in serving for call in group):
                taken = [text for call in group for text in forms.taken(call, document)]
                wanted = " or ".join(form.text for form in forms.CALLS[group[0]][:1])
                offer = "; ".join(taken) if taken else "this server has no such path"
                lacking.append(f"{phase} needs {' or '.join(group)}, such as {wanted}: {offer}")
    return serving, lacking


def survey(
    url: str,
    asks: Iterable[str],
    clients: tuple[Client, Client],
    overrides: Mapping[str, forms.Form],
    prefix: str | None,
) -> Survey:
    """Ask one server. asks: paths that the plan's checks read. clients: one with the token, one with a token that is wrong."""
    url, right = url.rstrip("/"), clients[0]
    found = Survey()
    try:
        document = _document(url, right, prefix)
    except HttpError as problem:
        found.problem = str(problem)
        return found
    found.documented = document is not None
    found.forms, found.missing = missing(document, overrides, prefix)
    for path in asks:
        if problem := _unread(url, path, right, prefix):
            found.missing.append(f"a gate reads {path}: {problem}")
    found.token, found.how = _token(url, clients, document, overrides, prefix)
    return found


def _document(url: str, client: Client, prefix: str | None) -> Any:
    """None where it is closed. Raises where nobody answers."""
    for at in forms.PREFIXES if prefix is None else ("", prefix):
        try:
            return client.get_json(f"{url}{at}/openapi.json")
        except HttpError as problem:
            if problem.status is None:
                raise
    return None


def _unread(url: str, path: str, client: Client, prefix: str | None) -> str:
    said = ""
    for at in forms.PREFIXES if prefix is None else (prefix,):
        try:
            client.get_json(f"{url}{at}{path}")
        except HttpError as problem:
            said = said or str(problem)
            continue
        return ""
    return said


def _token(
    url: str, clients: tuple[Client, Client], document: Any, overrides: Mapping[str, forms.Form], prefix: str | None
) -> tuple[bool | None, str]:
    """Whatever refuses a wrong token tells of the right one. Reads first; then the stop of an engine that does not exist."""
    said = []
    for call in ("kill_state", "engines", "stop_engine"):
        for form, at in forms.choices(call, document, overrides, prefix)[:1]:
            method, path, query, body = form.request(at, symbol=NOBODY)
            statuses = []
            for client in clients:
                try:
                    client.request(method, url + path, params=query, json_body=body, retry=False)
                    statuses.append(200)
                except HttpError as problem:
                    if problem.status is None:
                        return False, f"{form.text}: {problem}"
                    statuses.append(problem.status)
            said.append(f"{form.text} answers {statuses[0]}, and {statuses[1]} to a wrong token")
            if statuses[0] in REFUSED:
                return False, said[-1]
            if statuses[1] in REFUSED:
                return True, said[-1]
    return None, "; ".join(said) or "no call is known that is safe to try"
