"""The command line, called in this process (a new one takes seconds to import torch), and small pictures."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import pytest
from PIL import Image

COLORS = {"amber": (220, 160, 20), "blue": (30, 40, 200), "cyan": (20, 200, 200)}


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture(scope="session")
def lossbench() -> Command:
    """`lossbench("run", "--loss", "softmax")` -> `Outcome`, by the entry point of the installed command.

    `columns` is the width of the terminal; None for that of a pipe.
    """
    from lossbench.cli import main

    def call(*arguments: object, columns: int | None = 200) -> Outcome:
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch("sys.argv", ["lossbench", *map(str, arguments)]),
            mock.patch.dict("os.environ", {} if columns is None else {"COLUMNS": str(columns)}),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as end,
        ):
            main()
        return Outcome(int(end.value.code or 0), out.getvalue(), err.getvalue())

    return call


def paint(path: Path, label: str, draw: np.random.Generator, size: int = 32) -> None:
    """A noisy picture in the color of its class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = draw.integers(-60, 60, (size, size, 3))
    pixels = np.clip(np.array(COLORS[label]) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def write_manifest(path: Path, rows: list[tuple[str, ...]], header: tuple[str, ...] = ("path", "label")) -> Path:
    """A csv file; its images are not made."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def make_faces(folder: Path, counts: dict[str, int], val_count: int = 4) -> Path:
    """`train.csv` with `val.csv` beside it, and the pictures of both, in `images/<split>/<label>/`."""
    draw = np.random.default_rng(0)
    for split in ("train", "val"):
        rows = []
        for label, count in counts.items():
            for n in range(count if split == "train" else val_count):
                name = f"images/{split}/{label}/{n}.png"
                paint(folder / name, label, draw)
                rows.append((name, label))
        write_manifest(folder / f"{split}.csv", rows)
    return folder


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `train.csv` (24, 12 and 10 pictures) and `val.csv` (4 each); don't change it."""
    return make_faces(tmp_path_factory.mktemp("faces"), {"amber": 24, "blue": 12, "cyan": 10})


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test in a directory of its own, so that a stray `runs/` is seen and lies nowhere else."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
