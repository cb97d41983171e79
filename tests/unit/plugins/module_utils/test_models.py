# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from answers that differ from release to release, and from directories."""

from __future__ import annotations

import contextlib
import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils import models
from ansible_collections.levibot.transition.plugins.module_utils.models import AnswerError, Card

DATE = "2025-10-14"
LISTED = {
    "ok": True,
    "models": ["lgbm", "tft"],
    "meta": {"lgbm": {"version": DATE, "found": True}, "tft": {"version": DATE, "found": False}},
}


def test_dates_are_directories_named_by_a_day():
    assert models.dated(["current", "2025-10-16", DATE, "2025-10-14-b", "20251014", "..", "backup"]) == [DATE, "2025-10-14-b", "2025-10-16"]


@pytest.mark.parametrize(
    ("link", "target", "wanted"),
    [
        ("current", "{date}", {"current": DATE}),
        ("{name}", "{date}", {"lgbm": DATE, "tft": DATE}),
        ("{name}.pkl", "{date}/{name}.pkl", {"lgbm.pkl": f"{DATE}/lgbm.pkl", "tft.pkl": f"{DATE}/tft.pkl"}),
        ("live/{name}", "{date}", {"live/lgbm": f"../{DATE}", "live/tft": f"../{DATE}"}),
    ],
)
def test_links_are_relative(link, target, wanted):
    assert models.wanted_links(link, target, DATE, ["lgbm", "tft"]) == wanted


@pytest.mark.parametrize(
    ("link", "target"), [("../current", "{date}"), ("/etc/current", "{date}"), ("current", "../{date}"), ("current", "/{date}")]
)
def test_links_stay_in_their_directory(link, target):
    with pytest.raises(ValueError, match="leads out of"):
        models.wanted_links(link, target, DATE, [])


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4), st.lists(st.sampled_from(["x", "y"]), min_size=1, max_size=3))
def test_a_link_leads_where_it_should_from_wherever_it_is(link, target):
    path, aim = "/".join(link), "/".join(target)
    written = models.wanted_links(path, aim, DATE, [])[path]
    assert posixpath.normpath(posixpath.join("/models", posixpath.dirname(path), written)) == f"/models/{aim}"


@pytest.mark.parametrize(
    ("answer", "cards"),
    [
        (LISTED, {"lgbm": Card(DATE, True), "tft": Card(DATE, False)}),
        (
            {"models": ["lgbm", "tft"], "meta": {"lgbm": {"version": DATE, "found": True}}},
            {"lgbm": Card(DATE, True), "tft": Card("", False)},
        ),
        ({"models": [{"name": "lgbm", "version": DATE, "found": True}]}, {"lgbm": Card(DATE, True)}),
        ({"models": {"lgbm": {"version": 3, "found": True}}}, {"lgbm": Card("3", True)}),
        ({"models": ["lgbm"], "meta": {"lgbm": {"version": DATE}}}, {"lgbm": Card(DATE, False)}),
        ({"models": ["lgbm"], "meta": {"lgbm": {"version": DATE, "found": "true"}}}, {"lgbm": Card(DATE, False)}),
        ({"models": ["lgbm"], "meta": {"lgbm": {"version": None, "found": True}}}, {"lgbm": Card("", True)}),
    ],
)
def test_cards_of_every_form(answer, cards):
    assert models.cards(answer) == cards


@pytest.mark.parametrize(
    "answer", [None, [], "ok", {}, {"models": []}, {"ok": False, **{k: v for k, v in LISTED.items() if k != "ok"}}, {"models": [{}]}]
)
def test_what_is_no_list_of_models_is_an_error(answer):
    with pytest.raises(AnswerError):
        models.cards(answer)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda more: st.lists(more) | st.dictionaries(st.text(max_size=8), more),
    )
)
def test_no_answer_breaks_the_reading(answer):
    with contextlib.suppress(AnswerError):
        assert all(isinstance(card, Card) for card in models.cards(answer).values())
    assert models.live_reason(answer, answer), "what cannot be read counts as live"


