"""Find what planned questions name: losses as trained, and answers that are derived from their runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ConfigError
from ..runs.grid_file import BASELINE
from .derived import DERIVED, POST_HOC, derived_name, lacks, split_name
from .entrants import Entrant
from .line_up import derived_entrant
from .questions import Questions, Unanswered
from .records import Records


@dataclass(frozen=True)
class Named:
    """The entrants of planned questions.

    Attributes:
        claims: (better, worse) of each claim that can be tested.
        against: the reference that losses are tested against; None if none was named.
        unanswered: questions whose entrants have no run.
    """

    claims: tuple[tuple[Entrant, Entrant], ...]
    against: Entrant | None
    unanswered: tuple[Unanswered, ...]


def find_named(questions: Questions, entrants: Sequence[Entrant], records: Records) -> Named:
    """Return the entrants that planned questions name.

    Args:
        questions: planned questions.
        entrants: without copies.
        records: names of losses and samplers; a loss without a usable run is not among the entrants.

    Raises:
        ConfigError: a name is unknown, a claim compares an entrant with itself, or a pair is claimed twice.
    """
    finder = _Finder(entrants, records)
    claims: list[tuple[Entrant, Entrant]] = []
    unanswered = []
    for better, worse in questions.claims:
        option = f"--claim {better} > {worse}"
        one, other = finder.find(better, "--claim"), finder.find(worse, "--claim")
        if isinstance(one, str) or isinstance(other, str):
            reasons = [found for found in (one, other) if isinstance(found, str)]
            unanswered.append(Unanswered(better, worse, "; ".join(dict.fromkeys(reasons))))
            continue
        check_pair({one.label, other.label}, [{a.label, b.label} for a, b in claims], option)
        if set(one.scores) & set(other.scores):
            claims.append((one, other))
        else:
            unanswered.append(Unanswered(better, worse, "no seed in common"))
    reference = finder.find(questions.against, "--against") if questions.against else None
    if isinstance(reference, str):
        unanswered.append(Unanswered(questions.against or "", "", reference))
        reference = None
    return Named(tuple(claims), reference, tuple(unanswered))


def find_entrant(name: str, entrants: Sequence[Entrant], records: Records, option: str) -> Entrant | str:
    """Return the entrant that an option names, or why it has no run.

    Raises:
        ConfigError: the name is unknown.
    """
    return _Finder(entrants, records).find(name, option)


class _Finder:
    """Finds entrants by name, and derives each of them once."""

    def __init__(self, entrants: Sequence[Entrant], records: Records) -> None:
        self.records = records
        self.known = sorted(entrants, key=lambda e: (bool(e.derived), records.samplers.index(e.sampler)))

    def find(self, name: str, option: str) -> Entrant | str:
        """Return the entrant with a label or, under the first sampler, of a loss; or why it has no run."""
        base, kind = split_name(name)
        wanted = {plain(name), plain(derived_name(base, kind) if kind else name)}
        for entrant in self.known:
            if wanted & self._names(entrant):
                return entrant
        if kind:
            trained = self.find(base, option)
            return trained if isinstance(trained, str) else self._derived(trained, kind, option)
        records = self.records
        labels = [f"{loss}, {sampler}" for loss in records.losses for sampler in records.samplers]
        if plain(name) in map(plain, (*records.losses, *labels)):
            return f"no run of {name} can be used"
        names = ", ".join(dict.fromkeys(e.label for e in self.known))
        raise ConfigError(f"{option}: no loss is named {name!r}; expected one of {names}")

    def _names(self, entrant: Entrant) -> set[str]:
        """Return its label and, under the first sampler or for the shifted softmax, its name without the sampler."""
        short = entrant.name if entrant.derived else entrant.loss
        alone = entrant.derived == POST_HOC or entrant.sampler == self.records.samplers[0]
        return {plain(entrant.label), *([plain(short)] if alone else [])}

    def _derived(self, trained: Entrant, kind: str, option: str) -> Entrant | str:
        label = derived_name(trained.label, kind)
        if not trained.runs:
            raise ConfigError(f"{option}: {_table_lacks(trained, kind)}")
        if kind == POST_HOC and trained.formula != BASELINE:
            raise ConfigError(f"{option}: {not_plain(label)}")
        found = derived_entrant(trained, kind)
        if not found.runs:
            return lacks(next(iter(trained.runs.values())), kind)
        self.known.append(found)
        return found


def not_plain(label: str) -> str:
    """Return why a loss other than plain softmax has no post-hoc answers at tau = 1, and what it has."""
    others = ", ".join(derived_name(split_name(label)[0], kind) for kind in DERIVED if kind != POST_HOC)
    return f"{label!r} does not exist, since post-hoc answers are for plain softmax alone; expected {others}"


def _table_lacks(trained: Entrant, kind: str) -> str:
    label = derived_name(trained.label, kind)
    if kind == POST_HOC and trained.loss == BASELINE:
        return (
            f"{label!r} needs columns score_<class> for every class, and the training images per class: pass "
            "--counts FILE"
        )
    return f"{label!r} cannot be derived from a table; expected losses of the table, or softmax (post-hoc)"


def check_pair(pair: set[str], before: Sequence[set[str]], option: str) -> None:
    """Refuse a claim about one entrant, or one that was made before.

    Args:
        pair: labels of the entrants that a claim names.
        before: labels of the claims before it.
        option: the claim, for the message.
    """
    if len(pair) == 1:
        raise ConfigError(f"{option}: both names are those of {pair.pop()!r}; expected two different losses")
    if pair in before:
        raise ConfigError(f"{option}: this pair of losses is claimed twice; pass each pair once")


def plain(name: str) -> str:
    """Return a name without white space, since formulas may be written with or without it."""
    return "".join(name.split())
