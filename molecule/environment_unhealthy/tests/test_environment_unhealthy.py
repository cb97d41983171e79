# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A candidate that starts and never answers its health check, beside a stable release that serves."""

from __future__ import annotations


def test_a_candidate_that_never_becomes_healthy_leaves_nothing(play, containers, engine, site, host):
    def stable():
        return {service: (item.id, item.attrs["State"]["StartedAt"]) for service, item in containers("blue").items()}

    before = stable()
    played = play("candidate.yml")

    assert played.rc != 0
    told = " ".join(played.output.split())
    assert "v1.9.0 was not deployed into green on here; the traffic was not touched." in told
    assert "is unhealthy" in told
    assert "api v1.9.0 starts" in told, "the container's last words"

    assert containers("green") == {}
    assert [network.name for network in engine.networks.list() if network.name.startswith(site.slot("green"))] == []
    assert not host.file(f"{site.home}/slots/green/release").exists, "nobody may think that the slot holds it"
    assert stable() == before
    assert before, "there was a stable release"


def test_a_release_that_is_in_no_registry_changes_nothing(play, snapshot):
    before = snapshot()
    played = play("candidate.yml", environment_version="v9.9.9")
    assert played.rc != 0
    assert "v9.9.9 was not deployed into green on here" in " ".join(played.output.split())
    assert snapshot() == before
