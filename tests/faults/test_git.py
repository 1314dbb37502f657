"""The record's git state: nothing in the repository around the current directory is run or obeyed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lossbench.machine.git_state import git_state

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    own = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    named = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *named, *arguments], cwd=folder, env=own, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "file.txt").write_text("one\n")
    git(folder, "add", "file.txt")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_commit_and_changes_are_those_of_git(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert git_state(repository) == {"commit": head, "dirty": False}
    (repository / "new.txt").write_text("untracked files do not count\n")
    (repository / "deeper").mkdir()
    assert git_state(repository / "deeper") == {"commit": head, "dirty": False}
    (repository / "file.txt").write_text("two, and longer\n")
    assert git_state(repository) == {"commit": head, "dirty": True}
    git(repository, "add", "file.txt")
    assert git_state(repository) == {"commit": head, "dirty": True}  # staged


def test_packed_references_detached_heads_and_other_work_trees(repository: Path, tmp_path: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    git(repository, "pack-refs", "--all")
    git(repository, "gc", "-q")
    assert git_state(repository) == {"commit": head, "dirty": False}
    git(repository, "worktree", "add", "-q", str(tmp_path / "other"), "-b", "branch")
    assert git_state(tmp_path / "other") == {"commit": head, "dirty": False}
    git(repository, "checkout", "-q", "--detach")
    assert git_state(repository) == {"commit": head, "dirty": False}


def test_there_is_none_outside_a_repository_and_before_the_first_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert git_state() is None
    git(tmp_path, "init", "-q")
    assert git_state() is None


def configured(name: str, value: str) -> Callable[[Path, Path], None]:
    return lambda repository, script: (git(repository, "config", name, value.format(script=script)), None)[1]


def with_filter(repository: Path, script: Path) -> None:
    (repository / ".gitattributes").write_text("* filter=evil\n")
    git(repository, "config", "filter.evil.clean", str(script))
    git(repository, "config", "filter.evil.process", str(script))


def with_hooks(repository: Path, script: Path) -> None:
    git(repository, "config", "core.hooksPath", str(script.parent))
    for name in ("post-index-change", "query-watchman", "post-checkout"):
        shutil.copy(script, script.parent / name)
        shutil.copy(script, repository / ".git/hooks" / name)


def with_include(repository: Path, script: Path) -> None:
    (repository / "more").write_text(f"[core]\nfsmonitor = {script}\n")
    git(repository, "config", "include.path", "../more")


def with_promisor(repository: Path, script: Path) -> None:
    git(repository, "config", "remote.origin.url", f"ext::{script} %S")
    git(repository, "config", "remote.origin.promisor", "true")
    git(repository, "config", "extensions.partialClone", "origin")
    git(repository, "config", "core.repositoryFormatVersion", "1")
    git(repository, "config", "protocol.ext.allow", "always")
    for blob in (repository / ".git/objects").glob("??/*"):
        blob.unlink()


ATTACKS: dict[str, Callable[[Path, Path], None]] = {
    "fsmonitor": configured("core.fsmonitor", "{script}"),
    "fsmonitor of a shell": configured("core.fsmonitor", "sh {script}"),
    "ssh command": configured("core.sshCommand", "{script}"),
    "pager": configured("core.pager", "{script}"),
    "an alias": configured("alias.status", "!{script}"),
    "filters": with_filter,
    "hooks": with_hooks,
    "an included file": with_include,
    "a partial clone": with_promisor,
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_repository_runs_nothing(repository: Path, tmp_path: Path, attack: Callable[[Path, Path], None]) -> None:
    script, mark = tmp_path / "scripts" / "evil", tmp_path / "was-run"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\ntouch '{mark}'\ncat\n")
    script.chmod(0o755)
    attack(repository, script)
    (repository / "file.txt").touch()  # git must look at the content again
    mark.unlink(missing_ok=True)  # setting it up may have run it
    git_state(repository)
    assert not mark.exists()


def test_a_git_in_a_relative_path_is_not_run(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "was-run"
    (repository / "git").write_text(f"#!/bin/sh\ntouch '{mark}'\n")
    (repository / "git").chmod(0o755)
    monkeypatch.chdir(repository)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.pathsep}{os.environ['PATH']}")
    assert git_state() is not None
    assert not mark.exists()
    monkeypatch.setenv("PATH", ".")
    assert git_state() == {"commit": _head(repository), "dirty": None}
    assert not mark.exists()


def _head(repository: Path) -> str:
    return (repository / ".git/refs/heads/main").read_text().strip()


@pytest.mark.parametrize("name", [".git", ".git/HEAD", ".git/packed-refs", ".git/index"])
def test_pipes_and_links_in_a_repository_are_neither_waited_for_nor_followed(repository: Path, name: str) -> None:
    target = repository / name
    if name == ".git/packed-refs":
        (repository / ".git/refs/heads/main").unlink()
    shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    os.mkfifo(target)
    state = git_state(repository)
    assert state is None or (name == ".git/index" and state["dirty"] is None)
    target.unlink()
    target.symlink_to("/dev/zero")
    git_state(repository)
