"""Judge runs: who takes part, which pairs differ, and what so few seeds could not have shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import ConfigError
from .asked_before import looks_of, questions_of
from .class_table import ClassTable
from .comparable import check_comparable
from .comparison import Comparison
from .data_notes import data_notes
from .entrants import Entrant
from .families import against, all_pairs, planned
from .line_up import control_notes, entrants_of
from .metric import BALANCED_ACCURACY, Metric
from .named import find_named
from .questions import Questions
from .records import Records, read_records
from .run_files import read_trials
from .runs import Trial
from .statistics import groups


def compare(
    directory: Path,
    *,
    allow_differences: bool = False,
    target: float | None = None,
    metric: Metric = BALANCED_ACCURACY,
) -> Comparison:
    """Read a directory and judge what is in it.

    Args:
        directory: of a comparison, or of runs.
        allow_differences: compare also what differs in more than loss, sampler and seed.
        target: balanced accuracy on the selection split to which time is taken, between 0 and 1.
        metric: what entrants are compared by.

    Raises:
        ConfigError: nothing to compare, or what must not be compared, with the reason.
    """
    if target is not None and not 0 < target <= 1:
        raise ConfigError(f"--target must be a balanced accuracy above 0 and at most 1, got {target}")
    comparison = judge(read_records(directory), allow_differences=allow_differences, metric=metric)
    return replace(comparison, target=target)


def judge(
    records: Records,
    *,
    allow_differences: bool = False,
    questions: Questions | None = None,
    metric: Metric = BALANCED_ACCURACY,
) -> Comparison:
    """Judge runs that were read.

    Args:
        records: the runs.
        allow_differences: compare runs even if they differ in more than loss, sampler and seed.
        questions: planned questions; those of the grid by default.
        metric: what entrants are compared by.

    Raises:
        ConfigError: no run can be used, the runs must not be compared, or a question names an unknown loss.
    """
    if not records.runs:
        reasons = "\n".join(f"  {p.run}: {p.status}: {p.message}" for p in records.problems[:10])
        of = " of this comparison" if records.grid else ""
        raise ConfigError(f"{records.directory}: no run{of} can be used:\n{reasons}")
    grid = records.grid
    notes = check_comparable(records.runs, grid.tuned_options if grid else (), allow_differences)
    entrants = entrants_of(records, metric)
    return judge_entrants(
        records,
        entrants,
        questions=questions or questions_of(grid),
        metric=metric,
        looks=looks_of(grid),
        notes=(*notes, *data_notes(records), *control_notes(entrants)),
        trials=read_trials(records.directory, grid.trials) if grid else (),
    )


def judge_entrants(
    records: Records,
    everyone: Sequence[Entrant],
    *,
    questions: Questions | None = None,
    metric: Metric = BALANCED_ACCURACY,
    looks: Sequence[int] = (),
    notes: Sequence[str] = (),
    trials: Sequence[Trial] = (),
    classes: ClassTable | None = None,
) -> Comparison:
    """Judge entrants whatever their predictions come from.

    Args:
        records: names of losses and samplers, and the problems of runs that cannot be used.
        everyone: entrants and copies.
        questions: planned questions.
        metric: what entrants are compared by.
        looks: numbers of seeds at which a verdict was given, the present one last.
        notes: what limits the comparison.
        trials: of the tuning.
        classes: of predictions that lossbench did not make; None to take them from the records.

    Raises:
        ConfigError: a question names an unknown loss.
    """
    questions = questions or Questions()
    margin = questions.margin
    copies = tuple(e for e in everyone if e.copy > 1)
    entrants = sorted((e for e in everyone if e not in copies), key=lambda e: -e.mean)
    trained = [e for e in entrants if not e.derived]
    pairs = tuple(
        pair
        for sampler in records.samplers
        for pair in all_pairs([e for e in trained if e.sampler == sampler], margin=margin, looks=looks)
    )
    shifted = next((e for e in entrants if e.derived), None)
    control = against(shifted, [e for e in trained if e.sampler == shifted.sampler], looks=looks) if shifted else ()
    named = find_named(questions, entrants, records)
    reference = named.against
    asked = (
        against(reference, [e for e in trained if e.sampler == reference.sampler], margin=margin, looks=looks)
        if reference
        else ()
    )
    originals = {(e.loss, e.sampler): e for e in trained}
    same = [
        pair
        for copy in copies
        if (original := originals.get((copy.loss, copy.sampler))) is not None
        for pair in all_pairs([original, copy])
    ]
    different = {frozenset((p.first, p.second)) for p in pairs if p.different}
    return Comparison(
        records=records,
        entrants=tuple(entrants),
        copies=copies,
        pairs=pairs,
        control=control,
        same=tuple(same),
        groups={
            sampler: tuple(groups([e.label for e in trained if e.sampler == sampler], different))
            for sampler in records.samplers
        }
        if any(p.p is not None for p in pairs)
        else {},
        notes=tuple(notes),
        trials=tuple(trials),
        metric=metric,
        questions=questions,
        looks=tuple(looks),
        claims=planned(named.claims, margin=margin, looks=looks),
        against=asked,
        unanswered=named.unanswered,
        given_classes=classes,
    )
