"""Manifests as tables of images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from .files import ImageFiles
from .labels import class_order
from .manifest import Manifest
from .table import ImageTable

_CROP = "a face as lossbench data crop cuts it out"


def tables_of(name: str, training: Manifest, evaluation: Manifest, other: str) -> tuple[ImageTable, ImageTable]:
    """Build tables with the labels of training as classes, followed by labels that occur only in the test split."""
    classes = class_order(training.labels)
    unknown = class_order(set(evaluation.labels).difference(classes))
    return manifest_table(name, training, classes), manifest_table(other, evaluation, classes + unknown)


def manifest_table(name: str, manifest: Manifest, classes: Sequence[str]) -> ImageTable:
    """Return the rows of a manifest as a table whose classes are numbered in the given order."""
    number = {label: position for position, label in enumerate(classes)}
    table = ImageTable(
        name=name,
        class_names=tuple(classes),
        targets=np.array([number[label] for label in manifest.labels], dtype=np.int64),
        sample_ids=manifest.ids,
        read=ImageFiles(manifest.files),
        persons=None if manifest.persons is None else np.array(manifest.persons, dtype=np.str_),
        paths=manifest.files,
        manifest_rows=manifest.rows,
        sha256s=manifest.sha256s,
        details={"path": str(manifest.path), "crop": manifest.crop},
    )
    return table if manifest.crop is None else dataclasses.replace(table, subject=_CROP)
