# SPDX-License-Identifier: GPL-3.0-or-later
"""The split as a visitor meets it: a real Caddy between real connections and real applications."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from ansible_collections.levibot.transition.plugins.module_utils.edge.split import Canary, encode, green_buckets

from .edge_bed import Bed, ask, bed


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with bed(tmp_path_factory.mktemp("edge")) as made:
        yield made


@pytest.fixture(autouse=True)
def _blue_is_stable(edge: Bed) -> None:
    edge.files.write_stable("blue")
    edge.files.remove_canary()


def give_green(edge: Bed, weight: float) -> None:
    edge.files.write_canary(Canary(green_buckets("green", weight), int(time.time()) + 600))


def test_a_second_installation_changes_nothing(edge: Bed) -> None:
    assert "changed=0" in edge.install()


def test_check_mode_of_an_installation_says_what_would_change_and_leaves_it(edge: Bed) -> None:
    before = (edge.directory / "snippets/slots.caddy").read_text()
    said = edge.install("--check", "--diff", "-e", '{"edge_sticky": false}')
    assert "-\t\t@levibot_new vars" in said
    assert "+\t\t@levibot_green" in said
    assert (edge.directory / "snippets/slots.caddy").read_text() == before
    assert sorted(path.name for path in edge.directory.iterdir() if "trial" in path.name) == []


def test_a_configuration_that_caddy_refuses_does_not_land(edge: Bed) -> None:
    before = (edge.directory / "snippets/slots.caddy").read_text()
    with pytest.raises(AssertionError, match="Caddy refuses the configuration, and nothing was"):
        edge.install("-e", "edge_cookie_attributes='Path=/\"'")
    assert (edge.directory / "snippets/slots.caddy").read_text() == before


@pytest.mark.parametrize("weight", [10, 50])
def test_ten_thousand_requests_are_split_within_three_standard_deviations(edge: Bed, weight: int) -> None:
    share = green_buckets("green", weight) / 65536
    tolerated = 3 * math.sqrt(10_000 * share * (1 - share))
    give_green(edge, weight)

    def off() -> float:
        before = edge.counted()
        load(edge, requests=10_000)
        after = settled(edge, sum(before.values()) + 10_000)
        return abs(after["green"] - before["green"] - 10_000 * share)

    # One good draw in 370 lies outside; two in a row do not happen.
    assert off() <= tolerated or off() <= tolerated


def test_a_hundred_changes_under_load_fail_no_request_and_lose_no_counter(edge: Bed) -> None:
    stop, failures, answered = threading.Event(), [], [0] * 24
    before = edge.counted()

    def visit(index: int, *, keep_alive: bool) -> None:
        connection = HTTPConnection("127.0.0.1", edge.ports["site"], timeout=20)
        while not stop.is_set():
            try:
                reply = ask(connection)
                answered[index] += 1
                if reply.status != 200 or reply.slot not in ("blue", "green"):
                    failures.append(str(reply))
            except Exception as exc:
                failures.append(repr(exc))
                connection.close()
            if not keep_alive:
                connection.close()

    visitors = [threading.Thread(target=visit, args=(n,), kwargs={"keep_alive": n < 20}) for n in range(24)]
    for visitor in visitors:
        visitor.start()
    counters = [before]
    for change in range(100):
        match change % 4:
            case 3:
                edge.files.remove_canary()
            case step:
                give_green(edge, (10, 50, 100)[step])
        time.sleep(0.03)
        if change % 10 == 9:
            counters.append(edge.counted())
    stop.set()
    for visitor in visitors:
        visitor.join(30)
    after = settled(edge, sum(before.values()) + sum(answered))
    assert failures == []
    assert sum(answered) > 1000
    assert sum(after.values()) - sum(before.values()) == sum(answered)
    for slot in ("blue", "green"):
        values = [each[slot] for each in counters] + [after[slot]]
        assert values == sorted(values)
        assert after[slot] > before[slot]


@pytest.mark.parametrize("candidate", ["blue", "green"])
def test_a_visitor_moves_once_on_the_way_up_and_is_back_at_once(edge: Bed, candidate: str) -> None:
    stable = "blue" if candidate == "green" else "green"
    edge.files.write_stable(stable)
    visitors = [edge.get().cookie for _ in range(40)]
    assert all(len(cookie) == 4 for cookie in visitors)
    slots: dict[str, list[str]] = {cookie: [] for cookie in visitors}
    for weight in (1, 10, 50, 75, 100):
        edge.files.write_canary(Canary(green_buckets(candidate, weight), int(time.time()) + 600))
        for cookie in visitors:
            reply = edge.get(cookie=cookie)
            assert reply.cookie == "", "a visitor keeps his bucket"
            slots[cookie].append(reply.slot)
    edge.files.remove_canary()
    assert {edge.get(cookie=cookie).slot for cookie in visitors} == {stable}
    for seen in slots.values():
        assert seen == sorted(seen, key=(stable, candidate).index), "once over, never back"
        assert seen[-1] == candidate
    assert len({tuple(seen) for seen in slots.values()}) > 2, "not all at once"


def test_a_new_visitors_first_answer_comes_from_the_slot_of_his_bucket(edge: Bed) -> None:
    give_green(edge, 50)
    for _ in range(50):
        reply = edge.get()
        assert reply.slot == ("green" if reply.cookie < "8000" else "blue")


@pytest.mark.parametrize("weight", [0, 0.5, 10, 33.3, 99.9, 100])
def test_the_boundary_is_exact(edge: Bed, weight: float) -> None:
    give_green(edge, weight)
    buckets = green_buckets("green", weight)
    for bucket in {0, max(0, buckets - 1), min(buckets, 65535), 65535}:
        assert edge.get(cookie=f"{bucket:04x}").slot == ("green" if bucket < buckets else "blue"), encode(bucket)


@pytest.mark.parametrize("stable", ["blue", "green"])
@pytest.mark.parametrize("content", [None, "", "zzzz", "199", "199a9", "G", "-001", "\x00\x00\x00\x00", "199A"])
def test_what_is_no_share_counts_as_no_canary(edge: Bed, stable: str, content: str | None) -> None:
    edge.files.write_stable(stable)
    if content is not None:
        edge.files.canary.write_text(content)
    for bucket in ("0000", "8000", "ffff", ""):
        reply = edge.get(cookie=bucket)
        assert (reply.status, reply.slot) == (200, stable)


def test_without_any_file_blue_serves(edge: Bed) -> None:
    edge.files.stable.unlink()
    assert {(edge.get(cookie=bucket).status, edge.get(cookie=bucket).slot) for bucket in ("0000", "ffff")} == {(200, "blue")}


def test_the_absence_of_a_canary_is_not_logged(edge: Bed) -> None:
    before = len(edge.log)
    for _ in range(20):
        edge.get()
    assert "failed to read file" not in edge.log[before:]


def test_a_hung_slot_is_answered_for_in_bounded_time_and_counted_as_an_error(edge: Bed) -> None:
    started = time.monotonic()
    reply = edge.get("/hang", cookie="ffff")
    assert (reply.status, reply.slot) == (504, "blue")
    assert time.monotonic() - started < 3
    time.sleep(0.1)
    assert 'caddy_http_request_duration_seconds_count{code="504",handler="subroute",method="GET",server="slot-blue"} 1' in edge.metrics()


def test_probes_are_counted_apart_from_visitors(edge: Bed) -> None:
    edge.get("/y", listener="green")
    time.sleep(0.1)
    before = visitors_of_green(edge)
    for path in ("/health", "/.levibot/slot"):
        reply = edge.get(path, listener="green")
        assert (reply.status, reply.slot) == (200, "green")
    edge.get("/y", listener="green")
    time.sleep(0.1)
    assert visitors_of_green(edge) == before + 1


def test_routes_and_headers_are_those_of_one_proxy(edge: Bed) -> None:
    reply = edge.get("/panel/a?b=c", cookie="ffff", headers={"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"})
    assert reply.body.startswith("blue_panel GET /panel/a?b=c")
    lines = reply.body.lower().splitlines()
    assert "x-forwarded-for: 127.0.0.1" in lines, "a visitor's own claim does not pass"
    assert "x-forwarded-proto: http" in lines
    assert f"host: 127.0.0.1:{edge.ports['site']}" in lines
    assert reply.slot == "blue", "nor an application's"
    assert edge.get("/", cookie="0000").body.startswith("blue_api GET / ")


def load(edge: Bed, *, requests: int, connections: int = 20) -> None:
    """So many requests over so many kept connections, from visitors without a cookie."""
    failures: list[str] = []

    def run(count: int) -> None:
        connection = HTTPConnection("127.0.0.1", edge.ports["site"], timeout=20)
        for _ in range(count):
            reply = ask(connection)
            if reply.status != 200:
                failures.append(str(reply))
        connection.close()

    threads = [threading.Thread(target=run, args=(requests // connections,)) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def settled(edge: Bed, total: int) -> dict[str, int]:
    """The counters, when they have caught up with what clients have read."""
    for _ in range(40):
        counted = edge.counted()
        if sum(counted.values()) >= total:
            break
        time.sleep(0.05)
    return counted


def visitors_of_green(edge: Bed) -> int:
    lines = [line for line in edge.metrics().splitlines() if line.startswith("caddy_http_request_duration_seconds_count{")]
    return sum(int(line.rpartition(" ")[2]) for line in lines if 'server="slot-green"' in line and 'handler="subroute"' in line)