def test_only_the_version_that_was_found_is_loaded():
    wanted = {"lgbm": DATE, "tft": DATE, "ensemble": DATE}
    assert models.differences({name: Card(DATE, True) for name in wanted}, wanted) == []
    found = {"lgbm": Card("2025-10-16", True), "tft": Card(DATE, False)}
    assert models.differences(found, wanted) == [
        f"lgbm is 2025-10-16, wanted {DATE}",
        f"tft {DATE} is listed with found: false, which is a model that was not loaded",
        "ensemble is not listed",
    ]


PAPER = {"mode": "paper", "active": False}


def engines(*rows, **more):
    return {"engines": [dict(zip(("symbol", "status", "mode"), row, strict=False)) for row in rows], **more}


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (engines(), PAPER, ""),
        (engines(("BTC/USDT", "running", "paper"), ("ETH/USDT", "stopped", "live")), PAPER, ""),
        (engines(("BTC/USDT", "running"), running=1), PAPER, ""),
        (engines(("BTC/USDT", "stopped", "live")), {"mode": "live", "active": False}, ""),
        (engines(("BTC/USDT", "running", "live")), PAPER, "live engines run: BTC/USDT"),
        (engines(("BTC/USDT", "running")), {"mode": "LIVE"}, "live engines run: BTC/USDT"),
        (engines(("BTC/USDT", "starting", "live")), PAPER, "live engines run: BTC/USDT"),
        (engines(("BTC/USDT", "running", "paper")), {"mode": "live"}, "it says that it trades live (mode live)"),
        (engines(("BTC/USDT", "running", "paper")), {"mode": "paper", "active": True}, "it says that it trades live (mode paper)"),
        (engines(running=2), {"mode": "live"}, "it says that it trades live (mode live)"),
        (None, PAPER, "the state of the engines cannot be read"),
        ({"total": 0}, PAPER, "the state of the engines cannot be read"),
        ({"engines": [{"symbol": "BTC/USDT"}]}, PAPER, "the state of an engine cannot be read"),
        (engines(), None, "the mode cannot be read"),
        (engines(), {"mode": None}, "the mode cannot be read"),
    ],
)
def test_live_unless_proven_otherwise(answer, status, reason):
    assert models.live_reason(answer, status) == reason


def test_a_counter_is_the_sum_of_its_series():
    text = '# HELP x_count y\nx_count{m="lgbm"} 3\nx_count{m="tft"} 4.0\nx_count_other 9\nx_sum 1\n'
    assert models.counted(text, "x_count") == 7
    assert models.counted("x_count 2\n", "x_count") == 2
    assert models.counted(text, "y_count") is None
    assert models.counted("x_count many\n", "x_count") is None


def inspected(**changed):
    state = {"Status": "running", "StartedAt": "2026-11-24T11:22:00.5Z", "Health": {"Status": "healthy"}, **changed}
    return {
        "Name": "/levibot-blue-api-1",
        "State": state,
        "NetworkSettings": {"Networks": {"none": {"IPAddress": ""}, "x": {"IPAddress": "172.18.0.2"}}},
    }


def test_a_container_as_the_engine_tells_it():
    assert models.containers([inspected()]) == [
        models.Container("levibot-blue-api-1", "172.18.0.2", True, "healthy", models.moment("2026-11-24T11:22:00Z") + 0.5)
    ]
    assert not models.containers([inspected(Status="exited", Health=None)])[0].running
    with pytest.raises(AnswerError):
        models.containers([{"Name": "x"}])


def test_moments():
    assert models.moment("1970-01-01T00:01:00.25Z") == 60.25
    assert models.moment("1970-01-01T00:01:00+00:00") == 60
    with pytest.raises(ValueError, match="no time stamp"):
        models.moment("yesterday")
