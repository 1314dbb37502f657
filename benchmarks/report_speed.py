"""Measure verdict and report, time, memory and page size, on one core.

    OMP_NUM_THREADS=1 python benchmarks/report_speed.py [--losses 5] [--seeds 5] [--images 4000] [--embedding-dim 2048]
    OMP_NUM_THREADS=1 python benchmarks/report_speed.py --large           # 500 runs x 10,000 images x 8 classes
    OMP_NUM_THREADS=1 python benchmarks/report_speed.py --many-classes    # 25 runs x 10,000 images x 1,000 classes

The records are generated (`benchmarks/made_records.py`); a separate process, `lossbench report`, is timed as a whole.
SE-ResNet-50 has embeddings of size 2,048.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from made_records import make_records, named_losses


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The comparison that is reported; 8 classes with the names and sizes of AffectNet's, others with made ones."""

    losses: int = 5
    seeds: int = 5
    images: int = 4000
    embedding_dim: int = 2048
    classes: int = 8

    def make(self, place: Path) -> None:
        """Write the records."""
        sizes = np.geomspace(2000, 20, self.classes).astype(int).tolist()
        classes = {f"person{n:04}": size for n, size in enumerate(sizes)} if self.classes != 8 else None
        make_records(place, named_losses(self.losses), seeds=self.seeds, images=self.images,
                     embedding_dim=self.embedding_dim, classes=classes)  # fmt: skip


LARGE = Grid(losses=20, seeds=25, images=10_000, embedding_dim=16)
MANY_CLASSES = Grid(images=10_000, embedding_dim=16, classes=1000)


class Cost(NamedTuple):
    """What a report costs; `megabytes` is the peak memory, `page` the size of the page in MB."""

    seconds: float
    cpu_seconds: float
    megabytes: float
    page: float


def measure(grid: Grid) -> Cost:
    """Write the records of a comparison, and report it in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        place, html = Path(scratch) / "grid", Path(scratch) / "report.html"
        grid.make(place)
        command = [sys.executable, "-m", "lossbench", "report", str(place), "--html", str(html)]
        began = time.perf_counter()
        with subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        cpu = used.ru_utime + used.ru_stime
        return Cost(seconds, cpu, used.ru_maxrss * 1024 / 1e6, html.stat().st_size / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--embedding-dim", type=int, default=2048)
    parser.add_argument("--large", dest="named", action="store_const", const=LARGE)
    parser.add_argument("--many-classes", dest="named", action="store_const", const=MANY_CLASSES)
    options = vars(parser.parse_args())
    grid = options.pop("named") or Grid(**options)
    cost = measure(grid)
    print(
        f"{grid.losses} losses x {grid.seeds} seeds x {grid.images:,} images x {grid.classes:,} classes, embeddings of "
        f"{grid.embedding_dim}: {cost.seconds:.1f} s ({cost.cpu_seconds:.1f} s of CPU), page {cost.page:.2f} MB, peak "
        f"memory {cost.megabytes:.0f} MB"
    )


if __name__ == "__main__":
    main()
