"""Trains every loss of ours for two epochs on the embedded data on the CPU, in float32 and under bf16 autocast.

    pip install ./plugins/*/
    python benchmarks/two_epochs.py [--data synthetic] > benchmarks/results/two-epochs.md

Ours are the built-in ones and those of lossbench-imbalance, -cluster and -margin. A run stops at a loss, gradient or
output that is not finite; the history and the stored scores and embeddings are looked at, too. Exit code 1 if a run
fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from lossbench.errors import LossbenchError
from lossbench.harness.run import run
from lossbench.registry import loss_entries
from lossbench.runs.history import HistoryRow, read_history
from lossbench.runs.options import RunConfig
from lossbench.runs.predictions import read_predictions
from lossbench.runs.record import Record

OURS = ("lossbench", "lossbench-imbalance", "lossbench-cluster", "lossbench-margin")
PRECISIONS = ("fp32", "bf16")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="synthetic")
    data = parser.parse_args().data
    torch.set_num_threads(1)
    print(f"# Two epochs of every loss\n\n    python benchmarks/two_epochs.py --data '{data}'\n")
    print(
        f"torch {torch.__version__}, cpu. The mean loss of the second epoch; balanced accuracy after it, in per cent."
    )
    print("Every number of the histories and of the stored predictions is finite.\n")
    print("| loss | objective | fp32 | bf16 |\n|-|-|-|-|")
    failed = False
    for name in names():
        cells, formula = [], ""
        for precision in PRECISIONS:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    record, history = finite_run(name, precision, data, Path(folder) / "run")
                except (LossbenchError, AssertionError) as error:
                    failed = True
                    cells.append(f"failed: {error}")
                    continue
            formula = record.formula
            cells.append(f"{history[-1].loss:.3f}, {100 * record.metrics.balanced_accuracy:.1f}")
        print(f"| {name} | `{formula}` | {' | '.join(cells)} |", flush=True)
    return int(failed)


def names() -> list[str]:
    """The losses of ours."""
    rows = loss_entries(load=True)
    return [row.name for row in rows if row.origin in OURS and row.status in ("built-in", "usable")]


def finite_run(name: str, precision: str, data: str, folder: Path) -> tuple[Record, tuple[HistoryRow, ...]]:
    """Two epochs; the record and the history.

    Raises:
        NonFiniteError: the run stopped.
        AssertionError: a number in the history or the predictions is not finite.
    """
    result = run(RunConfig(loss=name, data=data, epochs=2, device="cpu", precision=precision), folder)
    assert result.record is not None
    history = read_history(folder)  # refuses numbers that are not finite
    assert len(history) == 2
    stored = read_predictions(folder, result.record, embeddings=True)
    assert np.isfinite(stored.test.vectors).all(), "test_embeddings are not finite"
    assert stored.centers is None or np.isfinite(stored.centers).all(), "centers are not finite"
    return result.record, history


if __name__ == "__main__":
    sys.exit(main())
