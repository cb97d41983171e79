# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release in Git: the changelog's commit, the annotated tag, and the note on it, each made once and pushed.

Every step is made where it lacks, so that a run that was killed between any two of them is finished by the next one. Nothing is ever
moved or forced but the local copy of the remote's notes. Every call has a time-out, and none of them can ask anybody for a password.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ansible_collections.levibot.transition.plugins.module_utils.release import changelog

NOTES = "refs/notes/levibot-release"
_SIGNATURE = re.compile(r"^-----BEGIN (PGP|SSH) SIGNATURE-----$|^-----BEGIN SIGNED MESSAGE-----$", re.MULTILINE)
_SHOWN = 5
# A user's name is shorter, and a token may stand in its place.
_TOKEN_LENGTH = 30
_PASSWORD = re.compile(r"://[^/\s@]+@")


class GitError(Exception):
    """Git did not do it; the message says what it said, without passwords."""


@dataclass(frozen=True)
class Wanted:
    """The release as it is to be."""

    path: str
    version: str
    remote: str = "origin"
    branch: str = ""
    message: str = "Production-ready release"
    signing_key: str = ""
    changelog: str = "CHANGELOG.md"
    notes: Sequence[str] = ()
    date: str = ""
    files: Sequence[str] = ()  # that the release is built from
    timeout_seconds: float = 60.0


@dataclass
class Tag:
    """What is known of the release's tag. Empty where there is none."""

    object: str = ""
    commit: str = ""
    signed: bool = False
    pushed: bool = False


@dataclass
class Standing:
    """What is there of the release already, and what stands in its way."""

    head: str = ""
    branch: str = ""
    url: str = ""
    tip: str = ""  # of the branch on the remote
    tag: Tag = field(default_factory=Tag)
    # The changelog of HEAD, and as the release wants it.
    text: str = ""
    wanted: str = ""
    note: dict[str, Any] = field(default_factory=dict)
    notes_tip: str = ""
    problems: list[dict[str, str]] = field(default_factory=list)

    def problem(self, path: str, found: str, fix: str) -> None:
        self.problems.append({"path": path, "found": found, "fix": fix})

    @property
    def revision(self) -> str:
        """The commit that is released, or will be; empty while the changelog's commit is still to be made."""
        return self.tag.commit or ("" if self.text != self.wanted else self.head)


