#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets the split of one edge host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: edge_split
short_description: Set the candidate's share of the traffic on an edge
description:
  - Writes, extends or removes the canary file that the edge's Caddy reads at each request, or promotes a slot by the lasting file.
    The change is one atomic rename. Caddy is neither reloaded nor asked, so no request fails and no counter is lost.
  - A canary file's modification time is its expiry. The edge removes the file by itself when that has passed, and is back on stable.
  - With O(verify) the effect is seen in the running Caddy, and a change whose effect cannot be seen is undone.
  - With none of O(candidate), O(stable) and O(canary) it only reads the split, and sees it where O(verify) says so.
version_added: 0.1.0
author: levibot.transition contributors (@levibot)
options:
  candidate:
    description: The slot to give O(weight) percent of the traffic to. It cannot be the stable one.
    type: str
    choices: [blue, green]
  weight:
    description: The candidate's percentage, 0 to 100. The rest goes to the stable slot.
    type: float
  expires_in_seconds:
    description:
      - How long the split holds if nobody sets it again. Longer than the step's soak window, shorter than anyone wants an
        abandoned canary to live.
    type: float
  stable:
    description:
      - Promotes this slot, or says for the first time who is stable. Writes the lasting file, then removes the canary file.
    type: str
    choices: [blue, green]
  canary:
    description:
      - V(absent) sends everybody back to the stable slot. It is never refused because of what the files hold or because a directory
        is missing, and never undone.
    type: str
    choices: [absent]
  expect_weight:
    description:
      - The candidate's percentage that the edge must have now, before the change. If it has another one, the module fails and changes
        nothing. A rollout says here what its previous step set, so that it never puts back or promotes a canary that an operator,
        the expiry or a reboot has taken back.
      - V(0) is no open canary. One that has expired counts as none, even where the edge has not removed it yet.
      - Two percentages are the same if they make the same share of the 65,536 buckets. V(10) is what O(weight=10) has set, and so is
        the RV(weight) that this has returned.
      - Not used in check mode, where the previous step has not happened, with O(canary=absent), and where O(stable) is the
        stable slot already and no canary is open.
    type: float
  run_dir:
    description: The directory of the canary file. It does not survive a reboot, on purpose.
    type: path
    default: /run/levibot
  lib_dir:
    description: The directory of the lasting file.
    type: path
    default: /var/lib/levibot/edge
  healthy:
    description:
      - Moves traffic, with O(canary=absent) or O(stable), only where the slot that would get it answers. One that does not is no failure;
        RV(waits) says so, and nothing is changed.
      - An edge whose Caddy does not run serves nobody, and is changed in any case.
    type: dict
    suboptions:
      urls:
        description: Where each slot answers on this edge, behind its own listener. Any answer with a status below 500 will do.
        type: dict
        required: true
      within_seconds:
        description: How long to ask until it answers. V(0) asks once.
        type: float
        default: 0
      timeout_seconds:
        description: How long one request may take.
        type: float
        default: 1
  tolerance_seconds:
    description: An expiry that would move by less than this is left as it is. Extending it by more is a change.
    type: float
    default: 1
  verify:
    description: Where to see the effect. Without it only the files are read back. Not used in check mode.
    type: dict
    suboptions:
      url:
        description: A URL behind the split. The edge's own probe path needs no application to answer.
        type: str
        required: true
      metrics_url:
        description: Caddy's metrics.
        type: str
        required: true
      sticky:
        description: Whether the split goes by cookie. If not, a few hundred requests are sent and their spread is compared.
        type: bool
        default: true
      host:
        description: The site's name, where the URL has an address instead.
        type: str
        default: ""
      validate_certs:
        description: Whether the site's certificate has to be good.
        type: bool
        default: true
      timeout_seconds:
        description: How long to look, and how long one request may take.
        type: float
        default: 5
attributes:
  check_mode:
    description: Can run in check mode and say what would change.
    support: full
  diff_mode:
    description: Shows the split before and after, in words.
    support: full
notes:
  - One edge host is one call. The C(edge) role's entry point C(weight) moves several together.
seealso:
  - module: levibot.transition.edge_info
"""

EXAMPLES = r"""
- name: Give the candidate a tenth of the traffic, for at most 40 minutes
  levibot.transition.edge_split:
    candidate: green
    weight: 10
    expires_in_seconds: 2400
    verify:
      url: http://127.0.0.1:19080/.levibot/slot
      metrics_url: http://127.0.0.1:19180/metrics

- name: Give it half, if it still has the tenth
  levibot.transition.edge_split:
    candidate: green
    weight: 50
    expires_in_seconds: 2400
    expect_weight: 10

- name: Send everybody back to stable
  levibot.transition.edge_split:
    canary: absent

- name: Promote green, if it still has all the traffic
  levibot.transition.edge_split:
    stable: green
    expect_weight: 100
