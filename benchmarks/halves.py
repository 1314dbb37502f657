"""Compare two halves of an experiment: do other seeds give the same differences between losses?

    python benchmarks/ferplus.py ferplus:DIR OUT --seeds 3 --epochs N
    python benchmarks/ferplus.py ferplus:DIR OUT-2 --seeds 3 --epochs N --first-seed 3
    python benchmarks/halves.py OUT/grid OUT-2/grid [--md FILE]

Each half is judged alone, by the functions of `lossbench compare`. The difference of two losses agrees if that of the
second half lies within the interval of the first and the other way round. The intervals are those that the reports
print: for new seeds and new test images, simultaneously over all pairs of losses, and by Holm's steps over the planned
claims. Both halves have the same test images, so a difference outside suggests that the intervals are too narrow.

Exits with 1 if a difference does not agree or cannot be judged, and with 2 if the halves are not two of one experiment.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from lossbench.errors import ConfigError, LossbenchError
from lossbench.verdict.comparable import check_comparable
from lossbench.verdict.comparison import Comparison
from lossbench.verdict.format import listed, points, span
from lossbench.verdict.judge import compare
from lossbench.verdict.pairs import Pair


class Row(NamedTuple):
    """The difference of two entrants in both halves.

    Attributes:
        name: which entrants, the first minus the second.
        halves: the difference and its interval in each half, as text.
        agrees: whether each half's difference lies within the other's interval; None if a half was not tested, or if
            all its runs gave the same answers, which says nothing about other seeds.
    """

    name: str
    halves: tuple[str, str]
    agrees: bool | None


def check_halves(first: Comparison, second: Comparison) -> None:
    """Refuse grids that are not two halves of one experiment.

    Raises:
        ConfigError: they share seeds, have other losses, or differ in more than the seeds.
    """
    seeds = [{run.seed for run in half.records.runs} for half in (first, second)]
    if shared := sorted(seeds[0] & seeds[1]):
        raise ConfigError(
            f"both grids have seed {listed([str(seed) for seed in shared])}, so they are not independent; run the "
            "second half with another --first-seed"
        )
    losses = [{entrant.label for entrant in half.trained} for half in (first, second)]
    if only := sorted(losses[0] ^ losses[1]):
        raise ConfigError(f"{listed(only)} is in one grid alone; expected finished runs of the same losses in both")
    check_comparable([*first.records.runs, *second.records.runs], (), allow=False)


def rows(first: Comparison, second: Comparison) -> list[Row]:
    """Return the planned claims and all pairs, each in both halves; pairs in the order of the first half."""
    found = []
    for kind in ("claims", "pairs"):
        others = {frozenset((p.first, p.second)): p for p in getattr(second, kind)}
        for pair in getattr(first, kind):
            other = others.get(frozenset((pair.first, pair.second)))
            if other is not None:
                prefix = "claim: " if kind == "claims" else ""
                found.append(_row(f"{prefix}{pair.first} - {pair.second}", pair, other))
    return found


def _row(name: str, pair: Pair, other: Pair) -> Row:
    sign = 1 if other.first == pair.first else -1
    means = (pair.mean, sign * other.mean)
    intervals = [pair.interval, other.interval if other.interval is None or sign == 1 else _mirrored(other.interval)]
    texts = [
        f"{points(mean)} ({'not tested' if interval is None else span(interval)})"
        for mean, interval in zip(means, intervals, strict=True)
    ]
    known = [interval for interval in intervals if interval is not None]
    agrees = None
    if len(known) == 2 and pair.seed_share is not None and other.seed_share is not None:
        agrees = all(low <= mean <= high for (low, high), mean in zip(known, reversed(means), strict=True))
    return Row(name, (texts[0], texts[1]), agrees)


def _mirrored(interval: tuple[float, float]) -> tuple[float, float]:
    return -interval[1], -interval[0]


def table(first: Comparison, second: Comparison, found: list[Row]) -> str:
    """Return the table with the sentence above it, as Markdown."""
    answers = [row.agrees for row in found]
    count = sum(answer is True for answer in answers)
    unknown = sum(answer is None for answer in answers)
    halves = [f"seeds {listed([str(s) for s in sorted({r.seed for r in h.records.runs})])}" for h in (first, second)]
    lines = [f"{count} of {len(found)} differences agree" + (f"; {unknown} cannot be judged" if unknown else "") + "."]
    lines += ["", f"| difference, points of {first.metric.name} | {halves[0]} | {halves[1]} | agrees |", "|-|-|-|-|"]
    words = {True: "yes", False: "no", None: "cannot be judged"}
    lines += [f"| {row.name} | {row.halves[0]} | {row.halves[1]} | {words[row.agrees]} |" for row in found]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="directory of the grid of the first half")
    parser.add_argument("second", type=Path, help="directory of the grid of the second half")
    parser.add_argument("--md", type=Path, help="also write the table to this file")
    given = parser.parse_args()
    try:
        first, second = compare(given.first), compare(given.second)
        check_halves(first, second)
    except LossbenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = rows(first, second)
    text = table(first, second, found)
    if given.md is not None:
        given.md.write_text(text)
    print(text, end="")
    return 0 if found and all(row.agrees for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
