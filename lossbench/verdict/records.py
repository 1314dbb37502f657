"""The runs of a comparison as they lie on disk, each checked, and what is wrong with those that can't be used."""

from __future__ import annotations

import json
import tomllib
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..runs import layout
from ..runs.cells import CELLS, FAILURE, MISSING, TRIALS, state

GRID = "compare.json"
DAMAGED = "damaged"
_NEEDED = ("config", "data", "metrics", "model", "timing", "memory", "environment", "formula", "seed")


@dataclass(frozen=True)
class Run:
    """A finished run whose files fit each other.

    Attributes:
        directory: where it lies.
        loss: the entrant's name.
        sampler: how training rows were drawn.
        seed: of the run.
        record: content of `record.json`.
        history: rows of `history.jsonl`.
    """

    directory: Path
    loss: str
    sampler: str
    seed: int
    record: dict[str, Any] = field(repr=False)
    history: list[dict[str, Any]] = field(repr=False)
    arrays: dict[str, npt.NDArray[Any]] = field(repr=False)

    def embeddings(self) -> dict[str, npt.NDArray[Any]]:
        """`test_embeddings` and, where the loss has them, `centers`; read when asked for, since they are large."""
        names = ("test_embeddings", "centers")
        with np.load(self.directory / layout.PREDICTIONS, allow_pickle=False) as stored:
            return {name: stored[name] for name in names if name in stored}


@dataclass(frozen=True)
class Problem:
    """A run that can't take part.

    Attributes:
        loss, sampler, seed: which one.
        status: "failed", "diverged", "missing" or "damaged".
        message: the reason.
    """

    loss: str
    sampler: str
    seed: int
    status: str
    message: str


@dataclass(frozen=True)
class Records:
    """What a directory holds.

    Attributes:
        directory: where.
        losses: entrants, in the order asked for.
        samplers: in the order asked for.
        runs: those that can be used.
        problems: those that can't.
        grid: content of `compare.json`; empty for a directory of single runs.
    """

    directory: Path
    losses: tuple[str, ...]
    samplers: tuple[str, ...]
    runs: tuple[Run, ...]
    problems: tuple[Problem, ...]
    grid: dict[str, Any]


def read_records(directory: Path) -> Records:
    """Reads a comparison's directory, or one whose subdirectories are runs.

    Raises:
        ConfigError: nothing there can be read as either, or another version wrote it.
    """
    if not directory.is_dir():
        raise ConfigError(f"{directory}: there is no such directory; expected that of a comparison or of runs")
    grid = _grid(directory)
    if grid:
        wanted = [(c["loss"], c["sampler"], int(c["seed"]), directory / CELLS / c["name"]) for c in grid["cells"]]
    else:
        wanted = _single_runs(directory)
    if not wanted:
        raise ConfigError(f"{directory} holds neither {GRID} nor directories of runs")
    found = [_read(*cell) for cell in wanted]
    return Records(
        directory,
        tuple(dict.fromkeys(loss for loss, *_ in wanted)),
        tuple(dict.fromkeys(sampler for _, sampler, *_ in wanted)),
        tuple(run for run in found if isinstance(run, Run)),
        tuple(problem for problem in found if isinstance(problem, Problem)),
        grid,
    )


def read_trials(directory: Path) -> list[dict[str, Any]]:
    """The trials of a tuning, as `compare.json` lists them, each with its last selection accuracy or None."""
    trials = []
    for trial in _grid(directory).get("trials", []):
        place = directory / TRIALS / trial["name"]
        trials.append({**trial, "score": None if state(place)[0] != "done" else _last_score(place)})
    return trials


def _last_score(place: Path) -> float | None:
    record = json.loads((place / layout.RECORD).read_text())
    history = [json.loads(line) for line in (place / layout.HISTORY).read_text().splitlines()]
    kept = record["selected_epoch"]
    score: float | None = history[-1 if kept is None else kept].get("selection_balanced_accuracy")
    return score


