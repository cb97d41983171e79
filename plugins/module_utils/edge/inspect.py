# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an edge, each with where it is set, what was found and what to do about it.

Looks only. Nothing depends on Caddy's admin API: that the snippets run is seen from outside, by asking the split, both slots'
listeners and the metrics; where the admin API is on, its config is compared as well.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .files import SplitError, SplitFiles
from .probe import Probe, ProbeError
from .split import BUCKETS, SLOTS, Split, decode, iso
from .verify import verify

# The split rests on a placeholder inside an expression, which Caddy does not promise: the ends of this range are tested.
CADDY_TESTED = ((2, 10), (2, 11))
CADDY_RANGE = ">=2.10,<2.12"

INSTALL = "install the edge (role levibot.transition.edge)"
HEARTBEAT = "expiry.heartbeat"
TIMER = "levibot-edge-expire.timer"


@dataclass(frozen=True)
class Problem:
    """One thing to put right."""

    path: str
    found: str
    fix: str


@dataclass(frozen=True)
class Edge:
    """Where the parts of an edge are. Names are the module's options."""

    run_dir: str
    lib_dir: str
    caddy_binary: str
    caddyfile: str
    snippet_dir: str
    slots: dict[str, str]
    site_url: str
    metrics_url: str
    admin_url: str = ""
    host: str = ""
    validate_certs: bool = True
    sticky: bool = True
    expiry_mechanism: str = "auto"
    heartbeat_max_age_seconds: float = 15
    timeout_seconds: float = 3


