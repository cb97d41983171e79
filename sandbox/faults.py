# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""Switches a fault on in the candidate once its share of the traffic reaches a weight, and says when; or undoes all faults.

    faults.py --fault errors --at-weight 50 --canary-file run/canary --stable-file lib/stable \
        --slot-url blue=http://127.0.0.1:19201 --slot-url green=http://127.0.0.1:19211 --pause-file run/traffic.pause
    faults.py --clear --slot-url blue=... --slot-url green=... --slot-data blue=... --slot-data green=... --pause-file ...

The token comes from ADMIN_TOKEN in the environment. It only reads the edge's files, and so takes no part in the rollout.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

SLOTS = ("blue", "green")
STARVED = "starved"  # not the stand-in's: the traffic source is paused
FAULTS: dict[str, dict[str, Any]] = {
    "errors": {"errors": 0.3},
    "latency": {"latency": {"seconds": 0.8, "ratio": 0.5}},
    "crash": {"crash": True},
    "hang": {"hang": True},
    "alert": {"alert": True},
    "wrong_pnl": {"wrong_pnl": True},
    "stuck_position": {"stuck_position": True},
    "limit_breach": {"limit_breach": True},
    "refuse_kill": {"refuse_kill": True},
    "engine_crash": {"engine_crash": True},
    "silent_engine": {"silent_engine": True},
}
_POLL_SECONDS = 0.1
_REQUEST_SECONDS = 2.0
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the slots are on loopback


@dataclass(frozen=True)
class Candidate:
    slot: str
    weight: float  # percent


def candidate(canary: str | None, stable: str | None) -> Candidate:
    """Who is the candidate, and how much it gets, by the edge's two files; None is a file that is not there."""
    stable_green = green_share(stable or "0000") == 1
    green = green_share(canary) if canary is not None else float(stable_green)
    return Candidate("blue", 100 * (1 - green)) if stable_green else Candidate("green", 100 * green)


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


def put_faults(url: str, faults: Mapping[str, Any], token: str) -> None:
    request = urllib.request.Request(  # noqa: S310 - addresses are checked to be http
        f"{url}/sandbox/faults",
        data=json.dumps(faults).encode(),
        method="PUT",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with _NO_PROXY.open(request, timeout=_REQUEST_SECONDS) as answer:
        answer.read()


def inject(options: argparse.Namespace, token: str, say: Callable[[str], None]) -> bool:
    """Whether the fault was switched on before the time was over."""
    deadline = time.monotonic() + options.timeout
    trouble = f"the candidate never had {options.at_weight:g} %"
    while time.monotonic() < deadline:
        try:
            seen = candidate(read(options.canary_file, time.time()), read(options.stable_file))
            if reached(seen, options.at_weight):
                if options.fault == STARVED:
                    options.pause_file.touch()
                else:
                    put_faults(options.slot_url[seen.slot], FAULTS[options.fault], token)
                say(f"{options.fault} switched on in {seen.slot} at {seen.weight:.0f} %")
                return True
        except (OSError, ValueError) as exc:
            trouble = str(exc)
        time.sleep(_POLL_SECONDS)
    say(f"{options.fault} not switched on within {options.timeout:g} s: {trouble}")
    return False


def clear(options: argparse.Namespace, token: str, say: Callable[[str], None]) -> bool:
    """Undoes everything that `inject` may have done. A slot without an API has no faults but those in its data directory."""
    if options.pause_file:
        options.pause_file.unlink(missing_ok=True)
    mistakes = []
    for slot, data in options.slot_data.items():
        try:
            (data / "faults.json").unlink(missing_ok=True)
        except OSError as exc:
            mistakes.append(f"{slot}: {exc}")
    for slot, url in options.slot_url.items():
        try:
            put_faults(url, {}, token)
        except urllib.error.HTTPError as exc:
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
    what.add_argument("--fault", choices=[*FAULTS, STARVED])
    what.add_argument("--clear", action="store_true", help="undo all faults in all slots that are named")
    parser.add_argument("--at-weight", type=float, default=10.0, help="percent of the traffic (default: %(default)s)")
    parser.add_argument("--canary-file", type=Path)
    parser.add_argument("--stable-file", type=Path)
    parser.add_argument("--slot-url", type=_url, action="append", default=[], metavar="SLOT=URL", help="a slot's API, not the edge")
    parser.add_argument("--slot-data", type=_directory, action="append", default=[], metavar="SLOT=DIR", help="a slot's data directory")
    parser.add_argument("--pause-file", type=Path, help="what pauses the traffic source")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds (default: %(default)s)")
    options = parser.parse_args(arguments)
    options.slot_url, options.slot_data = dict(options.slot_url), dict(options.slot_data)
    if options.fault and not (options.canary_file and options.stable_file):
        parser.error("--fault needs --canary-file and --stable-file")
    if options.fault == STARVED and not options.pause_file:
        parser.error(f"--fault {STARVED} needs --pause-file")
    if options.fault not in (None, STARVED) and set(options.slot_url) != set(SLOTS):
        parser.error("--fault needs --slot-url of both slots: either can be the candidate")
    return options


def say(text: str) -> None:
    print(f"{datetime.now().astimezone().isoformat(timespec='milliseconds')} {text}", flush=True)


def main() -> int:
    options = parse()
    token = os.environ.get("ADMIN_TOKEN", "")
    if options.fault != STARVED and options.slot_url and not token:
        print("ADMIN_TOKEN: not set", file=sys.stderr)
        return 2
    done = clear(options, token, say) if options.clear else inject(options, token, say)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
