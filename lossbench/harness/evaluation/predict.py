"""Apply a trained run to image files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...errors import DataError
from ...what_is import what_is
from .trained_run import load_run

_PIXELS = 64 * 224**2  # of images that go through the model together


@dataclass(frozen=True)
class ImagePredictions:
    """Predicted class probabilities.

    Attributes:
        paths: N files.
        class_names: C names.
        probabilities: (N, C) probabilities; rows sum to 1.
        subject: description of the images on which the run was trained.
        image_size: side of its images in pixels.
    """

    paths: tuple[Path, ...]
    class_names: tuple[str, ...]
    probabilities: np.ndarray[Any, np.dtype[np.float32]]
    subject: str
    image_size: int

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary per image: image, class, probabilities by class name."""
        return [
            {
                "image": str(path),
                "class": self.class_names[int(row.argmax())],
                "probabilities": dict(zip(self.class_names, map(float, row), strict=True)),
            }
            for path, row in zip(self.paths, self.probabilities, strict=True)
        ]


def predict_images(run: Path, paths: Sequence[Path]) -> ImagePredictions:
    """Return class probabilities of images: the softmax of the scores, which include the training class prior.

    Args:
        run: directory of a finished run.
        paths: image files.

    Raises:
        ModelError: the directory is not a finished run, or it cannot be loaded.
        DataError: listing every image that cannot be read.
    """
    trained = load_run(run)
    size = trained.image_size
    together, found, problems = max(1, _PIXELS // size**2), [], []
    for start in range(0, len(paths), together):
        images = []
        for path in paths[start : start + together]:
            if path.is_dir():
                problems.append(f"{path}: expected image files; it is {what_is(path)}")
                continue
            try:
                images.append(trained.prepare(path))
            except DataError as error:
                problems.append(str(error))
        if not problems:
            found.append(trained.probabilities(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)))
    if problems:
        raise DataError("\n".join(problems))
    return ImagePredictions(tuple(paths), trained.class_names, np.concatenate(found), trained.record.data.subject, size)
