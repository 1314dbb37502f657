"""Print how often the verdict is wrong, setting by setting, with what is wanted and whether it is met, as Markdown.

    python benchmarks/verdict_calibration.py [--comparisons 2000] [--only WORD]... [--grid GRID]... [--report]

Every figure is simulated from images up and judged by the functions that judge real comparisons: false alarms of equal
losses, coverage of intervals, power, the price of adding seeds, and sentences that contradict their numbers. `--grid`
adds how close shifted scores come to the best possible shift in the records of comparisons, and `--report` time and
memory of the report on 500 made runs. The exit code is 1 if a figure misses what is wanted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import control_shift
import fold_coverage
import report_speed

from lossbench.verdict.judge import compare
from lossbench.verdict.self_test import (
    Rate,
    contradicted,
    coverage,
    coverage_of_one,
    false_alarms,
    followed_advice,
    power,
    power_of_paired_t,
    smallest_found,
)
from lossbench.verdict.simulation import Setting

FACES8 = (1, 2, 19, 80, 150, 300, 311, 500)
LOOKS = (5, 8, 12, 20)


@dataclass(frozen=True)
class Found:
    """A measured figure.

    Attributes:
        value: as printed.
        interval: of a rate, as printed.
        met: whether it is as wanted; None where nothing is wanted.
    """

    value: str
    interval: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Figure:
    """A figure of the table: what is measured, in which setting, what is wanted, and how it is measured."""

    what: str
    setting: str
    wanted: str
    measure: Callable[[], Found]


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
CLAIM = replace(WIDE, losses=6, seed_sd=0.01145)
# Differences of a pair spread by 2.1 points over seeds: 1.15 of each run itself, the rest the chance of 1,600 images.


def figures(comparisons: int, grids: list[Path], report: bool) -> Iterator[Figure]:
    """Yield the figures of the table."""
    for name, setting in LEVELS.items():
        yield _rate("false alarms", name, "5 % or less", partial(false_alarms, setting, comparisons), most=0.05)
    for name, setting in LEVELS.items():
        measure = partial(coverage, setting, comparisons)
        yield _rate("coverage, difference of a pair", name, "95 % or more", measure, least=0.95)
    for images in (1, 2, 6):
        for classes in (1, 8):
            measure = partial(coverage_of_one, same(images, classes, accuracy=0.6), comparisons)
            yield _rate("coverage, one loss", f"5 seeds, {classes} x {images} images, 60 %", "at least 92 %", measure,
                        least=0.92)  # fmt: skip
    for name, setting in {"8 x 20 images, 90 %": same(20, 8, accuracy=0.9), "8 x 200 images, 70 %": WIDE,
                          "classes of 1, 2, 19, 80 ... 500": Setting(counts=FACES8, accuracy=0.6)}.items():  # fmt: skip
        measure = partial(coverage_of_one, setting, comparisons)
        yield _rate("coverage, one loss", f"5 seeds, {name}", "at least 92 %", measure, least=0.92)
    for name, world in fold_coverage.WORLDS.items():
        measure = partial(fold_coverage.coverage, world, comparisons)
        yield _rate("coverage, pair of folded runs", name, "95 % or more", measure, least=0.95)
    yield from _power(comparisons)
    yield Figure("smallest difference of one planned claim", "6 losses, 5 seeds, pair sd 2.1", "at most 3.6 points",
                 lambda: _most(100 * smallest_found(CLAIM, comparisons), 3.6, "points"))  # fmt: skip
    for share in (0.0, 0.3):
        name = f"looks at {', '.join(map(str, LOOKS))} seeds, interaction {share:.0%}"
        measure = partial(followed_advice, replace(WIDE, own_share=share), LOOKS, comparisons)
        yield _rate("false alarms, following the advice", name, "at most 6 %", measure, most=0.06)
    yield Figure("sentences that contradict their numbers", f"{comparisons:,} random comparisons", "0",
                 lambda: _most(contradicted(comparisons).hits, 0, ""))  # fmt: skip
    for grid in grids:
        yield from _control(grid)
    if report:
        yield Figure("report", "500 runs x 10,000 images x 8 classes", "under 30 s, under 500 MB",
                     lambda: _report(report_speed.measure(report_speed.LARGE)))  # fmt: skip
        yield Figure("report", "25 runs x 10,000 images x 1,000 classes", "bounded memory",
                     lambda: _report(report_speed.measure(report_speed.MANY_CLASSES)))  # fmt: skip


def _power(comparisons: int) -> Iterator[Figure]:
    planted = replace(WIDE, planted=0.05)
    for name, setting, least in (("5 points, 5 seeds, 8 x 200 images", planted, 0.38),
                                 ("the same, interaction 30 %", replace(planted, own_share=0.3), 0.48)):  # fmt: skip
        measure = partial(power, setting, comparisons)
        yield _rate("power, one of all pairs", name, f"at least {least:.0%}", measure, least=least, exactly=True)

    def against_paired_t() -> Found:
        own, student = power(planted, comparisons), power_of_paired_t(planted, comparisons)
        behind = 100 * (student.value - own.value)
        return Found(f"{-behind:+.1f} points, paired t {student.value:.1%}", met=behind <= 2)

    yield Figure("power, less that of the paired t at equal level", "5 points, 5 seeds, 8 x 200 images",
                 "at most 2 points below", against_paired_t)  # fmt: skip
    setting = same(50, 8, seeds=10, seed_sd=0.007, own_share=0.3, planted=0.05)
    name = "5 points, 10 seeds, 8 x 50 images, interaction 30 %"
    yield _rate("power, one of all pairs", name, "", partial(power, setting, comparisons))


def _control(grid: Path) -> Iterator[Figure]:
    comparison = compare(grid)
    data = comparison.records.runs[0].record.data.spec.partition(":")[0]
    for row in control_shift.gaps(comparison):
        name = f"{row.entrant}, {data}, tau {row.tau:.2f}"
        yield Figure("shifted scores below the best shift", name, "within 1.5 points",
                     partial(_most, row.points, 1.5, "points"))  # fmt: skip


def _rate(what: str, setting: str, wanted: str, measure: Callable[[], Rate], *, most: float | None = None,
          least: float | None = None, exactly: bool = False) -> Figure:  # fmt: skip
    """Return the figure of a rate; it is as wanted if its 95 % interval reaches the bound, or itself if `exactly`."""

    def found() -> Found:
        rate = measure()
        low, high = (rate.value, rate.value) if exactly else rate.interval
        met = low <= most if most is not None else high >= least if least is not None else None
        return Found(f"{rate.value:.1%}", "{:.1%} to {:.1%}".format(*rate.interval), met)

    return Figure(what, setting, wanted, found)


def _most(value: float, most: float, unit: str) -> Found:
    return Found(f"{value:.1f} {unit}" if unit else f"{value:g}", met=round(value, 1) <= most)


def _report(cost: report_speed.Cost) -> Found:
    return Found(f"{cost.seconds:.1f} s, {cost.megabytes:.0f} MB", met=cost.seconds < 30 and cost.megabytes < 500)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=2000)
    parser.add_argument("--only", action="append", help="print figures whose name or setting contains this; repeatable")
    parser.add_argument("--grid", action="append", type=Path, default=[], help="directory of a comparison; repeatable")
    parser.add_argument("--report", action="store_true", help="measure the report, too: two minutes and 2 GB of disk")
    given = parser.parse_args()
    print("| what | setting | wanted | found | 95 % interval | met |\n|-|-|-|-:|-|-|", flush=True)
    missed = False
    for figure in figures(given.comparisons, given.grid, given.report):
        if given.only and not any(word in f"{figure.what} {figure.setting}" for word in given.only):
            continue
        found = figure.measure()
        met = {True: "yes", False: "**no**", None: ""}[found.met]
        missed |= found.met is False
        cells = (figure.what, figure.setting, figure.wanted, found.value, found.interval, met)
        print(f"| {' | '.join(cells)} |", flush=True)
    sys.exit(missed)


if __name__ == "__main__":
    main()
