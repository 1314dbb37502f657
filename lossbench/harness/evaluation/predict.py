"""Apply a trained run to image files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...allocations import bounded_allocations
from ...data.augmentation import square
from ...data.decode import decode
from ...errors import DataError, ModelError
from ...models.build import backbone_forms, build_model
from ...models.check_tensors import written
from ...objective import build_loss, expand_formula, formula_needs
from ...registry import loss_origin
from ...runs import layout
from ...runs.finished_run import FinishedRun, read_run
from ...runs.record import Record
from ...types import LossContext
from ...what_is import what_is
from ..training.step import TrainStep

_PIXELS = 64 * 224**2  # of images that go through the model together
_SMALL = 64 * 2**20  # bytes that building a loss may take at once, whatever the weights take


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
    size, share = record.model.image_size, step.model.preprocessing.crop_share
    together, found, problems = max(1, _PIXELS // size**2), [], []
    for start in range(0, len(paths), together):
        images = []
        for path in paths[start : start + together]:
            if path.is_dir():
                problems.append(f"{path}: expected image files; it is {what_is(path)}")
                continue
            try:
                images.append(square(decode(path), size, share=share))
            except DataError as error:
                problems.append(str(error))
        if not problems:
            with torch.no_grad():
                found.append(step.loss.scores(step.model(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2))))
    if problems:
        raise DataError("\n".join(problems))
    scores = torch.cat(found)
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
    _check_backbone(finished)
    model = build_model(
        record.model.name,
        num_classes=context.num_classes,
        image_size=record.model.image_size,
        seed=0,
        needs=formula_needs(formula),
        preprocessing=finished.preprocessing(),
    )
    stored = sum(tensor.nbytes for tensor in finished.state.values())
    with bounded_allocations(
        max(_SMALL, 4 * stored), lambda text: ModelError(f"{run}: {record.formula[:200]}: {text}")
    ):
        loss = build_loss(formula, context)
    step = TrainStep(model, loss)
    try:
        step.load_state_dict(finished.state)
    except RuntimeError as error:
        raise ModelError(f"{run / layout.WEIGHTS} does not fit its record: {error}") from error
    return record, step.float().eval()


def _check_backbone(run: FinishedRun) -> None:
    """Refuse a record whose model is not the one of the weights, before it is built: it may be far larger.

    Raises:
        ModelError: naming the first tensor that differs.
    """
    model, stored = run.record.model, run.backbone_shapes()
    for name, form in backbone_forms(model.name, model.image_size).items():
        if (shape := stored.get(name)) != form.shape:
            found = "lacks it" if shape is None else f"has shape {written(shape)}"
            raise ModelError(
                f"{run.directory / layout.WEIGHTS} does not fit its record: {name} of {model.name} has shape "
                f"{written(form.shape)}, the file {found}"
            )
