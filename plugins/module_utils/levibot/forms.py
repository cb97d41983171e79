# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forms of LeviBot's calls, as data, and the choice between them. They differ from release to release.

Each call has its known forms in order of preference. What the server's ``/openapi.json`` offers decides; a site's own form wins over
that, and where nothing is offered to read, the plan's form comes first and the others after it.

A form is ``method``, ``path``, and where its arguments go: ``query`` and ``body`` map a name to a text in which ``$reason`` stands for
an argument. ``value`` says where in the answer the value is, as dotted names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from string import Template
from typing import Any
from urllib.parse import quote

PREFIXES = ("", "/api")
BOOKS = ("live_trades", "live_positions", "paper_trades", "paper_positions")


@dataclass(frozen=True)
class Form:
    """One spelling of one call."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, str] | None = None
    value: str = ""
    plan: bool = False  # the plan's own spelling

    def request(self, prefix: str = "", **arguments: str) -> tuple[str, str, dict[str, str], dict[str, str] | None]:
        """(method, path, query, body) with the arguments in it. In a path they are percent-encoded, the slash of a symbol included."""
        path = self.path
        for name, value in arguments.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        query = {name: Template(text).safe_substitute(arguments) for name, text in self.query.items()}
        body = None if self.body is None else {name: Template(text).safe_substitute(arguments) for name, text in self.body.items()}
        return self.method, prefix + path, query, body

    @property
    def text(self) -> str:
        """For people."""
        query = "&".join(f"{name}={value}" for name, value in self.query.items())
        body = "" if self.body is None else f" with a body of {', '.join(self.body) or 'nothing'}"
        return f"{self.method} {self.path}{'?' + query if query else ''}{body}"


CALLS: dict[str, tuple[Form, ...]] = {
    "kill": (
        # First the one that says `on`: where both are offered, it cannot be misread.
        Form("POST", "/live/kill", query={"on": "true", "reason": "$reason"}),
        Form("POST", "/live/kill", body={"reason": "$reason"}, plan=True),
        Form("POST", "/admin/kill", query={"reason": "$reason"}),
        Form("POST", "/admin/kill"),
    ),
    "release": (
        Form("POST", "/live/kill", query={"on": "false", "reason": "$reason"}),
        Form("POST", "/admin/unkill", query={"reason": "$reason"}),
        Form("POST", "/admin/unkill"),
    ),
    "kill_state": (
        Form("GET", "/live/status", value="kill_switch_active"),
        Form("GET", "/admin/flags", value="flags.killed"),
    ),
    "stop_engines": (Form("POST", "/engines/stop_all"),),
    "stop_engine": (Form("POST", "/engines/stop/{symbol}"),),
    "engines": (
        Form("GET", "/engines/status", value="engines"),
        Form("GET", "/engines", value="engines"),
    ),
    "health": (Form("GET", "/health", plan=True), Form("GET", "/healthz"), Form("GET", "/")),
    # What changes with each order. Only asked where the server says that it has them.
    "live_trades": (Form("GET", "/live/fills", value="fills"), Form("GET", "/live/trades", value="trades")),
    "live_positions": (Form("GET", "/live/positions", value="positions"),),
    "paper_trades": (Form("GET", "/paper/fills", value="fills"), Form("GET", "/paper/trades", value="trades")),
    "paper_positions": (Form("GET", "/paper/positions", value="positions"),),
}


class FormError(ValueError):
    """A form of the site's own that cannot be used; the message says why."""


def own(call: str, given: Any) -> Form:
    """A site's own form, from plain data."""
    known = ("method", "path", "query", "body", "value")
    if call not in CALLS:
        raise FormError(f"{call}: there is no such call; there are {', '.join(CALLS)}")
    if not isinstance(given, Mapping) or not str(given.get("path", "")).startswith("/"):
        raise FormError(f"{call}: write at least {{path: /…}}, and not {given!r}")
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise FormError(f"{call}: {', '.join(unknown)}: unknown; write {', '.join(known)}")
    for name in ("query", "body"):
        if given.get(name) is not None and not isinstance(given[name], Mapping):
            raise FormError(f"{call}.{name}: write a mapping, such as {{reason: $reason}}")
    usual = CALLS[call][0]
    return Form(
        method=str(given.get("method") or usual.method).upper(),
        path=given["path"],
        query={str(name): str(value) for name, value in (given.get("query") or {}).items()},
        body=None if given.get("body") is None else {str(name): str(value) for name, value in given["body"].items()},
        value=str(given.get("value") or usual.value),
    )


