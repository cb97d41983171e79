# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release that has been live for 48 hours, as Phase 4 sees it: what the ledger and the hosts say, with nothing wrong in it."""

from __future__ import annotations

import copy
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger.entries import timestamp
from tests.evidence_bed import NOW, VERSION

HOUR = 3600.0
T0 = NOW - 49 * HOUR
LIVE_AT = T0 + 4 * HOUR
DIGESTS = {"api": "sha256:aa", "panel": "sha256:bb"}
ROLLOUT, LIVE = f"20261125T190000Z-{VERSION}", f"20261125T230000Z-{VERSION}-live"
ENGINES = {"BTC/USDT": "100.00", "ETH/USDT": "100.00"}


def call(name: str, at: float, symbol: str = "", **more: Any) -> dict[str, Any]:
    paths = {"start_live": "/engines/start", "kill": "/live/kill", "release": "/live/kill", "stop_engines": "/engines/stop_all"}
    query = {"kill": {"on": "true"}, "release": {"on": "false"}}.get(name, {})
    path = paths.get(name, f"/engines/stop/{symbol.replace('/', '%2F')}")
    return {"at": at, "method": "POST", "path": path, "query": query, "status": 200, "call": name, "symbol": symbol, **more}


def line(event: str, at: float, symbol: str = "", **more: Any) -> dict[str, Any]:
    """As module audit_info returns it."""
    bare = {"method": "", "path": "", "query": "", "status": None, "by": "10.0.0.7", "refused": False, "file": "/audit.jsonl"}
    return {"at": at, "event": event, "symbol": symbol, **bare, **more}


CALLS = [
    call("kill", T0 + 3.5 * HOUR),
    call("release", T0 + 3.5 * HOUR + 5),
    call("start_live", LIVE_AT, "BTC/USDT"),
    call("start_live", LIVE_AT + 4 * HOUR, "ETH/USDT"),
]
LINES = [
    line("kill", T0 + 3.5 * HOUR + 0.2),
    line("unkill", T0 + 3.5 * HOUR + 5.2),
    line("engine_start", LIVE_AT + 0.1, "BTC/USDT"),
    line("engine_start", LIVE_AT + 4 * HOUR + 0.4, "ETH/USDT"),
]


def log(lines: list[dict[str, Any]], **changed: Any) -> dict[str, Any]:
    """A slot's log as module audit_info returns it."""
    times = [one["at"] for one in lines]
    told = {
        "files": ["/audit.jsonl"],
        "lines": len(lines),
        "unreadable": 0,
        "examples": [],
        "rotated": False,
        "problems": [],
        "days": [],
        "undated": True,
    }
    about = {"first_at": min(times, default=None), "last_at": max(times, default=None), "silence": [T0, NOW], "actions": lines}
    return {**told, **about, **changed}


def slot(release: str = VERSION) -> dict[str, Any]:
    """What slot_info says of a slot that serves."""
    images = {name: {"digest": f"registry/levibot/{name}@{digest}", "id": f"sha256:id-{name}"} for name, digest in DIGESTS.items()}
    containers = {
        name: [{"name": f"levibot-green-{name}-1", "state": "running", "digest": image["digest"], "image_id": image["id"]}]
        for name, image in images.items()
    }
    engines = [{"symbol": symbol, "status": "running", "mode": "live", "capital": float(usd)} for symbol, usd in ENGINES.items()]
    api = {"mode": "live", "kill_switch": False, "engines": engines, "models": {}}
    return {"release": release, "images": images, "containers": containers, "api": api}


BASELINE = {
    "at": LIVE_AT - 60,
    "positions": {},
    "cash_usd": "200",
    "total_pnl_usd": "0",
    "starting_usd": "200",
    "last_fill_id": "",
    "fills": 0,
}
REPORTED = {"max_daily_loss_pct": "5", "max_symbol_risk_pct": "20", "max_concurrent_positions": "10"}
RATIOS = {"position_ratio": "1", "exposure_ratio": "1", "daily_loss_ratio": "0.05", "concurrent_positions": 10, "reported": REPORTED}


def fill(at: float, symbol: str, side: str, qty: float, price: float) -> dict[str, Any]:
    fee = qty * price / 1000
    return {"fill_id": f"f{at:.0f}", "ts": at, "symbol": symbol, "side": side, "qty": qty, "price": price, "fee": fee}


