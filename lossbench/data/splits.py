"""Carve a split out of a table, and check that two splits are compatible."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import DataError, listed, some
from .labels import check_spelling
from .table import ImageTable, Int64Array

_SHOWN = 20  # files listed in one message


def carve(table: ImageTable, fraction: float, seed: int, min_images: int = 2) -> tuple[Int64Array, Int64Array]:
    """Divide the rows of a table into training rows and a smaller held-out part.

    The split is stratified: about `fraction` of the images of every class is held out, at least one image, and at least
    one stays in training. A class with fewer than `min_images` images stays in training. If persons are known, no
    person is on both sides and the shares are as close as whole persons allow; training keeps every class, and a class
    whose persons cannot be divided is not held out. `left_out` returns the classes that are not held out.

    Args:
        table: table of N images.
        fraction: share to hold out, between 0 and 1.
        seed: random seed; the result is a pure function of all arguments.
        min_images: minimum number of images of a class that is divided, at least 2.

    Returns:
        Training rows and held-out rows, both sorted; together they are 0 to N - 1.

    Raises:
        DataError: `fraction` is not between 0 and 1, or `min_images` is below 2.

    Example:
        >>> table = ImageTable(name="demo", class_names=("cat", "dog"), targets=np.repeat([0, 1], [40, 1]),
        ...                    sample_ids=[str(row) for row in range(41)], read=lambda row: None)
        >>> train_rows, held_rows = carve(table, 0.2, seed=0)
        >>> table.subset(train_rows).class_counts, table.subset(held_rows).class_counts, left_out(table, held_rows)
        ((32, 1), (8, 0), ('dog',))
    """
    if not 0 < fraction < 1:
        raise DataError(f"{table.name}: the fraction to carve must be between 0 and 1; it is {fraction!r}")
    if min_images < 2:
        raise DataError(f"{table.name}: min_images must be at least 2, one for each side; it is {min_images!r}")
    counts = np.bincount(table.targets, minlength=len(table.class_names))
    wanted = np.where(counts >= min_images, np.clip(np.round(fraction * counts), 1, counts - 1), 0)
    held = _by_image(table, wanted, seed) if table.persons is None else _by_person(table, wanted, seed)
    return np.flatnonzero(~held), np.flatnonzero(held)


def left_out(table: ImageTable, held_rows: Int64Array) -> tuple[str, ...]:
    """Return the names of the classes that have images in the table but not among these rows."""
    held = np.bincount(table.targets[held_rows], minlength=len(table.class_names))
    total = np.bincount(table.targets, minlength=len(table.class_names))
    return tuple(name for name, few, all_ in zip(table.class_names, held, total, strict=True) if all_ and not few)


def check_splits(train: ImageTable, test: ImageTable, allow_missing_classes: bool = False) -> tuple[str, ...]:
    """Raise an error for splits that cannot be trained on or whose result would be meaningless.

    Returns:
        Notes for the user: persons in both splits, classes without test images.

    Raises:
        DataError: no images, labels that look equal or stand for missing values, only one class, a class without
            training images, a label that does not occur in training,
            a file in both splits, or a class without test images (unless `allow_missing_classes`).
    """
    train_counts = dict(zip(train.class_names, train.class_counts, strict=True))
    test_counts = dict(zip(test.class_names, test.class_counts, strict=True))
    for table, role in ((train, "training"), (test, "test")):
        if not len(table) and len(train_counts) > 2 and max(train_counts.values()) == 1:
            raise DataError(
                f"{train.name}: each of its {len(train_counts):,} classes has a single image, so no test split can be "
                "carved. Is it the right label column (--label COLUMN)? Values such as ages or scores are not classes"
            )
        if not len(table):
            raise DataError(f"{table.name}: no images in the {role} split; add some")
    together = {name: train_counts.get(name, 0) + test_counts.get(name, 0) for name in {**train_counts, **test_counts}}
    check_spelling(train.name, {name: count for name, count in together.items() if count})
    if unknown := [name for name, count in test_counts.items() if count and name not in train_counts]:
        rows = [f"{name!r} ({test_counts[name]} image(s))" for name in unknown]
        raise DataError(
            f"{test.name}: {len(rows)} label(s) that do not occur in {train.name}:\n{listed(rows, limit=_SHOWN)}\n"
            f"Training has: {some(train.class_names)}. Correct the labels, or add images with these labels "
            "to training."
        )
    if train.class_names != test.class_names[: len(train.class_names)]:
        raise DataError(f"{test.name}: classes are in a different order than in {train.name}; use the same order")
    if len(train.class_names) < 2:
        raise DataError(f"{train.name}: only one class ({train.class_names[0]!r}); at least two are needed")
    if empty := [name for name, count in train_counts.items() if not count]:
        raise DataError(f"{train.name}: no training image of {some(empty)}; add images, or remove the class(es)")
    _refuse_shared_files(train, test)
    notes = []
    if missing := [name for name in train.class_names if not test_counts.get(name)]:
        absent = f"{test.name}: no test image of {some(missing)}"
        if not allow_missing_classes:
            raise DataError(
                f"{absent}; balanced accuracy is the mean over all {len(train.class_names)} classes. Add images of "
                f"these classes, or pass --allow-missing-classes to exclude them from the mean"
            )
        notes.append(f"{absent}: excluded from the mean over classes")
    if both := shared_persons(train, test):
        notes.append(
            f"{len(both)} person(s) are in both training and test, such as {both[0]!r}: "
            "results will be better than on new persons"
        )
    return tuple(notes)


def shared_files(train: ImageTable, test: ImageTable) -> list[Path]:
    """Return the test files that are also in training, under the same name or another."""
    if train.paths is None or test.paths is None:
        return []
    evaluated = {identity: path for path in test.paths if (identity := _identity(path)) is not None}
    shared = {identity for path in train.paths if (identity := _identity(path)) in evaluated}
    return [path for path in test.paths if _identity(path) in shared] if shared else []


def shared_persons(train: ImageTable, test: ImageTable) -> list[str]:
    """Return the persons in both tables, sorted; an empty list if persons are unknown."""
    if train.persons is None or test.persons is None:
        return []
    both: list[str] = np.intersect1d(train.persons, test.persons).tolist()
    return both


def _refuse_shared_files(train: ImageTable, test: ImageTable) -> None:
    if shared := shared_files(train, test):
        raise DataError(
            f"{test.name}: {len(shared)} file(s) are also in {train.name}:\n{listed(shared, limit=_SHOWN)}\n"
            "Remove them from one of the two: training images cannot be test images."
        )


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Return a key that is equal for all names and links of one file; much faster than resolving each path."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _by_image(table: ImageTable, wanted: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.bool_]:
    """Return an (N,) mask of the held-out images."""
    held = np.zeros(len(table), dtype=np.bool_)
    for number, count in enumerate(wanted.astype(np.int64).tolist()):
        rows = np.flatnonzero(table.targets == number)
        held[np.random.default_rng([seed, number]).permutation(rows)[:count]] = True
    return held


def _by_person(table: ImageTable, wanted: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.bool_]:
    """Return an (N,) mask of the held-out images, made of whole persons.

    Persons are visited in random order, those of rare classes first, and a person is held out if this brings the class
    counts closer to the targets (squared distance, relative to the target count). scikit-learn's StratifiedGroupKFold
    supports only shares of 1/k, orders persons by size, and can leave a class empty on either side.
    """
    assert table.persons is not None
    persons, person_of_row = np.unique(table.persons, return_inverse=True)
    images = np.zeros((len(persons), len(wanted)), dtype=np.int64)  # (P, C)
    np.add.at(images, (person_of_row, table.targets), 1)
    left = images.sum(axis=0)  # (C,) images that stay in training
    movable = (images[:, wanted == 0] == 0).all(axis=1)  # (P,) a class that is not divided keeps its persons
    scale = np.divide(1, wanted, out=np.zeros_like(wanted), where=wanted > 0)
    held_counts = np.zeros_like(left)
    held = np.zeros(len(persons), dtype=np.bool_)
    order = np.random.default_rng(seed).permutation(len(persons))

    def change(person: int) -> float:
        own = images[person]
        return float((((held_counts - wanted) * 2 + own) * own * scale).sum())

    def may_leave(person: int) -> bool:
        return bool(movable[person] and not held[person] and ((left > images[person]) | (images[person] == 0)).all())

    def hold(person: int) -> None:
        held[person] = True
        held_counts[:] += images[person]
        left[:] -= images[person]

    for number in np.argsort(images.sum(axis=0), kind="stable").tolist():
        if not wanted[number]:
            continue
        candidates = order[np.flatnonzero(images[order, number])].tolist()
        for person in candidates:
            if held_counts[number] >= wanted[number]:
                break
            if may_leave(person) and change(person) < 0:
                hold(person)
        if not held_counts[number] and (free := [person for person in candidates if may_leave(person)]):
            hold(min(free, key=change))
    return np.isin(person_of_row, np.flatnonzero(held))
