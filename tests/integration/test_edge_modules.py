# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules against a real Caddy: the effect is seen or undone, and what is wrong is told."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.edge import change
from ansible_collections.levibot.transition.plugins.module_utils.edge.files import SplitError, SplitFiles
from ansible_collections.levibot.transition.plugins.module_utils.edge.inspect import Edge, inspect
from ansible_collections.levibot.transition.plugins.module_utils.edge.split import Canary, Split
from ansible_collections.levibot.transition.plugins.module_utils.edge.verify import see

from .edge_bed import Bed, bed, caddy_binary, free_ports

NOTHING = dict.fromkeys(("candidate", "weight", "expires_in_seconds", "stable", "canary", "expect_weight")) | {"tolerance_seconds": 1}


@pytest.fixture(scope="module", params=[True, False], ids=["sticky", "not sticky"])
def edge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with bed(tmp_path_factory.mktemp("edge"), edge_sticky=request.param) as made:
        yield made


def call(edge: Bed, *, files: SplitFiles | None = None, metrics: str = "metrics", **params: Any) -> dict[str, Any]:
    files = files or edge.files
    verify = {
        "url": edge.url("site"), "metrics_url": edge.url(metrics, "/metrics"), "host": "", "validate_certs": True,
        "timeout_seconds": 1.0, "sticky": edge.variables["edge_sticky"],
    }  # fmt: skip
    result: dict[str, Any] = {}
    directories = {"run_dir": str(files.run_dir), "lib_dir": str(files.lib_dir)}
    change.run({**NOTHING, **directories, **params}, check_mode=False, result=result, see=partial(see, verify))
    return result


def looked_at(edge: Bed) -> Edge:
    return Edge(
        run_dir=edge.variables["edge_run_dir"],
        lib_dir=edge.variables["edge_lib_dir"],
        caddy_binary=caddy_binary(),
        caddyfile=edge.variables["edge_caddyfile"],
        snippet_dir=edge.variables["edge_snippet_dir"],
        slots={slot: edge.url(slot) for slot in ("blue", "green")},
        site_url=edge.url("site"),
        metrics_url=edge.url("metrics", "/metrics"),
        sticky=edge.variables["edge_sticky"],
        expiry_mechanism="external",
    )


@pytest.mark.parametrize("stable", ["blue", "green"])
def test_each_weight_is_seen_at_the_slots_own_counters(edge: Bed, stable: str) -> None:
    candidate = "green" if stable == "blue" else "blue"
    call(edge, stable=stable)
    for weight in (10.0, 50.0, 100.0):
        result = call(edge, candidate=candidate, weight=weight, expires_in_seconds=60.0)
        assert result["seen"]["ok"]
        assert result["seen"]["counted"][candidate] >= result["seen"]["answers"][candidate] > 0
    assert call(edge, canary="absent")["seen"]["answers"][candidate] == 0


def test_what_caddy_does_not_follow_is_put_back(edge: Bed, tmp_path: Path) -> None:
    elsewhere = SplitFiles(str(tmp_path), str(tmp_path))
    call(edge, stable="blue")
    elsewhere.write_stable("blue")
    before = Split("blue", Canary(655, int(time.time()) + 300))
    elsewhere.write_canary(before.canary)
    with pytest.raises(SplitError, match=r"does not follow.*put back to: green 1\.0 %"):
        call(edge, files=elsewhere, candidate="green", weight=60.0, expires_in_seconds=60.0)
    assert elsewhere.read() == before
    with pytest.raises(SplitError, match=r"put back to: green 1\.0 %"):
        call(edge, files=elsewhere, stable="green")
    assert elsewhere.read() == before


def test_a_withdrawal_is_never_undone(edge: Bed, tmp_path: Path) -> None:
    elsewhere = SplitFiles(str(tmp_path), str(tmp_path))
    call(edge, stable="green")
    elsewhere.write_stable("blue")
    elsewhere.write_canary(Canary(655, int(time.time()) + 300))
    with pytest.raises(SplitError, match="left as written"):
        call(edge, files=elsewhere, canary="absent")
    assert elsewhere.read() == Split("blue")


def test_answers_that_the_counters_do_not_know_are_no_proof(edge: Bed) -> None:
    call(edge, stable="blue")
    with pytest.raises(SplitError, match="its own counter moved by 0"):
        call(edge, metrics="site", candidate="green", weight=50.0, expires_in_seconds=60.0)
    assert edge.files.read() == Split("blue")


def test_a_sound_edge_has_no_problem(edge: Bed) -> None:
    call(edge, stable="blue")
    Path(edge.variables["edge_run_dir"], "expiry.heartbeat").touch()
    report = inspect(looked_at(edge))
    assert report.problems == []
    assert report.caddyfile_adapts
    assert report.split_answers == {"blue": True, "green": True}


def test_everything_wrong_is_told_at_once(edge: Bed, tmp_path: Path) -> None:
    dead, dead_too, dead_three = (f"http://127.0.0.1:{port}/" for port in free_ports(3))
    heartbeat = tmp_path / "expiry.heartbeat"
    heartbeat.touch()
    os.utime(heartbeat, (1, 1))
    (tmp_path / "stable").write_text("199a")
    (tmp_path / "canary").write_text("much")
    (tmp_path / "Caddyfile").write_text("http://127.0.0.1:1 {\n\trespond ok\n}\n")
    old = tmp_path / "caddy"
    old.write_text(f'#!/bin/sh\n[ "$1" = version ] && echo 2.6.2 || exec {caddy_binary()} "$@"\n')
    old.chmod(0o755)
    broken = replace(
        looked_at(edge), run_dir=str(tmp_path), lib_dir=str(tmp_path), caddyfile=str(tmp_path / "Caddyfile"), caddy_binary=str(old),
        slots={"blue": dead, "green": edge.url("blue")}, site_url=dead_too, metrics_url=dead_three, admin_url=dead_three,
    )  # fmt: skip
    problems = {(problem.path, problem.found.partition(": ")[0].split(" ")[0]) for problem in inspect(broken).problems}
    assert {path for path, _found in problems} == {
        "edge_lib_dir", "edge_run_dir", "edge_caddy_binary", "edge_caddyfile", "edge_metrics_url", "edge_admin", "edge_expiry_mechanism",
        "levibot_slots.blue.listen", "levibot_slots.green.listen",
    }  # fmt: skip
    assert all(problem.fix for problem in inspect(broken).problems)


def test_an_edge_that_does_not_split_is_told(edge: Bed) -> None:
    call(edge, stable="blue")
    problems = inspect(replace(looked_at(edge), site_url=edge.url("green"))).problems
    assert "edge_site_url" in {problem.path for problem in problems}
