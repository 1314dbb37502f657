"""Measure what training on people first is worth: two stages compared with expressions from scratch.

    python benchmarks/two_stage.py faces8/train.csv OUT [--seeds 5] [-- --device cuda]
    python benchmarks/two_stage.py faces8/train.csv OUT --expressions ferplus:DIR    # expressions of other data

`compare` gives all runs of a grid the same weights; here, each seed starts from the people of the same seed, and the
arms differ in their epochs. So each run is a `lossbench run`, and `lossbench judge` compares their predictions:

    people-first    20 epochs on people (`--label person`), then 10 epochs on expressions from that backbone
    scratch         the epochs on expressions that see as many images as both stages together (20 on faces8)
    scratch-short   10 epochs on expressions

`--epochs PEOPLE EXPRESSIONS` sets other budgets for the two stages; runs in OUT keep theirs, so pass another OUT with
other budgets. OUT/verdict.md has the verdict. No test image of the expressions may show a person of the first stage;
FER+ does not name its people, so this cannot be checked there.

Options after `--` are passed to every run. Finished runs in OUT are kept, and interrupted ones resume.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lossbench.runs.predictions import read_predictions
from lossbench.runs.record import read_record

IDENTITY_LOSS, EXPRESSION_LOSS = "softmax", "weighted-softmax"
EPOCHS = (20, 10)  # on people and on expressions
TWO_STAGE, SCRATCH, SHORT = "people-first", "scratch", "scratch-short"


def main() -> None:
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="manifest with the columns path, label and person")
    parser.add_argument("out", type=Path, help="directory of the runs and of the tables for lossbench judge")
    parser.add_argument("--expressions", metavar="SPEC", help="data of the second stage (default: the manifest)")
    parser.add_argument("--epochs", type=int, nargs=2, default=EPOCHS, metavar=("PEOPLE", "EXPRESSIONS"),
                        help=f"epochs of the two stages (default: {EPOCHS[0]} {EPOCHS[1]})")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds (default: 5)")
    given, for_every_run = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]
    tables = []
    people_data = f"csv:{given.manifest}"
    data = ["--data", given.expressions or people_data]
    on_people, on_expressions = given.epochs
    for seed in range(given.seeds):
        common = ["--cache", "--augment", "standard", "--seed", str(seed), *for_every_run]
        people, first = given.out / f"people-s{seed}", given.out / f"{TWO_STAGE}-s{seed}"
        train(people, IDENTITY_LOSS, on_people, "--data", people_data, "--label", "person", *common)
        train(first, EXPRESSION_LOSS, on_expressions, *data, *common, "--weights", f"run:{people}")
        together = scratch_epochs(training_images(people), training_images(first), *given.epochs)
        for name, epochs in ((SCRATCH, together), (SHORT, on_expressions)):
            train(given.out / f"{name}-s{seed}", EXPRESSION_LOSS, epochs, *data, *common)
        tables += [write_table(given.out / f"{name}-s{seed}", name, seed) for name in (TWO_STAGE, SCRATCH, SHORT)]
    claims = ["--claim", f"{TWO_STAGE} > {SCRATCH}", "--claim", f"{TWO_STAGE} > {SHORT}"]
    lossbench("judge", *map(str, tables), *claims, "--md", str(given.out / "verdict.md"))


def scratch_epochs(people: int, expressions: int, on_people: int, on_expressions: int) -> int:
    """Return the epochs on expressions in which as many images are seen as in both stages.

    Args:
        people: training images of the first stage.
        expressions: training images of the second stage.
        on_people: epochs of the first stage.
        on_expressions: epochs of the second stage.

    Example:
        >>> scratch_epochs(people=4778, expressions=9538, on_people=20, on_expressions=10)
        20
    """
    return round((on_people * people + on_expressions * expressions) / expressions)


def training_images(run: Path) -> int:
    """Return the number of training images of a finished run."""
    return sum(read_record(run).data.training_counts.values())


def train(out: Path, loss: str, epochs: int, *options: str) -> None:
    """Run what is not finished; a run that was interrupted resumes.

    Raises:
        SystemExit: a run of other epochs is there.
    """
    if (out / "config.toml").exists() and (
        kept := tomllib.loads((out / "config.toml").read_text())["epochs"]
    ) != epochs:
        raise SystemExit(f"error: {out} has {kept} epochs, not {epochs}; pass another OUT with other epochs")
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


def lossbench(*arguments: str, allowed: Sequence[int] = (0,)) -> int:
    """Run a command and return its exit code; end with it if it is not among those that are allowed."""
    code = subprocess.run([sys.executable, "-m", "lossbench", *arguments], check=False).returncode
    if code not in allowed:
        raise SystemExit(code)
    return code


if __name__ == "__main__":
    main()
