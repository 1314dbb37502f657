"""The parts of a formula: terms and their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Plain = bool | int | float | str | None
Value = Plain | tuple[Plain, ...]


class ClassCounts(str):
    """The word `counts` in a formula, which stands for the class counts of the task."""


COUNTS = ClassCounts("counts")


@dataclass(frozen=True)
class Term:
    """`coefficient * name(arguments)`; a coefficient of None is not written and means one."""

    name: str
    arguments: Mapping[str, Value] = field(default_factory=dict)
    coefficient: float | None = None

    def __str__(self) -> str:
        coefficient = "" if self.coefficient is None else f"{repr(self.coefficient).removesuffix('.0')}*"
        arguments = ", ".join(f"{name}={written(value)}" for name, value in self.arguments.items())
        return f"{coefficient}{self.name}" + (f"({arguments})" if arguments else "")


@dataclass(frozen=True)
class Formula:
    """A sum of terms; `str(formula)` parses back to the same formula."""

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return " + ".join(map(str, self.terms))


def is_object_path(name: str) -> bool:
    """Return whether a name is `module:object` or `file.py:object` rather than a name of the registry.

    Example:
        >>> is_object_path("mine.py:Focal"), is_object_path("pml/CircleLoss")
        (True, False)
    """
    return ":" in name


def filled(arguments: Mapping[str, Value], class_counts: tuple[int, ...]) -> dict[str, Value]:
    """Return arguments with the class counts of a task in place of `counts`.

    Example:
        >>> filled({"weight": COUNTS, "margins": (0.5, 0.3)}, (90, 10))
        {'weight': (90, 10), 'margins': (0.5, 0.3)}
    """
    return {name: class_counts if isinstance(value, ClassCounts) else value for name, value in arguments.items()}


def written(value: Value) -> str:
    """Return a value as it is written in a formula."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, ClassCounts):
        return str(value)
    if isinstance(value, str):
        return f'"{value}"' if '"' not in value else f"'{value}'"
    return repr(value).lower() if value is None or isinstance(value, bool) else repr(value)