def _grid(directory: Path) -> dict[str, Any]:
    file = directory / GRID
    if not file.exists():
        return {}
    try:
        grid: dict[str, Any] = json.loads(file.read_text())
        version = grid["schema_version"]
        [(c["loss"], c["sampler"], c["seed"], c["name"]) for c in grid["cells"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} can't be read: {type(error).__name__}: {error}") from error
    if version != layout.SCHEMA_VERSION:
        raise ConfigError(layout.other_version(file, version))
    return grid


def _single_runs(directory: Path) -> list[tuple[str, str, int, Path]]:
    """Directories with a `config.toml`, as runs of what it says."""
    wanted = []
    for file in sorted(directory.glob(f"*/{layout.CONFIG}")):
        try:
            options = tomllib.loads(file.read_text())
            wanted.append((options["loss"], options.get("sampler", "natural"), int(options["seed"]), file.parent))
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"{file} is no run's: {type(error).__name__}: {error}") from error
    cells = [(loss, sampler, seed) for loss, sampler, seed, _ in wanted]
    for place, cell in zip(wanted, cells, strict=True):
        if cells.count(cell) > 1:
            others = [str(w[3]) for w, c in zip(wanted, cells, strict=True) if c == cell]
            raise ConfigError(
                f"{place[0]} with sampler {place[1]} and seed {place[2]} was run {len(others)} times: "
                f"{', '.join(others)}. Leave one of them"
            )
    return wanted


def _read(loss: str, sampler: str, seed: int, place: Path) -> Run | Problem:
    def problem(status: str, message: str) -> Problem:
        return Problem(loss, sampler, seed, status, message)

    status, message = state(place)
    if status != "done":
        told = message or ("it was not run" if not place.exists() else "it did not finish")
        return problem(status if (place / FAILURE).exists() else MISSING, told)
    try:
        record = json.loads((place / layout.RECORD).read_text())
        version = record["schema_version"]
        if version != layout.SCHEMA_VERSION:
            return problem(DAMAGED, layout.other_version(layout.RECORD, version))
        if absent := [name for name in _NEEDED if name not in record]:
            return problem(DAMAGED, f"record.json lacks {', '.join(absent)}")
        history = [json.loads(line) for line in (place / layout.HISTORY).read_text().splitlines()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return problem(DAMAGED, f"record.json or history.jsonl can't be read: {type(error).__name__}: {error}")
    try:
        arrays = _arrays(place / layout.PREDICTIONS)
        wrong = _mismatch(arrays, record)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        return problem(DAMAGED, f"predictions.npz is truncated or damaged: {type(error).__name__}: {error}")
    return problem(DAMAGED, wrong) if wrong else Run(place, loss, sampler, seed, record, history, arrays)


def _arrays(file: Path) -> dict[str, npt.NDArray[Any]]:
    """All arrays but embeddings, which stay on disk until they are asked for."""
    # Opened here: numpy would leave open what it can't read.
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
        names = [name for name in stored if not name.endswith("_embeddings") and name != "centers"]
        return {name: stored[name] for name in names}


def _mismatch(arrays: dict[str, npt.NDArray[Any]], record: dict[str, Any]) -> str:
    """What in the predictions contradicts the record; empty where nothing does."""
    scores, targets = arrays["test_scores"], arrays["test_targets"]
    classes = len(record["data"]["class_names"])
    images = sum(record["data"]["test_counts"].values())
    if scores.shape != (images, classes) or targets.shape != (images,):
        return (
            f"predictions.npz holds scores {scores.shape} and targets {targets.shape}; the record speaks of {images} "
            f"images in {classes} classes"
        )
    if not np.isfinite(scores).all() or targets.min() < 0 or targets.max() >= classes:
        return "predictions.npz holds scores that are not finite, or targets of no class"
    confusion = record.get("confusion_matrix")
    if confusion is not None:
        counted = np.bincount(targets * classes + scores.argmax(axis=1), minlength=classes**2)
        if counted.reshape(classes, classes).tolist() != confusion:
            return "the confusion matrix of record.json is not that of predictions.npz: one of them was replaced"
    return ""
