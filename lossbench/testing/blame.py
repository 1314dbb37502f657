"""Whose exception it is: that of the loss, or of the kit; and from where it comes."""

from __future__ import annotations

import re
import sysconfig
import traceback
from pathlib import Path

_KIT = Path(__file__).parent
_ADAPTERS = _KIT.parent / "adapters"
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


def place_in_kit(error: BaseException) -> str | None:
    """Return file and line of the kit if the exception was raised by the kit's own code, or None.

    What a loss raises, or torch on behalf of a loss, has an innermost frame outside the kit.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or not Path(frames[-1].filename).is_relative_to(_KIT):
        return None
    return f"{Path(frames[-1].filename).relative_to(_KIT.parent)}:{frames[-1].lineno}"


def place_in_loss(error: BaseException) -> str | None:
    """Return file and line of the innermost frame that is neither of the kit nor of an installed library."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        ours = file.is_relative_to(_KIT) or file.is_relative_to(_ADAPTERS)
        installed = frame.filename.startswith((*_LIBRARIES, "<")) or "site-packages" in frame.filename
        if not ours and not installed:
            return f"{file.name}:{frame.lineno}"
    return None


def cause(error: BaseException) -> str:
    """Return what identifies the cause of an exception: type, origin, and words without numbers."""
    frames = traceback.extract_tb(error.__traceback__)
    place = place_in_loss(error) or (f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "")
    words = re.sub(r"[\d.]+", "#", str(error).partition("\n")[0])
    return f"{type(error).__name__} at {place}: {words}"