"""

RETURN = r"""
before:
  description: The split before.
  returned: always
  type: dict
  contains: &split
    canary:
      description: Whether there is a canary file that counts.
      type: bool
    stable:
      description: The stable slot, null where no readable lasting file says so.
      type: str
    stable_problem:
      description: What is wrong with the lasting file's content, in words. Empty where nothing is.
      type: str
    candidate:
      description: The slot that is not stable.
      type: str
    weight:
      description: The candidate's percentage.
      type: float
    expires_epoch:
      description: When the canary file is removed, as seconds since 1970. Null without one.
      type: int
    expires_at:
      description: The same for people.
      type: str
    expired:
      description: Whether that has passed already.
      type: bool
    text:
      description: The split in one line.
      type: str
      sample: green 10.0 %, blue 90.0 % (canary, expires 2026-11-24T12:00:00Z)
after:
  description: The split as read back. In check mode, as it would be.
  returned: always
  type: dict
  contains: *split
stable:
  description: As in RV(after).
  returned: always
  type: str
candidate:
  description: As in RV(after).
  returned: always
  type: str
weight:
  description: As in RV(after).
  returned: always
  type: float
expires_at:
  description: As in RV(after).
  returned: always
  type: str
canary:
  description: As in RV(after).
  returned: always
  type: bool
waits:
  description: Whether nothing was changed because the slot does not answer, see O(healthy).
  returned: always
  type: bool
answered:
  description: What the slot that gets the traffic answered, in words. Empty without O(healthy).
  returned: always
  type: str
seen:
  description: What the running Caddy did. Null without O(verify), and in check mode.
  returned: always
  type: dict
  contains:
    text:
      description: In one line.
      type: str
    answers:
      description: Probes by the slot that answered.
      type: dict
    counted:
      description: By how many requests each slot's own counter moved meanwhile, other traffic included.
      type: dict
"""

import http
import math
import time
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.edge.files import SplitError, SplitFiles
from ansible_collections.levibot.transition.plugins.module_utils.edge.probe import Probe, ProbeError
from ansible_collections.levibot.transition.plugins.module_utils.edge.split import SLOTS, Canary, Split, encode, green_buckets
from ansible_collections.levibot.transition.plugins.module_utils.edge.verify import Seen, verify
from ansible_collections.levibot.transition.plugins.module_utils.http import Client, HttpError

ARGUMENTS: dict[str, Any] = {
    "candidate": {"type": "str", "choices": list(SLOTS)},
    "weight": {"type": "float"},
    "expires_in_seconds": {"type": "float"},
    "stable": {"type": "str", "choices": list(SLOTS)},
    "canary": {"type": "str", "choices": ["absent"]},
    "expect_weight": {"type": "float"},
    "run_dir": {"type": "path", "default": "/run/levibot"},
    "lib_dir": {"type": "path", "default": "/var/lib/levibot/edge"},
    "tolerance_seconds": {"type": "float", "default": 1},
    "healthy": {
        "type": "dict",
        "options": {
            "urls": {"type": "dict", "required": True},
            "within_seconds": {"type": "float", "default": 0},
            "timeout_seconds": {"type": "float", "default": 1},
        },
    },
    "verify": {
        "type": "dict",
        "options": {
            "url": {"type": "str", "required": True},
            "metrics_url": {"type": "str", "required": True},
            "sticky": {"type": "bool", "default": True},
            "host": {"type": "str", "default": ""},
            "validate_certs": {"type": "bool", "default": True},
            "timeout_seconds": {"type": "float", "default": 5},
        },
    },
}


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


def see(options: dict[str, Any], split: Split) -> Seen:
    """Ask the running Caddy."""
    common = {"timeout": options["timeout_seconds"], "validate_certs": options["validate_certs"]}
    try:
        site = Probe(options["url"], host=options["host"], **common)
        metrics = Probe(options["metrics_url"], **common)
    except ProbeError as exc:
        return Seen(False, str(exc))
    try:
        return verify(split.buckets, site, metrics, sticky=options["sticky"], timeout=options["timeout_seconds"])
    finally:
        site.close()
        metrics.close()


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


def run(params: dict[str, Any], *, check_mode: bool, result: dict[str, Any]) -> None:
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
        seen = see(params["verify"], change.wanted) if params["verify"] else None
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


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        mutually_exclusive=[("candidate", "stable", "canary")],
        required_together=[("candidate", "weight", "expires_in_seconds")],
        supports_check_mode=True,
    )
    result: dict[str, Any] = {"changed": False, "before": None, "after": None, "seen": None, "waits": False, "answered": ""}
    failure: str | None = None
    try:
        run(module.params, check_mode=module.check_mode, result=result)
    except SplitError as exc:
        failure = str(exc)
    except OSError as exc:
        failure = f"the split could not be written: {exc}"
    if result["after"]:
        result.update({key: result["after"][key] for key in ("stable", "candidate", "weight", "expires_at", "canary")})
        result["diff"] = {side: f"{result[side]['text']}\n" for side in ("before", "after")}
        for side in ("before", "after"):
            result["diff"][f"{side}_header"] = f"split of {module.params['run_dir']}"
    if failure:
        module.fail_json(msg=failure, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
