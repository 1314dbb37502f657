"""Measure the throughput of the input pipeline at AffectNet's sizes, and how long a training step waits for data.

    python benchmarks/input_path.py [--workers 0,1,2] [--images 384] [--device cpu]
    python benchmarks/input_path.py --race       # the loader alone, in turns with torchvision's recipe

Creates JPEG files (rendered faces with sensor noise, quality 92) in a temporary folder. The loader alone decodes,
crops, scales to 224 px and mirrors, with one thread per process; the training runs are one epoch of a model at 224 px.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch
from loader_race import print_race, write_jpegs

from lossbench.data import Augment, Sampler
from lossbench.data.augmentation import Augmentation
from lossbench.data.loader import BatchLoader
from lossbench.data.loading import EpochBatches, ImageBatches
from lossbench.data.sources import open_data
from lossbench.harness.run import run
from lossbench.runs.options import RunConfig

SIZES = (224, 425)  # pixels: AffectNet-8 of 2021, and the mean of the full release (Mollahosseini et al. 2017)
SEEN = 224  # pixels
BATCH = 32
REPEATS = 3


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="0,1,2")
    parser.add_argument("--images", type=int, default=384)
    parser.add_argument("--model", default="senet-tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--race", action="store_true", help="compare the loader alone with torchvision's recipe")
    options = parser.parse_args()
    if options.race:
        print_race()
        return
    workers = [int(number) for number in options.workers.split(",")]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}"
    print(f"{machine}, {torch.get_num_threads()} thread(s) in training, {options.model} on {options.device}\n")
    print("| stored as | workers | images/s, loader alone | images/s, training | step waits for data |")
    print("|-|-|-|-|-|")
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            mean_bytes = write_jpegs(Path(folder) / str(size), size, options.images, quality=92, noise=6)
            for number in workers:
                alone = statistics.median(loaded(Path(folder) / str(size), number) for _ in range(REPEATS))
                speed, wait = trained(Path(folder), size, number, options.model, options.device)
                stored = f"{size} px, {mean_bytes / 1024:.0f} KiB"
                print(f"| {stored} | {number} | {alone:.0f} | {speed:.0f} | {wait:.1%} |", flush=True)


def loaded(folder: Path, workers: int) -> float:
    """Return the images per second of an epoch of the loader, after its workers have started."""
    table = open_data(f"folder:{folder}").train
    batches = EpochBatches(table, BATCH, seed=0, sampler=Sampler.NATURAL)
    images = BatchLoader(
        ImageBatches(table, SEEN, augmentation=Augmentation(Augment.STANDARD, 0)),
        batches,
        workers=workers,
        pin_memory=False,
    )
    for _ in images:  # starts the workers and fills the page cache
        pass
    began = time.perf_counter()
    for _ in images:
        pass
    return len(table) / (time.perf_counter() - began)


def trained(folder: Path, size: int, workers: int, model: str, device: str) -> tuple[float, float]:
    """Return images per second of an epoch of training, and the share of the median step spent waiting for data."""
    config = RunConfig(
        loss="softmax", data=f"folder:{folder / str(size)}", model=model, image_size=SEEN, epochs=2, batch_size=BATCH,
        workers=workers, device=device,
    )  # fmt: skip
    record = run(config, folder / f"run-{size}-{workers}").record
    assert record is not None
    timing = record.timing
    return timing.images_per_second, (timing.data_seconds_per_step or 0) / timing.seconds_per_step


if __name__ == "__main__":
    main()
