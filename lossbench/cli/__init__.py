"""The command line. Each command parses, calls one library function, and renders; torch is imported inside."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run `lossbench`: errors caused by the user, and signals, become one message and an exit code, not a traceback."""
    from ..errors import Interrupted, LossbenchError
    from .app import app
    from .output import guarded_streams
    from .terminal import Console

    os.environ.setdefault(
        "PYTHONSAFEPATH", "1"
    )  # for every process that is started: no modules of the working directory
    with guarded_streams():
        try:
            try:
                app()
            except (LossbenchError, Interrupted) as error:
                # Not parsed as markup: messages quote what users wrote.
                Console(stderr=True, soft_wrap=True, highlight=False).print(
                    f"error: {error}", markup=False, emoji=False
                )
                sys.exit(error.exit_code)
        except KeyboardInterrupt:  # also while the message is printed
            Console(stderr=True).print("interrupted")
            sys.exit(130)
