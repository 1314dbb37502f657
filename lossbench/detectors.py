"""The interface of face detectors, which other distributions offer by an entry point.

    [project.entry-points."lossbench.detectors"]
    my-detector = "my_package.detector:build"

The object is a function `build(argument)` that returns a `Detector`. `--detector my-detector` calls it with an empty
text, `--detector my-detector:FILE` with "FILE". It raises a `lossbench.errors.UsageError` with one clear message for an
argument that it cannot use. `build` is called once per process and thread, and a detector is used by one thread.

A whole detector, which finds the bright rectangle of a picture:

    class Bright:
        version = "bright 1.0"  # optional: what records name; default: the distribution and its version
        min_score = 0.5         # optional: faces with lower scores are left out by default; default: 0

        def __call__(self, image):
            rows, columns = (image.mean(axis=2) > 200).nonzero()
            if not len(rows):
                return []
            return [Face((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), score=1.0)]

    def build(argument):
        return Bright()
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")  # left and right as seen in the image

Point = tuple[float, float]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Face:
    """A face that a detector found.

    Attributes:
        box: left, top, right and bottom in pixels, where the image is 0 to its width and 0 to its height; it may reach
            beyond the image.
        score: how sure the detector is; greater is surer.
        landmarks: x and y in pixels of the points in `LANDMARKS`, in their order; None if the detector has none.

    Raises:
        ValueError: a number is not finite, the box is empty, or there are not five landmarks.

    Example:
        >>> Face((10, 20, 50, 60), score=0.9).side
        40.0
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: tuple[Point, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", _numbers("box", self.box, 4))
        object.__setattr__(self, "score", _numbers("score", [self.score], 1)[0])
        left, top, right, bottom = self.box
        if right <= left or bottom <= top:
            raise ValueError(f"its box {self.box} is empty; expected left, top, right, bottom")
        if self.landmarks is not None:
            if len(self.landmarks) != len(LANDMARKS):
                raise ValueError(f"it has {len(self.landmarks)} landmarks; expected {len(LANDMARKS)}")
            points = tuple(_numbers("landmark", point, 2) for point in self.landmarks)
            object.__setattr__(self, "landmarks", points)

    @property
    def side(self) -> float:
        """The longer side of the box in pixels."""
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)

    def scaled(self, factor: float) -> Face:
        """Return the face in an image that is larger by a factor."""
        left, top, right, bottom = (factor * value for value in self.box)
        points = None if self.landmarks is None else tuple((factor * x, factor * y) for x, y in self.landmarks)
        return Face((left, top, right, bottom), self.score, points)


class Detector(Protocol):
    """Finds faces. The optional attributes `version` and `min_score` are described above."""

    def __call__(self, image: Pixels) -> Sequence[Face]:
        """Return the faces of an image in any order; none is an empty list.

        Args:
            image: (H, W, 3) uint8 RGB, upright, of at least 1 x 1 pixel.
        """
        ...


def _numbers(what: str, values: Any, count: int) -> Any:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise ValueError(f"its {what} is {values!r}; expected numbers") from None
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ValueError(f"its {what} is {numbers}; expected {count} finite number(s)")
    return numbers
