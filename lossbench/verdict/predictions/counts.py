"""Training images per class, for scores that carry the training distribution."""

from __future__ import annotations

from pathlib import Path

from ...errors import ConfigError
from .columns import read_chunks

_COLUMNS = ("class", "training_count")
_MOST_DIGITS = 15


def read_counts(file: Path) -> dict[str, int]:
    """Return class name -> number of training images.

    Args:
        file: a table with the columns `class` and `training_count`.

    Raises:
        ConfigError: a column is missing, a class is listed twice, or a count is not a positive integer.
    """
    counts: dict[str, int] = {}
    for chunk in read_chunks(file):
        if missing := [name for name in _COLUMNS if name not in chunk.columns]:
            raise ConfigError(
                f"{file} lacks the column {' and '.join(missing)}; expected {' and '.join(_COLUMNS)}, got "
                f"{', '.join(chunk.columns)}"
            )
        for row, (name, text) in enumerate(zip(*(chunk.columns[name] for name in _COLUMNS), strict=True)):
            label, written = str(name).strip(), str(text).strip()
            if not written.isdecimal() or len(written) > _MOST_DIGITS or int(written) < 1:
                raise ConfigError(
                    f"{chunk.where(row)}: training_count of class {label!r} must be a positive integer, got "
                    f"{written[:40]!r}"
                )
            if label in counts:
                raise ConfigError(f"{chunk.where(row)}: class {label!r} is listed twice")
            counts[label] = int(written)
    return counts
