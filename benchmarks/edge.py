# SPDX-License-Identifier: GPL-3.0-or-later
"""What the split costs: throughput and latency through it, against plain Caddy, HAProxy and no proxy, in one run.

All ways lead to the same backend, whose answer is constant, and give a tenth of the traffic to the second of two slots. Rounds are
interleaved, so that a busy minute of the machine meets every way, and a ratio is taken within a round. The table has the medians;
build/bench/edge.json has every run.
"""
# ruff: noqa: E402  the checkout has to be on the path before what is imported from it

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT / "collections"), str(CHECKOUT)]

from ansible_collections.levibot.transition.plugins.module_utils.edge.split import Canary, green_buckets
from tests.integration.edge_bed import Bed, bed, caddy_binary, free_ports

GOAL = 0.85
CONNECTIONS = 20
SPLIT, PLAIN = "split, new visitors", "Caddy weighted round robin, same hops"

BACKEND = """\
defaults
    mode http
    timeout client 30s
    timeout server 30s
    timeout connect 2s
    http-reuse always
frontend backend
{binds}
    http-request return status 200 content-type text/plain string "what a small API answers, and a little more of it, to be like one"
"""

HAPROXY = """\
frontend split
    bind 127.0.0.1:{port}
    default_backend slots
backend slots
    balance roundrobin
    server blue 127.0.0.1:{blue} weight 90
    server green 127.0.0.1:{green} weight 10
"""

CADDY = """\
{{
	admin off
	persist_config off
	metrics
}}
(to) {{
	reverse_proxy {{args[:]}} {{
		transport http {{
			keepalive_idle_conns_per_host 256
		}}
	}}
}}
http://:{same} {{
	bind 127.0.0.1
	reverse_proxy 127.0.0.1:{first} 127.0.0.1:{second} {{
		lb_policy weighted_round_robin 90 10
		transport http {{
			keepalive_idle_conns_per_host 256
		}}
	}}
}}
http://:{first} {{
	bind 127.0.0.1
	import to 127.0.0.1:{blue}
}}
http://:{second} {{
	bind 127.0.0.1
	import to 127.0.0.1:{green}
}}
http://:{one} {{
	bind 127.0.0.1
	reverse_proxy 127.0.0.1:{blue} 127.0.0.1:{green} {{
		lb_policy weighted_round_robin 90 10
		transport http {{
			keepalive_idle_conns_per_host 256
		}}
	}}
}}
"""


