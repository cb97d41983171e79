# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""`/openapi.json` from the table of calls that also makes the routes, so that it cannot say anything else than what is served."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Call:
    """`query` and `body` map a parameter to its JSON type; a name that ends in `!` is required."""

    method: str
    path: str
    handler: Handler
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, str] = field(default_factory=dict)


def document(calls: Iterable[Call], version: str) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for call in calls:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call)
    return {"openapi": "3.1.0", "info": {"title": "LeviBot (stand-in)", "version": version}, "paths": paths}


def _operation(call: Call) -> dict[str, Any]:
    parameters = [_parameter("path", f"{name}!", "string") for name in _path_names(call.path)]
    parameters += [_parameter("query", name, kind) for name, kind in call.query.items()]
    operation: dict[str, Any] = {"parameters": parameters, "responses": {"200": {"description": "OK"}}}
    if call.body:
        required = [name.rstrip("!") for name in call.body if name.endswith("!")]
        schema = {"type": "object", "properties": {name.rstrip("!"): {"type": kind} for name, kind in call.body.items()}}
        operation["requestBody"] = {
            "required": bool(required),
            "content": {"application/json": {"schema": {**schema, "required": required} if required else schema}},
        }
    return operation


def _parameter(where: str, name: str, kind: str) -> dict[str, Any]:
    return {"name": name.rstrip("!"), "in": where, "required": name.endswith("!"), "schema": {"type": kind}}


def _path_names(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]
