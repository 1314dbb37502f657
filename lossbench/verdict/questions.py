"""Questions asked before the first run: planned claims, a reference loss, and a margin below which losses are equal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import ConfigError

_MOST_POINTS = 100


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What is asked apart from the exploration of all pairs.

    Attributes:
        claims: (better, worse) names of losses or of what is derived from them, tested together by Holm's procedure.
        against: name of what every loss is tested against.
        margin: differences below this share are of no matter.
    """

    claims: tuple[tuple[str, str], ...] = ()
    against: str | None = None
    margin: float | None = None


class Unanswered(NamedTuple):
    """A planned question that the runs cannot answer.

    Attributes:
        first: what is claimed to be better; of `--against`, the reference.
        second: what is claimed to be worse; empty for `--against`.
        reason: why nothing is tested.
    """

    first: str
    second: str
    reason: str


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
