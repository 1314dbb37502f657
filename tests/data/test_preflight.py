"""All unreadable files are found before training, and can be dropped."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lossbench.data.decode import decode
from lossbench.data.preflight import drop, unreadable, unreadable_error
from lossbench.data.table import ImageTable


@pytest.fixture
def photos(tmp_path: Path) -> ImageTable:
    """200 files, of which rows 7, 80 and 199 cannot be read."""
    paths = []
    for number in range(200):
        paths.append(tmp_path / f"{number}.jpg")
        Image.fromarray(np.full((16, 16), number, dtype=np.uint8)).save(paths[-1])
    paths[7].write_bytes(b"")
    paths[80].write_bytes(paths[81].read_bytes()[:-100])
    paths[199].unlink()
    return ImageTable(
        name="csv:my.csv",
        class_names=("a", "b"),
        targets=np.arange(200) % 2,
        sample_ids=[path.name for path in paths],
        read=lambda row: decode(paths[row]),
        paths=paths,
    )


@pytest.mark.parametrize("threads", [1, 4, None])
def test_all_are_found_in_order(photos: ImageTable, threads: int | None) -> None:
    assert photos.paths is not None
    found = unreadable([photos], threads)
    assert [path for path, _ in found] == [photos.paths[row] for row in (7, 80, 199)]
    assert [reason.split()[0] for _, reason in found] == ["zero", "truncated", "no"]


def test_a_file_in_two_tables_is_decoded_once_and_progress_is_told(photos: ImageTable) -> None:
    told: list[tuple[int, int]] = []
    assert len(unreadable([photos, photos], 2, lambda done, total: told.append((done, total)))) == 3
    assert told == [(64, 200), (128, 200), (192, 200), (200, 200)]


def test_tables_without_files_are_skipped(photos: ImageTable) -> None:
    drawn = dataclasses.replace(photos, paths=None)
    assert unreadable([drawn]) == []
    assert drop(drawn, [Path("a.jpg")]) == (drawn, ())


def test_dropping(photos: ImageTable) -> None:
    found = unreadable([photos])
    kept, dropped = drop(photos, [path for path, _ in found])
    assert dropped == ("7.jpg", "80.jpg", "199.jpg")
    assert len(kept) == 197
    assert kept.class_counts == (99, 98)
    assert unreadable([kept]) == []
    assert kept.read(7).getpixel((0, 0)) == (8, 8, 8)  # rows move up
    assert drop(kept, [Path("elsewhere.jpg")]) == (kept, ())
    assert drop(kept, []) == (kept, ())


def test_the_error_lists_all(photos: ImageTable) -> None:
    assert photos.paths is not None
    said = str(unreadable_error(unreadable([photos])))
    assert said.startswith(f"Cannot read 3 image(s):\n  {photos.paths[7]}: zero bytes\n")
    assert f"{photos.paths[199]}: no such file" in said
    assert said.endswith("pass --skip-unreadable to skip them.")
