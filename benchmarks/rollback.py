# SPDX-License-Identifier: GPL-3.0-or-later
"""From the command to the safe state: playbooks/rollback.yml against the plan's runbook as a shell script, a plain Ansible playbook of the
same steps, and an empty run of ansible-playbook, in one run, under load, on the sandbox.

Before each run the candidate has 10 % of the traffic and trades. An observer that belongs to none of them asks both edges and the
candidate all the time, and says when the traffic was back and when switch and engines were off; what a way itself says of its kill counts
from its own output. Rounds are interleaved. The table has the medians; build/bench/rollback.json has every run.

And from the first bad answer: at 10 % the candidate begins to answer 3 of 10 requests with 500, and somebody looks once a second. For us
that is Phase 2 with its gate. The others get a watch that a single bad answer trips, than which none is faster (bench-decisions shows what
it does to healthy releases), and the plan's own watch, scripts/health_monitor.sh.
"""
# ruff: noqa: E402  the checkout has to be on the path before what is imported from it

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT / "collections"), str(CHECKOUT / "sandbox")]

import faults
import shared

from ansible_collections.levibot.transition.plugins.module_utils.edge.files import SplitFiles
from ansible_collections.levibot.transition.plugins.module_utils.edge.split import Canary, green_buckets, other

RIVALS = CHECKOUT / "benchmarks/rollback_rivals"
CANDIDATE = ["ansible-playbook", "-i", shared.INVENTORY, RIVALS / "candidate.yml"]
GOAL = 2.5
OURS, RUNBOOK, PLAIN, EMPTY = "playbooks/rollback.yml", "the plan's runbook, in shell", "plain Ansible playbook", "empty ansible-playbook"
GATE, TRIPPED, TRIPPED_PLAIN = "playbooks/phase2_bluegreen.yml", "runbook, on one bad answer", "plain Ansible, on one bad answer"
MONITORED = "runbook, on health_monitor.sh"
RATE = 40
SETTLE_SECONDS = 1.5
LIMIT_SECONDS = 60
UNNOTICED_SECONDS = 20
EMPTY_RUNS = 3  # what all ratios of a round rest on
WITHOUT_GO = {"preflight_override_who": "the benchmark", "preflight_override_reason": "what is measured begins after the GO"}
# The line that says that the kill is confirmed; for Ansible the one after the title of the last of these tasks that was not skipped.
CONFIRMED = {
    OURS: ("Take every edge back to stable", "Throw the kill switch"),
    RUNBOOK: ("kill confirmed",),
    PLAIN: ("Read the engines back",),
}

CADDYFILE = """\
{{
	admin 127.0.0.1:{admin}
	persist_config off
}}
http://:{site} {{
	bind 127.0.0.1
	reverse_proxy 127.0.0.1:{blue} 127.0.0.1:{green} {{
		lb_policy weighted_round_robin {weights}
		header_down X-LeviBot-Slot {{http.reverse_proxy.upstream.hostport}}
	}}
}}
"""


