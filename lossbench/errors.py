"""Errors caused by user input or by the machine. Each message says what, where, what was expected and what to do.

LossbenchError
├── UsageError            exit code 2
│   ├── FormulaError          a loss formula that cannot be parsed or has no trainable objective
│   ├── UnknownLossError      no loss with that name, or several
│   ├── HyperparameterError   a hyper-parameter or value that a loss does not accept
│   ├── ContextError          a task description that contradicts itself
│   ├── PluginError           a distribution whose loss cannot be used
│   ├── ConfigError           an invalid option or combination of options
│   ├── DataError             images, labels, manifests
│   ├── ModelError            a backbone, weights or a run that cannot be loaded
│   ├── RecordError           a file of a run or comparison that cannot be read
│   └── CheckpointError       a run that cannot be resumed
└── RunFailed             exit code 1: a run that started and failed
    ├── NonFiniteError        a loss or gradient that is NaN or infinite
    ├── ImagesLost            an image that can no longer be read
    └── StorageError          a directory that was replaced
        └── DiskFullError     a full disk

KeyboardInterrupt
└── Interrupted           exit code 143 or 130: a run that a signal stopped; `except Exception` does not catch it
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class LossbenchError(Exception):
    """Base class of every error that lossbench raises deliberately."""

    exit_code = 2


class UsageError(LossbenchError, ValueError):
    """Base class for errors caused by user input; nothing was done."""


class FormulaError(UsageError):
    """A loss formula that cannot be parsed or has no trainable objective."""


class UnknownLossError(UsageError):
    """No loss with that name, or more than one."""


class HyperparameterError(UsageError):
    """A hyper-parameter that a loss does not accept, or a value outside its range."""


class ContextError(UsageError):
    """A task description that contradicts itself."""


class PluginError(UsageError):
    """An installed distribution whose loss cannot be used."""


class ConfigError(UsageError):
    """An invalid option or combination of options."""


class DataError(UsageError):
    """Images, labels or manifests that cannot be used."""


class ModelError(UsageError):
    """A backbone, weights or an earlier run that cannot be loaded."""


class RecordError(UsageError):
    """A file of a run or comparison that is missing, damaged, or of another schema version."""


class CheckpointError(UsageError):
    """A run that cannot be resumed: its checkpoint is missing, of a different run, or of a different version."""


class RunFailed(LossbenchError):  # noqa: N818  # the name states what happened
    """A run that started and failed."""

    exit_code = 1


class NonFiniteError(RunFailed):
    """A loss or gradient that is NaN or infinite."""


class ImagesLost(RunFailed):
    """An image that could be read before the run can no longer be read; the message names it."""


class StorageError(RunFailed):
    """A directory that can no longer be written."""


class DiskFullError(StorageError):
    """A full disk, an exhausted quota, or a limit on the size of files."""


class Interrupted(KeyboardInterrupt):
    """A run that a signal stopped; its exit code contains the signal's number, as in shells.

    A signal handler may raise it inside any call, also of a library that handles every `Exception`: a decoder would
    report the image as damaged. It is therefore not an `Exception`, and code that lets Ctrl-C pass lets it pass, too.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that suggests the closest known names, or lists all of them.

    Example:
        >>> did_you_mean("centre", ["center", "softmax"])
        "Did you mean 'center'?"
    """
    known = sorted(known)
    if close := difflib.get_close_matches(name, known, n=3, cutoff=0.6):
        return f"Did you mean {' or '.join(map(repr, close))}?"
    shown = ", ".join(known[:20]) + (f", … ({len(known)} in all)" if len(known) > 20 else "")
    return f"Known: {shown or 'none'}."


def some(names: Sequence[str], limit: int = 20) -> str:
    """Return names in one line, cut after `limit` with their number.

    Example:
        >>> some(["cat", "dog", "emu"], limit=2)
        'cat, dog, … (3 in all)'
    """
    more = f", … ({len(names):,} in all)" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def listed(items: Iterable[object], limit: int = 10) -> str:
    """Return items on one line each, cut after `limit` with a count of the rest.

    Example:
        >>> print(listed(["a.jpg", "b.jpg", "c.jpg"], limit=2))
          a.jpg
          b.jpg
          … and 1 more
    """
    rows = [str(item) for item in items]
    more = [f"… and {len(rows) - limit} more"] if len(rows) > limit else []
    return "\n".join(f"  {row}" for row in rows[:limit] + more)


def brief(error: BaseException) -> str:
    """Return the type of an error and the first line of its message.

    Example:
        >>> brief(ValueError("no rows\\nTraceback"))
        'ValueError: no rows'
    """
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"


def missing_package(feature: str, extra: str, error: ImportError) -> ConfigError:
    """Return the error for a feature whose optional packages are not installed.

    Args:
        feature: what needs them.
        extra: name of lossbench's extra that installs them.
        error: raised by the import.

    Example:
        >>> print(missing_package("Parquet files", "parquet", ImportError("No module named 'pyarrow'")))
        Parquet files need an optional package (No module named 'pyarrow'). Install it: pip install 'lossbench[parquet]'
    """
    return ConfigError(f"{feature} need an optional package ({error}). Install it: pip install 'lossbench[{extra}]'")
