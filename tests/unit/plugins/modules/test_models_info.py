# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""models_info on a directory of its own, with instances that answer from a table."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.models import Card, Container
from ansible_collections.levibot.transition.plugins.modules import models_info

OLD, NEW = "2025-10-14", "2025-10-16"
DEFAULTS = {name: option.get("default") for name, option in models_info.ARGUMENT_SPEC.items()}
QUIET = {"engines": {"engines": []}, "status": {"mode": "paper"}}


class FakeHost(models_info.Host):
    """The directory is real, the engine and the API are not."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self.wanted = {**DEFAULTS, **wanted}
        self.started_at = 4e9
        self.cards: dict[str, Card] | None = dict.fromkeys(("lgbm", "tft"), Card(OLD, True))
        self.running = True
        self.status: Any = QUIET["status"]
        self.counts = iter(range(1000))

    def containers(self) -> list[Container]:
        return [Container("api-1", "172.18.0.2", self.running, "healthy", self.started_at)]

    def ask(self, _container: Container) -> dict[str, Any]:
        return {"problems": [], "cards": self.cards, **QUIET, "status": self.status, "inferences": self.inferences(None)}

    def inferences(self, _container: Any) -> float | None:
        return next(self.counts)


@pytest.fixture
def host(tmp_path):
    for date in (OLD, NEW):
        (tmp_path / date).mkdir()
    (tmp_path / "current").symlink_to(OLD)
    return FakeHost({"project": "levibot-blue", "port": 8000, "dir": str(tmp_path), "date": OLD})


def look(host):
    now = iter(range(10_000))
    return models_info.look(host, clock=lambda: next(now), sleep=lambda _seconds: None)


def paths(seen):
    return [item["path"] for item in seen["mistakes"]]


def test_what_is_as_wanted_is_verified(host):
    seen = look(host)
    assert (seen["verified"], seen["unverified"], seen["mistakes"]) == (True, [], [])
    assert (seen["directories"], seen["links"], seen["wanted_links"]) == ([OLD, NEW], {"current": OLD}, {"current": OLD})
    assert seen["loaded"] == {"lgbm": OLD, "tft": OLD}
    assert "Not proven: which file" in seen["proof"]


def test_the_newest_directory_proves_less(host):
    host.wanted["date"] = NEW
    assert "is the newest directory, whose card a release may show in any case" in look(host)["proof"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda host: setattr(host, "cards", {"lgbm": Card(OLD, True), "tft": Card(OLD, False)}), "found: false"),
        (lambda host: setattr(host, "started_at", 1.0), "was started before the links were last changed"),
        (lambda host: setattr(host, "counts", iter([7] * 1000)), "levi_inference_latency_seconds_count stood still for 60 s"),
        (lambda host: setattr(host, "counts", iter([None] * 1000)), "it exports no levi_inference_latency_seconds_count"),
        (lambda host: setattr(host, "containers", list), "there is no container of api"),
    ],
)
def test_what_is_not_as_wanted_is_named(host, change, reason):
    change(host)
    seen = look(host)
    assert not seen["verified"]
    assert reason in " ".join(seen["unverified"])


@pytest.mark.parametrize(("problems", "waited"), [([], 15), (["it does not run"], 100)])
def test_a_model_that_is_not_found_is_waited_for_only_while_it_may_be_loading(host, monkeypatch, problems, waited):
    host.wanted["wait_seconds"] = 100
    host.cards = {"lgbm": Card(OLD, False)}
    answer = {**host.ask(None), "problems": problems}
    monkeypatch.setattr(host, "ask", lambda _container: answer)
    slept = []
    assert not models_info.look(host, clock=lambda: len(slept), sleep=slept.append)["verified"]
    assert len(slept) == waited


def test_no_inference_is_waited_for_where_a_release_has_no_count(host):
    host.wanted["inference_metric"] = ""
    host.counts = iter([None] * 10)
    seen = look(host)
    assert seen["verified"]
    assert "models_inference_metric is empty" in seen["proof"]


def test_mistakes_come_together(host, tmp_path):
    host.wanted.update(date="2025-10-13", names=["gpt", "lgbm"], script=str(tmp_path / "no.sh"))
    assert paths(look(host)) == ["models_date", "models_names", "models_script"]


def test_one_link_moves_all_models(host):
    host.wanted.update(names=["lgbm"])
    assert paths(look(host)) == ["models_names"]
    host.wanted.update(link="{name}")
    seen = look(host)
    assert (paths(seen), seen["wanted_links"]) == ([], {"lgbm": OLD})


def test_a_link_that_cannot_be_made_is_a_mistake(host, tmp_path):
    host.wanted.update(target="{date}/model.pkl")
    assert paths(look(host)) == ["models_target"]
    (tmp_path / "current").unlink()
    (tmp_path / "current").mkdir()
    assert "models_link" in paths(look(host))


def test_live_engines_are_a_mistake_only_where_a_restart_is_needed(host):
    host.status = None
    assert paths(look(host)) == []
    host.wanted["date"] = NEW
    assert paths(look(host)) == ["models_interrupt_live"]
    host.wanted["interrupt_live"] = True
    assert paths(look(host)) == []


@pytest.mark.parametrize(
    ("leads", "reason"), [("2025-10-14/nowhere", "dangles"), (NEW, f"no link leads into {OLD}"), ("current", "dangles")]
)
def test_a_script_is_judged_by_its_links(host, tmp_path, leads, reason):
    host.wanted["script"] = "/bin/sh"
    assert look(host)["verified"]
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to(leads)
    assert reason in " ".join(look(host)["unverified"])


def test_what_was_there_before_is_wanted_back_as_it_was(host, tmp_path):
    host.wanted.update(date=NEW, versions={"lgbm": OLD}, links={"current": OLD})
    assert look(host)["verified"]
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to(NEW)
    assert look(host)["unverified"] == [f"the link current leads to {NEW}, wanted {OLD}"]
