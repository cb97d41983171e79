# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""Switches a fault on, in the candidate once its share of the traffic reaches a weight, or in the slot that serves once so many live
engines run there, and says when; or undoes all faults.

    faults.py --fault errors --at-weight 50 --canary-file run/canary --stable-file lib/stable \
        --slot-url blue=http://127.0.0.1:19201 --slot-url green=http://127.0.0.1:19211 --pause-file run/traffic.pause
    faults.py --fault wrong_pnl --at-live 3 --stable-file ... --slot-url ... --slot-url ...
    faults.py --clear --slot-url blue=... --slot-url green=... --slot-data blue=... --slot-data green=... --stable-file ... --pause-file ...

The token comes from ADMIN_TOKEN in the environment. It only reads the edge's files, and so takes no part in the rollout.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

SLOTS = ("blue", "green")
# Not the stand-in's own:
STARVED = "starved"  # the traffic source is paused
SECOND_LIVE = "second_live"  # in the other slot a live engine is started for a symbol that is live in the one that serves
FAULTS: dict[str, dict[str, Any]] = {
    "errors": {"errors": 0.3},
    "latency": {"latency": {"seconds": 0.8, "ratio": 0.5}},
    "crash": {"crash": True},
    "hang": {"hang": True},
    "alert": {"alert": True},
    "wrong_pnl": {"wrong_pnl": 0.01},
    "missing_fill": {"missing_fill": True},
    "duplicate_fill": {"duplicate_fill": True},
    "stuck_position": {"stuck_position": True},
    "limit_breach": {"limit_breach": True},
    "changed_limit": {"changed_limit": True},
    "loss": {"loss": True},
    "refuse_kill": {"refuse_kill": True},
    "engine_crash": {"engine_crash": True},
    "silent_engine": {"silent_engine": True},
}
# What only live trading shows: it waits for a live engine unless it is told what to wait for. All others wait for the first visitors.
OF_LIVE_TRADING = frozenset(
    {
        *("wrong_pnl", "missing_fill", "duplicate_fill", "stuck_position", "limit_breach", "changed_limit"),
        *("engine_crash", "silent_engine", "loss", SECOND_LIVE),
    }
)
USUAL_WEIGHT, USUAL_LIVE = 10.0, 1
_POLL_SECONDS = 0.1
_REQUEST_SECONDS = 2.0
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the slots are on loopback


@dataclass(frozen=True)
class Candidate:
    slot: str
    weight: float  # percent


def candidate(canary: str | None, stable: str | None) -> Candidate:
    """Who is the candidate, and how much it gets, by the edge's two files; None is a file that is not there."""
    stable_green = serving(stable) == "green"
    green = green_share(canary) if canary is not None else float(stable_green)
    return Candidate("blue", 100 * (1 - green)) if stable_green else Candidate("green", 100 * green)


def serving(stable: str | None) -> str:
    """Which slot serves, by the edge's lasting file."""
    return "green" if green_share(stable or "0000") == 1 else "blue"


def green_share(content: str) -> float:
    """`g` is all, otherwise four hex digits of 65536."""
    text = content.strip()
    if text == "g":
        return 1.0
    if not re.fullmatch(r"[0-9a-f]{4}", text):
        raise ValueError(f"neither g nor four hex digits: {text!r}")
    return int(text, 16) / 65536


def reached(seen: Candidate, weight: float) -> bool:
    """A share is stored in steps of 1/65536, so it may fall short of its weight by less than one."""
    return seen.weight > weight - 100 / 65536


def read(path: Path, now: float | None = None) -> str | None:
    """The content, or None; with `now`, also None for a file that has expired: its mtime is then in the past."""
    try:
        if now is not None and path.stat().st_mtime <= now:
            return None
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None


