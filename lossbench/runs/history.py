"""`history.jsonl`: one row per epoch, with one reader and one writer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import files
from ..errors import RecordError
from ..strict_files import read_bytes
from .json_text import FieldError, parse
from .layout import HISTORY
from .typed_json import Count, Seconds, Share, plain, read_as

_LIMIT = 64 * 2**20  # bytes


@dataclass(frozen=True, kw_only=True)
class HistoryRow:
    """One epoch of a run.

    Attributes:
        epoch: from 0.
        loss: mean over the epoch's training images.
        lr: learning rate of the last step.
        terms: term of the objective -> its value on the last batch; empty for an objective of one term.
        gradient_ratio: auxiliary term -> norm of its gradient on the embeddings over the primary term's.
        scatter_to_radius: within-class scatter over the spread of the class means, on the last batch.
        seconds: training time of the epoch.
        images_per_second: training images over `seconds`.
        selection_balanced_accuracy: on the selection split; None without one.
    """

    epoch: Count
    loss: float
    seconds: Seconds
    lr: Seconds | None = None
    terms: dict[str, float | None] = field(default_factory=dict)
    gradient_ratio: dict[str, float | None] = field(default_factory=dict)
    scatter_to_radius: float | None = None
    images_per_second: Seconds | None = None
    selection_balanced_accuracy: Share | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON-ready; without a selection split it has no `selection_balanced_accuracy`."""
        row = {name: plain(getattr(self, name)) for name in self.__dataclass_fields__}
        if self.selection_balanced_accuracy is None:
            del row["selection_balanced_accuracy"]
        return row


def write_history(directory: Path, rows: Sequence[HistoryRow]) -> None:
    """Write `history.jsonl`."""
    files.write_text(
        directory / HISTORY,
        "".join(json.dumps(row.to_json(), allow_nan=False) + "\n" for row in rows),
        make_directory=False,
    )


def read_history(directory: Path) -> tuple[HistoryRow, ...]:
    """Read the rows of `history.jsonl`, in the order of the epochs.

    Raises:
        RecordError: it is missing or damaged.
    """
    file = directory / HISTORY
    rows = []
    for number, line in enumerate(read_bytes(file, _LIMIT).splitlines()):
        try:
            row = read_as(HistoryRow, parse(line))
            if row.epoch != number:
                raise FieldError(f"epoch: expected {number}, got {row.epoch}")
        except FieldError as error:
            raise RecordError(f"{file}, line {number + 1}: {error}") from error
        rows.append(row)
    return tuple(rows)