class Git:
    """The git command line in one working tree."""

    def __init__(self, path: str, timeout_seconds: float) -> None:
        self._path, self._timeout = path, timeout_seconds

    def run(self, *arguments: str, stdin: str = "") -> str:
        done = self._done(arguments, stdin)
        if done.returncode:
            said = _PASSWORD.sub("://(redacted)@", _text(done.stderr or done.stdout).strip())
            raise GitError(f"git {' '.join(arguments[:2])}: {said or f'exit code {done.returncode}'}")
        return _text(done.stdout)

    def ask(self, *arguments: str) -> str:
        """What it prints, without the line's end; empty where it says no."""
        done = self._done(arguments)
        return _text(done.stdout).rstrip("\n") if done.returncode == 0 else ""

    def says(self, *arguments: str) -> bool:
        return self._done(arguments).returncode == 0

    def _done(self, arguments: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[bytes]:
        # Neither git nor the ssh that it starts has a terminal to ask at, and GIT_* of a hook that called us would lead elsewhere.
        environment = {name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")}
        environment.update(GIT_TERMINAL_PROMPT="0", LC_ALL="C.UTF-8")
        try:
            return subprocess.run(
                ["git", "-C", self._path, *arguments], input=stdin.encode("utf-8", "surrogateescape"), capture_output=True,
                check=False, timeout=self._timeout, env=environment, start_new_session=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise GitError(f"git {' '.join(arguments[:2])}: no answer within {self._timeout:g} s") from None
        except OSError as problem:
            raise GitError(f"git cannot be run: {problem}") from problem


def _text(output: bytes) -> str:
    """The ends of lines stay as they are, and whatever is in a file comes back as it was."""
    return output.decode("utf-8", "surrogateescape")


def inspect(wanted: Wanted) -> Standing:
    """Looks at the working tree and the remote, and changes neither but the copies of the remote's notes and tag."""
    found = Standing()
    git = Git(wanted.path, wanted.timeout_seconds)
    try:
        if not _is_tree(git, wanted, found):
            return found
        _read_tree(git, wanted, found)
        _read_files(git, wanted, found)
        theirs = _read_remote(git, wanted, found)
        _read_tag(git, wanted, found, theirs)
        if theirs is not None:
            _read_branch(git, wanted, found)
            _read_note(git, wanted, found, theirs)
    except GitError as problem:
        found.problem("release_source", str(problem), "mend it until git does it by hand")
    return found


def _is_tree(git: Git, wanted: Wanted, found: Standing) -> bool:
    fix = "give the folder of the product's Git working tree on the control node"
    if not wanted.path or not Path(wanted.path).is_dir():
        found.problem("release_source", f"{wanted.path or 'nothing'}, which is no folder", fix)
        return False
    top = git.run("rev-parse", "--show-toplevel").strip()
    if Path(top).resolve() != Path(wanted.path).resolve():
        found.problem("release_source", f"{wanted.path}, a part of the working tree {top}", f"give {top}")
        return False
    found.head = git.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if not found.head:
        found.problem("release_source", f"{wanted.path} has no commit", "commit what is to be released")
    return bool(found.head)


def _read_tree(git: Git, wanted: Wanted, found: Standing) -> None:
    if not git.says("var", "GIT_COMMITTER_IDENT"):
        found.problem("release_source", "git does not know who commits", "set user.name and user.email with git config")
    if not git.says("check-ref-format", f"refs/tags/{wanted.version}"):
        found.problem("levibot_version", f"{wanted.version}, which cannot be a tag in Git", "give another version")
    found.text = _show(git, "HEAD", wanted.changelog)
    found.wanted = found.text
    if wanted.changelog:
        try:
            found.wanted = changelog.insert(found.text, wanted.version, wanted.date, wanted.notes)
        except changelog.ChangelogError as problem:
            path, _, what = str(problem).partition(": ")
            found.problem(path, *what.split("; ", 1))
    dirty = [line[3:] for line in git.run("status", "--porcelain=v1", "-z", "--untracked-files=all").split("\0") if line]
    if dirty == [wanted.changelog] and _is_ours(wanted, found):
        dirty = []  # what a run that was killed had written, and not committed
    if dirty:
        more = f" and {len(dirty) - _SHOWN} more" if len(dirty) > _SHOWN else ""
        found.problem("release_source", f"not clean: {', '.join(dirty[:_SHOWN])}{more}", "commit and push it, or remove it (git stash -u)")


def _is_ours(wanted: Wanted, found: Standing) -> bool:
    """Whether the changelog in the working tree differs from the committed one by nothing but the release's section."""
    text = _written(wanted)
    section = changelog.find(text, wanted.version)
    return section is not None and text == changelog.insert(found.text, wanted.version, section.date or wanted.date, wanted.notes)


def _written(wanted: Wanted) -> str:
    file = Path(wanted.path, wanted.changelog)
    return _text(file.read_bytes()) if file.is_file() else ""


def _show(git: Git, revision: str, path: str) -> str:
    """A committed file, with the ends of its lines as they are; empty where there is none."""
    if not path or not git.says("cat-file", "-e", f"{revision}:{path}"):
        return ""
    return git.run("cat-file", "blob", f"{revision}:{path}")


def _read_files(git: Git, wanted: Wanted, found: Standing) -> None:
    for path in wanted.files:
        if git.ask("cat-file", "-t", f"HEAD:{path}") != "blob":
            found.problem("release_dockerfiles", f"{path}, which is no file of the commit {found.head[:12]}", "commit it, or name another")
    if git.says("cat-file", "-e", "HEAD:.gitmodules"):
        found.problem("release_source", "submodules, which a build's checkout would lack", "vendor them into the repository")


def _read_remote(git: Git, wanted: Wanted, found: Standing) -> Mapping[str, str] | None:
    """The remote's references, or None where it cannot be asked."""
    url = git.ask("remote", "get-url", "--push", wanted.remote)
    if not url:
        found.problem("release_remote", f"{wanted.remote}, which is no remote of {wanted.path}", "name one that `git remote` lists")
        return None
    found.url, secret = without_password(url)
    if secret:
        # Git would put it onto the command lines of the programs that it starts.
        found.problem("release_remote", f"a password in the URL of {wanted.remote} (it is not shown)", "use a credential helper, or SSH")
        return None
    found.branch = wanted.branch or git.ask("symbolic-ref", "--quiet", "--short", "HEAD")
    try:
        listed = git.run("ls-remote", wanted.remote)
    except GitError as problem:
        found.problem("release_remote", str(problem), "make the remote answer, and let it know this control node")
        return None
    return dict(reversed(line.split("\t", 1)) for line in listed.splitlines())


def without_password(url: str) -> tuple[str, bool]:
    """The URL without the user, and whether it carried a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return url, False
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=host)), ":" in user or len(user) >= _TOKEN_LENGTH


def _read_tag(git: Git, wanted: Wanted, found: Standing, theirs: Mapping[str, str] | None) -> None:
    name = f"refs/tags/{wanted.version}"
    here = git.ask("rev-parse", "--verify", "--quiet", name)
    there = theirs.get(name, "") if theirs is not None else ""
    if here and there and here != there:
        found.problem(
            "levibot_version",
            f"the tag {wanted.version} is {here[:12]} here and {there[:12]} on {wanted.remote}",
            "a tag is never moved: remove the wrong one by hand, or release another version",
        )
        return
    found.tag = Tag(object=here or there, pushed=bool(there))
    if found.tag.object:
        if not here:  # its object alone, to see what it is
            git.run("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", wanted.remote, name)
        found.tag.commit = git.ask("rev-parse", "--verify", "--quiet", f"{found.tag.object}^{{commit}}")
        content = git.ask("cat-file", "tag", found.tag.object)
        found.tag.signed = _SIGNATURE.search(content) is not None
        if not content:
            found.problem("levibot_version", f"the tag {wanted.version} is there, and not annotated", "release another version")
        elif wanted.signing_key and not found.tag.signed:
            found.problem("release_signing_key", f"the tag {wanted.version} is there, and not signed", "release another version")
    if found.tag.commit and found.tag.commit != found.head:
        found.problem(
            "levibot_version",
            f"the tag {wanted.version} is at the commit {found.tag.commit[:12]}, and HEAD is {found.head[:12]}",
            "a tag is never moved: check out its commit, or release another version",
        )
    elif found.tag.commit and found.text != found.wanted:
        found.problem(
            "levibot_version",
            f"the tag {wanted.version} is there, and {wanted.changelog} in its commit has no section for it",
            "release another version, or set release_changelog to nothing",
        )


def _read_branch(git: Git, wanted: Wanted, found: Standing) -> None:
    if found.tag.pushed:
        return  # what is tagged there is there
    if not found.branch:
        found.problem("release_branch", "no branch is checked out", "check out the branch that is released, or name it")
        return
    found.tip = git.ask("ls-remote", wanted.remote, f"refs/heads/{found.branch}").split("\t")[0]
    if found.tip == found.head:
        return
    where = f"{found.branch} on {wanted.remote}"
    if not found.tip:
        found.problem("release_branch", f"{where}, which is not there", f"git push {wanted.remote} {found.branch}")
    elif not git.says("cat-file", "-e", f"{found.tip}^{{commit}}") or git.says("merge-base", "--is-ancestor", "HEAD", found.tip):
        found.problem("release_branch", f"{where} has commits that are not here", f"git pull {wanted.remote} {found.branch}")
    elif not _is_our_commit(git, wanted, found):
        found.problem("release_branch", f"{where} has not got {found.head[:12]}", f"git push {wanted.remote} {found.branch}")


def _is_our_commit(git: Git, wanted: Wanted, found: Standing) -> bool:
    """Whether HEAD is nothing but the changelog's commit, which a run that was killed had not pushed yet."""
    if not wanted.changelog or git.ask("rev-parse", "--verify", "--quiet", "HEAD^") != found.tip:
        return False
    changed = git.run("diff-tree", "--no-commit-id", "--name-only", "-r", "-z", "HEAD").split("\0")
    before = _show(git, "HEAD^", wanted.changelog)
    return (
        changed == [wanted.changelog, ""]
        and changelog.find(before, wanted.version) is None
        and changelog.find(found.text, wanted.version) is not None
    )


def _read_note(git: Git, wanted: Wanted, found: Standing, theirs: Mapping[str, str]) -> None:
    found.notes_tip = theirs.get(NOTES, "")
    if found.notes_tip and git.ask("rev-parse", "--verify", "--quiet", NOTES) != found.notes_tip:
        git.run("fetch", "--quiet", "--no-tags", wanted.remote, f"+{NOTES}:{NOTES}")
    text = git.ask("notes", f"--ref={NOTES}", "show", found.tag.object) if found.tag.object else ""
    try:
        found.note = json.loads(text or "{}")
        ours = all(image["digest"] for image in found.note.get("images", {}).values())
    except (ValueError, AttributeError, KeyError, TypeError):
        ours = False
    if not ours:
        found.note = {}
        found.problem(NOTES, f"a note on {wanted.version} that is no release record: {text[:200]}", "find out who wrote it, and remove it")


def write_changelog(wanted: Wanted, found: Standing) -> None:
    """Commits the release's section, and pushes the commit."""
    git = Git(wanted.path, wanted.timeout_seconds)
    if found.text != found.wanted:
        if not _is_ours(wanted, found):
            Path(wanted.path, wanted.changelog).write_bytes(found.wanted.encode("utf-8", "surrogateescape"))
        git.run("add", "--", wanted.changelog)
        git.run("commit", "--quiet", "--only", "--message", f"Release {wanted.version}", "--", wanted.changelog)
        found.head = git.run("rev-parse", "HEAD").strip()
    if found.tip != found.head and not found.tag.pushed:
        git.run("push", "--quiet", wanted.remote, f"{found.head}:refs/heads/{found.branch}")


def write_tag(wanted: Wanted, found: Standing) -> None:
    """Makes the annotated tag, or fetches the one that the remote has, and pushes it."""
    git = Git(wanted.path, wanted.timeout_seconds)
    name = f"refs/tags/{wanted.version}"
    if found.tag.pushed and not git.says("rev-parse", "--verify", "--quiet", name):
        git.run("fetch", "--quiet", "--no-tags", wanted.remote, f"{name}:{name}")
    elif not found.tag.object:
        how = ["--sign", "--local-user", wanted.signing_key] if wanted.signing_key else ["--annotate"]
        git.run("tag", *how, "--message", wanted.message, wanted.version, found.head)
    if not found.tag.pushed:
        git.run("push", "--quiet", wanted.remote, name)


def write_note(wanted: Wanted, found: Standing, note: Mapping[str, Any]) -> None:
    """Puts the note on the tag, and pushes it. One that is there is never replaced."""
    git = Git(wanted.path, wanted.timeout_seconds)
    if not found.note:
        git.run("notes", f"--ref={NOTES}", "add", "--file=-", found.tag.object, stdin=written(note))
    git.run("push", "--quiet", wanted.remote, NOTES)


def written(note: Mapping[str, Any]) -> str:
    """A note as people read it below the tag, and as it is read again."""
    return json.dumps(note, indent=2, sort_keys=True) + "\n" if note else ""


def essence(note: Mapping[str, Any]) -> dict[str, Any]:
    """What may never differ: a registry's name may, and an engine's own id of an image."""
    return {"revision": note.get("revision"), "digests": {name: image["digest"] for name, image in note.get("images", {}).items()}}


def is_note_pushed(wanted: Wanted, found: Standing) -> bool:
    git = Git(wanted.path, wanted.timeout_seconds)
    return bool(found.note) and git.ask("rev-parse", "--verify", "--quiet", NOTES) == found.notes_tip


def committed_at(wanted: Wanted, revision: str) -> str:
    """The commit's time in UTC, so that a build of it has the same labels whenever it is made."""
    seconds = Git(wanted.path, wanted.timeout_seconds).run("show", "--no-patch", "--format=%ct", revision)
    return datetime.fromtimestamp(int(seconds), timezone.utc).isoformat().replace("+00:00", "Z")


def facts(wanted: Wanted, found: Standing) -> dict[str, Any]:
    """What a playbook goes on with."""
    return {
        "revision": found.revision,
        "created": committed_at(wanted, found.revision) if found.revision else "",
        "branch": found.branch,
        "url": found.url,
        "tag": {"name": wanted.version, "object": found.tag.object, "signed": found.tag.signed, "pushed": found.tag.pushed},
        "note": found.note,
        "problems": found.problems,
    }
