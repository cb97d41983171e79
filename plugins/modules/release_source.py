#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release in Git, step by step: looked at, in the changelog, tagged, and with its digests on the tag."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_source
short_description: Tag a release in Git, with its section in the changelog
version_added: 0.4.0
description:
  - Looks at a working tree and its remote, and makes what a release lacks there; the changelog's section, its commit, the annotated tag,
    and a note on the tag. All of it is pushed, and each step is made once.
  - Refuses with all mistakes at once where the tree is not clean, the branch is not pushed, or the tag is at another commit. A tag is never
    moved, and nothing is forced.
  - A run that was killed between any two of the steps is finished by the next one; a changelog that was written and not committed, or
    committed and not pushed, is known as such.
  - Runs where the working tree is, which is the control node. Git asks nobody for a password; keys, agents and credential helpers are the
    user's.
options:
  path:
    description: The working tree's top folder.
    type: str
    required: true
  state:
    description:
      - V(inspected) changes nothing and never fails for what it finds, which is in RV(problems). Only the remote's notes are
        fetched, and the object of a tag that is not here.
      - V(changelog) has the section committed and pushed.
      - V(tagged) has the annotated tag made and pushed.
      - V(noted) has O(note) on the tag in C(refs/notes/levibot-release), pushed. It fails where the tag has another note.
    type: str
    choices: [inspected, changelog, tagged, noted]
    default: inspected
  version:
    description: The tag.
    type: str
    required: true
  remote:
    description: The remote that gets the release.
    type: str
    default: origin
  branch:
    description: The remote's branch that is released; the one that is checked out unless given.
    type: str
    default: ""
  message:
    description: The tag's message.
    type: str
    default: Production-ready release
  signing_key:
    description: Signs the tag with this key, as C(git tag --local-user) takes it. C(gpg.format) of the repository says of which kind it is.
    type: str
    default: ""
  changelog:
    description: The changelog in the working tree. None is kept where this is empty.
    type: str
    default: CHANGELOG.md
  notes:
    description: The section's lines.
    type: list
    elements: str
    default: []
  date:
    description: The section's date, as V(2025-10-16); today's in UTC unless given.
    type: str
    default: ""
  files:
    description: What the release is built from, and which must be in its commit.
    type: list
    elements: str
    default: []
  note:
    description: What O(state=noted) puts on the tag, as JSON.
    type: dict
    default: {}
  timeout_seconds:
    description: How long one call of Git may take.
    type: float
    default: 60
attributes:
  check_mode:
    description: Can run in check mode and says what would be made, without doing so.
    support: full
  diff_mode:
    description: Shows the changelog's difference, and what becomes of the tag.
    support: full
author:
  - levibot.transition contributors (@levibot)
"""

EXAMPLES = r"""
- name: Look at what is to be released
  levibot.transition.release_source:
    path: /srv/levibot
    version: v1.8.0-beta
    notes: [Production-ready ML pipeline]
    files: [Dockerfile.api, Dockerfile.panel]
  register: source

- name: Tag it
  levibot.transition.release_source:
    path: /srv/levibot
    version: v1.8.0-beta
    state: tagged
"""

RETURN = r"""
revision:
  description: The commit that is released. Empty while the changelog's commit is still to be made.
  type: str
  returned: always
  sample: 3f1c0d5e0b6c4b0f8a2f5a0c1d2e3f4a5b6c7d8e
created:
  description: The commit's time in UTC.
  type: str
  returned: always
  sample: "2025-10-16T08:00:00Z"
branch:
  description: The branch that is released.
  type: str
  returned: always
  sample: main
url:
  description: The remote's URL, without a user.
  type: str
  returned: always
  sample: https://git.example.com/levibot.git
tag:
  description: The tag; its C(name), its C(object), whether it is C(signed), and whether the remote has it (C(pushed)).
  type: dict
  returned: always
  sample: {name: v1.8.0-beta, object: 9b2d, signed: false, pushed: true}
note:
  description: The note on the tag; empty where there is none.
  type: dict
  returned: always
  sample: {version: v1.8.0-beta, images: {}}
