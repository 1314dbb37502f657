"""Measure what training on people first is worth: two stages compared with expressions from scratch.

    python benchmarks/two_stage.py faces8/train.csv OUT [--seeds 5] [-- --device cuda]
    python benchmarks/two_stage.py faces8/train.csv OUT --expressions ferplus:DIR    # expressions of other data

`compare` gives all runs of a grid the same weights; here, each seed starts from the people of the same seed, and the
arms differ in their epochs. So each run is a `lossbench run`, and `lossbench judge` compares their predictions:

    people-first    20 epochs on people (`--label person`), then 10 epochs on expressions from that backbone
    scratch         the epochs on expressions that see as many images as both stages together (20 on faces8)
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
IDENTITY_EPOCHS, EXPRESSION_EPOCHS = 20, 10
TWO_STAGE, SCRATCH, SHORT = "people-first", "scratch", "scratch-short"


def main() -> None:
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="manifest with the columns path, label and person")
    parser.add_argument("out", type=Path, help="directory of the runs and of the tables for lossbench judge")
    parser.add_argument("--expressions", metavar="SPEC", help="data of the second stage (default: the manifest)")
    parser.add_argument("--seeds", type=int, default=5)
    given, for_every_run = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]
    tables = []
    people_data = f"csv:{given.manifest}"
    data = ["--data", given.expressions or people_data]
    for seed in range(given.seeds):
        common = ["--cache", "--augment", "standard", "--seed", str(seed), *for_every_run]
        people, first = given.out / f"people-s{seed}", given.out / f"{TWO_STAGE}-s{seed}"
        train(people, IDENTITY_LOSS, IDENTITY_EPOCHS, "--data", people_data, "--label", "person", *common)
        train(first, EXPRESSION_LOSS, EXPRESSION_EPOCHS, *data, *common, "--weights", f"run:{people}")
        together = scratch_epochs(training_images(people), training_images(first))
        for name, epochs in ((SCRATCH, together), (SHORT, EXPRESSION_EPOCHS)):
            train(given.out / f"{name}-s{seed}", EXPRESSION_LOSS, epochs, *data, *common)
        tables += [write_table(given.out / f"{name}-s{seed}", name, seed) for name in (TWO_STAGE, SCRATCH, SHORT)]
    claims = ["--claim", f"{TWO_STAGE} > {SCRATCH}", "--claim", f"{TWO_STAGE} > {SHORT}"]
    lossbench("judge", *map(str, tables), *claims, "--md", str(given.out / "verdict.md"))


def scratch_epochs(people: int, expressions: int) -> int:
    """Return the epochs on expressions in which as many images are seen as in both stages.

    Args:
        people: training images of the first stage.
        expressions: training images of the second stage.
    """
    return round((IDENTITY_EPOCHS * people + EXPRESSION_EPOCHS * expressions) / expressions)


def training_images(run: Path) -> int:
    """Return the number of training images of a finished run."""
    return sum(read_record(run).data.training_counts.values())


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
