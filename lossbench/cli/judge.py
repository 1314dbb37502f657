"""`lossbench judge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from .parameters import AGAINST, CLAIM, EQUAL_WITHIN, Json
from .report_options import Csv, Figures, Html, Latex, Md, MetricName, show


def judge(
    tables: Annotated[
        list[Path],
        Argument(
            metavar="TABLE...",
            help="CSV, NPZ or Parquet files with one row per run and sample; columns: loss (or model), seed, sample, "
            "target, predicted, and optionally dataset and score_<class> for every class; or directories of runs.",
        ),
    ],
    metric: MetricName = "balanced-accuracy",
    counts: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Training images per class, as a table with the columns class and training_count; with scores, "
            "softmax is also judged with its scores shifted to equal class frequencies.",
        ),
    ] = None,
    claim: Annotated[list[str] | None, CLAIM] = None,
    against: Annotated[str | None, AGAINST] = None,
    equal_within: Annotated[float | None, EQUAL_WITHIN] = None,
    html: Html = None,
    md: Md = None,
    figures: Figures = None,
    csv: Csv = None,
    latex: Latex = None,
    json_: Json = False,
) -> None:
    """Compare losses or models by their predictions, whatever program made them.

    lossbench judge predictions.csv --claim "center > softmax" --html report.html

    lossbench judge *.npz --metric macro-f1 --equal-within 1 --json
    """
    from ..report.outputs import Outputs

    outputs = Outputs(html, md, figures, csv, latex)
    outputs.check()
    from ..verdict.metric import metric_named
    from ..verdict.predictions.counts import read_counts
    from ..verdict.predictions.judge import judge_tables
    from ..verdict.predictions.table import read_tables
    from ..verdict.questions import read_questions
    from .watch_run import working

    compared_by = metric_named(metric)
    questions = read_questions(claim or (), against, equal_within)
    training_counts = None if counts is None else read_counts(counts)
    with working(f"comparing {', '.join(map(str, tables[:3]))}{', …' if len(tables) > 3 else ''}"):
        data_sets = read_tables(tables, training_counts)
        comparison = judge_tables(data_sets, tables, metric=compared_by, questions=questions, counts=training_counts)
    show(comparison, outputs, json_)
