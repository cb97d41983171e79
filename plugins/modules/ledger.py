#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: ledger
short_description: Record a rollout durably, and read the record
version_added: 0.1.0
author:
  - levibot.transition contributors (@levibot)
description:
  - Keeps the ledger of rollouts in one SQLite file on the host it runs on.
  - Entries are only ever appended. Each carries the SHA-256 of the entry before it and of itself, so that a change is noticed.
  - An entry is on the disk when the task returns, which is what lets a change follow its recorded intent.
  - The missing folders are made with mode 0700, and the file with mode 0600.
  - One run writes at a time. With an O(owner), which the action plugin of the same name adds by itself (the run of ansible-playbook),
    a run whose lock was taken over, or whose rollout somebody else has closed, is refused, so that it stops before its next change. Each
    writing of the holder is a heartbeat.
  - A run that never had the lock is not refused, so that a rollback is recorded whoever holds it.
  - In an entry's data, the value of a key such as C(token), C(admin_token) or C(authorization), bearer tokens and the
    credentials of URLs are replaced by C((redacted)).
options:
  path:
    description: The ledger's file.
    type: path
    required: true
  state:
    description:
      - V(acquired) takes the lock, and returns the rollout that is open, to be continued, with what is recorded of it. It fails
        with who holds the lock, since when and how to take it over, where another run does. The lock goes over by itself when the
        holder's process is seen to be gone, or its last heartbeat is older than O(stale_seconds); each take-over is recorded as a note.
      - V(released) gives the lock up, if this run has it.
      - V(opened) starts the record of a new rollout and returns its id. An O(rollout) that is open already is left as it is. Takes
        the lock.
      - V(recorded) appends O(entries), all of them or none. Without entries it is a heartbeat and no change.
      - V(closed) records the outcome of O(rollout), and ends its lock. One that is closed with the same outcome already is left as it is.
      - V(exported) reads the entries, and writes them to O(dest) as JSON lines if that is given. A broken chain is a warning.
      - V(verified) checks the chain over all rollouts, and fails where it is broken.
    type: str
    choices: [acquired, released, opened, recorded, closed, exported, verified]
    default: recorded
  rollout:
    description:
      - The rollout's id.
      - Required with O(state=recorded) and O(state=closed).
      - With O(state=opened) the id is made of the time and O(version) unless it is given.
      - With O(state=exported) only this rollout is read, and V(latest) means the one that was opened last; all are read unless it is given.
    type: str
  entries:
    description: What to record with O(state=recorded).
    type: list
    elements: dict
    suboptions:
      kind:
        description: What the entry is. The opening and the closing have a O(state) of their own.
        type: str
        required: true
        choices: [intent, result, look, verdict, approval, note]
      at:
        description: When it happened, as ISO 8601 with an offset from UTC or as seconds since the epoch. Now unless given.
        type: str
      data:
        description: Plain JSON, at most 256 KiB.
        type: dict
        required: true
  version:
    description: The version that O(state=opened) is to roll out.
    type: str
  plan_digest:
    description: The digest of the plan that O(state=opened) starts.
    type: str
  who:
    description: Who opens or closes the rollout. Required with O(state=opened).
    type: dict
    suboptions:
      user:
        description: The user on the control node.
        type: str
        required: true
      host:
        description: The control node.
        type: str
        required: true
  owner:
    description:
      - The run that acts. The action plugin fills it in, on the control node; nobody else needs to.
      - Without it there is no lock, no heartbeat and no refusal.
    type: dict
    suboptions:
      user:
        description: The user on the control node.
        type: str
        required: true
      host:
        description: The control node.
        type: str
        required: true
      pid:
        description: The process of ansible-playbook there.
        type: int
        required: true
      start:
        description: When that process was started, in clock ticks since the boot.
        type: str
        required: true
      boot_id:
        description: The control node's boot.
        type: str
        required: true
      pid_namespace:
        description: Where the pid counts, since a container has pids of its own.
        type: str
        required: true
      token:
        description: A short name for all of this. Not needed.
        type: str
  stale_seconds:
    description: How old the last heartbeat must be for the lock to be anybody's with O(state=acquired).
    type: float
    default: 120
  take_over:
    description: Takes the lock whoever holds it, with O(state=acquired).
    type: bool
    default: false
  gone:
    description: The token of a holder whose process is gone. The action plugin fills it in where it can see that.
    type: str
    default: ""
  outcome:
    description: How the rollout ended; V(live) is the good end of live trading's own record. Required with O(state=closed).
    type: str
    choices: [promoted, live, rolled_back, failed, held, aborted]
  data:
    description: More to be recorded with O(state=opened) or O(state=closed), as plain JSON.
    type: dict
    default: {}
  brief:
    description: With O(state=exported) returns of each gate's looks the last one only, without its samples.
    type: bool
    default: false
  dest:
    description: Where O(state=exported) writes the lines, by one rename and with mode 0600.
    type: path
