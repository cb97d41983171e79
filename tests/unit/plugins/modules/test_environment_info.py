# SPDX-License-Identifier: GPL-3.0-or-later
"""environment_info against a docker command line that answers from a table."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from ansible_collections.levibot.transition.plugins.modules import environment_info

PARAMS = {
    "compose_content": "services: {}",
    "compose_path": "prod.yml",
    "services": ["api", "panel"],
    "home": "/nonexistent",
    "project": "levibot-green",
    "ports": [],
    "compose_min_version": "2.24.4",
    "engine_min_version": "20.10",
}


class FakeDocker:
    """Answers by the call's first words that match; everything else works and says nothing."""

    def __init__(self, answers: dict[str, tuple[bool, str]]) -> None:
        self.answers = answers

    def ask(self, *arguments: str, **_options: object) -> tuple[bool, str]:
        line = " ".join(arguments)
        return next((answer for words, answer in self.answers.items() if words in line), (True, ""))


def look(answers: dict[str, tuple[bool, str]], **changed: object) -> dict:
    healthy = {
        "compose version": (True, "v2.30.1"),
        "version --format": (True, "26.1.5"),
        "info": (True, "/srv/docker"),
        "config": (True, "panel\napi\nproxy"),
    }
    return environment_info.look(SimpleNamespace(params={**PARAMS, **changed}), FakeDocker({**healthy, **answers}))


def test_a_healthy_host_has_no_problems():
    seen = look({})
    assert seen == {
        "engine_version": "26.1.5",
        "engine_root": "/srv/docker",
        "compose_version": "v2.30.1",
        "compose_services": ["api", "panel", "proxy"],
        "releases": {},
        "problems": [],
    }


@pytest.mark.parametrize(
    ("answers", "changed", "path", "found"),
    [
        ({"version --format": (False, "Cannot connect")}, {}, "Docker Engine", "Cannot connect"),
        ({"version --format": (True, "19.03.15")}, {}, "Docker Engine", "19.03.15"),
        ({"compose version": (False, "no such command")}, {}, "Docker Compose", "no such command"),
        ({"compose version": (True, "2.20.3")}, {}, "Docker Compose", "2.20.3"),
        ({"config": (False, "yaml: line 3")}, {}, "levibot_compose_file", "yaml: line 3"),
        ({}, {"services": ["api", "worker"]}, "levibot_services", "worker: not among the services of prod.yml (api, panel, proxy)"),
    ],
)
def test_each_obstacle_is_named(answers, changed, path, found):
    (only,) = look(answers, **changed)["problems"]
    assert only["path"] == path
    assert found in only["found"]
    assert only["fix"]


def test_all_obstacles_come_together():
    seen = look({"version --format": (False, "down"), "compose version": (True, "2.0.0"), "config": (False, "bad")})
    assert [problem["path"] for problem in seen["problems"]] == ["Docker Engine", "Docker Compose", "levibot_compose_file"]


def test_a_port_is_a_problem_only_where_another_program_holds_it():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert [problem["path"] for problem in look({}, ports=[port])["problems"]] == ["levibot_slots"]
        assert look({"ps ": (True, f"127.0.0.1:{port}->8000/tcp")}, ports=[port])["problems"] == []
    assert look({}, ports=[port])["problems"] == []


def test_releases_are_read_by_slot(tmp_path):
    for slot, version in {"blue": "v1.7.0", "green": "v1.8.0-beta"}.items():
        (tmp_path / "slots" / slot).mkdir(parents=True)
        (tmp_path / "slots" / slot / "release").write_text(f"{version}\n", encoding="utf-8")
    (tmp_path / "slots" / "data-only").mkdir()
    assert look({}, home=str(tmp_path))["releases"] == {"blue": "v1.7.0", "green": "v1.8.0-beta"}


@pytest.mark.parametrize(("text", "version"), [("v2.24.4-desktop.1", (2, 24, 4)), ("5.6.1", (5, 6, 1)), ("dev", ())])
def test_versions_are_read_as_numbers(text, version):
    assert environment_info.parse_version(text) == version
