"""Measure what training on people first is worth: two stages compared with expressions from scratch.

    python benchmarks/two_stage.py faces8/train.csv OUT [--seeds 5] [-- --device cuda]

`compare` gives all runs of a grid the same weights; here, each seed starts from the people of the same seed, and the
arms differ in their epochs. So each run is a `lossbench run`, and `lossbench judge` compares their predictions:

    people-first    20 epochs on people (`--label person`), then 10 epochs on expressions from that backbone
    scratch         20 epochs on expressions: on faces8 as many images as both stages together
    scratch-short   10 epochs on expressions

Options after `--` are passed to every run. Finished runs in OUT are kept, and interrupted ones resume.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

from lossbench.runs.predictions import read_predictions
from lossbench.runs.record import read_record

IDENTITY_LOSS, EXPRESSION_LOSS = "softmax", "weighted-softmax"
IDENTITY_EPOCHS, EXPRESSION_EPOCHS, SCRATCH_EPOCHS = 20, 10, 20
TWO_STAGE, SCRATCH, SHORT = "people-first", "scratch", "scratch-short"


def main() -> None:
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="manifest with the columns path, label and person")
    parser.add_argument("out", type=Path, help="directory of the runs and of the tables for lossbench judge")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args(sys.argv[1:end])
    tables = []
    for seed in range(given.seeds):
        common = ["--data", f"csv:{given.manifest}", "--cache", "--augment", "standard", "--seed", str(seed)]
        common += sys.argv[end + 1 :]
        people = given.out / f"people-s{seed}"
        train(people, IDENTITY_LOSS, IDENTITY_EPOCHS, *common, "--label", "person")
        arms = (
            (TWO_STAGE, EXPRESSION_EPOCHS, f"run:{people}"),
            (SCRATCH, SCRATCH_EPOCHS, "none"),
            (SHORT, EXPRESSION_EPOCHS, "none"),
        )
        for name, epochs, weights in arms:
            run = given.out / f"{name}-s{seed}"
            train(run, EXPRESSION_LOSS, epochs, *common, "--weights", weights)
            tables.append(write_table(run, name, seed))
    claims = ["--claim", f"{TWO_STAGE} > {SCRATCH}", "--claim", f"{TWO_STAGE} > {SHORT}"]
    lossbench("judge", *map(str, tables), *claims, "--md", str(given.out / "verdict.md"))


def train(out: Path, loss: str, epochs: int, *options: str) -> None:
    """Run what is not finished; a run that was interrupted resumes."""
    if (out / "config.toml").exists() and not (out / "record.json").exists():
        lossbench("run", "--resume", str(out))
    elif not out.exists():
        lossbench("run", "--loss", loss, *options, "--epochs", str(epochs), "--out", str(out))


def write_table(run: Path, arm: str, seed: int) -> Path:
    """Write the test predictions of a run as a table for `lossbench judge`."""
    record = read_record(run)
    test, names = read_predictions(run, record).test, np.array(record.data.class_names)
    table = run.with_suffix(".npz")
    samples = np.array(test.sample_ids)
    np.savez(table, loss=arm, seed=seed, sample=samples, target=names[test.targets], scores=test.scores, classes=names)
    return table


def lossbench(*arguments: str) -> None:
    """Run a command; end with its exit code if it fails."""
    if code := subprocess.run([sys.executable, "-m", "lossbench", *arguments], check=False).returncode:
        raise SystemExit(code)


if __name__ == "__main__":
    main()
