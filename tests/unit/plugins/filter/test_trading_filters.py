# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.levibot.transition.plugins.filter.capital_split import capital_split
from ansible_collections.levibot.transition.plugins.filter.recomputed_pnl import recomputed_pnl
from ansible_collections.levibot.transition.plugins.filter.recomputed_positions import recomputed_positions

BUY = {"fill_id": 1, "ts": 1_760_000_000, "symbol": "BTC/USDT", "side": "buy", "qty": 0.001, "price": 62000, "fee": 0.062}
SELL = {**BUY, "fill_id": 2, "ts": 1_760_000_100, "side": "sell", "price": 63000, "fee": 0.063}


def test_capital_split_gives_texts_that_add_up():
    assert capital_split(700, {"BNB/USDT": 2, "XRP/USDT": 1, "ADA/USDT": 1}) == {
        "BNB/USDT": "350.00",
        "XRP/USDT": "175.00",
        "ADA/USDT": "175.00",
    }
    weights = {"BNB/USDT": 20, "XRP/USDT": 10, "ADA/USDT": 0.1}
    assert capital_split("700.00", weights, minimums={"ADA/USDT": 25}, steps={"ADA/USDT": 5})["ADA/USDT"] == "25.00"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((700, ["BTC/USDT"]), "weights is .*; write amounts by symbol"),
        ((700, {"A": 1}, 5), "minimums is 5"),
        ((700, {"A": 0}), "weight of A: above 0 is needed"),
        ((10, {"A": 1}, {"A": 11}), "10 USD is 1 less than"),
    ],
)
def test_capital_split_says_what_is_wrong(arguments, message):
    with pytest.raises(AnsibleFilterError, match=message):
        capital_split(*arguments)


def test_pnl_is_recomputed():
    found = recomputed_pnl([SELL, BUY])
    assert found == {"realised": "1", "unrealised": "0", "fees": "0.125", "funding": "0", "total": "0.875", "cash_change": "0.875"}
    found = recomputed_pnl([BUY], {"BTCUSDT": "61000"}, {}, [{"symbol": "BTC/USDT", "ts": 1_760_000_001, "amount_usd": -0.01}])
    assert (found["unrealised"], found["total"]) == ("-1", "-1.072")
    before = {"BTC/USDT": {"quantity": "0.001", "price_usd": "62500"}}
    assert recomputed_pnl([SELL], {}, before)["total"] == "0.437"


def test_positions_are_recomputed():
    found = recomputed_positions([BUY, {**SELL, "qty": 0.0004}])
    assert found["open"] == {
        "BTC/USDT": {
            "symbol": "BTC/USDT",
            "side": "long",
            "quantity": "0.0006",
            "cost": "37.2",
            "entry_price": "62000",
            "fees": "0.0372",
            "opened_at": 1_760_000_000.0,
        }
    }
    (closed,) = found["closed"]
    assert (closed["side"], closed["quantity"], closed["pnl"], closed["fees"]) == ("long", "0.0004", "0.3122", "0.0878")
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("function", [recomputed_pnl, recomputed_positions])
@pytest.mark.parametrize(
    ("fills", "message"),
    [("none", "give a list of fills"), ([BUY, BUY], "is listed twice"), ([{**BUY, "fee": None}], "fill 1 cannot be read: fee: missing")],
)
def test_what_cannot_be_counted_is_an_error(function, fills, message):
    with pytest.raises(AnsibleFilterError, match=message):
        function(fills)


def test_an_open_position_needs_its_mark():
    with pytest.raises(AnsibleFilterError, match="recomputed_pnl: a mark is missing for BTC/USDT"):
        recomputed_pnl([BUY])
    with pytest.raises(AnsibleFilterError, match="mark of BTC/USDT: a finite number"):
        recomputed_pnl([BUY], {"BTC/USDT": "NaN"})
    with pytest.raises(AnsibleFilterError, match="positions: "):
        recomputed_positions([BUY], ["BTC/USDT"])
