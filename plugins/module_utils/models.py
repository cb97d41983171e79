# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on disk and models that an API says it has loaded: what is wanted, what is there, and how they differ. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}[A-Za-z0-9._-]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_COUNT = re.compile(r"(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)(?:\{[^}]*\})?\s+(?P<value>\S+)")
LIVE_WORDS = ("live", "real")


class AnswerError(ValueError):
    """The answer cannot be read; the message says what it was."""


@dataclass(frozen=True)
class Card:
    """What the API says of one model. Only ``found`` that is True is a model that was loaded."""

    version: str
    found: bool


def dated(names: Iterable[str]) -> list[str]:
    """Those names that are dates, the oldest first; something may follow the date, as in 2025-10-14-b."""
    return sorted(name for name in names if _DATED.fullmatch(name))


def wanted_links(link: str, target: str, date: str, names: Iterable[str]) -> dict[str, str]:
    """Each link by its path below the models' directory, with its target as it is written into the link.

    ``{name}`` in the link makes one for each model; in the target, ``{date}`` and ``{name}`` are filled in.
    Targets are relative to the link, since a container sees the directory under another path.
    """
    wanted = {}
    for name in names if "{name}" in link else [""]:
        path = posixpath.normpath(link.replace("{name}", name))
        aim = posixpath.normpath(target.replace("{name}", name).replace("{date}", date))
        if not is_below(path) or not is_below(aim):
            raise ValueError(f"{path} -> {aim} leads out of the models' directory")
        wanted[path] = posixpath.relpath(aim, posixpath.dirname(path) or ".")
    return wanted


def is_below(path: str) -> bool:
    return not path.startswith("/") and path.split("/", maxsplit=1)[0] not in ("", ".", "..")


def is_name(text: str) -> bool:
    return bool(_NAME.fullmatch(text))


def cards(answer: Any) -> dict[str, Card]:
    """What ``/ai/models`` lists, by model. A model without a card is one that was not found. Raises AnswerError."""
    if not isinstance(answer, Mapping):
        raise AnswerError(f"a JSON object is expected, found {type(answer).__name__}")
    if answer.get("ok") is False:
        raise AnswerError("it says ok: false")
    listed, meta = answer.get("models"), answer.get("meta")
    raw: dict[str, Any] = {}
    if isinstance(listed, Mapping):
        raw.update(listed)
    elif isinstance(listed, (list, tuple)):
        for item in listed:
            named = item.get("name") if isinstance(item, Mapping) else item
            if not isinstance(named, str):
                raise AnswerError("an entry of `models` has no name")
            raw[named] = item if isinstance(item, Mapping) else None
    if isinstance(meta, Mapping):
        raw.update(meta)
    if not raw:
        raise AnswerError("it lists no model")
    return {str(name): _card(item) for name, item in raw.items()}


def _card(item: Any) -> Card:
    if not isinstance(item, Mapping):
        return Card("", False)
    version = item.get("version")
    return Card("" if version is None else str(version), item.get("found") is True)


def differences(found: Mapping[str, Card], wanted: Mapping[str, str]) -> list[str]:
    """What of the wanted versions (by model) is not loaded, in words; empty where all are."""
    wrong = []
    for name, version in wanted.items():
        card = found.get(name)
        if card is None:
            wrong.append(f"{name} is not listed")
        elif not card.found:
            wrong.append(f"{name} {card.version or 'without a version'} is listed with found: false, which is a model that was not loaded")
        elif card.version != version:
            wrong.append(f"{name} is {card.version or 'without a version'}, wanted {version}")
    return wrong


def live_reason(engines: Any, status: Any) -> str:
    """Why a restart would interrupt live trading; empty where both answers prove that it would not. None is an answer that was not got."""
    if not isinstance(engines, Mapping) or not isinstance(engines.get("engines"), list):
        return "the state of the engines cannot be read"
    if not isinstance(status, Mapping) or not isinstance(status.get("mode"), str):
        return "the mode cannot be read"
    rows = engines["engines"]
    if not all(isinstance(row, Mapping) and isinstance(row.get("status"), str) for row in rows):
        return "the state of an engine cannot be read"
    running = [row for row in rows if row["status"].lower() not in ("stopped", "crashed")]
    live = [str(row.get("symbol", "an engine")) for row in running if str(row.get("mode", status["mode"])).lower() in LIVE_WORDS]
    if live:
        return f"live engines run: {', '.join(live)}"
    trades = bool(running or engines.get("running")) and (status["mode"].lower() in LIVE_WORDS or status.get("active") is True)
    return f"it says that it trades live (mode {status['mode']})" if trades else ""


def counted(text: str, metric: str) -> float | None:
    """The sum of a counter's series in an exposition; None where it has none."""
    values = []
    for line in text.splitlines():
        match = _COUNT.match(line)
        if match and match["name"] == metric:
            try:
                values.append(float(match["value"]))
            except ValueError:
                return None
    return sum(values) if values else None


@dataclass(frozen=True)
class Container:
    """One instance of the service, as the engine knows it."""

    name: str
    address: str
    running: bool
    health: str  # empty where the image has no health check
    started_at: float


def containers(inspected: Any) -> list[Container]:
    """From what ``docker inspect`` prints. Raises AnswerError."""
    try:
        return sorted((_container(item) for item in inspected), key=lambda container: container.name)
    except (KeyError, TypeError, AttributeError, ValueError) as problem:
        raise AnswerError(f"docker inspect answered in a form that is not known ({problem!r})") from problem


def _container(item: Mapping[str, Any]) -> Container:
    state = item["State"]
    networks = (item["NetworkSettings"].get("Networks") or {}).values()
    return Container(
        name=item["Name"].lstrip("/"),
        address=next((network["IPAddress"] for network in networks if network.get("IPAddress")), ""),
        running=state["Status"] == "running",
        health=(state.get("Health") or {}).get("Status") or "",
        started_at=moment(state["StartedAt"]),
    )


def moment(text: str) -> float:
    """The engine's time stamp, 2026-11-24T11:22:00.123456789Z, as seconds since the epoch."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(?:Z|\+00:00)", text)
    if not match:
        raise ValueError(f"{text!r} is no time stamp")
    whole = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return (whole - datetime(1970, 1, 1, tzinfo=timezone.utc)).total_seconds() + float(match[2] or 0)
