"""Read the files of one run, and of the trials of a tuning; what is wrong with a run is its problem alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import RecordError
from ..runs import layout
from ..runs.cells import DONE, MISSING, TRIALS, state, trial_score
from ..runs.grid_file import GridCell, GridTrial, entrant_name
from ..runs.history import read_history
from ..runs.predictions import read_predictions
from ..runs.record import read_record
from ..strict_files import check_within
from .runs import DAMAGED, Ints, Problem, Run, Trial
from .thresholds import thresholds_of


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


def read_run(known: dict[bytes, Ints], cell: GridCell, root: Path, *above: str) -> Run | Problem:
    """Read one run; whatever is wrong with its files is its problem alone.

    Args:
        known: targets of the runs before it, so that runs share one array.
        cell: the run.
        root: directory of the comparison.
        above: directories between the two.
    """

    def problem(status: str, message: str) -> Problem:
        return Problem(entrant_name(cell.loss, cell.copy), cell.sampler, cell.seed, status, message, cell.fold)

    place = root.joinpath(*above, cell.name)
    if not os.path.lexists(place):
        return problem(MISSING, "it was not run")
    try:
        check_within(root, *above, cell.name)
        status, message = state(place)
        if status != DONE:
            return problem(status, message or "it did not finish")
        record = read_record(place)
        own = (record.seed, record.config.get("sampler", cell.sampler), record.config.get("fold"))
        if own != (cell.seed, cell.sampler, cell.fold):
            raise RecordError(f"{place / layout.RECORD} belongs to another run: its sampler, seed or fold differs")
        predictions = read_predictions(place, record)
        test = predictions.test
        return Run(
            place,
            cell.loss,
            cell.sampler,
            cell.seed,
            replace(record, confusion_matrix=None),  # that of the predictions; with many classes it is large
            read_history(place),
            test.scores.argmax(axis=1).astype(np.int32),
            known.setdefault(test.targets.tobytes(), test.targets),
            thresholds_of(record, predictions),
            cell.copy,
            cell.fold,
        )
    except RecordError as error:
        return problem(DAMAGED, str(error))
    except (OSError, MemoryError) as error:
        return problem(DAMAGED, f"{place} cannot be read: {type(error).__name__}: {error}")
