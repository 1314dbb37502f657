"""`lossbench compare --status`."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ConfigError
from ..runs.grid_file import GRID
from ..runs.grid_status import read_status
from ..what_is import what_is
from .output import print_json


def print_status(directory: Path, json_: bool) -> None:
    """Print how far the cells of a comparison are, from its directory alone."""
    if not os.path.lexists(directory / GRID):
        raise ConfigError(
            f"--status {directory}: expected the directory of a comparison, which has a {GRID}; it is "
            f"{what_is(directory)}"
        )
    status = read_status(directory)
    if json_:
        print_json(status.to_json())
        return
    from ..report.terminal.status import status_summary
    from .terminal import Console, print_plain

    Console().print(status_summary(status))
    from ..harness.grid.slurm import submitted_jobs

    if jobs := submitted_jobs(directory):
        print_plain(f"\nSlurm jobs: {jobs}")
