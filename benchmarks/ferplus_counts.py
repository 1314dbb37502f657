"""Count FER+ independently of lossbench, and train on all of its images from the cache of decoded files.

    python benchmarks/ferplus_counts.py DIR OUT [--options "--device cpu"]

DIR has `fer2013new.csv` and the image folders. The script follows the publishers' rule in plain loops and compares the
number of every step with what `ferplus:DIR` reports. Then it writes a manifest of all image files with the label that
most annotators chose, and trains one epoch of senet-tiny on it twice with `--cache`. Every file is decoded once to be
checked: those with a label when FER+ is opened, the others by the first run; the second run finds all of them checked.
OUT/counts.md has the counts and the times. Exits with 1 if a number differs.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from lossbench.data.sources import open_data
from lossbench.runs.record import read_record

COLUMNS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
FOLDERS = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}
DROPPED = {"unknown": "unknown", "NF": "not a face"}
Counts = dict[str, Counter[str]]


def independent_counts(root: Path) -> Counts:
    """Return usage -> step -> number of rows, for Training and the split that is tested."""
    with (root / "fer2013new.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    test = "PrivateTest" if (root / FOLDERS["PrivateTest"]).is_dir() else "PublicTest"
    counts: Counts = {usage: Counter() for usage in ("Training", test)}
    copies: defaultdict[bytes, list[tuple[str, str]]] = defaultdict(list)  # pixels -> (usage, label) of each image
    seen: set[tuple[str, str]] = set()
    for row in table:
        usage, name = row["Usage"].strip(), row["Image name"].strip()
        if usage not in counts:
            continue
        count = counts[usage]
        count["rows"] += 1
        votes = {column: int(row[column]) for column in COLUMNS}
        kept = {column: votes[column] if votes[column] > 1 else 0 for column in COLUMNS}
        winner = max(kept, key=lambda column: kept[column])
        if not name:
            count["without a file name"] += 1
        elif (usage, name) in seen:
            count["listed twice"] += 1
        elif 2 * kept[winner] <= sum(kept.values()):
            count["without a majority"] += 1
        elif winner in DROPPED:
            count[DROPPED[winner]] += 1
        else:
            with Image.open(root / FOLDERS[usage] / name) as image:
                copies[np.asarray(image.convert("L")).tobytes()].append((usage, winner))
        seen.add((usage, name))
    for group in copies.values():
        _count_group(group, test, counts)
    return counts


def _count_group(group: list[tuple[str, str]], test: str, counts: Counts) -> None:
    """Count the images of equal pixels: all are dropped, or the test split keeps one, or else training."""
    usages, labels = [usage for usage, _ in group], {label for _, label in group}
    if len(labels) > 1:
        for usage in usages:
            counts[usage]["duplicates with different labels"] += 1
        return
    keeps = test if test in usages else "Training"
    counts[keeps]["remain"] += 1
    counts[keeps][f"label {labels.pop()}"] += 1
    counts[keeps]["duplicates of an image that is kept"] += usages.count(keeps) - 1
    if keeps == test:
        counts["Training"]["duplicates of a test image"] += usages.count("Training")


def reported_counts(root: Path) -> Counts:
    """Return the same steps as `ferplus:` reports them."""
    splits = open_data(f"ferplus:{root}", allow_missing_classes=True)
    counts: Counts = {}
    for table, split in ((splits.train, "train"), (splits.test, "test")):
        dropped: dict[str, dict[str, int]] = table.details["dropped"]  # type: ignore[assignment]
        usage = "Training" if split == "train" else splits.origin.split(",")[0]
        note = next(note for note in splits.notes if note.startswith(f"{usage}: "))
        found = re.match(rf"{usage}: ([\d,]+) rows", note)
        assert found
        labels = zip(table.class_names, table.class_counts, strict=True)
        counts[usage] = Counter(dropped[split]) | Counter({f"label {name}": count for name, count in labels})
        counts[usage] |= Counter({"rows": int(found[1].replace(",", "")), "remain": len(table)})
    return counts


def compared(root: Path) -> tuple[list[tuple[str, str, int, int]], bool]:
    """Return rows of (usage, step, independent, reported), and whether all numbers agree."""
    one, other = independent_counts(root), reported_counts(root)
    assert set(one) == set(other), (set(one), set(other))
    steps = sorted({step for counts in (*one.values(), *other.values()) for step in counts if max(counts[step], 0)})
    rows = [(usage, step, one[usage][step], other[usage][step]) for usage in one for step in steps]
    return rows, all(mine == theirs for _, _, mine, theirs in rows)


def write_manifest(root: Path, manifest: Path) -> int:
    """Write path and most frequent label of every image file that is listed with a name; return their number."""
    rows = {}
    with (root / "fer2013new.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            path = root / FOLDERS[row["Usage"].strip()] / row["Image name"].strip()
            if row["Image name"].strip() and path.is_file():
                rows[path.relative_to(root)] = max(COLUMNS[:8], key=lambda column, row=row: int(row[column]))  # type: ignore[misc]
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows.items()])
    return len(rows)


def train_twice(root: Path, out: Path, options: list[str]) -> list[str]:
    """Train one epoch on all images, first with an empty cache, and return lines about both runs."""
    images, lines = write_manifest(root, out / "all.csv"), []
    for name in ("first", "second"):
        command = [
            "run",
            "--loss",
            "softmax",
            "--data",
            f"csv:{out / 'all.csv'}",
            "--root",
            str(root),
            "--cache",
            "--epochs",
            "1",
        ]
        command += ["--batch-size", "256", *options, "--out", str(out / name)]
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "lossbench", *command], check=True)
        record = read_record(out / name)
        used = sum(record.data.training_counts.values()) + sum(record.data.test_counts.values())
        assert used == images, (used, images)
        trained = sum(record.data.training_counts.values())
        lines.append(
            f"- {name} run: {images:,} images checked, {trained:,} of them trained on; "
            f"{time.perf_counter() - began:.0f} s in all, {record.timing.train_seconds:.0f} s of them training"
        )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, metavar="DIR")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--options", default="", help="further options of both runs")
    given = parser.parse_args()
    given.out.mkdir(parents=True)
    rows, agree = compared(given.root)
    lines = ["| split | step | independent | ferplus: |", "|-|-|-:|-:|"]
    lines += [f"| {usage} | {step} | {mine:,} | {theirs:,} |" for usage, step, mine, theirs in rows]
    verdict = "All numbers agree." if agree else "Numbers differ."
    lines += ["", verdict, "", *train_twice(given.root, given.out, given.options.split())]
    (given.out / "counts.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
