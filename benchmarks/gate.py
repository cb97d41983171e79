# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look of a gate costs the control node: CPU, wall time and memory, for 1, 10 and 100 checks in 1, 10 and 50 gates at once.

Real `ansible-playbook` runs ask one real Prometheus, which scrapes two slots once a second. Three ways take turns in the same rounds:

- the action `gate`, whose checks are a mix of all that Prometheus is asked for;
- `ansible.builtin.uri` with `until`, as playbooks do it without this collection: one simple query a check, a poll for each look;
- a bare Python loop that sends the very requests of a look over one kept connection and parses the answers: the limit.

Each way runs twice, with few looks and with many, and the difference is divided by the looks that the second had more. So start-up cancels,
and for the gate, whose window is the same in both, waiting does, too: what that costs a second is told apart. CPU is that of the
whole process tree (`wait4`). The table has the medians; build/bench/gate.json has every run.
"""
# ruff: noqa: E402  the checkout has to be on the path before what is imported from it

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT / "collections"), str(CHECKOUT)]

from ansible_collections.levibot.transition.plugins.module_utils.http import Client, Response
from ansible_collections.levibot.transition.plugins.module_utils.sources import prometheus
from ansible_collections.levibot.transition.plugins.module_utils.sources.window import Window
from tests.integration.daemons import Exporter, PrometheusDaemon, program, running

GOAL_CPU_SECONDS, GOAL_RATIO, GOAL_CHECKS = 0.010, 30, 10
LONG_LOOKS = 10_000
# Prometheus begins to scrape 5 s after its start; what is asked about begins later than that.
WARM_UP_SECONDS = 12
CHECKS, GATES = (1, 10, 100), (1, 10, 50)
# So many looks that they stand out against the noise of the start, and so few that the machine is not always late.
INTERVAL_SECONDS, INTERVAL_SECONDS_A_CHECK = 0.05, 0.005
WINDOW_SECONDS, WINDOW_SECONDS_A_CHECK = 10, 0.01
# uri takes a third of a CPU-second a poll, so it is spared what would take it minutes.
MOST_POLLS, ENOUGH_POLLS = 100, 20
SLOTS = {"blue": 9, "green": 1}
BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf")
MIX = ("counters", "samples", "quantile", "counters", "baseline", "counters", "samples", "quantile", "threshold", "counters")
SUBJECT = {"slot": "green", "stable": "blue"}
ANSIBLE = Path(sys.executable).parent / "ansible-playbook"


def page(second: int) -> str:
    """What the two slots export: for each of 100 parts of them counters, a probe and a histogram."""
    lines = []
    for slot, weight in SLOTS.items():
        for part in range(max(CHECKS)):
            labels = f'slot="{slot}",part="{part}"'
            lines.append(f'requests_total{{{labels},code="200"}} {second * weight * 50}')
            lines.append(f'requests_total{{{labels},code="500"}} {second * weight // 20}')
            lines.append(f"probe_success{{{labels}}} 1")
            lines += [f'seconds_bucket{{{labels},le="{le}"}} {second * weight * min(5 + at, 15)}' for at, le in enumerate(BOUNDS)]
    return "\n".join([*lines, ""])


@contextmanager
def store(folder: Path) -> Iterator[str]:
    """The URL of a Prometheus that has scraped for a while."""
    exporter, stopped = Exporter(), threading.Event()

    def grow() -> None:
        second = 1000
        while not stopped.is_set():
            exporter.text = page(second)
            second += 1
            stopped.wait(1)

    threading.Thread(target=grow, daemon=True).start()
    scrapes = [{"job_name": "slots", "static_configs": [{"targets": [exporter.address]}]}]
    daemon = PrometheusDaemon(folder, {"global": {"scrape_interval": "1s"}, "scrape_configs": scrapes})
    with running(daemon):
        time.sleep(WARM_UP_SECONDS)
        yield daemon.url
    stopped.set()
    exporter.close()


def check(number: int) -> dict[str, Any]:
    """The check of this number: each asks about a part of the slots of its own, so that none shares another's answer."""
    kind, series = MIX[number % len(MIX)], f'slot="$slot",part="{number}"'
    counters = {"bad": f'requests_total{{{series},code="500"}}', "total": f"requests_total{{{series}}}"}
    asked, op, limit, unit = {
        "counters": ({"kind": "proportion", "of": "bad", **counters}, "<", "0.5", "ratio"),
        "samples": ({"kind": "proportion", "of": "good", "samples": f"probe_success{{{series}}}"}, ">", "0.5", "ratio"),
        "quantile": ({"kind": "quantile", "quantile": 0.5, "buckets": f"seconds_bucket{{{series}}}"}, "<", "5", "seconds"),
        "baseline": ({"kind": "baseline", "buckets": f"seconds_bucket{{{series}}}", "ignore_below": 0.1}, "<", "5", "ratio"),
        "threshold": (
            {
                "kind": "threshold",
                "query": f"sum(rate(requests_total{{{series}}}[$elapsed])) or vector(0)",
                "unit": "count",
                "fail_after": 1,
            },
            ">=",
            "0",
            "count",
        ),
    }[kind]
    own = {"id": f"{kind}_{number}", "source": "prometheus", "mode": "enforce", "min_events": 1, **asked}
    return {**own, "condition": {"op": op, "limit": limit, "unit": unit, "text": f"{own['id']} {op} {limit}"}}