attributes:
  check_mode:
    description: Can run in check mode and says what would be recorded or written, without doing so.
    support: full
  diff_mode:
    description: Returns what is recorded as the difference.
    support: full
"""

EXAMPLES = r"""
- name: Open the record of a rollout
  levibot.transition.ledger:
    path: /var/lib/levibot/ledger.db
    state: opened
    version: v1.8.0-beta
    plan_digest: sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef
    who:
      user: "{{ lookup('ansible.builtin.env', 'USER') }}"
      host: "{{ lookup('ansible.builtin.pipe', 'uname -n') }}"
    data:
      stable: {slot: blue, version: v1.7.0}
      candidate: {slot: green, version: v1.8.0-beta}
  register: opened

- name: Take the lock, and read which rollout is open
  levibot.transition.ledger:
    path: /var/lib/levibot/ledger.db
    state: acquired
  register: acquired

- name: Record an intent before the change is made
  levibot.transition.ledger:
    path: /var/lib/levibot/ledger.db
    rollout: "{{ opened.rollout }}"
    entries:
      - kind: intent
        data: {action: weight, step: phase2.step1, weight: 10}

- name: Record the outcome
  levibot.transition.ledger:
    path: /var/lib/levibot/ledger.db
    state: closed
    rollout: "{{ opened.rollout }}"
    outcome: promoted

- name: Write the record of the latest rollout as JSON lines
  levibot.transition.ledger:
    path: /var/lib/levibot/ledger.db
    state: exported
    rollout: latest
    dest: /var/lib/levibot/ledger.jsonl

- name: Fail if anybody has changed the record
  levibot.transition.ledger:
    path: /var/lib/levibot/ledger.db
    state: verified
"""

RETURN = r"""
rollout:
  description: The rollout's id. With O(state=exported) and no O(rollout) it is empty.
  returned: success, unless O(state=verified)
  type: str
  sample: 20261124T112200Z-v1.8.0-beta
entries:
  description:
    - What was recorded, or would be in check mode, without its data.
    - With O(state=exported) and no O(dest), the entries with their data.
  returned: when O(state) is V(opened), V(recorded) or V(closed), or V(exported) without O(dest)
  type: list
  elements: dict
  sample:
    - seq: 7
      kind: intent
      at: "2026-11-24T11:22:00.000Z"
      hash: 7d3bd9bd3f0ea1e8ff4bd9a1c7e98f7b1b8bb3b3c0a8b30a0ea06dbf3a5d7c5e
record:
  description:
    - The entries of the rollout that is open, with their data; of its looks only the last one of each gate, without its samples.
    - Empty where none is open.
  returned: when O(state=acquired)
  type: list
  elements: dict
  sample: []
latest:
  description: The rollout that was opened last, open or not.
  returned: when O(state=acquired)
  type: str
  sample: 20261124T112200Z-v1.8.0-beta
lock:
  description: Who holds the lock, null where nobody does. With O(state=acquired) and without check mode it is this run.
  returned: when O(state) is V(acquired) or V(exported)
  type: dict
  sample:
    rollout: 20261124T112200Z-v1.8.0-beta
    owner: {user: maria, host: ops-1, pid: 4711, start: "815", boot_id: 6f0c2d1e, pid_namespace: "pid:[4026531836]", token: 0a1b2c3d4e5f}
    since: "2026-11-24T11:22:00.000Z"
    heartbeat_at: "2026-11-24T11:30:00.000Z"
    heartbeat_age_seconds: 3.1
holder:
  description: Who holds the lock, as RV(lock).
  returned: when O(state=acquired) was refused
  type: dict
  sample: {}
lost:
  description:
    - How this run has lost its rollout. V(taken_over) by another run, so that it must stop without touching anything; or V(closed) by
      somebody else, such as a rollback, so that it may do nothing but take the traffic back, too.
    - V(orphan) where its ansible-playbook is gone.
  returned: when a writing was refused because of it
  type: str
  sample: taken_over
dest:
  description: The file that holds the lines.
  returned: when O(dest) was given
  type: str
  sample: /var/lib/levibot/ledger.jsonl
