"""`lossbench.load_run`: a finished run as an object that predicts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...data.given_image import GivenImage, rgb_image
from ...data.read_images import fitted
from ...data.table import Pixels
from ...errors import ConfigError, NonFiniteError, RecordError
from ...models.preprocessing import Preprocessing
from ...registry import allow_objects
from ...runs.finished_run import read_run
from ...runs.layout import check_finished
from ...runs.predictions import read_predictions
from ...runs.record import Record
from ...verdict.carried_prior import carried_prior
from ..training.step import TrainStep
from .image_batches import image_batches
from .probabilities import Probabilities
from .rebuild import rebuild

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TrainedRun:
    """A finished run, loaded for prediction.

    Attributes:
        directory: directory of the run.
        record: content of its `record.json`.
        step: its model and loss, in float32 and in evaluation mode.
    """

    directory: Path
    record: Record = field(repr=False)
    step: TrainStep = field(repr=False)

    @property
    def class_names(self) -> tuple[str, ...]:
        """C names, in the order of the columns of `predict_proba`."""
        return self.record.data.class_names

    @property
    def preprocessing(self) -> Preprocessing:
        """Crop, size, and normalization of images; the normalization is part of `module`."""
        return self.step.model.preprocessing

    @property
    def image_size(self) -> int:
        """Side S in pixels of the square images that the model reads."""
        return self.record.model.image_size

    @cached_property
    def module(self) -> Probabilities:
        """A `torch.nn.Module` from (N, 3, S, S) uint8 RGB images to (N, C) probabilities, on the device of the run."""
        return Probabilities(self.step.model, self.step.loss).to(self.device).eval()

    def shifted_module(self) -> Probabilities:
        """Return `module` with the shift that the run measured; see `shift`.

        Raises:
            RecordError: the run has measured none.
        """
        return Probabilities(self.step.model, self.step.loss, torch.from_numpy(self.shift())).to(self.device).eval()

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.step.model.mean.device

    def to(self, device: str | torch.device) -> TrainedRun:
        """Move the model to a device and return the run."""
        self.step.to(device)
        self.module.to(device)
        return self

    @cached_property
    def measured_tau(self) -> float | None:
        """Power of the training class frequencies that the scores carry, measured on the selection split.

        None if it cannot be measured: the run has no selection split, or one that lacks a class, or all classes have
        equally many training images.

        Raises:
            RecordError: the stored predictions are missing or damaged.
        """
        selection = read_predictions(self.directory, self.record).selection
        if selection is None:
            return None
        data = self.record.data
        return carried_prior(selection.scores, selection.targets, data.in_order(data.training_counts))

    def shift(self) -> Floats:
        """Return the (C,) shift that the run measured: subtracted from the scores, it lets all classes count alike.

        It is tau times the logarithm of the training frequencies, post-hoc logit adjustment (Menon et al., ICLR 2021)
        with the measured tau.

        Raises:
            RecordError: the run has measured none.
        """
        if self.measured_tau is None:
            raise RecordError(
                f"{self.directory} has measured no shift: that needs classes of different sizes and a selection split "
                "with an image of every class. Train with --carve or --select, or predict without the shift"
            )
        data = self.record.data
        counts = np.array(data.in_order(data.training_counts), dtype=np.float64)
        return np.asarray(self.measured_tau * np.log(counts / counts.sum()), dtype=np.float32)

    def prepare(self, image: GivenImage) -> Pixels:
        """Return the (S, S, 3) uint8 pixels of one image that the model reads, cropped and resized as in its run.

        Raises:
            DataError: the image cannot be read.
        """
        reading = self.record.model.reading
        return fitted(rgb_image(image, reading), reading, self.image_size, self.preprocessing.crop_share)

    def probabilities(self, pixels: Tensor, module: Probabilities | None = None) -> Floats:
        """Return (N, C) probabilities of one prepared batch.

        Args:
            pixels: (N, 3, S, S) uint8 RGB, on any device.
            module: `shifted_module()`; None for `module`.

        Raises:
            NonFiniteError: a score is NaN or infinite.
        """
        with torch.inference_mode():
            images = pixels.to(self.device, memory_format=torch.channels_last)
            found: Floats = (module or self.module)(images).cpu().numpy()
        if bad := int((~np.isfinite(found)).any(axis=1).sum()):
            raise NonFiniteError(
                f"{self.directory}: the scores of {bad} of {len(found)} images are non-finite; train again with a "
                "lower --lr or --precision fp32"
            )
        return found

    def predict_proba(self, images: GivenImage | Iterable[GivenImage], *, shifted: bool = False) -> Floats:
        """Return class probabilities: the softmax of the scores, which include the training class prior.

        Args:
            images: one image or any iterable of images, read one batch at a time: paths, bytes of image files, Pillow
                images, uint8 arrays (H, W, 3) or (H, W), or uint8 tensors (3, H, W), all RGB. They are cropped to
                their central square and resized as in the run's evaluation. An array or tensor (N, 3, S, S) of the
                run's image size is used as it is.
            shifted: subtract the shift that the run measured from the scores; see `shift`.

        Returns:
            (N, C) float32; rows sum to 1, columns are `class_names`.

        Raises:
            DataError: listing every image that cannot be read.
            RecordError: `shifted`, and the run has measured no shift.
            NonFiniteError: a score is NaN or infinite.
        """
        module = self.shifted_module() if shifted else self.module
        none = np.empty((0, len(self.class_names)), dtype=np.float32)
        batches = image_batches(images, self.image_size, self.prepare)
        return np.concatenate([none, *(self.probabilities(batch, module) for batch in batches)])


def load_run(directory: str | os.PathLike[str], *, loss: str = "", device: str | torch.device = "cpu") -> TrainedRun:
    """Load a finished run for prediction: its model, its loss, its preprocessing and its classes.

    Nothing that a file of the run names is imported, except registered losses and models of timm's list.

    Args:
        directory: directory of a finished run.
        loss: for a run that was trained with the loss of a file, that file: "path/to/file.py:Name".
        device: device of the model.

    Raises:
        RecordError: the directory holds no finished run, or one of another schema version.
        ModelError: the model cannot be rebuilt from the record and the weights.
        ConfigError: there is no such device.
    """
    place = Path(directory)
    check_finished(place)
    allow_objects(loss)
    finished = read_run(place)
    run = TrainedRun(place, finished.record, rebuild(finished))
    try:
        return run.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {str(device)!r} cannot be used: {error}") from error
