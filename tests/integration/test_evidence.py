# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module `evidence` as a playbook runs it: against a real Prometheus, and against servers that stand in for PagerDuty and Opsgenie.

The stand-ins answer in the form that the services document, and no more: no account of either is at hand.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.integration.daemons import CHECKOUT, PrometheusDaemon, free_port, program, running, wait_for

TOKEN = "t0ken-that-nobody-may-see"
# Backfilled blocks must be older than what the running server writes itself.
ENDED = int(time.time()) // 3600 * 3600 - 6 * 3600
STARTED = ENDED - 24 * 3600
SLOS = {"error_rate": "< 0.1%", "api_uptime": "> 99.9%"}


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def judge_all(folder: Path, items: dict[str, list[dict[str, Any]]], **arguments: Any) -> tuple[dict[str, dict[str, Any]], str]:
    """The items that are made of this evidence, judged by the module in a playbook, by id; and all that was printed."""
    arguments = {"subject": {"version": "v1.8.0-beta"}, "slos": SLOS, "timeout_seconds": 5, **arguments}
    arguments["items"] = [{"id": name, "name": name, "evidence": evidence} for name, evidence in items.items()]
    task = {"name": "Judge", "levibot.transition.evidence": arguments, "register": "judged"}
    kept = {"ansible.builtin.copy": {"content": "{{ judged | to_json }}", "dest": str(folder / "judged.json"), "mode": "0600"}}
    play = [{"hosts": "localhost", "gather_facts": False, "tasks": [task, {"name": "Keep it", **kept, "no_log": True}]}]
    (folder / "play.yml").write_text(json.dumps(play), encoding="utf-8")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    command = [Path(sys.executable).parent / "ansible-playbook", "-vvv", "-i", "localhost,", "-c", "local"]
    command += ["-e", f"ansible_python_interpreter={sys.executable}", folder / "play.yml"]
    done = subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    judged = json.loads((folder / "judged.json").read_text(encoding="utf-8"))
    assert not judged["changed"]
    assert list(items) == [item["id"] for item in judged["items"]]
    return {item["id"]: item for item in judged["items"]}, done.stdout + done.stderr


def judge(folder: Path, *evidence: dict[str, Any], **arguments: Any) -> tuple[dict[str, Any], str]:
    """One item."""
    items, said = judge_all(folder, {"item": list(evidence)}, **arguments)
    return items["item"], said


# Prometheus


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One that holds a day's soak: 10 requests every 15 s, of which one in 2,000 failed, and a probe that failed for a minute."""
    folder = tmp_path_factory.mktemp("prometheus")
    series: dict[str, Callable[[int], float]] = {
        'requests_total{code="200"}': lambda number: number * 10,
        'requests_total{code="500"}': lambda number: number // 200,
        "probe_success": lambda number: 0 if 100 <= number < 104 else 1,
        'up{job="api",instance="a:1"}': lambda _number: 1,
    }
    lines = []
    for family in ("requests", "probe_success", "up"):
        lines.append(f"# TYPE {family} {'counter' if family == 'requests' else 'gauge'}")
        for name, value in series.items():
            if name.startswith(family):
                lines += [f"{name} {value(number)} {STARTED + number * 15}" for number in range(24 * 240 + 1)]
    (folder / "history.om").write_text("\n".join([*lines, "# EOF", ""]))
    imported = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", "--quiet", folder / "history.om", folder / "data"]
    subprocess.run(imported, check=True, stdout=subprocess.DEVNULL)
    daemon = PrometheusDaemon(folder, {"global": {"scrape_interval": "15s"}})
    with running(daemon):
        yield daemon.url


@pytest.fixture
def soak(tmp_path: Path) -> dict[str, Any]:
    document = {
        "version": "v1.8.0-beta",
        "started_at": iso(STARTED),
        "ended_at": iso(ENDED),
        "crashes": 0,
        "slos": {"error_rate": "0.04%", "api_uptime": "99.93%"},
    }
    (tmp_path / "soak.json").write_text(json.dumps(document), encoding="utf-8")
    return {"kind": "soak_report", "path": str(tmp_path / "soak.json"), "max_age": "7d"}


ERRORS = 'sum(increase(requests_total{code="500"}[$elapsed])) / sum(increase(requests_total[$elapsed]))'
UPTIME = "avg_over_time(probe_success[$elapsed])"


