"""Draw the output of `lossbench run` as an SVG: python benchmarks/terminal_picture.py RUN OUT.svg"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from rich.console import Console

from lossbench.files import write_text
from lossbench.report.terminal.run import run_summary
from lossbench.runs.record import read_record
from lossbench.svg import plain_svg


def main() -> None:
    run, out = map(Path, sys.argv[1:])
    record = read_record(run)
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(run_summary(record, run))
    write_text(out, plain_svg(console.export_svg(title=f'lossbench run --loss "{record.loss}"')))


if __name__ == "__main__":
    main()
