"""Measure `lossbench list` with many installed losses: python benchmarks/listing_speed.py [--losses 100]

Distributions with one loss each are placed on the path of new processes, which list them without importing them. The
limit is 0.3 s more than a process that only starts the command line (`lossbench --version`). Exits with 1 if it takes
longer, or if a plugin is imported.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ALLOWED_SECONDS, REPEATS = 0.3, 7


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", type=int, default=100)
    losses = parser.parse_args().losses
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        lay_out(site, losses)
        start, listing = [], []
        for _ in range(REPEATS):
            start.append(seconds(site, "--version")[0])
            taken, said = seconds(site, "list", "--json")
            listing.append(taken)
        found = sum(row["name"].startswith("made-") for row in json.loads(said))
        imported = len(list(site.glob("imported-*")))
    beyond = statistics.median(listing) - statistics.median(start)
    print(f"start-up {statistics.median(start):.2f} s, list of {found} losses {statistics.median(listing):.2f} s")
    print(f"{beyond:.2f} s beyond start-up, {ALLOWED_SECONDS} s allowed; {imported} imported")
    return int(beyond > ALLOWED_SECONDS or imported > 0 or found != losses)


def lay_out(site: Path, losses: int) -> None:
    """Create one distribution per loss as pip does; importing one creates a file."""
    for number in range(losses):
        info = site / f"made_{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: made-{number}\nVersion: 1.0\nRequires-Dist: lossbench\n"
        )
        (info / "entry_points.txt").write_text(f"[lossbench.losses]\nmade-{number} = made_{number}:SPEC\n")
        code = f"import pathlib\npathlib.Path(__file__).with_name('imported-{number}').touch()\n"
        (site / f"made_{number}.py").write_text(code)


def seconds(site: Path, *arguments: str) -> tuple[float, str]:
    """Return the wall time of a new process, and its output."""
    environment = {**os.environ, "PYTHONPATH": str(site), "XDG_CACHE_HOME": str(site / "cache")}
    began = time.perf_counter()
    command = [sys.executable, "-m", "lossbench", *arguments]
    done = subprocess.run(command, env=environment, cwd=site, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, done.stdout


if __name__ == "__main__":
    sys.exit(main())
