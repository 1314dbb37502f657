"""The predictions of a finished run as columns of a table, so that it is judged beside other tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...data import Sampler
from ...runs import layout
from ...runs.predictions import read_predictions
from ...runs.record import read_record
from .columns import SCORE, Chunk, Column


def run_chunk(directory: Path) -> Chunk:
    """Return the test predictions of a finished run, or of one that `lossbench evaluate` wrote.

    A loss under another sampler than the natural one is named after both, as in a comparison of samplers.

    Raises:
        RecordError: a file of the run is missing or damaged.
    """
    record = read_record(directory)
    test, names = read_predictions(directory, record).test, record.data.class_names
    assert test.sample_ids is not None
    rows, sampler = len(test.targets), record.config.get("sampler", Sampler.NATURAL)
    loss = str(record.config.get("loss", record.formula))
    columns: dict[str, Column] = {
        "loss": np.broadcast_to(loss if sampler == Sampler.NATURAL else f"{loss}, {sampler}", rows),
        "seed": np.broadcast_to(record.seed, rows),
        "sample": test.sample_ids,
        "target": np.array(names)[test.targets],
        **{f"{SCORE}{name}": test.scores[:, n] for n, name in enumerate(names)},
    }
    return Chunk(directory / layout.PREDICTIONS, columns, 1)
