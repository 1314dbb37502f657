"""Damage and malice for the files of runs and comparisons, drawn at random."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_SCALARS: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 10**12, 2**53 + 1, 10**400, -0.0, 0.5, 1e300, -1e-300, float("nan"), float("inf"), "",
    "softmax", "../../x", "..", "/etc/passwd", "a\x00b", "\x1b[2J", "\u202e", "<script>", "os:system", "x.py:Loss",
    "hf-hub:a/b", "local-dir:/", "12", [], {}, [[]], {"a": 1}, [1, 2], "x" * 10_000,
)  # fmt: skip


def corrupt(file: Path, seed: int) -> str:
    """Replace a file by something else and return what was done. `file` may be missing afterwards.

    Args:
        file: a regular file.
        seed: of the draw.
    """
    draw = random.Random(seed)
    content = file.read_bytes()
    ways: list[Callable[[Path, bytes, random.Random], None]] = list(_WAYS)
    if file.suffix == ".json":
        ways += [_changed_json] * 12
    if file.suffix == ".jsonl":
        ways += [_changed_lines] * 8
    if file.suffix == ".npz":
        ways += [_changed_arrays] * 12
    way = draw.choice(ways)
    way(file, content, draw)
    return way.__name__


def restore(file: Path, content: bytes) -> None:
    """Put a corrupted file back."""
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    else:
        file.unlink(missing_ok=True)
    file.write_bytes(content)


# --- any file --------------------------------------------------------------------------------------------------------


def _truncated(file: Path, content: bytes, draw: random.Random) -> None:
    file.write_bytes(content[: draw.randrange(len(content))])


def _flipped(file: Path, content: bytes, draw: random.Random) -> None:
    flipped = bytearray(content)
    for _ in range(draw.choice((1, 1, 3, 50))):
        flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
    file.write_bytes(flipped)


def _cut_out(file: Path, content: bytes, draw: random.Random) -> None:
    start = draw.randrange(len(content))
    file.write_bytes(content[:start] + content[start + draw.randrange(1, 200) :])


def _noise(file: Path, content: bytes, draw: random.Random) -> None:
    file.write_bytes(draw.randbytes(draw.choice((0, 1, 10, 3000))))


def _nested(file: Path, content: bytes, draw: random.Random) -> None:
    file.write_bytes(draw.choice((b"[", b'{"a":', b"[[],")) * draw.choice((10, 100_000)))


def _missing(file: Path, content: bytes, draw: random.Random) -> None:
    file.unlink()


def _a_directory(file: Path, content: bytes, draw: random.Random) -> None:
    file.unlink()
    file.mkdir()


def _a_pipe(file: Path, content: bytes, draw: random.Random) -> None:
    file.unlink()
    os.mkfifo(file)


def _a_link(file: Path, content: bytes, draw: random.Random) -> None:
    file.unlink()
    file.symlink_to(draw.choice(("/dev/zero", "/dev/urandom", "/dev/null", "/etc/passwd", "nowhere", file.name, "/")))


def _sparse(file: Path, content: bytes, draw: random.Random) -> None:
    with file.open("r+b") as opened:
        opened.truncate(draw.choice((2**31, 2**34, 2**40)))


_WAYS = (_truncated, _flipped, _cut_out, _noise, _nested, _missing, _a_directory, _a_pipe, _a_link, _sparse)


# --- by kind ---------------------------------------------------------------------------------------------------------


def _changed_json(file: Path, content: bytes, draw: random.Random) -> None:
    tree = json.loads(content)
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        tree = _changed(tree, draw)
    file.write_text(json.dumps(tree))


def _changed_lines(file: Path, content: bytes, draw: random.Random) -> None:
    lines = content.decode().splitlines()
    row = draw.randrange(len(lines))
    lines[row] = json.dumps(_changed(json.loads(lines[row]), draw))
    if draw.random() < 0.3:
        lines.insert(row, lines[draw.randrange(len(lines))])
    file.write_text("\n".join(lines) + "\n")


def _changed(tree: Any, draw: random.Random) -> Any:
    """A copy with one value at a random depth replaced, removed, or put in twice."""
    if not isinstance(tree, dict | list) or not tree or draw.random() < 0.05:
        return draw.choice(_SCALARS)
    key: Any = draw.choice(list(tree)) if isinstance(tree, dict) else draw.randrange(len(tree))
    copy: Any = dict(tree) if isinstance(tree, dict) else list(tree)
    what = draw.random()
    if what < 0.15:
        del copy[key]
    elif what < 0.3 and isinstance(copy, list):
        copy.append(copy[key])
    else:
        copy[key] = _changed(tree[key], draw)
    return copy


def _changed_arrays(file: Path, content: bytes, draw: random.Random) -> None:
    with np.load(io.BytesIO(content)) as stored:
        arrays = {name: stored[name] for name in stored.files}
    name = draw.choice(list(arrays))
    array = arrays[name]
    members = {f"{key}.npy": _npy(value) for key, value in arrays.items()}
    changes: list[Callable[[], bytes | None]] = [
        lambda: None,
        lambda: _npy(array[:-1]),
        lambda: _npy(array.reshape(-1)),
        lambda: _npy(array.astype("U9")) if array.dtype.kind != "U" else _npy(np.zeros(len(array))),
        lambda: _npy(np.full(array.shape, np.nan)),
        lambda: _npy(np.full(array.shape, -5)),
        lambda: _npy(np.asfortranarray(array)),
        lambda: _npy(np.array([{}], dtype=object), allow_pickle=True),
        lambda: _header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**12}, 8), }}"),
        lambda: _header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {array.shape}, }}") + bytes(50),
        lambda: _header("{'descr': '|O', 'fortran_order': False, 'shape': (3,), }"),
        lambda: _header("__import__('os').system('true')"),
        lambda: _header("(" * 5000),
        lambda: b"\x93NUMPY\x09\x00" + draw.randbytes(20),
    ]
    changed = draw.choice(changes)()
    if changed is None:
        del members[f"{name}.npy"]
    else:
        members[f"{name}.npy"] = changed
    with zipfile.ZipFile(file, "w", draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for member, blob in members.items():
            archive.writestr(member, blob)
        if draw.random() < 0.1:
            archive.writestr("../../x.npy", members[next(iter(members))])


def _npy(array: Any, allow_pickle: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


def _header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + min(len(text) + 1, 65535).to_bytes(2, "little") + text.encode() + b"\n"
