"""How long `lossbench data inspect` takes on AffectNet at its full size, layout by layout, and how much memory.

    python benchmarks/affectnet_scale.py DIR [--rows 290000] [--layouts full,mini,folders,plus]

Makes the trees below DIR where they aren't yet: true annotations, and images that are hard links to a few small ones
(annotation files of their own need 4 KiB each). Each inspection is a process of its own.
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

LINKS = 30_000  # to one file; ext4 allows 65,000
VALIDATION = 4000
IN_A_FOLDER = 290  # images of a numbered folder of the full release
HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"


def main() -> None:
    """Makes the trees and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rows", type=int, default=290_000, help="with an expression; as many again have none")
    parser.add_argument("--layouts", default=",".join(LAYOUTS))
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; files in the page cache")
    print("| layout | rows | of them used | seconds | peak MiB |")
    print("|-|-|-|-|-|")
    for name in options.layouts.split(","):
        root = options.directory / f"{name}-{options.rows}"
        if not (root / "made").exists():
            LAYOUTS[name](root, options.rows)
            (root / "made").touch()
        used, dropped, seconds, peak = inspect(root)
        print(f"| {name} | {used + dropped:,} | {used:,} | {seconds:.1f} | {peak / 2**20:.0f} |", flush=True)


def inspect(root: Path) -> tuple[int, int, float, int]:
    """Used and dropped rows, wall seconds and peak resident bytes of one inspection."""
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
    """Codes in a mixed order: expressions in AffectNet's proportions and, where asked, the other three as well."""
    share = np.array(TRAINING_COUNTS) / sum(TRAINING_COUNTS)
    drawn = np.random.default_rng(0).choice(8, size=rows, p=share)
    if dropped:  # 33,088 + 11,645 + 82,414 rows beside 287,651 in the real list
        other = np.random.default_rng(1).choice([8, 9, 10], size=round(rows * 0.442), p=[0.26, 0.09, 0.65])
        drawn = np.random.default_rng(2).permutation(np.concatenate([drawn, other]))
    return iter(drawn.tolist())


def linked(root: Path) -> Callable[[Path], None]:
    """A function that makes an image appear at a path: a hard link to one of a few small files."""
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
    """Whether it is training, and the codes of its rows."""
    yield True, list(codes(rows - VALIDATION, dropped=dropped))
    yield False, [code for code in range(8) for _ in range(VALIDATION // 8)]


def make_full(root: Path, rows: int) -> None:
    """The full release, with rows of no expression and the 68 landmarks in each line."""
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
    """AffectNet-8 of 2021: four npy files an image, of which one is read."""
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
    """AffectNet+: a JSON file an image."""
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
    """Class folders."""
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
