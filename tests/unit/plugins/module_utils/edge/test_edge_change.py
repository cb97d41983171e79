# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.edge import change
from ansible_collections.levibot.transition.plugins.module_utils.edge import files as files_module
from ansible_collections.levibot.transition.plugins.module_utils.edge.files import SplitError, SplitFiles
from ansible_collections.levibot.transition.plugins.module_utils.edge.split import Canary, Split
from ansible_collections.levibot.transition.plugins.module_utils.edge.verify import Seen

NOTHING = {
    "candidate": None,
    "weight": None,
    "expires_in_seconds": None,
    "stable": None,
    "canary": None,
    "tolerance_seconds": 1,
    "expect_weight": None,
}


@pytest.fixture
def files(tmp_path: Path) -> SplitFiles:
    for name in ("run", "lib"):
        (tmp_path / name).mkdir()
    files = SplitFiles(str(tmp_path / "run"), str(tmp_path / "lib"))
    files.write_stable("blue")
    return files


def call(files: SplitFiles, *, check_mode: bool = False, see: change.See | None = None, **params: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    directories = {"run_dir": str(files.run_dir), "lib_dir": str(files.lib_dir)}
    change.run({**NOTHING, **directories, **params}, check_mode=check_mode, result=result, see=see)
    return result


def ten_percent(**params: Any) -> dict[str, Any]:
    return {"candidate": "green", "weight": 10.0, "expires_in_seconds": 100.0, **params}


@pytest.mark.parametrize("check_mode", [True, False])
def test_set_again_extend_withdraw(files: SplitFiles, check_mode: bool) -> None:
    assert call(files, check_mode=True, **ten_percent())["changed"]
    assert not files.canary.exists()
    first = call(files, **ten_percent())
    assert (first["changed"], first["after"]["weight"], first["after"]["stable"]) == (True, 10.0006, "blue")
    assert not call(files, check_mode=check_mode, **ten_percent(tolerance_seconds=5))["changed"]
    extended = call(files, check_mode=check_mode, **ten_percent(expires_in_seconds=200.0))
    assert extended["changed"]
    assert extended["after"]["expires_epoch"] - first["after"]["expires_epoch"] == pytest.approx(100, abs=3)
    withdrawn = call(files, check_mode=check_mode, canary="absent")
    assert (withdrawn["changed"], withdrawn["after"]["text"]) == (True, "blue 100.0 % (stable)")
    assert call(files, check_mode=check_mode, canary="absent")["changed"] is check_mode


def test_with_blue_as_candidate_greens_share_shrinks(files: SplitFiles) -> None:
    files.write_stable("green")
    assert call(files, **ten_percent(candidate="blue"))["after"]["weight"] == pytest.approx(10, abs=0.001)
    assert files.canary.read_text() == "e666"


def test_promotion_writes_the_lasting_file_first(files: SplitFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    call(files, **ten_percent(weight=100.0))
    order: list[str] = []
    for name in ("write_stable", "remove_canary"):
        real = getattr(SplitFiles, name)
        monkeypatch.setattr(SplitFiles, name, lambda self, *args, _real=real, _name=name: (order.append(_name), _real(self, *args))[1])
    promoted = call(files, stable="green")
    assert order == ["write_stable", "remove_canary"]
    assert promoted["after"]["text"] == "green 100.0 % (stable)"
    assert not call(files, stable="green")["changed"]


def test_it_only_reads_when_nothing_is_asked(files: SplitFiles) -> None:
    call(files, **ten_percent())
    assert call(files)["after"]["canary"] is True
    assert call(files)["changed"] is False


@pytest.mark.parametrize(
    ("params", "says"),
    [
        (ten_percent(weight=130.0), "weight: a weight is a percentage from 0 to 100, and not 130"),
        (ten_percent(weight=float("nan")), "from 0 to 100"),
        (ten_percent(candidate="blue"), "blue is the stable slot"),
        (ten_percent(expires_in_seconds=0.0), "not in the future"),
        (ten_percent(expires_in_seconds=-5.0), "not in the future"),
        (ten_percent(expires_in_seconds=float("inf")), "not in the future"),
    ],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_refusals_change_nothing(files: SplitFiles, params: dict[str, Any], says: str, check_mode: bool) -> None:
    with pytest.raises(SplitError, match=says):
        call(files, check_mode=check_mode, **params)
    assert files.read() == Split("blue")


def test_missing_directories_are_refused_by_name(files: SplitFiles) -> None:
    with pytest.raises(SplitError, match="/nowhere/a and /nowhere/b missing"):
        call(files, **ten_percent(run_dir="/nowhere/a", lib_dir="/nowhere/b"))


def test_a_corrupted_lasting_file_is_refused_but_nobody_is_kept_on_the_candidate(files: SplitFiles) -> None:
    call(files, **ten_percent())
    files.stable.write_text("what?")
    for params in (ten_percent(weight=50.0), {"stable": "green", "expect_weight": 100.0}):
        with pytest.raises(SplitError, match="holds 'what\\?'"):
            call(files, **params)
    assert call(files, canary="absent")["changed"]
    again = call(files, canary="absent")
    assert (again["changed"], again["after"]["stable"]) == (False, None)
    assert "holds 'what?'" in again["after"]["stable_problem"]


def test_who_says_which_slot_is_stable_mends_a_corrupted_lasting_file(files: SplitFiles) -> None:
    call(files, **ten_percent())
    files.stable.write_text("what?")
    assert call(files, check_mode=True, stable="blue")["changed"]
    assert files.stable.read_text() == "what?"
    mended = call(files, stable="blue")
    assert (mended["changed"], files.read()) == (True, Split("blue"))
    assert not call(files, stable="blue")["changed"]


def test_without_a_lasting_file_there_is_no_candidate(files: SplitFiles) -> None:
    files.stable.unlink()
    with pytest.raises(SplitError, match="install the edge first"):
        call(files, **ten_percent())
    assert call(files, stable="green")["changed"]


def test_an_expired_canary_gets_no_second_life_when_a_change_is_undone(files: SplitFiles) -> None:
    before = Split("blue", Canary(6554, int(time.time()) - 5))
    change.put_back(files, before, Split("blue", Canary(9999, int(time.time()) + 60)), time.time())
    assert files.read() == Split("blue")


def test_a_canary_withdrawn_while_a_change_is_seen_is_not_put_back(files: SplitFiles) -> None:
    call(files, **ten_percent())

    def somebody_withdraws(*_args: object) -> Seen:
        files.canary.unlink()
        return Seen(False, "everybody is on blue")

    with pytest.raises(SplitError, match="everybody is on blue"):
        call(files, see=somebody_withdraws, **ten_percent(weight=50.0))
    assert files.read() == Split("blue")


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("missing", [("run",), ("lib",), ("run", "lib")])
def test_withdrawing_where_nothing_is_installed_is_no_change(tmp_path: Path, missing: tuple[str, ...], check_mode: bool) -> None:
    for name in {"run", "lib"} - set(missing):
        (tmp_path / name).mkdir()
    files = SplitFiles(str(tmp_path / "run"), str(tmp_path / "lib"))
    result = call(files, check_mode=check_mode, canary="absent", expect_weight=10.0)
    assert (result["changed"], result["after"]["canary"]) == (False, False)


def test_a_missing_lib_dir_keeps_no_canary(files: SplitFiles) -> None:
    call(files, **ten_percent())
    files.stable.unlink()
    files.lib_dir.rmdir()
    assert call(files, canary="absent")["changed"]
    assert not files.canary.exists()


@pytest.mark.parametrize("way_back", [{"canary": "absent"}, {"stable": "blue"}])
def test_a_canary_in_the_hands_of_the_expiry_script_is_withdrawn_too(
    files: SplitFiles, monkeypatch: pytest.MonkeyPatch, way_back: dict[str, str]
) -> None:
    monkeypatch.setattr(files_module, "SETTLE_SECONDS", 0.05)
    call(files, **ten_percent())
    files.canary.rename(files.aside)
    assert call(files, check_mode=True, **way_back)["changed"]
    assert files.aside.exists()
    assert call(files, **way_back)["changed"]
    assert list(files.run_dir.iterdir()) == []
    assert not call(files, **way_back)["changed"]


def test_a_canary_that_expires_before_it_is_removed_was_not_removed_here(files: SplitFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    call(files, **ten_percent())
    before = files.read()
    files.canary.unlink()
    monkeypatch.setattr(SplitFiles, "read", lambda _self: before)
    assert call(files, canary="absent")["changed"] is False


@pytest.mark.parametrize("expected", [10, 10.0006, 9.9999])
def test_the_next_step_comes_after_the_previous_one(files: SplitFiles, expected: float) -> None:
    call(files, **ten_percent(expect_weight=0.0))
    assert call(files, **ten_percent(weight=50.0, expect_weight=expected))["after"]["weight"] == 50
    assert call(files, stable="green", expect_weight=50.0)["changed"]
    assert not call(files, stable="green", expect_weight=50.0)["changed"]


def test_what_is_expected_of_blue_is_blues_share(files: SplitFiles) -> None:
    files.write_stable("green")
    call(files, **ten_percent(candidate="blue", expect_weight=0.0))
    assert call(files, **ten_percent(candidate="blue", weight=20.0, expect_weight=10.0))["changed"]


@pytest.mark.parametrize("gone", ["withdrawn", "expired", "rebooted"])
@pytest.mark.parametrize("change", [ten_percent(weight=50.0), {"stable": "green"}])
def test_a_canary_that_was_taken_back_is_neither_put_back_nor_promoted(files: SplitFiles, gone: str, change: dict[str, Any]) -> None:
    call(files, **ten_percent())
    if gone == "expired":
        os.utime(files.canary, (time.time() - 1,) * 2)
    else:
        files.canary.unlink()
    if gone == "rebooted":
        files.run_dir.rmdir()
    before = files.read()
    with pytest.raises(
        SplitError, match=r"^somebody or the expiry has taken the canary back: green was expected to have 10 %, and has 0 % \("
    ):
        call(files, **change, expect_weight=10.0)
    assert files.read() == before
    if gone != "rebooted":
        assert call(files, check_mode=True, **change, expect_weight=10.0)["changed"]
        assert call(files, **change, expect_weight=0.0)["changed"]


def test_a_split_that_somebody_else_moved_is_told(files: SplitFiles) -> None:
    call(files, **ten_percent(weight=0.001))
    for expected in (0.0, 10.0):
        with pytest.raises(SplitError, match=f"^somebody has moved the split: green was expected to have {expected:g} %, and has 0.0015 %"):
            call(files, **ten_percent(expect_weight=expected))
    with pytest.raises(SplitError, match="expect_weight: a weight is a percentage"):
        call(files, **ten_percent(expect_weight=101.0))


def test_a_fresh_canary_held_aside_for_a_moment_is_not_taken_for_withdrawn(files: SplitFiles) -> None:
    call(files, **ten_percent())
    files.canary.rename(files.aside)
    back = threading.Timer(0.1, files.aside.rename, (files.canary,))
    back.start()
    assert call(files, **ten_percent(weight=50.0, expect_weight=10.0))["changed"]
    back.join()


def test_stable_is_a_way_back_while_a_canary_is_open(files: SplitFiles) -> None:
    call(files, **ten_percent())
    assert call(files, stable="blue")["changed"]
    assert files.read() == Split("blue")


def test_stable_needs_no_run_dir_but_a_lib_dir(files: SplitFiles) -> None:
    files.run_dir.rmdir()
    assert call(files, stable="green")["changed"]
    assert not call(files, stable="green")["changed"]
    with pytest.raises(SplitError, match="/nowhere/b missing"):
        call(files, stable="green", lib_dir="/nowhere/b")