def gate_of(checks: int, window_seconds: float, interval_seconds: float) -> dict[str, Any]:
    timing = {"window_seconds": window_seconds, "interval_seconds": interval_seconds, "settle_seconds": 0, "hold_seconds": 0}
    return {"id": "bench", "on_fail": "rollback", **timing, "blind_after_seconds": 3600, "checks": [check(at) for at in range(checks)]}


@dataclass(frozen=True)
class Run:
    """One process tree from its start to its end. PSS is the tree's memory with shared pages counted once, at its highest."""

    looks: int
    cpu_seconds: float
    wall_seconds: float
    highest_pss_bytes: int
    load_average: float
    planned_seconds: float = 0.0


def ended(argv: list[str], memory: list[tuple[float, int]] | None = None) -> tuple[str, Any, float]:
    """Run to the end: what it printed, what the kernel says it used, how long it took. `memory` gets (second, PSS of the tree)."""
    began = time.monotonic()
    seen = [] if memory is None else memory
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(argv, cwd=CHECKOUT, env=environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.5):
                seen.append((time.monotonic() - began, pss(process.pid)))

        watcher = threading.Thread(target=watch)
        watcher.start()
        _pid, status, used = os.wait4(process.pid, 0)
        took = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        done.set()
        watcher.join()
        out.seek(0)
        return out.read(), used, took


