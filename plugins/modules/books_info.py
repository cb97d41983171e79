#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the books of a LeviBot API as of one moment, and which of its engines are live."""

from __future__ import annotations

DOCUMENTATION = r"""
module: books_info
short_description: Read the books of a LeviBot API, all pages, as of one moment
version_added: 0.5.0
description:
  - Reads all fills and closed trades, the positions, the balance, the engines and the limits so that they belong together. The newest fill
    and the quantities of all positions are the same before and after, else it is read again, a few times.
  - Changes nothing. The rows are returned as the server gives them.
  - What cannot be read is a failure of the module, never an empty book.
options:
  url:
    description: Where the API answers.
    type: str
    required: true
  read:
    description:
      - How much. V(engines) reads engines, mode and kill switch only. V(baseline) reads all and returns RV(baseline) without the rows.
        V(books) returns the rows, too.
    type: str
    choices: [engines, baseline, books]
    default: books
  mode:
    description: Whose book.
    type: str
    choices: [live, paper]
    default: live
  since:
    description: The history need not reach further back than this, in seconds since the epoch. All of it unless given.
    type: float
  others:
    description:
      - Other API instances, by a name of their own, which are asked for live engines only, see RV(elsewhere). One that does not answer is
        no failure, and no proof either.
    type: dict
    default: {}
  timeout_seconds:
    description: How long all of it may take.
    type: float
    default: 30
  call_timeout_seconds:
    description: How long one call may take.
    type: float
    default: 5
extends_documentation_fragment:
  - levibot.transition.api
  - levibot.transition.api.spelling
  - levibot.transition.api.tls
attributes:
  check_mode:
    description: Changes nothing, and so does the same in check mode.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
seealso:
  - module: levibot.transition.engine
author:
  - levibot.transition contributors (@levibot)
"""

EXAMPLES = r"""
- name: Read from where live trading counts
  levibot.transition.books_info:
    url: http://127.0.0.1:18011
    token: "{{ levibot_admin_token }}"
    read: baseline
    others: {blue: "http://127.0.0.1:18001"}
  register: books
"""

RETURN = r"""
live:
  description:
    - The engines that run and are live, by symbol, as the API lists them. One whose mode is not said counts as live, unless the server says
      that it is in paper mode.
  returned: success
  type: dict
  sample: {BTC/USDT: {symbol: BTC/USDT, status: running, mode: live, capital: 100.0}}
running:
  description: The engines that run, each with its C(mode) and C(capital_usd), null where they are not said.
  returned: success
  type: list
  elements: dict
  sample: [{symbol: BTC/USDT, mode: paper, capital_usd: "2500.00"}]
engines:
  description: All engines, as the API lists them.
  returned: success
  type: list
  elements: dict
mode:
  description: The mode that the server as a whole says it is in; null where it does not.
  returned: success
  type: str
killed:
  description: Whether the kill switch is on, as the process that answered says; null where it cannot be told.
  returned: success
  type: bool
elsewhere:
  description: For each of O(others) the symbols of its live engines, and why they could not be read.
  returned: success
  type: dict
  sample: {blue: {live: [], problem: ""}}
baseline:
  description: From where live trading counts. Numbers are text.
  returned: success, unless O(read=engines)
  type: dict
  sample:
    at: 1764450000.123
    positions: {BTC/USDT: {quantity: "-0.0002", price_usd: "62000.0"}}
    cash_usd: "100.0"
    total_pnl_usd: "0.0"
    starting_usd: "100.0"
    last_fill_id: "17"
    fills: 17
books:
  description:
    - C(at), C(history) (V(fills) or V(trades), whichever stands for the orders), C(fills) and C(trades) (oldest first), C(positions) and
      C(positions_again) (before and after the portfolio was read), C(portfolio), C(engines), C(risk), C(mode), C(killed), and C(complete)
      (whether the history reaches back to O(since), or to its beginning).
  returned: success, with O(read=books)
  type: dict
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.http import HttpError
from ansible_collections.levibot.transition.plugins.module_utils.levibot import books, options
from ansible_collections.levibot.transition.plugins.module_utils.levibot.books import BooksError
from ansible_collections.levibot.transition.plugins.module_utils.levibot.forms import FormError
from ansible_collections.levibot.transition.plugins.module_utils.levibot.instance import Unavailable

ARGUMENTS: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "read": {"type": "str", "choices": ["engines", "baseline", "books"], "default": "books"},
    "mode": {"type": "str", "choices": ["live", "paper"], "default": "live"},
    "since": {"type": "float"},
    "others": {"type": "dict", "default": {}},
    "timeout_seconds": {"type": "float", "default": 30.0},
    "call_timeout_seconds": {"type": "float", "default": 5.0},
    **options.CREDENTIALS,
    **options.SPELLING,
    **options.TLS,
}


def look(params: dict[str, Any], until: float) -> dict[str, Any]:
    api = options.api(params, params["url"], until)
    if params["read"] == "engines":
        seen = books.engines(api)
        return {**seen, "live": books.live(seen), "running": books.running(seen)}
    read = books.read(api, params["since"], mode=params["mode"])
    found = {name: read[name] for name in ("engines", "mode", "killed")}
    found |= {"live": books.live(read), "running": books.running(read), "baseline": books.baseline(read)}
    return {**found, "books": read} if params["read"] == "books" else found


def elsewhere(params: dict[str, Any], url: str, until: float) -> dict[str, Any]:
    try:
        return {"live": sorted(books.live(books.engines(options.api(params, url, until)))), "problem": ""}
    except (HttpError, Unavailable, BooksError) as problem:
        return {"live": [], "problem": str(problem)}


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    until = time.monotonic() + params["timeout_seconds"]
    try:
        options.overrides(params)
        with ThreadPoolExecutor(max(1, len(params["others"]))) as pool:
            asked = {name: pool.submit(elsewhere, params, str(url), until) for name, url in params["others"].items()}
            found = look(params, until)
            others = {name: done.result() for name, done in asked.items()}
    except FormError as problem:
        module.fail_json(msg=f"forms.{problem}")
    except (HttpError, Unavailable, BooksError) as problem:
        module.fail_json(msg=f"The books cannot be read: {problem}")
    module.exit_json(changed=False, elsewhere=others, **found)


if __name__ == "__main__":
    main()
