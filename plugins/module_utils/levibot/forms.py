# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forms of LeviBot's calls, as data, and the choice between them. They differ from release to release.

Each call has its known forms in order of preference. What the server's ``/openapi.json`` offers decides; a site's own form wins over
that, and where nothing is offered to read, the plan's form comes first and the others after it.

A form is ``method``, ``path``, and where its arguments go: ``query`` and ``body`` map a name to a text in which ``$reason`` stands for
an argument. ``value`` says where in the answer the value is, as dotted names.

What starts an engine is never guessed: where the server does not say what it takes, only the plan's form is sent, since another server
could drop the mode or the capital of any other one without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from string import Template
from typing import Any
from urllib.parse import quote

PREFIXES = ("", "/api")
BOOKS = ("live_trades", "live_positions", "paper_trades", "paper_positions")
ARGUMENTS = ("reason", "symbol", "capital", "close", "limit", "offset", "before", "page")
# What a listing may take to give all its pages, best first. Each of them but the last two pages by itself.
PAGING: tuple[dict[str, str], ...] = (
    {"limit": "$limit", "offset": "$offset"},
    {"limit": "$limit", "before": "$before"},
    {"limit": "$limit", "page": "$page"},
    {"limit": "$limit"},
    {},
)


@dataclass(frozen=True)
class Form:
    """One spelling of one call."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, str] | None = None
    value: str = ""
    plan: bool = False  # the plan's own spelling

    def request(self, prefix: str = "", **arguments: str) -> tuple[str, str, dict[str, str], dict[str, Any] | None]:
        """(method, path, query, body) with the arguments in it. In a path they are percent-encoded, the slash of a symbol included.

        In a body capital is a number and close is a boolean, as the plan writes them.
        """
        path = self.path
        for name, value in arguments.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        query = {name: Template(text).safe_substitute(arguments) for name, text in self.query.items()}
        body = None if self.body is None else {name: _typed(text, arguments) for name, text in self.body.items()}
        return self.method, prefix + path, query, body

    def carries(self, argument: str) -> bool:
        """Whether the form sends this argument."""
        texts = (*self.query.values(), *(self.body or {}).values())
        return f"{{{argument}}}" in self.path or any(f"${argument}" in text or f"${{{argument}}}" in text for text in texts)

    def lacks(self, arguments: Iterable[str]) -> set[str]:
        """The arguments that the form sends and that are not among these."""
        return {name for name in ARGUMENTS if self.carries(name)} - set(arguments)

    @property
    def says_live(self) -> bool:
        """Whether the form asks for live trading by a value, or by a part of its path, of that very name."""
        return "live" in (*self.query.values(), *(self.body or {}).values(), *self.path.split("/"))

    @property
    def text(self) -> str:
        """For people."""
        query = "&".join(f"{name}={value}" for name, value in self.query.items())
        body = "" if self.body is None else f" with a body of {', '.join(self.body) or 'nothing'}"
        return f"{self.method} {self.path}{'?' + query if query else ''}{body}"


_START = {"symbol": "$symbol", "mode": "$mode", "capital": "$capital"}
_LIVE = {**_START, "mode": "live"}
_PAPER = {**_START, "mode": "paper"}


def _without(form: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: text for name, text in form.items() if name not in names}


def _started(arguments: Mapping[str, str], *, plan: bool = False) -> tuple[Form, ...]:
    """Where these may go: all in the body, all in the query, or the symbol in the path and the others in either."""
    others = _without(arguments, "symbol")
    by_path = "/engines/start/{symbol}"
    return (
        Form("POST", "/engines/start", body=dict(arguments), plan=plan),
        Form("POST", "/engines/start", query=dict(arguments)),
        Form("POST", by_path, query=others),
        *((Form("POST", by_path, body=others),) if others else ()),
    )


def _listed(*paths: str) -> tuple[Form, ...]:
    """Listings, each in all ways of paging before the next one; the value is called as the path's last part."""
    return tuple(Form("GET", path, query=query, value=path.rpartition("/")[2]) for path in paths for query in PAGING)


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
    # Says what becomes of the position.
    "stop_closing": (
        Form("POST", "/engines/stop/{symbol}", query={"close": "$close"}),
        Form("POST", "/engines/stop/{symbol}", body={"close": "$close"}),
    ),
    "engines": (
        Form("GET", "/engines/status", value="engines"),
        Form("GET", "/engines", value="engines"),
    ),
    # Live money: a form that cannot carry mode and capital is none. See levibot/survey.py.
    "start_live": _started(_LIVE, plan=True),
    # Paper: what a form leaves out, the release chooses, and it is read back.
    "start_paper": (
        *_started(_PAPER, plan=True),
        *_started(_without(_PAPER, "capital")),
        *_started(_without(_PAPER, "capital", "mode")),
    ),
    "mode": (Form("GET", "/live/status", value="mode"),),
    "models": (Form("GET", "/ai/models", value="meta", plan=True),),
    "health": (Form("GET", "/health", plan=True), Form("GET", "/healthz"), Form("GET", "/")),
    # What changes with each order. Only asked where the server says that it has them.
    "live_trades": (Form("GET", "/live/fills", value="fills"), Form("GET", "/live/trades", value="trades")),
    "live_positions": (Form("GET", "/live/positions", value="positions"),),
    "paper_trades": (Form("GET", "/paper/fills", value="fills"), Form("GET", "/paper/trades", value="trades")),
    "paper_positions": (Form("GET", "/paper/positions", value="positions"),),
    # The whole books, page by page. See levibot/books.py.
    "live_fills": _listed("/live/fills"),
    "live_closed": _listed("/live/trades"),
    "live_portfolio": (Form("GET", "/live/portfolio"),),
    "paper_fills": _listed("/paper/fills"),
    "paper_closed": _listed("/paper/trades"),
    "paper_portfolio": (Form("GET", "/paper/portfolio"),),
    "risk": (Form("GET", "/risk/summary"),),
}
# Never tried where the server does not offer them: a path that nobody has named is no evidence, whatever it answers, and an argument
# that is not known may be dropped.
ONLY_OFFERED = (*BOOKS, *(call for call in CALLS if call.endswith(("_fills", "_closed", "_portfolio"))), "stop_closing")
STARTS = ("start_live", "start_paper")


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
    form = Form(
        method=str(given.get("method") or usual.method).upper(),
        path=given["path"],
        query={str(name): str(value) for name, value in (given.get("query") or {}).items()},
        body=None if given.get("body") is None else {str(name): str(value) for name, value in given["body"].items()},
        value=str(given.get("value") or usual.value),
    )
    if call in STARTS and not form.carries("symbol"):
        raise FormError(f"{call}: it does not say which engine: put $symbol into its query or body, or {{symbol}} into its path")
    if call == "start_live" and not (form.says_live and form.carries("capital")):
        raise FormError(
            f"{call}: live trading needs a form with mode and capital, such as {CALLS[call][0].text}: {{mode: live, capital: $capital}}"
        )
    return form


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
    if call in ONLY_OFFERED:
        return []
    if call in STARTS:
        return [(form, each) for each in prefixes for form in CALLS[call] if form.plan]
    ordered = sorted(CALLS[call], key=lambda form: not form.plan)
    return [(form, each) for each in prefixes for form in ordered]


