"""`lossbench` commands as real processes that can be signalled and killed, without importing torch anew for each.

Each is a fork of this process, in a session of its own: its memory is its own, and it ends by signals as any other.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path


class ForkedRun:
    """`lossbench run …`, started.

    Args:
        arguments: of `lossbench run`.
        log: file that gets stdout and stderr.
    """

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.log = log
        self.code: int | None = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside torch's idle threads
            self.pid = os.fork()
        if self.pid == 0:
            _become(arguments, log)

    def send(self, number: int, *, group: bool = False) -> None:
        """Sends a signal to the run, or to it and its loader workers."""
        os.killpg(self.pid, number) if group else os.kill(self.pid, number)

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self, seconds: float = 120) -> int:
        """The exit code; a run that takes longer is killed.

        Raises:
            TimeoutError: it took longer.
        """
        end = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > end:
                self.send(signal.SIGKILL, group=True)
                raise TimeoutError(f"{seconds} s are over; it said: {self.said()}")
            time.sleep(0.01)
        assert self.code is not None
        return self.code

    def said(self) -> str:
        """What it wrote to stdout and stderr so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def _become(arguments: list[str], log: Path) -> None:
    """The child's part, which never returns."""
    code = 70
    try:
        os.setsid()
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ["COLUMNS"] = "300"
        sys.argv = ["lossbench", "run", *arguments]
        from lossbench.cli import main

        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        except BaseException:
            traceback.print_exc()  # as the interpreter would, which `os._exit` keeps from it
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
