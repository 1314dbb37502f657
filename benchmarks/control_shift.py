"""Measure how close shifted scores come to the best possible shift, from the records of comparisons.

    python benchmarks/control_shift.py GRID...

For every loss: balanced accuracy as trained, with the prior taken off that the scores of each run carry as measured on
held-out images, and with the best tau for the test images themselves, which is a bound and no result. The control of a
comparison, plain softmax with shifted scores, is a row of its own. The mean over seeds is compared with two bounds: one
tau for all runs of a loss, and the best tau of each run, which also fits the noise of a single run.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lossbench.verdict.comparison import Comparison
from lossbench.verdict.entrants import Entrant
from lossbench.verdict.judge import compare
from lossbench.verdict.thresholds import balanced_accuracy, frequencies, shifted

TAUS = np.arange(-0.5, 3.01, 0.05)


class Gap(NamedTuple):
    """Means over seeds, as shares; `best` with one tau for all runs, `best_each` with that of each run."""

    entrant: str
    as_trained: float
    shift: float
    tau: float
    best: float
    best_each: float

    @property
    def points(self) -> float:
        """Points below the best possible shift."""
        return 100 * (self.best - self.shift)


def gaps(comparison: Comparison) -> Iterator[Gap]:
    """Yield a row for the control, and one for every loss whose prior was measured in all runs."""
    bounds = {e.label: _bounds(e) for e in comparison.trained}
    for entrant in comparison.entrants:
        found = entrant.thresholds
        if entrant.derived:
            taus: Mapping[int, float | None] = {seed: t.control for seed, t in found.items()}
            shares: Mapping[int, float | None] = entrant.scores
            bound = bounds[next(e.label for e in comparison.trained if e.runs == entrant.runs)]
        else:
            taus, shares = {s: t.tau for s, t in found.items()}, {s: t.tuned for s, t in found.items()}
            bound = bounds[entrant.label]
        known = [(tau, share) for tau, share in zip(taus.values(), shares.values(), strict=True)
                 if tau is not None and share is not None]  # fmt: skip
        if known and len(known) == len(found):
            tau, share = (statistics.mean(values) for values in zip(*known, strict=True))
            trained = statistics.mean(t.as_trained for t in found.values())
            yield Gap(entrant.label, trained, share, tau, *bound)


def _bounds(entrant: Entrant) -> tuple[float, float]:
    """Return the best balanced accuracy with one tau for all runs, and with the best tau of each."""
    reached = []  # of each run and tau
    for run in entrant.runs.values():
        test, data = run.predictions.test, run.record.data
        frequency = frequencies(data.in_order(data.training_counts))
        reached.append([balanced_accuracy(shifted(test.scores, frequency, tau), test.targets) for tau in TAUS.tolist()])
    table = np.array(reached)
    return float(table.mean(axis=0).max()), float(table.max(axis=1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grids", nargs="+", type=Path, metavar="GRID")
    for grid in parser.parse_args().grids:
        comparison = compare(grid)
        data = comparison.records.runs[0].record.data
        seeds = max(len(e.scores) for e in comparison.entrants)
        print(f"{data.spec}, {seeds} seeds, {data.selection_images} held-out images\n")
        print("| entrant | as trained | shifted | tau | best shift | best of each run | below the best shift |")
        print("|-|-:|-:|-:|-:|-:|-:|")
        rows = list(gaps(comparison))
        for row in rows:
            shares = (row.as_trained, row.shift, row.best, row.best_each)
            trained, shift, best, each = (f"{100 * share:.1f}" for share in shares)
            print(f"| {row.entrant} | {trained} | {shift} | {row.tau:.2f} | {best} | {each} | {row.points:.1f} |")
        print(f"\nlargest gap: {max((row.points for row in rows), default=float('nan')):.1f} points (wanted: 1.5)\n")


if __name__ == "__main__":
    main()
