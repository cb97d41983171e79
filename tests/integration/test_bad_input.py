# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes, as an operator makes them: all in one error, each with its path, what was found and what to do, before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .daemons import free_port
from .edge_bed import caddy_binary
from .site import TOKEN, Outcome, Site, site

pytestmark = pytest.mark.docker

Expected = dict[str, tuple[str, str]]

INVENTORY: dict[str, Any] = {
    "levibot_plan_overrides": {"phase2": {"steps": {"step1": {"weight": 130, "window": "30 min", "gaet": []}}}},
    "levibot_versoin": "v2",
    "levibot_admin_token": "",
    "rollout_candidate": "purple",
}
FREEZE = {"from": "2020-01-01T00:00:00+01:00", "until": "2999-01-01T00:00:00+01:00", "why": "for good"}
STEP1 = "levibot_plan_overrides.phase2.steps.step1"
OF_INVENTORY: Expected = {
    f"{STEP1}.weight": ("130", "write a whole number from 1 to 100"),
    f"{STEP1}.window": ("30 min", "write 30m"),
    f"{STEP1}.gaet": ("an unknown key", "did you mean gate?"),
    "levibot_versoin": ("a variable that no role has", "did you mean levibot_version?"),
    "levibot_admin_token": ("nothing", "give the admin token of LeviBot's API, from a vault"),
    "rollout_candidate": ("purple", "write blue or green: there are no other slots"),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as one:
        yield one


@pytest.fixture
def refused(sound: Site):
    """Run the playbook with these mistakes, which must end it in one error with nothing changed, and compare what it says."""

    def run(mistakes: dict[str, Any], expected: Expected) -> Outcome:
        before = sound.state()
        outcome = sound.run(**mistakes)
        assert outcome.rc != 0
        assert sound.state() == before
        assert len(outcome.errors) == 1, outcome.output
        assert set(outcome.mistakes) == set(expected), outcome.errors[0]
        for path, (found, fix) in expected.items():
            assert found in outcome.mistakes[path][0]
            assert fix in outcome.mistakes[path][1]
        count = "1 mistake" if len(expected) == 1 else f"{len(expected)} mistakes"
        assert f"{count} found; nothing was changed." in outcome.errors[0]
        assert TOKEN not in outcome.output
        return outcome

    return run


@pytest.fixture
def of_hosts(tmp_path: Path, sound: Site) -> tuple[dict[str, Any], Expected]:
    """What shows only where somebody looks: on the app host, on the edge, and at the sources."""
    compose = tmp_path / "compose.yml"
    compose.write_text("services: {web: {image: nginx}}\n")
    plain = tmp_path / "Caddyfile"
    plain.write_text("http://127.0.0.1:1 {\n\trespond hello\n}\n")
    old = tmp_path / "caddy"
    old.write_text(
        f'#!/bin/sh\n[ "$1" = version ] && echo "v2.6.2 h1:wKoFIxpmOJLGl3QXoo6PNbYvGW4xLEgo32GPBEjWL8o=" || exec {caddy_binary()} "$@"\n'
    )
    old.chmod(0o755)
    nobody = f"http://127.0.0.1:{free_port()}"
    mistakes = {
        "levibot_compose_file": str(compose),
        "levibot_prometheus_url": nobody,
        "edge_caddyfile": str(plain),
        "edge_caddy_binary": str(old),
    }
    return mistakes, {
        "levibot_services": (f"api, panel: not among the services of {compose} (web)", "name services that the Compose file has"),
        "levibot_prometheus_url": (f"{nobody}/api/v1", "set it to where the server answers the controller (levibot_observe_from)"),
        "edge_caddyfile": (f"{plain} does not name the slots' servers", "`import levibot_split` inside your site"),
        "edge_caddy_binary": ("Caddy 2.6.2, which the split is not tested with", "install Caddy >=2.10"),
    }


def test_mistakes_of_the_inventory(refused, tmp_path):
    absent = str(tmp_path / "absent.yml")
    missing = {"levibot_compose_file": (f"{absent}, which is no file on the control node", "write the path of the Compose file")}
    refused({**INVENTORY, "levibot_compose_file": absent}, {**OF_INVENTORY, **missing})


def test_mistakes_of_hosts_and_sources(refused, of_hosts):
    refused(*of_hosts)


def test_without_a_go_and_in_a_freeze(refused):
    nobody = f"http://127.0.0.1:{free_port()}"
    refused(
        {"preflight_override_who": "", "preflight_freezes": [FREEZE], "levibot_prometheus_url": nobody},
        {
            "the GO": ("no GO for v1.8.0-beta is in the ledger", "run playbooks/phase1_predeploy.yml"),
            "preflight_override_who": ("nothing", "an override needs a name and a reason"),
            "preflight_freezes": ("for good", "start after 2998-12-31 23:00 UTC"),
            "levibot_prometheus_url": (f"{nobody}/api/v1", "set it to where the server answers"),
        },
    )


def test_a_slot_of_another_colour(refused, sound):
    slots = dict(sound.edge.variables["levibot_slots"])
    slots["purple"] = slots.pop("green")
    expected = {
        "levibot_slots.purple": ("a colour that does not exist", "the slots are blue and green"),
        "levibot_slots.green": ("nothing", "write listen and ports of this slot, too"),
    }
    outcome = refused({"levibot_slots": slots}, expected)
    assert "Edges and app hosts were not looked at yet" in outcome.errors[0]


def test_everything_at_once_with_a_caddy_that_does_not_run(refused, of_hosts, sound):
    mistakes, expected = of_hosts
    own = {name: value for name, value in mistakes.items() if name != "edge_caddyfile"}
    down = (f"Caddy does not run with {sound.directory}/Caddyfile", "start Caddy")
    sound.edge.stop()
    try:
        refused({**INVENTORY, **own}, {**OF_INVENTORY, **expected, "edge_caddyfile": down})
    finally:
        sound.edge.start()


def test_without_a_mistake_check_mode_shows_the_rollout_and_changes_nothing(sound):
    """The candidate was never deployed here, and its images are in no registry: to show what would change needs neither."""
    before = sound.state()
    outcome = sound.run("--check", "--diff", levibot_plan_overrides={"phase2": {"steps": {"step1": None, "step2": None}}})
    assert outcome.rc == 0, outcome.output
    assert sound.state() == before
    assert f'+      - "127.0.0.1:{sound.edge.ports["green_api"]}:8000"' in outcome.output
    assert "+green 100.0 % (stable)" in outcome.output
    assert TOKEN not in outcome.output


def test_an_override_says_all_that_it_passes_over(sound):
    outcome = sound.run("--check", preflight_freezes=[FREEZE])
    assert outcome.rc == 0, outcome.output
    said = " ".join(outcome.output.split())
    assert "WITHOUT A GO (no GO for v1.8.0-beta is in the ledger; a freeze from 2019-12-31 23:00 UTC: for good): the tests" in said
