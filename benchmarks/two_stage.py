"""Compare two-stage transfer (people first, then expressions) with expressions from scratch.

    python benchmarks/two_stage.py FACES8/train.csv OUT RESULT.md [--seeds 5] [--jobs 1]

Stage one trains on people (`--label person`), stage two trains expressions from its backbone (`--weights run:DIR`). The
budget is the number of training images seen: "from scratch" sees as many expression images as both stages together. A
third arm trains expressions from scratch for the epochs of stage two only. Runs of one seed share order, augmentation
and the head's initial weights, and are compared in pairs. Finished runs in OUT are kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from figures import frequent, interval, recall, spread
from grid import Cell, run_cells

IDENTITY_EPOCHS, EXPRESSION_EPOCHS, SCRATCH_EPOCHS = 20, 10, 20
IDENTITY_LOSS, EXPRESSION_LOSS = "softmax", "weighted-softmax"
TWO_STAGE, SCRATCH, SHORT = "people, then expressions", "from scratch, same budget", "from scratch, stage two alone"
HEAD = """# People first, or expressions from scratch

    python benchmarks/two_stage.py faces8/train.csv OUT benchmarks/results/two-stage.md --seeds {seeds}

faces8: real photographs, 112 px grayscale, noisy labels; tested on `val.csv`, with people who are not in training.
{model}, {size} px, batch {batch}; `{identity_loss}` on people, `{expression_loss}` on expressions, all other
options at their defaults, nothing tuned. Stage one starts from scratch. torch {torch}, {device}, one thread per run.

- Stage one: {people} people with at least 4 images, {identity_images:,} images, {identity_epochs} epochs. Its accuracy
  is {identity_accuracy} % on {people} held-out images, one per person.
- Stage two: {expression_images:,} images, {expression_epochs} epochs, with its own warm-up and cosine decay.
- Together {two_stage_budget:,} images seen; from scratch {scratch_budget:,} in {scratch_epochs} epochs.

Per cent, mean ± standard deviation over {seeds} seeds, after the last epoch. An interval that contains 0 shows no
difference.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces8", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    seeds, out = range(arguments.seeds), arguments.out
    common = ("--data", f"csv:{arguments.faces8}", "--cache")

    def cells(name: str, loss: str, epochs: int, *more: str) -> list[Cell]:
        options = (*common, "--loss", loss, "--epochs", str(epochs), *more)
        return [Cell(f"{name}-s{s}", (*(o.format(seed=s) for o in options), "--seed", str(s))) for s in seeds]

    def run(listed: list[Cell]) -> list[dict[str, Any]]:
        records = run_cells(listed, out, arguments.jobs)
        return [records[cell.name] for cell in listed]

    identities = run(cells("identities", IDENTITY_LOSS, IDENTITY_EPOCHS, "--label", "person"))
    start = ("--weights", f"run:{out}/identities-s{{seed}}")
    arms = {
        TWO_STAGE: run(cells("two-stage", EXPRESSION_LOSS, EXPRESSION_EPOCHS, *start)),
        SCRATCH: run(cells("scratch", EXPRESSION_LOSS, SCRATCH_EPOCHS)),
        SHORT: run(cells("short", EXPRESSION_LOSS, EXPRESSION_EPOCHS)),
    }
    text = f"{head(identities, arms)}{table(arms)}\n\n{paired(arms)}\n"
    arguments.result.write_text(text)
    print(text)


def head(identities: list[dict[str, Any]], arms: dict[str, list[dict[str, Any]]]) -> str:
    first, second = identities[0], arms[TWO_STAGE][0]
    identity_images, expression_images = (sum(r["data"]["training_counts"].values()) for r in (first, second))
    return HEAD.format(
        seeds=len(identities),
        model=first["model"]["name"],
        size=first["model"]["image_size"],
        batch=first["config"]["batch_size"],
        identity_loss=IDENTITY_LOSS,
        expression_loss=EXPRESSION_LOSS,
        torch=first["environment"]["packages"]["torch"],
        device=first["environment"]["device"],
        people=len(first["data"]["class_names"]),
        identity_images=identity_images,
        identity_epochs=IDENTITY_EPOCHS,
        identity_accuracy=spread([r["metrics"]["accuracy"] for r in identities]),
        expression_images=expression_images,
        expression_epochs=EXPRESSION_EPOCHS,
        two_stage_budget=IDENTITY_EPOCHS * identity_images + EXPRESSION_EPOCHS * expression_images,
        scratch_budget=SCRATCH_EPOCHS * expression_images,
        scratch_epochs=SCRATCH_EPOCHS,
    )


def scores(record: dict[str, Any]) -> tuple[float, float]:
    """Return balanced accuracy over all classes, and over those with enough test images."""
    counts = list(record["data"]["test_counts"].values())
    confusion = record["confusion_matrix"]
    return recall(confusion, range(len(counts))), recall(confusion, frequent(counts))


def table(arms: dict[str, list[dict[str, Any]]]) -> str:
    record = arms[TWO_STAGE][0]
    counts = record["data"]["test_counts"]
    enough = [list(counts)[c] for c in frequent(list(counts.values()))]
    lines = [
        f"| training | balanced accuracy, {len(counts)} classes | the {len(enough)} with 19 or more test images "
        "| macro F1 |",
        "|-|-|-|-|",
    ]
    for name, records in arms.items():
        every, some = zip(*map(scores, records), strict=True)
        f1 = spread([r["metrics"]["macro_f1"] for r in records])
        lines.append(f"| {name} | {spread(every)} | {spread(some)} | {f1} |")
    rare = ", ".join(f"{name} {count}" for name, count in counts.items() if name not in enough)
    return "\n".join([*lines, "", f"Too few test images for a separate result: {rare}."])


def paired(arms: dict[str, list[dict[str, Any]]]) -> str:
    """Return differences by seed to the two-stage arm, with Student's 95 % interval of their mean."""
    lines = ["| difference, by seed | classes | seeds | mean, 95 % interval |", "|-|-|-|-|"]
    for name in (SCRATCH, SHORT):
        for which, classes in ((0, "all"), (1, "with 19 or more test images")):
            values = [
                100 * (scores(a)[which] - scores(b)[which]) for a, b in zip(arms[TWO_STAGE], arms[name], strict=True)
            ]
            mean, half = interval(values)
            shown = ", ".join(f"{value:+.1f}" for value in values)
            lines.append(f"| {TWO_STAGE} - {name} | {classes} | {shown} | {mean:+.1f} ± {half:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
