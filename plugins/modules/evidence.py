#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: evidence
short_description: Judge the items of a checklist by their evidence
version_added: 0.4.0
author:
  - levibot.transition contributors (@levibot)
description:
  - Reads, asks or looks up what each item of a checklist rests on, and judges it. The kinds of evidence are described in docs/evidence.md.
  - An item passes when all its evidence passes, or one of it where the item says C(any). What cannot be read, asked or understood never
    passes, and an item without any evidence that is set does not pass either.
  - Runs where the files are, on the control node or on a target. Changes nothing but a temporary folder for the trial restore of a backup,
    which is gone when the module is through.
  - An item that does not pass is no failure of the module. A mistake in O(items) is, with all mistakes at once.
requirements:
  - Python 3.9 or newer
  - jmespath, for conditions on documents
  - icalendar and recurring-ical-events, for schedules in an ICS file only
options:
  items:
    description: The items, each with C(id), C(name), C(evidence), and C(any) where one evidence is enough.
    type: list
    elements: dict
    required: true
  subject:
    description: What is to be released.
    type: dict
    required: true
    suboptions:
      version:
        description: Its tag.
        type: str
        required: true
      revision:
        description: Its commit.
        type: str
        default: ""
      images:
        description: The digest of each service's image that is to be deployed.
        type: dict
        default: {}
      image_ids:
        description: The id of each service's image (the digest of its configuration), by which a scanner knows one that it did not pull.
        type: dict
        default: {}
      stable_version:
        description: The version that serves now.
        type: str
        default: ""
      idle_version:
        description: The version in the other slot.
        type: str
        default: ""
  slos:
    description: The SLOs by the name of their check, each an operator and a limit, such as V(< 0.1%).
    type: dict
    default: {}
  records:
    description: Entries of the ledger, as M(levibot.transition.ledger) returns them. For kinds C(approval), C(attestation) and C(ledger).
    type: list
    elements: dict
    default: []
  approvers:
    description: Who may approve and attest. Nobody named means that anybody may.
    type: list
    elements: str
    default: []
  approvals:
    description: How many different people must approve.
    type: int
    default: 1
  prometheus_url:
    description: Where Prometheus answers, for the kind C(prometheus).
    type: str
    default: ""
  tokens:
    description: Tokens by name, for schedules (V(pagerduty), V(opsgenie)) and for HTTP evidence that names one.
    type: dict
    default: {}
  timeout_seconds:
    description: How long each call may take.
    type: float
    default: 10
  observed:
    description:
      - What was read elsewhere, for the kinds of evidence of Phase 4. Each part may be C(problem) and C(fix) instead.
    type: dict
    default: {}
    suboptions:
      period:
        description: C(started) (T+0), C(served) and C(ends) in seconds since the epoch, C(slot) and C(stable).
        type: dict
        default: {}
      live:
        description:
          - Of the live trading C(host), C(slot), C(baseline), C(engines) (by symbol their capital), C(starts) (by symbol when each start
            was, and with what capital), C(sides), C(limits), C(since), and C(elsewhere), what has traded in another book.
        type: dict
        default: {}
      books:
        description: C(raw), the books as M(levibot.transition.books_info) returns them, and C(fee_ratio).
        type: dict
        default: {}
      apps:
        description:
          - By app host C(slots) as M(levibot.transition.slot_info) returns them, C(audit) as M(levibot.transition.audit_info) does, and the
            C(problem) where the host could not be asked.
        type: dict
        default: {}
      chain:
        description: C(intact), C(entries), C(head), C(broken_seq) and C(reason) as M(levibot.transition.ledger) returns them.
        type: dict
        default: {}
  now:
    description: The moment of the verdict in seconds since the epoch. The present unless given.
    type: float
attributes:
  check_mode:
    description: Only reads, so check mode makes no difference. Commands of the plan run in check mode, too.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
"""

EXAMPLES = r"""
- name: Judge two items
  levibot.transition.evidence:
    items:
      - id: approved
        name: GO/NO-GO decision approved
        evidence: [{kind: approval}]
      - id: slos
        name: All SLOs met in soak test
        evidence:
          - kind: report
            path: /srv/soak/$version.json
            max_age: 7d
            at: ended_at
            conditions: [{value: hours, must: ">= 24"}, {value: version, must: "== $version"}]
    subject: {version: v1.8.0-beta}
    records: "{{ phase1.entries }}"
    approvers: [maria, ivo]
    approvals: 2
  register: judged
