"""A page for one run: what was trained, how well, where it fails, and whether a threshold would do as well."""

from __future__ import annotations

from collections.abc import Sequence

from ..printable import shortened
from ..verdict.comparison import Comparison
from ..verdict.sentences import sentences
from .figures.one_run import confusion_of_run, lead_of_run, loss_by_epoch, over_time, reliabilities
from .page import Head, made_sections, rendered
from .sections import Section
from .tables.one_run import metrics_of_run, priors_of_run, recalls_of_run, rules_of_run, the_run
from .tables.provenance import command_table, environment_table, objective_table, setup_table
from .thumbnails import Gallery

RUN_SECTIONS: tuple[Section, ...] = (
    Section("trained", "What was trained", (objective_table, setup_table, metrics_of_run)),
    Section("classes", "Class by class", (recalls_of_run,), (confusion_of_run, reliabilities)),
    Section("threshold", "Loss or threshold?", (rules_of_run, priors_of_run)),
    Section("training", "Training", pictures=(loss_by_epoch, over_time)),
    Section("made", "How it was made", (command_table, environment_table)),
)
_AGAINST = ("failures", "training", "limit")  # kinds of sentences
_LONGEST = 60  # characters of a formula in the heading


def run_page(comparison: Comparison, galleries: Sequence[Gallery] = ()) -> str:
    """Return the HTML of a single run.

    Args:
        comparison: judged comparison of that run alone.
        galleries: images to embed.
    """
    run, entrant = the_run(comparison), comparison.trained[0]
    data = run.record.data
    interval = entrant.interval
    constant = comparison.references[0]
    limits = [("Constant answer", f"{100 * constant.value:.1f} %: what always naming one class scores.")]
    if interval is not None:
        low, high = interval
        limits.insert(0, ("Interval", f"{100 * low:.1f} to {100 * high:.1f} % (95 %, over test images)."))
    limits += [("What stands against it", s.text) for s in sentences(comparison) if s.kind in _AGAINST]
    tests = sum(data.test_counts.values())
    text = (
        f"Trained on {sum(data.training_counts.values()):,} images of {len(data.class_names)} classes, evaluated on "
        f"{tests:,} test images ({data.split_origin}). One run with seed {run.seed}: other seeds give other numbers. "
        "Only a comparison over seeds shows whether a loss is better than another one."
    )
    head = Head(
        title="lossbench: a run",
        eyebrow="lossbench · run",
        decision=f"{shortened(run.record.formula, _LONGEST)}: {100 * entrant.mean:.1f} % {comparison.metric.name}",
        limits=limits,
        findings=[text],
        lead=lead_of_run(comparison),
    )
    return rendered(comparison, head, made_sections(comparison, RUN_SECTIONS, galleries, before="threshold"))