def tool(name: str) -> str:
    """A program beside this Python, in PATH, or where Debian keeps daemons."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"]))
    if not found:
        sys.exit(f"{name} is missing: run this by `make bench-edge`, which sets it up")
    return found


def version(*argv: str) -> str:
    """The first line of what a program says about itself."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def seconds(text: str) -> float:
    """A latency as wrk prints it."""
    number, unit = re.fullmatch(r"([0-9.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[unit]


def run_wrk(url: str, duration: int, headers: list[str]) -> dict[str, float]:
    """One run."""
    argv = [
        tool("wrk"),
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{duration}s",
        "--latency",
        *[part for header in headers for part in ("-H", header)],
        url,
    ]
    out = subprocess.run(argv, capture_output=True, text=True, timeout=duration + 30, check=True).stdout
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return {
        "requests_per_second": float(re.search(r"Requests/sec:\s+([0-9.]+)", out)[1]),
        "p50_seconds": seconds(re.search(r"^ +50% +(\S+)$", out, re.MULTILINE)[1]),
        "p99_seconds": seconds(re.search(r"^ +99% +(\S+)$", out, re.MULTILINE)[1]),
        "failures": (sum(map(int, errors.groups())) if errors else 0) + (int(refused[1]) if refused else 0),
        "load_average": os.getloadavg()[0],
    }


def wait_for(port: int) -> None:
    """Until something listens."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def daemon(stack: ExitStack, argv: list[str], log: Path, port: int) -> None:
    """Start a daemon that ends with the benchmark."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log.open("wb"), stderr=subprocess.STDOUT)

    def stop() -> None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()

    stack.callback(stop)
    try:
        wait_for(port)
    except OSError:
        sys.exit(f"{argv[0]} does not start: {log.read_text()[-800:]}")


def splits(stack: ExitStack, directory: Path) -> dict[str, Bed]:
    """The edge as the role installs it, in the forms that are compared."""
    made = {}
    for name, extra in {"sticky": {}, "not sticky": {"edge_sticky": False}, "tcp": {"edge_inner_hop": "tcp"}}.items():
        (directory / name.replace(" ", "-")).mkdir()
        edge = made[name] = stack.enter_context(bed(directory / name.replace(" ", "-"), applications=False, **extra))
        edge.files.write_canary(Canary(green_buckets("green", 10), int(time.time()) + 86400))
    return made


def ways(stack: ExitStack, directory: Path) -> dict[str, tuple[str, list[str]]]:
    """Start everything; a URL and request headers for each way."""
    print("installing the edge in three forms, and its rivals ...", flush=True)
    edges = splits(stack, directory)
    names = ("haproxy", "same", "first", "second", "one", "blue", "green")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    backends = [ports["blue"], ports["green"], *[edge.ports[f"{slot}_api"] for edge in edges.values() for slot in ("blue", "green")]]
    # The backend and HAProxy as the rival are processes of their own.
    (directory / "backend.cfg").write_text(BACKEND.format(binds="\n".join(f"    bind 127.0.0.1:{port}" for port in backends)))
    (directory / "haproxy.cfg").write_text(
        BACKEND.partition("frontend")[0] + HAPROXY.format(port=ports["haproxy"], **{slot: ports[slot] for slot in ("blue", "green")})
    )
    (directory / "Caddyfile").write_text(CADDY.format(**ports))
    daemon(stack, [tool("haproxy"), "-f", str(directory / "backend.cfg")], directory / "backend.log", ports["blue"])
    daemon(stack, [tool("haproxy"), "-f", str(directory / "haproxy.cfg")], directory / "haproxy.log", ports["haproxy"])
    daemon(
        stack,
        [caddy_binary(), "run", "--config", str(directory / "Caddyfile"), "--adapter", "caddyfile"],
        directory / "caddy.log",
        ports["same"],
    )
    own = {name: f"http://127.0.0.1:{port}/x" for name, port in ports.items()}
    return {
        "no proxy": (own["blue"], []),
        "HAProxy, one hop": (own["haproxy"], []),
        "Caddy weighted round robin, one hop": (own["one"], []),
        PLAIN: (own["same"], []),
        SPLIT: (edges["sticky"].url("site", "/x"), []),
        "split, known visitors": (edges["sticky"].url("site", "/x"), ["Cookie: levibot_bucket=8000"]),
        "split, not sticky": (edges["not sticky"].url("site", "/x"), []),
        "split, new visitors, TCP inside": (edges["tcp"].url("site", "/x"), []),
    }


def machine() -> dict[str, object]:
    """Where this ran, and what ran."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "processor": model[1] if model else platform.machine(),
        "processors": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "caddy": version(caddy_binary(), "version"),
        "haproxy": version(tool("haproxy"), "-v"),
        "wrk": version(tool("wrk"), "-v"),
    }


def summary(name: str, runs: list[dict[str, float]], plain: list[dict[str, float]]) -> dict[str, object]:
    """The medians of a way's runs, and its throughput against plain Caddy with the same hops, round by round."""
    ratios = [mine["requests_per_second"] / its["requests_per_second"] for mine, its in zip(runs, plain, strict=True)]
    return {
        "name": name,
        **{key: statistics.median(run[key] for run in runs) for key in ("requests_per_second", "p50_seconds", "p99_seconds")},
        "failures": sum(run["failures"] for run in runs),
        "ratio": statistics.median(ratios),
        "ratio_lowest": min(ratios),
        "ratio_highest": max(ratios),
        "runs": runs,
    }


def report(rows: list[dict[str, object]]) -> None:
    """The table."""
    print(f"\n{'way':<40} {'requests/s':>10} {'p50':>9} {'p99':>9} {'of plain':>9}  lowest-highest  failures")
    for row in rows:
        p50, p99 = (f"{1000 * row[f'{name}_seconds']:>6.2f} ms" for name in ("p50", "p99"))
        spread = f"{row['ratio_lowest']:.2f}-{row['ratio_highest']:.2f}"
        print(
            f"{row['name']:<40} {row['requests_per_second']:>10,.0f} {p50} {p99} {row['ratio']:>9.2f}  {spread:<15} {row['failures']:.0f}"
        )


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="levibot-bench-") as directory, ExitStack() as stack:
        them = ways(stack, Path(directory))
        for url, headers in them.values():
            run_wrk(url, 1, headers)
        for round_number in range(1, options.rounds + 1):
            print(f"round {round_number} of {options.rounds}", flush=True)
            for name, (url, headers) in them.items():
                runs.setdefault(name, []).append(run_wrk(url, options.seconds, headers))
    rows = [summary(name, done, runs[PLAIN]) for name, done in runs.items()]
    report(rows)
    split = next(row for row in rows if row["name"] == SPLIT)
    print(f"\nthe split has {split['ratio']:.0%} of plain Caddy's throughput with the same hops; the aim is at least {GOAL:.0%}")
    out = CHECKOUT / "build/bench/edge.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    settings = {"connections": CONNECTIONS, "rounds": options.rounds, "seconds": options.seconds, "weight": 10}
    out.write_text(json.dumps({"machine": machine(), "settings": settings, "goal": GOAL, "ways": rows}, indent=2) + "\n")
    print(f"all runs: {out.relative_to(CHECKOUT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
