"""A comparison's directory without training: records, histories and predictions drawn at random, of the right form.

    python benchmarks/made_records.py DIR [--losses 5] [--seeds 5] [--images 4000] [--embedding-dim 512]

It stands in for real runs where only reading and judging them matters. Losses differ by known amounts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lossbench import files
from lossbench.data import Sampler
from lossbench.data.sampling import drawn_counts
from lossbench.runs import layout

COUNTS = (1869, 1041, 354, 346, 196, 89, 53, 52)
NAMES = ("happiness", "neutral", "sadness", "anger", "surprise", "fear", "disgust", "contempt")
FORMULAS = ("softmax", "weighted-softmax", "center", "triplet", "weighted-cluster", "softmax + 0.1*triplet")
EPOCHS = 12


def make_records(
    out: Path,
    losses: Mapping[str, float],
    *,
    seeds: int = 5,
    samplers: tuple[str, ...] = ("natural",),
    images: int = 400,
    embedding_dim: int = 16,
    noise: float = 0.02,
    prior: float = 0.3,
) -> Path:
    """Writes a grid's directory.

    Args:
        out: a new directory.
        losses: entrant's name -> how well it separates classes; 1 is fair, 0 is chance.
        seeds: of each.
        samplers: of each.
        images: of the test split, shared by all runs.
        embedding_dim: of the embeddings.
        noise: standard deviation of that over seeds.
        prior: how much of the log of the drawn class frequencies the scores carry; 1 as a calibrated softmax does.
    """
    targets = np.repeat(np.arange(len(NAMES)), -(-images // len(NAMES)))[:images].astype(np.int64)
    selection = np.repeat(np.arange(len(NAMES)), 8).astype(np.int64)
    directions = np.random.default_rng(0).standard_normal((len(NAMES), embedding_dim)) / embedding_dim**0.5
    cells = []
    for seed in range(seeds):
        for sampler in samplers:
            for number, (loss, skill) in enumerate(losses.items()):
                draw = np.random.default_rng((seed, number, samplers.index(sampler)))
                own = skill + noise * draw.standard_normal() + 0.1 * samplers.index(sampler)
                name = f"{files.plain(loss)}-{sampler}-s{seed}"
                drawn = np.array(drawn_counts(COUNTS, Sampler(sampler)))
                carried = prior * np.log(drawn / drawn.sum())
                arrays = _predictions("test", targets, directions, own, carried, draw)
                arrays |= _predictions("selection", selection, directions, own, carried, draw)
                arrays["test_refit_scores"] = arrays["test_scores"]
                if "center" in loss or "cluster" in loss:
                    arrays["centers"] = 3 * directions.astype(np.float32)
                _write(out / "cells" / name, loss, sampler, seed, arrays, draw)
                cells.append({"loss": loss, "sampler": sampler, "seed": seed, "name": name})
    grid = {
        "schema_version": layout.SCHEMA_VERSION, "losses": list(losses), "samplers": list(samplers),
        "seeds": list(range(seeds)), "cells": cells, "notes": [],
        "command": ["lossbench", "compare", "--losses", ", ".join(losses), "--seeds", str(seeds)],
    }  # fmt: skip
    files.write_json(out / "compare.json", grid)
    return out


def _predictions(
    split: str,
    targets: npt.NDArray[np.int64],
    directions: npt.NDArray[Any],
    skill: float,
    prior: npt.NDArray[Any],
    draw: Any,
) -> dict[str, npt.NDArray[Any]]:
    """Return arrays of a split whose scores carry a (C,) prior, as those of plain softmax do."""
    hard = np.random.default_rng(len(targets)).standard_normal((len(targets), len(NAMES)))  # the images' own
    scores = 3 * skill * np.eye(len(NAMES))[targets] + hard + 0.5 * draw.standard_normal(hard.shape)
    scores += prior
    spread = draw.standard_normal((len(targets), directions.shape[1])) * 0.8 / directions.shape[1] ** 0.5
    return {
        f"{split}_scores": scores.astype(np.float32),
        f"{split}_embeddings": (3 * skill * directions[targets] + spread).astype(np.float16),
        f"{split}_targets": targets,
        f"{split}_sample_ids": np.array([f"{split}/{row}" for row in range(len(targets))]),
    }


def _write(place: Path, loss: str, sampler: str, seed: int, arrays: dict[str, npt.NDArray[Any]], draw: Any) -> None:
    place.mkdir(parents=True)
    formula = loss.partition(" #")[0]
    options = {"loss": formula, "sampler": sampler, "seed": seed, "data": "made", "epochs": EPOCHS, "lr": 0.003}
    layout.write_config(place / layout.CONFIG, options)
    history = [
        {"epoch": e, "loss": 2 / (e + 1), "seconds": 3.0 + draw.random(), "gradient_ratio": {}, "terms": {},
         "selection_balanced_accuracy": float(0.2 + 0.5 * (e + 1) / EPOCHS + 0.02 * draw.random())}
        for e in range(EPOCHS)
    ]  # fmt: skip
    files.write_text(place / layout.HISTORY, "".join(json.dumps(row) + "\n" for row in history))
    files.write_arrays(place / layout.PREDICTIONS, arrays)
    files.write_json(place / layout.RECORD, _record(formula, options, seed, arrays, draw))


def _record(
    formula: str, options: dict[str, Any], seed: int, arrays: dict[str, npt.NDArray[Any]], draw: Any
) -> dict[str, Any]:
    targets, classes = arrays["test_targets"], len(NAMES)
    counted = np.bincount(targets * classes + arrays["test_scores"].argmax(axis=1), minlength=classes**2)
    confusion = counted.reshape(classes, classes)
    step = 0.09 + 0.01 * float(draw.random())
    return {
        "schema_version": layout.SCHEMA_VERSION, "formula": formula, "loss": formula, "seed": seed, "config": options,
        "selected_epoch": None, "confusion_matrix": confusion.tolist(), "refit": {"images": 3600, "converged": True},
        "weights": None,
        "metrics": {"balanced_accuracy": float((np.diag(confusion) / confusion.sum(axis=1)).mean())},
        "model": {"name": "made", "weights": "none", "embedding_dim": 16, "image_size": 48, "parameters": 1000,
                  "preprocessing": {}},
        "data": {
            "spec": "made", "release": None, "box_margin": None, "class_names": list(NAMES),
            "training_counts": dict(zip(NAMES, COUNTS, strict=True)),
            "drawn_counts": dict(zip(NAMES, drawn_counts(COUNTS, Sampler(options["sampler"])), strict=True)),
            "test_counts": dict(zip(NAMES, confusion.sum(axis=1).tolist(), strict=True)),
            "selection_images": len(arrays["selection_targets"]), "train_digest": f"train {seed}",
            "test_digest": "test", "split_origin": "made", "notes": [],
        },
        "timing": {"seconds_per_step": step, "loss_seconds_per_step": 0.0005, "train_seconds": 40.0,
                   "total_seconds": 44.0, "images_per_second": 1000.0, "steps": 100},
        "memory": {"peak_bytes": 900_000_000},
        "environment": {"lossbench": "0.1.0", "python": "3.11", "packages": {"torch": "made"}, "device": "cpu",
                        "device_name": "made", "platform": "made", "tf32": None, "deterministic_algorithms": False,
                        "processes": 1, "cpu_threads": 1, "cpu_cores": 2, "command": ["lossbench"]},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--losses", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--embedding-dim", type=int, default=512)
    options = parser.parse_args()
    losses = {formula: 0.5 + 0.03 * n for n, formula in enumerate(FORMULAS[: options.losses])}
    make_records(
        options.directory, losses, seeds=options.seeds, images=options.images, embedding_dim=options.embedding_dim
    )


if __name__ == "__main__":
    main()
