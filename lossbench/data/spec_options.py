"""Options of one source, written after its path: `csv:FILE?root=DIR&path-column=NAME`, `ferplus:DIR?votes=soft`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError, did_you_mean


def path_and_options(kind: str, written: str, names: Sequence[str], example: str) -> tuple[str, dict[str, str]]:
    """Return the path and the options that follow its question mark.

    A file whose name contains the question mark is read as it is.

    Args:
        kind: kind of source, for messages.
        written: what follows the kind and its colon.
        names: names of the options.
        example: a correct value of `--data`, for messages.

    Raises:
        DataError: an option is unknown, has no value, or is given twice.

    Example:
        >>> path_and_options("ferplus", "faces?votes=soft", ["votes"], "ferplus:DIR?votes=soft")
        ('faces', {'votes': 'soft'})
    """
    path, mark, query = written.rpartition("?")
    if not mark or os.path.lexists(os.path.expanduser(written)):
        return written, {}
    given: dict[str, str] = {}
    for part in query.split("&"):
        key, equals, value = part.partition("=")
        key = key.strip().replace("_", "-")
        if key not in names:
            raise DataError(f"{kind}:{written}: unknown option {key!r}. {did_you_mean(key, names)}")
        if not equals or not value.strip() or key in given:
            raise DataError(f"{kind}:{written}: expected one value of {key}, as in {example}")
        given[key] = value.strip()
    return path, given


def written_path(written: str) -> Path:
    """Return a path as it was written, also as a file: address or after a space."""
    path = os.path.expanduser(written)
    return Path(path if os.path.lexists(path) else os.path.expanduser(written.strip().removeprefix("file://")))
