"""A limit on the time that code of others may take where it is only tried."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

TRIAL_SECONDS = 60.0  # a first call that compiles takes up to about 30


class _Overtime(BaseException):
    """Raised in the midst of the code; no `except Exception` of it stops this."""


@contextlib.contextmanager
def time_limit(seconds: float, error: Exception) -> Iterator[None]:
    """Raise an error if the code within takes longer.

    It interrupts Python code and calls of the operating system, in the main thread of a process that has SIGALRM;
    elsewhere there is no limit.

    Args:
        seconds: the limit.
        error: what is raised.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise _Overtime

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # and again each second, should the code swallow it
    try:
        yield
    except _Overtime:
        raise error from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
