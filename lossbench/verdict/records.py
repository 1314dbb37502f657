"""The runs of a comparison as they lie on disk, each checked, and what is wrong with those that can't be used."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError, RecordError
from ..runs import layout
from ..runs.cells import CELLS, DONE, FAILURE, MISSING, TRIALS, state, trial_score
from ..runs.grid_file import GRID, GridCell, GridFile, GridTrial, entrant_name, read_grid_file
from ..runs.history import HistoryRow, read_history
from ..runs.predictions import Predictions, read_predictions
from ..runs.record import Record, read_record

DAMAGED = "damaged"


@dataclass(frozen=True)
class Run:
    """A finished run whose files fit each other.

    Attributes:
        directory: where it lies.
        loss: as written.
        copy: 2 for the second run of a loss that is listed twice, and so on.
        sampler: how training rows were drawn.
        seed: of the run.
        record: content of `record.json`.
        history: rows of `history.jsonl`.
        predictions: arrays of `predictions.npz` without embeddings.
    """

    directory: Path
    loss: str
    sampler: str
    seed: int
    record: Record = field(repr=False)
    history: tuple[HistoryRow, ...] = field(repr=False)
    predictions: Predictions = field(repr=False)
    copy: int = 1

    def with_embeddings(self) -> Predictions:
        """Read the predictions with embeddings and centers, which are large and stay on disk until then."""
        return read_predictions(self.directory, self.record, embeddings=True)


@dataclass(frozen=True)
class Problem:
    """A run that cannot take part.

    Attributes:
        loss, sampler, seed: which one; `loss` is the entrant's name.
        status: "failed", "diverged", "missing" or "damaged".
        message: the reason.
    """

    loss: str
    sampler: str
    seed: int
    status: str
    message: str


@dataclass(frozen=True)
class Trial:
    """A trial of a tuning.

    Attributes:
        loss: the entrant's name.
        sampler: how training rows were drawn.
        values: option or hyper-parameter -> value.
        score: balanced accuracy on the selection split; None if the trial has no usable record.
        name: of its directory.
    """

    loss: str
    sampler: str
    values: dict[str, float]
    score: float | None
    name: str


@dataclass(frozen=True)
class Records:
    """What a directory holds.

    Attributes:
        directory: where.
        losses: as written, in the order asked for, each once.
        samplers: in the order asked for.
        runs: those that can be used.
        problems: those that cannot.
        grid: content of `compare.json`; None for a directory of single runs.
    """

    directory: Path
    losses: tuple[str, ...]
    samplers: tuple[str, ...]
    runs: tuple[Run, ...]
    problems: tuple[Problem, ...]
    grid: GridFile | None


def read_records(directory: Path) -> Records:
    """Read the directory of a comparison, or one whose subdirectories are runs.

    Raises:
        ConfigError: it is neither.
        RecordError: its `compare.json` is damaged or was written in another schema version.
    """
    if not directory.is_dir():
        raise ConfigError(f"{directory}: no such directory; expected that of a comparison, or one that holds runs")
    grid = read_grid_file(directory) if os.path.lexists(directory / GRID) else None
    wanted = [(cell, directory / CELLS / cell.name) for cell in grid.cells] if grid else _single_runs(directory)
    if not wanted:
        raise ConfigError(f"{directory} holds neither {GRID} nor directories of runs")
    found = [_read(*cell) for cell in wanted]
    return Records(
        directory,
        tuple(dict.fromkeys(cell.loss for cell, _ in wanted)),
        tuple(dict.fromkeys(cell.sampler for cell, _ in wanted)),
        tuple(run for run in found if isinstance(run, Run)),
        tuple(problem for problem in found if isinstance(problem, Problem)),
        grid,
    )


def read_trials(directory: Path, trials: Sequence[GridTrial]) -> tuple[Trial, ...]:
    """Return the trials of a tuning with their scores.

    Args:
        directory: of the comparison.
        trials: as `compare.json` lists them.
    """
    return tuple(
        Trial(entrant_name(t.loss, t.copy), t.sampler, t.values, trial_score(directory / TRIALS / t.name), t.name)
        for t in trials
    )


def _single_runs(directory: Path) -> list[tuple[GridCell, Path]]:
    """Return the directories with a `config.toml`, as runs of the loss, sampler and seed in it."""
    wanted = []
    for file in sorted(directory.glob(f"*/{layout.CONFIG}")):
        try:
            options = tomllib.loads(file.read_text())
            sampler, seed = options.get("sampler", "natural"), int(options["seed"])
            cell = GridCell(loss=options["loss"], sampler=sampler, seed=seed, name=file.parent.name)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{file} does not belong to a run: {type(error).__name__}: {error}") from error
        wanted.append((cell, file.parent))
    places: dict[tuple[str, str, int], list[Path]] = {}
    for cell, place in wanted:
        places.setdefault((cell.loss, cell.sampler, cell.seed), []).append(place)
    for (loss, sampler, seed), same in places.items():
        if len(same) > 1:
            raise ConfigError(
                f"{loss} with sampler {sampler} and seed {seed} was run {len(same)} times: "
                f"{', '.join(map(str, same))}. Keep one of them"
            )
    return wanted


def _read(cell: GridCell, place: Path) -> Run | Problem:
    def problem(status: str, message: str) -> Problem:
        return Problem(entrant_name(cell.loss, cell.copy), cell.sampler, cell.seed, status, message)

    status, message = state(place)
    if status != DONE:
        reason = message or ("it was not run" if not place.exists() else "it did not finish")
        return problem(status if (place / FAILURE).exists() else MISSING, reason)
    try:
        record = read_record(place)
        history = read_history(place)
        predictions = read_predictions(place, record)
    except RecordError as error:
        return problem(DAMAGED, str(error))
    return Run(place, cell.loss, cell.sampler, cell.seed, record, history, predictions, cell.copy)