chain:
  description: What the verification of the whole ledger found.
  returned: when O(state) is V(exported) or V(verified)
  type: dict
  contains:
    intact:
      description: Whether no entry has been changed, removed or put in between.
      type: bool
    entries:
      description: How many entries are sound, counted from the first.
      type: int
    head:
      description: The hash of the last sound entry. One that was kept elsewhere proves that nothing up to it has changed since.
      type: str
    broken_seq:
      description: The number of the first entry that is broken.
      type: int
    broken_rollout:
      description: The rollout of that entry, where it is known.
      type: str
    reason:
      description: What is wrong with it.
      type: str
  sample:
    intact: true
    entries: 214
    head: 7d3bd9bd3f0ea1e8ff4bd9a1c7e98f7b1b8bb3b3c0a8b30a0ea06dbf3a5d7c5e
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.ledger import entries as ledger_entries
from ansible_collections.levibot.transition.plugins.module_utils.ledger import lock as ledger_lock
from ansible_collections.levibot.transition.plugins.module_utils.ledger import store
from ansible_collections.levibot.transition.plugins.module_utils.ledger.standing import essence

LATEST = "latest"

ARGUMENT_SPEC: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "state": {
        "type": "str",
        "choices": ["acquired", "released", "opened", "recorded", "closed", "exported", "verified"],
        "default": "recorded",
    },
    "rollout": {"type": "str"},
    "entries": {
        "type": "list",
        "elements": "dict",
        "options": {
            "kind": {"type": "str", "required": True, "choices": ["intent", "result", "look", "verdict", "approval", "note"]},
            "at": {"type": "str"},
            "data": {"type": "dict", "required": True},
        },
    },
    "version": {"type": "str"},
    "plan_digest": {"type": "str"},
    "who": {"type": "dict", "options": {"user": {"type": "str", "required": True}, "host": {"type": "str", "required": True}}},
    "owner": {
        "type": "dict",
        "options": {
            **{name: {"type": "str", "required": True} for name in ("user", "host", "start", "boot_id", "pid_namespace")},
            "pid": {"type": "int", "required": True},
            "token": {"type": "str"},
        },
    },
    "stale_seconds": {"type": "float", "default": ledger_lock.STALE_SECONDS},
    "take_over": {"type": "bool", "default": False},
    "gone": {"type": "str", "default": ""},
    "outcome": {"type": "str", "choices": ["promoted", "live", "rolled_back", "failed", "held", "aborted"]},
    "data": {"type": "dict", "default": {}},
    "brief": {"type": "bool", "default": False},
    "dest": {"type": "path"},
}
REQUIRED_IF = [
    ("state", "acquired", ("owner",)),
    ("state", "released", ("owner",)),
    ("state", "opened", ("version", "plan_digest", "who")),
    ("state", "recorded", ("rollout", "entries")),
    ("state", "closed", ("rollout", "outcome")),
]


