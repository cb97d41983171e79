# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be built, what is there already, and what is somebody else's."""

from __future__ import annotations

import base64
import json

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.release.registry import HUB, REVISION, login_of, registry_of, standing

AUTH = base64.b64encode(b"levi:a:b").decode()
VERSION, HEAD = "v1.8.0-beta", "c0ffee"


def seen(digest="", revision=None, problem="", fetched=True):
    labels = {REVISION: revision} if revision else {}
    return {"api": {"image": "levibot/api", "digest": digest, "labels": labels, "fetched": fetched and bool(digest), "problem": problem}}


def record(digest):
    return {"api": {"digest": digest}}


@pytest.mark.parametrize(
    ("looked", "revision", "records", "build"),
    [
        (seen(), HEAD, [], ["api"]),
        (seen(), "", [], ["api"]),
        (seen("sha256:1", HEAD), HEAD, [], []),
        (seen("sha256:1", HEAD), HEAD, [record("sha256:1")], []),
        (seen("sha256:1", "other"), HEAD, [record("sha256:1"), {}], []),  # what was recorded was proven then
        (seen("sha256:1", fetched=False), HEAD, [], []),  # check mode
        (seen("sha256:1"), "", [record("sha256:1"), record("sha256:1")], []),
    ],
)
def test_what_is_there_is_not_built_again(looked, revision, records, build):
    assert standing(looked, VERSION, revision, records) == {"build": build, "problems": []}


@pytest.mark.parametrize(
    ("looked", "revision", "records", "words"),
    [
        (seen("sha256:1", "other"), HEAD, [], "built from other and not from c0ffee"),
        (seen("sha256:1"), HEAD, [], "a revision that it does not name"),
        (seen("sha256:1", "other"), "", [], "Git has no such release"),
        (seen("sha256:1", HEAD, fetched=False), "", [], "Git has no such release"),
        (seen("sha256:2", HEAD), HEAD, [record("sha256:1")], "is sha256:2 in the registry, and was released as sha256:1"),
        (seen(), HEAD, [record("sha256:1")], "is gone in the registry"),
        (seen("sha256:1", HEAD), HEAD, [record("sha256:1"), record("sha256:2")], "different digests: sha256:1, sha256:2"),
        (seen(problem="connection refused"), HEAD, [record("sha256:1")], "connection refused"),
    ],
)
def test_what_is_somebody_elses_is_refused(looked, revision, records, words):
    found = standing(looked, VERSION, revision, records)
    assert found["build"] == []
    [problem] = found["problems"]
    assert problem["path"] == "levibot_services.api.image"
    assert words in problem["found"]
    assert problem["fix"]


@pytest.mark.parametrize(
    ("repository", "registry"),
    [
        ("levibot/api", HUB),
        ("api", HUB),
        ("localhost/levibot/api", "localhost"),
        ("127.0.0.1:5000/levibot/api", "127.0.0.1:5000"),
        ("registry.example.com/api", "registry.example.com"),
    ],
)
def test_an_images_registry(repository, registry):
    assert registry_of(repository) == registry


@pytest.mark.parametrize(
    ("config", "login"),
    [
        ({"auths": {"r:1": {"auth": AUTH}}}, {"username": "levi", "password": "a:b", "serveraddress": "r:1"}),
        ({"auths": {"https://r:1": {"auth": AUTH}}}, {"username": "levi", "password": "a:b", "serveraddress": "r:1"}),
        ({"auths": {"r:1": {"auth": "", "identitytoken": "t"}}}, {"identitytoken": "t", "serveraddress": "r:1"}),
        ({"auths": {"other": {"auth": AUTH}}}, {}),
        ({"auths": {"r:1": {"auth": "%%%"}}}, {}),
        ({"auths": {"r:1": {}}}, {}),
        ({}, {}),
        ({"credsStore": "that-is-not-there"}, {}),
    ],
)
def test_the_login_of_a_docker_configuration(tmp_path, config, login):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert login_of(tmp_path, "r:1") == login


def test_a_configuration_that_is_none_has_no_login(tmp_path):
    assert login_of(tmp_path, "r:1") == {}
    (tmp_path / "config.json").write_text("{")
    assert login_of(tmp_path, "r:1") == {}


def test_a_credential_helper_is_asked(tmp_path, monkeypatch):
    helper = tmp_path / "docker-credential-test"
    helper.write_text('#!/bin/sh\n[ "$(cat)" = r:1 ] && echo \'{"Username": "levi", "Secret": "x"}\'\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {"r:1": "test"}}))
    assert login_of(tmp_path, "r:1") == {"username": "levi", "password": "x", "serveraddress": "r:1"}
