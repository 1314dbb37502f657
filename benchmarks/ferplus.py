"""Run the reference experiment on FER+: a pilot that decides the epochs, then the comparison, then its page.

    python benchmarks/ferplus.py ferplus:DIR OUT [--seeds 3] [--first-seed 0] [-- --device cuda]
    python benchmarks/ferplus.py ferplus:DIR OUT --pilot           # the pilot only
    python benchmarks/ferplus.py ferplus:DIR OUT --epochs 48       # without a pilot

The options are those of benchmarks/ferplus.toml; options after `--` are passed to every run. The claims below were
written down before the first comparison. Two of the losses are in plugins/lossbench-imbalance, which must be installed.

The pilot trains softmax with one seed for 24, 48 and 96 epochs and takes the smallest number after which twice as many
raise the balanced accuracy on the training images by less than 2 points; the rule does not look at test images. The
comparison trains all losses of one seed before the next seed, and both parts resume: run the command again after an
interruption, with more `--seeds`, or with another `--first-seed` and another OUT for an independent second half.

OUT/pilot.json has the pilot's figures, OUT/grid is the directory of `lossbench compare`, and OUT/page.md and
OUT/page.html are its report, which contains no pictures of people. `lossbench compare --status OUT/grid` shows how far
the runs are, and `lossbench report OUT/grid --md FILE` reports those that are finished. benchmarks/halves.py compares
two halves of the seeds. docs/reference-experiment.md describes the experiment.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path

import two_stage

from lossbench.runs.record import read_record

CONFIG = Path(__file__).with_name("ferplus.toml")
LOSSES = (
    "softmax", "weighted-softmax", "center", "triplet", "weighted-cluster", "logit-adjusted", "balanced-softmax",
)  # fmt: skip
# The order of the paper, and whether class weights are worth more than a shift of softmax's scores after training.
CLAIMS = (
    "weighted-cluster > weighted-softmax",
    "weighted-softmax > center",
    "weighted-softmax > softmax (shifted)",
)
PILOT_EPOCHS = (24, 48, 96)
LEAST_RISE = 2.0  # points of balanced accuracy on training images


def main() -> None:
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="ferplus:DIR")
    parser.add_argument("out", type=Path, help="directory of the pilot, the grid and the page")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="epochs of every loss, instead of those of a pilot")
    parser.add_argument("--pilot", action="store_true", help="run the pilot and stop")
    given = parser.parse_args(sys.argv[1:end])
    options = ["--config", str(CONFIG), "--data", given.data, *sys.argv[end + 1 :]]
    given.out.mkdir(parents=True, exist_ok=True)
    epochs = given.epochs or pilot(given.out, options)
    if not given.pilot:
        compare(given.out, options, epochs, given.seeds, given.first_seed)


def pilot(out: Path, options: list[str]) -> int:
    """Train softmax with growing budgets and return the smallest after which training gains too little."""
    fits: dict[int, float] = {}
    for epochs in PILOT_EPOCHS:
        run = out / f"pilot-{epochs}"
        two_stage.train(run, "softmax", epochs, *options)
        fit = read_record(run).training
        assert fit is not None
        fits[epochs] = 100 * fit.balanced_accuracy
        if len(fits) > 1 and fits[epochs] - fits[list(fits)[-2]] < LEAST_RISE:
            break
    chosen, sentence = decide(fits)
    content = {"training_balanced_accuracy": fits, "epochs": chosen, "decision": sentence}
    (out / "pilot.json").write_text(json.dumps(content, indent=1) + "\n")
    print(sentence)
    return chosen


def decide(fits: dict[int, float]) -> tuple[int, str]:
    """Return the epochs that a pilot decides for, and the reason.

    Args:
        fits: epochs -> balanced accuracy on training images in points, in ascending order.

    Example:
        >>> decide({24: 60.0, 48: 66.0, 96: 67.5})
        (48, 'pilot: 48 epochs; 96 raise the balanced accuracy on training images by 1.5 points, from 66.0')
    """
    budgets = list(fits)
    for epochs, longer in itertools.pairwise(budgets):
        if (rise := fits[longer] - fits[epochs]) < LEAST_RISE:
            return epochs, (
                f"pilot: {epochs} epochs; {longer} raise the balanced accuracy on training images by {rise:.1f} "
                f"points, from {fits[epochs]:.1f}"
            )
    return budgets[-1], (
        f"pilot: {budgets[-1]} epochs, the longest that was tried; softmax is not trained to the end, since the "
        f"balanced accuracy on training images still rose to {fits[budgets[-1]]:.1f}"
    )


def compare(out: Path, options: list[str], epochs: int, seeds: int, first_seed: int) -> None:
    """Train what the grid lacks, all losses of one seed before the next, and write the page."""
    grid = out / "grid"
    claims = [text for claim in CLAIMS for text in ("--claim", claim)]
    seeded = ["--epochs", str(epochs), "--seeds", str(seeds), "--first-seed", str(first_seed)]
    arguments = ["--losses", ", ".join(LOSSES), *options, *seeded, *claims, "--out", str(grid)]
    code = two_stage.lossbench("compare", *arguments, allowed=(0, 1))  # 1: a run failed, which the page says
    two_stage.lossbench("report", str(grid), "--md", str(out / "page.md"), "--html", str(out / "page.html"))
    if code:
        raise SystemExit(code)


if __name__ == "__main__":
    main()
