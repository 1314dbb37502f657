"""Print how often the verdict is wrong, setting by setting, as a Markdown table.

    python benchmarks/verdict_calibration.py [--comparisons 2000] [--only WORD]

Every figure is simulated from images up and judged by the functions that judge real comparisons: false alarms of equal
losses, coverage of intervals, power, the price of adding seeds, and sentences that contradict their numbers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from lossbench.verdict.self_test import (
    Rate,
    contradicted,
    coverage,
    coverage_of_one,
    false_alarms,
    followed_advice,
    power,
    smallest_found,
)
from lossbench.verdict.simulation import Setting

FACES8 = (1, 2, 19, 80, 150, 300, 311, 500)
LOOKS = (5, 8, 12, 20)


def same(images: int, classes: int, **more: float) -> Setting:
    """Classes of equal size."""
    return Setting(counts=(images,) * classes, **more)  # type: ignore[arg-type]


WIDE = same(200, 8)
LEVELS = {
    "3 seeds, 4 x 5 images, accuracy 90 %": same(5, 4, seeds=3, accuracy=0.9, seed_sd=0),
    "3 seeds, 4 x 10 images, 95 %": same(10, 4, seeds=3, accuracy=0.95, seed_sd=0),
    "3 seeds, 10 x 20 images, 97 %, 6 losses": same(20, 10, seeds=3, accuracy=0.97, seed_sd=0, losses=6),
    "3 seeds, 4 x 25 images, 90 %, 6 losses": same(25, 4, seeds=3, accuracy=0.9, seed_sd=0, losses=6),
    "3 seeds, 2 x 50 images, 90 %, 6 losses": same(50, 2, seeds=3, accuracy=0.9, seed_sd=0, losses=6),
    "3 seeds, 8 x 200 images": replace(WIDE, seeds=3),
    "5 seeds, 8 x 200 images": WIDE,
    "5 seeds, 8 x 500 images": same(500, 8),
    "5 seeds, 8 x 200 images, interaction 30 %": replace(WIDE, own_share=0.3),
    "5 seeds, 8 x 50 images, interaction 30 %": same(50, 8, own_share=0.3),
    "5 seeds, 8 x 500 images, interaction 30 %": same(500, 8, own_share=0.3),
    "10 seeds, 8 x 50 images, interaction 30 %": same(50, 8, seeds=10, seed_sd=0.007, own_share=0.3),
    "10 seeds, 8 x 20 images, interaction 30 %": same(20, 8, seeds=10, seed_sd=0.007, own_share=0.3),
    "20 seeds, 10 x 50 images, 93 %, interaction 30 %": same(
        50, 10, seeds=20, accuracy=0.93, seed_sd=0.009, own_share=0.3
    ),
    "5 seeds, classes of 1, 2, 19, 80 ... 500 images": Setting(counts=FACES8, accuracy=0.6),
    "the same, interaction 30 %": Setting(counts=FACES8, accuracy=0.6, own_share=0.3),
    "2 losses, 5 seeds, 8 x 200 images": replace(WIDE, losses=2),
    "22 losses, 5 seeds, 8 x 50 images": same(50, 8, losses=22),
    "5 seeds, heavy tails": replace(WIDE, heavy_tails=True),
    "5 seeds, spread three times as large in the last loss": replace(WIDE, unequal=3.0),
    "5 seeds, 10 % of the runs diverge": replace(WIDE, diverging=0.1),
}
POWER = {
    "5 points, 5 seeds, 8 x 200 images (wanted: 38 %)": replace(WIDE, planted=0.05),
    "the same, interaction 30 % (wanted: 48 %)": replace(WIDE, planted=0.05, own_share=0.3),
    "5 points, 10 seeds, 8 x 50 images, interaction 30 %": same(
        50, 8, seeds=10, seed_sd=0.007, own_share=0.3, planted=0.05
    ),
}
# Differences of a pair spread by 2.1 points over seeds: 1.15 of each run itself, the rest the chance of 1,600 images.
CLAIM = replace(WIDE, losses=6, seed_sd=0.01145)


def figures(comparisons: int) -> Iterator[tuple[str, str, Callable[[], Rate | float]]]:
    """Yield what is measured, in which setting, and how."""
    for name, setting in LEVELS.items():
        yield "false alarms", name, partial(false_alarms, setting, comparisons)
    for name, setting in LEVELS.items():
        yield "coverage, difference of a pair", name, partial(coverage, setting, comparisons)
    for images in (1, 2, 6):
        for classes in (1, 8):
            setting = same(images, classes, accuracy=0.6, seed_sd=0.015)
            name = f"5 seeds, {classes} x {images} images, 60 %"
            yield "coverage, one loss", name, partial(coverage_of_one, setting, comparisons)
    for name, setting in {"8 x 20 images, 90 %": same(20, 8, accuracy=0.9), "8 x 200 images, 70 %": WIDE,
                          "classes of 1, 2, 19, 80 ... 500": Setting(counts=FACES8, accuracy=0.6)}.items():  # fmt: skip
        yield "coverage, one loss", f"5 seeds, {name}", partial(coverage_of_one, setting, comparisons)
    for name, setting in POWER.items():
        yield "power, one of all pairs", name, partial(power, setting, comparisons)
    yield (
        "smallest difference of one planned claim",
        "6 losses, 5 seeds, pair sd 2.1 (wanted: 3.6 points)",
        (lambda: 100 * smallest_found(CLAIM, comparisons)),
    )
    for share in (0.0, 0.3):
        setting = replace(WIDE, own_share=share)
        name = f"looks at {', '.join(map(str, LOOKS))} seeds, interaction {share:.0%} (wanted: at most 6 %)"
        yield "false alarms, following the advice", name, partial(followed_advice, setting, LOOKS, comparisons)
    yield (
        "sentences that contradict their numbers",
        f"{comparisons:,} random comparisons (wanted: 0)",
        (lambda: contradicted(comparisons)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=2000)
    parser.add_argument("--only", default="", help="print figures whose name or setting contains this")
    given = parser.parse_args()
    print("| what | setting | found | 95 % interval |\n|---|---|-:|---|")
    for what, name, measure in figures(given.comparisons):
        if given.only not in f"{what} {name}":
            continue
        found = measure()
        if isinstance(found, Rate):
            low, high = found.interval
            print(f"| {what} | {name} | {found.value:.1%} | {low:.1%} to {high:.1%} |", flush=True)
        else:
            print(f"| {what} | {name} | {found:.1f} points | |", flush=True)


if __name__ == "__main__":
    main()