@dataclass
class Report:
    """The state of an edge."""

    split: Split = field(default_factory=Split)
    caddy_version: str | None = None
    caddyfile_adapts: bool = False
    split_answers: dict[str, bool] = field(default_factory=dict)
    expired_notes: list[dict[str, Any]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def add(self, path: str, found: str, fix: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(path, found, fix))


def inspect(edge: Edge) -> Report:
    """Look at everything, whatever is found on the way."""
    report = Report()
    _look_at_files(edge, report)
    # Without a binary Caddy runs elsewhere, in a container say, and is only asked from outside.
    if edge.caddy_binary and _look_at_version(edge, report):
        _look_at_caddyfile(edge, report)
    _look_at_running(edge, report)
    _look_at_admin(edge, report)
    _look_at_expiry(edge, report)
    return report


def notes(lib_dir: str) -> list[dict[str, Any]]:
    """The canaries that this edge took away by itself, oldest first."""
    found = []
    for path in sorted(Path(lib_dir).glob("expired-*")):
        removed = path.name.rpartition("-")[2]
        try:
            text, expiry = path.read_text(encoding="ascii", errors="replace").strip(), path.stat().st_mtime
            green = round(100 * decode(text) / BUCKETS, 4)
        except ValueError:
            green = None
        except OSError:
            continue
        if removed.isdigit():
            found.append({"file": str(path), "removed_at": iso(int(removed)), "expired_at": iso(expiry), "green_weight": green})
    return found


def _look_at_files(edge: Edge, report: Report) -> None:
    files = SplitFiles(edge.run_dir, edge.lib_dir)
    for name in files.missing_directories():
        report.add("edge_run_dir" if name == edge.run_dir else "edge_lib_dir", f"{name} is missing", INSTALL)
    report.expired_notes = notes(edge.lib_dir)
    try:
        split = report.split = files.read()
    except (OSError, SplitError) as exc:
        report.add("edge_run_dir", str(exc), "make both files readable for the user that runs this")
        return
    if split.broken_stable:
        report.add("edge_lib_dir", split.broken_stable, f"write the stable slot's value to {files.stable}: a person knows which that is")
    elif split.stable is None:
        report.add("edge_lib_dir", f"{files.stable} is missing, so nobody knows which slot is stable (Caddy serves blue)", INSTALL)
    if split.broken_canary:
        report.add("edge_run_dir", split.broken_canary, f"remove {files.canary}")


def _look_at_version(edge: Edge, report: Report) -> bool:
    try:
        status, output = _run([edge.caddy_binary, "version"], edge.timeout_seconds)
    except OSError as exc:
        report.add(
            "edge_caddy_binary",
            f"{edge.caddy_binary!r} does not run: {exc.strerror or exc}",
            f"install Caddy {CADDY_RANGE}, or set edge_caddy_binary to where it is",
        )
        return False
    version = re.search(r"v?(\d+)\.(\d+)\.(\d+)", output)
    if status or not version:
        report.add("edge_caddy_binary", f"`{edge.caddy_binary} version` says {output.strip()[:80]!r}", f"install Caddy {CADDY_RANGE}")
        return False
    report.caddy_version = version[0].lstrip("v")
    lowest, highest = CADDY_TESTED
    if not lowest <= (int(version[1]), int(version[2])) <= highest:
        report.add("edge_caddy_binary", f"Caddy {report.caddy_version}, which the split is not tested with", f"install Caddy {CADDY_RANGE}")
    return True


def _look_at_caddyfile(edge: Edge, report: Report) -> None:
    try:
        status, output = _run([edge.caddy_binary, "adapt", "--config", edge.caddyfile, "--adapter", "caddyfile"], 10)
    except OSError as exc:
        report.add("edge_caddyfile", str(exc), "see whether Caddy can run here")
        return
    if status:
        report.add("edge_caddyfile", f"{edge.caddyfile} cannot be adapted: {_last_error(output)}", f"mend it, or {INSTALL}")
        return
    report.caddyfile_adapts = True
    missing = _missing_snippets(output)
    if missing:
        imports = {
            "global.caddy": f"`import {edge.snippet_dir}/global.caddy` inside its global options",
            "slots.caddy": f"`import {edge.snippet_dir}/slots.caddy` at its top level",
            "levibot_split": "`import levibot_split` inside your site",
        }
        lines = ", ".join(imports[snippet] for snippet, _lacks in missing)
        report.add(
            "edge_caddyfile",
            f"{edge.caddyfile} {', '.join(lacks for _snippet, lacks in missing)}",
            f"write {lines}; then reload Caddy once",
        )


def _missing_snippets(config: str) -> list[tuple[str, str]]:
    return [
        (snippet, lacks)
        for snippet, sign, lacks in (
            ("global.caddy", '"slot-green":{', "does not name the slots' servers"),
            ("slots.caddy", '"X-Levibot-Slot"', "has no listeners for the slots"),
            ("levibot_split", '"name":"levibot_green"', "does not split its site"),
        )
        if sign.lower() not in config.lower().replace('": ', '":')
    ]


def _look_at_running(edge: Edge, report: Report) -> None:
    common: dict[str, Any] = {"timeout": edge.timeout_seconds, "validate_certs": edge.validate_certs}
    if _nothing_listens([*edge.slots.values(), edge.site_url, edge.metrics_url]):
        report.split_answers = dict.fromkeys(SLOTS, False)
        report.add(
            "edge_caddyfile",
            f"Caddy does not run with {edge.caddyfile}: nothing listens for the slots, the site ({edge.site_url}) or the metrics",
            "start Caddy, and see in its log why it does not stay",
        )
        return
    for slot in SLOTS:
        report.split_answers[slot] = _slot_answers(edge, slot, report, common)
    try:
        site = Probe(edge.site_url, host=edge.host, **common)
        metrics = Probe(edge.metrics_url, **common)
    except ProbeError as exc:
        report.add("edge_site_url", str(exc), "set it to an address behind the split, such as https://127.0.0.1")
        return
    try:
        served = metrics.ask()
        if served.status != HTTPStatus.OK or "caddy_" not in served.body:
            report.add(
                "edge_metrics_url",
                f"{edge.metrics_url} answers {served.status} and has no metrics of Caddy",
                "serve them: `metrics /metrics` in a site of the Caddyfile",
            )
            return
    except ProbeError as exc:
        report.add(
            "edge_metrics_url", str(exc), "start Caddy with the edge's snippets, or set edge_metrics_url to where Caddy serves its metrics"
        )
        return
    seen = verify(report.split.buckets, site, metrics, sticky=edge.sticky, timeout=min(edge.timeout_seconds, 1))
    if not seen.ok:
        report.add(
            "edge_site_url",
            f"the running Caddy does not split as its files say: {seen.text}",
            f"write `import levibot_split` inside your site, reload Caddy once, and see that edge_site_url ({edge.site_url}) leads there",
        )


def _nothing_listens(urls: list[str]) -> bool:
    """One cause with one remedy, where each question on its own would report it once more."""
    for url in urls:
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), timeout=1).close()
        except ConnectionRefusedError:
            continue
        except (OSError, ValueError):
            return False
        return False
    return True


