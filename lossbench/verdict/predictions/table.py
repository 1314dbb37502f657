"""Read tables of predictions as data sets of runs that answer the same samples."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import ConfigError
from ...runs.layout import RECORD
from .builder import DataSetBuilder
from .columns import SCORE, Chunk, read_chunks
from .data_set import DataSet
from .run_columns import run_chunk
from .values import few, texts

_REQUIRED = ("seed", "sample", "target")


def read_tables(files: Sequence[Path], counts: Mapping[str, int] | None = None) -> tuple[DataSet, ...]:
    """Read tables of predictions that are judged together.

    Args:
        files: `.csv`, `.npz` or `.parquet`, with one row per run and sample, or directories of finished runs.
        counts: class name -> training images, of `read_counts`.

    Raises:
        ConfigError: what is wrong, in which file and row, and what was expected.
    """
    builders: dict[str, DataSetBuilder] = {}
    for file in files:
        for chunk in [run_chunk(file)] if os.path.lexists(file / RECORD) else read_chunks(file):
            compared, scored = _check_columns(chunk)
            every = range(chunk.rows)
            names = texts(chunk, "dataset", every) if "dataset" in chunk.columns else [""] * chunk.rows
            for name in dict.fromkeys(names):
                rows = every if len(set(names)) == 1 else [row for row in every if names[row] == name]
                builders.setdefault(name, DataSetBuilder(name, counts)).add(chunk, compared, scored, rows)
    return tuple(builder.finish() for builder in builders.values())


def _check_columns(chunk: Chunk) -> tuple[str, list[str]]:
    """Return the name of the compared column and those of the score columns."""
    columns = chunk.columns
    if "loss" in columns and "model" in columns:
        raise ConfigError(f"{chunk.file} has both a column loss and a column model; keep the one that is compared")
    compared = "model" if "model" in columns else "loss"
    scored = [name for name in columns if name.startswith(SCORE)]
    missing = [name for name in (compared, *_REQUIRED) if name not in columns]
    if "predicted" not in columns and not scored:
        missing.append("predicted")
    if missing:
        raise ConfigError(
            f"{chunk.file} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}. Expected loss (or "
            "model), seed, sample, target, predicted (or score_<class> for every class), and optionally dataset; got "
            f"{few(columns)}"
        )
    if len(scored) == 1:
        raise ConfigError(f"{chunk.file} has one score column, {scored[0]}; expected one for every class")
    return compared, scored
