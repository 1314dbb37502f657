"""The manifest of crops: one row per face, and one per photograph without a face."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from ..detectors import LANDMARKS
from ..files import write_atomically
from .journal import CropRow, Done
from .photographs import Photograph

MANIFEST = "manifest.csv"
_BOX = ("left", "top", "right", "bottom")
_POINTS = tuple(f"{name}_{axis}" for name in LANDMARKS for axis in "xy")
_OF_FACE = ("photo", "face", "faces", "score", *_BOX, *_POINTS, "padding", "photo_width", "photo_height", "reason")


def write_manifest(out: Path, photos: Sequence[Photograph], results: Sequence[Done]) -> bool:
    """Write `manifest.csv`, which `--data csv:…` reads; return whether every crop has a label.

    Columns: `path` of the crop from the folder, empty if there is none; `label`, `split` and `person` of the photograph
    if they are known; `group`, the photograph, if persons are not known and some photographs have several crops, so
    that these stay in one split; then `photo`, the number of the `face` from 1 (0 without a face), the number of
    `faces`, `score`, box and landmarks in pixels of the upright photograph, the share of `padding`, the photograph's
    size, and the `reason` why there is no crop.
    """
    cropped = [photo for photo, done in zip(photos, results, strict=True) if any(face.path for face in done.faces)]
    several = any(sum(face.path is not None for face in done.faces) > 1 for done in results)
    known = {name: any(getattr(photo, name) is not None for photo in photos) for name in ("label", "split", "person")}
    grouped = several and not known["person"]
    columns = [name for name, is_known in known.items() if is_known]
    header = ["path", *columns, *(["group"] if grouped else []), *_OF_FACE]

    def write(file: IO[bytes]) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        for photo, done in zip(photos, results, strict=True):
            own = [getattr(photo, name) or "" for name in columns] + ([done.photo] if grouped else [])
            for path, cells in _rows(done):
                writer.writerow([path, *own, *cells])
        text.flush()
        text.detach()

    write_atomically(out / MANIFEST, write)
    return bool(cropped) and all(photo.label for photo in cropped)


def _rows(done: Done) -> Iterator[tuple[str, list[object]]]:
    size = [done.width or "", done.height or ""]
    if not done.faces:
        yield "", [done.photo, 0, 0, *[""] * (1 + len(_BOX) + len(_POINTS) + 1), *size, done.reason]
    for number, face in enumerate(done.faces, start=1):
        yield face.path or "", [done.photo, number, len(done.faces), *_numbers(face), *size, face.reason]


def _numbers(face: CropRow) -> list[object]:
    points: list[object] = [""] * len(_POINTS)
    if face.landmarks is not None:
        points = [value for point in face.landmarks for value in point]
    return [face.score, *face.box, *points, face.padding if face.path else ""]
