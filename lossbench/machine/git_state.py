"""Commit of the repository around the current directory, without running or obeying anything in it.

`git status` executes what a repository's configuration names: file-system monitors, hooks, clean filters, helpers of
partial clones. A data set that was unpacked from an archive may bring such a configuration. So the commit is read from
the files, and git compares files with an empty configuration: a separate directory replaces `.git`, which only
lends its objects and its index.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ..errors import RecordError
from ..strict_files import read_bytes

_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = re.compile(r"refs/[\w./+@-]+")
_LIMIT, _PACKED_LIMIT = 4096, 64 * 2**20  # bytes
_SECONDS = 10


def git_state(directory: Path | None = None) -> dict[str, Any] | None:
    """Return the commit and whether tracked files differ from it; None outside a repository.

    Args:
        directory: where to look; None for the current directory.

    Returns:
        "commit" and "dirty"; dirty is None if git is missing or fails.
    """
    try:
        start = (directory or Path.cwd()).resolve()
        top = next((d for d in (start, *start.parents) if os.path.lexists(d / ".git")), None)
        if top is None:
            return None
        own, common = _git_directories(top)
        commit = _commit(own, common)
    except (RecordError, OSError, ValueError):
        return None
    return None if commit is None else {"commit": commit, "dirty": _dirty(top, own, common, commit)}


def _git_directories(top: Path) -> tuple[Path, Path]:
    """Return the directory of this work tree, and the one that all work trees share."""
    own = top / ".git"
    if not own.is_dir():
        kind, _, place = _text(own).partition(": ")
        if kind != "gitdir":
            raise ValueError(f"{own} does not name a repository")
        own = top / place
    common = own / _text(own / "commondir") if os.path.lexists(own / "commondir") else own
    return own, common


def _commit(own: Path, common: Path) -> str | None:
    head = _text(own / "HEAD")
    if _HASH.fullmatch(head):
        return head
    name = head.removeprefix("ref: ")
    if not _REF.fullmatch(name) or ".." in name:
        return None
    for place in (own, common):
        if os.path.lexists(place / name):
            found = _text(place / name)
            return found if _HASH.fullmatch(found) else None
    if not os.path.lexists(common / "packed-refs"):
        return None
    for line in read_bytes(common / "packed-refs", _PACKED_LIMIT).decode().splitlines():
        found, _, packed = line.partition(" ")
        if packed == name and _HASH.fullmatch(found):
            return found
    return None


def _dirty(top: Path, own: Path, common: Path, commit: str) -> bool | None:
    absolute = [part for part in os.environ.get("PATH", "").split(os.pathsep) if os.path.isabs(part)]
    git, index = shutil.which("git", path=os.pathsep.join(absolute)), own / "index"
    if git is None or not os.path.lexists(index) or not stat.S_ISREG(os.lstat(index).st_mode):
        return None
    version = "repositoryformatversion = 1\n[extensions]\nobjectFormat = sha256" if len(commit) == 64 else ""
    with tempfile.TemporaryDirectory(prefix="lossbench-git-") as folder:
        stand_in = Path(folder)
        (stand_in / "refs").mkdir()
        (stand_in / "objects").mkdir()
        (stand_in / "HEAD").write_text(f"{commit}\n")
        (stand_in / "config").write_text(f"[core]\nbare = false\n{version}\n")
        environment = {
            "PATH": os.pathsep.join(absolute),
            "HOME": folder,
            "LC_ALL": "C",
            "GIT_DIR": folder,
            "GIT_WORK_TREE": str(top),
            "GIT_INDEX_FILE": str(index),
            "GIT_OBJECT_DIRECTORY": str(common / "objects"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
        }
        command = [git, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all"]
        try:
            done = subprocess.run(
                command,
                env=environment,
                cwd=top,
                capture_output=True,
                timeout=_SECONDS,
                check=True,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.SubprocessError):
            return None
    return bool(done.stdout.strip())


def _text(file: Path) -> str:
    return read_bytes(file, _LIMIT).decode().strip()
