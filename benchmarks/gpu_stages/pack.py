"""FER+ in one file of at most 45 MiB: the images that `ferplus:` keeps, and their votes.

    python benchmarks/gpu.py pack ferplus:DIR carried/ferplus.zip

Images are stored as PNG, without loss; if they do not fit, as JPEG of quality 92. The archive has the layout of
the publishers, so that `--data ferplus:DIR` reads it after unpacking. It shows real people: keep it out of
repositories.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lossbench.data.ferplus.samples import FOLDERS, VOTES
from lossbench.data.ferplus.votes import USAGES, VOTED
from lossbench.data.sources import Splits, open_data
from lossbench.errors import ConfigError

LIMIT = 45 * 2**20  # bytes
FORMATS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("PNG", "png", {"optimize": True}),
    ("JPEG of quality 92", "jpg", {"quality": 92}),
)
_ABOUT, _VOTES = "about.json", 10


def pack(spec: str, file: Path, limit: int = LIMIT) -> str:
    """Write the archive; return what it holds, in words.

    Args:
        spec: `ferplus:DIR`.
        file: the archive.
        limit: of its size in bytes.

    Raises:
        ConfigError: the data is not FER+, or too large even as JPEG.
        DataError: the data cannot be read.
    """
    if not spec.startswith("ferplus:"):
        raise ConfigError(f"pack: expected ferplus:DIR, got {spec!r}")
    splits = open_data(spec)
    for name, suffix, options in FORMATS:
        content = _archive(splits, name, suffix, options)
        if len(content) <= limit:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            return described(file)
    raise ConfigError(f"pack: {len(content):,} bytes as {name}; at most {limit:,} are carried")


def _archive(splits: Splits, name: str, suffix: str, options: dict[str, Any]) -> bytes:
    """Return the archive. A row's ten votes all go to its label, which is the majority of the original ones."""
    whole, lines = io.BytesIO(), io.StringIO()
    rows = csv.writer(lines)
    rows.writerow(["Usage", "Image name", *VOTED])
    counts = {}
    test_usage = next(usage for usage in USAGES[1:] if splits.origin.startswith(usage))
    with zipfile.ZipFile(whole, "w") as archive:
        for usage, table in ((USAGES[0], splits.train), (test_usage, splits.test)):
            table.prepare()
            counts[usage] = len(table)
            for row, target in enumerate(table.targets.tolist()):
                image, label = io.BytesIO(), table.class_names[target]
                table.read(row).convert("L").save(image, "JPEG" if suffix == "jpg" else "PNG", **options)
                archive.writestr(f"{FOLDERS[usage]}/{row:05d}.{suffix}", image.getvalue())
                rows.writerow([usage, f"{row:05d}.{suffix}", *(_VOTES * (voted == label) for voted in VOTED)])
        archive.writestr(VOTES, lines.getvalue(), zipfile.ZIP_DEFLATED)
        archive.writestr(_ABOUT, json.dumps({"images": counts, "format": name}))
    return whole.getvalue()


def described(file: Path) -> str:
    """Return what an archive holds, in words."""
    with zipfile.ZipFile(file) as archive:
        about = json.loads(archive.read(_ABOUT))
    counts = " and ".join(f"{count:,} images of {usage}" for usage, count in about["images"].items())
    return f"Packed FER+: {counts}, as {about['format']}, {file.stat().st_size / 2**20:.1f} MiB."


def unpack(file: Path, folder: Path) -> Path:
    """Unpack an archive, unless that was done, and return the folder."""
    if not (folder / _ABOUT).exists():
        with zipfile.ZipFile(file) as archive:
            # That which says that all is there comes last: what was interrupted is unpacked again.
            for name in sorted(archive.namelist(), key=lambda name: name == _ABOUT):
                archive.extract(name, folder)
    return folder


def make_small(folder: Path) -> Path:
    """Write a small set in the publishers' layout, with random images, and return its folder."""
    draw = np.random.default_rng(0)
    lines = [["Usage", "Image name", *VOTED]]
    for usage, per_class in ((USAGES[0], 12), (USAGES[2], 3)):
        (folder / FOLDERS[usage]).mkdir(parents=True, exist_ok=True)
        for number in range(8 * per_class):
            pixels = draw.integers(0, 160, (48, 48), dtype=np.uint8) + 12 * (number % 8)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / FOLDERS[usage] / f"{number}.png")
            lines.append([usage, f"{number}.png", *(str(_VOTES * (number % 8 == c)) for c in range(len(VOTED)))])
    with (folder / VOTES).open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return folder
