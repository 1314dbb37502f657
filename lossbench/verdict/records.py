"""The runs of a comparison as they lie on disk, each checked, and what is wrong with those that cannot be used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, RecordError, UsageError
from ..runs import layout
from ..runs.cells import CELLS, DONE, MISSING, TRIALS, state, trial_score
from ..runs.grid_file import BASELINE, GRID, GridCell, GridFile, GridTrial, entrant_name, read_grid_file
from ..runs.history import HistoryRow, read_history
from ..runs.options import RunConfig
from ..runs.options_file import read_options
from ..runs.predictions import Predictions, read_predictions
from ..runs.record import Record, read_record
from ..strict_files import check_within
from .thresholds import Thresholds, thresholds

DAMAGED = "damaged"
_DEEPEST = 4  # directories between the one that is named and a run

Ints = npt.NDArray[np.integer[Any]]


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
        predicted: (N,) predicted classes of the test images.
        targets: (N,) classes of the test images; one array for all runs that share them.
        thresholds: decision rules.
    """

    directory: Path
    loss: str
    sampler: str
    seed: int
    record: Record = field(repr=False)
    history: tuple[HistoryRow, ...] = field(repr=False)
    predicted: Ints = field(repr=False)
    targets: Ints = field(repr=False)
    thresholds: Thresholds = field(repr=False)
    copy: int = 1

    @property
    def predictions(self) -> Predictions:
        """Arrays of `predictions.npz` without embeddings, read at every access: those of all runs do not fit memory."""
        return read_predictions(self.directory, self.record)

    def with_embeddings(self) -> Predictions:
        """Read the predictions with embeddings and centers, which are large and stay on disk until then."""
        return read_predictions(self.directory, self.record, embeddings=True)


@dataclass(frozen=True)
class Problem:
    """A run that cannot take part.

    Attributes:
        loss: the entrant's name, or that of the directory if its options cannot be read.
        sampler: how training rows are drawn; empty if unknown.
        seed: of the run; -1 if unknown.
        status: "failed", "diverged", "missing" or "damaged".
        message: the reason.
    """

    loss: str
    sampler: str
    seed: int
    status: str
    message: str

    @property
    def run(self) -> str:
        """Which run it is."""
        return self.loss if self.seed < 0 else f"{self.loss}, {self.sampler}, seed {self.seed}"


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
    wanted = list(grid.cells) if grid else _single_runs(directory)
    if not wanted:
        raise ConfigError(f"{directory} holds neither {GRID} nor directories of runs")
    known: dict[bytes, Ints] = {}
    found = [
        cell if isinstance(cell, Problem) else _read(known, cell, directory, *getattr(cell, "above", (CELLS,)))
        for cell in wanted
    ]
    cells = [cell for cell in wanted if isinstance(cell, GridCell)]
    return Records(
        directory,
        tuple(dict.fromkeys(cell.loss for cell in cells)),
        tuple(dict.fromkeys(cell.sampler for cell in cells)),
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
        Trial(
            loss=entrant_name(t.loss, t.copy),
            sampler=t.sampler,
            values=t.values,
            score=_trial_score(directory, t.name),
            name=t.name,
        )
        for t in trials
    )


def _trial_score(directory: Path, name: str) -> float | None:
    try:
        return trial_score(check_within(directory, TRIALS, name))
    except (RecordError, OSError):
        return None


@dataclass(frozen=True, kw_only=True)
class _SingleRun(GridCell):
    """A run that no comparison made.

    Attributes:
        above: directories between the one that is named and the run.
    """

    above: tuple[str, ...] = ()


def _single_runs(directory: Path) -> list[GridCell | Problem]:
    """Return the directories below with a `config.toml`, as runs of the loss, sampler and seed in it."""
    found: list[GridCell | Problem] = []
    for name in sorted(_run_directories(directory)):
        try:
            place = check_within(directory, *name.split("/"))
            options = read_options(place / layout.CONFIG, str(place / layout.CONFIG), links=False)
            config = RunConfig(**options)
            *above, own = name.split("/")
            found.append(
                _SingleRun(loss=config.loss, sampler=config.sampler, seed=config.seed, name=own, above=tuple(above))
            )
        except (UsageError, TypeError, ValueError) as error:
            found.append(Problem(name, "", -1, DAMAGED, f"{layout.CONFIG} does not belong to a run: {error}"))
    places: dict[tuple[str, str, int], list[str]] = {}
    for cell in found:
        if isinstance(cell, _SingleRun):
            places.setdefault((cell.loss, cell.sampler, cell.seed), []).append("/".join((*cell.above, cell.name)))
    for (loss, sampler, seed), same in places.items():
        if len(same) > 1:
            raise ConfigError(
                f"{directory}: {loss} with sampler {sampler} and seed {seed} was run {len(same)} times: "
                f"{', '.join(same)}. Keep one of them"
            )
    return found


def _run_directories(directory: Path, inside: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the runs below a directory, as paths from it; nothing inside a run is one, and no link is followed."""
    with os.scandir(directory / inside) as entries:
        folders = [(f"{inside}/{entry.name}".lstrip("/"), entry.is_symlink()) for entry in entries if entry.is_dir()]
    for name, is_link in folders:
        if os.path.lexists(directory / name / layout.CONFIG):
            yield name
        elif not is_link and depth < _DEEPEST:
            yield from _run_directories(directory, name, depth + 1)


def _read(known: dict[bytes, Ints], cell: GridCell, root: Path, *above: str) -> Run | Problem:
    """Read one run; whatever is wrong with its files is its problem alone.

    Args:
        known: targets of the runs before it, so that runs share one array.
        cell: the run.
        root: directory of the comparison.
        above: directories between the two.
    """

    def problem(status: str, message: str) -> Problem:
        return Problem(entrant_name(cell.loss, cell.copy), cell.sampler, cell.seed, status, message)

    place = root.joinpath(*above, cell.name)
    if not os.path.lexists(place):
        return problem(MISSING, "it was not run")
    try:
        check_within(root, *above, cell.name)
        status, message = state(place)
        if status != DONE:
            return problem(status, message or "it did not finish")
        record = read_record(place)
        if (record.seed, record.config.get("sampler", cell.sampler)) != (cell.seed, cell.sampler):
            raise RecordError(f"{place / layout.RECORD} belongs to another run: its sampler or seed differs")
        predictions, data = read_predictions(place, record), record.data
        test = predictions.test
        return Run(
            place,
            cell.loss,
            cell.sampler,
            cell.seed,
            record,
            read_history(place),
            test.scores.argmax(axis=1).astype(np.int32),
            known.setdefault(test.targets.tobytes(), test.targets),
            thresholds(
                predictions,
                data.in_order(data.training_counts),
                data.in_order(data.drawn_counts),
                plain=record.formula == BASELINE,
            ),
            cell.copy,
        )
    except RecordError as error:
        return problem(DAMAGED, str(error))
    except (OSError, MemoryError) as error:
        return problem(DAMAGED, f"{place} cannot be read: {type(error).__name__}: {error}")
