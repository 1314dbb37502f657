"""Open the test images of a finished run again."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...data.sources import open_unchecked
from ...data.table import ImageTable
from ...errors import DataError, RecordError, UsageError, listed
from ...runs.options import RunConfig
from ...runs.record import Record

_SHOWN = 5


def open_stored_rows(directory: Path, record: Record, sample_ids: Sequence[str], data: str | None = None) -> ImageTable:
    """Return the test images of a run as a table whose rows are those of its stored predictions.

    Args:
        directory: directory of the run, for messages.
        record: its record.
        sample_ids: names of the stored predictions.
        data: where the data lies now, as `--data` writes it; None for where the run read it.

    Raises:
        DataError: the data cannot be opened, or some of the images are no longer in it.
        RecordError: the options in the record are not those of a run.
    """
    try:
        config = RunConfig(**record.config)  # type: ignore[arg-type]  # the constructor checks every value
    except (TypeError, ValueError) as error:
        raise RecordError(f"{directory}: the record has options that no run has: {error}") from error
    config = dataclasses.replace(config, data=data) if data is not None else config
    where = f"the test images of {directory} (--data {config.data})"
    try:
        table = open_unchecked(config.data, **config.opening()).test
    except UsageError as error:
        raise DataError(f"{where} cannot be opened: {error}\nPass --data with where they are now") from error
    rows = defaultdict(list)
    for row, name in reversed(list(enumerate(table.sample_ids))):
        rows[name].append(row)
    gone = [name for name in sample_ids if not rows[name]]
    found = [rows[name].pop() for name in sample_ids if rows[name]]
    if len(found) < len(sample_ids):
        raise DataError(
            f"{where}: {len(sample_ids) - len(found):,} of {len(sample_ids):,} images are no longer in this data:\n"
            f"{listed(gone, limit=_SHOWN)}\nPass --data with where they are now"
        )
    return table.subset(np.array(found, dtype=np.int64))
