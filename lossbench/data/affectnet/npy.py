"""Read one number from the bytes of an npy file, without unpickling and without trusting its header."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format


@lru_cache(maxsize=4096)  # of 290,000 annotation files only a few dozen differ
def read_whole_number(data: bytes) -> int:
    """Return the whole number in a 0-d array, stored as an integer, a float or text.

    Raises:
        ValueError: the data is not an npy file, has Python objects (a pickle), a different shape, is truncated, or is
            not a number.

    Example:
        >>> file = io.BytesIO()
        >>> np.save(file, np.array("3"))
        >>> read_whole_number(file.getvalue())
        3
    """
    file = io.BytesIO(data)
    try:
        version = npy_format.read_magic(file)
        read = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}[version]
        shape, _, dtype = read(file)
    except Exception:  # NumPy parses a damaged header as Python source, which raises any kind of exception
        pickled = " (a pickle?), not opened" if data[:1] == b"\x80" else ""
        raise ValueError(f"not an npy array{pickled}") from None
    if dtype.hasobject:
        raise ValueError("contains Python objects (a pickle), which are not read")
    if shape != ():
        raise ValueError(f"an array of shape {shape}; expected a single number (shape ())")
    if len(data) - file.tell() != dtype.itemsize:
        raise ValueError(f"truncated or damaged: {len(data) - file.tell()} bytes of data, expected {dtype.itemsize}")
    text = "" if not dtype.itemsize else _text(np.frombuffer(data, dtype, count=1, offset=file.tell()))
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not number.is_integer():
        raise ValueError(f"{text!r}, expected a whole number")
    return int(number)


def _text(values: npt.NDArray[Any]) -> str:
    """Return the only value of an array as text."""
    try:
        value = values[0]
    except SystemError:  # code points that are not characters
        return "damaged text"
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def parse_npy(data: bytes) -> tuple[int, None]:
    """Parse the code of an `_exp.npy` file."""
    return read_whole_number(data), None