problems:
  description: What stands in the way, each with where it is, what was found and what to do.
  type: list
  elements: dict
  returned: always
  sample:
    - path: release_source
      found: "not clean: backend/app.py"
      fix: commit and push it, or remove it (git stash -u)
"""

from datetime import datetime, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.release import git


def changelog(module: AnsibleModule, wanted: git.Wanted, found: git.Standing) -> dict[str, Any]:
    lacks = found.text != found.wanted
    changed = lacks or (found.tip != found.head and not found.tag.pushed)
    if changed and not module.check_mode:
        git.write_changelog(wanted, found)
    diff = {"before_header": wanted.changelog, "after_header": wanted.changelog, "before": found.text, "after": found.wanted}
    return {"changed": changed, "diff": diff if lacks else {}}


def tagged(module: AnsibleModule, wanted: git.Wanted, found: git.Standing) -> dict[str, Any]:
    changed = not found.tag.pushed
    before = "" if not found.tag.object else f"{wanted.version} here, and not on {wanted.remote}\n"
    if not module.check_mode:
        if found.text != found.wanted:
            module.fail_json(msg=f"{wanted.changelog} has no section for {wanted.version} yet: state=changelog comes first.")
        git.write_tag(wanted, found)
    return {"changed": changed, "diff": {"before": before, "after": f"{wanted.version} on {wanted.remote}\n"} if changed else {}}


def noted(module: AnsibleModule, wanted: git.Wanted, found: git.Standing) -> dict[str, Any]:
    note = module.params["note"]
    if found.note and git.essence(found.note) != git.essence(note):
        module.fail_json(
            msg=f"The tag {wanted.version} has another release record: found {git.written(found.note)}, wanted {git.written(note)}"
            "It is never replaced; release another version, or remove the note by hand if you know that it is wrong: "
            f"git notes --ref {git.NOTES} remove {wanted.version}, and push that."
        )
    note = found.note or note
    changed = not git.is_note_pushed(wanted, found)
    if changed and not module.check_mode:
        if not found.tag.object:
            module.fail_json(msg=f"There is no tag {wanted.version} yet: state=tagged comes first.")
        git.write_note(wanted, found, note)
    return {"changed": changed, "diff": {"before": git.written(found.note), "after": git.written(note)} if changed else {}}


STATES = {"changelog": changelog, "tagged": tagged, "noted": noted}


def main() -> None:
    names = ("path", "version", "remote", "branch", "message", "signing_key", "changelog", "notes", "files", "timeout_seconds")
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["inspected", *STATES], "default": "inspected"},
            "version": {"type": "str", "required": True},
            "remote": {"type": "str", "default": "origin"},
            "branch": {"type": "str", "default": ""},
            "message": {"type": "str", "default": "Production-ready release"},
            "signing_key": {"type": "str", "default": "", "no_log": False},
            "changelog": {"type": "str", "default": "CHANGELOG.md"},
            "notes": {"type": "list", "elements": "str", "default": []},
            "date": {"type": "str", "default": ""},
            "files": {"type": "list", "elements": "str", "default": []},
            "note": {"type": "dict", "default": {}},
            "timeout_seconds": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    today = datetime.now(timezone.utc).date().isoformat()
    wanted = git.Wanted(**{name: module.params[name] for name in names}, date=module.params["date"] or today)
    found = git.inspect(wanted)
    result: dict[str, Any] = {"changed": False}
    try:
        if module.params["state"] != "inspected":
            if found.problems:
                lines = "\n".join(f"- {item['path']}: found {item['found']}; {item['fix']}" for item in found.problems)
                module.fail_json(msg=f"{wanted.version} cannot be released; nothing was changed.\n{lines}", problems=found.problems)
            result = STATES[module.params["state"]](module, wanted, found)
            if result["changed"] and not module.check_mode:
                found = git.inspect(wanted)  # what is returned was seen
                if found.problems:
                    module.fail_json(msg=f"after {module.params['state']}: {found.problems[0]['found']}", problems=found.problems)
        module.exit_json(**result, **git.facts(wanted, found))
    except (git.GitError, OSError) as problem:
        module.fail_json(msg=f"{wanted.version}: {problem}. What was done so far stays; the next run goes on from there.")


if __name__ == "__main__":
    main()
