"""Compare `lossbench predict` with a bare loop over the same images and model: images per second, and memory.

    python benchmarks/predict_speed.py [--images 10000] [--rounds 3]

Makes small JPEG files (64 pixels) in a temporary folder and an untrained run of senet-tiny at 48 pixels. The bare loop
opens each file with Pillow, resizes it, and calls the model on batches of 256; no file is checked and no row is made.
Both run in turns in one process with one thread for torch; a factor is the median over rounds of the ratio within a
round. Memory is what the process grows by between the first 1,000 and all images of a prediction.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import psutil
import torch
from PIL import Image

from lossbench.harness.evaluation.inputs import image_inputs
from lossbench.harness.evaluation.predict import Predictor
from lossbench.harness.evaluation.trained_run import TrainedRun, load_run
from lossbench.harness.run import run
from lossbench.runs.options import RunConfig

BATCH = 256


def make_images(folder: Path, count: int) -> None:
    """Write noisy images that share their low frequencies, as photographs do."""
    draw = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        small.resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{number:06}.jpg", quality=90)


def bare_loop(trained: TrainedRun, files: list[Path]) -> int:
    """Return the number of predicted images."""
    size, done = trained.image_size, 0
    for start in range(0, len(files), BATCH):
        pixels = []
        for file in files[start : start + BATCH]:
            with Image.open(file) as image:
                resized = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
            pixels.append(np.asarray(resized))
        with torch.inference_mode():
            batch = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
            done += len(trained.module(batch).argmax(dim=1).tolist())
    return done


def with_predictor(trained: TrainedRun, folder: Path, marks: list[int]) -> int:
    """Return the number of predicted images; appends the resident memory after 1,000 images and at the end."""
    done = 0
    for row in Predictor(trained, threads=1).predict(image_inputs([str(folder)])):
        row.content(trained.class_names)
        done += 1
        if done == 1000:
            marks.append(psutil.Process().memory_info().rss)
    marks.append(psutil.Process().memory_info().rss)
    return done


def seconds(call: Callable[[], int], expected: int) -> tuple[float, float]:
    """Return wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    if (done := call()) != expected:
        raise RuntimeError(f"{done} images were predicted, expected {expected}")
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "images")
        folder.mkdir()
        make_images(folder, arguments.images)
        data = "synthetic(images=160, test_images_per_class=4)"
        config = RunConfig(loss="softmax", data=data, epochs=1, device="cpu")
        trained = load_run(run(config, Path(place, "run")).directory)
        files = sorted(folder.iterdir())
        bare_loop(trained, files[:BATCH])
        ratios, speeds, grown = [], [], []
        for _ in range(arguments.rounds):
            marks: list[int] = []
            bare = seconds(lambda: bare_loop(trained, files), len(files))
            ours = seconds(lambda marks=marks: with_predictor(trained, folder, marks), len(files))  # type: ignore[misc]
            ratios.append((bare[0] / ours[0], bare[1] / ours[1]))
            speeds.append((len(files) / bare[1], len(files) / ours[1]))
            grown.append(marks[-1] - marks[0])
        print(f"{len(files):,} images of 64 x 64, senet-tiny at {trained.image_size} px, one thread")
        bare_speed, speed = (statistics.median(column) for column in zip(*speeds, strict=True))
        print(f"images per CPU second: bare loop {bare_speed:.0f}, predict {speed:.0f}")
        wall, cpu = (statistics.median(column) for column in zip(*ratios, strict=True))
        print(f"predict / bare loop: {wall:.2f} by wall time, {cpu:.2f} by CPU time")
        print(f"memory: {max(grown) / 2**20:+.1f} MiB between image 1,000 and image {len(files):,}, at most")


if __name__ == "__main__":
    main()
