"""Writes docs/results.md from finished comparisons: verdicts, figures, the paper's order step by step.

    python benchmarks/results_page.py docs/results.md "digits=GRID" "rendered faces=GRID" "faces8=GRID"

Each GRID is a directory of `lossbench compare`; its command stands in the page. All tables of each go to
`docs/results/NAME.md`, two figures of each to `docs/images/results-NAME-*.svg`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lossbench.files import plain, write_text
from lossbench.report.figures.accuracy import forest, scores
from lossbench.report.figures.stand_alone import stand_alone
from lossbench.report.markdown import markdown, markdown_table
from lossbench.report.sections import make_tables
from lossbench.report.tables.provenance import commands, facts
from lossbench.verdict.comparison import Comparison, compare
from lossbench.verdict.format import p_value, points, span
from lossbench.verdict.sentences import verdict_words

ORDER = ("weighted-cluster", "weighted-softmax", "center")
SHOWN = ("ranking", "thresholds", "gains", "samplers", "attribution")
HEAD = """# What the comparisons show

Five losses with their defaults, and plain softmax with its scores shifted after training. Nothing was tuned for this:
the coefficients are those of [decision 6](decisions/0006-coefficients.md), all other options the defaults of `run`.
Small networks trained from scratch; the paper's own experiment, a pretrained SENet on AffectNet, has not been run. What
is claimed, and how: [comparing.md](comparing.md). This page is written by

    python benchmarks/results_page.py docs/results.md {arguments}

## In short

{short}
"""
SECTION = """
## {title}

    {command}

{facts}

{words}

![Every run]({scores})

![Differences, paired by seed]({forest})

{order}

{tables}

[All tables, options and the environment]({rest}).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("grids", nargs="+", metavar="NAME=GRID")
    arguments = parser.parse_args()
    named = {name: compare(Path(place)) for name, _, place in (grid.partition("=") for grid in arguments.grids)}
    sections = [section(name, comparison, arguments.page.parent) for name, comparison in named.items()]
    short = "\n".join(
        f"- **{name}**, {seeds_of(comparison)}. {in_short(comparison)}" for name, comparison in named.items()
    )
    asked = " ".join(f'"{name}=GRID"' for name in named)
    write_text(arguments.page, HEAD.format(arguments=asked, short=short) + "".join(sections))


def section(name: str, comparison: Comparison, docs: Path) -> str:
    """A data set's part of the page; its other files are written."""
    stem = plain(name)
    for key, picture in (("scores", scores(comparison)), ("forest", forest(comparison))):
        if picture is not None:
            write_text(docs / "images" / f"results-{stem}-{key}.svg", stand_alone(picture))
    write_text(docs / "results" / f"{stem}.md", f"# {name}: all tables\n\n{markdown(comparison)}")
    tables = {table.key: table for table in make_tables(comparison)}
    return SECTION.format(
        title=name[0].upper() + name[1:],
        command=commands(comparison)[0],
        facts="; ".join(f"{key}: {value}" for key, value in facts(comparison)[1:5]) + ".",
        words="\n\n".join(f"> {text}" for text in (*verdict_words(comparison), *comparison.notes)),
        scores=f"images/results-{stem}-scores.svg",
        forest=f"images/results-{stem}-forest.svg",
        order=order_table(comparison),
        tables="\n\n".join(
            f"**{t.title}**\n\n{markdown_table(t)}\n\n{t.note}" for key in SHOWN if (t := tables.get(key)) is not None
        ),
        rest=f"results/{stem}.md",
    )


def seeds_of(comparison: Comparison) -> str:
    """How many seeds all entrants of the first sampler have."""
    first = comparison.records.samplers[0]
    return f"{min(len(e.scores) for e in comparison.entrants if e.sampler == first)} seeds"


def order_table(comparison: Comparison) -> str:
    """The paper's order, weighted-cluster > weighted-softmax > center, one step a row."""
    lines = ["| the paper's order | difference | 95 % over seeds | p, Holm | seen here? |", "|-|-:|-:|-:|-|"]
    for ahead, behind in ((ORDER[0], ORDER[1]), (ORDER[1], ORDER[2]), (ORDER[0], ORDER[2])):
        mean, interval, p, told = step(comparison, ahead, behind)
        lines.append(f"| {ahead} > {behind} | {mean} | {interval} | {p} | {told} |")
    return "\n".join(lines)


def step(comparison: Comparison, ahead: str, behind: str) -> tuple[str, str, str, str]:
    """One step: mean, interval, p, and whether it is seen, under the first sampler."""
    sampler = comparison.records.samplers[0]
    found = (p for p in comparison.pairs if p.better.sampler == sampler and not (p.better.post_hoc or p.worse.post_hoc))
    pair = next((p for p in found if {p.better.loss, p.worse.loss} == {ahead, behind}), None)
    if pair is None or pair.interval is None or pair.p is None:
        return "-", "-", "-", "no claim"
    right = pair.better.loss == ahead
    low, high = pair.interval if right else (-pair.interval[1], -pair.interval[0])
    told = "no, not shown" if not pair.different else "**yes**" if right else "**the reverse**"
    return points(pair.mean if right else -pair.mean), span((low, high)), p_value(pair.p), told


def in_short(comparison: Comparison) -> str:
    """The headline, the paper's order, and what shifting the scores and the sampler do."""
    steps = [(a, b, step(comparison, a, b)) for a, b in ((ORDER[0], ORDER[1]), (ORDER[1], ORDER[2]))]
    order = "; ".join(f"{a} > {b}: {told.strip('*')} ({mean}, {interval})" for a, b, (mean, interval, _, told) in steps)
    base = comparison.baseline
    post_hoc = next((e for e in comparison.entrants if e.post_hoc), None)
    shift = ""
    if base is not None and post_hoc is not None and (pair := comparison.pair(base.label, post_hoc.label)) is not None:
        gain = pair.mean if pair.better is post_hoc else -pair.mean
        shift = (
            f" Shifting softmax's scores is worth {points(gain)} points ({'shown' if pair.different else 'not shown'})."
        )
    tables = {table.key: table for table in make_tables(comparison)}
    sampler = ""
    if (table := tables.get("samplers")) is not None and table.rows:
        sampler = " The balanced sampler: " + "; ".join(
            f"{row[0].partition(',')[0]} {row[1]} ({row[4].replace('differ', 'shown')})" for row in table.rows
        )
    return f"{verdict_words(comparison)[0]} The paper's order, {order}.{shift}{sampler}{'.' if sampler else ''}"


if __name__ == "__main__":
    main()
