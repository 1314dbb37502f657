"""Read class folders: `DIR/<class>/*`, or `DIR/{train,val}/<class>/*`."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DataError
from ..file_names import IMAGE_SUFFIXES
from ..what_is import is_of_runs, what_is
from .folder_walk import count_images, files_below, is_junk, kinds_below, named, subfolders
from .manifest import Manifest
from .split_names import split_of

_SHOWN = 20
_LAYOUTS = "DIR/<class>/<image> or DIR/{train,val}/<class>/<image>"


def read_folder(root: str | os.PathLike[str], *, one_class: bool = False) -> Manifest:
    """List the images of class folders; each class has the name of its folder.

    `root` contains class folders, or `train` and optionally `val` or `test` (or a name in `split_names`) with class
    folders in them; the manifest then has splits. Images in folders inside a class folder belong to the class. Hidden
    files and folders that systems leave behind are skipped. Empty folders and files without an image extension are
    ignored and counted in the notes. Classes and files are sorted.

    Args:
        root: the folder.
        one_class: whether a single class is meant, as in the test split of other training data.

    Raises:
        DataError: no such folder, a file, no class folders, a class folder of training that has files but no images,
            or two subfolders that mean the same split.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("cat", "dog"):
        ...     (root / name).mkdir()
        ...     _ = (root / name / "0.png").write_bytes(b"not decoded here")
        >>> manifest = read_folder(root)
        >>> manifest.ids, manifest.labels, manifest.splits
        (['cat/0.png', 'dog/0.png'], ['cat', 'dog'], None)
    """
    root = Path(root)
    if is_of_runs(root):
        raise DataError(f"{root}: expected a folder of images, {_LAYOUTS}; it is {what_is(root)}")
    if not os.path.exists(root):
        raise DataError(f"{root}: no such folder; expected {_LAYOUTS}")
    if not os.path.isdir(root):
        hint = f"Did you mean 'csv:{root}'?" if root.suffix == ".csv" else f"It is {what_is(root)}."
        raise DataError(f"{root}: is a file; expected a folder with {_LAYOUTS}. {hint}")
    try:
        return _read(root, one_class)
    except OSError as error:
        raise DataError(f"{error.filename or root}: cannot list: {error.strerror or error}") from None


def _read(root: Path, one_class: bool) -> Manifest:
    listing = _Listing(root)
    folders = subfolders(root)
    # A class may be named "train"; the folder is a split only if it contains class folders.
    if any(split_of(folder) == "train" and subfolders(root / folder) for folder in folders):
        meant: dict[str, str] = {}
        for folder in folders:
            if (split := split_of(folder)) is None:
                listing.ignore_folder(folder)
            elif split in meant:
                raise DataError(f"{root}: {meant[split]}/ and {folder}/ mean the same split; remove or merge one")
            else:
                meant[split] = folder
                inside = folder
                while subfolders(root / inside) == [folder]:  # as archives unpack: train_set/train_set/<class>
                    inside = f"{inside}/{folder}"
                listing.add_classes(inside, split)
    else:
        if not one_class:
            _check_level(root, folders)
        listing.add_classes("", "train")
    return listing.manifest()


def _check_level(root: Path, folders: list[str]) -> None:
    """Refuse a folder that archives or systems wrapped around the class folders: it would be the only class.

    Folders without images do not count, such as an empty `labels/` beside `images/train/`.
    """
    inside = root
    while len(names := _with_images(inside)) == 1 and not count_images(inside / names[0]):
        inside = inside / names[0]
    if inside != root and names:
        only = inside.relative_to(root).parts[0]
        holds = "contains only" if folders == [only] else "contains images only in"
        if split_of(inside.name) and not split_of(only):  # images/train/<class>: the splits lie beside it
            inside = inside.parent
        raise DataError(
            f"{root}: {holds} the folder {only}/, which contains folders; expected {_LAYOUTS}. "
            f"Did you mean 'folder:{inside}'?"
        )


def _with_images(folder: Path) -> list[str]:
    return [name for name in subfolders(folder) if any(is_image for _, is_image in files_below(folder / name))]


@dataclass
class _Listing:
    root: Path
    ids: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def add_classes(self, folder: str, split: str) -> None:
        parent = self.root / folder
        classes = subfolders(parent)
        if not classes:
            raise DataError(
                f"{parent}: contains no class folders; expected {_LAYOUTS}{self._loose_images(parent, split)}"
            )
        self._count_files(parent)
        without = [name for name in classes if not self._add_class(f"{folder}/{name}".lstrip("/"), name, split)]
        empty = [name for name in without if not any(True for _ in files_below(parent / name))]
        for name in empty:
            self.ignored[f"empty folder {name}/"] += 1
        if without != empty and split == "train":
            names = ", ".join(f"{name} ({kinds_below(parent / name)})" for name in without if name not in empty)
            raise DataError(
                f"{parent}: no images in the class folder(s) {names}; "
                f"add images or remove the folder(s). Images are files named {' '.join(sorted(IMAGE_SUFFIXES))}"
            )
        if len(without) == len(classes):
            raise DataError(f"{parent}: its folders contain no images; expected {_LAYOUTS}")

    def ignore_folder(self, folder: str) -> None:
        """Ignore a folder next to the splits, and count the images in it."""
        lost = sum(is_image for _, is_image in files_below(self.root / folder))
        self.ignored[f"folder {folder}/{f' with {lost:,} image(s)' if lost else ''}"] += 1

    def _add_class(self, folder: str, label: str, split: str) -> int:
        """Add the images of a class folder and of the folders in it; return their number."""
        found = 0
        parent = os.path.realpath(self.root / folder)
        for name, is_image in files_below(self.root / folder):
            if is_image:  # also a broken link, which is then reported as missing
                self.ids.append(f"{folder}/{name}")
                self.files.append(Path(parent, name))
                self.labels.append(label)
                self.splits.append(split)
                found += 1
            else:
                self.ignored[os.path.splitext(name)[1].lower() or "no extension"] += 1
        return found

    def _count_files(self, parent: Path) -> None:
        with os.scandir(parent) as entries:
            files = [entry for entry in entries if not entry.is_dir() and not is_junk(entry.name)]
        if dead := [entry.name for entry in files if entry.is_symlink() and not os.path.exists(entry.path)]:
            raise DataError(
                f"{parent}: {', '.join(sorted(dead)[:_SHOWN])} leads nowhere; it may be a class folder whose disk is "
                "not mounted. Restore its target, or remove the link"
            )
        if files:
            self.ignored["files outside class folders"] += len(files)

    def _loose_images(self, parent: Path, split: str) -> str:
        """Return what to do about images outside class folders, as an ending of a message."""
        if not (images := count_images(parent)):
            return ""
        if split == "train":
            return (
                f". Its {images:,} image(s) have no labels: put those of each class into a folder with its name, or "
                "list them in a manifest (csv:FILE with columns path,label)"
            )
        return (
            f". Its {images:,} image(s) have no labels: to carve the test split from training, pass "
            f"--data folder:{self.root / 'train' if (self.root / 'train').is_dir() else 'DIR/train'}"
        )

    def manifest(self) -> Manifest:
        ignored = ", ".join(f"{count} x {named(what)}" for what, count in sorted(self.ignored.items()))
        return Manifest(
            path=self.root,
            ids=self.ids,
            files=self.files,
            labels=self.labels,
            splits=self.splits if set(self.splits) != {"train"} else None,
            notes=(f"{self.root}: ignored {ignored}",) if ignored else (),
        )
