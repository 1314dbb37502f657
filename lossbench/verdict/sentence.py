"""A sentence of the verdict together with the claims it makes, so that a test can derive each claim again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Relation = Literal[
    "ahead",  # the subject is better than each object, and their pair differs
    "not-shown",  # the pair of the subject and each object does not differ
    "equal",  # all pairs among subject and objects lie within the margin
    "no-difference",  # no pair among the objects differs
    "best-mean",  # no object has a higher mean on the seeds that subject and objects share
    "diverged", "collapsed", "missing", "skipped",  # the objects are the subject's seeds
    "not-fitted",  # the subject does not fit its own training images
    "still-falling",  # the subject's training loss was still falling when training ended
    "at-chance",  # the subject's interval holds the score of a constant answer
    "untested",  # the pair of the subject and each object is not tested
]  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """What a sentence claims of an entrant.

    Attributes:
        subject: label of an entrant.
        relation: what is claimed.
        objects: labels of entrants, or seeds.
    """

    subject: str
    relation: Relation
    objects: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Sentence:
    """A sentence of the verdict.

    Attributes:
        kind: "decision", "failures", "training", "claim", "finding", "control", "resolution",
            "coverage", "advice", "limit" or "check"; of a single run also "interval" and "reference".
        text: the sentence.
        claims: everything that it claims of losses.
    """

    kind: str
    text: str
    claims: tuple[Claim, ...] = ()


def joined(kind: str, parts: Iterable[Sentence]) -> Sentence:
    """Return one sentence of that kind with the texts and claims of several."""
    listed = list(parts)
    return Sentence(kind, " ".join(p.text for p in listed), tuple(claim for p in listed for claim in p.claims))
