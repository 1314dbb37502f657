"""A cache of decoded images on disk: the same pixels, made once, and made again where it does not serve."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL
import pytest
from filelock import FileLock
from PIL import Image

from lossbench.data import Augment, make_cache
from lossbench.data.augmentation import Augmentation
from lossbench.data.cache_place import CachePlace
from lossbench.data.cached_images import MadeCache, open_or_make
from lossbench.data.image_cache import BLOCK, ENTRY
from lossbench.data.loading import ImageBatches
from lossbench.data.read_images import read_as
from lossbench.data.readable_cache import BY_CONTENT, BY_PATH, ReadableFiles
from lossbench.data.reading import Reading
from lossbench.data.sources import open_data
from lossbench.data.table import ImageTable
from lossbench.errors import ConfigError, DataError, ImagesLost, StorageError

READINGS = [Reading(source_size=size, decoding=how) for size in (0, 24) for how in ("exact", "fast")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of different shapes: JPEG files of 24 to 100 px, one of them to be rotated, and a PNG file."""
    draw = np.random.default_rng(0)
    for row, (height, width) in enumerate(((100, 130), (60, 50), (24, 30), (20, 40), (96, 96))):
        pixels = draw.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((width, height))
        exif = Image.Exif()
        exif[0x0112] = 6 if row == 1 else 1
        for split in ("train", "val"):
            path = tmp_path / "data" / split / "ab"[row % 2] / f"{row}.{'png' if row == 4 else 'jpg'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path, exif=exif)
    return tmp_path / "data"


class Made(NamedTuple):
    """A cache, what was said and warned, and the table that is read from it."""

    cache: MadeCache
    said: list[str]
    warned: list[str]
    table: ImageTable


def cached(folder: Path, reading: Reading, recognize: str = BY_PATH) -> Made:
    splits, said, warned = open_data(f"folder:{folder}"), list[str](), list[str]()
    path = CachePlace.of(f"folder:{folder}", {}, str(folder.parent / "caches")).file(reading)
    known = ReadableFiles(folder.parent / "readable", recognize)
    tables = (splits.train, splits.test)
    made = open_or_make(path, tables, reading, known=known, say=said.append, warn=warned.append)
    return Made(made, said, warned, made.of(splits.train))


@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_batches_from_a_cache_are_those_of_the_files(folder: Path, reading: Reading) -> None:
    table = read_as(open_data(f"folder:{folder}").train, reading)
    tables = [cached(folder, reading).table]
    tables.append(pickle.loads(pickle.dumps(tables[0])))  # as another process receives it
    for kind in (None, Augment.MIRROR, Augment.STANDARD):
        how = None if kind is None else Augmentation(kind, 3)
        from_files = ImageBatches(table, 24, augmentation=how)
        from_cache = [ImageBatches(other, 24, augmentation=how, cache=other is tables[1]) for other in tables]
        for row in range(len(table)):
            expected = from_files.image(1, row)
            assert expected.shape == (24, 24, 3)
            for other in from_cache:
                np.testing.assert_array_equal(other.image(1, row), expected)


def test_images_are_stored_reduced_or_as_they_are(folder: Path) -> None:
    shapes = {
        reading.source_size: sorted(image.size for image in map(made.table.read, range(5)))
        for reading in READINGS[::2]
        if (made := cached(folder, reading))
    }
    assert shapes[0] == [(30, 24), (40, 20), (60, 50), (96, 96), (130, 100)]  # (60, 50) after its rotation
    assert shapes[24] == [(24, 24), (29, 24), (30, 24), (31, 24), (40, 20)]


def test_a_large_jpeg_is_decoded_smaller_only_where_that_is_enough(folder: Path) -> None:
    table = open_data(f"folder:{folder}").train
    whole, scaled = (read_as(table, Reading(source_size=24, decoding=how)).read for how in ("exact", "fast"))
    for row in range(5):
        one, other = whole(row), scaled(row)
        assert min(other.size) == min(24, *one.size)
        same = np.asarray(one.resize((24, 24)), dtype=int) - np.asarray(other.resize((24, 24)), dtype=int)
        decoded_smaller = Path(table.sample_ids[row]).name in ("0.jpg", "1.jpg")
        assert np.abs(same).max() <= (64 if decoded_smaller else 1)
        assert bool(np.abs(same).max() > 1) is decoded_smaller


