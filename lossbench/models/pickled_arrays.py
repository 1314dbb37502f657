"""Reads a pickle of named numpy arrays without executing what it says.

A pickle is a program: it imports functions by name and calls them. `pickle.load` therefore runs whatever the author of
the file wants. Here only the names with which numpy pickles an array are known, and none of them leads to numpy: each
is answered by a stand-in that keeps the arguments, from which arrays are then built and checked. So a claimed shape
allocates nothing either.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from ..errors import ModelError

_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")  # with which numpy writes at protocol 5
_NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")


def read_pickled_arrays(blob: bytes, name: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a pickled `{name: array}`, as Python 2 (latin1) or 3 wrote it at any protocol.

    Args:
        blob: the file's content.
        name: what messages call it.

    Raises:
        ModelError: it is truncated or damaged, names anything but arrays of numbers, or claims sizes it does not hold.

    Example:
        >>> blob = pickle.dumps({"fc.bias": np.zeros(3, np.float32)}, protocol=2)
        >>> read_pickled_arrays(blob, "weights.pkl")["fc.bias"].shape
        (3,)
        >>> read_pickled_arrays(pickle.dumps({"fc.bias": print}), "weights.pkl")
        Traceback (most recent call last):
        lossbench.errors.ModelError: weights.pkl names builtins.print, ...
    """
    try:
        _check_memo(blob)
        content = _ArraysOnly(blob).load()
        if not isinstance(content, dict):
            raise _RefusedError(f"holds a {_kind(content)} and not a dict of arrays")
        return {_key(key): _array(value, key) for key, value in content.items()}
    except _RefusedError as error:
        raise ModelError(f"{name} {error}. Nothing of it was executed") from None
    except MemoryError:
        raise ModelError(
            f"{name} claims more memory than there is; it is damaged. Nothing of it was executed"
        ) from None
    except Exception as error:  # a damaged pickle fails in every way there is
        raise ModelError(
            f"{name} is a truncated or damaged pickle ({type(error).__name__}: {error}); fetch it again. "
            "Nothing of it was executed"
        ) from error


class _RefusedError(Exception):
    """What is wrong, to be read after the file's name."""


def _check_memo(blob: bytes) -> None:
    """Walks through the instructions, without following them, for memory that they only claim.

    C's unpickler makes its memo as long as the highest index that is stored, so that ten bytes could ask for 64 GB.
    """
    for count, (opcode, argument, _) in enumerate(pickletools.genops(blob)):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and not (argument is not None and 0 <= argument <= count):
            raise _RefusedError(f"claims {argument:,} remembered objects and has made at most {count:,}")


class _ArraysOnly(pickle.Unpickler):
    """An unpickler for which no name leads to code of its own."""

    def __init__(self, blob: bytes) -> None:
        super().__init__(io.BytesIO(blob), encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        stand_in = _STAND_INS.get((module, name))
        if stand_in is None:
            raise _RefusedError(f"names {module}.{name}, which is no part of an array of numbers, so it is refused")
        return stand_in


class _StandIn:
    """Answers one imported name. Without attributes that a pickle could set."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setstate__(self, state: object) -> NoReturn:
        raise _RefusedError("tries to change what it imports")


class _Dtype:
    __slots__ = ("code", "order")

    def __init__(self, code: Any, align: Any = False, copy: Any = False) -> None:
        code = code.decode("latin1") if isinstance(code, bytes) else code
        if code not in _NUMBERS:
            raise _RefusedError(f"holds an array of type {str(code)[:20]!r}; only plain numbers are read")
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise _RefusedError("holds an array with fields or parts; only plain numbers are read")
        self.order = order


class _Array:
    __slots__ = ("dtype", "fortran", "raw", "shape")

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, self.fortran, self.raw = state


def _encoded(text: Any, encoding: Any) -> bytes:
    """How Python 3 writes bytes at protocol 2."""
    if not isinstance(text, str) or encoding != "latin1":
        raise _RefusedError("encodes something else than bytes")
    return text.encode("latin1")


def _reconstructed(kind: Any, shape: Any, code: Any) -> _Array:
    """The shape is a placeholder: the true one comes with the state."""
    if kind is not _NDARRAY:
        raise _RefusedError(f"makes an array of a {_kind(kind)}")
    return _Array()


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", raw))
    return array


def _refuse_call(*arguments: Any) -> NoReturn:
    raise _RefusedError("makes an array by its class")


_NDARRAY = _StandIn(_refuse_call)
_STAND_INS = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _StandIn(_Dtype),
    ("_codecs", "encode"): _StandIn(_encoded),
    **{(module, "_reconstruct"): _StandIn(_reconstructed) for module in _MULTIARRAY},
    **{(module, "_frombuffer"): _StandIn(_from_buffer) for module in _NUMERIC},
}


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise _RefusedError(f"has a {_kind(key)} for a name")
    return key


def _array(value: Any, key: str) -> npt.NDArray[Any]:
    """The array, after its claimed shape was compared with the bytes that are there."""
    if not isinstance(value, _Array):
        raise _RefusedError(f"holds a {_kind(value)} under {key!r} and no array")
    raw = value.raw.encode("latin1") if isinstance(value.raw, str) else value.raw
    if not isinstance(value.dtype, _Dtype) or not isinstance(raw, bytes | bytearray):
        raise _RefusedError(f"holds an array of a {_kind(raw)} under {key!r}; only plain numbers are read")
    shape = value.shape
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise _RefusedError(f"gives {key!r} a shape that is none")
    dtype = np.dtype(value.dtype.code).newbyteorder(value.dtype.order)
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise _RefusedError(f"claims {shape} for {key!r} and holds {len(raw):,} bytes")
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if value.fortran else "C")


def _kind(value: Any) -> str:
    return {"_Array": "array", "_Dtype": "type", "_StandIn": "function"}.get(type(value).__name__, type(value).__name__)
