"""Values of a chunk as text, seeds and scores; what cannot be read names its row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError
from .columns import Chunk

_SHOWN = 5
_SEED = re.compile(r"[+-]?\d{1,18}")
_SUMS_TO_1 = 0.01


def texts(chunk: Chunk, name: str, rows: Sequence[int]) -> list[str]:
    """Return a column's values as stripped text.

    Raises:
        ConfigError: a value is empty.
    """
    column = chunk.columns[name]
    values = column.tolist() if isinstance(column, np.ndarray) else column
    picked: Iterable[Any] = values if len(rows) == chunk.rows else [values[row] for row in rows]
    found = ["" if value is None else str(value).strip() for value in picked]
    if "" in found:
        raise ConfigError(f"{chunk.where(rows[found.index('')])}: {name} is empty")
    return found


def seeds(chunk: Chunk, rows: Sequence[int]) -> list[int]:
    """Return the column `seed` as integers.

    Raises:
        ConfigError: a value is not an integer.
    """
    found = texts(chunk, "seed", rows)
    for at, text in enumerate(found):
        if not _SEED.fullmatch(text):
            raise ConfigError(f"{chunk.where(rows[at])}: seed must be an integer, got {text[:40]!r}")
    return [int(text) for text in found]


def scores(chunk: Chunk, names: Sequence[str], rows: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return score columns, shape (rows, classes).

    Raises:
        ConfigError: a value is not a finite number.
    """
    found = np.empty((len(rows), len(names)))
    for n, name in enumerate(names):
        try:
            values = np.asarray(chunk.columns[name]).astype(np.float64)
        except (TypeError, ValueError):
            values = np.array([_number(value) for value in chunk.columns[name]])
        found[:, n] = values[np.asarray(rows)]
        if not np.isfinite(found[:, n]).all():
            row = rows[int(np.flatnonzero(~np.isfinite(found[:, n]))[0])]
            value = chunk.columns[name][row]
            shown = value.item() if isinstance(value, np.generic) else value
            raise ConfigError(f"{chunk.where(row)}: {name} is {shown!r}; expected a finite number")
    return found


def without_prior(values: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return scores after the log training frequencies were subtracted (Menon et al., ICLR 2021; tau = 1).

    Args:
        values: (N, C) logits, log probabilities, or probabilities, which are recognized by their sum.
        counts: (C,) training images per class.

    Example:
        >>> without_prior(np.array([[0.6, 0.4]]), np.array([90.0, 10.0])).argmax(axis=1).tolist()
        [1]
    """
    if values.min() >= 0 and np.abs(values.sum(axis=1) - 1).max() < _SUMS_TO_1:
        values = np.log(np.maximum(values, np.finfo(np.float64).tiny))
    return np.asarray(values - np.log(counts / counts.sum()))


def class_order(names: Iterable[str]) -> list[str]:
    """Return class names with numbers first, by value.

    Example:
        >>> class_order(["10", "9", "b", "a"])
        ['9', '10', 'a', 'b']
    """

    def key(name: str) -> tuple[bool, float, str]:
        value = _number(name)
        return np.isnan(value), 0.0 if np.isnan(value) else value, name

    return sorted(names, key=key)


def some(names: Sequence[str], noun: str) -> str:
    """Return names as an error lists them, with their number."""
    if len(names) == 1:
        return f"{noun} {names[0]!r}"
    return f"{len(names):,} {noun}s, such as {', '.join(map(repr, names[:_SHOWN]))}"


def few(names: Sequence[str] | Mapping[str, Any]) -> str:
    """Return the first names and how many there are."""
    shown = list(names)
    return ", ".join(shown[:_SHOWN]) + (f", … ({len(shown)} in all)" if len(shown) > _SHOWN else "")


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
