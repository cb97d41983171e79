# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""v1.8.0-beta serves from blue, v1.7.0 was stopped in green, v1.6.0 was stopped before that."""

from __future__ import annotations

import json

import docker.errors
import pytest


def test_the_old_slot_is_stopped_and_the_other_serves(containers, engine, site):
    assert containers("green") == {}
    assert [network.name for network in engine.networks.list() if network.name.startswith(site.slot("green"))] == []
    running = containers("blue")
    assert {service: item.attrs["State"]["Health"]["Status"] for service, item in running.items()} == {"api": "healthy"}
    assert running["api"].labels["io.levibot.version"] == "v1.8.0-beta"


def test_the_way_back_is_kept(host, engine, site):
    release = site.home / "releases/v1.7.0"
    for name in ("compose.yml", "override.green.yml", "release.json"):
        assert host.file(str(release / name)).is_file
    for kept in ("compose.env", "release", "data"):
        assert host.file(str(site.home / "slots/green" / kept)).exists
    images = json.loads((release / "release.json").read_text())["images"]
    for image in images.values():
        assert engine.images.get(image["digest"]).id == image["id"]


def test_what_is_older_is_gone(host, engine, site):
    assert not host.file(str(site.home / "releases/v1.6.0")).exists
    assert sorted(path.name for path in (site.home / "releases").iterdir()) == ["v1.7.0", "v1.8.0-beta"]
    with pytest.raises(docker.errors.ImageNotFound):
        engine.images.get(f"{site.registry}/levibot/api:v1.6.0")


def test_other_products_keep_their_images(engine, site):
    same_image = engine.images.get(f"{site.registry}/other/same-image:1")
    same_layers = engine.images.get(f"{site.registry}/other/same-layers:1")
    assert same_image.attrs["RootFS"] == same_layers.attrs["RootFS"]
    assert same_image.id != same_layers.id


def test_the_slot_that_serves_is_not_stopped(play, snapshot):
    before = snapshot()
    played = play("refused.yml")
    assert played.rc != 0
    assert "blue still serves on edge here" in " ".join(played.output.split())
    assert snapshot() == before
