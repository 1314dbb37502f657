"""Write the directory of a comparison without training, with random records, histories and predictions.

    python benchmarks/made_records.py DIR [--losses 5] [--seeds 5] [--images 4000] [--embedding-dim 512]

It replaces real runs where only reading and analysis matter. Losses differ by known amounts.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lossbench import files
from lossbench.data import Sampler
from lossbench.data.sampling import drawn_counts
from lossbench.models.preprocessing import Preprocessing
from lossbench.runs import layout
from lossbench.runs.grid_file import GridCell, GridFile, write_grid_file
from lossbench.runs.history import HistoryRow, write_history
from lossbench.runs.predictions import Predictions, SplitPredictions, write_predictions
from lossbench.runs.record import (
    DataFacts,
    Environment,
    Memory,
    Metrics,
    ModelFacts,
    Record,
    RefitFacts,
    Timing,
    write_record,
)

COUNTS = (1869, 1041, 354, 346, 196, 89, 53, 52)
NAMES = ("happiness", "neutral", "sadness", "anger", "surprise", "fear", "disgust", "contempt")
FORMULAS = ("softmax", "weighted-softmax", "center", "triplet", "weighted-cluster", "softmax + 0.1*triplet")
EPOCHS = 12


def named_losses(count: int) -> dict[str, float]:
    """Return that many formulas with skills that differ by known amounts."""
    more = (f"softmax + {0.2 + 0.01 * n:.2f}*triplet" for n in range(max(count - len(FORMULAS), 0)))
    return {formula: 0.5 + 0.03 * n for n, formula in enumerate((*FORMULAS[:count], *more))}


def make_records(
    out: Path,
    losses: Mapping[str, float],
    *,
    seeds: int = 5,
    first_seed: int = 0,
    samplers: tuple[str, ...] = ("natural",),
    images: int = 400,
    embedding_dim: int = 16,
    noise: float = 0.02,
    prior: float = 0.3,
    tested: int | None = None,
    classes: Mapping[str, int] | None = None,
) -> Path:
    """Write the directory of a grid.

    Args:
        out: new directory.
        losses: class separation by name of the entrant; 1 is fair, 0 is chance.
        seeds: number of seeds per loss.
        first_seed: first seed, from which the others count up.
        samplers: samplers per loss.
        images: number of test images, shared by all runs.
        embedding_dim: size of the embeddings.
        noise: standard deviation of the separation over seeds.
        prior: share of the log of the drawn class frequencies in the scores; 1 for a calibrated softmax.
        tested: number of classes that have test images; all by default.
        classes: class name -> training images; the eight expressions by default.
    """
    classes = classes or dict(zip(NAMES, COUNTS, strict=True))
    tested = tested or len(classes)
    targets = np.repeat(np.arange(tested), -(-images // tested))[:images].astype(np.int64)
    selection = np.repeat(np.arange(len(classes)), 8).astype(np.int64)
    directions = np.random.default_rng(0).standard_normal((len(classes), embedding_dim)) / embedding_dim**0.5
    cells = []
    for seed in range(first_seed, first_seed + seeds):
        for sampler in samplers:
            for number, (loss, skill) in enumerate(losses.items()):
                draw = np.random.default_rng((seed, number, samplers.index(sampler)))
                own = skill + noise * draw.standard_normal() + 0.1 * samplers.index(sampler)
                name = f"{files.plain(loss)}-{sampler}-s{seed}"
                drawn = np.array(drawn_counts(tuple(classes.values()), Sampler(sampler)))
                carried = prior * np.log(drawn / drawn.sum())
                test = _predictions("test", targets, directions, own, carried, draw)
                predictions = Predictions(
                    test=test,
                    selection=_predictions("selection", selection, directions, own, carried, draw),
                    refit_scores=test.scores,
                    centers=3 * directions.astype(np.float32) if "center" in loss or "cluster" in loss else None,
                )
                formula, _, copy = loss.partition(" #")
                cell = GridCell(loss=formula, copy=int(copy or 1), sampler=sampler, seed=seed, name=name)
                _write(out / "cells" / name, cell, predictions, draw, classes)
                cells.append(cell)
    grid = GridFile(
        losses=tuple(loss.partition(" #")[0] for loss in losses),
        samplers=samplers,
        seeds=tuple(range(first_seed, first_seed + seeds)),
        cells=tuple(cells),
        command=("lossbench", "compare", "--losses", ", ".join(losses), "--seeds", str(seeds)),
    )
    write_grid_file(out, grid)
    return out


def _predictions(
    split: str,
    targets: npt.NDArray[np.int64],
    directions: npt.NDArray[Any],
    skill: float,
    prior: npt.NDArray[Any],
    draw: Any,
) -> SplitPredictions:
    """Return predictions on a split whose scores carry a (C,) prior, as those of plain softmax do."""
    hard = np.random.default_rng(len(targets)).standard_normal((len(targets), len(prior)))  # the images' own
    scores = hard + 0.5 * draw.standard_normal(hard.shape) + prior
    scores[np.arange(len(targets)), targets] += 3 * skill
    spread = draw.standard_normal((len(targets), directions.shape[1])) * 0.8 / directions.shape[1] ** 0.5
    return SplitPredictions(
        scores=scores.astype(np.float32),
        targets=targets,
        sample_ids=np.array([f"{split}/{row}" for row in range(len(targets))]),
        embeddings=(3 * skill * directions[targets] + spread).astype(np.float16),
    )


def _write(place: Path, cell: GridCell, predictions: Predictions, draw: Any, classes: Mapping[str, int]) -> None:
    place.mkdir(parents=True)
    options = {
        "loss": cell.loss, "sampler": cell.sampler, "seed": cell.seed, "data": "made", "epochs": EPOCHS, "lr": 0.003,
    }  # fmt: skip
    layout.write_config(place / layout.CONFIG, options)
    rows = [
        HistoryRow(
            epoch=e,
            loss=0.01 + 2 * 0.5**e,
            seconds=3.0 + draw.random(),
            selection_balanced_accuracy=float(0.2 + 0.5 * (e + 1) / EPOCHS + 0.02 * draw.random()),
        )
        for e in range(EPOCHS)
    ]
    write_history(place, rows)
    write_predictions(place, predictions)
    write_record(place, _record(cell, options, predictions, draw, classes))


def _record(
    cell: GridCell, options: dict[str, Any], predictions: Predictions, draw: Any, classes: Mapping[str, int]
) -> Record:
    targets, size, names = predictions.test.targets, len(classes), tuple(classes)
    counted = np.bincount(targets * size + predictions.test.scores.argmax(axis=1), minlength=size**2)
    confusion = counted.reshape(size, size)
    rows = confusion.sum(axis=1)
    recall = np.diag(confusion)[rows > 0] / rows[rows > 0]
    step = 0.09 + 0.01 * float(draw.random())
    return Record(
        schema_version=layout.SCHEMA_VERSION,
        formula=cell.loss,
        loss=cell.loss,
        seed=cell.seed,
        config=options,
        selected_epoch=None,
        confusion_matrix=tuple(map(tuple, confusion.tolist())),
        refit=RefitFacts(images=3600, converged=True),
        weights=None,
        metrics=Metrics(balanced_accuracy=float(recall.mean())),
        model=ModelFacts(
            name="made",
            weights="none",
            embedding_dim=predictions.test.vectors.shape[1],
            image_size=48,
            parameters=1000,
            preprocessing=Preprocessing(mean=(127.5,) * 3, std=(63.75,) * 3, image_size=48),
        ),
        data=DataFacts(
            spec="made",
            class_names=names,
            training_counts=dict(classes),
            drawn_counts=dict(zip(names, drawn_counts(tuple(classes.values()), Sampler(cell.sampler)), strict=True)),
            test_counts=dict(zip(names, rows.tolist(), strict=True)),
            selection_images=0 if predictions.selection is None else len(predictions.selection.targets),
            split_origin="made",
            train_digest=f"train {cell.seed}",
            test_digest="test",
        ),
        timing=Timing(
            seconds_per_step=step,
            loss_seconds_per_step=0.0005,
            train_seconds=40.0,
            total_seconds=44.0,
            images_per_second=1000.0,
            steps=100,
        ),
        memory=Memory(peak_bytes=900_000_000),
        environment=Environment(
            lossbench="0.1.0",
            python="3.11",
            platform="made",
            packages={"torch": "made"},
            device="cpu",
            device_name="made",
            cpu_threads=1,
            cpu_cores=2,
            command=("lossbench",),
        ),
    )


def made_record(cell: GridCell) -> Record:
    """Return the record of a made run without a directory."""
    draw = np.random.default_rng(cell.seed)
    targets, directions = np.repeat(np.arange(len(NAMES)), 8), draw.standard_normal((len(NAMES), 16))
    test = _predictions("test", targets, directions, 0.5, np.zeros(len(NAMES)), draw)
    classes = dict(zip(NAMES, COUNTS, strict=True))
    return _record(cell, {"loss": cell.loss, "sampler": cell.sampler}, Predictions(test=test), draw, classes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--losses", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--embedding-dim", type=int, default=512)
    options = parser.parse_args()
    losses = named_losses(options.losses)
    make_records(
        options.directory, losses, seeds=options.seeds, images=options.images, embedding_dim=options.embedding_dim
    )


if __name__ == "__main__":
    main()
