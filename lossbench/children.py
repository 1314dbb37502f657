"""The environment of child processes: they import what this process imports, and nothing else.

Python puts the working directory, or that of the script, first on the path of a new process. A data set that was
unpacked there may bring modules with the names of libraries.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping

_SAFE_PATH = "PYTHONSAFEPATH"  # as the flag -P


def child_environment() -> dict[str, str]:
    """Return the environment of a Python process that imports from the same places as this one.

    An empty entry of `sys.path` means the working directory of this process, whatever that of the child is.
    """
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return {**os.environ, "PYTHONPATH": path, _SAFE_PATH: "1"}


@contextlib.contextmanager
def safe_children() -> Iterator[None]:
    """Keep the working directory off the path of processes that a library starts within the context.

    Example:
        >>> with safe_children():
        ...     os.environ["PYTHONSAFEPATH"]
        '1'
    """
    with _variables({_SAFE_PATH: "1"}):
        yield


@contextlib.contextmanager
def children_with_this_path() -> Iterator[None]:
    """Let processes that a library starts within the context import from the same places as this one."""
    own = child_environment()
    with _variables({name: own[name] for name in ("PYTHONPATH", _SAFE_PATH)}):
        yield


@contextlib.contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
