"""Losses that a formula names by file or module: imported only if a command line or a caller named them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..errors import UsageError
from ..expression import is_object_path, parse_formula
from ..spec import LossSpec

_ALLOWED = "LOSSBENCH_OBJECTS"
_OBJECT = re.compile(r"[^\s+*(),=\[\]\"']+:[A-Za-z_][\w.]*")


def allow_objects(*expressions: str) -> None:
    """Allow the files and modules that formulas name to be imported, in this process and those that it starts.

    What a command line or a caller names is allowed; what a record of a run names never is by itself.

    Args:
        expressions: formulas, or lists of formulas.
    """
    known = _allowed()
    found = [name for text in expressions for name in _OBJECT.findall(text) if name not in known]
    if found:
        os.environ[_ALLOWED] = "\n".join([*known, *found])


def object_names(formula: str) -> list[str]:
    """Return the `file.py:object` and `module:object` in a formula.

    Example:
        >>> object_names("softmax + 0.1*mine.py:Center(alpha=0.5)")
        ['mine.py:Center']
    """
    return [term.name for term in parse_formula(formula).terms if is_object_path(term.name)]


def _allowed() -> list[str]:
    return [name for name in os.environ.get(_ALLOWED, "").split("\n") if name]


def _allowed_name(name: str) -> str | None:
    """Return an allowed name for an object: its own, or one of an object of the same name in another place."""
    allowed = _allowed()
    same = [each for each in allowed if each.rpartition(":")[2] == name.rpartition(":")[2]]
    return name if name in allowed else same[-1] if same else None


def allowed_spec(name: str) -> LossSpec:
    given = _allowed_name(name)
    if given is None:
        raise UsageError(
            f"{name} is named by a record or a file of options, from which nothing is imported; pass --loss {name}"
        )
    from ..adapters import object_spec

    return object_spec(given)


def check_object_file(name: str) -> None:
    """Check that the file of `file.py:object` exists, without importing torch.

    Raises:
        UsageError: it does not.
    """
    place = name.rpartition(":")[0]
    if place.endswith(".py") and not Path(place).expanduser().is_file():
        raise UsageError(f"{place}: there is no file {place}")


def object_origin(name: str) -> str:
    check_object_file(_allowed_name(name) or name)
    from ..adapters import file_digest, file_of

    file = file_of(_allowed_name(name) or name)
    if file is None:
        return f"module {name.partition(':')[0]}"
    return f"file {file.name}, sha256 {file_digest(file)}"
