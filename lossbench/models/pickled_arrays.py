"""Read a pickle of named NumPy arrays without executing it.

A pickle is a program: it imports functions by name and calls them, so `pickle.load` runs code of the author of the
file. This reader accepts only the names with which NumPy pickles an array and never resolves them to NumPy. Each is
replaced by a stand-in that stores its arguments, from which arrays are then built and checked. A claimed shape
therefore does not allocate memory.
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
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")  # used by NumPy at protocol 5
_NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")


def read_pickled_arrays(blob: bytes, name: str) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a pickled `{name: array}` written by Python 2 (latin1) or 3 at any protocol.

    Args:
        blob: content of the file.
        name: name of the file in messages.

    Raises:
        ModelError: the file is truncated or damaged, uses names other than those of arrays, or claims wrong sizes.

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
            raise _RefusedError(f"contains a {_kind(content)}; expected a dict of arrays")
        return {_key(key): _array(value, key) for key, value in content.items()}
    except _RefusedError as error:
        raise ModelError(f"{name} {error}. Nothing was executed") from None
    except MemoryError:
        raise ModelError(f"{name} claims more memory than is available; it is damaged. Nothing was executed") from None
    except Exception as error:  # a damaged pickle raises any kind of exception
        raise ModelError(
            f"{name} is a truncated or damaged pickle ({type(error).__name__}: {error}); download it again. "
            "Nothing was executed"
        ) from error


class _RefusedError(Exception):
    """Carries the problem; the caller adds the name of the file."""


def _check_memo(blob: bytes) -> None:
    """Scan the instructions, without executing them, for indices that would allocate too much memory.

    The C unpickler makes its memo as long as the highest stored index, so that ten bytes could request 64 GB.
    """
    for count, (opcode, argument, _) in enumerate(pickletools.genops(blob)):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and not (argument is not None and 0 <= argument <= count):
            raise _RefusedError(f"claims {argument:,} memo entries but creates at most {count:,}")


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that resolves every name to a stand-in."""

    def __init__(self, blob: bytes) -> None:
        super().__init__(io.BytesIO(blob), encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        stand_in = _STAND_INS.get((module, name))
        if stand_in is None:
            raise _RefusedError(f"names {module}.{name}, which is not part of an array of numbers, so it is refused")
        return stand_in


class _StandIn:
    """A stand-in for one imported name, without attributes that a pickle could set."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setstate__(self, state: object) -> NoReturn:
        raise _RefusedError("tries to modify an imported object")


class _Dtype:
    __slots__ = ("code", "order")

    def __init__(self, code: Any, align: Any = False, copy: Any = False) -> None:
        code = code.decode("latin1") if isinstance(code, bytes) else code
        if code not in _NUMBERS:
            raise _RefusedError(f"contains an array of type {str(code)[:20]!r}; expected plain numbers")
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise _RefusedError("contains an array with fields or parts; expected plain numbers")
        self.order = order


class _Array:
    __slots__ = ("dtype", "fortran", "raw", "shape")

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, self.fortran, self.raw = state


def _encoded(text: Any, encoding: Any) -> bytes:
    """Decode bytes as Python 3 writes them at protocol 2."""
    if not isinstance(text, str) or encoding != "latin1":
        raise _RefusedError("encodes something other than bytes")
    return text.encode("latin1")


def _reconstructed(kind: Any, shape: Any, code: Any) -> _Array:
    """Create an array without content; its shape comes with the state."""
    if kind is not _NDARRAY:
        raise _RefusedError(f"creates an array from a {_kind(kind)}")
    return _Array()


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", raw))
    return array


def _refuse_call(*arguments: Any) -> NoReturn:
    raise _RefusedError("creates an array by its class")


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
        raise _RefusedError(f"has a {_kind(key)} as a name")
    return key


def _array(value: Any, key: str) -> npt.NDArray[Any]:
    """Return the array after comparing its claimed shape with the number of bytes."""
    if not isinstance(value, _Array):
        raise _RefusedError(f"contains a {_kind(value)} under {key!r}; expected an array")
    raw = value.raw.encode("latin1") if isinstance(value.raw, str) else value.raw
    if not isinstance(value.dtype, _Dtype) or not isinstance(raw, bytes | bytearray):
        raise _RefusedError(f"contains an array of a {_kind(raw)} under {key!r}; expected plain numbers")
    shape = value.shape
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise _RefusedError(f"has an invalid shape for {key!r}")
    dtype = np.dtype(value.dtype.code).newbyteorder(value.dtype.order)
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise _RefusedError(f"claims shape {shape} for {key!r} but has {len(raw):,} bytes")
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if value.fortran else "C")


def _kind(value: Any) -> str:
    return {"_Array": "array", "_Dtype": "type", "_StandIn": "function"}.get(type(value).__name__, type(value).__name__)
