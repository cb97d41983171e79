# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server's own document says of the calls that the phases need; how one is asked is in tests/integration/."""

from __future__ import annotations

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.levibot import forms, survey


def offering(*query: str) -> dict:
    stop = {"post": {"parameters": [{"name": name, "in": "query"} for name in query]}}
    return {"paths": {"/engines/stop/{symbol}": stop}}


@pytest.mark.parametrize(
    ("document", "told"),
    [(offering("close"), "POST /engines/stop/{symbol}?close=$close"), (offering(), None), (None, None)],
)
def test_a_stop_that_closes_positions_is_told_where_it_is_offered_and_never_missing(document, told):
    serving, lacking = survey.missing(document, {}, None)
    assert serving.get("stop_closing") == told
    assert not any("stop_closing" in text for text in lacking)


def test_a_sites_own_form_counts():
    own = forms.own("stop_closing", {"method": "DELETE", "path": "/v2/engines/{symbol}", "query": {"flat": "$close"}})
    serving, _lacking = survey.missing(offering(), {"stop_closing": own}, None)
    assert serving["stop_closing"] == "DELETE /v2/engines/{symbol}?flat=$close"
