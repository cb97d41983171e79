# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each check can be made to fail alone, and says what was found and what to do."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.levibot.transition.plugins.module_utils import readiness

NOW = 1_795_000_000.0
APP, EDGE = "app1", "edge1"
IMAGES = {name: {"id": f"sha256:{name}", "digest": f"levibot/{name}@sha256:{name}"} for name in ("api", "panel")}
RUNNING = [{"state": "running", "health": "healthy", "digest": "", "image_id": "", "compose_files": []}]
HOST = {
    "clock_ahead_seconds": 0.1,
    "clock_uncertainty_seconds": 0.2,
    "time_zone": "Etc/UTC",
    "utc_offset_seconds": 0,
    "free_mib": {"/srv": 9000},
}
GOOD = {
    "hosts": {
        APP: {
            "groups": ["app_hosts"],
            "host": HOST,
            "app": {"engine_version": "20.10.24", "compose_version": "2.29.1", "compose_services": ["api", "panel"], "problems": []},
            "slots": {
                "slots": {
                    "blue": {
                        "release": "v1.7.0",
                        "images": IMAGES,
                        "containers": {name: [{**RUNNING[0], "image_id": image["id"]}] for name, image in IMAGES.items()},
                    }
                },
                "problems": [],
            },
            "api": {
                "documented": True,
                "forms": {"kill": "POST /live/kill"},
                "missing": [],
                "token": True,
                "how": "401 to it",
                "problem": "",
            },
        },
        EDGE: {
            "groups": ["edge_hosts"],
            "host": {**HOST, "free_mib": {}},
            "edge": {"problems": [], "split_answers": {"blue": True, "green": True}, "text": "blue 100 %", "canary": False},
        },
    },
    "plan_problems": [],
    "source_problems": [],
    "slot_problems": [],
    "ledger_problems": [],
    "rollout": "",
    "release": {"revision": "0123456789abcdef", "images": {name: {"digest": f"sha256:{name}"} for name in ("api", "panel")}},
    "services": ["api", "panel"],
    "scrapes": {"blue": {"status": "ok", "value": 4}, "green": {"status": "ok", "value": 3}},
    "stable": "blue",
    "candidate": "green",
    "freezes": {
        "freezes": [{"from": NOW + 9e5, "until": NOW + 9.9e5, "why": "year's end"}],
        "from": NOW,
        "until": NOW + 1e5,
        "problems": [],
    },
    "wanted": {
        "clock_skew_seconds": 2,
        "time_zone": "",
        "free_mib": 4096,
        "scrape_interval_seconds": 15,
        "scrapes_over_seconds": 60,
    },
    "now": NOW,
}
PROBLEM = {"path": "levibot_version", "found": "nothing", "fix": "write the candidate's tag"}


def judged(*changes):
    """The items, where at each path in turn a value is put."""
    seen = copy.deepcopy(GOOD)
    for path, value in changes:
        at = seen
        *way, last = path.split("/")
        for name in way:
            at = at[name]
        at[last] = value
    return readiness.items(readiness.Seen(**seen))


def about(path):
    return {**PROBLEM, "path": path}


def test_all_is_well():
    items = judged()
    assert [item["id"] for item in items if not item["passed"]] == []
    assert len({item["id"] for item in items}) == len(items)
    for item in items:
        assert item["text"]
        for one in item["evidence"]:
            assert one["passed"]
            assert one["found"]
            assert (one["problem"], one["fix"], one["age_seconds"]) == ("", "", 0)


