"""No silence: whatever takes longer than a few seconds says what it is doing."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

SILENCE = 3.0  # seconds that work may take without a word
_AGAIN = 30.0  # seconds between two words about the same work


class Announcement:
    """A progress function that says how far the work is, first after `SILENCE` seconds and then now and again.

    Args:
        say: receives a line of text.
        what: the work: "opening images".

    Example:
        >>> said = []
        >>> progress = Announcement(said.append, "opening images")
        >>> progress(1, 2)
        >>> said
        []
    """

    def __init__(self, say: Callable[[str], None], what: str) -> None:
        self._say, self._what = say, what
        self._next = time.monotonic() + SILENCE

    def __call__(self, done: int, total: int | None) -> None:
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + _AGAIN
        self._say(f"{self._what}: {done:,}{'' if total is None else f' of {total:,}'}")


@contextlib.contextmanager
def announced(say: Callable[[str], None], what: str) -> Iterator[None]:
    """Say what is done inside the context if it takes longer than `SILENCE` seconds. No process is started inside.

    Args:
        say: receives a line of text, in another thread.
        what: the work: "reading folder:photos".
    """
    timer = threading.Timer(SILENCE, say, [what])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
