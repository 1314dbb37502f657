"""Planted bugs, and their list in `mutants.txt`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ALL = ("softmax", "weighted-softmax", "center", "triplet", "weighted-cluster")
LIST = Path(__file__).with_name("mutants.txt")


@dataclass(frozen=True)
class Mutant:
    """An edit of a file.

    Attributes:
        bug: description of the bug.
        file: path in the package.
        old: text that occurs exactly once in the file.
        new: replacement.
        losses: losses to test.
    """

    bug: str
    file: str
    old: str
    new: str
    losses: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file.removesuffix('.py')}: {self.bug}"

    def apply(self, package: Path) -> None:
        """Edit a copy of the package.

        Raises:
            ValueError: the old text does not occur exactly once, or the result is not valid Python.
        """
        path = package / self.file
        source = path.read_text()
        if (found := source.count(self.old)) != 1:
            raise ValueError(f"{self}: {self.old!r} occurs {found} times, expected once")
        edited = source.replace(self.old, self.new)
        try:
            compile(edited, self.file, "exec")
        except SyntaxError as error:
            raise ValueError(f"{self}: the file is not valid Python after the edit: {error}") from error
        path.write_text(edited)


def read_mutants(path: Path = LIST) -> list[Mutant]:
    """Return the mutants of a list in the format of `mutants.txt`.

    Raises:
        ValueError: two mutants have the same name, or a block is neither a header nor a mutant.
    """
    found: dict[str, Mutant] = {}
    file, losses = "", tuple[str, ...]()
    for block in path.read_text().rstrip("\n").split("\n\n"):
        first, *edit = block.split("\n")
        if first.startswith("#"):
            continue
        if first.startswith("["):
            file, _, names = first.removeprefix("[").partition("] ")
            losses = ALL if names == "all" else tuple(names.split())
            continue
        old, new = ["\n".join(line[2:] for line in edit if line[:2] == sign) for sign in ("- ", "+ ")]
        mutant = Mutant(first, file, old, new, losses)
        if not old or not all(line[:2] in ("- ", "+ ") for line in edit):
            raise ValueError(f"{mutant}: expected lines of old text (-) and of new (+)")
        if str(mutant) in found:
            raise ValueError(f"{mutant}: occurs twice in {path.name}")
        found[str(mutant)] = mutant
    return list(found.values())
