"""`compare.json`: the runs that belong to a comparison, with one reader and one writer."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import file_names, files
from ..errors import RecordError
from ..strict_files import read_bytes
from .json_text import FieldError, parse
from .layout import SCHEMA_VERSION, other_version
from .typed_json import Count, Positive, Scalar, plain, read_as

GRID = file_names.GRID
BASELINE = "softmax"  # takes part in every comparison: a loss must beat it with its scores shifted
_LIMIT = 64 * 2**20  # bytes
_MOST_CELLS = 100_000


def entrant_name(loss: str, copy: int) -> str:
    """Return the name of a loss in a comparison; a loss that is listed twice is told apart by a number.

    Example:
        >>> entrant_name("softmax", 1), entrant_name("softmax", 2)
        ('softmax', 'softmax #2')
    """
    return loss if copy == 1 else f"{loss} #{copy}"


def _check_name(name: str) -> None:
    if not name or name in (".", "..") or os.sep in name or "\0" in name or len(name) > 255:
        raise ValueError(f"name must be that of a directory within the comparison, got {name[:60]!r}")


@dataclass(frozen=True, kw_only=True)
class GridCell:
    """One run of a comparison.

    Attributes:
        loss: as written.
        copy: 2 for the second run of a loss that is listed twice, and so on.
        sampler: how training rows are drawn.
        seed: of the run.
        fold: its test fold, from 1; None without folds.
        name: of its directory within `cells`.
    """

    loss: str
    copy: Positive = 1
    sampler: str
    seed: Count
    fold: Positive | None = None
    name: str

    def __post_init__(self) -> None:
        _check_name(self.name)


@dataclass(frozen=True, kw_only=True)
class GridTrial:
    """One trial of a tuning.

    Attributes:
        loss, copy, sampler: what was tuned, as in `GridCell`.
        values: option or hyper-parameter -> value.
        name: of its directory within `trials`.
    """

    loss: str
    copy: Positive = 1
    sampler: str
    values: dict[str, float]
    name: str

    def __post_init__(self) -> None:
        _check_name(self.name)


@dataclass(frozen=True, kw_only=True)
class GridFile:
    """Everything that `compare.json` holds.

    Attributes:
        schema_version: of this form.
        losses: as written, in the order asked for; a loss that is listed twice appears twice.
        samplers, seeds: in the order asked for.
        cells: the runs.
        notes: what the user was told.
        command: the command line.
        trials: of the tuning.
        tuned_options: options that were tuned for each loss, which may differ between runs.
        tuned: "loss, sampler" -> values that tuning chose.
        claims, against, equal_within: planned questions, as written; `equal_within` in points.
        looks: numbers of seeds at which a verdict was given.
    """

    schema_version: int = SCHEMA_VERSION
    losses: tuple[str, ...]
    samplers: tuple[str, ...]
    seeds: tuple[Count, ...]
    cells: tuple[GridCell, ...]
    notes: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    trials: tuple[GridTrial, ...] = ()
    tuned_options: tuple[str, ...] = ()
    tuned: dict[str, dict[str, Scalar]] = field(default_factory=dict)
    claims: tuple[str, ...] = ()
    against: str | None = None
    equal_within: float | None = None
    looks: tuple[Count, ...] = ()

    def __post_init__(self) -> None:
        for kind, rows in (("cells", self.cells), ("trials", self.trials)):
            if len(rows) > _MOST_CELLS:
                raise ValueError(f"{kind}: {len(rows):,} entries; at most {_MOST_CELLS:,} are read")
            if len({row.name for row in rows}) < len(rows):
                raise ValueError(f"{kind}: two of them have the same name")

    def to_json(self) -> dict[str, Any]:
        """Return the file's content as JSON-ready."""
        return {name: plain(getattr(self, name)) for name in self.__dataclass_fields__}


def write_grid_file(directory: Path, grid: GridFile) -> None:
    """Write `compare.json`."""
    files.write_json(directory / GRID, grid.to_json())


def read_grid_file(directory: Path) -> GridFile:
    """Read `compare.json`.

    Raises:
        RecordError: it is missing, damaged, names a directory outside the comparison, or has another schema version.
    """
    file = directory / GRID
    try:
        content = parse(read_bytes(file, _LIMIT))
        version = content.get("schema_version") if isinstance(content, dict) else None
        if type(version) is int and version != SCHEMA_VERSION:
            raise RecordError(other_version(file, version))
        return read_as(GridFile, content)
    except FieldError as error:
        raise RecordError(f"{file} is not the file of a comparison: {error}") from error
