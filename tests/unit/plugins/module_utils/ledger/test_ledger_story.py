# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.filter.html_page import html_page
from ansible_collections.levibot.transition.plugins.filter.rollout_story import rollout_story
from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import GENESIS, draft, link
from ansible_collections.levibot.transition.plugins.module_utils.ledger.story import MAX_POINTS, chart, span, tell

ROLLOUT = "20261124T112200Z-v1.8.0-beta"
TEMPLATE = Path(__file__).parents[5] / "roles/report/templates/index.html.j2"
STEPS = [
    {"id": "phase2.step1", "name": "10% Traffic", "weight": 10, "window_seconds": 1800},
    {"id": "phase2.step2", "name": "50% Traffic", "weight": 50, "window_seconds": 3600},
]
OPENED = ("opened", {"version": "v1.8.0-beta", "plan_digest": "sha256:1", "who": {"user": "maria", "host": "ops-1"}, "steps": STEPS})
PARAGRAPH = "Gate phase2.step1 failed after 2m of 30m: error_rate was 3%, allowed < 0.1% (2 looks)."


def check(state="pending", number=0.0005):
    return {"id": "error_rate", "mode": "enforce", "state": state, "value": f"{number}", "limit": "< 0.1%", "number": number}


def look(at, state="pending", number=0.0005):
    return ("look", {"gate": "phase2.step1", "at_seconds": at, "verdict": state, "checks": [check(state, number)]})


FAILED = [
    OPENED,
    ("intent", {"action": "weight", "step": "phase2.step1", "weight_percent": 10, "edges": ["e1", "e2"]}),
    look(60),
    look(120, "fail", 0.03),
    (
        "verdict",
        {
            "gate": "phase2.step1",
            "verdict": "fail",
            "at_seconds": 120,
            "deciding": ["error_rate"],
            "checks": [check("fail", 0.03)],
            "paragraph": PARAGRAPH,
        },
    ),
    ("closed", {"outcome": "rolled_back", "reason": PARAGRAPH + " Traffic is 100 % on blue again."}),
]


def export(items, rollout=ROLLOUT):
    lines, previous = [], GENESIS
    for number, (kind, data) in enumerate(items, 1):
        entry = link(draft(rollout, kind, data, 1764000000 + 60 * number), number, previous)
        lines.append(entry.to_line())
        previous = entry.hash
    return lines


def page(lines, chain=None):
    return html_page(TEMPLATE.read_text(), {"story": rollout_story("\n".join(lines), chain), "ledger": "build/ledger.jsonl"})


def test_a_rollout_that_failed_says_so_first_and_why():
    story = tell(export(FAILED), {"intact": True, "entries": 6})
    assert story["outcome"]["headline"] == "v1.8.0-beta was rolled back"
    assert story["outcome"]["more"] == "Stopped at phase2.step1 (10% Traffic): the gate failed."
    assert story["why"] == [PARAGRAPH + " Traffic is 100 % on blue again."]
    assert [(step["word"], step["weight"], step["window"], step["looks"]) for step in story["steps"]] == [
        ("failed", 10, "30 min", 2),
        ("not reached", 50, "1 h", 0),
    ]
    assert story["steps"][0]["checks"][0]["deciding"]
    assert (story["opened_by"], story["lasted"]) == ("maria@ops-1", "5 min")
    assert story["events"][1]["text"] == "weight, 10 %, on e1 e2"
    assert story["chain"]["intact"]


def test_a_promotion_counts_the_gates_that_passed():
    verdicts = [("verdict", {"gate": step["id"], "verdict": "pass", "at_seconds": 1800}) for step in STEPS]
    story = tell(export([OPENED, *verdicts, ("closed", {"outcome": "promoted"})]))
    assert (story["outcome"]["tone"], story["outcome"]["more"]) == ("good", "2 of 2 gates passed.")


@pytest.mark.parametrize("length", range(len(FAILED)))
def test_a_record_that_ends_early_is_never_told_as_an_end(length):
    lines = export(FAILED)[:length]
    story = tell(lines)
    assert story["outcome"]["tone"] in ("open", "bad")
    assert story["outcome"]["word"] in ("no record", "open", "not closed")
    assert story["closed_at"] == ""
    assert "<h1>" in page(lines)


def test_a_record_without_its_beginning_is_told():
    story = tell(export(FAILED)[2:])
    assert [step["id"] for step in story["steps"]] == ["phase2.step1"]
    assert story["outcome"]["headline"] == "The candidate was rolled back"


def test_the_rollout_that_was_opened_last_is_told():
    first = export(FAILED)
    second = link(draft("later", "opened", {"version": "v2"}), 7, json.loads(first[-1])["hash"])
    story = tell([*first, second.to_line()])
    assert (story["rollout"], story["version"], story["steps"]) == ("later", "v2", [])


def test_lines_that_were_tampered_with_are_found():
    lines = export(FAILED)
    for changed, reason in (
        ([*lines[:2], lines[2].replace("0.0005", "0.0004"), *lines[3:]], "entry 3"),
        ([*lines[:2], lines[2][:40]], "line 3 of the export cannot be read"),
        ([lines[1], lines[0], *lines[2:]], "entry 1: it is out of order"),
    ):
        story = tell(changed)
        assert not story["chain"]["intact"]
        assert reason in story["chain"]["text"]
        assert "record broken" in page(changed)
    assert tell([lines[0], *lines[3:]])["chain"]["intact"]


