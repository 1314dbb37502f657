"""How hard the kit searches for a violation."""

from __future__ import annotations

from dataclasses import dataclass

NORMAL_EXAMPLES, DEEP_EXAMPLES = 25, 10_000


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How hard to search for a violation.

    Attributes:
        examples: batches per law; a slow law gets a share of them.
        seed: seed of the search.
        deep: search for counterexamples of undeclared traits, draw larger batches, and generate code when compiling.
        compile: whether to judge the law that compiles.
    """

    examples: int = NORMAL_EXAMPLES
    seed: int = 0
    deep: bool = False
    compile: bool = True
