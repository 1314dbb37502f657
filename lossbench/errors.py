"""What can go wrong by a user's doing. Each message says what, where, what was expected and what to do.

LossbenchError
├── UsageError            exit code 2
│   ├── FormulaError          a loss formula that can't be read or makes no objective
│   ├── UnknownLossError      no loss of that name, or several
│   ├── HyperparameterError   a value that a loss does not take
│   ├── ContextError          a task description that contradicts itself
│   ├── PluginError           a distribution whose loss can't be used
│   ├── ConfigError           an option that makes no sense here
│   ├── DataError             images, labels, manifests
│   ├── ModelError            a backbone, weights or a run that can't be loaded
│   ├── RecordError           a file of a run or comparison that cannot be read
│   └── CheckpointError       a run that can't be gone on with
└── RunFailed             exit code 1: a run that started and could not end well
    ├── NonFiniteError        a loss or gradient that is NaN or infinite
    └── StorageError          a disk that is full

KeyboardInterrupt
└── Interrupted           exit code 143 or 130: a run that a signal stopped; `except Exception` does not catch it
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LossbenchError(Exception):
    """Base of every error that lossbench raises on purpose."""

    exit_code = 2


class UsageError(LossbenchError, ValueError):
    """The input was wrong; nothing was done."""


class FormulaError(UsageError):
    """A loss formula that can't be read or makes no objective."""


class UnknownLossError(UsageError):
    """No loss of that name, or more than one."""


class HyperparameterError(UsageError):
    """A hyper-parameter that a loss does not take, or a value outside its range."""


class ContextError(UsageError):
    """A task description that contradicts itself."""


class PluginError(UsageError):
    """An installed distribution whose loss can't be used."""


class ConfigError(UsageError):
    """An option, or a combination of options, that makes no sense here."""


class DataError(UsageError):
    """Images, labels or manifests that can't be used as they are."""


class ModelError(UsageError):
    """A backbone, weights or an earlier run that can't be loaded."""


class RecordError(UsageError):
    """A file of a run or comparison that is missing, damaged, or of another schema version."""


class CheckpointError(UsageError):
    """A run that can't be gone on with: no checkpoint of it, one of another run, or of another version."""


class RunFailed(LossbenchError):  # noqa: N818  # says what happened
    """A run that started and could not end well."""

    exit_code = 1


class NonFiniteError(RunFailed):
    """A loss or gradient that is NaN or infinite."""


class StorageError(RunFailed):
    """A disk that is full."""


class Interrupted(KeyboardInterrupt):
    """A run that a signal stopped; its exit code contains the signal's number, as in shells.

    A signal handler may raise it inside any call, also of a library that handles every `Exception`: a decoder would
    report the image as damaged. It is therefore no `Exception`, and whatever lets Ctrl-C pass lets it pass, too.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that offers the nearest known names, or lists them all.

    Example:
        >>> did_you_mean("centre", ["center", "softmax"])
        "Did you mean 'center'?"
    """
    known = sorted(known)
    if close := difflib.get_close_matches(name, known, n=3, cutoff=0.6):
        return f"Did you mean {' or '.join(map(repr, close))}?"
    shown = ", ".join(known[:20]) + (f", … ({len(known)} in all)" if len(known) > 20 else "")
    return f"Known: {shown or 'none'}."


def listed(items: Iterable[object], limit: int = 10) -> str:
    """Items one a line, cut after `limit` with a count of the rest.

    Example:
        >>> print(listed(["a.jpg", "b.jpg", "c.jpg"], limit=2))
          a.jpg
          b.jpg
          … and 1 more
    """
    rows = [str(item) for item in items]
    more = [f"… and {len(rows) - limit} more"] if len(rows) > limit else []
    return "\n".join(f"  {row}" for row in rows[:limit] + more)


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
