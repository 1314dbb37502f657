"""Divide a table into folds, so that every image is a test image once: for data too small for one split."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import DataError, listed
from .request import Splits
from .table import ImageTable, Int64Array

_ATTEMPTS = 20  # orders of persons that are tried
_SHOWN = 20  # classes listed in one message


def fold_numbers(table: ImageTable, folds: int, seed: int) -> Int64Array:
    """Return the fold of each row, (N,) from 1 to `folds`.

    Folds are stratified: the images of a class are spread as evenly as possible. If persons are known, each person is
    in one fold, and the persons of rare classes are spread first.

    Args:
        table: table of N images.
        folds: number of folds, at least 2.
        seed: random seed; the result is a pure function of all arguments.

    Example:
        >>> table = ImageTable(name="demo", class_names=("cat", "dog"), targets=np.repeat([0, 1], [6, 3]),
        ...                    sample_ids=[str(row) for row in range(9)], read=lambda row: None)
        >>> numbers = fold_numbers(table, 3, seed=0)
        >>> [table.subset(np.flatnonzero(numbers == fold)).class_counts for fold in (1, 2, 3)]
        [(2, 1), (2, 1), (2, 1)]
    """
    if table.persons is None:
        return _by_image(table, folds, seed)
    best = _by_person(table, folds, np.random.default_rng([seed, 0]))
    for attempt in range(1, _ATTEMPTS):
        if not _gaps(table, best, folds):
            break
        other = _by_person(table, folds, np.random.default_rng([seed, attempt]))
        if _gaps(table, other, folds) < _gaps(table, best, folds):
            best = other
    return best


def check_folds(table: ImageTable, folds: int, allow_missing_classes: bool = False) -> None:
    """Refuse folds without an image of a class.

    Args:
        table: the images that are divided.
        folds: number of folds.
        allow_missing_classes: accept a class with fewer images, or persons, than folds, if it has at least two.

    Raises:
        DataError: naming the classes, with the largest number of folds that would do.
    """
    least = 2 if allow_missing_classes else folds
    units, noun = _units(table), "image" if table.persons is None else "person"
    few = [(name, count) for name, count in zip(table.class_names, units.tolist(), strict=True) if count < least]
    if not few:
        return
    smallest = min(count for _, count in few)
    rows = [f"{name!r} ({count} {noun}{'' if count == 1 else 's'})" for name, count in few]
    remedies = [f"Use --folds {smallest}", "add images of these classes"] if smallest > 1 else ["Add images"]
    if smallest > 1 and not allow_missing_classes:
        remedies.append("pass --allow-missing-classes to test these classes in fewer folds")
    elif smallest < 2:
        remedies.append(f"remove the class: with one {noun} it cannot be both trained and tested")
    raise DataError(
        f"{table.name}: --folds {folds} needs at least {least} {noun}s of every class, and {len(few)} class(es) have "
        f"fewer:\n{listed(rows, limit=_SHOWN)}\n{', or '.join(remedies)}."
    )


def fold_splits(splits: Splits, spec: str, folds: int, fold: int, seed: int, *, join: bool = False) -> Splits:
    """Return the splits of one fold: its images are the test split, all others the training split.

    Args:
        splits: of the data without folds.
        spec: the `--data` value.
        folds: number of folds.
        fold: the test fold, from 1.
        seed: random seed of the division.
        join: divide the images of both splits.

    Raises:
        DataError: the data has a test split, and `join` is not set.
    """
    whole = joined(splits.train, splits.test) if join else splits.whole
    if whole is None:
        raise DataError(
            f"--folds {folds}: --data {spec!r} has a test split ({splits.origin}), and folds divide data without one. "
            "Omit --folds, or pass images without --val, split column, val.csv and split folders"
        )
    numbers = fold_numbers(whole, folds, seed)
    by_person = "" if whole.persons is None else ", by person"
    return Splits(
        train=whole.subset(np.flatnonzero(numbers != fold)),
        test=dataclasses.replace(
            whole.subset(np.flatnonzero(numbers == fold)), name=f"{spec} [fold {fold} of {folds}]"
        ),
        origin=f"fold {fold} of {folds}, stratified{by_person}",
        notes=splits.notes,
        whole=whole,
    )


def joined(train: ImageTable, test: ImageTable) -> ImageTable:
    """Return the table of all images of two splits that lossbench made or ships."""
    persons = None
    if train.persons is not None and test.persons is not None:
        persons = np.concatenate([train.persons, test.persons])
    return dataclasses.replace(
        train,
        targets=np.concatenate([train.targets, test.targets]),
        sample_ids=[*train.sample_ids, *test.sample_ids],
        read=_Joined(train, test),
        persons=persons,
        prepare=_Prepared(train, test),
    )


@dataclasses.dataclass(frozen=True)
class _Joined:
    """Reads a row of two tables."""

    first: ImageTable
    second: ImageTable

    def __call__(self, row: int) -> Image.Image:
        return self.first.read(row) if row < len(self.first) else self.second.read(row - len(self.first))


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """Prepares two tables."""

    first: ImageTable
    second: ImageTable

    def __call__(self) -> None:
        self.first.prepare()
        self.second.prepare()


def _units(table: ImageTable) -> Int64Array:
    """Return what can be divided of each class, (C,): its images, or its persons if they are known."""
    if table.persons is None:
        return np.array(table.class_counts, dtype=np.int64)
    pairs = np.unique(np.stack([table.targets, _person_numbers(table)]), axis=1)
    return np.bincount(pairs[0], minlength=len(table.class_names))


def _person_numbers(table: ImageTable) -> npt.NDArray[np.intp]:
    return np.unique(np.asarray(table.persons), return_inverse=True)[1]


def _by_image(table: ImageTable, folds: int, seed: int) -> Int64Array:
    numbers = np.zeros(len(table), dtype=np.int64)
    first = 0  # the next class continues where the last one ended, so that folds are equally large
    for number in range(len(table.class_names)):
        rows = np.random.default_rng([seed, number]).permutation(np.flatnonzero(table.targets == number))
        numbers[rows] = (first + np.arange(len(rows))) % folds + 1
        first += len(rows)
    return numbers


def _by_person(table: ImageTable, folds: int, generator: np.random.Generator) -> Int64Array:
    """Return the fold of each row, made of whole persons.

    Classes are visited from the fewest persons to the most, and each person that is not placed goes to the fold with
    the fewest images of the class. scikit-learn's StratifiedGroupKFold visits persons by size, which can leave a fold
    without a rare class.
    """
    of_row = _person_numbers(table)
    images = np.zeros((int(of_row.max()) + 1, len(table.class_names)), dtype=np.int64)  # (P, C)
    np.add.at(images, (of_row, table.targets), 1)
    held = np.zeros((folds, len(table.class_names)), dtype=np.int64)  # (K, C)
    place = np.zeros(len(images), dtype=np.int64)
    order = generator.permutation(len(images))
    for number in np.argsort((images > 0).sum(axis=0), kind="stable").tolist():
        own = [person for person in order.tolist() if images[person, number] and not place[person]]
        for person in sorted(own, key=lambda p: -images[p, number]):
            fold = min(range(folds), key=lambda k: (held[k, number], held[k].sum()))
            place[person] = fold + 1
            held[fold] += images[person]
    return np.asarray(place[of_row])


def _gaps(table: ImageTable, numbers: Int64Array, folds: int) -> int:
    """Return how many classes are absent from folds, over all folds."""
    held = np.zeros((folds, len(table.class_names)), dtype=np.bool_)
    held[numbers - 1, table.targets] = True
    return int((~held).sum())
