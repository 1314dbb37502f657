"""The numbers of a checkpoint's manifest, typed: where a run is, and what it took so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import CheckpointError
from ...runs.history import HistoryRow
from ...runs.json_text import FieldError
from ...runs.typed_json import Count, Seconds, Share, read_as


@dataclass(frozen=True, kw_only=True)
class BestEpoch:
    """The best epoch on the selection split so far."""

    epoch: Count
    balanced_accuracy: Share


@dataclass(frozen=True, kw_only=True)
class ProcessPosition:
    """What each process counts on its own."""

    step: Count
    begun: bool
    rows_left_out: Count
    seconds: Seconds
    seconds_before: Seconds
    clock_steps: Count
    data_wait_seconds: Seconds


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a run is.

    Attributes:
        epoch: epoch in progress, or the next one.
        history: one row per finished epoch.
        best: best epoch so far; None without a selection split.
        seconds: duration of the run so far.
        checkpoint_seconds: time spent on checkpoints.
        checkpoints: number of checkpoints written.
        resumed: how often the run was resumed.
        processes: what each process counts.
    """

    epoch: Count
    history: tuple[HistoryRow, ...]
    best: BestEpoch | None
    seconds: Seconds
    checkpoint_seconds: Seconds
    checkpoints: Count
    resumed: Count
    processes: tuple[ProcessPosition, ...]


def position_of(content: Mapping[str, Any], epochs: int, steps: int) -> Position:
    """Return the position that a manifest holds.

    Args:
        content: of the manifest.
        epochs: of the run.
        steps: of one epoch.

    Raises:
        CheckpointError: a number is missing, of another kind, or beyond the run.
    """
    try:
        position = read_as(Position, dict(content))
    except FieldError as error:
        raise CheckpointError(f"its manifest does not hold the position of a run: {error}") from error
    beyond = [process.step for process in position.processes if process.step > steps]
    if position.epoch > epochs or position.epoch != len(position.history) or beyond:
        raise CheckpointError(
            f"its manifest holds epoch {position.epoch} with {len(position.history)} rows of history and steps "
            f"{[process.step for process in position.processes]}; the run has {epochs} epochs of {steps} steps"
        )
    return position
