"""Run `lossbench` commands as processes that can be signaled and killed, without importing torch again for each.

Each is a fork of this process in its own session. Its memory is separate, and signals end it like any process.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path


class ForkedRun:
    """A running `lossbench` command.

    Args:
        arguments: the command with its options: "run", "--loss", "softmax".
        log: file that receives stdout and stderr.
        environment: variables to set, in addition to those of this process.
        prepare: called in the new process before the command.
    """

    def __init__(
        self,
        arguments: list[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.log = log
        self.code: int | None = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking while torch's threads are idle
            self.pid = os.fork()
        if self.pid == 0:
            _become(arguments, log, environment or {}, prepare)

    def send(self, number: int, *, group: bool = False) -> None:
        """Send a signal to the process, or to it and its loader workers."""
        os.killpg(self.pid, number) if group else os.kill(self.pid, number)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while the process runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self, seconds: float = 120) -> int:
        """Return the exit code; kill a process that takes longer.

        Raises:
            TimeoutError: the process took longer.
        """
        end = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > end:
                self.send(signal.SIGKILL, group=True)
                raise TimeoutError(f"still running after {seconds} s; output: {self.said()}")
            time.sleep(0.01)
        assert self.code is not None
        return self.code

    def said(self) -> str:
        """Return stdout and stderr so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def _become(
    arguments: list[str], log: Path, environment: Mapping[str, str], prepare: Callable[[], None] | None
) -> None:
    """Run the command in the child; never returns."""
    code = 70
    try:
        os.setsid()
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for name in {"SIGHUP", "SIGUSR1", "SIGTERM"} & set(dir(signal)):  # nohup leaves SIGHUP ignored
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        os.environ.update({"COLUMNS": "300", **environment})
        if prepare is not None:
            prepare()
        sys.argv = ["lossbench", *arguments]
        from lossbench.cli import main

        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        except BaseException:
            traceback.print_exc()  # `os._exit` keeps the interpreter from doing so
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
