# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.proposals.inference import judge_all
from ansible_collections.levibot.transition.plugins.module_utils.sources.prometheus import Counted
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import UnusableError

BOUNDS = ("0.05", "0.1", "0.25", "+Inf")


def counted(**models: tuple[int, ...]) -> Counted:
    return Counted(
        {
            tuple(sorted({"le": bound, "instance": "a", **({"model": model} if model != "_" else {})}.items())): float(count)
            for model, counts in models.items()
            for bound, count in zip(BOUNDS, counts, strict=True)
        }
    )


def judged(given: Counted, **budgets: float) -> dict[str, dict]:
    found = judge_all(given, "latency", "model", {"default": 0.1, **budgets})
    return {one["model"]: one for one in found}


def test_each_model_has_its_budget_and_the_slowest_is_first() -> None:
    found = judged(counted(lgbm=(990, 1000, 1000, 1000), tft=(500, 900, 1000, 1000), ensemble=(800, 960, 1000, 1000)), ensemble=0.05)
    assert list(found) == ["ensemble", "tft", "lgbm"]
    assert {name: one["verdict"] for name, one in found.items()} == {"ensemble": "exceeds", "tft": "exceeds", "lgbm": "keeps"}
    assert (found["tft"]["slower"], found["tft"]["budget"]) == ("10%", "100ms")
    assert found["tft"]["quantiles"] == {"p50": "50ms", "p95": "175ms", "p99": "235ms"}
    assert found["tft"]["note"] == "the p95 is 75% over the budget"


def test_without_the_label_all_count_as_one() -> None:
    assert list(judged(counted(_=(300, 400, 400, 400)))) == ["all models"]
    assert list(judged(counted(_=(300, 400, 400, 400), tft=(500, 900, 1000, 1000)))) == ["tft", "without a name"]


def test_few_inferences_tell_nothing() -> None:
    found = judged(counted(tft=(0, 0, 0, 199)))["tft"]
    assert (found["verdict"], found["quantiles"]) == ("unknown", {})
    assert found["found"] == "199 inferences in the period; at least 200 are needed"


def test_what_lies_beyond_the_histogram_is_said_so() -> None:
    found = judged(counted(tft=(0, 0, 500, 1000)))["tft"]
    assert found["quantiles"]["p95"] == "more than 250ms"
    assert "the histogram ends at 250ms" in found["note"]


def test_a_budget_between_two_bounds_is_interpolated() -> None:
    assert "interpolated" in judged(counted(tft=(0, 1000, 1000, 1000)), tft=0.075)["tft"]["note"]


def test_what_is_no_histogram_is_refused() -> None:
    with pytest.raises(UnusableError, match="label le"):
        judged(Counted({(("model", "tft"),): 5.0}))
