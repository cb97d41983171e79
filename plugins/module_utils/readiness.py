# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator wants checked before production is touched, judged from what was looked at. Pure.

Each check is an item as module ``evidence`` has them, so that one report shows them beside the plan's. What could not be asked is
never passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.levibot.transition.plugins.module_utils.ledger.phase1 import UNASKED

Evidence = dict[str, Any]
RUNNING = "running"
ALL, APPS, EDGES = "all", "app_hosts", "edge_hosts"


class FreezeError(ValueError):
    """A calendar of freezes that cannot be read: (path, found, fix)."""


@dataclass(frozen=True)
class Seen:
    """All that was looked at.

    hosts: for each host ``{unreachable, why, groups, host, app, edge, slots, api}``, where the latter are what the modules of these names
    returned (``<name>_info``, and environment_info for app). The problems are those that the preflight collects; None where nobody asked.
    rollout: the one that is open. release: what is recorded of it. services: whose images it must have. scrapes: a sample for each slot,
    see module measure. freezes: what the filter of that name returned. wanted: the limits.
    """

    hosts: Mapping[str, Mapping[str, Any]]
    plan_problems: Sequence[Mapping[str, Any]]
    source_problems: Sequence[Mapping[str, Any]] | None
    slot_problems: Sequence[Mapping[str, Any]]
    ledger_problems: Sequence[Mapping[str, Any]] | None
    rollout: str
    release: Mapping[str, Any]
    services: Sequence[str]
    scrapes: Mapping[str, Mapping[str, Any]]
    stable: str
    candidate: str
    freezes: Mapping[str, Any]
    wanted: Mapping[str, Any]
    now: float

    def of(self, group: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for name, host in self.hosts.items():
            if group == ALL or group in host["groups"]:
                yield name, host


def items(seen: Seen) -> list[dict[str, Any]]:
    """Every check, judged, in the order of the report."""
    judged = []
    for name, (title, check) in CHECKS.items():
        evidence = [{**one, "at": _iso(seen.now), "age_seconds": 0} for one in check(seen)]
        if not evidence:
            evidence = [
                {**_bad("inventory", "nothing", "something to look at", "name hosts in the inventory"), "at": None, "age_seconds": None}
            ]
        failed = [one for one in evidence if not one["passed"]]
        text = "; ".join(f"{one['source']}: {one['problem']}" for one in failed) or "; ".join(
            f"{one['source']}: {one['found']}" for one in evidence
        )
        judged.append({"id": name, "name": title, "passed": not failed, "text": text, "evidence": evidence})
    return judged


def freeze_windows(given: Any) -> list[dict[str, Any]]:
    """The freezes as a site writes them, with moments as seconds. Raises FreezeError at the first that cannot be read."""
    if not isinstance(given, (list, tuple)):
        raise FreezeError("preflight_freezes", given, "write a list of {from, until, why}")
    return [_freeze(f"preflight_freezes[{index}]", one) for index, one in enumerate(given)]


def _freeze(path: str, one: Any) -> dict[str, Any]:
    given = one if isinstance(one, Mapping) else {"from": one}
    moments = {key: moment(f"{path}.{key}", given.get(key)) for key in ("from", "until")}
    if moments["until"] <= moments["from"]:
        raise FreezeError(f"{path}.until", given["until"], "write a moment after from")
    return {**moments, "why": str(given.get("why") or "no reason given")}


def moment(path: str, value: Any) -> float:
    """A moment of a site's variable, as seconds since the epoch."""
    try:
        read = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        raise FreezeError(path, value, "write a moment with an offset from UTC, in quotes, such as '2026-12-24T00:00:00+01:00'")
    return read.timestamp()


def _good(source: str, found: Any, wanted: str = "") -> Evidence:
    return {"kind": "look", "source": source, "passed": True, "found": str(found), "wanted": wanted, "problem": "", "fix": ""}


def _bad(source: str, found: Any, wanted: str, fix: str, problem: str = "") -> Evidence:
    said = problem or (f"{found}, wanted {wanted}" if wanted else str(found))
    return {"kind": "look", "source": source, "passed": False, "found": str(found), "wanted": wanted, "problem": said, "fix": fix}


def _told(problems: Iterable[Mapping[str, Any]]) -> Iterator[Evidence]:
    for one in problems:
        yield _bad(str(one["path"]), one["found"], "", str(one["fix"]))


def _unasked(source: str, host: Mapping[str, Any], what: str) -> Evidence | None:
    """Where there is no answer to judge."""
    answer = host.get(what) or {}
    if host.get("unreachable"):
        return _bad(
            source, "the host cannot be reached", "", "make the host answer, see its contact", f"{UNASKED}: the host cannot be reached"
        )
    if not answer or answer.get("failed") or answer.get("skipped"):
        why = str(answer.get("msg") or "nobody asked, since the plan or the inventory has mistakes")
        return _bad(source, why, "", "mend what the message names", f"{UNASKED}: {why}")
    return None


def _each(seen: Seen, group: str, what: str, judge: Callable[[str, Mapping[str, Any]], Iterable[Evidence]]) -> Iterator[Evidence]:
    """What judge says of each host's answer, and of those without one that they could not be asked."""
    for name, host in seen.of(group):
        problem = _unasked(name, host, what)
        yield from [problem] if problem else judge(name, host[what])


def _plan(seen: Seen) -> Iterator[Evidence]:
    yield from _told(seen.plan_problems)
    if not seen.plan_problems:
        yield _good("plan and inventory", "no mistakes")


def _release(seen: Seen) -> Iterator[Evidence]:
    """What the GO is for."""
    fix = "run playbooks/phase1_predeploy.yml with all its parts: it tags, builds and pushes"
    images = seen.release.get("images") or {}
    missing = [name for name in seen.services if not str((images.get(name) or {}).get("digest") or "").startswith("sha256:")]
    if not seen.release:
        yield _bad("ledger", "no release of this version is recorded", "", fix)
    elif missing or not seen.services:
        yield _bad("ledger", f"the release's record has no digest of {', '.join(missing) or 'any service'}", "", fix)
    else:
        told = ", ".join(f"{name} {images[name]['digest'][:19]}" for name in seen.services)
        yield _good("ledger", f"commit {str(seen.release.get('revision'))[:12]}: {told}")


def _contact(seen: Seen) -> Iterator[Evidence]:
    for name, host in seen.hosts.items():
        if host.get("unreachable"):
            yield _bad(name, host.get("why") or "no answer", "an answer", "make the host answer, or take it out of the inventory")
        else:
            yield _good(name, "answers")


def _clocks(seen: Seen) -> Iterator[Evidence]:
    limit = float(seen.wanted["clock_skew_seconds"])

    def judge(name: str, told: Mapping[str, Any]) -> Iterator[Evidence]:
        ahead, unsure = told["clock_ahead_seconds"], told["clock_uncertainty_seconds"]
        found, wanted = f"{ahead:+.1f} s from the control node, to within {unsure:.1f} s", f"within {limit:g} s"
        if abs(ahead) - unsure > limit:
            yield _bad(name, found, wanted, "bring the host's clock into step (chrony, systemd-timesyncd)")
        else:
            yield _good(name, found, wanted)

    yield from _each(seen, ALL, "host", judge)
    yield from _told(one for one in seen.source_problems or () if one["path"] == "clocks")


def _time_zone(seen: Seen) -> Iterator[Evidence]:
    """The zone that a site names; else the same for all, since logs, backups and on-call times are compared by people."""
    offsets = {(host.get("host") or {}).get("utc_offset_seconds") for host in seen.hosts.values()} - {None}
    zone = str(seen.wanted.get("time_zone") or "")

    def judge(name: str, told: Mapping[str, Any]) -> Iterator[Evidence]:
        found, wanted = f"{told['time_zone']} (UTC{told['utc_offset_seconds'] / 3600:+g})", zone or "one time zone on all hosts"
        if zone and told["time_zone"] != zone:
            yield _bad(name, found, wanted, f"timedatectl set-timezone {zone}, or set preflight_time_zone")
        elif not zone and len(offsets) > 1:
            yield _bad(name, found, wanted, "timedatectl set-timezone Etc/UTC on all of them")
        else:
            yield _good(name, found, wanted)

    return _each(seen, ALL, "host", judge)


def _disk(seen: Seen) -> Iterator[Evidence]:
    least = int(seen.wanted["free_mib"])
    fix = "make room (docker system df; older releases), or set preflight_free_mib to what the images need"

    def judge(name: str, told: Mapping[str, Any]) -> Iterator[Evidence]:
        for path, free in told["free_mib"].items():
            about = (f"{name}:{path}", f"{free} MiB free", f"at least {least} MiB")
            yield _good(*about) if free >= least else _bad(*about, fix)
        if not told["free_mib"]:
            yield _bad(name, "no folder to look at", "", "make the engine answer", UNASKED)

    return _each(seen, APPS, "host", judge)


def _docker(seen: Seen) -> Iterator[Evidence]:
    def judge(name: str, told: Mapping[str, Any]) -> Iterator[Evidence]:
        found = f"Docker Engine {told['engine_version']}, Compose {told['compose_version']}"
        return _those(name, told, ("Docker Engine", "Docker Compose"), found)

    return _each(seen, APPS, "app", judge)


def _compose_file(seen: Seen) -> Iterator[Evidence]:
    def judge(name: str, told: Mapping[str, Any]) -> Iterator[Evidence]:
        if not told["compose_version"]:
            yield _bad(name, "no Compose", "", "install Compose", f"{UNASKED}: there is no Compose")
            return
        yield from _those(name, told, ("levibot_compose_file", "levibot_services"), f"it has {', '.join(told['compose_services'])}")

    return _each(seen, APPS, "app", judge)


def _ports(seen: Seen) -> Iterator[Evidence]:
    def judge(name: str, told: Mapping[str, Any]) -> Iterator[Evidence]:
        if not told["engine_version"]:
            # Nobody knows which of the ports are its own.
            yield _bad(name, "no Docker Engine", "", "start the engine", f"{UNASKED}: the engine does not answer")
            return
        yield from _those(name, told, ("levibot_slots",), f"the ports of {seen.candidate} are free")

    return _each(seen, APPS, "app", judge)


def _those(name: str, told: Mapping[str, Any], paths: Sequence[str], good: str) -> Iterator[Evidence]:
    """What the look at an app host has found about these paths."""
    mine = [one for one in told["problems"] if one["path"] in paths]
    for one in mine:
        yield _bad(name, f"{one['path']}: {one['found']}", "", str(one["fix"]))
    if not mine:
        yield _good(name, good)


def _edges(seen: Seen) -> Iterator[Evidence]:
    def judge(name: str, told: Mapping[str, Any]) -> Iterator[Evidence]:
        for one in told["problems"]:
            yield _bad(name, f"{one['path']}: {one['found']}", "", str(one["fix"]))
        mute = sorted(slot for slot, answers in told["split_answers"].items() if not answers)
        if told["problems"]:
            return
        if mute or not told["split_answers"]:
            yield _bad(name, f"no answer for {', '.join(mute) or 'any slot'}", "an answer for both slots", "see the edge's Caddy")
        else:
            yield _good(name, f"Caddy {told.get('caddy_version') or 'in a container'}: {told['text']}; both slots answer")

    yield from _told(seen.slot_problems)
    yield from _each(seen, EDGES, "edge", judge)


def _of_sources(seen: Seen, good: str, *prefixes: str) -> Iterator[Evidence]:
    if seen.source_problems is None:
        yield _bad("sources", "nobody asked", "", "mend the plan's mistakes first", UNASKED)
        return
    mine = [one for one in seen.source_problems if str(one["path"]).startswith(prefixes)]
    yield from _told(mine)
    if not mine:
        yield _good(prefixes[0], good)


def _prometheus(seen: Seen) -> Iterator[Evidence]:
    return _of_sources(seen, "answers what the plan's gates ask", "levibot_prometheus_url", "levibot_checks.")


def _alertmanager(seen: Seen) -> Iterator[Evidence]:
    return _of_sources(seen, "answers", "levibot_alertmanager_url")


def _scrapes(seen: Seen) -> Iterator[Evidence]:
    """One scrape may be under way."""
    interval, over = float(seen.wanted["scrape_interval_seconds"]), float(seen.wanted["scrapes_over_seconds"])
    least = max(1, int(over / interval) - 1)
    wanted = f"at least {least} in {over:g} s"
    for slot in filter(None, (seen.stable, seen.candidate)):
        source = f"Prometheus, slot {slot}"
        fix = f"scrape the targets of slot {slot} every {interval:g} s, also while it is idle; or set preflight_scraped"
        sample = seen.scrapes.get(slot) or {}
        found = f"{sample.get('value', 0):g} scrapes of the target that has least"
        if sample.get("status") != "ok":
            why = sample.get("detail") or "no target"
            yield _bad(source, why, wanted, fix, f"no scrape was seen: {why}")
        else:
            yield _good(source, found, wanted) if sample["value"] >= least else _bad(source, found, wanted, fix)


def _of_api(seen: Seen, judge: Callable[[str, Mapping[str, Any]], Iterable[Evidence]]) -> Iterator[Evidence]:
    def answered(name: str, told: Mapping[str, Any]) -> Iterable[Evidence]:
        if told["problem"]:
            fix = f"start {seen.stable}: its API is what can be asked now"
            return [_bad(name, told["problem"], "", fix, f"{UNASKED}: {told['problem']}")]
        return judge(name, told)

    return _each(seen, APPS, "api", answered)


def _api_forms(seen: Seen) -> Iterator[Evidence]:
    def judge(name: str, told: Mapping[str, Any]) -> Iterator[Evidence]:
        if told["missing"]:
            fix = "give the form in levibot_api_forms, or deploy a release that has the call"
            yield _bad(name, "; ".join(told["missing"]), "", fix)
        else:
            known = "by its openapi.json" if told["documented"] else "its openapi.json is closed, so the plan's forms are taken for granted"
            yield _good(name, f"{len(told['forms'])} calls have a form, {known}")

    return _of_api(seen, judge)


def _token(seen: Seen) -> Iterator[Evidence]:
    def judge(name: str, told: Mapping[str, Any]) -> Iterator[Evidence]:
        open_to_all = f"the API asks for NO TOKEN: whoever reaches it can trade ({told['how']})"
        if told["token"]:
            yield _good(name, told["how"], "the token is accepted, and a wrong one is not")
        elif told["token"] is not None:
            yield _bad(name, told["how"], "", "set levibot_admin_token (or levibot_api_headers) to what this release accepts")
        elif seen.wanted.get("open_api"):
            yield _good(name, f"{open_to_all}, and preflight_open_api allows it")
        else:
            fix = "put authentication before it; or say with preflight_open_api that nobody else reaches it"
            yield _bad(name, open_to_all, "", fix)

    return _of_api(seen, judge)


def _way_back(seen: Seen) -> Iterator[Evidence]:
    """The stable release is where a rollback goes: known, running as it was deployed, and healthy."""
    fix = "deploy the release that serves into its slot: playbooks/adopt.yml"

    def judge(name: str, told: Mapping[str, Any]) -> Iterator[Evidence]:
        there = told["slots"].get(seen.stable) or {}
        source, release = f"{name}, slot {seen.stable}", there.get("release")
        wrong = (
            ["no release is there"] if not release
            else [f"there is no record of the images of {release}"] if not there.get("images")
            else [f"{release}: {one}" for one in _not_as_deployed(there)]
        )  # fmt: skip
        if wrong:
            yield _bad(source, "; ".join(wrong), "", fix)
        else:
            yield _good(source, f"{release} runs by the digests that it was deployed with")

    return _each(seen, APPS, "slots", judge)


def _not_as_deployed(there: Mapping[str, Any]) -> Iterator[str]:
    for service, image in there["images"].items():
        running = [one for one in there["containers"].get(service, ()) if one["state"] == RUNNING]
        if not running:
            yield f"{service} does not run"
        for one in running:
            if one["image_id"] != image.get("id"):
                yield f"{service} runs {one['digest'] or one['image_id']} and not {image.get('digest')}"
            if one["health"] not in ("", "healthy"):
                yield f"{service} is {one['health']}"


def _freezes(seen: Seen) -> Iterator[Evidence]:
    about = seen.freezes
    yield from _told(about["problems"])
    if about["problems"]:
        return
    begin, end = about["from"], about["until"]
    span = f"none between {_iso(begin)} and {_iso(end)}"
    hit = [one for one in about["freezes"] if one["from"] < end and one["until"] > begin]
    for one in hit:
        found = f"{one['why']}, from {_iso(one['from'])} until {_iso(one['until'])}"
        yield _bad("freezes", found, span, "roll out when it is over; preflight_starts_at says when that will be")
    if not hit:
        yield _good("freezes", span)


def _other_rollout(seen: Seen) -> Iterator[Evidence]:
    if seen.ledger_problems is None:
        yield _bad("ledger", "nobody asked", "", "mend the plan's mistakes first", UNASKED)
        return
    yield from _told(seen.ledger_problems)
    if seen.rollout:
        yield _bad("ledger", f"rollout {seen.rollout} is open", "none", "finish it, or take it back with playbooks/rollback.yml")
    canaries = [name for name, host in seen.of(EDGES) if (host.get("edge") or {}).get("canary")]
    if canaries:
        yield _bad(", ".join(canaries), "a canary is open", "none", "take the traffic back: playbooks/withdraw.yml")
    if not (seen.ledger_problems or seen.rollout or canaries):
        yield _good("ledger", "no rollout is open, and nobody holds the lock")


CHECKS = {
    "plan": ("Plan and inventory are sound", _plan),
    "release": ("The release is built and recorded", _release),
    "contact": ("Every host answers", _contact),
    "clocks": ("Clocks are in step", _clocks),
    "time_zone": ("One time zone", _time_zone),
    "disk": ("Room for the images", _disk),
    "docker": ("Docker and Compose", _docker),
    "compose_file": ("Compose file has the services", _compose_file),
    "ports": ("Ports are free", _ports),
    "edges": ("Caddy splits on every edge", _edges),
    "prometheus": ("Prometheus answers the gates", _prometheus),
    "scrapes": ("Prometheus scrapes both slots", _scrapes),
    "alertmanager": ("Alertmanager answers", _alertmanager),
    "api_forms": ("LeviBot has the calls", _api_forms),
    "token": ("The admin token is accepted", _token),
    "way_back": ("There is a release to go back to", _way_back),
    "freezes": ("No freeze", _freezes),
    "other_rollout": ("No other rollout is open", _other_rollout),
}


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
