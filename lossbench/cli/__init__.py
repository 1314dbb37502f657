"""The command line. Each command parses, calls one library function, and renders; torch is imported inside."""

from __future__ import annotations

import os
import sys


def expanded(arguments: list[str]) -> list[str]:
    """Return the arguments with `~` expanded where a shell leaves it, as in `--out=~/runs` or a quoted path.

    Example:
        >>> expanded(["--lr=0.1", "a~b"])
        ['--lr=0.1', 'a~b']
    """
    found = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name.startswith("--") and equals:
            found.append(f"{name}={os.path.expanduser(value)}")
        else:
            found.append(os.path.expanduser(argument))
    return found


def main() -> None:
    """Run `lossbench`: errors caused by the user, and signals, become one message and an exit code, not a traceback."""
    from ..errors import Interrupted, LossbenchError
    from .app import command
    from .output import guarded_streams
    from .terminal import Console, print_error

    with guarded_streams():
        try:
            try:
                command()(expanded(sys.argv[1:]))
            except (LossbenchError, Interrupted) as error:
                print_error(error)
                sys.exit(error.exit_code)
        except KeyboardInterrupt:  # also while the message is printed
            Console(stderr=True).print("interrupted")
            sys.exit(130)
