"""Measure verdict and report: time and page size for 5 losses x 5 seeds x 4,000 test images on one core.

    OMP_NUM_THREADS=1 python benchmarks/report_speed.py [--losses 5] [--seeds 5] [--images 4000] [--embedding-dim 2048]

The records are generated (`benchmarks/made_records.py`); a separate process, `lossbench report`, is timed as a whole.
SE-ResNet-50 has embeddings of size 2,048.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from made_records import make_records, named_losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--embedding-dim", type=int, default=2048)
    options = parser.parse_args()
    losses = named_losses(options.losses)
    with tempfile.TemporaryDirectory() as scratch:
        grid, html = Path(scratch) / "grid", Path(scratch) / "report.html"
        make_records(grid, losses, seeds=options.seeds, images=options.images, embedding_dim=options.embedding_dim)
        command = [sys.executable, "-m", "lossbench", "report", str(grid), "--html", str(html)]
        began = time.perf_counter()
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True)
        seconds = time.perf_counter() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{options.losses} losses x {options.seeds} seeds x {options.images:,} images of {options.embedding_dim} "
            f"numbers: {seconds:.1f} s ({used.ru_utime + used.ru_stime:.1f} s of CPU), page "
            f"{html.stat().st_size / 1e6:.2f} MB, peak memory {used.ru_maxrss / 2**20:.2f} GiB"
        )


if __name__ == "__main__":
    main()