def taken(call: str, document: Any, prefixes: Iterable[str] = PREFIXES) -> list[str]:
    """What a server takes at the paths of a call's known forms, for people who ask why none of them fits."""
    paths = document.get("paths") if isinstance(document, Mapping) else None
    found = []
    for form in CALLS[call] if isinstance(paths, Mapping) else ():
        for prefix in prefixes:
            operation = _operation(paths, form, prefix)
            if isinstance(operation, Mapping):
                query, body, _demanded = _arguments(operation, document)
                names = [*query, *(f"{name} (body)" for name in body or ())]
                found.append(f"{form.method} {prefix}{form.path} takes {', '.join(names) or 'no argument'}")
    return list(dict.fromkeys(found))


def find(answer: Any, dotted: str) -> Any:
    """The value at dotted names; None where there is none."""
    for name in dotted.split(".") if dotted else ():
        if not isinstance(answer, Mapping) or name not in answer:
            return None
        answer = answer[name]
    return answer


def _typed(text: str, arguments: Mapping[str, str]) -> Any:
    """A body's value: capital as a number, close as a boolean, all else as text."""
    if text == "$capital" and "capital" in arguments:
        amount = Decimal(arguments["capital"])
        return int(amount) if amount == amount.to_integral_value() else float(amount)
    if text == "$close" and "close" in arguments:
        return arguments["close"] == "true"
    return Template(text).safe_substitute(arguments)


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
    query, body, demanded = _arguments(operation, document)
    if not set(form.query) <= set(query) or any(required and name not in form.query for name, required in query.items()):
        return False
    if form.body is None:
        return not _resolve(operation.get("requestBody"), document).get("required")
    if not _resolve(operation.get("requestBody"), document):
        return False
    return demanded <= set(form.body) and (body is None or set(form.body) <= set(body))


def _arguments(operation: Mapping[str, Any], document: Mapping[str, Any]) -> tuple[dict[str, bool], list[str] | None, set[str]]:
    """The query's names, each with whether it is demanded; a JSON body's names (None where they are not said); those that it demands."""
    listed = [_resolve(item, document) for item in operation.get("parameters") or ()]
    query = {str(item.get("name")): bool(item.get("required")) for item in listed if item.get("in") == "query"}
    media = _resolve(operation.get("requestBody"), document).get("content")
    schema = _resolve(_resolve(_resolve(media, document).get("application/json"), document).get("schema"), document)
    properties = schema.get("properties")
    return query, list(properties) if isinstance(properties, Mapping) else None, set(schema.get("required") or ())


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
