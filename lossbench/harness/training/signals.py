"""Signals that end a run with a checkpoint: SIGTERM, Ctrl-C, SIGHUP, SIGUSR1, SIGUSR2. A second Ctrl-C ends it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from ...errors import Interrupted

# SIGHUP: the terminal was closed. SIGUSR1, SIGUSR2: what Slurm sends before the time limit, with --signal=USR1@60 or
# from submitit. SIGBREAK: Ctrl-Break on Windows, which has none of the other three.
_NAMES = {signal.SIGINT: "Ctrl-C"} | {
    number: number.name
    for number in signal.Signals
    if number.name in ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGBREAK")
}


def stopped_by(number: int, where: str = "") -> Interrupted:
    """Return the exception for a run that a signal stopped.

    Example:
        >>> str(stopped_by(signal.SIGTERM, "epoch 2, step 7"))
        'stopped by SIGTERM at epoch 2, step 7'
    """
    return Interrupted(f"stopped by {_NAMES[signal.Signals(number)]}{where and f' at {where}'}", number)


class StopSignals:
    """Records whether a run received a stop signal.

    Args:
        say: called once with a message, when a signal arrives for which a checkpoint is written.

    Attributes:
        received: number of the first signal; 0 if none has arrived.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.received = 0
        self._said = False
        self._at_once = False
        self._raised = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals inside the context.

        Only the main thread can do so; a signal that is ignored (by nohup, by a pool of processes) stays ignored.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled = [number for number in _NAMES if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._handle) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise on a signal, or on one received before, immediately: nothing inside needs a checkpoint.

        An exception that a library raises in place of the interruption counts as the interruption. One that a library
        swallowed is raised again at the end.

        Raises:
            Interrupted: a signal arrived.
        """
        self._at_once = True
        try:
            if self.received:
                raise stopped_by(self.received)
            yield
        except Exception as error:
            if self._raised:
                raise stopped_by(self.received) from error
            raise
        finally:
            self._at_once = False
        if self._raised:
            raise stopped_by(self.received)

    def announce_checkpoint(self) -> None:
        """Say, once, that a checkpoint is written because of the signal that was received."""
        if self.received and not self._said:
            self._said = True
            name = _NAMES[signal.Signals(self.received)]
            self.say(f"{name}: writing a checkpoint; press Ctrl-C to stop immediately")

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again, self.received = bool(self.received), self.received or number
        if again and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not again and self._at_once:
            self._raised = True
            raise stopped_by(number)
        if not again:
            self.announce_checkpoint()
