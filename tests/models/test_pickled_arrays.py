"""Pickles of arrays are read; everything else is refused by name and never executed."""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from made_weights import python2_pickle

from lossbench.errors import ModelError
from lossbench.models.pickled_arrays import read_pickled_arrays

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">f4"),
    "counter": np.array(7),
    "long": np.arange(300, dtype=np.int16),
}


def read(blob: bytes) -> dict[str, Any]:
    return read_pickled_arrays(blob, "w.pkl")


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_is_read(protocol: int) -> None:
    same(read(pickle.dumps(ARRAYS, protocol=protocol)), ARRAYS)


def test_what_python_2_wrote_is_read() -> None:
    written = {name: ARRAYS[name] for name in ("conv.weight",)} | {"fc.bias": np.linspace(-1, 1, 5, dtype=np.float32)}
    blob = python2_pickle(written)
    same(pickle.loads(blob, encoding="latin1"), written)  # the maker writes what numpy itself reads
    same(read(blob), written)


@given(
    st.dictionaries(
        st.text(max_size=8),
        arrays(st.sampled_from([np.float32, np.float64, np.int64, np.uint8]), array_shapes(min_dims=0)),
        max_size=4,
    ),
    st.sampled_from([2, 4, 5]),
)
def test_any_arrays_come_back(content: dict[str, Any], protocol: int) -> None:
    same(read(pickle.dumps(content, protocol=protocol)), content)


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


MARKER = "was-executed"
SYSTEM = f"touch {MARKER}"
HOSTILE = {
    "posix.system": (Calls(os.system, SYSTEM), "names posix.system,"),
    "builtins.eval": (
        Calls(eval, f"open({MARKER!r}, 'w')"),
        ".eval, which is not part of an array of numbers, so it is refused",
    ),
    "an array's place": ({"a": Calls(os.system, SYSTEM)}, "names posix.system,"),
    "an argument": ({"a": Calls(np.dtype, Calls(os.system, SYSTEM))}, "names posix.system,"),
    "a key": ({Calls(os.system, SYSTEM): 1}, "names posix.system,"),
    "getattr": (Calls(getattr, "os", "system"), ".getattr,"),
    "a class": ({"a": Path("x")}, "names pathlib.PosixPath,"),
    "an array of objects": ({"a": np.array([print], dtype=object)}, "expected plain numbers"),
    "an array of text": ({"a": np.array(["x"])}, "expected plain numbers"),
    "fields": ({"a": np.zeros(2, [("x", "f4"), ("y", "f4")])}, "expected plain numbers"),
    "a scalar": ({"a": np.float32(1)}, "multiarray.scalar,"),
    "a subclass": ({"a": np.ma.zeros(3)}, "names numpy"),
    "a list": ([np.zeros(2)], "contains a list; expected a dict of arrays"),
    "an array alone": (np.zeros(2, np.float32), "contains a array; expected a dict of arrays"),
    "a number": ({"a": 1.5}, "contains a float under 'a'; expected an array"),
    "numbered names": ({1: np.zeros(2)}, "has a int as a name"),
    "a dict in a dict": ({"state": {"a": np.zeros(2)}}, "contains a dict under 'state'; expected an array"),
}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_array_is_refused_and_not_executed(
    case: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content, message = HOSTILE[case]
    with pytest.raises(ModelError) as error:
        read(pickle.dumps(content, protocol=protocol))
    assert message in str(error.value)
    assert str(error.value).startswith("w.pkl ")
    assert "Nothing was executed" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_the_marker_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(HOSTILE["posix.system"][0]))
    assert (tmp_path / MARKER).exists()


def array_pickle(shape: bytes = b"K\x02\x85", code: bytes = b"f4", raw: bytes = bytes(8)) -> bytes:
    """{"a": array} at protocol 2, with a shape, type and content that need not agree."""
    return (
        b"\x80\x02}U\x01acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + shape
        + b"cnumpy\ndtype\nU" + bytes([len(code)]) + code + b"K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xff"
        + b"J\xff\xff\xff\xffK\x00tb\x89U" + bytes([len(raw)]) + raw + b"tbs."
    )  # fmt: skip


HUGE = b"\x8a\x06" + (10**12).to_bytes(6, "little") + b"\x85"
CLAIMS = {
    "a shape without content": (array_pickle(shape=HUGE), r"claims shape (1000000000000,) for 'a' but has 8 bytes"),
    "too few bytes": (array_pickle(raw=bytes(7)), "claims shape (2,) for 'a' but has 7 bytes"),
    "a negative side": (array_pickle(shape=b"J\xff\xff\xff\xff\x85"), "has an invalid shape for 'a'"),
    "no tuple": (array_pickle(shape=b"K\x02"), "has an invalid shape for 'a'"),
    "a placeholder of a terabyte": (
        b"\x80\x02}U\x01acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + HUGE + b"U\x01b\x87Rs.",
        "is a truncated or damaged pickle",  # made, and never filled
    ),
    "a memo of 64 GB": (b"\x80\x02}r\xff\xff\xff\xff.", "claims 4,294,967,295 memo entries but creates at most"),
    "bytes that don't come": (b"\x80\x04}\x8e" + struct.pack("<Q", 2**40) + b"xx.", "truncated or damaged pickle"),
    "text that doesn't come": (b"\x80\x02}X" + struct.pack("<I", 2**31) + b"xx.", "truncated or damaged pickle"),
    "a changed import": (b"\x80\x02cnumpy\ndtype\n}b.", "tries to modify an imported object"),
    "a changed import's slots": (
        b"\x80\x02cnumpy\ndtype\nN}U\x05_makeU\x01xs\x86b.",
        "tries to modify an imported object",
    ),
    "an array by its class": (b"\x80\x02cnumpy\nndarray\nK\x02\x85R.", "creates an array by its class"),
    "other text": (b"\x80\x02c_codecs\nencode\nU\x01aU\x05utf-8\x86R.", "encodes something other than bytes"),
    "a persistent name": (b"\x80\x02U\x01aQ.", "truncated or damaged pickle"),
    "an extension": (b"\x80\x02\x82\x01.", "truncated or damaged pickle"),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_false_claims_cost_nothing_and_are_refused(case: str) -> None:
    blob, message = CLAIMS[case]
    with pytest.raises(ModelError) as error:
        read(blob)
    assert message in str(error.value)


def test_the_honest_one_of_these_is_read() -> None:
    same(read(array_pickle()), {"a": np.zeros(2, np.float32)})


def test_a_truncated_pickle_is_said_to_be_one_wherever_it_ends() -> None:
    blob = pickle.dumps(ARRAYS, protocol=2)
    for end in range(1, len(blob)):
        with pytest.raises(ModelError, match=r"^w.pkl (is a truncated or damaged pickle|contains|claims|has)"):
            read(blob[:end])


@given(st.binary(max_size=60))
def test_no_bytes_at_all_do_anything_else(blob: bytes) -> None:
    with contextlib.suppress(ModelError):
        assert isinstance(read(b"\x80\x02" + blob), dict)


@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_changed_byte_gives_arrays_or_one_error(place: int, value: int) -> None:
    blob = bytearray(pickle.dumps(ARRAYS, protocol=4))
    blob[place % len(blob)] = value
    with contextlib.suppress(ModelError):
        assert isinstance(read(bytes(blob)), dict)