def test_a_cache_is_made_once_and_keeps_what_has_not_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    decode = make_cache.decode_as

    def counting(reading: Reading, path: Any, box: Any = None) -> Image.Image:
        decoded.append(Path(path).name)
        return decode(reading, path, box)

    monkeypatch.setattr(make_cache, "_check_space", lambda *arguments: None)
    monkeypatch.setattr(make_cache, "decode_as", counting)
    reading = READINGS[2]
    first, second = cached(folder, reading), cached(folder, reading)
    assert (first.cache.written, second.cache.written, len(decoded)) == (True, False, 10)
    assert first.said == [f"decoding 10 images into {first.cache.cache.path}"]
    assert second.said == second.warned == first.warned == []
    decoded.clear()
    Image.new("RGB", (40, 40), "red").save(folder / "train/a/2.jpg")
    third = cached(folder, reading)
    assert third.warned == [
        f"{third.cache.cache.path} is out of date (1 of 10 images are new or have changed) and is made again"
    ]
    assert decoded == ["2.jpg"]
    assert third.cache.cache.head.sources != first.cache.cache.head.sources
    assert [image.getpixel((0, 0)) for image in map(third.table.read, range(5))].count((254, 0, 0)) == 1
    (folder / "train/a/4.png").unlink()
    assert cached(folder, reading).warned == []  # what is no longer needed does no harm


def test_by_content_a_cache_serves_a_copy_of_the_data(folder: Path) -> None:
    first = cached(folder, READINGS[2], BY_CONTENT)
    for path in folder.rglob("*.*"):
        path.write_bytes(path.read_bytes())
        os.utime(path, (1, 1))
    assert first.cache.cache.head.images == 5  # the files of both splits are equal
    assert not cached(folder, READINGS[2], BY_CONTENT).cache.written
    assert cached(folder, READINGS[2], BY_PATH).cache.written


def _cut(data: bytearray) -> bytearray:
    return data[: len(data) // 2]


def _flip(at: int) -> Callable[[bytearray], bytearray]:
    def flipped(data: bytearray) -> bytearray:
        data[at] ^= 1
        return data

    return flipped


def _head(**change: Any) -> Callable[[bytearray], bytearray]:
    def changed(data: bytearray) -> bytearray:
        line, text, _ = bytes(data[:BLOCK]).split(b"\n", 2)
        head = line + b"\n" + json.dumps({**json.loads(text), **change}).encode() + b"\n"
        return bytearray(head.ljust(BLOCK, b"\0")) + data[BLOCK:]

    return changed


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_cut, r"truncated: [\d,]+ bytes, expected [\d,]+"),
        (lambda data: data + b"\0", r"truncated: [\d,]+ bytes, expected [\d,]+"),
        (lambda data: bytearray(), "not a cache of images"),
        (_flip(3), "not a cache of images"),
        (_flip(17), "written in format 0; this version has 1"),
        (_flip(20), "its head is damaged"),
        (_head(images=-1), "its head is damaged"),
        (_head(images=10**9), "its head is damaged"),
        (_head(images=10**6), "truncated: .*"),
        (_flip(BLOCK + 5), "its index is damaged"),
        (_head(pillow="1.0"), f"made with Pillow 1.0; this is {PIL.__version__}"),
        (_head(source_size=64), "its images were read with source size 64 and exact decoding, expected 24 and exact"),
        (_head(decoding="fast"), "its images were read with source size 24 and fast decoding, expected 24 and exact"),
    ],
)
def test_a_cache_that_cannot_be_used_is_named_and_made_again(
    folder: Path, damage: Callable[[bytearray], bytearray], reason: str
) -> None:
    path = cached(folder, READINGS[2]).cache.cache.path
    good = path.read_bytes()
    path.write_bytes(damage(bytearray(good)))
    again = cached(folder, READINGS[2])
    (warning,) = again.warned
    assert re.fullmatch(rf"{path} cannot be used \({reason}\) and is made again", warning), warning
    assert path.read_bytes() == good


