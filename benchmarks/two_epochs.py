"""Train every loss of this repository for two epochs on the embedded data on the CPU, in float32 and bf16 autocast.

    pip install ./plugins/*/
    python benchmarks/two_epochs.py [--data synthetic] > benchmarks/results/two-epochs.md

These are the built-in losses and those of lossbench-imbalance, -cluster and -margin. A run stops at a non-finite loss,
gradient or output; the history and the stored scores and embeddings are also checked. Exits with 1 if a run fails.
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
    print(f"torch {torch.__version__}, cpu. Mean loss of the second epoch, and balanced accuracy after it in per cent.")
    print("All numbers in the histories and stored predictions are finite.\n")
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
    """Return the names of the losses of this repository."""
    rows = loss_entries(load=True)
    return [row.name for row in rows if row.origin in OURS and row.status in ("built-in", "usable")]


def finite_run(name: str, precision: str, data: str, folder: Path) -> tuple[Record, tuple[HistoryRow, ...]]:
    """Train two epochs and return the record and the history.

    Raises:
        NonFiniteError: the run stopped.
        AssertionError: a number in the history or the predictions is non-finite.
    """
    result = run(RunConfig(loss=name, data=data, epochs=2, device="cpu", precision=precision), folder)
    assert result.record is not None
    history = read_history(folder)  # refuses non-finite numbers
    assert len(history) == 2
    stored = read_predictions(folder, result.record, embeddings=True)
    assert np.isfinite(stored.test.vectors).all(), "test_embeddings are non-finite"
    assert stored.centers is None or np.isfinite(stored.centers).all(), "centers are non-finite"
    return result.record, history


if __name__ == "__main__":
    sys.exit(main())
