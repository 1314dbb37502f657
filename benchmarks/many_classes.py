"""Train, evaluate and record a whole run with very many classes, and print its memory and time.

    python benchmarks/many_classes.py [--classes 50000] [--test 2000] [--loss weighted-cluster]

Makes a manifest with one training image per class (links to a few files) in a temporary folder, and `--test` test
images, and runs `lossbench run` for one epoch of senet-tiny in a process of its own. The scores of the test images,
which `predictions.npz` stores, are N x C numbers; everything else is proportional to N + C.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

_LINKS = 20_000  # links per file; ext4 allows 65,000
_IN_A_FOLDER = 1000


def main() -> int:
    """Print a table; return the exit code of the run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=50_000)
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--loss", default="weighted-cluster")
    parser.add_argument("--batch-size", type=int, default=500)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = write_manifest(folder, given.classes, given.test)
        command = [
            *(sys.executable, "-m", "lossbench", "run", "--loss", given.loss, "--data", f"csv:{manifest}"),
            *("--allow-missing-classes", "--epochs", "1", "--batch-size", str(given.batch_size)),
            *("--image-size", "32", "--device", "cpu", "--out", str(folder / "run")),
        ]
        child = subprocess.Popen(command)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            return child.returncode
        record = json.loads((folder / "run" / "record.json").read_text())
        peak, scores = usage.ru_maxrss * 1024, 4 * given.test * given.classes
        print("| loss | classes | test images | CPU s | of it training | peak MiB | scores of the test split, MiB |")
        print("|-|-|-|-|-|-|-|")
        print(
            f"| {given.loss} | {given.classes:,} | {given.test:,} | {usage.ru_utime + usage.ru_stime:,.0f} "
            f"| {record['timing']['train_seconds']:,.0f} | {peak / 2**20:,.0f} | {scores / 2**20:,.0f} |"
        )
    return 0


def write_manifest(folder: Path, classes: int, test: int) -> Path:
    """Write images and a manifest with one training image per class, and return its path."""
    draw = np.random.default_rng(0)
    lines = ["path,label,split"]
    original = folder
    for row in range(classes + test):
        if row % _LINKS == 0 or row == classes:  # no file in both splits
            original = folder / f"original{row}.png"
            Image.fromarray(draw.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(original)
        path = folder / str(row // _IN_A_FOLDER) / f"{row}.png"
        path.parent.mkdir(exist_ok=True)
        os.link(original, path)
        split = "train" if row < classes else "val"
        lines.append(f"{path.relative_to(folder)},c{row % classes:06},{split}")
    manifest = folder / "all.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


if __name__ == "__main__":
    sys.exit(main())
