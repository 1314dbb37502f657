"""Measure time and memory of `lossbench data inspect` on AffectNet at its full size, for each layout.

    python benchmarks/affectnet_scale.py DIR [--rows 290000] [--layouts full,mini,folders,plus]

Creates the trees below DIR if they do not exist: complete annotations, and images that are hard links to a few small
files (separate annotation files need 4 KiB each). Each inspection is a separate process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from lossbench.data.affectnet.codes import NAMES, TRAINING_COUNTS

LINKS = 30_000  # links per file; ext4 allows 65,000
VALIDATION = 4000
IN_A_FOLDER = 290  # images per numbered folder of the full release
HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"


def main() -> None:
    """Create the trees and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rows", type=int, default=290_000, help="rows with an expression; as many more have none")
    parser.add_argument("--layouts", default=",".join(LAYOUTS))
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; files in the page cache")
    print("| layout | rows | used rows | seconds | peak MiB |")
    print("|-|-|-|-|-|")
    for name in options.layouts.split(","):
        root = options.directory / f"{name}-{options.rows}"
        if not (root / "made").exists():
            LAYOUTS[name](root, options.rows)
            (root / "made").touch()
        used, dropped, seconds, peak = inspect(root)
        print(f"| {name} | {used + dropped:,} | {used:,} | {seconds:.1f} | {peak / 2**20:.0f} |", flush=True)


def inspect(root: Path) -> tuple[int, int, float, int]:
    """Return used and dropped rows, wall seconds and peak resident bytes of one inspection."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "lossbench", "data", "inspect", f"affectnet:{root}", "--json"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    content = json.loads(child.stdout.read())
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if child.returncode or content["problems"]:
        raise SystemExit(f"the inspection of {root} ended with {child.returncode}: {content['problems']}")
    used = sum(split["images"] for split in content["splits"].values())
    dropped = sum(count for split in content["dropped"].values() for count in split.values())
    return used, dropped, seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def codes(rows: int, *, dropped: bool) -> Iterator[int]:
    """Yield codes in a mixed order: expressions in AffectNet's proportions and optionally the other three codes."""
    share = np.array(TRAINING_COUNTS) / sum(TRAINING_COUNTS)
    drawn = np.random.default_rng(0).choice(8, size=rows, p=share)
    if dropped:  # 33,088 + 11,645 + 82,414 rows in addition to 287,651 in the real list
        other = np.random.default_rng(1).choice([8, 9, 10], size=round(rows * 0.442), p=[0.26, 0.09, 0.65])
        drawn = np.random.default_rng(2).permutation(np.concatenate([drawn, other]))
    return iter(drawn.tolist())


def linked(root: Path) -> Callable[[Path], None]:
    """Return a function that creates an image at a path, as a hard link to one of a few small files."""
    count = itertools.count()
    source = root / "sources"
    source.mkdir(parents=True, exist_ok=True)

    def link(path: Path) -> None:
        number = next(count)
        file = source / f"{number // LINKS}.jpg"
        if number % LINKS == 0:
            shade = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(shade).save(file)
        os.link(file, path)

    return link


def splits(rows: int, *, dropped: bool) -> Iterator[tuple[bool, list[int]]]:
    """Yield for each split whether it is training, and the codes of its rows."""
    yield True, list(codes(rows - VALIDATION, dropped=dropped))
    yield False, [code for code in range(8) for _ in range(VALIDATION // 8)]


def make_full(root: Path, rows: int) -> None:
    """Create the full release, with rows without expression and the 68 landmarks in each line."""
    images, lists = root / "Manually_Annotated/Manually_Annotated_Images", root / "Manually_Annotated_file_lists"
    lists.mkdir(parents=True)
    landmarks = ";".join(f"{value:.2f}" for value in np.random.default_rng(0).uniform(0, 400, 136))
    for training, drawn in splits(rows, dropped=True):
        link = linked(root / ("a" if training else "b"))
        with (lists / ("training.csv" if training else "validation.csv")).open("w") as file:
            file.write(HEADER + "\n" if training else "")
            for number, code in enumerate(drawn):
                folder = images / str(number // IN_A_FOLDER + (1 if training else 10_000))
                if number % IN_A_FOLDER == 0:
                    folder.mkdir(parents=True)
                name = f"{number:056x}.jpg"
                link(folder / name)
                file.write(f"{folder.name}/{name},2,3,11,12,{landmarks},{code},0.1,-0.2\n")


def make_mini(root: Path, rows: int) -> None:
    """Create AffectNet-8 of 2021: four npy files per image, of which one is read."""
    others = {name: np.zeros(()) if name != "lnd" else np.zeros(136) for name in ("val", "aro", "lnd")}
    for training, drawn in splits(rows, dropped=False):
        folder = root / ("train_set" if training else "val_set")
        for part in ("images", "annotations"):
            (folder / part).mkdir(parents=True)
        link = linked(root / ("a" if training else "b"))
        for number, code in enumerate(drawn):
            link(folder / "images" / f"{number}.jpg")
            np.save(folder / "annotations" / f"{number}_exp.npy", np.array(str(code)))
            for name, value in others.items():
                file = folder / "annotations" / f"{number}_{name}.npy"
                first = folder / "annotations" / f"{number // LINKS * LINKS}_{name}.npy"
                np.save(file, value) if number % LINKS == 0 else os.link(first, file)


def make_plus(root: Path, rows: int) -> None:
    """Create AffectNet+: one JSON file per image."""
    for training, drawn in splits(rows, dropped=False):
        folder = root / "human_annotated" / ("train_set" if training else "validation_set")
        for part in ("images", "annotations"):
            (folder / part).mkdir(parents=True)
        link = linked(root / ("a" if training else "b"))
        for number, code in enumerate(drawn):
            link(folder / "images" / f"{number}.jpg")
            content = {"human-label": code, "soft-label": [0.125] * 8, "subset": "Easy"}
            (folder / "annotations" / f"{number}.json").write_text(json.dumps(content))


def make_folders(root: Path, rows: int) -> None:
    """Create class folders."""
    for training, drawn in splits(rows, dropped=False):
        link = linked(root / ("a" if training else "b"))
        folder = root / ("train" if training else "val")
        for name in NAMES[:8]:
            (folder / name).mkdir(parents=True)
        for number, code in enumerate(drawn):
            link(folder / NAMES[code] / f"{number}.jpg")


LAYOUTS = {"full": make_full, "mini": make_mini, "folders": make_folders, "plus": make_plus}

if __name__ == "__main__":
    main()
