"""Compare the images per second of one core: lossbench's loader and torchvision's recipe, in turns in one process.

    python benchmarks/input_path.py --race

Creates JPEG files (rendered faces with sensor noise, quality 88) of 224 px and 640 px in a temporary folder. Every way
yields batches of 32 uint8 images of 224 px: a random square of 80 to 100 % of the short side, mirrored or not. The
recipe is torchvision's `ImageFolder` with `v2.RandomResizedCrop` and `v2.RandomHorizontalFlip` on Pillow images. Times
are CPU times of one thread; ratios are of the shortest times, with those of the medians in parentheses.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from lossbench.data import Augment
from lossbench.data.augmentation import Augmentation
from lossbench.data.cache_place import CachePlace
from lossbench.data.cached_images import open_or_make
from lossbench.data.loading import ImageBatches
from lossbench.data.read_images import read_as
from lossbench.data.readable_cache import ReadableFiles
from lossbench.data.reading import Reading
from lossbench.data.rendered_faces import RenderedFaces, open_rendered_faces
from lossbench.data.sources import open_data
from lossbench.data.table import ImageTable

SEEN, BATCH = 224, 32
SOURCE = 280  # 1.25 times 224: the smallest crop is not enlarged
RECIPE = "torchvision ImageFolder"
READINGS = {
    "exact": Reading(),
    "fast": Reading(source_size=SOURCE, decoding="fast"),
}

Way = Callable[[Sequence[int]], object]


def print_race(rounds: int = 15, images: int = 64) -> None:
    """Print a table for each size of files.

    Args:
        rounds: number of batches of each way.
        images: number of files.
    """
    torch.set_num_threads(1)
    print(
        f"{os.cpu_count()} cores, {platform.machine()}, Pillow {PIL.__version__}, torch {torch.__version__}, "
        f"torchvision {torchvision.__version__}\n"
    )
    print("| files | way | images/s of one core | ratio (of medians) |")
    print("|-|-|-|-|")
    for size in (224, 640):
        with tempfile.TemporaryDirectory() as folder:
            mean_bytes = write_jpegs(Path(folder) / "files", size, images)
            seconds = race(ways(Path(folder)), rounds, images)
        base = seconds[RECIPE]
        for name, taken in seconds.items():
            speed, ratio = BATCH / min(taken), min(base) / min(taken)
            middle = statistics.median(base) / statistics.median(taken)
            files = f"{size} px, {mean_bytes / 1024:.0f} KiB"
            print(f"| {files} | {name} | {speed:,.0f} | {ratio:.2f}x ({middle:.2f}x) |", flush=True)


def write_jpegs(folder: Path, size: int, count: int, *, quality: int = 88, noise: float = 5) -> float:
    """Write class folders of JPEG files, faces with this noise (standard deviation), and return their mean bytes."""
    train, _ = open_rendered_faces(
        RenderedFaces(images=count, imbalance=1, size=min(size, 512), test_images_per_class=1)
    )
    total = 0
    for row in range(count):
        path = folder / train.class_names[train.targets[row]] / f"{row}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = train.read(row).resize((size, size), Image.Resampling.BICUBIC)
        pixels = np.asarray(image) + np.random.default_rng(row).normal(0, noise, (size, size, 1))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=quality)
        total += path.stat().st_size
    return total / count


def ways(folder: Path) -> dict[str, Way]:
    """Return each way as a function from rows to a batch."""
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(SEEN, scale=(0.64, 1.0), ratio=(1, 1), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
        ]
    )
    dataset = ImageFolder(str(folder / "files"), transform)
    table = open_data(f"folder:{folder / 'files'}").whole
    assert table is not None
    found: dict[str, Way] = {RECIPE: lambda rows: torch.stack([dataset[row][0] for row in rows])}
    for name, reading in READINGS.items():
        found[f"lossbench, {name}"] = _batches(read_as(table, reading), Augment.STANDARD)
        stored = Reading(source_size=SOURCE, decoding=reading.decoding)
        path = CachePlace.of("folder:files", {}, str(folder)).file(stored)
        known = ReadableFiles(folder / "readable")
        made = open_or_make(path, [table], stored, known=known, say=_ignore, warn=_ignore)
        found[f"lossbench, {name}, from a cache of {SOURCE} px"] = _batches(made.of(table), Augment.STANDARD)
    stored = Reading(source_size=SEEN)
    path = CachePlace.of("folder:files", {}, str(folder)).file(stored)
    made = open_or_make(path, [table], stored, known=known, say=_ignore, warn=_ignore)
    found[f"lossbench, from a cache of {SEEN} px, mirrored only"] = _batches(made.of(table), Augment.MIRROR)
    return found


def _batches(table: ImageTable, augment: Augment) -> Way:
    batches = ImageBatches(table, SEEN, augmentation=Augmentation(augment, 0))
    return lambda rows: batches.__getitems__([(0, row) for row in rows])


def _ignore(text: str) -> None:
    pass


def race(contenders: dict[str, Way], rounds: int, images: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each batch of each way; every image is read once before."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    warm = -(-images // BATCH)
    for number in range(warm + rounds):
        rows = [(number * BATCH + row) % images for row in range(BATCH)]
        for name, way in contenders.items():
            began = time.thread_time()
            way(rows)
            if number >= warm:
                seconds[name].append(time.thread_time() - began)
    return seconds
