"""Measure the cost of the five losses and other implementations: the stored table of `lossbench bench --suite`.

    python benchmarks/loss_costs.py benchmarks/results/loss-costs [--seconds 1] [--plots docs/images]

Writes RESULT.json (every row, with machine and versions) and RESULT.md, and with --plots the growth plots of the docs.
One thread, float32, forward and backward; contenders are interleaved in one process, ratios are of shortest CPU times.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from lossbench.bench import Growth, Workload, contender, measure_growth, peers_of
from lossbench.bench.plot import plot_growth
from lossbench.bench.suite import Line, run_suite
from lossbench.machine.facts import machine

GROWTHS = (
    ("triplet(distance=euclidean)", ("pml", "naive"), Workload(8, 8, 128), "B", (64, 128, 256, 512, 1024, 2048, 4096)),
    ("weighted-cluster", ("naive",), Workload(512, 8, 512, state_learns=True), "C", (10, 100, 1000, 10_000, 100_000)),
    ("center", ("naive",), Workload(512, 8, 512, state_learns=True), "C", (10, 100, 1000, 10_000, 100_000)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="without suffix")
    parser.add_argument("--seconds", type=float, default=1.0, help="approximate seconds per contender of a row")
    parser.add_argument("--plots", type=Path, help="directory for the growth plots")
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = list(run_suite(given.seconds, lambda text: print(text, file=sys.stderr, flush=True)))
    growths = list(_growths(given.plots)) if given.plots else []
    content = {
        "machine": machine(),
        "lines": [line.content() for line in lines],
        "growth": [asdict(growth) for each in growths for growth in each],
    }
    given.result.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")
    text = markdown(content["machine"], lines, growths)  # type: ignore[arg-type]
    given.result.with_suffix(".md").write_text(text)
    print(text)


def _growths(folder: Path) -> list[list[Growth]]:
    found = []
    for loss, against, workload, axis, sizes in GROWTHS:
        print(f"{loss}, growth in {axis}", file=sys.stderr, flush=True)
        contenders = [contender(loss), *(peer for name in against for peer in peers_of(loss, name))]
        found.append(measure_growth(contenders, workload, axis, sizes, seconds=0.3))
        plot_growth(found[-1], folder / f"growth-{loss.partition('(')[0]}.svg", f"{loss}: growth in {axis}")
    return found


def markdown(where: dict[str, object], lines: list[Line], growths: list[list[Growth]]) -> str:
    """Return the tables, with the machine."""
    packages = ", ".join(f"{name} {number}" for name, number in where["packages"].items())  # type: ignore[attr-defined]
    rows = [
        f"| {line.what} | {line.peer} | {'; '.join(line.goals)} | {'; '.join(line.measured)} | {_met(line)} |"
        for line in lines
    ]
    parts = [
        "# What the five losses cost",
        f"    python {where['command']}".replace("loss_costs.py", "benchmarks/loss_costs.py"),
        f"{where['processor']}, {where['threads']} thread; Python {where['python']}, {packages}. Float32, forward and "
        "backward, contenders interleaved in one process; ratios of the shortest CPU times, with buffers that the C "
        "allocator reuses (warm) and with buffers that it maps again each time (cold). The JSON file next to this file "
        "has times, quartiles, memory and operators. For weighted-cluster and center, the centers also receive a "
        "gradient, on both sides.",
        "| loss (B, C, D) | against | goal | measured | |\n|-|-|-|-|-|\n" + "\n".join(rows),
    ]
    for each in growths:
        axis = each[0].axis
        place = "BCD".index(axis)
        sizes = sorted({row.workload[place] for growth in each for row in growth.rows})
        head = f"| ms (peak MB) | {' | '.join(f'{axis} = {size:,}' for size in sizes)} | time ~ | memory ~ |"
        table = [head, "|-" * (len(sizes) + 3) + "|"]
        for growth in each:
            by_size = {row.workload[place]: row for row in growth.rows}
            cells = [_cell(by_size.get(size)) for size in sizes]
            exponents = [f"{axis}^{e:.2f}" if e else "" for e in (growth.time_exponent, growth.memory_exponent)]
            table.append(f"| {' | '.join([growth.name, *cells, *exponents])} |")
        parts.append(f"## {each[0].name} as {axis} grows\n\n" + "\n".join(table))
    return "\n\n".join(parts) + "\n"


def _met(line: Line) -> str:
    return {True: "met", False: f"missed: {line.reason}", None: ""}[line.met]


def _cell(row: object) -> str:
    from lossbench.bench import Row

    if not isinstance(row, Row):
        return "not tried"
    if row.seconds is None or row.peak_bytes is None:
        return "out of memory" if (row.error or "").startswith("out of memory") else "failed"
    return f"{1e3 * row.seconds:,.2f} ({row.peak_bytes / 1e6:,.2f})"


if __name__ == "__main__":
    main()
