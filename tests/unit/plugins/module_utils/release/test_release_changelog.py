# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section goes in once, in date order, and nothing else of the file changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.levibot.transition.plugins.module_utils.release.changelog import ChangelogError, find, insert, sections

PLAN = ["Production-ready ML pipeline", "Chaos engineering & fault tolerance", "24h soak test passed"]
NEWEST_FIRST = """\
# Changelog

## [Unreleased]

- Something.

## [1.7.0] - 2025-09-01

- Older.

```
## v9.9.9 (2030-01-01) is no heading
```

## 1.6.0 - 2025-08-01

- Oldest.
"""
DATES = st.dates().map(lambda date: date.isoformat())
# A heading in the middle of such a line would be one only with a line end before it.
PROSE = st.text(st.characters(codec="utf-8", exclude_characters="\r\n#`~"), max_size=30)


def test_the_plans_section_is_the_whole_of_a_new_file():
    assert insert("", "v1.8.0-beta", "2025-10-16", PLAN) == (
        "# Changelog\n\n## v1.8.0-beta (2025-10-16)\n\n"
        "- Production-ready ML pipeline\n- Chaos engineering & fault tolerance\n- 24h soak test passed\n"
    )


def test_newest_first_it_comes_before_what_is_older_and_after_what_has_no_release():
    found = [section.words[0] for section in sections(insert(NEWEST_FIRST, "v1.8.0-beta", "2025-10-16", PLAN))]
    assert found == ["Unreleased", "v1.8.0-beta", "1.7.0", "1.6.0"]


def test_a_late_section_finds_its_place():
    found = [section.words[0] for section in sections(insert(NEWEST_FIRST, "v1.6.1", "2025-08-20", PLAN))]
    assert found == ["Unreleased", "1.7.0", "v1.6.1", "1.6.0"]


def test_a_file_that_grew_at_its_end_goes_on_so():
    text = "# Changelog\n\n## v1.6.0 (2025-08-01)\n- a\n## v1.7.0 (2025-09-01)\n- b\n"
    assert insert(text, "v1.8.0-beta", "2025-10-16", ["c"]) == f"{text}\n## v1.8.0-beta (2025-10-16)\n\n- c\n"


@pytest.mark.parametrize("heading", ["## v1.8.0-beta (2025-10-16)", "## [1.8.0-beta] - 2025-10-16", "## 1.8.0-beta", "##  [v1.8.0-beta]  "])
def test_a_section_that_is_there_is_left_as_it_is(heading):
    text = f"# Changelog\n\n{heading}\n- something else\n"
    assert insert(text, "v1.8.0-beta", "2025-10-17", PLAN) == text


def test_another_version_is_not_taken_for_it():
    text = "## v1.8.0 (2025-10-01)\n## v1.8.0-beta.2 (2025-10-02)\n"
    assert find(text, "v1.8.0-beta") is None


@pytest.mark.parametrize("notes", [[], [""], ["a\nb"], [1], ["  "]])
def test_notes_that_are_no_lines_are_refused(notes):
    with pytest.raises(ChangelogError, match="release_notes"):
        insert("", "v1", "2025-10-16", notes)


@pytest.mark.parametrize("date", ["", "16.10.2025", "2025-10-16 ", "today"])
def test_a_date_that_is_none_is_refused(date):
    with pytest.raises(ChangelogError, match="release_date"):
        insert("", "v1", date, ["a"])


@given(
    releases=st.tuples(st.lists(st.tuples(DATES, PROSE), max_size=6), st.booleans()).map(lambda drawn: sorted(drawn[0], reverse=drawn[1])),
    newline=st.sampled_from(["\n", "\r\n"]),
    head=PROSE,
    ends=st.booleans(),
    date=DATES,
)
def test_whatever_the_file_is_like(releases, newline, head, ends, date):
    lines = [head, ""] + [
        line for number, (when, prose) in enumerate(releases) for line in (f"## v0.{number}.0 ({when})", "", f"- {prose}", "")
    ]
    before = newline.join(lines) + (newline if ends else "")
    after = insert(before, "v1.8.0-beta", date, PLAN)

    assert insert(after, "v1.8.0-beta", date, PLAN) == after
    assert [section.words[0] for section in sections(after)].count("v1.8.0-beta") == 1
    dates = [section.date for section in sections(after)]
    assert dates == sorted(dates) or dates == sorted(dates, reverse=True)
    # Without the section all that is not blank is there, as it was and in its order.
    ours = {f"## v1.8.0-beta ({date})", *(f"- {note}" for note in PLAN)}
    kept = [line for line in after.split(newline) if line not in ours]
    assert [line for line in kept if line.strip() and line != "# Changelog"] == [line for line in before.split(newline) if line.strip()]
    assert ("\r\n" in after) == ("\r\n" in before)
    assert after.endswith("\n")
