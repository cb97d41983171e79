#!/usr/bin/python
# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts or stops one engine, and reads back that it is so."""

from __future__ import annotations

DOCUMENTATION = r"""
module: engine
short_description: Have one LeviBot engine run, live or on paper, or stand still
version_added: 0.5.0
description:
  - Reads first and changes only what differs. What counts is what is read back, on new connections, until O(confirm_reads) readings in a
    row agree over O(quiet_seconds), since several processes may answer at one address.
  - A start is sent in one form, which carries all that is asked for. A release that has no form with mode and capital is refused before
    anything is done. Where C(/openapi.json) is closed, the plan's form is used and no other one is tried.
  - A start whose answer was lost, which a 502 or 504 is as well, is never sent again. It is waited for, until O(timeout_seconds), to be
    seen. An engine that is not read back as asked is stopped again, and the module fails. A start that is refused, since one runs already,
    is accepted only if that one is as asked.
  - An engine that runs with another mode or capital is stopped first.
options:
  url:
    description: Where the API answers.
    type: str
    required: true
  state:
    description: Whether the engine shall run.
    type: str
    choices: [started, stopped]
    default: started
  symbol:
    description: The engine's symbol, such as V(BTC/USDT). It is sent percent-encoded, and as V(BTCUSDT) where that is not found.
    type: str
    required: true
  mode:
    description: What it trades with. Required with O(state=started).
    type: str
    choices: [paper, live]
  capital_usd:
    description:
      - Its capital in USD, in whole cents, such as V("100.00"). Required with O(mode=live).
      - With O(mode=paper) it is asked for where the release has a form for it, else see RV(unconfirmed).
    type: str
  positions:
    description:
      - What becomes of the position of an engine that is stopped. V(flatten) waits until it is gone, as far as O(timeout_seconds) allows;
        V(leave) leaves it. Where the release offers no such choice, it does what it does, and RV(open) tells what is left.
    type: str
    choices: [flatten, leave]
    default: flatten
  timeout_seconds:
    description: How long all of it may take. What has to be undone gets 5 more seconds.
    type: float
    default: 15
  call_timeout_seconds:
    description: How long one call may take.
    type: float
    default: 3
extends_documentation_fragment:
  - levibot.transition.api
  - levibot.transition.api.spelling
  - levibot.transition.api.tls
  - levibot.transition.api.read_back
attributes:
  check_mode:
    description: Only reads then, refuses what would be refused, and says what would be done.
    support: full
  diff_mode:
    description: Shows the engine before and after.
    support: full
seealso:
  - module: levibot.transition.kill_switch
  - module: levibot.transition.books_info
author:
  - levibot.transition contributors (@levibot)
"""

EXAMPLES = r"""
- name: Trade BTC/USDT live with 100 USD
  levibot.transition.engine:
    url: http://127.0.0.1:18011
    token: "{{ levibot_admin_token }}"
    symbol: BTC/USDT
    mode: live
    capital_usd: "100.00"

- name: Stop it, and close its position
  levibot.transition.engine:
    url: http://127.0.0.1:18011
    token: "{{ levibot_admin_token }}"
    symbol: BTC/USDT
    state: stopped
    positions: flatten
"""

RETURN = r"""
before:
  description: The engine as it was. C(status) is V(absent) where the API does not list it; what it does not say is null.
  returned: when it could be read
  type: dict
  sample: {symbol: BTC/USDT, status: running, mode: paper, capital_usd: "2500.0", position: "0.00312"}
after:
  description: The engine as it is, in check mode as it would be.
  returned: when it could be read
  type: dict
  sample: {symbol: BTC/USDT, status: running, mode: live, capital_usd: "100.0", position: "0.0"}
open:
  description:
    - The position that is still there after O(state=stopped). The quantity is negative for a short, V(unknown) where it cannot be read.
  returned: always
  type: dict
  sample: {symbol: BTC/USDT, quantity: "-0.0002"}
unconfirmed:
  description: What the server does not say, of what was asked for.
  returned: always
  type: list
  elements: str
  sample: [capital]
calls:
  description: Every request that was to change something and was answered, as it has to be in LeviBot's audit log, without its reason.
  returned: always
  type: list
  elements: dict
  sample:
    - {at: 1764450000.123, method: POST, path: /engines/start, query: {}, status: 200, call: start_live, symbol: BTC/USDT}
unanswered:
  description: The same of those that got no answer, or a gateway's 502 or 504, which may be in that log.
  returned: always
  type: list
  elements: dict
  sample: []
"""

