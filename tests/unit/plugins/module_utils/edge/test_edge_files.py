# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.edge import files as files_module
from ansible_collections.levibot.transition.plugins.module_utils.edge.files import SplitError, SplitFiles
from ansible_collections.levibot.transition.plugins.module_utils.edge.split import Canary, Split


@pytest.fixture
def files(tmp_path: Path) -> SplitFiles:
    for name in ("run", "lib"):
        (tmp_path / name).mkdir()
    return SplitFiles(str(tmp_path / "run"), str(tmp_path / "lib"))


def test_what_is_written_is_read(files: SplitFiles) -> None:
    files.write_stable("green")
    files.write_canary(Canary(6554, 2_000_000_000))
    assert files.read() == Split("green", Canary(6554, 2_000_000_000))
    assert files.canary.read_text() == "199a"
    assert files.canary.stat().st_mtime == 2_000_000_000
    assert oct(files.canary.stat().st_mode & 0o777) == "0o644"
    assert sorted(path.name for path in files.run_dir.iterdir()) == ["canary"]


def test_the_expiry_arrives_with_the_rename(files: SplitFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    rename = Path.replace

    def watched(self: Path, target: Path) -> Path:
        seen.append((self.read_text(), self.stat().st_mtime, self.parent == target.parent))
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    files.write_canary(Canary(1, 2_000_000_000))
    assert seen == [("0001", 2_000_000_000, True)]


def test_a_write_that_fails_leaves_what_was_there(files: SplitFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_canary(Canary(1, 2_000_000_000))

    def fail(*_args: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(files_module.os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        files.write_canary(Canary(2, 2_000_000_000))
    assert [path.name for path in files.run_dir.iterdir()] == ["canary"]
    assert files.read().buckets == 1


def test_a_write_that_another_process_undoes_is_told(files: SplitFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(files_module, "_write", lambda *_args: None)
    with pytest.raises(SplitError, match="another process"):
        files.write_canary(Canary(2, 2_000_000_000))


def test_a_canary_is_removed_from_the_hands_of_the_expiry_script_too(files: SplitFiles) -> None:
    files.aside.write_text("8000")
    assert files.remove_canary()
    assert not files.aside.exists()
    assert not files.remove_canary()


def test_what_the_expiry_script_links_back_meanwhile_is_removed_again(files: SplitFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    files.aside.write_text("8000")
    unlink = files_module._unlink
    monkeypatch.setattr(
        files_module, "_unlink", lambda path: (path == files.aside and path.exists() and files.canary.hardlink_to(path), unlink(path))[1]
    )
    assert files.remove_canary()
    assert list(files.run_dir.iterdir()) == []


@pytest.mark.parametrize("text", ["", "blue", "199a", "gg"])
def test_a_corrupted_lasting_file_is_told(files: SplitFiles, text: str) -> None:
    files.stable.write_text(text)
    split = files.read()
    assert split.stable is None
    assert repr(text) in split.broken_stable


def test_a_line_end_is_forgiven_as_caddy_does(files: SplitFiles) -> None:
    files.stable.write_text("g\n")
    assert files.read().stable == "green"


def test_missing_directories_are_named(tmp_path: Path) -> None:
    assert SplitFiles(str(tmp_path), str(tmp_path / "x")).missing_directories() == [str(tmp_path / "x")]
