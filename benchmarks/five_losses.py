"""Compare the five losses with their defaults on three datasets, several seeds each.

    python benchmarks/five_losses.py OUT RESULT.md [FACES8/train.csv] [--jobs 2] [--seeds 3]

Prints mean balanced accuracy and its standard deviation over seeds, seconds of the whole run, and the loss's share of a
training step, and writes them to RESULT.md. Finished runs in OUT are kept.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from figures import FEWEST_TEST_IMAGES, frequent, interval, recall, spread
from grid import Cell, run_cells

LOSSES = ("softmax", "weighted-softmax", "center", "triplet", "weighted-cluster")
PAIRS = (
    ("weighted-softmax", "softmax"),
    ("center", "softmax"),
    ("triplet", "softmax"),
    ("weighted-cluster", "weighted-softmax"),
)
HEAD = """# The five losses with their defaults

    python benchmarks/five_losses.py OUT benchmarks/results/five-losses.md faces8/train.csv

{seeds} seeds, {jobs} parallel runs. Balanced accuracy and macro F1 in per cent, mean ± standard deviation over seeds,
evaluated once, after the last epoch. Seconds are per run, milliseconds per training step; the share of the loss
is its forward and backward time alone. {seeds} seeds are too few to rank losses with similar results, and rendered
faces are not photographs.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("faces8", nargs="?")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    data = {"rendered faces": "synthetic", "digits": "digits"}
    if arguments.faces8:
        data["faces8"] = f"csv:{arguments.faces8}"
    cells = {
        (name, loss, seed): Cell(
            f"{name.replace(' ', '-')}-{loss}-s{seed}", ("--loss", loss, "--data", spec, "--seed", str(seed))
        )
        for seed in range(arguments.seeds)
        for name, spec in data.items()
        for loss in LOSSES
    }
    records = run_cells(list(cells.values()), arguments.out, arguments.jobs)
    parts = []
    for name in data:
        rows = {loss: [records[cells[name, loss, s].name] for s in range(arguments.seeds)] for loss in LOSSES}
        parts.append(f"## {name}\n\n{described(rows['softmax'][0])}\n\n{table(rows)}\n\n{paired(rows)}\n")
    text = HEAD.format(jobs=arguments.jobs, seeds=arguments.seeds) + "\n".join(parts)
    arguments.result.write_text(text)
    print(text)


def described(record: dict[str, Any]) -> str:
    data, environment, config = record["data"], record["environment"], record["config"]
    counts = sorted(data["training_counts"].values(), reverse=True)
    return (
        f"{sum(counts):,} training images in {len(counts)} classes ({counts[0]:,} to {counts[-1]}), "
        f"{sum(data['test_counts'].values()):,} test images; {record['model']['name']}, "
        f"{config['epochs']} epochs, batch {config['batch_size']}, {config['image_size']} px; "
        f"torch {environment['packages']['torch']}, {environment['device']}, {environment['cpu_threads']} thread "
        "per run."
    )


def table(rows: dict[str, list[dict[str, Any]]]) -> str:
    counts = next(iter(rows.values()))[0]["data"]["test_counts"]
    enough = frequent(list(counts.values()))
    some = (
        f" | {len(enough)} classes with {FEWEST_TEST_IMAGES} or more test images" if len(enough) < len(counts) else ""
    )
    lines = [
        f"| loss | objective | balanced accuracy{some} | macro F1 | seconds per run | ms per step "
        "| share of the loss |",
        "|-|-|-|-|-|-|-|" + ("-|" if some else ""),
    ]
    for loss, records in rows.items():
        balanced = spread([recall(r["confusion_matrix"], range(len(counts))) for r in records])
        over_enough = f" | {spread([recall(r['confusion_matrix'], enough) for r in records])}" if some else ""
        timing = [record["timing"] for record in records]
        lines.append(
            f"| {loss} | `{records[0]['formula']}` | {balanced}{over_enough} "
            f"| {spread([r['metrics']['macro_f1'] for r in records])} "
            f"| {statistics.mean(part['total_seconds'] for part in timing):.0f} "
            f"| {1000 * statistics.mean(part['seconds_per_step'] for part in timing):.1f} "
            f"| {100 * statistics.mean(part['loss_share'] for part in timing):.2f} % |"
        )
    return "\n".join(lines)


def paired(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Return differences by seed between similar losses, with Student's 95 % interval of their mean."""
    if len(next(iter(rows.values()))) < 2:
        return ""
    lines = ["| difference in balanced accuracy, by seed | seeds | mean, 95 % interval |", "|-|-|-|"]
    for loss, parent in PAIRS:
        values = [
            100 * (a["metrics"]["balanced_accuracy"] - b["metrics"]["balanced_accuracy"])
            for a, b in zip(rows[loss], rows[parent], strict=True)
        ]
        mean, half = interval(values)
        shown = ", ".join(f"{value:+.1f}" for value in values)
        lines.append(f"| {loss} - {parent} | {shown} | {mean:+.1f} ± {half:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
