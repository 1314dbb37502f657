"""SIGTERM and Ctrl-C: the first one ends a run with a checkpoint, the second Ctrl-C at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from ...errors import Interrupted

_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


def stopped_by(number: int, where: str = "") -> Interrupted:
    """The error of a run that a signal ended.

    Example:
        >>> str(stopped_by(signal.SIGTERM, "epoch 2, step 7"))
        'stopped by SIGTERM at epoch 2, step 7'
    """
    return Interrupted(f"stopped by {_NAMES[signal.Signals(number)]}{where and f' at {where}'}", number)


class StopSignals:
    """Remembers that a run was asked to stop, for as long as it is entered.

    Args:
        say: told once, when the first signal comes.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.received = 0
        self._at_once = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Handles both signals; only the main thread can, and one that is ignored (by nohup, by a pool) stays so."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        heard = [number for number in _NAMES if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._handle) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Within it nothing is half-done that a checkpoint would need: a signal, or one before, is raised at once.

        Raises:
            Interrupted: by the signal.
        """
        self._at_once = True
        try:
            if self.received:
                raise stopped_by(self.received)
            yield
        finally:
            self._at_once = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again, self.received = bool(self.received), self.received or number
        if again and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not again and self._at_once:
            raise stopped_by(number)
        if not again:
            self.say(f"{_NAMES[signal.Signals(number)]}: writing a checkpoint; Ctrl-C stops at once")