def test_the_slos_are_proven_over_the_very_window_of_the_soak(tmp_path: Path, prometheus: str, soak: dict[str, Any]) -> None:
    queries = {"kind": "prometheus", "window": "soak", "slos": {"error_rate": ERRORS, "api_uptime": UPTIME}}
    item, _said = judge(tmp_path, soak, queries, prometheus_url=prometheus)
    assert item["passed"], item
    found = item["evidence"][1]
    assert f"from {iso(STARTED)} to {iso(ENDED)}" in found["found"]
    assert "error_rate is 0.0486%" in found["found"]
    assert "api_uptime is 99.93%" in found["found"]
    assert found["at"] == iso(ENDED)


UNPROVEN: dict[str, tuple[dict[str, Any], str]] = {
    "broken": ({"slos": {"error_rate": f"10 * ({ERRORS})"}}, "error_rate is 0.486%, not < 0.1%"),
    "nothing": ({"slos": {"error_rate": "sum(increase(nothing_total[$elapsed]))"}}, "error_rate has no data"),
    "several": ({"slos": {"error_rate": "requests_total"}}, "error_rate gives 2 series where one is expected"),
    "nan": ({"slos": {"error_rate": "vector(0) / vector(0)"}}, "error_rate is nan and no number"),
    "refused": ({"slos": {"error_rate": "sum(("}}, "refuses the query"),
    "unknown": ({"slos": {"erro_rate": ERRORS}}, "erro_rate is no SLO of the plan"),
    "limit": ({"query": ERRORS, "must": "< 0.0001"}, "not < 0.0001"),
    # Two days, of which the second half lies in the store.
    "gone": ({"query": "vector(0)", "must": "== 0", "window": "2d"}, "of the window only"),
    "down": ({"url": f"http://127.0.0.1:{free_port()}", "query": "vector(0)", "must": "== 0"}, "nothing listens there"),
}


def test_what_prometheus_cannot_prove_is_no_pass(tmp_path: Path, prometheus: str, soak: dict[str, Any]) -> None:
    asked = {name: [soak, {"kind": "prometheus", "window": "soak", **keys}] for name, (keys, _problem) in UNPROVEN.items()}
    alone = {"alone": [{"kind": "prometheus", "window": "soak", "query": "vector(0)", "must": "== 0"}]}
    items, _said = judge_all(tmp_path, {**asked, **alone}, prometheus_url=prometheus)
    for name, (_keys, problem) in UNPROVEN.items():
        assert not items[name]["passed"], name
        assert items[name]["evidence"][0]["passed"], name
        assert problem in items[name]["evidence"][1]["problem"], name
    assert items["alone"]["evidence"][0]["problem"] == "no soak report of this item says when the soak was"


# Schedules and HTTP


