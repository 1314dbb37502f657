"""Standard output and standard error of a command. They may break while the command still has work to do.

A closed terminal, a reader that exited, a full disk behind a redirection: after the first failed write a stream is
silent, and the work continues. Where the output is all that a command makes, the command then exits with 1.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import sys
from collections.abc import Iterator
from typing import Any, NoReturn, TextIO

_CLOSED = "it is closed"
_reserved: GuardedStream | None = None


class GuardedStream:
    """A text stream whose writes do not raise: an error silences it, and characters outside its encoding are escaped.

    Args:
        stream: where the text goes; None if the process has no such stream.

    Attributes:
        error: what silenced the stream; None while it works.
        matters: whether the command fails with the stream.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.stream: TextIO = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # until the process ends
        self.error = None if stream else OSError(errno.EBADF, _CLOSED)
        self.matters = False
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        if self.error is None:
            try:
                self.stream.write(text)
            except (OSError, ValueError, RuntimeError) as error:
                self._fail(error)
        return len(text)

    def flush(self) -> None:
        if self.error is None:
            try:
                self.stream.flush()
            except (OSError, ValueError, RuntimeError) as error:
                self._fail(error)

    def isatty(self) -> bool:
        return self.error is None and self.stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, RuntimeError):
            if "reentrant" not in str(error):
                raise error
            return  # a signal handler printed while the program was printing: only that text is lost
        self.error = error if isinstance(error, OSError) else OSError(errno.EBADF, _CLOSED)
        # What is buffered must not fail once more when Python exits.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def guarded_streams() -> Iterator[None]:
    """Guard both streams of the process within the context.

    Raises:
        SystemExit: at the end, with code 1, if output that matters could not be written.
    """
    global _reserved
    _open_closed_descriptors()
    before = sys.stdout, sys.stderr
    out, err = GuardedStream(sys.stdout), GuardedStream(sys.stderr)
    out.matters = True
    sys.stdout, sys.stderr = out, err
    try:
        code: Any = 0
        try:
            yield
        except SystemExit as end:
            code = end.code
        out.flush()
        if out.error is not None and out.matters and not code:
            if out.error.errno != errno.EPIPE:  # a reader that stops early, such as `head`, is not an error
                print(f"error: cannot write to standard output: {out.error.strerror}", file=err)
            code = 1
        err.flush()
        sys.exit(code)
    finally:
        sys.stdout, sys.stderr = before
        _reserved = None


def output_is_optional() -> None:
    """Let the command succeed without its standard output: what it makes is on disk."""
    if isinstance(sys.stdout, GuardedStream):
        sys.stdout.matters = False


def reserve_output(reserve: bool = True) -> bool:
    """Keep standard output for `print_json`; what else is printed, by plugins and libraries, goes to standard error.

    It is the callback of `--json`.
    """
    global _reserved
    if reserve and _reserved is None and isinstance(sys.stdout, GuardedStream):
        _reserved = sys.stdout
        if _reserved.stream is sys.__stdout__ and _reserved.error is None:
            _reserved.flush()
            own = os.dup(1)  # what is written to descriptor 1, by C code or a child process, goes to 2
            os.dup2(2, 1)
            _reserved.stream = open(own, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115  # until the end
        sys.stdout = sys.stderr
    return reserve


def print_json(content: object, indent: int | None = None) -> None:
    """Print one JSON value on standard output, with null for numbers that are not finite."""
    print(json.dumps(_finite(content), indent=indent, allow_nan=False), file=_reserved or sys.stdout)


class JsonList:
    """A JSON array on standard output, printed one element per line as they come, with null as in `print_json`."""

    def __init__(self) -> None:
        self._started = False

    def add(self, content: object) -> None:
        self._print(f"{',' if self._started else '['}\n{json.dumps(_finite(content), allow_nan=False)}")
        self._started = True

    def close(self) -> None:
        self._print("\n]\n" if self._started else "[]\n")

    def _print(self, text: str) -> None:
        print(text, end="", file=_reserved or sys.stdout)


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _open_closed_descriptors() -> None:
    """Keep files that the command opens from becoming its standard input, output or error."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


@contextlib.contextmanager
def exits_are_failures() -> Iterator[None]:
    """Keep code that a run executes from ending the process with success: `os._exit(0)` becomes exit code 1."""
    leave, own = os._exit, os.getpid()

    def end(status: int) -> NoReturn:
        if os.getpid() == own and not status:  # a forked worker ends as it likes
            with contextlib.suppress(OSError):
                os.write(2, b"error: code that the run executes, such as a loss, ended the process; it has no record\n")
            status = 1
        leave(status)

    os._exit = end
    try:
        yield
    finally:
        os._exit = leave
