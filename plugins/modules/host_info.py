#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Tell a host's clock, time zone and free disk space
version_added: 0.4.0
author:
  - levibot.transition contributors (@levibot)
description:
  - Tells what the collection's checks need of a host, and asks nobody. The action plugin of the same name compares the host's clock with
    the control node's.
options:
  paths:
    description: Where room is needed. Of a path that is not there yet, the folder above it is asked.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    description: Changes nothing, and so does the same in check mode.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Look at the host
  levibot.transition.host_info:
    paths: [/var/lib/levibot, /var/lib/docker]
  register: host
"""

RETURN = r"""
epoch_seconds:
  description: The host's clock.
  returned: always
  type: float
  sample: 1763980800.0
clock_ahead_seconds:
  description: By how much it is ahead of the control node's.
  returned: always
  type: float
  sample: 0.012
clock_uncertainty_seconds:
  description: By how much that can be wrong, since the way to the host takes its time.
  returned: always
  type: float
  sample: 0.2
time_zone:
  description: The name of the host's time zone, or its abbreviation where it has no name.
  returned: always
  type: str
  sample: Etc/UTC
utc_offset_seconds:
  description: What local time is ahead of UTC now.
  returned: always
  type: int
  sample: 0
free_mib:
  description: The free space by path, in MiB, for a user without privileges.
  returned: always
  type: dict
  sample: {/var/lib/docker: 20480}
"""

import shutil
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

ZONES = "zoneinfo/"


def time_zone(localtime: Path, timezone: Path) -> str:
    """Debian has the name in a file and in a link, others in the link alone, and containers in neither."""
    try:
        target = str(localtime.resolve(strict=True))
        if ZONES in target:
            return target.partition(ZONES)[2]
        return timezone.read_text(encoding="utf-8").strip() or time.strftime("%Z")
    except OSError:
        return time.strftime("%Z")


def free_mib(path: Path) -> int:
    there = next(place for place in (path, *path.parents) if place.exists())
    return shutil.disk_usage(there).free // 2**20


def main() -> None:
    module = AnsibleModule(
        argument_spec={"paths": {"type": "list", "elements": "path", "default": []}},
        supports_check_mode=True,
    )
    module.exit_json(
        changed=False,
        time_zone=time_zone(Path("/etc/localtime"), Path("/etc/timezone")),
        utc_offset_seconds=time.localtime().tm_gmtoff,
        free_mib={path: free_mib(Path(path)) for path in module.params["paths"]},
        epoch_seconds=time.time(),
    )


if __name__ == "__main__":
    main()
