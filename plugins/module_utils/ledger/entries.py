# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One entry of the ledger: what may be in it, its canonical form, and its link in the hash chain. Pure.

An entry's hash is the SHA-256 of the canonical JSON of the hash before it and the entry itself, so that no entry can be
changed, removed or put in between without every later hash telling so. Canonical JSON is ASCII, has sorted keys and no
white space; floats are written in the shortest form that reads back as the same number.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

KINDS = ("opened", "intent", "result", "look", "verdict", "approval", "note", "closed")

GENESIS = "0" * 64
MAX_DATA_BYTES = 256 * 1024
REDACTED = "(redacted)"

_ROLLOUT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,159}")
_SECRET_KEY = re.compile(r"(?:^|[_-])(?:token|passw(?:or)?d|secret|authorization|cookie|(?:api|private)_?key|credentials?)$", re.IGNORECASE)
_SECRET_TEXT = (
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9+/._~=-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"://[^/\s:@]*:[^/\s@]+@"), f"://{REDACTED}@"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), REDACTED),
)


class EntryError(ValueError):
    """The entry cannot be recorded; the message names the entry's part, the value and what is expected."""


@dataclass(frozen=True)
class Draft:
    """What somebody wants recorded: checked, redacted, and not in the chain yet."""

    rollout: str
    kind: str
    at: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """What is recorded. ``previous`` is the hash of the entry before it, whichever rollout that belongs to."""

    seq: int
    rollout: str
    kind: str
    at: str
    data: dict[str, Any]
    previous: str
    hash: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_line(self) -> str:
        """The entry as one line of the export."""
        return canonical(self.to_dict())


def canonical(value: Any) -> str:
    """The one JSON text of a value. Raises ValueError for what JSON cannot say."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def draft(rollout: str, kind: str, data: Any, at: Any = None) -> Draft:
    """Checks what is to be recorded, and takes the secrets out. Raises EntryError.

    Secrets are replaced rather than refused: a rollback must be recorded even where a message quotes a token.
    """
    if not isinstance(rollout, str) or not _ROLLOUT.fullmatch(rollout):
        raise EntryError(f"rollout: {rollout!r} is no id; expected letters, digits and . _ + -, such as 20261124T112200Z-v1.8.0-beta")
    if kind not in KINDS:
        raise EntryError(f"kind: {kind!r} is not known; expected one of {', '.join(KINDS)}")
    if not isinstance(data, dict):
        raise EntryError(f"data: expected a dictionary, found {type(data).__name__}")
    try:
        clean = _plain(data, "data")
        size = len(canonical(clean))
    except RecursionError:
        raise EntryError("data: nested too deeply") from None
    if size > MAX_DATA_BYTES:
        raise EntryError(f"data: {size} bytes of JSON; at most {MAX_DATA_BYTES} go into one entry")
    return Draft(rollout=rollout, kind=kind, at=timestamp(at), data=clean)


def link(item: Draft, seq: int, previous: str) -> Entry:
    """The draft as the entry that follows the one with the hash ``previous``."""
    content = {**asdict(item), "seq": seq, "previous": previous}
    return Entry(**content, hash=hashlib.sha256(canonical(content).encode("ascii")).hexdigest())


def broken_at(entry: Entry, seq: int, previous: str) -> str | None:
    """Why the entry is not the one that belongs at ``seq`` behind ``previous``; None if it is."""
    if entry.seq != seq:
        return f"entry {seq} is missing"
    if entry.previous != previous:
        return "its previous hash is not the hash of the entry before it"
    if entry != link(Draft(entry.rollout, entry.kind, entry.at, entry.data), seq, previous):
        return "its content does not match its hash"
    return None


def timestamp(at: Any = None) -> str:
    """A moment as UTC with milliseconds. Takes nothing (now), seconds since the epoch, or ISO 8601 with an offset."""
    try:
        return _moment(at).astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError) as exc:
        raise EntryError(f"at: {at!r} is no moment ({exc}); expected such as 2026-11-24T11:22:00.000Z, or seconds since the epoch") from exc


def _moment(at: Any) -> datetime:
    if at is None or at == "":
        return datetime.now(timezone.utc)
    text = str(at)
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return datetime.fromtimestamp(float(text), timezone.utc)
    # Python before 3.11 reads neither the Z nor fractions of any other length than three or six.
    text = re.sub(r"[Zz]$", "+00:00", text)
    text = re.sub(r"\.(\d+)", lambda match: "." + match[1][:6].ljust(6, "0"), text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset from UTC")
    return moment


def _plain(value: Any, path: str) -> Any:
    """A copy in plain JSON types with secrets replaced. Raises EntryError with the path of what is not JSON."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise EntryError(f"{path}: {value!r} is not JSON; record it in words")
        return value
    if isinstance(value, str):
        for pattern, replacement in _SECRET_TEXT:
            value = pattern.sub(replacement, value)
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict):
        clean = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise EntryError(f"{path}: the key {key!r} is not a string")
            secret = isinstance(item, str) and item and _SECRET_KEY.search(key)
            clean[key] = REDACTED if secret else _plain(item, f"{path}.{key}")
        return clean
    raise EntryError(f"{path}: {type(value).__name__} is not JSON")
