"""Check that what a command line names exists, without importing torch, which takes seconds."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ModelError
from ..file_names import BAD_BATCH
from ..models import split_weights
from ..what_is import what_is


def check_weights_place(spec: str) -> None:
    """Check that the file or run of a `--weights` spec exists.

    Raises:
        ModelError: it does not.
    """
    kind, path = split_weights(spec) or ("", "")
    place = Path(os.path.expanduser(path.strip()))
    if kind in ("vggface2", "file") and not place.exists():
        raise ModelError(f"{place}: no such weight file")
    if kind == "run" and not place.is_dir():
        raise ModelError(
            f"--weights run:{place}: no such directory; expected the directory of a finished run; it is "
            f"{what_is(place)}"
        )


def check_bad_batch(path: Path) -> None:
    """Check that a stored batch exists as a regular file.

    Raises:
        ModelError: it does not; the message names the file that may be meant.
    """
    if path.is_file():
        return
    inside = path / BAD_BATCH
    wrong = f"did you mean {inside}?" if inside.is_file() else f"it is {what_is(path)}"
    why = "is not a regular file" if path.exists() else "no such file"
    raise ModelError(f"{path}: {why}; expected the {BAD_BATCH} of a stopped run; {wrong}")
