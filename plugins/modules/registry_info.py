#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a registry, through the Docker Engine, for the digests of tags."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_info
short_description: Ask a registry which digests it has under a release's tag
version_added: 0.4.0
description:
  - Has the Docker Engine ask the registry, as it would for a pull, and fetches nothing. C(DOCKER_HOST) and C(DOCKER_CONFIG) are as for
    the docker command line.
  - What cannot be asked is returned with its problem, and is no failure of the module, so that a preflight can put all mistakes into one
    message.
options:
  images:
    description: The image repositories to ask for, by service.
    type: dict
    required: true
  tag:
    description: The tag.
    type: str
    required: true
  username:
    description: The login at the registry. That of the Docker configuration, with its credential helpers, unless given.
    type: str
    default: ""
  password:
    description: The login's password. It goes to the Engine in a header and nowhere else.
    type: str
    default: ""
  timeout_seconds:
    description: How long the Engine may take to answer.
    type: float
    default: 30
attributes:
  check_mode:
    description: Runs the same in check mode, since it changes nothing.
    support: full
  diff_mode:
    description: Nothing changes, so there is no difference to show.
    support: none
author:
  - levibot.transition contributors (@levibot)
"""

EXAMPLES = r"""
- name: Ask for the release's digests
  levibot.transition.registry_info:
    images: {api: registry.example.com/levibot/api}
    tag: v1.8.0-beta
  register: registry
"""

RETURN = r"""
images:
  description:
    - By service the C(digest), empty where the registry has no such tag, and C(problem), empty where it could be asked.
    - Where the engine has that very image (C(fetched)), its C(id) and C(labels).
  type: dict
  returned: always
  sample:
    api:
      image: registry.example.com/levibot/api
      tag: v1.8.0-beta
      digest: sha256:0f3a
      id: sha256:77b2
      fetched: true
      labels: {org.opencontainers.image.revision: 3f1c0d5}
      problem: ""
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.docker_engine import Engine, EngineError
from ansible_collections.levibot.transition.plugins.module_utils.release.registry import login_of, look, registry_of


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "images": {"type": "dict", "required": True},
            "tag": {"type": "str", "required": True},
            "username": {"type": "str", "default": ""},
            "password": {"type": "str", "default": "", "no_log": True},
            "timeout_seconds": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    try:
        engine = Engine(os.environ.get("DOCKER_HOST", ""), wanted["timeout_seconds"])
    except EngineError as problem:
        module.fail_json(msg=str(problem))
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    images = {}
    for service, repository in wanted["images"].items():
        registry = registry_of(repository)
        given = {"username": wanted["username"], "password": wanted["password"], "serveraddress": registry}
        images[service] = look(engine, repository, wanted["tag"], given if wanted["username"] else login_of(folder, registry))
    module.exit_json(changed=False, images=images)


if __name__ == "__main__":
    main()