def ask(method: str, url: str, token: str, body: Any = None) -> Any:
    """The answer's JSON. Raises OSError where there is none, HTTPError among them, and ValueError where it is no JSON."""
    request = urllib.request.Request(  # noqa: S310 - addresses are checked to be http
        url,
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with _NO_PROXY.open(request, timeout=_REQUEST_SECONDS) as answer:
            return json.loads(answer.read())
    except http.client.HTTPException as exc:
        raise OSError(f"{url}: {exc!r}") from exc


def put_faults(url: str, faults: Mapping[str, Any], token: str) -> None:
    ask("PUT", f"{url}/sandbox/faults", token, faults)


def live_engines(url: str, token: str) -> dict[str, float]:
    """By symbol, the capital of the live engines that run there."""
    engines = ask("GET", f"{url}/engines/status", token)["engines"]
    return {item["symbol"]: item["capital"] for item in engines if item["status"] == "running" and item.get("mode") == "live"}


class GivenUpError(Exception):
    """No waiting will help."""


def start_second_live(slot: str, url: str, token: str, symbol: str, capital: float) -> None:
    wanted = {"symbol": symbol, "mode": "live", "capital": capital}
    try:
        ask("POST", f"{url}/engines/start", token, wanted)
    except urllib.error.HTTPError as exc:
        answer = exc.read(200).decode(errors="replace")
        raise GivenUpError(f"{slot} does not start a live engine for {symbol}: {exc.code} {answer}") from exc
    except (OSError, ValueError) as exc:
        why = f"{slot} does not answer at {url} ({exc}); are its containers gone? Start them first"
        raise GivenUpError(why) from exc


def by_weight(options: argparse.Namespace, token: str) -> str | None:
    """Switches the fault on in the candidate and says where, or None while its share is too small."""
    seen = candidate(read(options.canary_file, time.time()), read(options.stable_file))
    if not reached(seen, options.at_weight):
        return None
    switch_on(options, token, seen.slot)
    return f"in {seen.slot} at {seen.weight:.0f} %"


def by_live(options: argparse.Namespace, token: str) -> str | None:
    """Switches the fault on in the slot that serves and says where, or None while too few live engines run there."""
    slot = serving(read(options.stable_file))
    live = live_engines(options.slot_url[slot], token)
    if len(live) < options.at_live:
        return None
    if options.fault == SECOND_LIVE:
        (other,) = set(SLOTS) - {slot}
        symbol, capital = next(iter(live.items()))
        start_second_live(other, options.slot_url[other], token, symbol, capital)
        return f"in {other}, for {symbol}, which is live in {slot}"
    switch_on(options, token, slot)
    return f"in {slot}, with {len(live)} live engine{'s' if len(live) > 1 else ''} there"


def switch_on(options: argparse.Namespace, token: str, slot: str) -> None:
    if options.fault == STARVED:
        options.pause_file.touch()
    else:
        put_faults(options.slot_url[slot], FAULTS[options.fault], token)


def inject(options: argparse.Namespace, token: str, say: Callable[[str], None]) -> bool:
    """Whether the fault was switched on before the time was over."""
    deadline = time.monotonic() + options.timeout
    if options.at_live:
        attempt, trouble = by_live, f"there never were {options.at_live} live engines in the slot that serves"
    else:
        attempt, trouble = by_weight, f"the candidate never had {options.at_weight:g} %"
    while time.monotonic() < deadline:
        try:
            if where := attempt(options, token):
                say(f"{options.fault} switched on {where}")
                return True
        except (OSError, ValueError, KeyError) as exc:
            trouble = str(exc)
        except GivenUpError as exc:
            say(f"{options.fault} not switched on: {exc}")
            return False
        time.sleep(_POLL_SECONDS)
    say(f"{options.fault} not switched on within {options.timeout:g} s: {trouble}")
    return False


def clear(options: argparse.Namespace, token: str, say: Callable[[str], None]) -> bool:
    """Undoes everything that `inject` may have done. A slot without an API has no faults but those in its data directory, and one that
    does not serve has no live engine but by a fault."""
    if options.pause_file:
        options.pause_file.unlink(missing_ok=True)
    mistakes = []
    for slot, data in options.slot_data.items():
        try:
            (data / "faults.json").unlink(missing_ok=True)
        except OSError as exc:
            mistakes.append(f"{slot}: {exc}")
    idle = set(SLOTS) - {serving(read(options.stable_file))} if options.stable_file else set()
    for slot, url in options.slot_url.items():
        try:
            put_faults(url, {}, token)
            for symbol in live_engines(url, token) if slot in idle else ():
                ask("POST", f"{url}/engines/stop/{urllib.parse.quote(symbol, safe='')}", token)
        except (urllib.error.HTTPError, ValueError, KeyError) as exc:
            mistakes.append(f"{slot}: {exc}")
        except OSError:
            continue
    say(f"faults cleared, except {'; '.join(mistakes)}" if mistakes else "faults cleared")
    return not mistakes


def _pair(text: str) -> tuple[str, str]:
    slot, equals, value = text.partition("=")
    if slot not in SLOTS or not equals or not value:
        raise argparse.ArgumentTypeError(f"{' or '.join(SLOTS)}=VALUE, not {text!r}")
    return slot, value


def _url(text: str) -> tuple[str, str]:
    slot, url = _pair(text)
    if not url.startswith("http://"):
        raise argparse.ArgumentTypeError(f"{slot}=http://HOST:PORT, not {text!r}")
    return slot, url.rstrip("/")


def _directory(text: str) -> tuple[str, Path]:
    slot, path = _pair(text)
    return slot, Path(path)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--fault", choices=[*FAULTS, STARVED, SECOND_LIVE])
    what.add_argument("--clear", action="store_true", help="undo all faults in all slots that are named")
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--at-weight", type=float, help=f"percent of the traffic (default: {USUAL_WEIGHT:g})")
    when.add_argument(
        "--at-live",
        type=int,
        help=f"so many live engines, or more, in the slot that serves (default of live trading's faults: {USUAL_LIVE})",
    )
    parser.add_argument("--canary-file", type=Path)
    parser.add_argument("--stable-file", type=Path)
    parser.add_argument("--slot-url", type=_url, action="append", default=[], metavar="SLOT=URL", help="a slot's API, not the edge")
    parser.add_argument("--slot-data", type=_directory, action="append", default=[], metavar="SLOT=DIR", help="a slot's data directory")
    parser.add_argument("--pause-file", type=Path, help="what pauses the traffic source")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds (default: %(default)s)")
    options = parser.parse_args(arguments)
    options.slot_url, options.slot_data = dict(options.slot_url), dict(options.slot_data)
    if options.at_weight is None and options.at_live is None:
        options.at_weight, options.at_live = (None, USUAL_LIVE) if options.fault in OF_LIVE_TRADING else (USUAL_WEIGHT, None)
    if options.at_live is not None and options.at_live < 1:
        parser.error("--at-live needs a number from 1")
    if options.fault and not (options.stable_file and (options.canary_file or options.at_live)):
        parser.error("--fault needs --canary-file and --stable-file, and only the latter with --at-live")
    if options.fault == SECOND_LIVE and not options.at_live:
        parser.error(f"--fault {SECOND_LIVE} needs --at-live: nothing is live before")
    if options.fault == STARVED and not options.pause_file:
        parser.error(f"--fault {STARVED} needs --pause-file")
    if options.fault and (options.fault != STARVED or options.at_live) and set(options.slot_url) != set(SLOTS):
        parser.error("--fault needs --slot-url of both slots: either can be the candidate")
    return options


def say(text: str) -> None:
    print(f"{datetime.now().astimezone().isoformat(timespec='milliseconds')} {text}", flush=True)


def main() -> int:
    options = parse()
    token = os.environ.get("ADMIN_TOKEN", "")
    if options.slot_url and not token:
        print("ADMIN_TOKEN: not set", file=sys.stderr)
        return 2
    done = clear(options, token, say) if options.clear else inject(options, token, say)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
