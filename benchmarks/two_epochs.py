"""Trains every loss of ours for two epochs on the embedded data on the CPU, in float32 and under bf16 autocast.

    pip install ./plugins/*/
    python benchmarks/two_epochs.py [--data synthetic] > benchmarks/results/two-epochs.md

Ours are the built-in ones and those of lossbench-imbalance, -cluster and -margin. A run stops at a loss, gradient or
output that is not finite; the history and the stored scores and embeddings are looked at, too. Exit code 1 if a run
fails.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lossbench.errors import LossbenchError
from lossbench.harness.run import run
from lossbench.registry import loss_entries
from lossbench.runs.options import RunConfig

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
            formula = record["formula"]
            cells.append(f"{history[-1]['loss']:.3f}, {100 * record['metrics']['balanced_accuracy']:.1f}")
        print(f"| {name} | `{formula}` | {' | '.join(cells)} |", flush=True)
    return int(failed)


def names() -> list[str]:
    """The losses of ours."""
    rows = loss_entries(load=True)
    return [row.name for row in rows if row.origin in OURS and row.status in ("built-in", "usable")]


def finite_run(name: str, precision: str, data: str, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Two epochs; the record and the history.

    Raises:
        NonFiniteError: the run stopped.
        AssertionError: a number in the history or the predictions is not finite.
    """
    record = run(RunConfig(loss=name, data=data, epochs=2, device="cpu", precision=precision), folder)
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert len(history) == 2
    assert all(math.isfinite(number) for number in numbers(history)), "a number in history.jsonl is not finite"
    with np.load(folder / "predictions.npz", allow_pickle=False) as predictions:
        arrays = {key: array for key, array in predictions.items() if array.dtype.kind == "f"}
    assert arrays
    for key, array in arrays.items():
        assert np.isfinite(array).all(), f"{key} is not finite"
    return record, history


def numbers(tree: object) -> Iterator[float]:
    """Every number in it."""
    if isinstance(tree, dict | list):
        for each in tree.values() if isinstance(tree, dict) else tree:
            yield from numbers(each)
    elif isinstance(tree, int | float):
        yield tree


if __name__ == "__main__":
    sys.exit(main())
