"""Tiny runs: pictures of three classes, a network of 0.1 M parameters, three epochs of four steps."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.torch import load_file

from lossbench.harness.reporter import SilentReporter
from lossbench.runs.options import RunConfig

LOSSES = ("softmax", "weighted-softmax", "center", "triplet", "weighted-cluster")
EPOCHS, STEPS = 3, 4
ROWS, BATCH = 31, 8
_TIMES = ("seconds", "images_per_second")


def make_pictures(folder: Path, rows: int = ROWS) -> Path:
    """A manifest of small pictures of three classes, not quite told apart by color, with a split."""
    draw = np.random.default_rng(0)
    lines = ["path,label,split"]
    for split, count in (("train", rows), ("val", 6)):
        for i in range(count):
            pixels = draw.integers(0, 120, (24, 24, 3), dtype=np.uint8)
            pixels[:, :, i % 3] += 60
            Image.fromarray(pixels).save(folder / f"{split}{i}.png")
            lines.append(f"{split}{i}.png,{'abc'[i % 3]},{split}")
    (folder / "all.csv").write_text("\n".join(lines) + "\n")
    return folder / "all.csv"


def tiny(data: Path, loss: str = "weighted-cluster", **options: Any) -> RunConfig:
    """The options of a tiny run."""
    base = RunConfig(
        loss=loss, data=f"csv:{data}", model="test_efficientnet", image_size=32, epochs=EPOCHS, batch_size=BATCH,
        lr=1e-2, device="cpu", seed=5, augment="standard",
    )  # fmt: skip
    return dataclasses.replace(base, **options)


def arguments(config: RunConfig) -> list[str]:
    """The same for the command line."""
    base = RunConfig(loss=config.loss)
    given: list[str] = []
    for name, value in config.as_options().items():
        if value != getattr(base, name) or name == "loss":
            given += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    return given


class StopsAt(SilentReporter):
    """A reporter that sends this process a signal after a number of steps."""

    def __init__(self, step: int, number: int = signal.SIGTERM) -> None:
        self.left, self.number = step, number
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)

    warning = message

    def step(self, epoch: int) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


class Listens(SilentReporter):
    """A reporter that remembers what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)

    warning = message


def outcome(directory: Path) -> dict[str, Any]:
    """All of a finished run that must not depend on interruptions: weights, metrics, predictions, history."""
    record = json.loads((directory / "record.json").read_text())
    history = [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]
    with np.load(directory / "predictions.npz", allow_pickle=False) as file:
        predictions = {name: value.tobytes() for name, value in file.items()}
    return {
        "weights": {n: t.numpy().tobytes() for n, t in load_file(directory / "checkpoint/weights.safetensors").items()},
        "history": [{name: value for name, value in row.items() if name not in _TIMES} for row in history],
        "predictions": predictions,
        **{
            name: record[name] for name in ("metrics", "confusion_matrix", "selected_epoch", "formula", "data", "model")
        },
    }


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two outcomes are equal to the last bit."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value == other[name], name
