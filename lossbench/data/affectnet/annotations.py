"""Read the two releases with one annotation file per image: AffectNet-8 of 2021 (npy) and AffectNet+ (JSON)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from ...errors import DataError
from ..folder_walk import subfolders
from ..split_names import split_of
from .codes import EXPRESSIONS, NAMES
from .images import ImageFolder
from .rows import Rows

Parse = Callable[[bytes], tuple[int, str | None]]  # from a file's bytes to the code and a phrase to count

_THREADS = 4  # more than cores: reading from a cold disk is mostly waiting
_BATCH = 2000
_LARGEST = 1 << 20  # bytes of one annotation; real ones have a few hundred to a few thousand


def read_annotations(folder: Path, ending: str, parse: Parse) -> Rows:
    """Read `images/` and `annotations/` of a split.

    Args:
        folder: folder of the split.
        ending: suffix of annotation names after the image's name, such as "_exp.npy".
        parse: function that parses the bytes and raises a ValueError with the reason if it cannot.

    Raises:
        DataError: listing the annotations that cannot be read.
    """
    images = ImageFolder(folder / "images")
    rows = Rows(folder / "annotations")
    stems = _stems(rows.source, ending)
    read = partial(_read_batch, rows.source, ending, parse)
    with ThreadPoolExecutor(_THREADS) as pool:
        batches = [stems[start : start + _BATCH] for start in range(0, len(stems), _BATCH)]
        for stem, result in (pair for batch in pool.map(read, batches) for pair in batch):
            if isinstance(result, str):
                rows.problems.append(f"{stem}{ending}: {result}")
                continue
            code, also = result
            if not 0 <= code < len(NAMES):
                rows.problems.append(f"{stem}{ending}: expression {code}, expected 0 to {len(NAMES) - 1}")
                continue
            if also is not None and code < EXPRESSIONS:
                rows.met[also] += 1
            found = images.find(f"{stem}.jpg")
            file = found.path if found else f"{images.path}/{stem}.jpg"
            name = f"{folder.name}/images/{os.path.basename(file)}"
            rows.add(name, file, code, empty=found is not None and found.empty, missing=found is None)
    if images.unused:
        rows.met["image(s) without an annotation, ignored"] = images.unused
    return rows.checked()


def _stems(folder: Path, ending: str) -> list[str]:
    """Return the names without the ending, shorter ones first, which sorts numbers by value."""
    cut = -len(ending)
    with os.scandir(folder) as entries:
        stems = [entry.name[:cut] for entry in entries if entry.name.endswith(ending) and entry.name[0] != "."]
    return sorted(stems, key=lambda stem: (len(stem), stem))


def _read_batch(
    folder: Path, ending: str, parse: Parse, stems: list[str]
) -> list[tuple[str, tuple[int, str | None] | str]]:
    return list(_read(os.fspath(folder), ending, parse, stems))


def _read(
    folder: str, ending: str, parse: Parse, stems: list[str]
) -> Iterator[tuple[str, tuple[int, str | None] | str]]:
    """Return a stem with the content of its file or the reason why it cannot be read."""
    for stem in stems:
        try:
            # Takes half the time of a Python file object; there are 290,000 files.
            descriptor = os.open(f"{folder}/{stem}{ending}", os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            try:
                data = os.read(descriptor, _LARGEST + 1)
            finally:
                os.close(descriptor)
            if len(data) > _LARGEST:
                raise ValueError(f"more than {_LARGEST} bytes; expected one annotation")
            if not data:
                raise ValueError("zero bytes")
            yield stem, parse(data)
        except ValueError as error:
            yield stem, str(error)
        except OSError as error:
            yield stem, (error.strerror or str(error)).lower()


def find_splits(root: Path, training: str, validation: str, ending: str, what: str) -> tuple[Path, Path] | None:
    """Return the two split folders of a release, each possibly nested in a folder of the same name, or None.

    A copy may have given them other names of the same splits.

    Raises:
        DataError: a part of the release is missing.
    """
    splits = [_unnested(root / _renamed(root, name)) for name in (training, validation)]
    if not any(_has(split / "annotations", ending) for split in splits):
        return None
    for split in splits:
        for part, wanted in (("images", ""), ("annotations", ending)):
            if not _has(split / part, wanted):
                raise DataError(f"{root}: {what} without {split / part}/; expected {split.name}/{part}/<n>{wanted}")
    return splits[0], splits[1]


def _renamed(root: Path, published: str) -> str:
    """Return the name of a split's folder: the published one, or the only folder that means the same split."""
    alike = [name for name in subfolders(root) if split_of(name) == split_of(published)]
    return alike[0] if len(alike) == 1 else published


def _unnested(folder: Path) -> Path:
    inside = folder / folder.name
    return inside if inside.is_dir() else folder


def _has(folder: Path, ending: str) -> bool:
    """Return whether the folder has a file with this ending, without listing all files."""
    if not folder.is_dir():
        return False
    with os.scandir(folder) as entries:
        return not ending or any(entry.name.endswith(ending) for entry in entries)