def offered(call: str, document: Any, prefixes: Iterable[str] = PREFIXES) -> list[tuple[Form, str]]:
    """The known forms that a server offers by its OpenAPI document, best first, each with the prefix that it has there."""
    paths = document.get("paths") if isinstance(document, Mapping) else None
    if not isinstance(paths, Mapping):
        return []
    found = []
    for form in CALLS[call]:
        for prefix in prefixes:
            operation = _operation(paths, form, prefix)
            if operation is not None and _fits(form, operation, document):
                found.append((form, prefix))
                break
    return found


def choices(call: str, document: Any, overrides: Mapping[str, Form], prefix: str | None = None) -> list[tuple[Form, str]]:
    """What to try for a call, in this order.

    document: the server's OpenAPI document, None where there is none to read. prefix: None finds it out.
    """
    if call in overrides:
        return [(overrides[call], prefix or "")]
    prefixes = PREFIXES if prefix is None else (prefix,)
    known = offered(call, document, prefixes)
    if known or document is not None:
        return known
    if call in BOOKS:
        return []  # a path that nobody has named is no evidence, whatever it answers
    ordered = sorted(CALLS[call], key=lambda form: not form.plan)
    return [(form, each) for each in prefixes for form in ordered]


def find(answer: Any, dotted: str) -> Any:
    """The value at dotted names; None where there is none."""
    for name in dotted.split(".") if dotted else ():
        if not isinstance(answer, Mapping) or name not in answer:
            return None
        answer = answer[name]
    return answer


def _operation(paths: Mapping[str, Any], form: Form, prefix: str) -> Any:
    """The document's entry for a form. What a path parameter is called there does not matter."""
    wanted = _shape(prefix + form.path)
    for path, operations in paths.items():
        if _shape(str(path)) == wanted and isinstance(operations, Mapping):
            return operations.get(form.method.lower())
    return None


def _shape(path: str) -> tuple[str, ...]:
    return tuple("{}" if part.startswith("{") and part.endswith("}") else part for part in path.rstrip("/").split("/"))


def _fits(form: Form, operation: Any, document: Mapping[str, Any]) -> bool:
    """Whether an operation takes all that the form sends, and demands nothing that it does not send."""
    if not isinstance(operation, Mapping):
        return False
    listed = [_resolve(item, document) for item in operation.get("parameters") or ()]
    taken = {item.get("name"): bool(item.get("required")) for item in listed if item.get("in") == "query"}
    if not set(form.query) <= set(taken) or any(required and name not in form.query for name, required in taken.items()):
        return False
    body = _resolve(operation.get("requestBody"), document)
    if form.body is None:
        return not body.get("required")
    if not body:
        return False
    media = body.get("content")
    schema = _resolve(_resolve(media, document).get("application/json"), document).get("schema")
    schema = _resolve(schema, document)
    demanded = set(schema.get("required") or ())
    properties = schema.get("properties")
    return demanded <= set(form.body) and (not isinstance(properties, Mapping) or set(form.body) <= set(properties))


def _resolve(item: Any, document: Mapping[str, Any], depth: int = 5) -> Mapping[str, Any]:
    """The item, or what its ``$ref`` within the document says; an empty mapping for anything else."""
    while isinstance(item, Mapping) and isinstance(item.get("$ref"), str) and depth:
        target: Any = document
        for part in item["$ref"].lstrip("#/").split("/"):
            target = target.get(part) if isinstance(target, Mapping) else None
        item, depth = target, depth - 1
    if isinstance(item, Mapping) and isinstance(item.get("anyOf"), list):  # FastAPI's way to say "optional"
        return _resolve(next((one for one in item["anyOf"] if isinstance(one, Mapping) and one.get("type") != "null"), None), document)
    return item if isinstance(item, Mapping) else {}