def _slot_answers(edge: Edge, slot: str, report: Report, common: dict[str, Any]) -> bool:
    url = edge.slots.get(slot, "")
    try:
        answer = Probe(url, **common).ask()
    except ProbeError as exc:
        report.add(f"levibot_slots.{slot}.listen", f"no listener for slot {slot}: {exc}", "reload or start Caddy with the edge's snippets")
        return False
    if answer.slot != slot:
        claims = f"says it is {answer.slot!r}" if answer.slot else "does not say which slot it is"
        report.add(
            f"levibot_slots.{slot}.listen",
            f"{url} answers {answer.status} and {claims}",
            "give the slot a port that nothing else listens on, and install the edge again",
        )
        return False
    return True


def _look_at_admin(edge: Edge, report: Report) -> None:
    if not edge.admin_url:
        return
    try:
        answer = Probe(edge.admin_url.rstrip("/") + "/config/", timeout=edge.timeout_seconds).ask()
        running = json.dumps(json.loads(answer.body), separators=(",", ":"))
    except (ProbeError, ValueError) as exc:
        report.add("edge_admin", f"Caddy's admin API gives no configuration: {exc}", 'say where it listens, or "off" where it is off')
        return
    for _snippet, lacks in _missing_snippets(running):
        report.add(
            "edge_caddyfile",
            f"the configuration that Caddy runs {lacks}",
            "reload Caddy once; the Caddyfile on disk may be newer than what runs",
        )


def _look_at_expiry(edge: Edge, report: Report) -> None:
    if edge.expiry_mechanism == "systemd":
        try:
            status, output = _run(["systemctl", "is-active", TIMER], edge.timeout_seconds)
        except OSError as exc:
            status, output = 1, str(exc)
        if status:
            report.add(
                "edge_expiry_mechanism",
                f"{TIMER} is not active ({output.strip()[:80]}): a canary would never expire",
                f"systemctl enable --now {TIMER}, or {INSTALL}",
            )
            return
    heartbeat = Path(edge.run_dir) / HEARTBEAT
    try:
        age = time.time() - heartbeat.stat().st_mtime
    except OSError:
        report.add(
            "edge_expiry_mechanism",
            f"{heartbeat} is missing: nobody would remove an expired canary",
            f"start the expiry script, or {INSTALL}",
        )
        return
    if age > edge.heartbeat_max_age_seconds:
        report.add(
            "edge_expiry_mechanism",
            f"{heartbeat} is {age:.0f} s old: nobody would remove an expired canary",
            f"start the expiry script again, or {INSTALL}",
        )


def _last_error(output: str) -> str:
    for line in reversed(output.strip().splitlines()):
        if line.startswith("{"):
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if message.get("level") in ("error", "fatal"):
                return str(message.get("msg", ""))[:300]
        elif line.lower().startswith("error"):
            return line[:300]
    return output.strip()[-300:]


def _run(argv: list[str], timeout: float) -> tuple[int, str]:
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return 1, f"no answer within {timeout:g} s"
    return done.returncode, done.stdout + done.stderr
