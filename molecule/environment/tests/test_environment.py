# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The candidate in green, made from a Compose file that was never meant for two slots."""

from __future__ import annotations

import urllib.request

VERSION = "v1.8.0-beta"


def test_only_the_product_runs(containers, site):
    running = containers("green")
    assert set(running) == {"api", "panel"}, "no database, no dashboard beside it"
    assert {container.name for container in running.values()} == {f"{site.slot('green')}-api-1", f"{site.slot('green')}-panel-1"}
    assert containers("blue") == {}


def test_each_service_is_healthy_and_says_its_version(containers, site):
    for service, container in containers("green").items():
        assert container.attrs["State"]["Health"]["Status"] == "healthy"
        assert container.labels["io.levibot.slot"] == "green"
        assert container.labels["io.levibot.version"] == VERSION
        with urllib.request.urlopen(f"http://127.0.0.1:{site.ports[f'green_{service}']}/", timeout=5) as answer:
            assert answer.read().decode() == f"{service} {VERSION}\n"


def test_ports_are_the_slots_own_on_loopback_only(containers, site):
    for service, inside in (("api", "8000/tcp"), ("panel", "80/tcp")):
        published = containers("green")[service].attrs["HostConfig"]["PortBindings"]
        assert published == {inside: [{"HostIp": "127.0.0.1", "HostPort": str(site.ports[f"green_{service}"])}]}


def test_images_are_named_by_digest(containers, engine, site):
    for service, container in containers("green").items():
        named = container.attrs["Config"]["Image"]
        repository, _, digest = named.partition("@")
        assert repository == f"{site.registry}/levibot/{service}"
        assert digest == engine.images.get_registry_data(f"{repository}:{VERSION}").id
        assert container.attrs["Image"] == engine.images.get(named).id


def test_the_data_directory_is_the_slots_own(containers, site):
    binds = containers("green")["api"].attrs["HostConfig"]["Binds"]
    assert binds == [f"{site.home}/slots/green/data:/app/data:rw"]


def test_the_sites_compose_file_is_kept_unedited(host, site):
    kept = host.file(f"{site.home}/releases/{VERSION}/compose.yml")
    assert kept.content == site.compose_file.read_bytes()
    assert kept.mode == 0o644
    override = host.file(f"{site.home}/releases/{VERSION}/override.green.yml")
    assert override.mode == 0o644


def test_the_token_is_in_one_file_for_the_owner_only(host, site, containers):
    env_file = host.file(f"{site.home}/slots/green/compose.env")
    assert env_file.mode == 0o600
    assert f'ADMIN_TOKEN="{site.token}"' in env_file.content_string
    told = [path for path in site.home.rglob("*") if path.is_file() and site.token.encode() in path.read_bytes()]
    assert told == [site.home / "slots/green/compose.env"]
    assert f"ADMIN_TOKEN={site.token}" in containers("green")["api"].attrs["Config"]["Env"]


def test_variables_take_the_place_of_the_env_file(containers):
    slot = containers("green")
    assert "LEVIBOT_FEED=binance" in slot["api"].attrs["Config"]["Env"]
    assert slot["panel"].attrs["Config"]["Env"] == ["PATH=/bin"], "a service without an env file gets none"


def test_check_mode_on_a_slot_that_never_was_changes_nothing(play, snapshot, site):
    before = snapshot()
    played = play("converge.yml", "--check", "--diff", environment_slot="blue", environment_version="v1.7.0")
    assert played.rc == 0, played.output
    assert snapshot() == before
    shown = played.output
    assert f"127.0.0.1:{site.ports['blue_api']}:8000" in shown, "the override is shown as it would be"
    assert site.token not in shown


def test_a_new_token_reaches_the_slot_by_no_command_line(play, containers, watching):
    token = "rotated'\"$HOME\\and\\'more\\"  # noqa: S105
    before = containers("green")
    with watching(token[:7]) as seen:
        played = play("converge.yml", "-vvv", "--diff", scenario_token=token)
    assert played.rc == 0, played.output
    after = containers("green")
    assert f"ADMIN_TOKEN={token}" in after["api"].attrs["Config"]["Env"]
    assert after["panel"].id == before["panel"].id, "what does not read the token goes on"
    assert {"docker", "docker-compose"} & seen["programs"], "the watch saw Compose"
    assert seen["told"] == set()
    assert token[:7] not in played.output
