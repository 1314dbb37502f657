"""Read and check manifests of labeled files without opening the files."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError, listed
from .crop_recipe import CropRecipe, read_recipe
from .csv_rows import read_records
from .located_files import LocatedFiles, existing_root
from .manifest_columns import columns_of
from .missing_files import where_instead
from .split_names import KNOWN, split_of

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHOWN = 50  # rows listed in one message


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """N labelled image files.

    Attributes:
        path: path of the CSV file or folder.
        ids: N unique paths as written in the manifest.
        files: N absolute paths.
        labels: N non-empty label names.
        splits: N names ("train", "val" or "test"), or None.
        persons: N person names, or None.
        rows: N row numbers in the CSV file; the header is row 1.
        sha256s: N hexadecimal digests of the files, or None.
        notes: messages for the user, for example about ignored files.
        crop: how faces were cut out of photographs, if the manifest is that of `lossbench data crop`.
    """

    path: Path
    ids: Sequence[str]
    files: Sequence[Path]
    labels: Sequence[str]
    splits: Sequence[str] | None = None
    persons: Sequence[str] | None = None
    rows: Sequence[int] | None = None
    sha256s: Sequence[str] | None = None
    notes: tuple[str, ...] = ()
    crop: CropRecipe | None = None

    def __len__(self) -> int:
        return len(self.files)

    def of_split(self, split: str) -> Manifest:
        """Return the rows of one split, in their order."""
        rows = [row for row, name in enumerate(self.splits or ()) if name == split]
        return Manifest(
            path=self.path,
            ids=[self.ids[row] for row in rows],
            files=[self.files[row] for row in rows],
            labels=[self.labels[row] for row in rows],
            persons=None if self.persons is None else [self.persons[row] for row in rows],
            rows=None if self.rows is None else [self.rows[row] for row in rows],
            sha256s=None if self.sha256s is None else [self.sha256s[row] for row in rows],
            notes=self.notes,
            crop=self.crop,
        )


def read_csv_manifest(
    path: str | os.PathLike[str],
    label_column: str = "label",
    *,
    path_column: str = "path",
    root: Path | None = None,
) -> Manifest:
    """Read a CSV file with columns `path`, `label` and optionally `split`, `person` (or `group`) and `sha256`.

    Paths are relative to the manifest and must stay inside its folder. With `root`, they are relative to that folder or
    absolute, and must stay inside it; a path that does not exist there may start from the manifest's folder and lead
    into the root by a link. Files must exist and are not decoded. A row that repeats another one is dropped, and so is
    one that says why a face or photograph has no crop, in a manifest of `lossbench data crop`.

    Raises:
        DataError: the manifest does not exist, is not CSV or has missing columns; or a list of all invalid rows: an
            empty label or person, a path that does not exist, leaves the folder or occurs twice, or an unknown split.
            Row 1 is the header.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.png").write_bytes(b"not decoded here")
        >>> _ = (folder / "my.csv").write_text("path,label\\na.png,cat\\n")
        >>> read_csv_manifest(folder / "my.csv").labels
        ['cat']
    """
    path = Path(path)
    rows = read_records(path)
    header = [name.strip() for name in next(rows, [])]
    columns = columns_of(path, header, label_column, path_column)
    place, label_at, split_at = columns[path_column], columns[label_column], columns.get("split")
    person_at = columns.get("person", columns.get("group"))
    sha256_at = columns.get("sha256")

    ids, files, labels, splits, persons, numbers, sha256s = [], [], [], [], [], [], []
    located = LocatedFiles(path.parent) if root is None else LocatedFiles(existing_root(root), beside=path.parent)
    problems: list[str] = []
    first_rows: dict[str, tuple[int, list[str]]] = {}
    missing: list[str] = []
    repeated = respelled = uncropped = 0
    reason_at = columns.get("reason") if "photo" in columns else None
    unknown_splits: Counter[str] = Counter()
    for number, cells in enumerate(rows, start=2):
        if not any(map(str.strip, cells)):  # a blank line, or a blank row of a spreadsheet
            continue
        if len(cells) > len(header) and not any(map(str.strip, cells[len(header) :])):
            cells = cells[: len(header)]  # noqa: PLW2901  # blank columns of a spreadsheet
        if len(cells) != len(header):
            problems.append(f"row {number}: {len(cells)} fields, but the header has {len(header)}")
            continue
        if reason_at is not None and cells[reason_at] and not cells[place]:
            uncropped += 1
            continue
        name, label = cells[place], cells[label_at].strip()
        try:
            name, file = located.locate_as_meant(name)
        except ValueError as error:
            problems.append(f"row {number}: {name!r}: {error}")
            if not os.path.lexists(os.path.join(root or path.parent, name)):
                missing.append(name)
            continue
        respelled += name != cells[place]
        values = [cells[at].strip() for at in (label_at, split_at, person_at, sha256_at) if at is not None]
        earlier, before = first_rows.setdefault(file, (number, values))
        if earlier != number and values == before:
            repeated += 1
            continue
        if earlier != number:
            problems.append(f"row {number}: {name!r}: the same file as in row {earlier}, with other values")
        if not label:
            problems.append(f"row {number}: {name!r}: empty {label_column!r}")
        if split_at is not None:
            written = cells[split_at].strip()
            splits.append(split_of(written) or "")
            if not splits[-1]:
                unknown_splits[written] += 1
        if person_at is not None:
            persons.append(cells[person_at].strip())
            if not persons[-1]:
                problems.append(
                    f"row {number}: {name!r}: empty {header[person_at]!r}; fill in all rows or remove the column"
                )
        if sha256_at is not None:
            sha256s.append(cells[sha256_at].strip().lower())
            if not _SHA256.fullmatch(sha256s[-1]):
                problems.append(
                    f"row {number}: {name!r}: sha256 is {sha256s[-1][:80]!r}, expected 64 hexadecimal digits"
                )
        numbers.append(number)
        ids.append(name if root is None else located.relative(file))
        files.append(Path(file))
        labels.append(label)

    if unknown_splits:
        problems += [f"split {name!r} in {count} row(s): not one of {KNOWN}" for name, count in unknown_splits.items()]
    if problems:
        hint = where_instead(missing[0], root or path.parent, others_found=bool(files)) if missing else None
        raise DataError(
            f"{path}: {len(problems)} problem(s) in its rows (paths are relative to {root or path.parent}):\n"
            f"{listed(problems, limit=_SHOWN)}\n" + (hint or "Correct or remove these rows.")
        )
    if not files:
        raise DataError(
            f"{path}: no rows below the header; expected one row per image"
            if not uncropped
            else f"{path}: none of its {uncropped:,} row(s) has a crop; column 'reason' says why"
        )
    return Manifest(
        path=path,
        ids=ids,
        files=files,
        labels=labels,
        splits=None if split_at is None else splits,
        persons=None if person_at is None else persons,
        rows=numbers,
        sha256s=None if sha256_at is None else sha256s,
        notes=tuple(
            f"{path}: {count:,} {what}"
            for count, what in (
                (repeated, "row(s) that repeat another row are dropped"),
                (respelled, "path(s) are read with slashes and without spaces around them"),
                (uncropped, "row(s) without a crop are left out; column 'reason' says why"),
                (located.from_beside, "path(s) start from the manifest's folder, not from the root"),
            )
            if count
        ),
        crop=None if reason_at is None else read_recipe(path.parent),
    )