import time
from decimal import Decimal, InvalidOperation
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.levibot.transition.plugins.module_utils.http import HttpError
from ansible_collections.levibot.transition.plugins.module_utils.levibot import options
from ansible_collections.levibot.transition.plugins.module_utils.levibot.engines import (
    LIVE,
    SYMBOL,
    EngineError,
    Engines,
    Outcome,
    Wanted,
)
from ansible_collections.levibot.transition.plugins.module_utils.levibot.forms import FormError

ARGUMENTS: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
    "symbol": {"type": "str", "required": True},
    "mode": {"type": "str", "choices": ["paper", "live"]},
    "capital_usd": {"type": "str"},
    "positions": {"type": "str", "choices": ["flatten", "leave"], "default": "flatten"},
    "timeout_seconds": {"type": "float", "default": 15.0},
    "call_timeout_seconds": {"type": "float", "default": 3.0},
    **options.CREDENTIALS,
    **options.SPELLING,
    **options.TLS,
    **options.READ_BACK,
}
CENT = Decimal("0.01")


def capital(text: str | None) -> Decimal | None:
    """The capital in USD. Raises ValueError."""
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0 or amount % CENT:
        raise ValueError(f"capital_usd: USD in whole cents, more than 0, such as 100.00, and not {text!r}")
    return amount


def mistakes(params: dict[str, Any]) -> list[str]:
    """All that cannot be meant."""
    found = []
    if not SYMBOL.fullmatch(params["symbol"]):
        found.append(f"symbol: BASE/QUOTE in capitals, such as BTC/USDT, and not {params['symbol']!r}")
    try:
        capital(params["capital_usd"])
    except ValueError as wrong:
        found.append(str(wrong))
    found += [
        f"{name}: at least {least}, and not {params[name]}"
        for name, least in (("confirm_reads", 1), ("quiet_seconds", 0))
        if params[name] < least
    ]
    return found


def carry_out(engines: Engines, params: dict[str, Any]) -> Outcome:
    flatten = params["positions"] == "flatten"
    if params["state"] == "stopped":
        return engines.stop(flatten=flatten)
    return engines.start(Wanted(params["mode"], capital(params["capital_usd"])), flatten=flatten)


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        required_if=[("state", "started", ("mode",)), ("mode", LIVE, ("capital_usd",))],
        supports_check_mode=True,
    )
    params = module.params
    if wrong := mistakes(params):
        module.fail_json(msg=f"{'; '.join(wrong)}. Nothing was done.")
    until = time.monotonic() + params["timeout_seconds"]
    try:
        api = options.api(params, params["url"], until)
    except FormError as problem:
        module.fail_json(msg=f"forms.{problem}. Nothing was done.")
    engines = Engines(
        api, params["symbol"], until, params["confirm_reads"], params["quiet_seconds"], time.monotonic, time.sleep, check=module.check_mode
    )
    try:
        done = carry_out(engines, params)
    except (EngineError, HttpError) as problem:
        module.fail_json(
            msg=f"{problem}.",
            changed=bool(api.calls or api.unanswered),
            open={},
            unconfirmed=[],
            calls=api.calls,
            unanswered=api.unanswered,
        )
    module.exit_json(
        changed=done.changed,
        before=done.before.to_dict(),
        after=done.after.to_dict(),
        open=done.open,
        unconfirmed=done.unconfirmed,
        calls=api.calls,
        unanswered=api.unanswered,
        diff={"before": f"{done.before.text}\n", "after": f"{done.after.text}\n"},
    )


if __name__ == "__main__":
    main()
