"""`ferplus:DIR?votes=soft`: the folder of FER+ with the kind of its targets."""

from __future__ import annotations

import dataclasses

from ...errors import DataError
from ..request import Request
from ..spec_options import path_and_options, written_path

_KINDS = ("majority", "soft")


def of_ferplus(request: Request, written: str) -> Request:
    """Return a request for a folder, whose votes are "majority" or "soft".

    Args:
        request: the request, whose folder is replaced.
        written: what follows `ferplus:`.

    Raises:
        DataError: an option is unknown or has no value.

    Example:
        >>> request = of_ferplus(Request(spec=""), "faces?votes=soft")
        >>> str(request.path), request.soft_votes
        ('faces', True)
    """
    folder, options = path_and_options("ferplus", written, ("votes",), "ferplus:DIR?votes=soft")
    votes = options.get("votes", _KINDS[0])
    if votes not in _KINDS:
        raise DataError(f"ferplus:{written}: votes must be {' or '.join(_KINDS)}, got {votes!r}")
    return dataclasses.replace(request, path=written_path(folder), soft_votes=votes == "soft")
