# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""What the stand-in says of its models: what it found when it started."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.levibot.standin import models


def told(data: Path, lost: bool = False) -> set[tuple[str, bool]]:
    return {(card["version"], card["found"]) for card in models.load(data, "2025-10-14", lost)["meta"].values()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "models/2025-10-12").mkdir(parents=True)
    for name in models.NAMES:
        (tmp_path / f"models/2025-10-12/{name}.json").write_text("{}")
    (tmp_path / "models/current").symlink_to("2025-10-12")
    return tmp_path


def test_without_a_directory_the_models_are_the_releases_own(tmp_path: Path):
    assert told(tmp_path) == {("2025-10-14", True)}


def test_the_link_says_which_models_are_loaded(data: Path):
    assert told(data) == {("2025-10-12", True)}


def test_a_model_whose_file_is_missing_is_listed_and_not_found(data: Path):
    (data / "models/2025-10-12/tft.json").unlink()
    assert told(data) == {("2025-10-12", True), ("2025-10-12", False)}


def test_a_link_that_dangles_finds_nothing(data: Path):
    (data / "models/current").unlink()
    assert told(data) == {("", False)}
    (data / "models/current").symlink_to("2025-10-13")
    assert told(data) == {("2025-10-13", False)}


def test_the_fault_loses_them_wherever_the_link_leads(data: Path):
    assert told(data, lost=True) == {("2025-10-12", False)}