@pytest.mark.parametrize(
    ("check", "path", "value", "said"),
    [
        ("plan", "plan_problems", [PROBLEM], "levibot_version"),
        ("release", "release", {}, "no release of this version is recorded"),
        ("release", "release/images", {"api": {"digest": "sha256:1"}, "panel": {"digest": ""}}, "no digest of panel"),
        ("release", "services", [], "no digest of any service"),
        ("clocks", f"hosts/{EDGE}/host/clock_ahead_seconds", -2.3, "-2.3 s"),
        ("clocks", "source_problems", [about("clocks")], "clocks"),
        ("time_zone", f"hosts/{EDGE}/host/utc_offset_seconds", 3600, "UTC+1"),
        ("time_zone", "wanted/time_zone", "Europe/Berlin", "Europe/Berlin"),
        ("disk", f"hosts/{APP}/host/free_mib", {"/srv": 9000, "/var/lib/docker": 4095}, "4095 MiB free, wanted at least 4096"),
        ("disk", f"hosts/{APP}/host/free_mib", {}, "could not be asked"),
        ("docker", f"hosts/{APP}/app/problems", [about("Docker Engine")], "Docker Engine"),
        ("docker", f"hosts/{APP}/app/problems", [about("Docker Compose")], "Docker Compose"),
        ("compose_file", f"hosts/{APP}/app/problems", [about("levibot_services")], "levibot_services"),
        ("compose_file", f"hosts/{APP}/app/compose_version", "", "could not be asked"),
        ("ports", f"hosts/{APP}/app/problems", [about("levibot_slots")], "levibot_slots"),
        ("ports", f"hosts/{APP}/app/engine_version", "", "could not be asked"),
        ("edges", f"hosts/{EDGE}/edge/problems", [about("edge_caddyfile")], "edge_caddyfile"),
        ("edges", f"hosts/{EDGE}/edge/split_answers/green", False, "no answer for green"),
        ("edges", f"hosts/{EDGE}/edge/split_answers", {}, "no answer for any slot"),
        ("edges", f"hosts/{EDGE}/edge", {"failed": True, "msg": "no such module"}, "no such module"),
        ("edges", "slot_problems", [about("edge_hosts")], "edge_hosts"),
        ("prometheus", "source_problems", [about("levibot_prometheus_url")], "levibot_prometheus_url"),
        ("prometheus", "source_problems", [about("levibot_checks.error_rate")], "levibot_checks.error_rate"),
        ("scrapes", "scrapes/green/value", 2, "2 scrapes of the target that has least, wanted at least 3 in 60 s"),
        ("scrapes", "scrapes/blue", {"status": "no_data", "detail": "the query gives nothing"}, "the query gives nothing"),
        ("scrapes", "scrapes", {}, "no target"),
        ("alertmanager", "source_problems", [about("levibot_alertmanager_url")], "levibot_alertmanager_url"),
        ("api_forms", f"hosts/{APP}/api/missing", ["phase 3 needs start_live"], "phase 3 needs start_live"),
        ("token", f"hosts/{APP}/api/token", False, "401 to it"),
        ("token", f"hosts/{APP}/api/token", None, "NO TOKEN"),
        ("way_back", f"hosts/{APP}/slots/slots", {}, "no release is there"),
        ("way_back", f"hosts/{APP}/slots/slots/blue/images", {}, "no record of the images of v1.7.0"),
        ("way_back", f"hosts/{APP}/slots/slots/blue/containers/api", [], "api does not run"),
        ("way_back", f"hosts/{APP}/slots/slots/blue/containers/api", [{**RUNNING[0], "image_id": "sha256:f"}], "api runs sha256:f"),
        ("way_back", f"hosts/{APP}/slots", {"failed": True, "msg": "docker is gone"}, "docker is gone"),
        ("freezes", "freezes/problems", [about("preflight_freezes")], "preflight_freezes"),
        ("freezes", "freezes/freezes", [{"from": NOW + 9e4, "until": NOW + 9e5, "why": "year's end"}], "year's end"),
        ("other_rollout", "rollout", "20261124T112200Z-v1.7.1", "20261124T112200Z-v1.7.1"),
        ("other_rollout", "ledger_problems", [about("the rollout lock")], "the rollout lock"),
        ("other_rollout", f"hosts/{EDGE}/edge/canary", True, "a canary is open"),
    ],
)
def test_each_check_can_fail_alone(check, path, value, said):
    items = judged((path, value))
    (failed,) = [item for item in items if not item["passed"]]
    assert failed["id"] == check
    assert said in failed["text"]
    wrong = [one for one in failed["evidence"] if not one["passed"]]
    assert all(one["problem"] and one["fix"] for one in wrong)


