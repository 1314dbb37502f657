"""The checkpoint on disk: whole or not there, whatever happens while it is written or after."""

from __future__ import annotations

import builtins
import json
import os
import re
import shutil
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from lossbench import files
from lossbench.errors import CheckpointError, ConfigError
from lossbench.harness.checkpoints.folder import newest_checkpoint, remove_checkpoints, write_checkpoint

_BOUNDARIES = ("open", "written", "fsync", "os.rename", "os.mkdir", "os.rmdir", "os.remove")


def write(parent: Path, step: int) -> Path:
    blobs = {"state": save({"x": torch.full((1000,), float(step))}), "process-0": save({"y": torch.tensor(step)})}
    return write_checkpoint(parent, step, lambda: {"epoch": step}, blobs)


def steps_of(parent: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in parent.iterdir() if path.name.startswith("step-"))


def read(parent: Path) -> tuple[int | None, list[str]]:
    """The step that would be gone on from, and what was said."""
    said: list[str] = []
    found = newest_checkpoint(parent, said.append)
    if found is None:
        return None, said
    step = found.content["epoch"]
    assert torch.equal(found.tensors["state"]["x"], torch.full((1000,), float(step)))
    assert found.tensors["process-0"]["y"] == step
    return step, said


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    assert read(tmp_path / "nowhere") == (None, [])
    for step in (1, 2, 3, 3, 10):
        write(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000003", "step-000000010"]
    assert read(tmp_path) == (10, [])
    (tmp_path / "weights.safetensors").touch()
    remove_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


# --- killed while writing --------------------------------------------------------------------------------------------


def killed_at(boundary: int, work: Callable[[], Any]) -> bool:
    """Does the work in a forked process that is killed before its n-th open, write, sync, rename or removal.

    Returns:
        Whether there was such a boundary: False when the work came to its end.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside torch's idle threads
        child = os.fork()
    if child == 0:
        left = boundary

        def passes(event: str, arguments: object = None) -> None:
            nonlocal left
            if event in _BOUNDARIES:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sync = os.fsync

        def fsync(handle: int) -> None:
            passes("written")
            sync(handle)
            passes("fsync")

        try:
            os.fsync = fsync
            sys.addaudithook(passes)
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_killed_at_each_boundary_of_writing_a_checkpoint(tmp_path: Path) -> None:
    boundary, seen = 0, set()
    while True:
        parent = tmp_path / str(boundary)
        write(parent, 1)
        write(parent, 2)
        cut = killed_at(boundary, lambda where=parent: write(where, 3))
        step, said = read(parent)
        assert step in (2, 3)
        assert said == []
        seen.add(step)
        write(parent, 4)  # what lies there is in nobody's way
        assert read(parent) == (4, [])
        assert not [path for path in parent.iterdir() if not path.name.startswith("step-")]
        shutil.rmtree(parent)
        if not cut:
            break
        boundary += 1
    assert boundary > 20
    assert seen == {2, 3}


def test_killed_at_each_boundary_of_writing_a_file(tmp_path: Path) -> None:
    path, boundary, seen = tmp_path / "history.jsonl", 0, set()
    while True:
        files.write_text(path, "old")
        cut = killed_at(boundary, lambda: files.write_text(path, "new and longer"))
        seen.add(path.read_text())
        if not cut:
            break
        boundary += 1
    assert boundary > 4
    assert seen == {"old", "new and longer"}


def test_a_directory_that_vanished_is_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "gone/file"
    for write_file in (
        lambda: files.write_json(path, {}, make_directory=False),
        lambda: files.write_text(path, "x", make_directory=False),
        lambda: files.write_bytes(path, b"x", make_directory=False),
    ):
        with pytest.raises(ConfigError, match=f"^cannot write {path}: No such file or directory"):
            write_file()
    assert not path.parent.exists()


@pytest.mark.long
def test_killed_while_the_same_step_is_written_again(tmp_path: Path) -> None:
    boundary = 0
    while True:
        parent = tmp_path / str(boundary)
        write(parent, 1)
        write(parent, 2)
        cut = killed_at(boundary, lambda where=parent: write(where, 2))
        assert read(parent)[0] in (1, 2)
        assert read(parent)[1] == []
        if not cut:
            break
        boundary += 1


# --- damaged afterwards ----------------------------------------------------------------------------------------------


def flip(path: Path, where: float) -> None:
    blob = bytearray(path.read_bytes())
    blob[int(where * (len(blob) - 1))] ^= 1
    path.write_bytes(blob)


def other_manifest(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "flipped in a tensor": (
        lambda c: flip(c / "state.safetensors", 0.9),
        "its SHA-256 does not match",
    ),
    "flipped in a header": (lambda c: flip(c / "state.safetensors", 0.001), "state.safetensors: its SHA-256"),
    "flipped in the manifest": (
        lambda c: other_manifest(c / "manifest.json", lambda m: m.update(epoch=7)),
        "manifest.json: its SHA-256 does not match its content",
    ),
    "truncated": (lambda c: os.truncate(c / "state.safetensors", 100), "SHA-256"),
    "truncated manifest": (lambda c: os.truncate(c / "manifest.json", 100), "manifest.json: JSONDecodeError"),
    "longer": (lambda c: os.truncate(c / "process-0.safetensors", 10**6), "bytes; at most 72 are read"),
    "empty": (lambda c: (c / "state.safetensors").write_bytes(b""), "SHA-256"),
    "file missing": (lambda c: (c / "process-0.safetensors").unlink(), "process-0.safetensors: No such file"),
    "manifest missing": (lambda c: (c / "manifest.json").unlink(), "manifest.json: No such file"),
    "manifest a list": (lambda c: (c / "manifest.json").write_text("[]"), "manifest.json: "),
    "manifest nested": (lambda c: (c / "manifest.json").write_text("[" * 100_000), "manifest.json: RecursionError"),
    "a folder": (lambda c: ((c / "manifest.json").unlink(), (c / "manifest.json").mkdir()), "is not a regular file"),
    "a pipe": (lambda c: ((c / "manifest.json").unlink(), os.mkfifo(c / "manifest.json")), "is not a regular file"),
    "a link": (
        lambda c: ((c / "state.safetensors").unlink(), (c / "state.safetensors").symlink_to("/etc/hostname")),
        "state.safetensors is a symbolic link; expected a regular file",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_one_falls_back_to_the_one_before_and_says_so(tmp_path: Path, damage: str) -> None:
    write(tmp_path, 1)
    newest = write(tmp_path, 2)
    corrupt, reason = DAMAGES[damage]
    corrupt(newest)
    step, said = read(tmp_path)
    assert step == 1
    assert len(said) == 1
    assert re.search(rf"^{newest} is damaged \(.*{reason}.*using the previous", said[0]), said[0]


def test_every_flipped_byte_of_a_tensor_file_is_seen(tmp_path: Path) -> None:
    newest = write(tmp_path, 2)
    for number in range(50):
        flip(newest / "state.safetensors", number / 50)
        assert read(tmp_path)[0] is None
        flip(newest / "state.safetensors", number / 50)
    assert read(tmp_path) == (2, [])


def test_another_schema_version_is_refused_by_number(tmp_path: Path) -> None:
    write(tmp_path, 1)
    newest = write(tmp_path, 2)
    other_manifest(newest / "manifest.json", lambda m: m.update(schema_version=2))
    with pytest.raises(CheckpointError, match="has schema version 2, this lossbench reads 1: resume it with"):
        read(tmp_path)


def test_a_manifest_can_t_name_files_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even with a right digest: it is refused before anything is opened."""
    parent = tmp_path / "checkpoint"
    opened: list[str] = []
    real = os.open

    def watched(path: Any, *rest: Any, **more: Any) -> int:
        opened.append(str(path))
        return real(path, *rest, **more)

    for name in ("../outside.safetensors", "/etc/passwd", "state.safetensors/../../x", "x.pkl"):
        newest = write_checkpoint(parent, 1, lambda: {"epoch": 1}, {"state": save({})})
        content = json.loads((newest / "manifest.json").read_text())
        content.pop("sha256")
        content["files"] = {name: {"bytes": 10, "sha256": ""}}
        from lossbench.harness.checkpoints.folder import _manifest

        (newest / "manifest.json").write_bytes(_manifest(content))
        monkeypatch.setattr(os, "open", watched)
        step, said = read(parent)
        monkeypatch.undo()
        assert step is None
        assert f"names a file {name!r}" in said[0]
        assert [path for path in opened if not path.endswith("manifest.json")] == []
    assert builtins.open is open