def call(port: int, method: str, path: str, token: str = "") -> Any:
    """One call on loopback, on a new connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request(method, path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise OSError(f"{method} {path}: {answer.status} {body[:200]!r}")
        return json.loads(body) if body.startswith((b"{", b"[")) else dict(answer.getheaders())
    finally:
        connection.close()


@dataclass
class Run:
    """What one way needed, in seconds since its command was given."""

    exit_seconds: float = 0.0
    exit_code: int = 0
    confirmed_seconds: float | None = None
    traffic_seconds: float | None = None
    killed_seconds: float | None = None
    failures: int = 0
    requests: int = 0
    output: list[str] = field(default_factory=list, repr=False)

    @property
    def safe_seconds(self) -> float:
        """All edges on stable, and the kill confirmed."""
        return max(self.confirmed_seconds or self.exit_seconds, self.traffic_seconds or self.exit_seconds)


@dataclass
class Watch:
    """What one way needed, in seconds since the first bad answer; None where it was not back after UNNOTICED_SECONDS."""

    traffic_seconds: float | None = None
    killed_seconds: float | None = None
    failures: int = 0
    requests: int = 0

    @property
    def safe_seconds(self) -> float | None:
        return None if self.traffic_seconds is None or self.killed_seconds is None else max(self.traffic_seconds, self.killed_seconds)


class Site:
    """The sandbox with a candidate beside stable, and a second edge as a site without the split has it."""

    def __init__(self, directory: Path) -> None:
        self.settings = shared.Settings.load()
        self.directory = directory
        self.files = SplitFiles(str(shared.EDGE / "run"), str(shared.EDGE / "lib"))
        self.stable = self.files.read().stable or "blue"
        self.candidate = other(self.stable)
        ports = self.settings.ports
        self.api = {slot: ports[f"{slot}_api"] for slot in ("blue", "green")}
        with contextlib.ExitStack() as stack:
            free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _unused in range(2)]
        self.plain = {"site": free[0], "admin": free[1]}
        self.caddyfile = directory / "Caddyfile"

    def plain_config(self, candidate_percent: int) -> str:
        share = {self.candidate: candidate_percent, self.stable: 100 - candidate_percent}
        weights = f"{share['blue']} {share['green']}"
        return CADDYFILE.format(**self.plain, **self.api, weights=weights)

    def fault(self, wanted: dict[str, Any]) -> None:
        faults.put_faults(f"http://127.0.0.1:{self.api[self.candidate]}", wanted, self.settings.admin_token)

    def prepare(self) -> None:
        """The candidate has a tenth of the traffic and trades."""
        token = self.settings.admin_token
        if not answers(self.api[self.candidate]):  # a kill that was not confirmed has ended its container
            have(CANDIDATE)
        self.fault({})
        call(self.api[self.candidate], "POST", "/admin/unkill", token)
        for symbol in ("BTC%2FUSDT", "ETH%2FUSDT"):
            call(self.api[self.candidate], "POST", f"/engines/restart/{symbol}", token)
        self.files.write_canary(Canary(green_buckets(self.candidate, 10), int(time.time()) + 3600))
        self.caddyfile.write_text(self.plain_config(10))
        reload = ["caddy", "reload", "--config", self.caddyfile, "--adapter", "caddyfile", "--address", f"127.0.0.1:{self.plain['admin']}"]
        subprocess.run(list(map(str, reload)), env=shared.tool_environment(), check=True, capture_output=True, timeout=30)

    def slot_dir(self) -> tuple[Path, Path]:
        slot = shared.STATE / "levibot/slots" / self.stable
        return shared.STATE / "levibot/releases" / (slot / "release").read_text().strip(), slot / "compose.env"

    def command(self, way: str) -> tuple[list[str], dict[str, str]]:
        release, env_file = self.slot_dir()
        inventory = ["ansible-playbook", "-i", str(shared.INVENTORY)]
        urls = {slot: f"http://127.0.0.1:{port}" for slot, port in self.api.items()}
        stable_caddyfile = self.directory / "Caddyfile.stable"
        stable_caddyfile.write_text(self.plain_config(0))
        project = f"{self.settings.project}-{self.stable}"
        admin = f"127.0.0.1:{self.plain['admin']}"
        if way == OURS:
            return [*inventory, OURS], {}
        if way == EMPTY:
            return [*inventory, str(self.directory / "empty.yml")], {}
        if way == RUNBOOK:
            return [str(RIVALS / "runbook.sh")], {
                "ADMIN_TOKEN": self.settings.admin_token, "CANDIDATE": urls[self.candidate], "STABLE": urls[self.stable],
                "STABLE_CADDYFILE": str(stable_caddyfile), "CADDYFILE": str(self.caddyfile), "CADDY_ADMIN": admin, "PROJECT": project,
                "RELEASE": str(release), "OVERRIDE": f"override.{self.stable}.yml", "ENV_FILE": str(env_file),
            }  # fmt: skip
        variables = {
            "bench_candidate": urls[self.candidate], "bench_stable": urls[self.stable], "bench_stable_caddyfile": str(stable_caddyfile),
            "bench_caddyfile": str(self.caddyfile), "bench_caddy_admin": admin, "bench_project": project, "bench_release": str(release),
            "bench_override": f"override.{self.stable}.yml", "bench_env_file": str(env_file),
        }  # fmt: skip
        return [*inventory, str(RIVALS / "plain.yml"), "-e", json.dumps(variables)], {}

    def watch_command(self, way: str) -> tuple[list[str], dict[str, str]]:
        if way == GATE:
            return ["ansible-playbook", "-i", str(shared.INVENTORY), GATE, "-e", json.dumps(WITHOUT_GO)], {}
        if way == TRIPPED_PLAIN:
            command, extra = self.command(PLAIN)
            return [str(RIVALS / "watch.yml") if part.endswith("plain.yml") else part for part in command], extra
        (runbook,), extra = self.command(RUNBOOK)
        good = "curl -fsS --max-time 2 -o /dev/null $CANDIDATE/paper/portfolio"
        if way == MONITORED:
            good = "! SLOT_URL=$CANDIDATE sandbox/levibot/scripts/health_monitor.sh | grep -E 'DOWN|CRASHED'"
        return ["sh", "-c", f"while {good}; do sleep 1; done; exec {runbook}"], extra

    def edge_port(self, way: str) -> int:
        return self.settings.ports["edge"] if way in (OURS, GATE) else self.plain["site"]

    @contextlib.contextmanager
    def load(self, way: str, run: Run | Watch) -> Iterator[Path]:
        stats = self.directory / "stats.json"
        stats.unlink(missing_ok=True)
        url = f"http://127.0.0.1:{self.edge_port(way)}"
        command = [sys.executable, "sandbox/traffic.py", f"--url={url}", f"--rate={RATE}", f"--stats-file={stats}"]
        process = subprocess.Popen(command, cwd=CHECKOUT)
        try:
            time.sleep(SETTLE_SECONDS)
            yield stats
            time.sleep(SETTLE_SECONDS)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=10)
        told = json.loads(stats.read_text())
        run.requests = told["sent"]
        run.failures = told["failed"]

    def observe(self, way: str, run: Run | Watch, began: float, end: threading.Event) -> None:
        """When the traffic was seen to be back, and the switch on with no engine running, or nobody there."""
        while not end.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException, KeyError):
                if run.killed_seconds is None and not answers(self.api[self.candidate]):
                    run.killed_seconds = time.monotonic() - began
                if run.killed_seconds is None:
                    status = call(self.api[self.candidate], "GET", "/live/status")
                    if status["kill_switch_active"] and call(self.api[self.candidate], "GET", "/engines/status")["running"] == 0:
                        run.killed_seconds = time.monotonic() - began
                if way in (OURS, GATE):
                    back = self.files.read().canary is None
                else:
                    config = call(self.plain["admin"], "GET", "/config/apps/http/servers")
                    back = f'"weights": [{"100, 0" if self.stable == "blue" else "0, 100"}]' in json.dumps(config)
                if run.traffic_seconds is None and back:
                    run.traffic_seconds = time.monotonic() - began
            time.sleep(0.02)

    def empty(self, command: list[str], environment: dict[str, str]) -> float:
        began = time.monotonic()
        subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, timeout=LIMIT_SECONDS, check=True)
        return time.monotonic() - began

    def measure(self, way: str) -> Run:
        run = Run()
        command, extra = self.command(way)
        environment = {**shared.tool_environment(), "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1", **extra}
        if way == EMPTY:
            run.exit_seconds = statistics.median(self.empty(command, environment) for _unused in range(EMPTY_RUNS))
            return run
        self.prepare()
        end = threading.Event()
        with self.load(way, run):
            began = time.monotonic()
            observer = threading.Thread(target=self.observe, args=(way, run, began, end), daemon=True)
            observer.start()
            with subprocess.Popen(
                command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ) as process:
                titled = False
                for line in process.stdout or ():
                    run.output.append(line)
                    says_so = any(words in line for words in CONFIRMED[way])
                    # Ansible says the title when a task begins, and its result when it has ended.
                    if says_so if way == RUNBOOK else titled and line.startswith(("ok:", "changed:")):
                        run.confirmed_seconds, titled = time.monotonic() - began, False
                    titled = titled or (line.startswith("TASK") and says_so)
                run.exit_code = process.wait(timeout=LIMIT_SECONDS)
            run.exit_seconds = time.monotonic() - began
            end.set()
            observer.join(timeout=10)
        if run.exit_code or run.killed_seconds is None or run.traffic_seconds is None:
            raise SystemExit(f"{way} did not reach the safe state (exit {run.exit_code}):\n{''.join(run.output)[-3000:]}")
        return run

    def watch(self, way: str) -> Watch:
        """From the first bad answer."""
        seen, end = Watch(), threading.Event()
        command, extra = self.watch_command(way)
        environment = {**shared.tool_environment(), **extra}
        self.prepare()
        if way == GATE:
            self.files.remove_canary()
        with self.load(way, seen) as stats, (self.directory / "watch.log").open("w") as log:
            process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=log, stderr=log, start_new_session=True)
            try:
                shared.wait_until(lambda: self.files.read().canary is not None or way != GATE, LIMIT_SECONDS, "Phase 2 does not begin")
                time.sleep(2 * SETTLE_SECONDS)
                began, began_at = time.monotonic(), time.time()
                self.fault(faults.FAULTS["errors"])
                observer = threading.Thread(target=self.observe, args=(way, seen, began, end), daemon=True)
                observer.start()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(LIMIT_SECONDS if way != MONITORED else UNNOTICED_SECONDS)
            finally:
                end.set()
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGTERM)
                    process.wait(10)
            observer.join(10)
        # Where the gate was quicker than any visitor, the first bad answer was a probe's.
        first = json.loads(stats.read_text())["first_failed"] or began_at
        seen.traffic_seconds, seen.killed_seconds = (
            None if seconds is None else seconds - (first - began_at) for seconds in (seen.traffic_seconds, seen.killed_seconds)
        )
        return seen


@contextlib.contextmanager
def plain_edge(site: Site) -> Iterator[None]:
    """Caddy as a site without the split has it: weights in its configuration, changed by a reload."""
    site.caddyfile.write_text(site.plain_config(10))
    command = ["caddy", "run", "--config", str(site.caddyfile), "--adapter", "caddyfile"]
    with (site.directory / "caddy.log").open("wb") as log:
        process = subprocess.Popen(command, env=shared.tool_environment(), stdout=log, stderr=log)
    try:
        shared.wait_until(lambda: answers(site.plain["admin"]), 10, "the plain Caddy does not start")
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def have(*steps: list[Any]) -> None:
    """Runs the commands one after another. Raises SystemExit with the output of the first that fails."""
    for step in steps:
        command = list(map(str, step))
        done = subprocess.run(
            command, cwd=CHECKOUT, env=shared.tool_environment(), capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode:
            raise SystemExit(f"{step}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def row(way: str, runs: list[Run], empty: list[Run]) -> dict[str, Any]:
    safe = [run.safe_seconds for run in runs]
    ratios = [mine / its.exit_seconds for mine, its in zip(safe, empty, strict=True)]
    return {
        "way": way,
        "safe_seconds": statistics.median(safe),
        "of_empty": statistics.median(ratios),
        "of_empty_lowest": min(ratios),
        "of_empty_highest": max(ratios),
        "exit_seconds": statistics.median(run.exit_seconds for run in runs),
        "traffic_seconds": statistics.median(run.traffic_seconds or 0 for run in runs),
        "killed_seconds": statistics.median(run.killed_seconds or 0 for run in runs),
        "failures": sum(run.failures for run in runs),
        "requests": sum(run.requests for run in runs),
        "runs": [{name: value for name, value in vars(run).items() if name != "output"} for run in runs],
    }


def watch_row(way: str, watches: list[Watch]) -> dict[str, Any]:
    safe = [watch.safe_seconds for watch in watches]
    return {
        "way": way,
        "safe_seconds": statistics.median(filter(None, safe)) if safe and None not in safe else None,
        "failures": sum(watch.failures for watch in watches),
        "requests": sum(watch.requests for watch in watches),
        "runs": [vars(watch) for watch in watches],
    }


def show_watches(rows: list[dict[str, Any]]) -> None:
    print(f"\n{'from the first bad answer':<34} {'safe':>7}  failed of requests")
    for one in rows:
        safe = f"{one['safe_seconds']:.2f} s" if one["safe_seconds"] is not None else "never"
        print(f"{one['way']:<34} {safe:>7}  {one['failures']} of {one['requests']}")


def show(rows: list[dict[str, Any]]) -> None:
    print(f"\n{'way':<30} {'safe':>7} {'of empty':>9}  lowest-highest  {'traffic':>8} {'kill':>7} {'exit':>7}  failed of requests")
    for one in rows:
        spread = f"{one['of_empty_lowest']:.2f}-{one['of_empty_highest']:.2f}"
        print(
            f"{one['way']:<30} {one['safe_seconds']:>5.2f} s {one['of_empty']:>9.2f}  {spread:<14} {one['traffic_seconds']:>6.2f} s"
            f" {one['killed_seconds']:>5.2f} s {one['exit_seconds']:>5.2f} s  {one['failures']} of {one['requests']}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--watch-rounds", type=int, default=3, help="from the first bad answer")
    options = parser.parse_args()
    os.chdir(CHECKOUT)
    print("bringing up the sandbox with a candidate ...", flush=True)
    sandbox = [sys.executable, "sandbox/sandbox.py"]
    have([*sandbox, "up"], [*sandbox, "release"], ["ansible-playbook", "-i", shared.INVENTORY, "sandbox/stable.yml"], CANDIDATE)
    runs: dict[str, list[Run]] = {way: [] for way in (EMPTY, OURS, RUNBOOK, PLAIN)}
    watches: dict[str, list[Watch]] = {way: [] for way in (GATE, TRIPPED, TRIPPED_PLAIN, MONITORED)}
    with tempfile.TemporaryDirectory(prefix="levibot-bench-") as directory:
        site = Site(Path(directory))
        (site.directory / "empty.yml").write_text("- hosts: all\n  gather_facts: false\n  tasks: []\n")
        pause = shared.RUN / "traffic.pause"
        pause.touch()  # the sandbox's own traffic: each way has its own
        with plain_edge(site), contextlib.ExitStack() as stack:
            stack.callback(pause.unlink)
            for number in range(1, options.rounds + 1):
                print(f"round {number} of {options.rounds}", flush=True)
                for way, done in runs.items():
                    done.append(site.measure(way))
            for number in range(1, options.watch_rounds + 1):
                print(f"from the first bad answer, round {number} of {options.watch_rounds}", flush=True)
                for way, seen in watches.items():
                    seen.append(site.watch(way))
    rows = [row(way, done, runs[EMPTY]) for way, done in runs.items()]
    show(rows)
    watch_rows = [watch_row(way, seen) for way, seen in watches.items()]
    show_watches(watch_rows)
    by = {one["way"]: one for one in rows}
    print(f"\n{OURS} takes {by[OURS]['of_empty']:.2f} times an empty run; the aim is at most {GOAL}, and to be faster than the runbook")
    out = CHECKOUT / "build/bench/rollback.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    machine = {"processors": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version(), "load": os.getloadavg()}
    out.write_text(
        json.dumps(
            {"machine": machine, "settings": {"rounds": options.rounds, "rate": RATE}, "goal": GOAL, "ways": rows, "watches": watch_rows},
            indent=2,
        )
        + "\n"
    )
    print(f"all runs: {out.relative_to(CHECKOUT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
