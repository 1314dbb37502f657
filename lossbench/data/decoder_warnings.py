"""Warnings of the image decoder: kept for the file that is decoded, instead of printed once per file and process."""

from __future__ import annotations

import os
import threading
import warnings
from typing import Any


class _Noticed(threading.local):
    """Warnings of the decoder in this thread: the first one of the image that is decoded."""

    first: str | None = None


_noticed = _Noticed()


def decoder_warning() -> str | None:
    """Return the first warning about the image that this thread decoded last; None without one."""
    return _noticed.first


def forget_decoder_warning() -> None:
    """Forget the warning, because the next image is decoded now."""
    _noticed.first = None


def keep_decoder_warnings() -> None:
    """Keep the warnings of Pillow for `decoder_warning`."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], filename: str, *rest: Any, **more: Any) -> None:
        if f"{os.sep}PIL{os.sep}" in filename:
            _noticed.first = _noticed.first or str(message)
        else:
            shown(message, category, filename, *rest, **more)

    warnings.showwarning = show
    warnings.filterwarnings("always", module=r"PIL\.")


keep_decoder_warnings()
