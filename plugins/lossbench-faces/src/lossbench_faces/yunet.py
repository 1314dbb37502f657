"""YuNet by OpenCV's `FaceDetectorYN`, for users who have its file: `--detector yunet:FILE`.

The file, such as face_detection_yunet_2023mar.onnx (230 KB, MIT), is in OpenCV's model zoo,
https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet. Nothing is downloaded.
Wu et al., YuNet: A Tiny Millisecond-level Face Detector, Machine Intelligence Research 2023.
"""

from __future__ import annotations

import functools
import hashlib
import os
from typing import Any

from lossbench.detectors import Face, Pixels
from lossbench.errors import ConfigError

_LARGEST_FILE = 64 * 2**20  # bytes
_NMS, _TOP = 0.3, 5000
_LOWEST = 0.1  # faces below are not returned at all


class YuNet:
    """Finds faces, with five landmarks.

    Args:
        path: the network's ONNX file.

    Raises:
        ConfigError: the file cannot be read or is not a YuNet.
    """

    min_score = 0.7

    def __init__(self, path: str) -> None:
        import cv2

        self._net: Any = _network(path)
        self._to_bgr = functools.partial(cv2.cvtColor, code=cv2.COLOR_RGB2BGR)
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.version = f"{os.path.basename(path)} sha256 {digest[:16]}, OpenCV {cv2.__version__}"

    def __call__(self, image: Pixels) -> list[Face]:
        """Return the faces of an (H, W, 3) RGB image."""
        self._net.setInputSize((image.shape[1], image.shape[0]))
        _, rows = self._net.detect(self._to_bgr(image))
        return [_face(row) for row in (() if rows is None else rows.tolist()) if row[2] > 0 and row[3] > 0]


def build(argument: str) -> YuNet:
    """Return the detector of a file.

    Raises:
        ConfigError: there is no such file, or it is not a YuNet.
    """
    if not argument:
        raise ConfigError(
            "the detector yunet needs the file of its network: yunet:FILE.onnx, such as "
            "face_detection_yunet_2023mar.onnx of OpenCV's model zoo; the detector mtcnn needs no file"
        )
    return YuNet(os.path.expanduser(argument))


def _network(path: str) -> Any:
    import cv2

    if not os.path.isfile(path):
        raise ConfigError(f"yunet:{path}: no such file; expected the ONNX file of a YuNet")
    if (size := os.path.getsize(path)) > _LARGEST_FILE:
        raise ConfigError(f"yunet:{path}: has {size:,} bytes; expected the ONNX file of a YuNet, of about 230,000")
    if not hasattr(cv2, "FaceDetectorYN"):
        raise ConfigError(f"OpenCV {cv2.__version__} has no FaceDetectorYN: pip install -U opencv-python-headless")
    cv2.setNumThreads(1)
    try:
        return cv2.FaceDetectorYN.create(path, "", (320, 320), _LOWEST, _NMS, _TOP)
    except cv2.error as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise ConfigError(f"yunet:{path}: OpenCV cannot read it as a network ({reason})") from None


def _face(row: list[float]) -> Face:
    """Return a row of `detect`: box, right eye, left eye, nose, right and left corner of the mouth, score.

    OpenCV names sides as the person on the picture sees them: its right eye is the left one in the image.
    """
    left, top, width, height, *points, score = row
    pairs = tuple(zip(points[::2], points[1::2], strict=True))
    return Face((left, top, left + width, top + height), score, pairs)
