"""Questions asked before the first run: planned claims, a reference loss, and a margin below which losses are equal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ConfigError
from .entrants import Entrant

_MOST_POINTS = 100


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What is asked apart from the exploration of all pairs.

    Attributes:
        claims: (better, worse) names of losses, tested together by Holm's procedure.
        against: name of the loss that every other one is tested against.
        margin: differences below this share are of no matter.
    """

    claims: tuple[tuple[str, str], ...] = ()
    against: str | None = None
    margin: float | None = None


def read_questions(claims: Sequence[str] = (), against: str | None = None,
                   equal_within: float | None = None) -> Questions:  # fmt: skip
    """Read questions as a user writes them.

    Args:
        claims: each "a > b".
        against: name of a loss.
        equal_within: margin in points.

    Raises:
        ConfigError: a claim that is not "a > b" or is given twice, or a margin that is not between 0 and 100 points.

    Example:
        >>> read_questions(["center > softmax"], equal_within=2)
        Questions(claims=(('center', 'softmax'),), against=None, margin=0.02)
    """
    parsed = []
    for text in claims:
        better, arrow, worse = (part.strip() for part in text.partition(">"))
        if not better or not arrow or not worse or ">" in worse:
            raise ConfigError(f'--claim {text!r}: expected two losses with > between them, such as "center > softmax"')
        if better == worse:
            raise ConfigError(f"--claim {text!r}: expected two different losses")
        if (better, worse) in parsed or (worse, better) in parsed:
            raise ConfigError(f"--claim {text!r}: this pair of losses is claimed twice; pass each pair once")
        parsed.append((better, worse))
    if equal_within is not None and not (math.isfinite(equal_within) and 0 < equal_within < _MOST_POINTS):
        raise ConfigError(f"--equal-within must be a number of points above 0 and below 100, got {equal_within:g}")
    return Questions(claims=tuple(parsed), against=against, margin=None if equal_within is None else equal_within / 100)


def find_entrant(name: str, entrants: Sequence[Entrant], option: str) -> Entrant:
    """Return the entrant that a question names, by its label or, under the first sampler, by its loss.

    Raises:
        ConfigError: none has that name; the message lists the names.
    """
    plain = "".join(name.split())
    for entrant in entrants:
        if plain in ("".join(entrant.label.split()), "".join(entrant.loss.split())):
            return entrant
    names = ", ".join(dict.fromkeys(e.label for e in entrants))
    raise ConfigError(f"{option}: no loss is named {name!r}; expected one of {names}")
