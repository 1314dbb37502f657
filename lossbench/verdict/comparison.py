"""From runs to a judgement: who takes part, which pairs differ, and what so few seeds could not have shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ..errors import ConfigError
from ..runs.grid_file import BASELINE
from .asked_before import looks_of, questions_of
from .class_table import ClassTable, class_table
from .comparable import check_comparable
from .entrants import Entrant, entrants_of
from .metric import BALANCED_ACCURACY, Metric
from .pairs import Pair, against, all_pairs, planned
from .questions import Questions, find_entrant
from .records import Problem, Records, Trial, read_records, read_trials
from .references import Reference, references
from .statistics import groups

_FEW_IMAGES = 20
_MOST_NAMES = 8  # classes in one note


@dataclass(frozen=True)
class Comparison:
    """A judged comparison.

    Attributes:
        records: what lay on disk.
        entrants: from the best mean to the worst.
        copies: second copies of a loss, which take part in their A/A pair alone.
        pairs: all losses of one sampler, two by two; one family per sampler.
        control: each loss of its sampler against plain softmax with shifted scores, a family of its own.
        claims: planned claims, the loss that is claimed to be better first; a family of its own.
        against: every other loss against the one that `questions` names; a family of its own.
        same: the A/A pairs.
        groups: sampler -> sets of labels within which no difference is shown; empty where nothing was tested.
        notes: what limits the comparison.
        trials: of the tuning, where there was one.
        target: balanced accuracy on the selection split to which time is taken; None for what every run reached.
        metric: what entrants are compared by.
        questions: what was asked before the first run.
        looks: numbers of seeds at which a verdict was given, the present one last; empty without a grid.
        given_classes: classes of predictions that lossbench did not make; None to take them from the records.
        data_sets: name -> verdict on that data set alone; empty for one data set.
        sources: names of the files of predictions that lossbench did not make.
    """

    records: Records
    entrants: tuple[Entrant, ...]
    copies: tuple[Entrant, ...]
    pairs: tuple[Pair, ...]
    control: tuple[Pair, ...]
    same: tuple[Pair, ...]
    groups: Mapping[str, tuple[tuple[str, ...], ...]]
    notes: tuple[str, ...]
    trials: tuple[Trial, ...] = ()
    target: float | None = None
    metric: Metric = BALANCED_ACCURACY
    questions: Questions = field(default_factory=Questions)
    claims: tuple[Pair, ...] = ()
    against: tuple[Pair, ...] = ()
    looks: tuple[int, ...] = ()
    given_classes: ClassTable | None = None
    data_sets: Mapping[str, Comparison] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    @property
    def has_records(self) -> bool:
        """Whether lossbench made the runs, so that there are records, embeddings and times."""
        return self.given_classes is None

    @cached_property
    def classes(self) -> ClassTable:
        """The classes in the order of tables."""
        if self.given_classes is not None:
            return self.given_classes
        runs = {run.seed: run for entrant in self.entrants for run in entrant.runs.values()}
        targets = {seed: e.seed_targets[seed] for e in self.entrants for seed in e.seed_targets}
        training = {seed: run.record.data.in_order(run.record.data.training_counts) for seed, run in runs.items()}
        return class_table(self.class_names, targets, training)

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """Constant answer, chance, and guesses by the training prior, on the test images of the first entrant."""
        if self.data_sets:
            by_set = [alone.references for alone in self.data_sets.values()]
            return tuple(Reference(r[0].name, sum(x.value for x in r) / len(r)) for r in zip(*by_set, strict=True))
        entrant = self.entrants[0]
        seed, targets = next(iter(entrant.seed_targets.items()))
        training = self.classes.training
        by_class = None if training is None else [training[place] for place in self.classes.place(seed).tolist()]
        return references(targets, entrant.classes, self.metric, by_class)

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self.records.problems

    @property
    def class_names(self) -> tuple[str, ...]:
        if self.given_classes is not None:
            return self.given_classes.names
        return self.entrants[0].any_run.record.data.class_names

    def entrant(self, label: str) -> Entrant:
        return next(e for e in (*self.entrants, *self.copies) if e.label == label)

    def pair(self, one: str, other: str) -> Pair | None:
        return next((p for p in self.pairs if {p.first, p.second} == {one, other}), None)

    def trials_of(self) -> dict[str, list[Trial]]:
        """Label of what was tuned -> its trials."""
        made: dict[str, list[Trial]] = {}
        for trial in self.trials:
            label = trial.loss if len(self.records.samplers) == 1 else f"{trial.loss}, {trial.sampler}"
            made.setdefault(label, []).append(trial)
        return made

    @property
    def shifted(self) -> Entrant | None:
        """Plain softmax with shifted scores, against which `control` tests every loss."""
        return next((e for e in self.entrants if e.post_hoc), None)

    def of_sampler(self, sampler: str) -> list[Entrant]:
        """Entrants as trained under a sampler, from the best mean to the worst."""
        return [e for e in self.trained if e.sampler == sampler]

    @property
    def trained(self) -> list[Entrant]:
        """Entrants whose scores are judged as trained."""
        return [e for e in self.entrants if not e.post_hoc]

    @property
    def baseline(self) -> Entrant | None:
        """Plain softmax as trained, under the first sampler."""
        first = self.records.samplers[0]
        found = (e for e in self.entrants if e.formula == BASELINE and not e.post_hoc and e.sampler == first)
        return next(found, None)


def compare(directory: Path, *, allow_differences: bool = False, target: float | None = None) -> Comparison:
    """Reads a directory and judges what is in it.

    Args:
        directory: of a comparison, or of runs.
        allow_differences: compare also what differs in more than loss, sampler and seed.
        target: balanced accuracy on the selection split to which time is taken, between 0 and 1.

    Raises:
        ConfigError: nothing to compare, or what must not be compared, with the reason.
    """
    if target is not None and not 0 < target <= 1:
        raise ConfigError(f"--target must be a balanced accuracy above 0 and at most 1, got {target}")
    return replace(judge(read_records(directory), allow_differences=allow_differences), target=target)


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
        raise ConfigError(f"{records.directory}: no run of this comparison can be used:\n{reasons}")
    grid = records.grid
    notes = check_comparable(records.runs, grid.tuned_options if grid else (), allow_differences)
    return judge_entrants(
        records,
        entrants_of(records, metric),
        questions=questions or questions_of(grid),
        metric=metric,
        looks=looks_of(grid),
        notes=(*notes, *_limits(records)),
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
    trained = [e for e in entrants if not e.post_hoc]
    pairs = tuple(
        pair
        for sampler in records.samplers
        for pair in all_pairs([e for e in trained if e.sampler == sampler], margin=margin, looks=looks)
    )
    shifted = next((e for e in entrants if e.post_hoc), None)
    control = against(shifted, [e for e in trained if e.sampler == shifted.sampler], looks=looks) if shifted else ()
    claims = [(find_entrant(a, trained, "--claim"), find_entrant(b, trained, "--claim")) for a, b in questions.claims]
    reference = find_entrant(questions.against, trained, "--against") if questions.against else None
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
        claims=planned(claims, margin=margin, looks=looks),
        against=asked,
        given_classes=classes,
    )


def _limits(records: Records) -> list[str]:
    """What a reader should know of the data before believing a figure."""
    data = records.runs[0].record.data
    counts = data.test_counts
    notes = []
    if absent := [name for name, count in counts.items() if not count]:
        notes.append(f"no test image of {_named(absent)}: excluded from the mean over classes")
    present = [count for count in counts.values() if count]
    if few := {name: count for name, count in counts.items() if 0 < count < _FEW_IMAGES}:
        rarest, count = min(few.items(), key=lambda item: item[1])
        rare = sorted(few.items(), key=lambda item: item[1])
        listed = ", ".join(f"{name} {n}" for name, n in rare[:_MOST_NAMES])
        listed += f" and {len(rare) - _MOST_NAMES} more classes" if len(rare) > _MOST_NAMES else ""
        notes.append(
            f"few test images: {listed}. One image of {rarest} is worth {100 / count / len(present):.1f} points of "
            "balanced accuracy"
        )
    if 0 < data.selection_images < _FEW_IMAGES * len(present):
        notes.append(
            f"the selection split has {data.selection_images} images: what is chosen by it, such as tau, is noisy"
        )
    told: dict[str, set[int]] = {}
    for run in records.runs:
        for note in run.record.data.notes:
            told.setdefault(note, set()).add(run.seed)
    seeds = {run.seed for run in records.runs}
    for note, those in told.items():
        where = "" if those == seeds else f" (seed {', '.join(map(str, sorted(those)))})"
        notes.append(f"{note}{where}")
    return [*notes, *(note for note in (records.grid.notes if records.grid else ()) if note not in told)]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
