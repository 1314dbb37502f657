"""Predict class probabilities for a stream of image files, in constant memory: `lossbench predict`."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from ...data.crop_recipe import CropRecipe
from ...data.decode import decode
from ...data.read_images import decode_as, fitted
from ...data.table import Pixels
from ...detectors import Face
from ...errors import DataError
from ...faces.find import FaceFinder
from ...faces.geometry import NoCropError
from ...machine.limits import usable_cores
from .inputs import ImageInput
from .trained_run import TrainedRun

_PIXELS = 64 * 224**2  # of images that go through the model together
_MOST, _FEWEST = 256, 8  # images that are decoded together; more at once are slower on CPUs
_PART = 16  # images per task of a thread

Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """The result for an image, or for one face of it.

    Attributes:
        path: the image as the user named it.
        error: why there are no probabilities; None if there are some.
        probabilities: (C,) probabilities, which sum to 1; None with an error.
        pixels: (S, S, 3) uint8 image that the model saw; None with an error.
        face: number of the face in the image, from 1, the largest first; None without a face.
        faces: number of faces in the image; None if faces were not searched.
        box: left, top, right and bottom of the face in pixels of the upright image.
        score: of the detector.
    """

    path: str
    error: str | None = None
    probabilities: Probabilities | None = None
    pixels: Pixels | None = None
    face: int | None = None
    faces: int | None = None
    box: tuple[float, ...] | None = None
    score: float | None = None

    def content(self, class_names: Sequence[str], top: int | None = None) -> dict[str, Any]:
        """Return the result as JSON-ready.

        Args:
            class_names: C names.
            top: how many of the most probable classes are listed; None for all, in their order.
        """
        ranked = self.ranked(top)
        values = [] if self.probabilities is None else self.probabilities.tolist()
        listed = ranked if top is not None else range(len(values))
        content: dict[str, Any] = {
            "path": self.path,
            "class": class_names[ranked[0]] if ranked else None,
            "probability": values[ranked[0]] if ranked else None,
            "probabilities": {class_names[c]: values[c] for c in listed} if ranked else None,
            "error": self.error,
        }
        if self.faces is not None:
            box = None if self.box is None else [round(value, 2) for value in self.box]
            content |= {"box": box, "face": self.face, "faces": self.faces, "score": self.score}
        return content

    def ranked(self, top: int | None = None) -> list[int]:
        """Return class numbers, the most probable first; of equal ones, the first."""
        if self.probabilities is None:
            return []
        order: list[int] = np.argsort(-self.probabilities, kind="stable")[:top].tolist()
        return order


class Predictor:
    """Applies a trained run to image files.

    Args:
        trained: the run, on the device that computes.
        recipe: how faces are found and cut out before the run's own preprocessing; None for whole images.
        threads: number of threads that decode and find faces (default: one per core).

    Raises:
        ConfigError, PluginError: the detector cannot be used.
    """

    def __init__(self, trained: TrainedRun, recipe: CropRecipe | None = None, threads: int | None = None) -> None:
        self.trained = trained
        self.recipe = None if recipe is None else FaceFinder(recipe).recipe
        self._own = threading.local()  # one detector per thread
        self._threads = threads or usable_cores()
        self._together = max(1, min(_MOST, _PIXELS // trained.image_size**2))

    def predict(self, inputs: Iterable[ImageInput]) -> Iterator[Prediction]:
        """Yield the results in order: one per image, or one per face. What cannot be read is a result with an error."""
        # Photographs with many faces have many images each.
        chunk = max(_FEWEST, self._together) if self.recipe is None else _FEWEST * self._threads
        pool = ThreadPoolExecutor(self._threads)
        rest = iter(inputs)
        try:
            ahead: list[Future[list[Prediction]]] = []
            while True:
                batch = list(islice(rest, chunk))
                size = max(1, min(_PART, -(-len(batch) // self._threads)))
                parts = [batch[start : start + size] for start in range(0, len(batch), size)]
                ready, ahead = ahead, [pool.submit(self._read_all, part) for part in parts]
                if ready:
                    yield from self._judged([found for future in ready for found in future.result()])
                if not batch:
                    return
        finally:
            pool.shutdown(cancel_futures=True)

    def _read_all(self, inputs: Sequence[ImageInput]) -> list[Prediction]:
        return [found for one in inputs for found in self._read(one)]

    def _read(self, one: ImageInput) -> list[Prediction]:
        """Return the images to judge of a file, or its error."""
        faces = None if self.recipe is None else 0
        if one.error:
            return [Prediction(path=one.path, error=one.error, faces=faces)]
        try:
            if self.recipe is None:
                reading, share = self.trained.record.model.reading, self.trained.preprocessing.crop_share
                pixels = fitted(decode_as(reading, one.file), reading, self.trained.image_size, share)
                return [Prediction(path=one.path, pixels=pixels)]
            image = decode(one.file)
            finder = self._finder()
            found = finder(image)
        except DataError as error:
            return [Prediction(path=one.path, error=str(error).removeprefix(f"{one.file}: "), faces=faces)]
        except MemoryError:
            return [Prediction(path=one.path, error="not enough memory for its pixels", faces=faces)]
        if not found.faces:
            return [Prediction(path=one.path, error=found.reason, faces=0)]
        count = len(found.faces)
        return [
            self._face(finder, image, face, Prediction(path=one.path, face=number, faces=count))
            for number, face in enumerate(found.faces, start=1)
        ]

    def _face(self, finder: FaceFinder, image: Image.Image, face: Face, place: Prediction) -> Prediction:
        place = replace(place, box=face.box, score=face.score)
        try:
            return replace(place, pixels=self.trained.prepare(finder.crop(image, face).image))
        except NoCropError as error:
            return replace(place, error=str(error))

    def _finder(self) -> FaceFinder:
        finder: FaceFinder | None = getattr(self._own, "finder", None)
        if finder is None:
            assert self.recipe is not None
            finder = self._own.finder = FaceFinder(self.recipe)
        return finder

    def _judged(self, read: Sequence[Prediction]) -> Iterator[Prediction]:
        images = [one.pixels for one in read if one.pixels is not None]
        found: Iterator[Probabilities] = iter(())
        if images:
            parts = [images[start : start + self._together] for start in range(0, len(images), self._together)]
            found = (row for part in parts for row in self.probabilities(np.stack(part)))
        for one in read:
            if one.pixels is None:
                yield one
                continue
            row = next(found)
            if np.isfinite(row).all():
                yield replace(one, probabilities=row)
            else:
                yield replace(one, pixels=None, error="the scores of the run are not finite for this image")

    @torch.inference_mode()
    def probabilities(self, images: Pixels) -> Probabilities:
        """Return (N, C) probabilities of (N, S, S, 3) images."""
        batch = torch.from_numpy(images).to(self.trained.device, non_blocking=True)
        found: Probabilities = self.trained.module(batch.permute(0, 3, 1, 2)).cpu().numpy()
        return found