class Answers:
    """A server that answers as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, list[str]], dict[str, str]]] = []
        self.answer: Callable[[str, dict[str, list[str]]], tuple[int, Any]] = lambda _path, _query: (200, {})


@contextmanager
def serving() -> Iterator[tuple[str, Answers]]:
    told = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            told.asked.append((parts.path, query, dict(self.headers)))
            status, answer = told.answer(parts.path, query)
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", told
    finally:
        server.shutdown()
        server.server_close()


def shift(name: str, start: float | None, end: float | None) -> dict[str, Any]:
    return {
        "escalation_policy": {"id": "PE1", "type": "escalation_policy_reference", "summary": "Production"},
        "escalation_level": 1,
        "schedule": {"id": "PS1", "type": "schedule_reference", "summary": "Primary"},
        "user": {"id": f"P{name}", "type": "user_reference", "summary": name},
        "start": None if start is None else iso(start),
        "end": None if end is None else iso(end),
    }


def test_a_pagerduty_schedule_is_asked_page_by_page(tmp_path: Path) -> None:
    now = time.time()
    pages = {"0": [shift("Maria", now - 3600, now + 90_000)], "100": [shift("Ivo", now + 90_000, None)]}
    given = {"kind": "schedule", "provider": "pagerduty", "schedule": "PS1", "covers": "48h"}
    with serving() as (url, told):
        told.answer = lambda _path, query: (200, {"oncalls": pages[query["offset"][0]], "limit": 100, "more": query["offset"][0] == "0"})
        item, said = judge(tmp_path, {**given, "url": url}, tokens={"pagerduty": TOKEN})
        assert item["passed"], item
        assert item["evidence"][0]["found"] == "on call: Maria, Ivo"
        path, query, headers = told.asked[0]
        assert (path, query["schedule_ids[]"]) == ("/oncalls", ["PS1"])
        assert headers["Authorization"] == f"Token token={TOKEN}"
        assert TOKEN not in said
        pages["100"] = [shift("Ivo", now + 100_000, None)]
        item, _said = judge(tmp_path, {**given, "url": url}, tokens={"pagerduty": TOKEN})
        assert item["evidence"][0]["problem"] == f"nobody is on call from {iso(now + 90_000)} to {iso(now + 100_000)}"


UNASKED: dict[str, tuple[tuple[int, Any], str]] = {
    "closed": ((401, {"error": TOKEN}), "pagerduty answered 401"),
    "other": ((200, {"error": "x"}), "PagerDuty's answer holds no oncalls"),
    "html": ((200, b"<html>"), "something that is not JSON"),
    "empty": ((200, {"oncalls": []}), "nobody is on call from now to"),
    "endless": ((200, {"oncalls": [shift("Maria", 1.0, None)], "more": True}), "more than 50 pages"),
}


def test_a_schedule_that_cannot_be_asked_is_no_pass(tmp_path: Path) -> None:
    given = {"kind": "schedule", "provider": "pagerduty", "schedule": "PS1", "covers": "48h"}
    with serving() as (url, told):
        told.answer = lambda path, _query: UNASKED[path.split("/")[1]][0]
        asked = {name: [{**given, "url": f"{url}/{name}"}] for name in UNASKED}
        items, said = judge_all(tmp_path, {**asked, "token": [{**given, "provider": "opsgenie"}]}, tokens={"pagerduty": TOKEN})
    for name, (_answer, problem) in UNASKED.items():
        assert not items[name]["passed"], name
        assert problem in items[name]["evidence"][0]["problem"], name
    assert items["token"]["evidence"][0]["problem"] == "there is no token for opsgenie"
    assert TOKEN not in said


def test_an_opsgenie_schedule_is_asked_for_its_final_timeline(tmp_path: Path) -> None:
    now = time.time()

    def timeline(*spans: tuple[float, float]) -> dict[str, Any]:
        person = {"id": "u1", "type": "user", "name": "maria@example.com"}
        periods = [
            {"startDate": iso(now + start), "endDate": iso(now + end), "type": "default", "recipient": person} for start, end in spans
        ]
        return {"data": {"finalTimeline": {"rotations": [{"id": "r1", "name": "Main", "periods": periods}]}}, "took": 0.1}

    given = {"kind": "schedule", "provider": "opsgenie", "schedule": "a b/c", "covers": "48h"}
    with serving() as (url, told):
        told.answer = lambda _path, _query: (200, timeline((-60, 90_000), (90_000, 200_000)))
        item, said = judge(tmp_path, {**given, "url": url}, tokens={"opsgenie": TOKEN})
        assert item["passed"], item
        path, query, headers = told.asked[0]
        assert path == "/v2/schedules/a%20b%2Fc/timeline"
        assert (query["interval"], query["intervalUnit"]) == (["3"], ["days"])
        assert headers["Authorization"] == f"GenieKey {TOKEN}"
        assert TOKEN not in said
        told.answer = lambda _path, _query: (200, timeline((-60, 90_000)))
        item, _said = judge(tmp_path, {**given, "url": url}, tokens={"opsgenie": TOKEN})
        assert "nobody is on call from" in item["evidence"][0]["problem"]


IS_OK = {"conditions": [{"value": "status", "must": "== ok"}]}
HTTP: dict[str, tuple[dict[str, Any], tuple[int, Any], str]] = {
    "plain": ({}, (200, {"status": "ok"}), ""),
    "gone": ({"status": 404}, (404, {}), ""),
    "down": ({}, (503, {}), "answered 503, not 200"),
    "met": (IS_OK, (200, {"status": "ok"}), ""),
    "unmet": (IS_OK, (200, {"status": "down"}), "status is down, not == ok"),
    "text": (IS_OK, (200, b"ok"), "the report is no JSON (line 1: Expecting value)"),
    "token": ({"token": "wiki"}, (200, {}), "there is no token wiki"),
}


def test_an_http_answer_is_judged(tmp_path: Path) -> None:
    with serving() as (url, told):
        told.answer = lambda path, _query: HTTP[path.strip("/")][1]
        asked = {name: [{"kind": "http", "url": f"{url}/{name}?key=s3cret", **keys}] for name, (keys, _answer, _problem) in HTTP.items()}
        items, _said = judge_all(tmp_path, asked)
    for name, (_keys, _answer, problem) in HTTP.items():
        found = items[name]["evidence"][0]
        assert found["problem"] == problem, name
        assert items[name]["passed"] == (not problem), name
        assert "s3cret" not in str(found), name


def test_a_token_goes_to_the_server_and_nowhere_else(tmp_path: Path) -> None:
    with serving() as (url, told):
        item, said = judge(tmp_path, {"kind": "http", "url": url, "token": "wiki"}, tokens={"wiki": TOKEN})
    assert item["passed"]
    assert told.asked[0][2]["Authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in said
    assert TOKEN not in (tmp_path / "judged.json").read_text(encoding="utf-8")


# Backups


def test_a_run_that_is_stopped_leaves_no_trial_behind(tmp_path: Path) -> None:
    backups, scratch = tmp_path / "backups", tmp_path / "scratch"
    for folder in (backups, scratch):
        folder.mkdir()
    pattern = "analytics_YYYY-MM-DD.duckdb.gz"
    (backups / pattern.replace("YYYY-MM-DD", iso(time.time())[:10])).write_bytes(gzip.compress(os.urandom(5000)))
    command = ["sh", "-c", 'sleep 300 & echo $! > "$0"; wait', str(tmp_path / "child")]
    given = {"kind": "backup", "path": str(backups), "files": [pattern], "max_age": "1d", "scratch": str(scratch)}
    item = {"id": "backup", "name": "Backup", "evidence": [{**given, "restore_command": {pattern: command}}]}
    (tmp_path / "args.json").write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {"items": [item], "subject": {"version": "v1"}}}))
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "collections")}
    module = subprocess.Popen([sys.executable, CHECKOUT / "plugins/modules/evidence.py", tmp_path / "args.json"], env=environment)
    wait_for((tmp_path / "child").exists, "the trial to begin")
    assert any(scratch.iterdir())
    module.terminate()
    assert module.wait(20) != 0
    assert not any(scratch.iterdir())
    child = Path("/proc") / (tmp_path / "child").read_text().strip() / "stat"
    wait_for(lambda: not child.exists() or child.read_text().split()[2] == "Z", "the restore command to end")


# The report


def test_the_report_is_written_once_and_again_only_when_it_says_something_else(tmp_path: Path) -> None:
    def written(check: bool = False, **changed: Any) -> tuple[int, str]:
        go = {"verdict": "GO", "version": "v1.8.0-beta", "at": iso(ENDED), "plan_digest": "sha256:1", "images": {"api": "sha256:2"}}
        report = {"report_dir": str(tmp_path), "report_go": {**go, "items": [], **changed}}
        role = {"ansible.builtin.include_role": {"name": "levibot.transition.report", "tasks_from": "go"}, "vars": report}
        (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [role]}]), encoding="utf-8")
        environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        command = [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", *(["--check"] if check else [])]
        command += ["-e", f"ansible_python_interpreter={sys.executable}", tmp_path / "play.yml"]
        done = subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return int(done.stdout.rpartition("changed=")[2].split()[0]), done.stdout

    pages = [tmp_path / f"report/go-v1.8.0-beta.{form}" for form in ("md", "html")]
    assert written(check=True)[0] > 0
    assert not any(page.exists() for page in pages)
    assert written()[0] > 0
    before = [page.read_text(encoding="utf-8") for page in pages]
    assert all("GO for v1.8.0-beta" in text for text in before)
    assert written()[0] == 0
    assert written(check=True)[0] == 0
    assert written(verdict="NO-GO", check=True)[0] == 1
    assert [page.read_text(encoding="utf-8") for page in pages] == before
    assert written(verdict="NO-GO")[0] == 1
    assert all("NO-GO for v1.8.0-beta" in page.read_text(encoding="utf-8") for page in pages)
