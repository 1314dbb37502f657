"""Read class folders: `DIR/<class>/*`, or `DIR/{train,val}/<class>/*`."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DataError
from .decode import IMAGE_SUFFIXES
from .manifest import SPLIT_NAMES, Manifest

_LAYOUTS = "DIR/<class>/<image> or DIR/{train,val}/<class>/<image>"


def read_folder(root: str | os.PathLike[str]) -> Manifest:
    """List the images of class folders; each class has the name of its folder.

    `root` contains class folders, or `train` and optionally `val` (also valid, validation, test) with class folders in
    them; the manifest then has splits. Hidden files are skipped. Files without an image extension and folders inside
    class folders are ignored and counted in the notes. Classes and files are sorted.

    Raises:
        DataError: no such folder, a file, no class folders, a class folder of training without images, or two
            subfolders that mean the same split.

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
    if not os.path.exists(root):
        raise DataError(f"{root}: no such folder; expected {_LAYOUTS}")
    if not os.path.isdir(root):
        hint = f" Did you mean 'csv:{root}'?" if root.suffix == ".csv" else ""
        raise DataError(f"{root}: is a file; expected a folder with {_LAYOUTS}.{hint}")
    try:
        return _read(root)
    except OSError as error:
        raise DataError(f"{error.filename or root}: cannot list: {error.strerror or error}") from None


def _read(root: Path) -> Manifest:
    listing = _Listing(root)
    folders = _subfolders(root)
    # A class may be named "train"; the folder is a split only if it contains class folders.
    if any(folder.lower() == "train" and _subfolders(root / folder) for folder in folders):
        meant: dict[str, str] = {}
        for folder in folders:
            if (split := SPLIT_NAMES.get(folder.lower())) is None:
                listing.ignored[f"folder {folder}/"] += 1
            elif split in meant:
                raise DataError(f"{root}: {meant[split]}/ and {folder}/ mean the same split; remove or merge one")
            else:
                meant[split] = folder
                listing.add_classes(folder, split)
    else:
        listing.add_classes("", "train")
    return listing.manifest()


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


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
        classes = _subfolders(parent)
        if not classes:
            raise DataError(f"{parent}: contains no class folders; expected {_LAYOUTS}")
        self._count_files(parent)
        empty = [name for name in classes if not self._add_class(f"{folder}/{name}".lstrip("/"), name, split)]
        if empty and split == "train":
            raise DataError(
                f"{parent}: no images in the class folder(s) {', '.join(empty)}; add images or remove the folder(s). "
                f"Images are files named {' '.join(sorted(IMAGE_SUFFIXES))}"
            )

    def _add_class(self, folder: str, label: str, split: str) -> int:
        with os.scandir(self.root / folder) as entries:
            visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name)
        found = 0
        parent = Path(os.path.realpath(self.root / folder))
        for entry in visible:
            suffix = os.path.splitext(entry.name)[1].lower()
            if entry.is_dir():
                self.ignored["folders within class folders"] += 1
            elif suffix in IMAGE_SUFFIXES:  # also a broken link, which is then reported as missing
                self.ids.append(f"{folder}/{entry.name}")
                self.files.append(parent / entry.name)
                self.labels.append(label)
                self.splits.append(split)
                found += 1
            else:
                self.ignored[suffix or "no extension"] += 1
        return found

    def _count_files(self, parent: Path) -> None:
        with os.scandir(parent) as entries:
            loose = sum(not entry.is_dir() and not entry.name.startswith(".") for entry in entries)
        if loose:
            self.ignored["files outside class folders"] += loose

    def manifest(self) -> Manifest:
        ignored = ", ".join(f"{count} x {what}" for what, count in sorted(self.ignored.items()))
        return Manifest(
            path=self.root,
            ids=self.ids,
            files=self.files,
            labels=self.labels,
            splits=self.splits if set(self.splits) != {"train"} else None,
            notes=(f"{self.root}: ignored {ignored}",) if ignored else (),
        )
