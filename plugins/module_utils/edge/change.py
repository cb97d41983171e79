# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of one edge's split: decided, written, seen, and undone where it is not seen."""

from __future__ import annotations

import http
import math
import time
from dataclasses import dataclass
from typing import Any, Callable, Protocol

from ansible_collections.levibot.transition.plugins.module_utils.edge.files import SplitError, SplitFiles
from ansible_collections.levibot.transition.plugins.module_utils.edge.split import SLOTS, Canary, Split, encode, green_buckets
from ansible_collections.levibot.transition.plugins.module_utils.http import Client, HttpError

# Documented in doc_fragments/edge.py.
HEALTHY: dict[str, Any] = {
    "healthy": {
        "type": "dict",
        "options": {
            "urls": {"type": "dict", "required": True},
            "within_seconds": {"type": "float", "default": 0},
            "timeout_seconds": {"type": "float", "default": 1},
        },
    },
}


class Seen(Protocol):
    """What the running Caddy did, see verify.py, which the way back has no need of."""

    ok: bool
    text: str

    def to_dict(self) -> dict[str, Any]: ...


See = Callable[[Split], Seen]


@dataclass(frozen=True)
class Change:
    """What is asked for: the split that has to be there afterwards.

    clears: no canary may be left, not even one that nobody sees because the expiry script holds it aside.
    """

    wanted: Split
    changed: bool
    clears: bool = False
    withdraws: bool = False

    def apply(self, files: SplitFiles, before: Split) -> bool:
        """Bring the files there, and tell whether that took anything. The lasting file comes first: no request may see neither."""
        if self.clears:
            promotes = self.wanted.stable is not None and self.wanted.stable != before.stable
            if self.wanted.stable and promotes:
                files.write_stable(self.wanted.stable)
            return files.remove_canary() or promotes
        if self.changed and self.wanted.canary:
            files.write_canary(self.wanted.canary)
        return self.changed


def plan(params: dict[str, Any], before: Split, now: float) -> Change:
    """Decide, without touching anything, or refuse."""
    if not (params["candidate"] or params["stable"] or params["canary"]):
        return Change(before, changed=False)
    if params["canary"]:
        return Change(Split(before.stable), before.canary is not None or bool(before.broken_canary), clears=True, withdraws=True)
    # A promotion builds on what is there. Who only says which slot is stable is the person that is asked for here.
    if before.broken_stable and not (params["stable"] and params["expect_weight"] is None):
        raise SplitError(f"{before.broken_stable}. Write the stable slot's value there (a person knows which that is), then run this again")
    if params["stable"]:
        wanted = Split(params["stable"])
        return Change(wanted, wanted != before, clears=True)
    return _plan_canary(params, before, now)


def _plan_canary(params: dict[str, Any], before: Split, now: float) -> Change:
    candidate, weight, lifetime = params["candidate"], params["weight"], params["expires_in_seconds"]
    if before.stable is None:
        raise SplitError("no lasting file says which slot is stable: install the edge first, or set `stable`")
    if candidate == before.stable:
        raise SplitError(f"candidate: {candidate} is the stable slot of this edge ({before.text(now)}); the candidate is the other one")
    if not (math.isfinite(lifetime) and lifetime > 0):
        raise SplitError(f"expires_in_seconds: {lifetime:g} is not in the future; a canary needs an expiry")
    try:
        canary = Canary(green_buckets(candidate, weight), math.ceil(now + lifetime))
    except ValueError as exc:
        raise SplitError(f"weight: {exc}") from exc
    same = (
        before.canary is not None
        and before.canary.buckets == canary.buckets
        and abs(before.canary.expires - canary.expires) <= params["tolerance_seconds"]
    )
    return Change(Split(before.stable, before.canary if same else canary), not same)


def expect(params: dict[str, Any], before: Split, now: float) -> None:
    """Refuse where the edge is not as the caller left it."""
    expected = params["expect_weight"]
    there = Split(before.stable, None if before.expired(now) else before.canary)  # what is left once the edge has looked
    if expected is None or params["canary"] or (params["stable"] and there == Split(params["stable"])):
        return
    try:
        same = there.buckets == Split(there.stable, Canary(green_buckets(there.candidate, expected), 0)).buckets
    except ValueError as exc:
        raise SplitError(f"expect_weight: {exc}") from exc
    if not same:
        who = "somebody has moved the split" if there.canary else "somebody or the expiry has taken the canary back"
        raise SplitError(
            f"{who}: {there.candidate} was expected to have {expected:g} %, and has {there.weight:g} % ({before.text(now)}). "
            "Nothing was changed"
        )