"""

RETURN = r"""
items:
  description:
    - Each item with C(id), C(name), C(passed), a C(text) that says why, and its C(evidence).
    - Each evidence has C(kind), C(source), C(passed), C(found), C(wanted), C(at) (ISO 8601 or null), C(age_seconds) (or null), C(problem)
      (empty where it passed) and C(fix).
  returned: always
  type: list
  elements: dict
  sample:
    - id: approved
      name: GO/NO-GO decision approved
      passed: true
      text: "approval: maria: soak was clean"
      evidence:
        - kind: approval
          source: the ledger
          passed: true
          found: "maria: soak was clean"
          wanted: 1 approval of v1.8.0-beta by maria, ivo
          at: "2026-11-27T10:00:00Z"
          age_seconds: 3600
          problem: ""
          fix: ""
passed:
  description: Whether every item passed, and there is one.
  returned: always
  type: bool
  sample: true
approvals:
  description: Who approved this version, C(reason), C(at), C(until), and C(why_not) where it does not count.
  returned: always
  type: list
  elements: dict
  sample: [{who: maria, reason: soak was clean, at: "2026-11-27T10:00:00.000Z", until: "", why_not: ""}]
now:
  description: The moment that was judged at, in seconds since the epoch.
  returned: always
  type: float
  sample: 1795780800.0
"""

import signal
import sys
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.evidence.judge import judge, read_item
from ansible_collections.levibot.transition.plugins.module_utils.evidence.model import Case
from ansible_collections.levibot.transition.plugins.module_utils.evidence.records import GO, said
from ansible_collections.levibot.transition.plugins.module_utils.plan.problems import Report

ARGUMENTS: dict[str, Any] = {
    "items": {"type": "list", "elements": "dict", "required": True},
    "subject": {
        "type": "dict",
        "required": True,
        "options": {
            "version": {"type": "str", "required": True},
            "revision": {"type": "str", "default": ""},
            "images": {"type": "dict", "default": {}},
            "image_ids": {"type": "dict", "default": {}},
            "stable_version": {"type": "str", "default": ""},
            "idle_version": {"type": "str", "default": ""},
        },
    },
    "slos": {"type": "dict", "default": {}},
    "records": {"type": "list", "elements": "dict", "default": []},
    "approvers": {"type": "list", "elements": "str", "default": []},
    "approvals": {"type": "int", "default": 1},
    "prometheus_url": {"type": "str", "default": ""},
    "tokens": {"type": "dict", "default": {}, "no_log": True},
    "timeout_seconds": {"type": "float", "default": 10},
    "observed": {
        "type": "dict",
        "default": {},
        "options": {
            **{name: {"type": "dict", "default": {}} for name in ("period", "live", "books", "apps", "chain")},
        },
    },
    "now": {"type": "float"},
}


def main() -> None:
    # A run that is stopped takes its temporary folder with it: `finally` does not run at a bare SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    report = Report()
    items = [
        read_item(item, lambda *keys, number=number: ".".join((f"items[{number}]", *keys)), report)
        for number, item in enumerate(params["items"])
    ]
    if params["approvals"] < 1:
        report.add("approvals", params["approvals"], "write a whole number from 1 upwards")
    if report.problems:
        told = "\n".join(["the items cannot be judged.", *(f"- {problem}" for problem in report.problems)])
        module.fail_json(msg=told, problems=[problem.to_dict() for problem in report.problems])
    case = Case(
        **params["subject"],
        now=params["now"] or time.time(),
        slos=params["slos"],
        records=tuple(params["records"]),
        observed=params["observed"],
        approvers=tuple(params["approvers"]),
        approvals=params["approvals"],
        prometheus_url=params["prometheus_url"],
        tokens=params["tokens"],
        timeout_seconds=params["timeout_seconds"],
    )
    judged = judge(items, case)
    module.exit_json(
        changed=False,
        items=judged,
        passed=bool(judged) and all(item["passed"] for item in judged),
        approvals=[one.to_dict() for one in said(case, GO, GO)],
        now=case.now,
    )


if __name__ == "__main__":
    main()
