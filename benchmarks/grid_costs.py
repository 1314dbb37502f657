"""Compute what grids on AffectNet cost in device hours, from the speed of a training step and of an evaluation here.

    python benchmarks/grid_costs.py [--device cuda] [--precision bf16] [--batch-size 128] [--out results.md]
    python benchmarks/grid_costs.py --trained-per-second 800 --evaluated-per-second 2400     # measured elsewhere

Measures a step of `benchmarks/affectnet.toml` (SENet-50 at 224 px, weighted-cluster) with images in memory, and prints
hours per cell and for whole grids. Reading and decoding images is not included: `timing.data_wait_share` of a run says
how much of its training waits for them.

A cell of `compare` trains on nine tenths of the images and evaluates the selection split (the last tenth) after each
epoch; at its end it evaluates the test split, the selection split and `REFIT` training images once.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tomllib
from pathlib import Path

import torch

from lossbench.harness.prepare import SELECTION_FRACTION
from lossbench.machine.facts import machine

OPTIONS = Path(__file__).with_name("affectnet.toml")
TEST, REFIT = 4000, 20_000  # images of AffectNet's validation split, and at most of the refit
GRIDS = {  # losses, seeds, trials of each loss
    "one cell": (1, 1, 0),
    "the paper's five losses, 3 seeds": (5, 3, 0),
    "the same, 5 seeds": (5, 5, 0),
    "the same, 8 trials of tuning per loss": (5, 5, 8),
    "22 losses, 20 seeds": (22, 20, 0),
}


def main() -> None:
    """Measure unless the speeds are given, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = tomllib.loads(OPTIONS.read_text())
    parser.add_argument("--images", type=int, default=290_000, help="training images (default: 290000)")
    parser.add_argument("--epochs", type=int, default=defaults["epochs"])
    parser.add_argument("--model", default=defaults["model"])
    parser.add_argument("--image-size", type=int, default=defaults["image_size"])
    parser.add_argument("--batch-size", type=int, default=defaults["batch_size"])
    parser.add_argument("--steps", type=int, default=5, help="steps that are timed (default: 5)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--trained-per-second", type=float, help="images per second of training (default: measured)")
    parser.add_argument("--evaluated-per-second", type=float, help="images per second of evaluation")
    parser.add_argument("--out", type=Path, help="file of the table, beside standard output")
    given = parser.parse_args()
    if (given.trained_per_second is None) != (given.evaluated_per_second is None):
        parser.error("pass both --trained-per-second and --evaluated-per-second, or neither")
    if given.trained_per_second is None:
        given.trained_per_second, given.evaluated_per_second = measure(given)
        source = f"{given.model}, {given.image_size} px, batch {given.batch_size}, {given.precision}, {given.device}, "
        source += f"{torch.get_num_threads()} thread(s) of {machine()['gpu'] or machine()['processor']}"
    else:
        source = "speeds as given"
    text = table(given.images, given.epochs, given.trained_per_second, given.evaluated_per_second, source)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


def measure(given: argparse.Namespace) -> tuple[float, float]:
    """Return images per second of a training step and of an evaluation."""
    from step_throughput import make_trainer, our_step, timed  # which imports timm

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    trainer = make_trainer("weighted-cluster", given)
    batch = next(iter(trainer.images))
    step = our_step(trainer)
    trained = [timed(step, batch, given.device) for _ in range(given.steps + 1)][1:]
    trainer.step.eval()
    images = batch.images.to(trainer.accelerator.device, memory_format=torch.channels_last)

    @torch.no_grad()
    def evaluate(_: object) -> None:
        with trainer.accelerator.autocast():
            trainer.step.model(images)

    evaluated = [timed(evaluate, batch, given.device) for _ in range(given.steps + 1)][1:]
    speeds = [given.batch_size / statistics.median(seconds) for seconds in (trained, evaluated)]
    return float(f"{speeds[0]:.3g}"), float(f"{speeds[1]:.3g}")  # so that the table follows from what is printed


def cell_images(images: int, epochs: int) -> tuple[float, float]:
    """Return the images that a cell trains on and evaluates.

    Example:
        >>> cell_images(290_000, 10)
        (2610000.0, 343000.0)
    """
    selection = SELECTION_FRACTION * images
    return epochs * (images - selection), (epochs + 1) * selection + TEST + min(REFIT, images)


def table(images: int, epochs: int, trained: float, evaluated: float, source: str) -> str:
    """Return the hours of each grid as Markdown.

    Args:
        images: training images of the data set.
        epochs: epochs of each cell.
        trained: images per second of training.
        evaluated: images per second of evaluation.
        source: where the speeds come from.
    """
    to_train, to_evaluate = cell_images(images, epochs)
    hours = (to_train / trained + to_evaluate / evaluated) / 3600
    rows = []
    for name, (losses, seeds, trials) in GRIDS.items():
        cells = losses * (seeds + trials)
        rows.append(f"| {name} | {cells} | {cells * hours:,.1f} |")
    head = (
        f"{images:,} training images, {epochs} epochs: a cell trains on {to_train:,.0f} images and evaluates "
        f"{to_evaluate:,.0f}. {trained:.3g} images/s of training, {evaluated:.3g} of evaluation ({source})."
    )
    return "\n".join([head, "", "| grid | cells | device hours |", "|-|-|-|", *rows])


if __name__ == "__main__":
    main()
