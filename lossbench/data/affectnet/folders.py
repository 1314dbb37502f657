"""Read copies of AffectNet as class folders: `{train,val}/<class>/**`, mapped by name."""

from __future__ import annotations

import os
from pathlib import Path

from ...errors import DataError, listed
from ..face_expressions import CLASS_NAMES
from ..folder_walk import files_below, subfolders
from ..split_names import folders_of, split_of
from .codes import code_of
from .rows import Rows


def find_class_folders(root: Path) -> dict[str, Path] | None:
    """Return the folder of each split, or None if no split has class folders.

    A split may be nested in a folder of the same name, as in train_set/train_set.

    Raises:
        DataError: two folders that mean the same split.
    """
    found: dict[str, Path] = {}
    for name in subfolders(root):
        split = split_of(name)
        if split is None:
            continue
        folder = root / name
        while subfolders(folder) == [name]:
            folder = folder / name
        classes = subfolders(folder)
        if not classes or {"images", "annotations"}.intersection(map(str.lower, classes)):
            continue
        if split in found:
            raise DataError(f"{root}: {found[split].name}/ and {name}/ mean the same split; remove or merge one")
        found[split] = folder
    return found or None


def read_class_folders(root: Path, splits: dict[str, Path]) -> tuple[Rows, Rows, str]:
    """Return training rows, test rows and the origin of the test rows ("val", or "test" without a "val" folder).

    Raises:
        DataError: a split is missing, or class folders have unknown names (all of them are listed).
    """
    other = next((split for split in ("val", "test") if split in splits), None)
    if "train" not in splits or other is None:
        missing = "train" if "train" not in splits else "val"
        have = ", ".join(f"{folder.relative_to(root)}/" for folder in splits.values())
        raise DataError(
            f"{root}: class folders of AffectNet without a {missing} split; found {have}; "
            f"expected {folders_of(missing)}"
        )
    _refuse_unknown(root, [splits["train"], splits[other]])
    train, test = _read(root, splits["train"]), _read(root, splits[other])
    if other == "val" and "test" in splits:
        test.notes.append(f"{splits['test'].name}/ is not used: AffectNet's validation split is the test split")
    return train.checked(), test.checked(), f"the copy's {splits[other].name}/ folder"


def _refuse_unknown(root: Path, splits: list[Path]) -> None:
    unknown = [
        f"{split.relative_to(root)}/{name}"
        for split in splits
        for name in subfolders(split)
        if code_of(name) is None and any(True for _ in files_below(split / name))
    ]
    if unknown:
        numbers = any(name.rpartition("/")[2].isdecimal() for name in unknown)
        hint = (
            " A number is not a name: some copies number classes alphabetically, others by AffectNet's code."
            if numbers
            else ""
        )
        raise DataError(
            f"{root}: {len(unknown)} class folder(s) whose names are not AffectNet's:\n{listed(unknown, 20)}\n"
            f"Known names are {', '.join(CLASS_NAMES)} and words like happy, sad, afraid, disgusted, angry.{hint} "
            "Rename the folders, or read them as 'folder:PATH'."
        )


def _read(root: Path, split: Path) -> Rows:
    rows = Rows(split)
    for name in subfolders(split):
        for inside, is_image in files_below(split / name):
            if not is_image:
                rows.met["file(s) in class folders that are not images, ignored"] += 1
                continue
            code = code_of(name)
            assert code is not None
            file = f"{split}/{name}/{inside}"
            exists = os.path.exists(file)  # a link may lead nowhere
            empty = exists and os.path.getsize(file) == 0
            rows.add(os.path.relpath(file, root), file, code, empty=empty, missing=not exists)
    return rows
