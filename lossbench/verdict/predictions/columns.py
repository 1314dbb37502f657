"""Files of predictions as chunks of columns, one value per row and column."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError, missing_package
from ...runs.npz_reader import ZIP_ERRORS, NpzReader
from ...strict_files import open_regular
from ...what_is import what_is

ROWS = 20_000  # per chunk
SCORE = "score_"
Column = Sequence[Any] | npt.NDArray[Any]


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a file.

    Attributes:
        file: where they stand.
        columns: name -> one value per row.
        first: number of the first row; the header of a CSV file is row 1.
    """

    file: Path
    columns: dict[str, Column]
    first: int

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))

    def where(self, row: int) -> str:
        """Return file and row number of the row at an index, for messages."""
        return f"{self.file}, row {self.first + row}"


def read_chunks(file: Path) -> Iterator[Chunk]:
    """Read a table of predictions.

    Args:
        file: `.csv`, `.npz` or `.parquet`.

    Raises:
        ConfigError: the file cannot be read as such a table.
    """
    readers = {".csv": _csv_chunks, ".npz": _npz_chunks, ".parquet": _parquet_chunks}
    reader = readers.get(file.suffix.lower())
    if file.is_dir():
        raise ConfigError(
            f"{file}: expected tables of predictions ({', '.join(readers)}) or directories of finished runs; it is "
            f"{what_is(file)}"
        )
    if reader is None:
        raise ConfigError(f"{file}: expected a name that ends in {', '.join(readers)}; it is {what_is(file)}")
    if not file.is_file():
        raise ConfigError(f"{file}: no such file; expected a table of predictions")
    try:
        yield from reader(file)
    except ConfigError:
        raise
    except (*ZIP_ERRORS, csv.Error) as error:
        raise ConfigError(f"{file} cannot be read as {file.suffix[1:].upper()}: {error}") from error


def _csv_chunks(file: Path) -> Iterator[Chunk]:
    with open_regular(file) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as opened:
        reader = csv.reader(opened, strict=True)
        header = [name.strip() for name in next(reader, [])]
        if not header:
            raise ConfigError(f"{file} is empty; expected a header row")
        if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
            raise ConfigError(f"{file}: the header {header[0]!r} has one column; separate columns by commas")
        if repeated := [name for name in dict.fromkeys(header) if header.count(name) > 1]:
            raise ConfigError(f"{file} has several columns named {', '.join(repeated)}; remove all but one")
        first = 2
        while rows := list(islice(reader, ROWS)):
            if any(len(row) != len(header) for row in rows):
                at, row = next((n, row) for n, row in enumerate(rows) if len(row) != len(header))
                raise ConfigError(
                    f"{file}, row {first + at}: {len(row)} values, but the header has {len(header)} columns"
                )
            yield Chunk(file, dict(zip(header, zip(*rows, strict=True), strict=True)), first)
            first += len(rows)
        if first == 2:
            raise ConfigError(f"{file} has no rows below its header")


def _npz_chunks(file: Path) -> Iterator[Chunk]:
    with open_regular(file) as raw, zipfile.ZipFile(raw) as archive:
        arrays = NpzReader(archive).columns()
    if "scores" in arrays:
        scores, names = arrays.pop("scores"), arrays.pop("classes", None)
        if names is None or scores.ndim != 2 or names.shape != scores.shape[1:]:
            raise ConfigError(
                f"{file}: scores needs shape (rows, classes) and an array classes with one name per column, got scores "
                f"{scores.shape} and classes {None if names is None else names.shape}"
            )
        arrays |= {f"{SCORE}{name}": scores[:, n] for n, name in enumerate(names.tolist())}
    lengths = {name: len(array) for name, array in arrays.items() if array.ndim == 1}
    if wrong := [name for name, array in arrays.items() if array.ndim > 1]:
        raise ConfigError(f"{file}: {', '.join(wrong)} must have one value per row, got shape {arrays[wrong[0]].shape}")
    if len(set(lengths.values())) != 1 or not all(lengths.values()):
        raise ConfigError(f"{file}: arrays must have one value per row and equal lengths, got {lengths or 'none'}")
    rows = next(iter(lengths.values()))
    columns = {name: np.broadcast_to(array, rows) for name, array in arrays.items()}
    for start in range(0, rows, ROWS):
        yield Chunk(file, {name: column[start : start + ROWS] for name, column in columns.items()}, start + 1)


def _parquet_chunks(file: Path) -> Iterator[Chunk]:
    try:
        from pyarrow.lib import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise missing_package("Parquet files", "parquet", error) from error
    try:
        first = 1
        for batch in ParquetFile(file).iter_batches(batch_size=ROWS):
            columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
            yield Chunk(file, columns, first)
            first += batch.num_rows
    except ArrowException as error:
        raise ConfigError(f"{file} cannot be read as PARQUET: {error}") from error
    if first == 1:
        raise ConfigError(f"{file} has no rows")
