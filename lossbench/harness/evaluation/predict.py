"""Apply a trained run to image files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...data.augmentation import square
from ...data.decode import decode
from ...errors import DataError, ModelError
from ...models.build import build_model
from ...objective import build_loss, expand_formula, formula_needs
from ...registry import loss_origin
from ...runs import layout
from ...runs.finished_run import read_run
from ...runs.record import Record
from ...types import LossContext
from ...what_is import what_is
from ..training.step import TrainStep

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
    record, step = load_run(run)
    images, problems = [], []
    size, share = record.model.image_size, step.model.preprocessing.crop_share
    for path in paths:
        if path.is_dir():
            problems.append(f"{path}: expected image files; it is {what_is(path)}")
            continue
        try:
            images.append(square(decode(path), size, share=share))
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    with torch.no_grad():
        scores = torch.cat([step.loss.scores(step.model(part)) for part in batch.split(max(1, _PIXELS // size**2))])
    return ImagePredictions(
        tuple(paths),
        record.data.class_names,
        scores.softmax(dim=1).numpy(),
        record.data.subject,
        size,
    )


def load_run(run: Path) -> tuple[Record, TrainStep]:
    """Return the record of a finished run and its model and loss, on the CPU and in evaluation mode.

    Raises:
        ModelError: something is missing or damaged.
    """
    finished = read_run(run)
    record = finished.record
    data, formula = record.data, expand_formula(record.formula)
    for term in record.terms:
        if term.source is not None and (found := loss_origin(term.name)) != term.source:
            raise ModelError(
                f"{run}: {term.name} was {term.source}, and is {found}; pass --loss with the file of the run"
            )
    context = LossContext(
        num_classes=len(data.class_names),
        embedding_dim=record.model.embedding_dim,
        class_counts=tuple(data.in_order(data.drawn_counts)),
        class_names=data.class_names,
    )
    model = build_model(
        record.model.name,
        num_classes=context.num_classes,
        image_size=record.model.image_size,
        seed=0,
        needs=formula_needs(formula),
        preprocessing=finished.preprocessing(),
    )
    step = TrainStep(model, build_loss(formula, context))
    try:
        step.load_state_dict(finished.state)
    except RuntimeError as error:
        raise ModelError(f"{run / layout.WEIGHTS} does not fit its record: {error}") from error
    return record, step.float().eval()
