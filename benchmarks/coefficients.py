"""Choose the coefficients of the three joint objectives, on data that is never reported.

    python benchmarks/coefficients.py embedded   OUT [--jobs 2]
    python benchmarks/coefficients.py faces8     OUT FACES8/train.csv "center=0.001,0.003; triplet=…"  [--jobs 2]
    python benchmarks/coefficients.py confirm    OUT "center=0.003; …"  [--jobs 2]

`embedded` evaluates every candidate on rendered faces with data seed 1 (the default is 0), run seeds 10 to 12. `faces8`
evaluates two candidates per loss on the selection split, run seeds 10 to 12. `confirm` repeats the chosen candidates
and their parents on rendered faces with data seed 2, run seeds 20 to 22. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grid import Cell, run_cells

CANDIDATES: dict[str, tuple[float, ...]] = {
    "center": (0.0003, 0.001, 0.003, 0.01),
    "triplet": (0.1, 0.3, 1.0, 3.0),
    "weighted-cluster": (0.1, 0.3, 1.0, 3.0),
}
PARENTS = ("softmax", "weighted-softmax")
Metric = Callable[[dict[str, Any]], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("embedded", "faces8", "confirm"))
    parser.add_argument("out", type=Path)
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.stage == "embedded":
        table(CANDIDATES, ["--data", "synthetic(data_seed=1)"], range(10, 13), test_accuracy, arguments)
    elif arguments.stage == "faces8":
        manifest, chosen = arguments.rest
        options = ["--data", f"csv:{manifest}", "--select", "--cache", "--epochs", "8"]
        table(parsed(chosen), options, range(10, 13), selection_accuracy, arguments)
    else:
        table(parsed(arguments.rest[0]), ["--data", "synthetic(data_seed=2)"], range(20, 23), test_accuracy, arguments)


def test_accuracy(record: dict[str, Any]) -> float:
    return float(record["metrics"]["balanced_accuracy"])


def selection_accuracy(record: dict[str, Any]) -> float:
    """Return the selection accuracy of the last epoch; the test split is not used here."""
    return float(record["last_epoch"]["selection_balanced_accuracy"])


def parsed(text: str) -> dict[str, tuple[float, ...]]:
    """Parse "center=0.1,0.3; triplet=1" into a mapping."""
    pairs = (part.split("=") for part in text.split(";"))
    return {name.strip(): tuple(float(v) for v in values.split(",")) for name, values in pairs}


def table(
    settings: dict[str, tuple[float, ...]],
    options: list[str],
    seeds: range,
    metric: Metric,
    arguments: argparse.Namespace,
) -> None:
    rows = {} if arguments.stage == "faces8" else {name: name for name in PARENTS}
    rows |= {f"{n}, {c:g}": f"{n}(coefficient={c:g})" for n, values in settings.items() for c in values}
    cells = {
        (row, seed): Cell(
            f"{arguments.stage}-{row.replace(', ', '-')}-s{seed}", ("--loss", loss, "--seed", str(seed), *options)
        )
        for row, loss in rows.items()
        for seed in seeds
    }
    # Seeds outermost, so that an interrupted grid has complete seeds.
    records = run_cells(sorted(cells.values(), key=lambda cell: cell.name[-2:]), arguments.out, arguments.jobs)
    print(f"| loss, coefficient | {' | '.join(f'seed {s}' for s in seeds)} | mean | gradient ratio, last epoch |")
    print("|-|" + "-|" * (len(seeds) + 2))
    for row in rows:
        found = [records[cells[row, seed].name] for seed in seeds]
        values = [metric(record) for record in found]
        ratios = [r for record in found for r in record["last_epoch"]["gradient_ratio"].values() if r is not None]
        ratio = f"{statistics.mean(ratios):.2g}" if ratios else "-"
        shown = " | ".join(f"{100 * value:.1f}" for value in values)
        print(f"| {row} | {shown} | **{100 * statistics.mean(values):.1f}** | {ratio} |")


if __name__ == "__main__":
    main()