def books() -> dict[str, Any]:
    """A live book as levibot/books.py reads it: one trade in BTC that has earned 0.4794 USD, and ETH for 30 USD that is worth 30.30 now."""
    held = {"symbol": "ETH/USDT", "side": "long", "qty": 0.01, "entry_price": 3000.0, "current_price": 3030.0, "pnl_usd": 0.3}
    held["entry_time"] = NOW - HOUR
    traded = {"trade_id": "t1", "symbol": "BTC/USDT", "side": "long", "qty": 0.001, "entry_price": 60000.0, "exit_price": 60600.0}
    engines = [
        {"symbol": symbol, "status": "running", "mode": "live", "capital": float(usd), "last_heartbeat": NOW - 1}
        for symbol, usd in ENGINES.items()
    ]
    return {
        "at": NOW,
        "history": "fills",
        "fills": [
            fill(LIVE_AT + HOUR, "BTC/USDT", "buy", 0.001, 60000),
            fill(LIVE_AT + 2 * HOUR, "BTC/USDT", "sell", 0.001, 60600),
            fill(NOW - HOUR, "ETH/USDT", "buy", 0.01, 3000),
        ],
        "trades": [{**traded, "pnl_usd": 0.4794, "entry_time": LIVE_AT + HOUR, "exit_time": LIVE_AT + 2 * HOUR}],
        "positions": [held],
        "positions_again": [held],
        "portfolio": {"starting_balance": 200.0, "cash_balance": 170.4494, "total_equity": 200.7494, "total_pnl": 0.7494},
        "engines": engines,
        "risk": {"realized_today_pct": 0.2, "policy": {name: float(value) for name, value in REPORTED.items()}},
        "mode": "live",
        "killed": False,
        "complete": True,
    }


def observed() -> dict[str, Any]:
    """All parts, on one app host; a copy that a test may spoil."""
    return copy.deepcopy(
        {
            "period": {"rollout": ROLLOUT, "started": T0, "served": T0 + 60, "ends": T0 + 48 * HOUR, "slot": "green", "stable": "blue"},
            "live": {
                "rollout": LIVE,
                "host": "app1",
                "slot": "green",
                "engines": ENGINES,
                "starts": {"BTC/USDT": [[LIVE_AT, "100.00"]], "ETH/USDT": [[LIVE_AT + 4 * HOUR, "100.00"]]},
                "since": LIVE_AT - 60,
                "baseline": BASELINE,
                "sides": ["long", "short"],
                "limits": RATIOS,
                "elsewhere": [],
            },
            "apps": {
                "app1": {
                    "problem": "",
                    "slots": {"green": slot(), "blue": {"release": "v1.7.0", "images": {}, "containers": {}, "api": None}},
                    "audit": {"problem": "", "logs": {"green": log(LINES), "blue": log([], files=[])}},
                }
            },
            "books": {"raw": books(), "fee_ratio": "0.001"},
            "chain": {"intact": True, "entries": 214, "head": "7d3bd9bd3f0ea1e8"},
        }
    )


def entry(kind: str, rollout: str, at: float, /, **data: Any) -> dict[str, Any]:
    return {"kind": kind, "rollout": rollout, "at": timestamp(at), "data": data}


def records() -> list[dict[str, Any]]:
    """The ledger's entries."""
    steps = [{"id": "phase3.step1", "engines": {"BTC/USDT": "100.00"}}, {"id": "phase3.step2", "engines": {"ETH/USDT": "100.00"}}]
    images = {name: {"digest": digest, "id": f"sha256:id-{name}"} for name, digest in DIGESTS.items()}
    policy = {"sides": ["long", "short"], "limits": {"daily_loss_ratio": "0.05"}}
    told = [
        entry("result", f"phase1-{VERSION}", T0 - HOUR, action="release", version=VERSION, revision="c0ffee", images=images),
        entry("opened", ROLLOUT, T0, version=VERSION, plan_digest="sha256:p", stable={"slot": "blue"}, candidate={"slot": "green"}),
        entry("result", ROLLOUT, T0 + 60, action="weight", step="phase2.step1", weight=10),
        entry("closed", ROLLOUT, T0 + 3 * HOUR, outcome="promoted"),
        entry("result", "kill-drill-1", T0 + 3.5 * HOUR + 9, action="kill_drill", version=VERSION, passed=True, calls={"app1": CALLS[:2]}),
        entry("opened", LIVE, LIVE_AT - 60, phase="phase3", version=VERSION, slot="green", host="app1", steps=steps, policy=policy,
              baseline={"at": LIVE_AT - 60}),
    ]  # fmt: skip
    for made, engines in ((CALLS[2], steps[0]["engines"]), (CALLS[3], steps[1]["engines"])):
        told.append(entry("intent", LIVE, made["at"] - 1, action="start", host="app1", slot="green", engines=engines))
        told.append(entry("result", LIVE, made["at"] + 1, action="start", host="app1", slot="green", engines=engines, calls=[made]))
    told.append(entry("closed", LIVE, NOW - HOUR, outcome="live"))
    return [{**one, "seq": number} for number, one in enumerate(copy.deepcopy(told), 1)]
