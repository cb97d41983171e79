# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each app host is asked at its own address, by whomever: an engine that runs on another one must not be looked for on the first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
APP1, APP2 = "app1.example.com", "app2.example.com"
PLAY = """
- hosts: app_hosts
  gather_facts: false
  vars: {engines_standing: {slot: green, host: app1.example.com}}
  roles: [{role: levibot.transition.engines, when: false}]
  tasks:
    - ansible.builtin.set_fact: {__engines_own_urls: "{{ levibot_api_urls }}"}
    - ansible.builtin.copy:
        dest: "{{ to }}/{{ inventory_hostname }}"
        content: "{{ {'published': __levibot_published, 'others': __engines_other_urls, 'engines': __engines_url} | to_json }}"
        mode: "0600"
"""


def told(directory: Path, **variables: Any) -> dict[str, Any]:
    """What the first host, which speaks for all, takes the addresses to be; of the published ones either host has the same idea."""
    (directory / "play.yml").write_text(PLAY, encoding="utf-8")
    more = {"to": str(directory), "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
    done = subprocess.run(
        [
            *(Path(sys.executable).parent / "ansible-playbook", "-i", ROOT / "inventories/production", directory / "play.yml"),
            *("-e", json.dumps({"levibot_version": "v1", **more, **variables})),
        ],
        cwd=directory,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    first, second = (json.loads((directory / host).read_text(encoding="utf-8")) for host in (APP1, APP2))
    assert (first["published"], first["engines"]) == (second["published"], second["engines"])
    return first


def test_the_production_example(tmp_path: Path) -> None:
    addresses = told(tmp_path)
    assert addresses["engines"] == "http://10.0.0.11:18011"
    assert addresses["published"] == {
        APP1: {"levibot-blue": "http://10.0.0.11:18001", "levibot-green": "http://10.0.0.11:18011"},
        APP2: {"levibot-blue": "http://10.0.0.12:18001", "levibot-green": "http://10.0.0.12:18011"},
    }
    assert addresses["others"] == {
        f"blue on {APP1}": "http://10.0.0.11:18001",
        f"blue on {APP2}": "http://10.0.0.12:18001",
        f"green on {APP2}": "http://10.0.0.12:18011",
    }


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
def test_what_is_published_on_a_loopback_is_asked_by_its_own_host_only(tmp_path: Path, address: str) -> None:
    addresses = told(tmp_path, environment_publish_address=address)
    assert addresses["engines"] == f"http://{address}:18011"
    assert list(addresses["others"]) == [f"blue on {APP1}"]


def test_addresses_of_its_own_come_first(tmp_path: Path) -> None:
    own = {slot: f"http://{{{{ inventory_hostname }}}}/{slot}" for slot in ("blue", "green")}
    assert told(tmp_path, levibot_api_urls=own)["others"][f"green on {APP2}"] == f"http://{APP2}/green"