def answers(options: dict[str, Any], slot: str) -> tuple[bool, str]:
    """Whether a slot may get the traffic by what it answers behind this edge, and the words for it."""
    client = Client(timeout=options["timeout_seconds"], retries=0)
    until = time.monotonic() + options["within_seconds"]
    while True:
        try:
            return True, f"{slot} answered {client.get(options['urls'][slot]).status}"
        except HttpError as problem:
            if problem.status is not None and problem.status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                return True, f"{slot} answered {problem.status}"
            if isinstance(problem.__cause__, ConnectionRefusedError):
                return True, "no Caddy listens for this slot here"
            if time.monotonic() >= until:
                return False, f"{slot}: {problem}"
        time.sleep(0.1)


def put_back(files: SplitFiles, before: Split, wanted: Split, now: float) -> None:
    """Undo a change, without giving a second life to a canary that has expired or that somebody has withdrawn meanwhile."""
    canary = None if before.expired(now) else before.canary
    if wanted.canary and canary and files.read_settled().canary is None:
        canary = None
    if canary:
        files.write_canary(canary)
    if before.stable and before.stable != wanted.stable:
        files.write_stable(before.stable)
    if not canary:
        files.remove_canary()


def refuse_missing(params: dict[str, Any], files: SplitFiles) -> None:
    """Refuse a host without the directories that are written to. What is not there needs no withdrawal."""
    missing = files.missing_directories()
    if params["canary"] or (params["stable"] and str(files.lib_dir) not in missing):
        return
    if missing:
        raise SplitError(f"{' and '.join(missing)} missing on this host: install the edge first (role levibot.transition.edge)")


def change(params: dict[str, Any], *, check_mode: bool, see: See | None = None) -> tuple[dict[str, Any], str]:
    """What became of the split, as edge_split returns it, and what failed in words; empty where nothing did.

    see: looks for the effect. Without it only the files are read back.
    """
    result: dict[str, Any] = {"changed": False, "before": None, "after": None, "seen": None, "waits": False, "answered": ""}
    failure = ""
    try:
        run(params, check_mode=check_mode, result=result, see=see)
    except SplitError as exc:
        failure = str(exc)
    except OSError as exc:
        failure = f"the split could not be written: {exc}"
    if result["after"]:
        result.update({key: result["after"][key] for key in ("stable", "candidate", "weight", "expires_at", "canary")})
        result["diff"] = {side: f"{result[side]['text']}\n" for side in ("before", "after")}
        for side in ("before", "after"):
            result["diff"][f"{side}_header"] = f"split of {params['run_dir']}"
    return result, failure


def back(params: dict[str, Any], *, check_mode: bool) -> tuple[dict[str, Any], str]:
    """The same, for the way back: everybody to the stable slot, or to the one that `stable` names."""
    nothing = dict.fromkeys(("candidate", "weight", "expires_in_seconds", "expect_weight"))
    canary = None if params["stable"] else "absent"
    return change({**nothing, "tolerance_seconds": 0.0, **params, "canary": canary}, check_mode=check_mode)


def run(params: dict[str, Any], *, check_mode: bool, result: dict[str, Any], see: See | None = None) -> None:
    """Fill in the result as far as it gets, so that a failure tells as much."""
    files = SplitFiles(params["run_dir"], params["lib_dir"])
    now = time.time()
    # The way back does not wait, and nothing is in its way.
    before = files.read() if params["canary"] else files.read_settled()
    result["before"] = before.to_dict(now)
    result["after"] = before.to_dict(now)
    if not check_mode:
        expect(params, before, now)
    refuse_missing(params, files)
    change = plan(params, before, now)
    if params.get("healthy") and (params["canary"] or params["stable"]):
        may, result["answered"] = answers(params["healthy"], change.wanted.stable or SLOTS[0])
        result["waits"] = not may
        if not may:
            return
    result["changed"] = change.changed
    if check_mode:
        result["changed"] = change.changed or (change.clears and files.aside.exists())
        result["after"] = change.wanted.to_dict(now)
        return
    undo = change.changed and not change.withdraws
    try:
        result["changed"] = change.apply(files, before)
        seen = see(change.wanted) if see else None
    except BaseException:
        if undo:
            put_back(files, before, change.wanted, time.time())
        raise
    result["seen"] = seen.to_dict() if seen else None
    if seen and not seen.ok and undo:
        put_back(files, before, change.wanted, time.time())
    after = files.read()
    result["after"] = after.to_dict(now)
    if seen and not seen.ok:
        raise SplitError(_unseen(change, after, seen, undone=undo))


def _unseen(change: Change, after: Split, seen: Seen, *, undone: bool) -> str:
    now = time.time()
    end = f"put back to: {after.text(now)}" if undone else f"left as written, {after.text(now)}"
    wrote = f"wrote {encode(change.wanted.buckets)} ({change.wanted.text(now)})"
    return f"{wrote}, but the running Caddy does not follow: {seen.text}. The split was {end}"