def test_damaged_pixels_are_an_error_that_names_the_file(folder: Path) -> None:
    made = cached(folder, READINGS[2])
    path = made.cache.cache.path
    path.write_bytes(_flip(BLOCK + 10 * ENTRY.itemsize + 7)(bytearray(path.read_bytes())))
    damaged = cached(folder, READINGS[2])
    assert damaged.warned == []
    images = ImageBatches(damaged.table, 24, augmentation=None)
    found = images[(0, int(np.flatnonzero(damaged.table.read.rows == 0)[0]))]  # type: ignore[attr-defined]
    assert found == (f"{path}: cached image 0 is damaged; remove this file, and it is made again",)
    with pytest.raises(ImagesLost, match="cached image 0 is damaged"):
        ImageBatches(damaged.table, 24, augmentation=None, cache=True)
    with open(path, "r+b") as file:  # cut off while it is open
        file.truncate(BLOCK)
    with pytest.raises(DataError, match=r"cached image \d is damaged"):
        made.table.read(0)


def test_a_cache_that_is_replaced_while_a_loader_process_starts_is_an_error(folder: Path) -> None:
    table = pickle.dumps(cached(folder, READINGS[2]).table)
    Image.new("RGB", (40, 40)).save(folder / "train/a/2.jpg")
    path = cached(folder, READINGS[2]).cache.cache.path
    with pytest.raises(DataError, match=rf"^{path} was replaced while a run used it; start or resume the run again$"):
        pickle.loads(table)
    path.unlink()
    with pytest.raises(DataError, match=rf"^{path}: .*No such file"):
        pickle.loads(table)


def test_a_full_disk_is_one_error_before_and_while_it_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil._ntuple_diskusage(10**12, 0, 2**30 + 20_000)  # type: ignore[attr-defined]
    monkeypatch.setattr(make_cache.shutil, "disk_usage", lambda path: usage)
    message = r"^cannot write .*-whole.images: the cache of 10 images takes about 0\.\d MB, and 0\.\d MB are missing"
    with pytest.raises(StorageError, match=message):
        cached(folder, READINGS[0])
    monkeypatch.setattr(make_cache, "_check_space", lambda *arguments: None)
    monkeypatch.setattr(make_cache.shutil, "disk_usage", lambda path: usage._replace(free=2**30 - 1))
    with pytest.raises(StorageError, match=r"after 10 of 10 images, and .* or pass --cache-dir with a folder on a lar"):
        cached(folder, READINGS[0])
    assert [path for path in (folder.parent / "caches").iterdir() if not path.name.endswith(".lock")] == []


def test_a_folder_that_cannot_be_written_is_one_error(unwritable: Path) -> None:
    with pytest.raises(ConfigError, match=r"^cannot write the cache .*: Permission denied; pass --cache-dir"):
        open_or_make(unwritable / "x.images", (), READINGS[0], known=ReadableFiles(), say=print, warn=print)


def test_one_process_makes_a_cache_and_others_wait(folder: Path) -> None:
    path = CachePlace.of(f"folder:{folder}", {}, str(folder.parent / "caches")).file(READINGS[2])
    path.parent.mkdir()
    left = path.with_name(f".{path.name}.killed")
    left.write_text("half a cache")
    found: list[Made] = []
    with FileLock(path.with_name(f".{path.name}.lock")):
        other = threading.Thread(target=lambda: found.append(cached(folder, READINGS[2])))
        other.start()
        other.join(0.2)
        assert not found
    other.join()
    assert found[0].said[0] == f"waiting for another process, which makes {path}"
    assert not left.exists()