def pss(pid: int) -> int:
    """Bytes of a process and all below it; of those that just ended nothing."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    found = re.search(r"^Pss: +(\d+) kB", text, re.MULTILINE)
    return (int(found[1]) * 1024 if found else 0) + sum(pss(int(child)) for child in children)


def environment() -> dict[str, str]:
    cleared = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {**cleared, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}


def play(folder: Path, gates: int, *tasks: dict[str, Any], memory: list[tuple[float, int]] | None = None) -> tuple[str, Any, float]:
    """A playbook with a host for each gate, all at once."""
    settings = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    book = [{"name": "Bench", "hosts": "all", "gather_facts": False, "vars": settings, "tasks": list(tasks)}]
    (folder / "play.yml").write_text(yaml.safe_dump(book, sort_keys=False))
    hosts = ",".join(f"gate{number}" for number in range(gates))
    return ended([str(ANSIBLE), "-i", f"{hosts},", "-f", str(gates), str(folder / "play.yml")], memory)


def gate_run(
    folder: Path,
    url: str,
    checks: int,
    gates: int,
    seconds: float,
    *,
    interval: float,
    memory: list[tuple[float, int]] | None = None,
) -> Run:
    asked = {"gate": gate_of(checks, seconds, interval), "subject": SUBJECT, "sources": {"prometheus": {"url": url}, "timeout_seconds": 60}}
    soak = {"name": "Soak", "levibot.transition.gate": asked, "register": "soaked", "ignore_errors": True}
    looks = "{{ ansible_play_hosts_all | map('extract', hostvars) | map(attribute='soaked.looks') | list }}"
    tell = {"name": "Tell", "ansible.builtin.debug": {"msg": f"LOOKS {looks}"}, "run_once": True}
    seen: list[tuple[float, int]] = [] if memory is None else memory
    out, used, took = play(folder, gates, soak, tell, memory=seen)
    told = re.search(r"LOOKS (\[[0-9,\s]+\])", out)
    if not told:
        sys.exit(f"the gates did not run:\n{out}")
    return made(sum(json.loads(told[1])), used, took, seen, seconds)


def uri_run(folder: Path, url: str, checks: int, gates: int, polls: int) -> Run:
    """`polls` of each query by each host. What it asks is far simpler than what the gate asks."""
    queries = [
        f'sum(increase(requests_total{{slot="green",part="{part}",code="500"}}[1m]))'
        f' / sum(increase(requests_total{{slot="green",part="{part}"}}[1m]))'
        for part in range(checks)
    ]
    ask = {
        "name": "Poll",
        "ansible.builtin.uri": {"url": f"{url}/api/v1/query?query={{{{ item | urlencode }}}}", "return_content": True},
        "loop": queries,
        "loop_control": {"label": "query"},
        "register": "answer",
        # A condition of the kind that playbooks have, which does not come true.
        "until": "answer.json.data.result[0].value[1] | default(0) | float > 1",
        "retries": polls - 1,
        "delay": 0,
        "ignore_errors": True,
    }
    seen: list[tuple[float, int]] = []
    out, used, took = play(folder, gates, ask, memory=seen)
    if f"gate{gates - 1}" not in out or "UNREACHABLE" in out or (polls > 1 and "FAILED - RETRYING" not in out):
        sys.exit(f"uri did not poll:\n{out[-3000:]}")
    return made(polls * gates, used, took, seen, 0.0)


BARE = """\
import http.client, json, sys
host, requests, looks = sys.argv[1], json.load(open(sys.argv[2])), int(sys.argv[3])
connection = http.client.HTTPConnection(host)
for _ in range(looks):
    for path, body in requests:
        connection.request("POST", path, body=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
        json.loads(connection.getresponse().read())
"""


class Recording(Client):
    """Notes what is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []

    def request(self, method: str, url: str, **options: Any) -> Response:
        fields = "&".join(f"{key}={quoted(value)}" for key, value in options["form"].items())
        self.asked.append(("/" + url.split("/", 3)[3], fields))
        return super().request(method, url, **options)


def quoted(text: str) -> str:
    return text.replace("%", "%25").replace("&", "%26").replace("+", "%2B").replace(";", "%3B").replace(" ", "+")


def requests_of(url: str, checks: int) -> list[tuple[str, str]]:
    """All that one look sends."""
    client = Recording()
    asked = prometheus.Prometheus(url, client)
    window = Window(time.time() - 5, time.time(), **SUBJECT)
    for number in range(checks):
        prometheus.measure(check(number), window, asked)
    return client.asked


def bare_run(folder: Path, url: str, requests: list[tuple[str, str]], looks: int) -> Run:
    (folder / "bare.py").write_text(BARE)
    (folder / "requests.json").write_text(json.dumps(requests))
    seen: list[tuple[float, int]] = []
    out, used, took = ended(
        [sys.executable, str(folder / "bare.py"), url.removeprefix("http://"), str(folder / "requests.json"), str(looks)], seen
    )
    if out:
        sys.exit(f"the bare loop failed:\n{out[-2000:]}")
    return made(looks, used, took, seen, 0.0)


def made(looks: int, used: Any, took: float, memory: list[tuple[float, int]], planned: float) -> Run:
    highest = max((held for _second, held in memory), default=0)
    return Run(looks, used.ru_utime + used.ru_stime, took, highest, os.getloadavg()[0], planned)


def cost(few: Run, many: Run, gates: int) -> dict[str, float]:
    """Of one look of one gate: what the second run took more, by the looks that it had more.

    Wall time is what each look added to the schedule: a gate's window runs meanwhile, a poll comes on top of the pause before it.
    """
    looks = many.looks - few.looks
    late = (many.wall_seconds - many.planned_seconds) - (few.wall_seconds - few.planned_seconds)
    return {
        "cpu_seconds": (many.cpu_seconds - few.cpu_seconds) / looks,
        "wall_seconds": late / (looks / gates),
        "pss_bytes_a_gate": max(few.highest_pss_bytes, many.highest_pss_bytes) / gates,
    }


def measured(way: str, folder: Path, url: str, checks: int, gates: int) -> tuple[Run, Run] | None:
    """A run with few looks and one with many, or None where it is spared that."""
    if way == "gate":
        window = max(WINDOW_SECONDS, checks * gates * WINDOW_SECONDS_A_CHECK)
        often = max(INTERVAL_SECONDS, checks * gates * INTERVAL_SECONDS_A_CHECK)
        few, many = (gate_run(folder, url, checks, gates, window, interval=interval) for interval in (window, min(often, window)))
        return few, many
    if way == "uri":
        if checks * gates > MOST_POLLS:
            return None
        more = max(1, ENOUGH_POLLS // (checks * gates))
        return uri_run(folder, url, checks, gates, 1), uri_run(folder, url, checks, gates, 1 + more)
    if gates > 1:  # one process after the other costs what one costs
        return None
    requests, looks = requests_of(url, checks), max(10, 400 // checks)
    return bare_run(folder, url, requests, 1), bare_run(folder, url, requests, 1 + looks)


def waiting(folder: Path, url: str) -> float:
    """CPU seconds a second of a gate that only waits: the worker's ticks and ansible-playbook's own polling."""
    short, long = (gate_run(folder, url, 1, 1, seconds, interval=seconds) for seconds in (1, 1 + WINDOW_SECONDS))
    return (long.cpu_seconds - short.cpu_seconds) / WINDOW_SECONDS


def flat(folder: Path, url: str, looks: int) -> dict[str, Any]:
    """Memory over many looks at ten checks in one gate, as fast as they come."""
    pace = 0.001
    trial = gate_run(folder, url, GOAL_CHECKS, 1, 5, interval=pace)
    seconds = 1.2 * 5 * looks / trial.looks
    print(f"memory over {looks:,} looks: about {seconds:.0f} s ...", flush=True)
    memory: list[tuple[float, int]] = []
    run = gate_run(folder, url, GOAL_CHECKS, 1, seconds, interval=pace, memory=memory)
    held = [bytes_ for _second, bytes_ in memory]
    tenth = max(1, len(held) // 10)
    # The first tenth has the start in it, the last samples the end.
    first, last = statistics.median(held[tenth : 2 * tenth]), statistics.median(held[-2 * tenth : -tenth])
    return {"looks": run.looks, "early_bytes": first, "late_bytes": last, "growth": last / first - 1, "samples": memory, "run": asdict(run)}


def machine() -> dict[str, object]:
    """Where this ran, and what ran."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    versions = {
        name: subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()[0]
        for name, argv in {"ansible": [str(ANSIBLE), "--version"], "prometheus": [program("prometheus"), "--version"]}.items()
    }
    return {
        "processor": model[1] if model else platform.machine(),
        "processors": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **versions,
    }


def summary(way: str, checks: int, gates: int, runs: list[tuple[Run, Run]]) -> dict[str, Any]:
    costs = [cost(few, many, gates) for few, many in runs]
    medians = {key: statistics.median(each[key] for each in costs) for key in costs[0]}
    spread = {"cpu_seconds_lowest": min(c["cpu_seconds"] for c in costs), "cpu_seconds_highest": max(c["cpu_seconds"] for c in costs)}
    return {"way": way, "checks": checks, "gates": gates, **medians, **spread, "runs": [[asdict(few), asdict(many)] for few, many in runs]}


def report(rows: list[dict[str, Any]]) -> None:
    titles = f"{'checks':>6} {'gates':>5}  {'way':<5} {'CPU a look':>11}  {'lowest-highest':>16} {'of uri':>8}"
    print(f"\n{titles} {'wall a look':>12} {'memory a gate':>14}")
    for row in rows:
        uri = next((r for r in rows if (r["way"], r["checks"], r["gates"]) == ("uri", row["checks"], row["gates"])), None)
        ratio = f"1/{uri['cpu_seconds'] / row['cpu_seconds']:.0f}" if uri and uri is not row else ""
        spread = f"{1000 * row['cpu_seconds_lowest']:.1f}-{1000 * row['cpu_seconds_highest']:.1f}"
        print(
            f"{row['checks']:>6} {row['gates']:>5}  {row['way']:<5} {1000 * row['cpu_seconds']:>8.1f} ms  {spread:>16} {ratio:>8}"
            f" {1000 * row['wall_seconds']:>9.0f} ms {row['pss_bytes_a_gate'] / 1024**2:>10.1f} MiB"
        )


def bars(rows: list[dict[str, Any]], memory: dict[str, Any] | None) -> dict[str, Any]:
    """What had to be shown."""

    def cpu(way: str, checks: int) -> float | None:
        return next((row["cpu_seconds"] for row in rows if (row["way"], row["checks"], row["gates"]) == (way, checks, 1)), None)

    own, uri, many = cpu("gate", GOAL_CHECKS), cpu("uri", GOAL_CHECKS), cpu("gate", 100)
    return {
        "cpu_seconds_at_10_checks": own,
        "times_less_than_uri": uri / own if uri and own else None,
        "cost_of_100_checks_against_10": many / own if many and own else None,
        "memory_growth": memory["growth"] if memory else None,
    }


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--checks", type=int, nargs="+", default=CHECKS)
    parser.add_argument("--gates", type=int, nargs="+", default=GATES)
    parser.add_argument("--looks", type=int, default=LONG_LOOKS, help="for the memory; 0 leaves it out")
    options = parser.parse_args()
    runs: dict[tuple[str, int, int], list[tuple[Run, Run]]] = {}
    with tempfile.TemporaryDirectory(prefix="levibot-bench-") as directory:
        folder = Path(directory)
        with store(folder / "prometheus") as url:
            for number in range(1, options.rounds + 1):
                for checks in options.checks:
                    for gates in options.gates:
                        print(f"round {number} of {options.rounds}: {checks} checks, {gates} gates", flush=True)
                        for way in ("gate", "uri", "bare"):
                            pair = measured(way, folder, url, checks, gates)
                            if pair:
                                runs.setdefault((way, checks, gates), []).append(pair)
            idle = statistics.median(waiting(folder, url) for _round in range(options.rounds))
            memory = flat(folder, url, options.looks) if options.looks else None
    rows = [summary(way, checks, gates, them) for (way, checks, gates), them in sorted(runs.items(), key=lambda item: item[0][1:])]
    report(rows)
    shown = {**bars(rows, memory), "cpu_seconds_a_second_of_waiting": idle}
    print("\n" + json.dumps(shown, indent=2))
    goals = {"cpu_seconds_at_10_checks": GOAL_CPU_SECONDS, "times_less_than_uri": GOAL_RATIO}
    out = CHECKOUT / "build/bench/gate.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    settings = {"rounds": options.rounds, "window_seconds": WINDOW_SECONDS, "mix": MIX}
    whole = {"machine": machine(), "settings": settings, "goals": goals, "shown": shown, "ways": rows, "memory": memory}
    out.write_text(json.dumps(whole, indent=2) + "\n")
    print(f"all runs: {out.relative_to(CHECKOUT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
