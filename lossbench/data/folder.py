"""Read class folders: `DIR/<class>/*`, or `DIR/{train,val}/<class>/*`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DataError
from .decode import IMAGE_SUFFIXES
from .manifest import Manifest
from .split_names import split_of

# Folders that systems leave behind, beside hidden ones.
_JUNK = frozenset({"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found", "System Volume Information"})
_LAYOUTS = "DIR/<class>/<image> or DIR/{train,val}/<class>/<image>"


def read_folder(root: str | os.PathLike[str]) -> Manifest:
    """List the images of class folders; each class has the name of its folder.

    `root` contains class folders, or `train` and optionally `val` or `test` (or a name in `split_names`) with class
    folders in them; the manifest then has splits. Images in folders inside a class folder belong to the class. Hidden
    files and folders that systems leave behind are skipped. Empty folders and files without an image extension are
    ignored and counted in the notes. Classes and files are sorted.

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
    if any(split_of(folder) == "train" and _subfolders(root / folder) for folder in folders):
        meant: dict[str, str] = {}
        for folder in folders:
            if (split := split_of(folder)) is None:
                listing.ignore_folder(folder)
            elif split in meant:
                raise DataError(f"{root}: {meant[split]}/ and {folder}/ mean the same split; remove or merge one")
            else:
                meant[split] = folder
                inside = folder
                while _subfolders(root / inside) == [folder]:  # as archives unpack: train_set/train_set/<class>
                    inside = f"{inside}/{folder}"
                listing.add_classes(inside, split)
    else:
        listing.add_classes("", "train")
    return listing.manifest()


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not _is_junk(entry.name))


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name in _JUNK


def _images_below(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield the path of every visible file below a folder, from the folder, and whether its name is an image's.

    Links to folders are followed; a folder that is reached a second time is skipped.
    """
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _is_junk(name))
        inside = os.path.relpath(parent, folder)
        for name in sorted(name for name in names if not _is_junk(name)):
            suffix = os.path.splitext(name)[1].lower()
            yield name if inside == "." else f"{inside}/{name}", suffix in IMAGE_SUFFIXES


def _raise(error: OSError) -> None:
    raise error


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
        without = [name for name in classes if not self._add_class(f"{folder}/{name}".lstrip("/"), name, split)]
        empty = [name for name in without if not any(True for _ in _images_below(parent / name))]
        for name in empty:
            self.ignored[f"empty folder {name}/"] += 1
        if without != empty and split == "train":
            names = ", ".join(name for name in without if name not in empty)
            raise DataError(
                f"{parent}: no images in the class folder(s) {names}; "
                f"add images or remove the folder(s). Images are files named {' '.join(sorted(IMAGE_SUFFIXES))}"
            )
        if len(without) == len(classes):
            raise DataError(f"{parent}: its folders contain no images; expected {_LAYOUTS}")

    def ignore_folder(self, folder: str) -> None:
        """Ignore a folder next to the splits, and count the images in it."""
        lost = sum(is_image for _, is_image in _images_below(self.root / folder))
        self.ignored[f"folder {folder}/{f' with {lost:,} image(s)' if lost else ''}"] += 1

    def _add_class(self, folder: str, label: str, split: str) -> int:
        """Add the images of a class folder and of the folders in it; return their number."""
        found = 0
        parent = os.path.realpath(self.root / folder)
        for name, is_image in _images_below(self.root / folder):
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
            loose = sum(not entry.is_dir() and not _is_junk(entry.name) for entry in entries)
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
