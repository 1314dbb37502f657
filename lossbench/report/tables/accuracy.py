"""The ranking of losses, and every pair."""

from __future__ import annotations

from ...verdict.comparison import Comparison
from ...verdict.format import p_value, points, span
from ...verdict.pairs import Pair
from ...verdict.sentences import verdict_words
from .table import Table

_PAIR_COLUMNS = ("difference", "mean", "95 % interval", "p, adjusted", "verdict", "seeds won", "of seeds",
                 "detectable")  # fmt: skip
_PAIR_WIDE = frozenset({"p, adjusted", "of seeds", "detectable"})


def ranking(comparison: Comparison) -> Table:
    """Return the entrants from the best mean to the worst, each with its interval for new seeds and new test images."""
    rows: list[tuple[str, ...]] = []
    letters = _letters(comparison)
    for entrant in sorted((*comparison.entrants, *comparison.asked_for), key=lambda e: -e.mean):
        failed = (*entrant.diverged, *entrant.collapsed)
        rows.append(
            (
                entrant.label,
                f"{100 * entrant.mean:.1f}",
                _percent_span(entrant.interval),
                "-" if entrant.sd is None else f"{100 * entrant.sd:.1f}",
                f"{100 * entrant.interquartile_mean:.1f}",
                "-" if entrant.training_accuracy is None else f"{100 * entrant.training_accuracy:.0f}",
                str(len(entrant.scores)) + (f", {len(failed)} failed" if failed else ""),
                letters.get(entrant.label, "-"),
            )
        )
    rows += [(f"({reference.name})", f"{100 * reference.value:.1f}", *["-"] * 6) for reference in comparison.references]
    note = (
        "Per cent. The interval covers new seeds and new test images of the same classes, for one loss alone. IQM: "
        "mean of the middle half of the runs. On training: balanced accuracy on training images. Losses that share a "
        "letter are not shown to differ. A diverged run counts as a constant answer. In parentheses: answers without "
        "training, for reference."
    )
    columns = ("loss", comparison.metric.name, "95 % interval", "sd over seeds", "IQM", "on training", "seeds", "group")
    return Table("ranking", comparison.metric.title, columns, tuple(rows), note, frozenset({0}),
                 frozenset({"sd over seeds", "IQM", "on training"}))  # fmt: skip


def every_pair(comparison: Comparison) -> Table:
    """Every tested pair, with one interval and one p-value for new seeds and new test images."""
    rows = [_pair_row(pair) for pair in comparison.pairs]
    families = len({pair.one.sampler for pair in comparison.pairs})
    size = comparison.pairs[0].family if comparison.pairs else 0
    note = (
        f"Points of {comparison.metric.name}, paired by seed, on the seeds that both losses have. The interval covers "
        f"new seeds and new test images, simultaneously for the {size} pairs of {'each' if families > 1 else 'this'} "
        "family; a pair differs exactly if its interval excludes 0. Of seeds: the share of the error's variance "
        "that more seeds would lower. Detectable: the true difference that is found with 80 % power."
    )
    return Table("pairs", "Every pair", _PAIR_COLUMNS, tuple(rows), note, wide=_PAIR_WIDE)


def control(comparison: Comparison) -> Table | None:
    """Every loss against plain softmax with shifted scores."""
    if not comparison.control:
        return None
    note = (
        f"Points of {comparison.metric.name}: each loss as trained minus plain softmax with shifted scores, a family "
        "of its own. A loss that is not ahead may have moved thresholds only."
    )
    rows = tuple(_pair_row(pair) for pair in comparison.control)
    return Table("control", "Against plain softmax with shifted scores", _PAIR_COLUMNS, rows, note, wide=_PAIR_WIDE)


def planned_pairs(comparison: Comparison) -> Table | None:
    """Return planned claims and the pairs with a reference loss, each a family of its own."""
    rows = [_pair_row(pair) for pair in (*comparison.claims, *comparison.against)]
    rows += [
        (f"{u.first} - {u.second}" if u.second else f"every loss - {u.first}", *"---", "no claim", *"---")
        for u in comparison.unanswered
    ]
    note = (
        f"Points of {comparison.metric.name}. Planned claims (--claim) and pairs with a reference loss (--against) are "
        "tested apart from the exploration of all pairs; intervals are simultaneous within each of the two families."
    )
    return Table("planned", "Planned questions", _PAIR_COLUMNS, tuple(rows), note, wide=_PAIR_WIDE) if rows else None


def by_data_set(comparison: Comparison) -> Table | None:
    """Return the mean of each loss on each data set, and what is decided there."""
    if not comparison.data_sets:
        return None
    labels = [entrant.label for entrant in comparison.entrants]
    rows = []
    for name, alone in comparison.data_sets.items():
        means = {entrant.label: f"{100 * entrant.mean:.1f}" for entrant in alone.entrants}
        rows.append((name, *(means.get(label, "-") for label in labels), verdict_words(alone)[0]))
    alone = next(iter(comparison.data_sets.values()))
    note = f"Per cent {alone.metric.name}, means over seeds. Each decision is that of the data set alone."
    columns = ("data set", *labels, "decision")
    return Table("data-sets", "Data sets one by one", columns, tuple(rows), note, text=frozenset({"decision"}))


def _pair_row(pair: Pair) -> tuple[str, ...]:
    return (
        f"{pair.first} - {pair.second}",
        points(pair.mean),
        "-" if pair.interval is None else span(pair.interval),
        "-" if pair.p is None else p_value(pair.p),
        "no claim" if pair.p is None else pair.verdict.replace("-", " "),
        f"{pair.seeds_won} of {len(pair.seeds)}",
        "-" if pair.seed_share is None else f"{pair.seed_share:.0%}",
        "-" if pair.smallest is None or not pair.smallest < 1 else f"{100 * pair.smallest:.1f}",
    )


def _percent_span(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def _letters(comparison: Comparison) -> dict[str, str]:
    """Return label -> letters of its groups; letters continue from sampler to sampler."""
    found: dict[str, str] = {}
    number = 0
    for groups in comparison.groups.values():
        for group in groups:
            letter = chr(ord("a") + number % 26) + "'" * (number // 26)
            number += 1
            for label in group:
                found[label] = found.get(label, "") + letter
    return found
