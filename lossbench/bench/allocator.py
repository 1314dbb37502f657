"""States of the C allocator, between which the time of large buffers differs by a factor of two or more.

A buffer that is mapped again for each call costs a page fault per 4 KiB ("cold"), and one that is reused costs none
("warm"). Which of the two a program gets depends on what it allocated before: glibc raises its threshold as it runs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

STATES = ("warm", "cold")

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_DEFAULT_THRESHOLD, _DEFAULT_MAPS, _LARGEST = 128 * 1024, 65536, 2**31 - 1


def can_be_set() -> bool:
    """Return whether the state of this process's allocator can be set: with glibc."""
    return _mallopt() is not None


@contextmanager
def allocator(state: str) -> Iterator[None]:
    """Fix the state of the allocator: "warm" reuses all memory, "cold" maps each buffer above 128 KiB again.

    Afterwards the thresholds are glibc's defaults and no longer rise.
    """
    mallopt = _mallopt()
    if mallopt is None:
        yield
        return
    if state == "warm":
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _LARGEST)
    else:
        mallopt(_MMAP_THRESHOLD, _DEFAULT_THRESHOLD)
        mallopt(_TRIM_THRESHOLD, _DEFAULT_THRESHOLD)
    try:
        yield
    finally:
        mallopt(_MMAP_MAX, _DEFAULT_MAPS)
        mallopt(_MMAP_THRESHOLD, _DEFAULT_THRESHOLD)
        mallopt(_TRIM_THRESHOLD, _DEFAULT_THRESHOLD)


def _mallopt() -> ctypes._NamedFuncPointer | None:
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  # musl and macOS have none
        return library.mallopt
    except (AttributeError, OSError, TypeError):
        return None