@pytest.mark.parametrize(
    ("go", "shown"),
    [
        (
            {"at": "2026-11-23T11:22:00.000Z", "approved_by": ["maria", "jan"], "overridden": None},
            "2026-11-23 11:22:00 UTC, approved by maria, jan",
        ),
        (
            {"problem": "no GO for v1.8.0-beta", "overridden": {"who": "maria", "reason": "a hotfix"}},
            "Begun without a GO (no GO for v1.8.0-beta): maria decided so, since: a hotfix",
        ),
    ],
)
def test_the_page_says_on_what_decision_it_began(go, shown):
    assert shown in page(export([("opened", {**OPENED[1], "go": go}), *FAILED[1:]]))
    assert shown not in page(export(FAILED))


def test_what_the_ledgers_host_found_counts():
    story = tell(export(FAILED), {"intact": False, "broken_seq": 2, "reason": "gone"})
    assert story["chain"] == {"intact": False, "text": "The ledger is broken at entry 2: gone", "head": story["chain"]["head"]}


def test_the_page_is_whole_escaped_and_reaches_for_nothing():
    evil = "<script>alert(1)</script>\"'{{ 7 * 7 }}"
    items = [
        ("opened", {"version": evil, "who": evil, "stable": {"slot": evil, "images": {evil: evil}}, "steps": [{"id": evil, "name": evil}]}),
        ("look", {"gate": evil, "at_seconds": 1, "checks": [{**check(), "id": evil, "value": evil, "limit": evil, "evidence": evil}]}),
        ("verdict", {"gate": evil, "verdict": evil, "paragraph": evil}),
        ("closed", {"outcome": evil, "reason": evil}),
    ]
    for text in (page(export(items)), page(export(FAILED))):
        assert "<script" not in text
        assert "49" not in text or "{{ 7 * 7 }}" in text
        assert "http://" not in text.replace("http://www.w3.org", "")
        for attribute in ("src=", "href=", "url(", "@import"):
            assert attribute not in text
        for drawing in text.split("<svg")[1:]:
            ElementTree.fromstring("<svg" + drawing.split("</svg>")[0] + "</svg>")  # noqa: S314


@given(st.lists(st.tuples(st.floats(0, 1e6), st.none() | st.floats(-1e12, 1e12)), max_size=40), st.none() | st.floats(-1e6, 1e6))
def test_every_point_lies_in_the_drawing(points, limit):
    looks = [{"at_seconds": at, "number": number, "state": "pending"} for at, number in sorted(points, key=lambda point: point[0])]
    drawing = chart(looks, 1800, limit)
    if drawing is None:
        assert all(look["number"] is None for look in looks)
        return
    xy = [tuple(map(float, point.split(","))) for line in drawing["lines"] for point in line.split()]
    xy += [(dot["x"], dot["y"]) for dot in [*drawing["dots"], *drawing["marks"], drawing["end"]]]
    assert all(0 <= x <= drawing["width"] and 0 <= y <= drawing["height"] for x, y in xy)


def test_a_long_soak_makes_a_small_drawing_that_hides_no_trouble():
    looks = [{"at_seconds": at, "number": 1.0, "state": "breach" if at == 7777 else "pending"} for at in range(20_000)]
    drawing = chart(looks, 20_000, 2.0)
    assert len(drawing["lines"][0].split()) <= MAX_POINTS + 2
    assert len(drawing["marks"]) == 1


def test_a_look_without_a_number_is_a_gap():
    looks = [{"at_seconds": at, "number": None if at == 2 else 1.0, "state": "pending"} for at in range(5)]
    drawing = chart(looks, 4, None)
    assert (len(drawing["lines"]), len(drawing["gaps"])) == (2, 1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (4.25, "4.2 s"), (60, "1 min"), (5400, "1 h 30 min"), (90061, "1 d 1 h 1 min 1 s")]
)
def test_spans(seconds, text):
    assert span(seconds) == text


# Live trading

LIVE_OPENED = (
    "opened",
    {
        "phase": "phase3",
        "version": "v1.8.0-beta",
        "plan_digest": "sha256:1",
        "slot": "green",
        "host": "app1",
        "steps": [{"id": "phase3.step1", "name": "Single Symbol", "engines": {"BTC/USDT": "100.00"}, "window_seconds": 14400}],
    },
)
LIVE_START = {"action": "start", "step": "phase3.step1", "engines": {"BTC/USDT": "100.00"}}
LIVE_STOP = {"action": "stop", "step": "phase3.step1", "symbols": ["BTC/USDT"], "still_open": {"BTC/USDT": "0.001"}, "reason": "It failed."}


def live(*items):
    return tell(export([LIVE_OPENED, ("intent", LIVE_START), ("result", LIVE_START), *items]))


def test_live_trading_is_told_as_what_it_is():
    going = live()
    assert going["outcome"]["headline"] == "v1.8.0-beta is going live"
    assert "engines may trade live" in going["outcome"]["more"]
    passed = ("verdict", {"gate": "phase3.step1", "verdict": "pass"})
    done = live(passed, ("closed", {"outcome": "live", "reason": "All gates have passed."}))
    assert done["outcome"]["headline"] == "v1.8.0-beta trades live"
    assert (done["outcome"]["tone"], done["outcome"]["more"], done["why"]) == ("good", "1 of 1 gates passed.", [])
    assert "BTC/USDT with 100.00 USD" in done["events"][1]["text"]


def test_live_trading_that_was_ended_tells_what_is_open():
    ended = live(("result", LIVE_STOP), ("closed", {"outcome": "rolled_back", "reason": "STILL OPEN: 0.001 BTC/USDT."}))
    assert ended["outcome"]["headline"] == "Live trading of v1.8.0-beta was ended"
    assert ended["why"] == ["STILL OPEN: 0.001 BTC/USDT."]
    assert "of BTC/USDT, still open: 0.001 BTC/USDT" in ended["events"][3]["text"]
    assert "Live trading of v1.8.0-beta was ended" in page(export([LIVE_OPENED, ("closed", {"outcome": "rolled_back"})]))