def test_an_unhealthy_container_is_no_way_back():
    sick = [{**RUNNING[0], "image_id": IMAGES["api"]["id"], "health": "unhealthy"}]
    (failed,) = [item for item in judged((f"hosts/{APP}/slots/slots/blue/containers/api", sick)) if not item["passed"]]
    assert "api is unhealthy" in failed["text"]


@pytest.mark.parametrize(("host", "lost"), [(EDGE, {"clocks", "time_zone", "edges"}), (APP, {"clocks", "time_zone", "disk", "docker"})])
def test_a_host_without_contact_fails_itself_and_what_cannot_be_asked_there(host, lost):
    items = judged((f"hosts/{host}/unreachable", True), (f"hosts/{host}/why", "timed out"))
    failed = {item["id"]: item for item in items if not item["passed"]}
    assert "timed out" in failed.pop("contact")["text"]
    assert lost <= set(failed)
    assert all("could not be asked" in item["text"] for item in failed.values())


def test_what_nobody_has_asked_is_not_passed():
    changes = [("plan_problems", [PROBLEM]), ("source_problems", None), ("ledger_problems", None), ("scrapes", {})]
    changes += [(f"hosts/{host}/{what}", {}) for host, what in ((APP, "app"), (APP, "api"), (APP, "slots"), (APP, "host"), (EDGE, "edge"))]
    passed = {item["id"] for item in judged(*changes) if item["passed"]}
    assert passed == {"release", "contact", "freezes"}


def test_a_check_with_nothing_to_look_at_is_not_passed():
    assert {item["id"] for item in judged(("hosts", {})) if item["passed"]} <= {
        "plan",
        "release",
        "prometheus",
        "alertmanager",
        "scrapes",
        "freezes",
        "other_rollout",
    }


def test_an_api_without_a_token_may_be_allowed():
    token = next(item for item in judged((f"hosts/{APP}/api/token", None), ("wanted/open_api", True)) if item["id"] == "token")
    assert token["passed"]
    assert "NO TOKEN" in token["text"]


def test_an_api_that_is_down_fails_what_it_would_have_been_asked():
    failed = [item["id"] for item in judged((f"hosts/{APP}/api/problem", "connection refused")) if not item["passed"]]
    assert failed == ["api_forms", "token"]


def test_a_skew_within_what_the_way_there_takes_is_none():
    changes = [(f"hosts/{EDGE}/host/clock_ahead_seconds", 2.5), (f"hosts/{EDGE}/host/clock_uncertainty_seconds", 0.6)]
    assert all(item["passed"] for item in judged(*changes))


def test_freezes_as_a_site_writes_them():
    (freeze,) = readiness.freeze_windows([{"from": "2026-12-24T00:00:00+01:00", "until": "2026-12-27T00:00:00+01:00", "why": "holidays"}])
    assert freeze["until"] - freeze["from"] == 3 * 86_400


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("never", "preflight_freezes"),
        ([{"from": "2026-12-24T00:00:00Z"}], "preflight_freezes[0].until"),
        ([{"from": "2026-12-24", "until": "2026-12-27"}], "preflight_freezes[0].from"),
        (["christmas"], "preflight_freezes[0].from"),
        ([{"from": "2026-12-24T00:00:00Z", "until": "2026-12-24T00:00:00Z"}], "preflight_freezes[0].until"),
    ],
)
def test_freezes_that_cannot_be_read(given, path):
    with pytest.raises(readiness.FreezeError) as raised:
        readiness.freeze_windows(given)
    assert raised.value.args[0] == path
