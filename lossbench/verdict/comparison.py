"""A judged comparison, which reports are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ..runs.grid_file import BASELINE
from .class_table import ClassTable, class_table
from .entrants import Entrant
from .metric import BALANCED_ACCURACY, Metric
from .pairs import Pair
from .questions import Questions, Unanswered
from .records import Records
from .references import Reference, references
from .runs import Problem, Trial


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
        unanswered: planned questions whose entrants have no run.
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
    unanswered: tuple[Unanswered, ...] = ()
    looks: tuple[int, ...] = ()
    given_classes: ClassTable | None = None
    data_sets: Mapping[str, Comparison] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    @property
    def has_records(self) -> bool:
        """Whether lossbench made the runs, so that there are records, embeddings and times."""
        return self.given_classes is None

    @property
    def is_one_run(self) -> bool:
        """Whether it is about the directory of a single run, whose report compares nothing."""
        return self.has_records and self.records.is_one_run

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
    def folds(self) -> int:
        """Number of folds; 0 for one test split."""
        return max((len(run.folds) for run in self.records.runs), default=0)

    @property
    def class_names(self) -> tuple[str, ...]:
        if self.given_classes is not None:
            return self.given_classes.names
        return self.entrants[0].any_run.record.data.class_names

    def entrant(self, label: str) -> Entrant:
        return next(e for e in (*self.entrants, *self.copies, *self.asked_for) if e.label == label)

    @property
    def asked_for(self) -> tuple[Entrant, ...]:
        """Derived entrants that take part in planned questions alone."""
        named = [e for pair in (*self.claims, *self.against) for e in (pair.one, pair.other) if e.derived]
        everyone = {e.label for e in self.entrants}
        return tuple({e.label: e for e in named if e.label not in everyone}.values())

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
        return next((e for e in self.entrants if e.derived), None)

    def of_sampler(self, sampler: str) -> list[Entrant]:
        """Entrants as trained under a sampler, from the best mean to the worst."""
        return [e for e in self.trained if e.sampler == sampler]

    @property
    def trained(self) -> list[Entrant]:
        """Entrants whose scores are judged as trained."""
        return [e for e in self.entrants if not e.derived]

    @property
    def baseline(self) -> Entrant | None:
        """Plain softmax as trained, under the first sampler."""
        first = self.records.samplers[0]
        found = (e for e in self.entrants if e.formula == BASELINE and not e.derived and e.sampler == first)
        return next(found, None)