def acquired(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    owner = ledger_lock.Owner.of(params["owner"])
    how = {name: params[name] for name in ("stale_seconds", "gone", "take_over")}
    with store.Ledger(params["path"], writable=not check_mode) as ledger:
        ledger.check_file()
        before = ledger.lock()
        # What is read is read under the lock, or it could be another run's by the time it is acted upon.
        lock = ledger.would_acquire(owner, **how) if check_mode else ledger.acquire(owner, **how)
        rollout = ledger.open_rollout()
        if rollout and not check_mode:
            lock = ledger.acquire(owner, rollout)
        mine = before is not None and before.owner.token == owner.token
        return {
            "changed": not mine,
            "rollout": rollout or "",
            "latest": ledger.latest_rollout() or "",
            "record": essence(entry.to_dict() for entry in ledger.read(rollout)) if rollout else [],
            "lock": lock.to_dict(store.clock()) if lock else None,
            "chain": _chain(ledger.verify()),
        }


def released(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    owner = ledger_lock.Owner.of(params["owner"])
    with store.Ledger(params["path"], writable=not check_mode) as ledger:
        held = ledger.lock()
        mine = held is not None and held.owner.token == owner.token
        return {"changed": mine if check_mode else ledger.release(owner), "rollout": held.rollout if held else ""}


def opened(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    now = ledger_entries.timestamp()
    base = params["rollout"] or f"{now[:19].replace('-', '').replace(':', '')}Z-{params['version']}"
    data = {**params["data"], "version": params["version"], "plan_digest": params["plan_digest"], "who": params["who"]}
    with store.Ledger(params["path"], writable=not check_mode) as ledger:
        taken = {entry.rollout for entry in ledger.read(kind="opened")}
        if params["rollout"] in taken:
            return {"changed": False, "rollout": base, "entries": []}
        rollout, count = base, 1
        while rollout in taken:
            count += 1
            rollout = f"{base}-{count}"
        return _append(ledger, [ledger_entries.draft(rollout, "opened", data, now)], params, rollout, check_mode)


def recorded(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    drafts = [_draft(index, params["rollout"], item) for index, item in enumerate(params["entries"])]
    with store.Ledger(params["path"], writable=not check_mode) as ledger:
        return _append(ledger, drafts, params, params["rollout"], check_mode)


def closed(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    data = {**params["data"], "outcome": params["outcome"]}
    if params["who"]:
        data["who"] = params["who"]
    item = ledger_entries.draft(params["rollout"], "closed", data)
    with store.Ledger(params["path"], writable=not check_mode) as ledger:
        before = list(ledger.read(params["rollout"], "closed"))
        if before and before[-1].data.get("outcome") == params["outcome"]:
            if not check_mode:
                ledger.append([], _owner(params), ends=params["rollout"])
            return {"changed": False, "rollout": params["rollout"], "entries": []}
        return _append(ledger, [item], params, params["rollout"], check_mode)


def exported(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    with store.Ledger(params["path"], writable=False) as ledger:
        rollout = (ledger.latest_rollout() or "") if params["rollout"] == LATEST else params["rollout"]
        lock = ledger.lock()
        result: dict[str, Any] = {"changed": False, "rollout": rollout or "", "chain": _chain(ledger.verify())}
        result["lock"] = lock.to_dict(store.clock()) if lock else None
        if not params["dest"]:
            entries = [entry.to_dict() for entry in ledger.read(rollout)]
            return {**result, "entries": essence(entries) if params["brief"] else entries}
        return {**result, "dest": params["dest"], "changed": ledger.export(params["dest"], rollout, dry_run=check_mode)}


def verified(params: dict[str, Any], _check_mode: bool) -> dict[str, Any]:
    with store.Ledger(params["path"], writable=False) as ledger:
        chain = ledger.verify()
    result: dict[str, Any] = {"changed": False, "chain": _chain(chain)}
    if not chain.intact:
        result.update(failed=True, msg=_broken(params["path"], result["chain"]))
    return result


STATES = {
    "acquired": acquired,
    "released": released,
    "opened": opened,
    "recorded": recorded,
    "closed": closed,
    "exported": exported,
    "verified": verified,
}


def _draft(index: int, rollout: str, item: dict[str, Any]) -> ledger_entries.Draft:
    try:
        return ledger_entries.draft(rollout, item["kind"], item["data"], item["at"])
    except ledger_entries.EntryError as exc:
        raise ledger_entries.EntryError(f"entries[{index}].{exc}") from exc


def _owner(params: dict[str, Any]) -> ledger_lock.Owner | None:
    return ledger_lock.Owner.of(params["owner"]) if params["owner"] else None


def _append(
    ledger: store.Ledger, drafts: list[ledger_entries.Draft], params: dict[str, Any], rollout: str, check_mode: bool
) -> dict[str, Any]:
    if check_mode:
        entries: list[dict[str, Any]] = [{"kind": item.kind, "at": item.at} for item in drafts]
    else:
        state = params["state"]
        written = ledger.append(drafts, _owner(params), locks=state == "opened", ends=rollout if state == "closed" else "")
        entries = [{"seq": entry.seq, "kind": entry.kind, "at": entry.at, "hash": entry.hash} for entry in written]
    after = "".join(f"{item.at} {item.rollout} {item.kind} {ledger_entries.canonical(item.data)}\n" for item in drafts)
    diff = {"before": "", "after": after, "after_header": str(ledger.path)}
    return {"changed": bool(drafts), "rollout": rollout, "entries": entries, "diff": diff}


def _chain(chain: store.Chain) -> dict[str, Any]:
    return {"intact": chain.intact, **{key: value for key, value in asdict(chain).items() if value is not None}}


def _broken(path: str, chain: dict[str, Any]) -> str:
    return f"ledger {path}: the chain is broken at entry {chain['broken_seq']}: {chain['reason']}; keep the file for the audit"


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, required_if=REQUIRED_IF, supports_check_mode=True)
    try:
        result = STATES[module.params["state"]](module.params, module.check_mode)
    except store.LockedError as exc:
        module.fail_json(msg=str(exc), holder=exc.holder)
    except store.LostError as exc:
        module.fail_json(msg=str(exc), lost=exc.how)
    except (ledger_entries.EntryError, store.LedgerError) as exc:
        module.fail_json(msg=str(exc))
    if not module._diff:
        result.pop("diff", None)
    if result.pop("failed", False):
        module.fail_json(**result)
    if not result.get("chain", {}).get("intact", True):
        module.warn(_broken(module.params["path"], result["chain"]))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
