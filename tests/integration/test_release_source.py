# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release in a real repository with a real remote: made once, finished after a kill anywhere, and refused where it must be."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

from ansible_collections.levibot.transition.plugins.module_utils.release import git as release_git
from ansible_collections.levibot.transition.plugins.modules import release_source

VERSION = "v1.8.0-beta"
NOTES = ["Production-ready ML pipeline", "24h soak test passed"]
CHANGELOG = "# Changelog\n\n## v1.7.0 (2025-09-18)\n\n- Older\n"
RECORD = {"version": VERSION, "revision": "abc", "images": {"api": {"image": "levibot/api", "digest": "sha256:1", "id": "sha256:2"}}}
SECTION = "## v1.8.0-beta (2025-10-16)\n\n- Production-ready ML pipeline\n- 24h soak test passed\n"


class Repository:
    """A working tree with its remote, and the release of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path, self.remote = folder, folder / "levibot", folder / "remote.git"
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", self.remote], check=True)
        subprocess.run(["git", "clone", "--quiet", self.remote, self.path], check=True, stderr=subprocess.DEVNULL)
        self.git("symbolic-ref", "HEAD", "refs/heads/main")
        self.identify()
        self.write("Dockerfile.api", "FROM scratch\n")
        self.write("CHANGELOG.md", CHANGELOG)
        self.commit("LeviBot")
        self.git("push", "--quiet", "origin", "main")

    def identify(self, path: Path | None = None) -> None:
        for name, value in (("user.name", "Maria"), ("user.email", "maria@localhost")):
            subprocess.run(["git", "-C", path or self.path, "config", name, value], check=True)

    def git(self, *arguments: str, where: Path | None = None) -> str:
        done = subprocess.run(["git", "-C", where or self.path, *arguments], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def run(self, state: str = "inspected", check: bool = False, **arguments: Any) -> dict[str, Any]:
        wanted = {"path": str(self.path), "version": VERSION, "notes": NOTES, "date": "2025-10-16", "files": ["Dockerfile.api"]}
        wanted |= {"state": state, "_ansible_check_mode": check, "_ansible_diff": True, **arguments}
        with patch_module_args(wanted), pytest.raises(EndedError) as ended:
            release_source.main()
        return ended.value.result

    def release(self, **arguments: Any) -> list[dict[str, Any]]:
        return [self.run(state, note=RECORD, **arguments) for state in ("changelog", "tagged", "noted")]

    def found(self, **arguments: Any) -> dict[str, str]:
        """What is wrong, by where it is."""
        found: dict[str, str] = {}
        for problem in self.run(**arguments)["problems"]:
            found[problem["path"]] = f"{found.get(problem['path'], '')}{problem['found']}\n"
        return found

    def state(self) -> str:
        """All that a release could change, here and there."""
        files = {str(file): file.read_bytes().hex() for file in sorted(self.path.glob("*")) if file.is_file()}
        return json.dumps([files, self.git("for-each-ref"), self.git("for-each-ref", where=self.remote), self.git("status", "--short")])


class EndedError(Exception):
    def __init__(self, result: dict[str, Any]) -> None:
        self.result = result


class KilledError(BaseException):
    """What a SIGKILL would be: nothing of the module handles it."""


@pytest.fixture(autouse=True)
def _module(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(_module: Any, failed: bool = False, **result: Any) -> None:
        raise EndedError(json.loads(json.dumps({**result, "failed": failed})))

    monkeypatch.setattr(basic.AnsibleModule, "exit_json", end)
    monkeypatch.setattr(basic.AnsibleModule, "fail_json", lambda module, **result: end(module, failed=True, **result))
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")


@pytest.fixture
def made(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_a_release_is_made_once(made: Repository) -> None:
    assert made.run()["revision"] == ""  # the commit that is tagged is still to be made
    changelog, tagged, noted = made.release()
    assert [done["changed"] for done in (changelog, tagged, noted)] == [True, True, True]
    head = made.git("rev-parse", "HEAD")
    assert tagged["revision"] == noted["revision"] == head
    for where in (made.path, made.remote):
        assert made.git("rev-parse", "main", where=where) == head
        assert made.git("cat-file", "-t", VERSION, where=where) == "tag"
        assert made.git("rev-parse", f"{VERSION}^{{commit}}", where=where) == head
        assert json.loads(made.git("notes", "--ref=levibot-release", "show", VERSION, where=where)) == RECORD
        assert SECTION in made.git("show", f"{VERSION}:CHANGELOG.md", where=where)
    assert made.git("for-each-ref", "--format=%(contents)", f"refs/tags/{VERSION}") == "Production-ready release"

    before = made.state()
    assert [done["changed"] for done in made.release(date="2025-10-17")] == [False, False, False]
    assert made.state() == before
    assert made.run()["revision"] == head


def test_check_mode_says_what_would_be_done_and_does_nothing(made: Repository) -> None:
    before = made.state()
    changelog, tagged, noted = made.release(check=True)
    assert [done["changed"] for done in (changelog, tagged, noted)] == [True, True, True]
    assert changelog["diff"]["before"] == CHANGELOG
    assert SECTION in changelog["diff"]["after"]
    assert made.state() == before


def steps(monkeypatch: pytest.MonkeyPatch, ends_at: int, after: bool) -> list[str]:
    """Kills the run at the n-th call that writes: before Git does it, or after."""
    done: list[str] = []
    real = release_git.Git.run

    def run(self: release_git.Git, *arguments: str, **options: Any) -> str:
        if arguments[0] not in ("add", "commit", "tag", "push", "notes"):
            return real(self, *arguments, **options)
        done.append(arguments[0])
        if len(done) == ends_at and not after:
            raise KilledError
        output = real(self, *arguments, **options)
        if len(done) == ends_at:
            raise KilledError
        return output

    monkeypatch.setattr(release_git.Git, "run", run)
    return done


@pytest.mark.parametrize("after", [False, True])
def test_a_run_that_was_killed_anywhere_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    writes = ["add", "commit", "push", "tag", "push", "notes", "push"]
    for ends_at in range(1, len(writes) + 1):
        (tmp_path / f"{ends_at}").mkdir()
        made = Repository(tmp_path / f"{ends_at}")
        with monkeypatch.context() as patched:
            done = steps(patched, ends_at, after)
            with pytest.raises(KilledError):
                made.release()
            assert done == writes[:ends_at]
        assert [result["failed"] for result in made.release(date="2025-10-17")] == [False, False, False]
        log = made.git("log", "--format=%s", f"{VERSION}^{{commit}}", where=made.remote).splitlines()
        assert log == [f"Release {VERSION}", "LeviBot"]
        assert made.git("show", f"{VERSION}:CHANGELOG.md").count("## v1.8.0-beta") == 1
        assert json.loads(made.git("notes", "--ref=levibot-release", "show", VERSION, where=made.remote)) == RECORD
        before = made.state()
        assert not any(result["changed"] for result in made.release())
        assert made.state() == before


def dirty(made: Repository) -> None:
    made.write("app.py", "untracked")


def changed(made: Repository) -> None:
    made.write("CHANGELOG.md", CHANGELOG + "- and more\n")


def unpushed(made: Repository) -> None:
    made.write("app.py", "x")
    made.commit("More")


def behind(made: Repository) -> None:
    other = made.folder / "other"
    subprocess.run(["git", "clone", "--quiet", made.remote, other], check=True)
    made.identify(other)
    made.git("commit", "--quiet", "--allow-empty", "--message", "Theirs", where=other)
    made.git("push", "--quiet", where=other)


def tagged_elsewhere(made: Repository) -> None:
    made.git("tag", "--annotate", "--message", "x", VERSION)
    made.git("push", "--quiet", "origin", VERSION)
    unpushed(made)
    made.git("push", "--quiet", "origin", "main")


def tagged_there_alone(made: Repository) -> None:
    tagged_elsewhere(made)
    made.git("tag", "--delete", VERSION)


def two_tags(made: Repository) -> None:
    tagged_there_alone(made)
    made.git("tag", "--annotate", "--message", "x", VERSION)


def lightweight(made: Repository) -> None:
    made.git("tag", VERSION)


def by_hand(made: Repository) -> None:
    made.git("tag", "--annotate", "--message", "x", VERSION)
    made.git("push", "--quiet", "origin", VERSION)


def no_dockerfile(made: Repository) -> None:
    made.git("rm", "--quiet", "Dockerfile.api")
    made.commit("Less")
    made.git("push", "--quiet", "origin", "main")


def remote_gone(made: Repository) -> None:
    made.git("remote", "set-url", "origin", str(made.folder / "nowhere"))


def password(made: Repository) -> None:
    made.git("remote", "set-url", "origin", "https://maria:hunter2@git.example.com/levibot.git")


def detached(made: Repository) -> None:
    made.git("checkout", "--quiet", "--detach")


@pytest.mark.parametrize(
    ("mistake", "path", "words"),
    [
        (dirty, "release_source", "not clean: app.py"),
        (changed, "release_source", "not clean: CHANGELOG.md"),
        (unpushed, "release_branch", "main on origin has not got"),
        (behind, "release_branch", "main on origin has commits that are not here"),
        (tagged_elsewhere, "levibot_version", "is at the commit"),
        (tagged_there_alone, "levibot_version", "is at the commit"),
        (two_tags, "levibot_version", "on origin"),
        (lightweight, "levibot_version", "not annotated"),
        (by_hand, "levibot_version", "has no section for it"),
        (no_dockerfile, "release_dockerfiles", "Dockerfile.api"),
        (remote_gone, "release_remote", "nowhere"),
        (password, "release_remote", "a password in the URL"),
        (detached, "release_branch", "no branch is checked out"),
    ],
)
def test_what_must_not_be_released_is_refused_and_nothing_changes(
    made: Repository, mistake: Callable[[Repository], None], path: str, words: str
) -> None:
    mistake(made)
    before = made.state()
    found = made.found()
    assert list(found) == [path]
    assert words in found[path]
    for state in ("changelog", "tagged", "noted"):
        result = made.run(state, note=RECORD)
        assert result["failed"]
        assert words in result["msg"]
        assert "hunter2" not in json.dumps(result)
    assert made.state() == before


def test_all_mistakes_come_at_once(made: Repository) -> None:
    dirty(made)
    found = made.found(files=["Dockerfile.panel"], version="v1..0", remote="upstream", notes=[])
    assert set(found) == {"release_source", "release_dockerfiles", "levibot_version", "release_remote", "release_notes"}


def test_a_folder_that_is_no_working_tree_is_refused(made: Repository) -> None:
    (made.path / "part").mkdir()
    assert "a part of" in made.found(path=str(made.path / "part"))["release_source"]
    assert "no folder" in made.found(path="/nowhere")["release_source"]
    assert made.found(path=str(made.folder))["release_source"].startswith("git rev-parse")


def test_a_detached_checkout_of_the_tag_is_released_already(made: Repository) -> None:
    made.release()
    detached(made)
    assert not any(done["changed"] for done in made.release())


def test_a_fresh_clone_knows_tag_and_note(made: Repository) -> None:
    made.release()
    again = Repository.__new__(Repository)
    again.folder, again.path, again.remote = made.folder, made.folder / "clone", made.remote
    subprocess.run(["git", "clone", "--quiet", "--no-tags", made.remote, again.path], check=True)
    again.identify()
    seen = again.run()
    assert seen["problems"] == []
    assert seen["note"] == RECORD
    assert seen["tag"]["pushed"]
    assert not any(done["changed"] for done in again.release())
    assert again.git("rev-parse", VERSION) == made.git("rev-parse", VERSION)


def test_a_note_with_other_digests_is_never_replaced(made: Repository) -> None:
    made.release()
    images = {"api": {**RECORD["images"]["api"], "digest": "sha256:9"}}
    result = made.run("noted", note={**RECORD, "images": images})
    assert result["failed"]
    assert "another release record" in result["msg"]
    renamed = {"api": {**RECORD["images"]["api"], "image": "elsewhere/api"}}
    assert not made.run("noted", note={**RECORD, "images": renamed})["changed"]


def test_a_note_of_somebody_elses_is_reported(made: Repository) -> None:
    made.release()
    made.git("notes", "--ref=levibot-release", "add", "--force", "--message", "shipped it!", VERSION)
    made.git("push", "--quiet", "origin", release_git.NOTES)
    assert "shipped it!" in made.found()[release_git.NOTES]


def test_a_remote_that_refuses_is_told_and_the_next_run_goes_on(made: Repository) -> None:
    hook = made.remote / "hooks/update"
    hook.write_text('#!/bin/sh\necho "main is protected" >&2\nexit 1\n')
    hook.chmod(0o755)
    result = made.run("changelog")
    assert result["failed"]
    assert "protected" in result["msg"]
    assert "the next run goes on" in result["msg"]
    hook.unlink()
    assert [done["failed"] for done in made.release()] == [False, False, False]


def test_a_tag_is_signed_where_a_key_is_set(made: Repository) -> None:
    key = made.folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    made.git("config", "gpg.format", "ssh")
    allowed = made.folder / "allowed"
    allowed.write_text(f"maria@localhost {Path(f'{key}.pub').read_text()}")
    made.git("config", "gpg.ssh.allowedSignersFile", str(allowed))
    tagged = made.release(signing_key=f"{key}.pub")[1]
    assert tagged["tag"]["signed"]
    made.git("verify-tag", VERSION)
    assert made.run()["tag"]["signed"]


def test_an_unsigned_tag_is_not_taken_for_a_signed_one(made: Repository) -> None:
    made.release()
    assert "not signed" in made.found(signing_key="maria")["release_signing_key"]


def test_a_tag_that_only_the_remote_has_is_looked_at_as_well(made: Repository) -> None:
    made.release()
    made.git("tag", "--delete", VERSION)
    assert "not signed" in made.found(signing_key="maria")["release_signing_key"]
    made.git("update-ref", f"refs/tags/{VERSION}", "main", where=made.remote)
    assert "not annotated" in made.found()["levibot_version"]


def test_without_a_changelog_the_commit_that_is_there_is_tagged(made: Repository) -> None:
    head = made.git("rev-parse", "HEAD")
    changelog, tagged, _noted = made.release(changelog="", notes=[])
    assert not changelog["changed"]
    assert tagged["revision"] == head


def test_line_ends_and_odd_bytes_stay(made: Repository) -> None:
    odd = b"# Changelog\r\n\r\n## v1.7.0 (2025-09-18)\r\n\r\n- caf\xe9 \xff\r\n"
    (made.path / "CHANGELOG.md").write_bytes(odd)
    made.commit("Odd")
    made.git("push", "--quiet", "origin", "main")
    assert not any(done["failed"] for done in made.release())
    text = (made.path / "CHANGELOG.md").read_bytes()
    assert text.endswith(b"## v1.7.0 (2025-09-18)\r\n\r\n- caf\xe9 \xff\r\n")
    assert b"\n" not in text.replace(b"\r\n", b"")


@pytest.mark.parametrize(
    ("url", "shown", "secret"),
    [
        ("https://git.example.com/l.git", "https://git.example.com/l.git", False),
        ("https://maria@git.example.com/l.git", "https://git.example.com/l.git", False),
        ("https://maria:x@git.example.com:8443/l.git", "https://git.example.com:8443/l.git", True),
        (f"https://{'g' * 36}@git.example.com/l.git", "https://git.example.com/l.git", True),
        ("ssh://git@git.example.com/l.git", "ssh://git@git.example.com/l.git", False),
        ("git@git.example.com:l.git", "git@git.example.com:l.git", False),
    ],
)
def test_urls_are_shown_without_passwords(url: str, shown: str, secret: bool) -> None:
    assert release_git.without_password(url) == (shown, secret)
